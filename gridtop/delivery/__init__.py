"""Delivery: every sink gets every event that it wants, in order of each incident, whatever the others do.

What it promises, and what happens when a receiver fails, is told in docs/delivery.md.
"""

from __future__ import annotations

import asyncio
import random as chance
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from gridtop.client import SinkStatus
from gridtop.contracts import Sink
from gridtop.delivery.counters import COUNTED, Counted
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
        passing = {name: pair for name, pair in sinks.items() if not getattr(pair[0], "durable", True)}
        self._dispatchers = [
            Dispatcher(name, sink, subscription, outbox, publish, wall, clock, sleep, random)
            for name, (sink, subscription) in sinks.items()
            if name not in passing
        ]
        self._streams = [
            Stream(name, sink, subscription, on_broken_pipe, clock, sleep, random)
            for name, (sink, subscription) in (
                *passing.items(),
                *((name, (sink, None)) for name, sink in streams.items()),
            )
        ]
        self._lines: list[Dispatcher | Stream] = [*self._dispatchers, *self._streams]

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each sink that cannot deliver now."""
        return tuple(line.problem for line in self._lines if line.problem)

    @property
    def dropped(self) -> int:
        """Events that some stream will never get; what is owed to the other sinks is never dropped."""
        return sum(stream.counters.total("dropped") for stream in self._streams)

    def status(self) -> tuple[SinkStatus, ...]:
        """How each sink does: those that are served from the outbox first."""
        return tuple(line.status for line in self._lines)

    def counters(self) -> Mapping[Counted, Mapping[str, Mapping[str, int]]]:
        """What was counted since the start: by what is counted, sink, and reason (may be empty)."""
        return {
            counted: {line.name: line.counters.by_reason(counted) for line in self._lines}
            for counted in COUNTED
        }

    async def open(self) -> None:
        """Open every sink and begin to deliver what is owed; GridtopError when one says that its
        configuration cannot work. One that only cannot be reached is tried again."""
        opening = (line.receiver.open() for line in self._lines)
        failures = await asyncio.gather(*opening, return_exceptions=True)
        for failure in failures:
            if failure is not None and refuses_to_start(failure):
                raise failure
        for line, failure in zip(self._lines, failures, strict=True):
            line.start(failure)

    async def send(self, events: Sequence[Event]) -> None:
        """Hand on events that are committed: the streams get them, the other sinks look into the outbox.

        It waits for a stream that is slow, never for a sink that is served from the outbox.
        """
        for dispatcher in self._dispatchers:
            dispatcher.wake()
        await asyncio.gather(*(stream.put(events) for stream in self._streams))

    async def close(self, deadline: float = 10.0) -> None:
        """Deliver what is owed within `deadline` seconds and close the sinks.

        What is not delivered by then stays in the outbox; for streams it is counted as dropped.
        """
        await asyncio.gather(*(line.close(deadline) for line in self._lines))
