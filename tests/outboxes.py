"""Doubles for tests of delivery: an outbox in memory, a clock that jumps, and a sink that does as told."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from gridtop.api import Event, Settings
from gridtop.outbox import Backlog, Owed

EPOCH = 1_800_000_000.0
"""What the wall clock says when a test begins, in seconds since 1970."""


class Clock:
    """Time that passes only while everything waits: `sleep`, `monotonic` and `wall` for a Delivery."""

    def __init__(self) -> None:
        self.now = 0.0
        self.set_back = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return EPOCH + self.now - self.set_back

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._order), future))
        await future

    async def run(self, seconds: float) -> None:
        """Let so much time pass; all that is due meanwhile happens in order."""
        await self.until(lambda: False, seconds)

    async def until(self, reached: Callable[[], bool], seconds: float = 1e6) -> None:
        """Let time pass until something is so, at most so many seconds."""
        end = self.now + seconds
        at_once = 0
        while True:
            await self._settle()
            if reached():
                return
            while self._sleepers and self._sleepers[0][2].done():
                heapq.heappop(self._sleepers)
            if not self._sleepers or self._sleepers[0][0] > end:
                break
            before = self.now
            self.now, _, future = heapq.heappop(self._sleepers)
            future.set_result(None)
            at_once = at_once + 1 if self.now == before else 0
            assert at_once < 10_000, "somebody sleeps again and again without time passing"
        self.now = end

    async def finish(self, work: Any) -> None:
        """Let time pass until a coroutine is over."""
        task = asyncio.ensure_future(work)
        await self.until(task.done)
        await task

    async def _settle(self) -> None:
        """Until nothing is left to do but to wait."""
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        for _ in range(1_000_000):
            if not ready:
                return
            await asyncio.sleep(0)
        raise AssertionError("there is always something to do")


class MemoryOutbox:
    """An outbox in memory that keeps what became of every event: `fate` by sink and sequence number."""

    def __init__(self, clock: Clock, *sinks: str) -> None:
        self._clock = clock
        self.events: dict[int, Event] = {}
        self.owed: dict[str, dict[int, list[Any]]] = {sink: {} for sink in sinks}
        self.fate: dict[str, dict[int, str]] = {sink: {} for sink in sinks}
        self.reasons: dict[tuple[str, int], str] = {}
        self.broken = False
        self.ended_again = False
        """Whether an event met its fate a second time, which must not happen."""

    def add(self, *events: Event) -> list[Event]:
        """Commit events that are owed to every sink from now on."""
        published = [
            event.published(len(self.events) + place, self._clock.wall())
            for place, event in enumerate(events, 1)
        ]
        for event in published:
            self.events[event.seq] = event
            for owed in self.owed.values():
                owed[event.seq] = [0, event.wall]
        return published

    async def due(self, sink: str, now: float, limit: int = 64) -> Sequence[Owed]:
        await self._answer()
        page: list[Owed] = []
        unfinished: set[str] = set()
        for seq, (tries, due) in sorted(self.owed[sink].items()):
            event = self.events[seq]
            if due <= now and event.incident not in unfinished and len(page) < limit:
                page.append(Owed(event, tries, due))
            if event.incident:
                unfinished.add(event.incident)
        return page

    async def next_due(self, sink: str) -> float | None:
        await self._answer()
        return min((due for _, due in self.owed[sink].values()), default=None)

    async def delivered(self, sink: str, seqs: Sequence[int]) -> None:
        await self._end(sink, seqs, "delivered")

    async def postponed(self, sink: str, seqs: Sequence[int], due: float, reason: str) -> None:
        await self._answer()
        for seq in seqs:
            self.owed[sink][seq] = [self.owed[sink][seq][0] + 1, due]
            self.reasons[sink, seq] = reason

    async def buried(self, sink: str, seqs: Sequence[int], reason: str) -> None:
        await self._end(sink, seqs, "dead")
        self.reasons.update({(sink, seq): reason for seq in seqs})

    async def digested(self, sink: str, seqs: Sequence[int], reason: str) -> None:
        await self._end(sink, seqs, "digested")

    async def backlog(self, sink: str) -> Backlog:
        await self._answer()
        owed = self.owed[sink]
        oldest = self.events[min(owed)].wall if owed else 0.0
        return Backlog(len(owed), list(self.fate[sink].values()).count("dead"), oldest)

    async def _end(self, sink: str, seqs: Sequence[int], fate: str) -> None:
        await self._answer()
        for seq in seqs:
            self.ended_again |= seq in self.fate[sink]
            self.owed[sink].pop(seq, None)
            self.fate[sink][seq] = fate

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise OSError("no space left on the disk")


class Recorder:
    """A sink that keeps what it got. `failures` happen first, one an attempt; None is a success.

    `refuse` says of single events what is wrong with them, at any time. A stuck one hangs for ever.
    """

    Config = Settings

    def __init__(
        self,
        *failures: BaseException | None,
        stuck: bool = False,
        refuse: Callable[[Event], BaseException | None] = lambda event: None,
        takes: Callable[[], Any] | None = None,
    ) -> None:
        self.got: list[Event] = []
        self.sends: list[list[Event]] = []
        """Every attempt, whatever came of it."""
        self.failures = list(failures)
        self.stuck = stuck
        self.refuse = refuse
        self.takes = takes
        self.under_way = 0
        self.most_under_way = 0
        self.closed = False

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.got]

    async def open(self) -> None:
        pass

    async def send(self, events: Sequence[Event]) -> None:
        self.sends.append(list(events))
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            if self.takes is not None:
                await self.takes()
            if self.stuck:
                await asyncio.Event().wait()
            failure = self.failures.pop(0) if self.failures else None
            for wrong in (failure, *map(self.refuse, events)):
                if wrong is not None:
                    raise wrong
            self.got += events
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        self.closed = True


def event(name: str, incident: str = "", **more: Any) -> Event:
    """An alarm's event called `name`."""
    values: dict[str, Any] = {"kind": "alarm", "transition": "raised", "severity": "warning", "rule": "r"}
    return Event(id=name, message=f"message {name}", row=0, incident=incident, **(values | more))


def events(number: int, first: int = 0) -> list[Event]:
    """Alarms that have nothing to do with each other, called 0, 1, and so on."""
    return [event(str(i), str(i)) for i in range(first, first + number)]
