"""Streams: sinks that end with the process and get events as they are published, from a queue in memory."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Literal

from gridtop.client import SinkStatus
from gridtop.contracts import Sink
from gridtop.delivery.counters import Counters
from gridtop.delivery.digest import MINUTE, Allowance, digest_of
from gridtop.delivery.notices import concerns
from gridtop.delivery.receiver import Receiver, Sleep, reason
from gridtop.events import Event
from gridtop.subscriptions import Subscription

CAPACITY = 10_000
"""Events that wait for one stream at most."""

BATCH = 256
"""Events handed to a stream at once at most."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds between attempts."""

_GLANCE = 0.02
"""Seconds between looks at a full queue."""


class Stream:
    """One stream with the events it has yet to get.

    A slow one makes whoever publishes wait (a replay can). One that fails while its queue is full loses the
    newest events, one whose reader has gone all of them; both are counted. Without a subscription it gets
    everything.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        subscription: Subscription | None,
        on_broken_pipe: Callable[[], None],
        clock: Callable[[], float],
        sleep: Sleep,
        random: Callable[[], float],
    ) -> None:
        self.name = name
        self.counters = Counters()
        # No time limit: what a reader who has paused gets late must not be written twice.
        self.receiver = Receiver(name, sink, math.inf, sleep)
        self._subscription = subscription
        self._on_broken_pipe = on_broken_pipe
        self._sleep = sleep
        self._random = random
        self._allowance = Allowance(subscription.rate if subscription else None, clock)
        self._beyond: list[Event] = []
        self._storm: asyncio.Task[None] | None = None
        self._queue: asyncio.Queue[Event] = asyncio.Queue(CAPACITY)
        self._waiting = 0
        self._problem = ""
        self._gone = False
        self._closed = False
        self._worker: asyncio.Task[None] | None = None

    @property
    def status(self) -> SinkStatus:
        """How the stream does."""
        state: Literal["working", "retrying", "gone"] = "retrying" if self._problem else "working"
        if self._gone:
            state = "gone"
        delivered = self.counters.total("delivered")
        return SinkStatus(self.name, state, self._waiting, 0, delivered, self._problem)

    @property
    def problem(self) -> str:
        """One line when it cannot deliver now."""
        return f"sink {self.name}: {self._problem}" if self._problem else ""

    def start(self, failure: BaseException | None = None) -> None:
        """Begin to serve it; `failure` is what kept it from opening."""
        if failure is not None:
            self._problem = f"cannot be opened ({reason(failure)})"
        self._worker = asyncio.create_task(self._serve(), name=f"sink {self.name}")

    async def put(self, events: Sequence[Event]) -> None:
        """Queue the events that it wants; waits while the queue is full and the stream works."""
        for event in events:
            if concerns(event, self.name) or (self._subscription and not self._subscription.wants(event)):
                continue
            if self._storm is None and self._allowance.take(1):
                await self._enqueue(event)
                continue
            self._beyond.append(event)
            if self._storm is None:
                self._storm = asyncio.create_task(self._collect(), name=f"digest {self.name}")

    async def close(self, deadline: float) -> None:
        """Deliver what is queued within `deadline` seconds, count the rest as dropped, close the sink."""
        if self._storm is not None:
            self._storm.cancel()
            self._tell_digest()
        if self._worker is not None:
            drained = asyncio.create_task(self._queue.join())
            timer = asyncio.ensure_future(self._sleep(deadline))
            await asyncio.wait((drained, timer), return_when=asyncio.FIRST_COMPLETED)
            drained.cancel()
            timer.cancel()
            self._worker.cancel()
            await asyncio.gather(self._worker, drained, timer, return_exceptions=True)
        self._closed = True
        if self._waiting:
            self.counters.add("dropped", "closed", self._waiting)
        self._problem = self._problem or await self.receiver.close()

    async def _enqueue(self, event: Event) -> None:
        while self._queue.full() and not self._problem and not self._closed:
            await self._sleep(_GLANCE)
        self._enqueue_now(event)

    def _enqueue_now(self, event: Event) -> None:
        if self._gone or self._closed or self._queue.full():
            self.counters.add("dropped", "gone" if self._gone else "closed" if self._closed else "full")
        else:
            self._queue.put_nowait(event)
            self._waiting += 1

    async def _collect(self) -> None:
        await self._sleep(MINUTE)
        self._storm = None
        self._tell_digest()

    def _tell_digest(self) -> None:
        covered, self._beyond = self._beyond, []
        if len(covered) == 1:
            self._enqueue_now(covered[0])
        elif covered:
            self.counters.add("suppressed", "digest", len(covered))
            self._enqueue_now(digest_of(covered))

    async def _serve(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            if self._gone:
                self.counters.add("dropped", "gone", len(batch))
            else:
                await self._deliver(batch)
            for _ in batch:
                self._queue.task_done()
            self._waiting -= len(batch)

    async def _deliver(self, batch: Sequence[Event]) -> None:
        """Send a batch until it is delivered; only a reader who has gone away ends the attempts."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self.receiver.send(batch)
                self._problem = ""
                self.counters.add("delivered", "", len(batch))
                return
            except BrokenPipeError:
                self._problem, self._gone = "its reader has gone", True
                self.counters.add("dropped", "gone", len(batch))
                self._on_broken_pipe()
                return
            except Exception as error:
                self._problem = f"does not deliver ({reason(error)}); {self._waiting} waiting"
                self.counters.add("failed", "error")
                self.counters.add("retried", "error", len(batch))
            await self._sleep(pause * (1 + self._random()) / 2)
            pause = min(2 * pause, LONGEST_PAUSE)
