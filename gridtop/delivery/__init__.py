"""Delivery: every sink gets every event that it wants, in order of each incident, whatever the others do.

What it promises, and what happens when a receiver fails, is told in docs/delivery.md.
"""

from __future__ import annotations

import asyncio
import random as chance
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from types import MappingProxyType

from gridtop.client import SinkStatus
from gridtop.contracts import Sink
from gridtop.delivery.counters import COUNTED, Counted, Counters
from gridtop.delivery.dispatch import Dispatcher
from gridtop.delivery.receiver import Sleep, refuses_to_start
from gridtop.delivery.streams import Stream
from gridtop.events import Event
from gridtop.outbox import Outbox
from gridtop.subscriptions import Subscription

__all__ = ["Delivery"]


class Delivery:
    """Serves all sinks: the durable ones from the outbox, the others as events are published.

    `sinks` are the configured ones by name, with what they want; `streams` further ones that end with the
    process and get everything. `on_broken_pipe` is called when the reader of a stream has gone away,
    `publish` gets the events about sinks themselves, such as the first dead letter. `wall` gives seconds
    since 1970, `clock` monotonic seconds, `random` numbers from 0 to 1.
    """

    def __init__(
        self,
        outbox: Outbox,
        sinks: Mapping[str, tuple[Sink, Subscription]],
        streams: Mapping[str, Sink] = MappingProxyType({}),
        on_broken_pipe: Callable[[], None] = lambda: None,
        publish: Callable[[Event], None] | None = None,
        *,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        sleep: Sleep = asyncio.sleep,
        random: Callable[[], float] = chance.random,
    ) -> None:
        self._outbox, self._on_broken_pipe, self._publish = outbox, on_broken_pipe, publish
        self._wall, self._clock, self._sleep, self._random = wall, clock, sleep, random
        self._sinks = {name: self._line(name, *pair) for name, pair in sinks.items()}
        self._others = [self._line(name, sink, None) for name, sink in streams.items()]
        self._left: list[tuple[str, Counters]] = []  # of sinks that others took the place of

    @property
    def _lines(self) -> list[Dispatcher | Stream]:
        """All, those that are served from the outbox first."""
        return sorted((*self._sinks.values(), *self._others), key=lambda line: isinstance(line, Stream))

    def _line(self, name: str, sink: Sink, subscription: Subscription | None) -> Dispatcher | Stream:
        clocks = self._clock, self._sleep, self._random
        if subscription is None or not getattr(sink, "durable", True):
            return Stream(name, sink, subscription, self._on_broken_pipe, *clocks)
        return Dispatcher(name, sink, subscription, self._outbox, self._publish, self._wall, *clocks)

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each sink that cannot deliver now."""
        return tuple(line.problem for line in self._lines if line.problem)

    @property
    def dropped(self) -> int:
        """Events that some stream will never get; what is owed to the other sinks is never dropped."""
        counters = (*(counters for _, counters in self._left), *(line.counters for line in self._lines))
        return sum(one.total("dropped") for one in counters)

    def status(self) -> tuple[SinkStatus, ...]:
        """How each sink does: those that are served from the outbox first."""
        return tuple(line.status for line in self._lines)

    def counters(self) -> Mapping[Counted, Mapping[str, Mapping[str, int]]]:
        """What was counted since the start: by what is counted, sink, and reason (may be empty)."""
        found: dict[Counted, dict[str, Counter[str]]] = {counted: {} for counted in COUNTED}
        for name, counters in (*self._left, *((line.name, line.counters) for line in self._lines)):
            for counted, by_sink in found.items():
                by_sink.setdefault(name, Counter()).update(counters.by_reason(counted))
        return found

    async def open(self) -> None:
        """Open every sink and begin to deliver what is owed; GridtopError when one says that its
        configuration cannot work. One that only cannot be reached is tried again."""
        lines = self._lines
        for line, failure in zip(lines, await _opened(lines), strict=True):
            line.start(failure)

    async def exchange(
        self,
        sinks: Mapping[str, tuple[Sink, Subscription]],
        removed: Collection[str] = (),
        *,
        agreed: Callable[[], Awaitable[None]] | None = None,
        deadline: float = 2.0,
    ) -> None:
        """Serve these sinks from now on, in place of those of their names, and those `removed` no more.

        All others go on undisturbed. The sinks that leave have `deadline` seconds for what is under way; what
        is owed to them stays in the outbox. `agreed` is waited for when all new ones are open. GridtopError
        of it, or of a sink that says that its configuration cannot work: then nothing has changed.
        """
        fresh = {name: self._line(name, *pair) for name, pair in sinks.items()}
        try:
            failures = await _opened(list(fresh.values()))
            if agreed is not None:
                await agreed()
        except BaseException:
            await asyncio.gather(*(line.receiver.close() for line in fresh.values()))
            raise
        leaving = [line for name, line in self._sinks.items() if name in fresh or name in removed]
        kept = {name: line for name, line in self._sinks.items() if name not in removed}
        # From here on events go to the new ones: a stream keeps them until it is started.
        self._sinks = kept | fresh
        self._left += [(line.name, line.counters) for line in leaving]
        await asyncio.gather(*(line.close(deadline) for line in leaving))
        for line, failure in zip(fresh.values(), failures, strict=True):
            line.start(failure)

    async def send(self, events: Sequence[Event]) -> None:
        """Hand on events that are committed: the streams get them, the other sinks look into the outbox.

        It waits for a stream that is slow, never for a sink that is served from the outbox.
        """
        lines = self._lines
        for line in lines:
            if isinstance(line, Dispatcher):
                line.wake()
        await asyncio.gather(*(line.put(events) for line in lines if isinstance(line, Stream)))

    async def close(self, deadline: float = 10.0) -> None:
        """Deliver what is owed within `deadline` seconds and close the sinks.

        What is not delivered by then stays in the outbox; for streams it is counted as dropped.
        """
        await asyncio.gather(*(line.close(deadline) for line in self._lines))


async def _opened(lines: Sequence[Dispatcher | Stream]) -> list[BaseException | None]:
    """What went wrong with each when it was opened; GridtopError when one refuses to start."""
    failures = await asyncio.gather(*(line.receiver.open() for line in lines), return_exceptions=True)
    for failure in failures:
        if failure is not None and refuses_to_start(failure):
            raise failure
    return failures
