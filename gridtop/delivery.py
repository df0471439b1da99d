"""Delivery: every sink gets every event in order, from a queue of its own, with retries.

One slow or dead sink never delays another; what a sink never got is counted and said.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gridtop.contracts import Sink
from gridtop.errors import GridtopError
from gridtop.events import Event

CAPACITY = 10_000
"""Events that wait for one sink at most."""

BATCH = 256
"""Events handed to a sink at once at most."""

_GLANCE = 0.02
"""Seconds between looks at a full queue."""

_FIRST_RETRY, _LONGEST_RETRY = 0.5, 30.0


@dataclass(slots=True)
class _Line:
    """One sink with the events it has yet to get."""

    name: str
    sink: Sink
    queue: asyncio.Queue[Event] = field(default_factory=lambda: asyncio.Queue(CAPACITY))
    waiting: int = 0
    """Events queued or under way."""
    problem: str = ""
    dropped: int = 0
    worker: asyncio.Task[None] | None = None


class Delivery:
    """Serves all sinks. `on_broken_pipe` is called when the reader of a stream has gone away."""

    def __init__(self, sinks: Mapping[str, Sink], on_broken_pipe: Callable[[], None] = lambda: None) -> None:
        self._lines = [_Line(name, sink) for name, sink in sinks.items()]
        self._on_broken_pipe = on_broken_pipe

    @property
    def problems(self) -> tuple[str, ...]:
        """One line for each sink that cannot deliver now."""
        return tuple(f"sink {line.name}: {line.problem}" for line in self._lines if line.problem)

    @property
    def dropped(self) -> int:
        """Events that some sink will never get."""
        return sum(line.dropped for line in self._lines)

    async def open(self) -> None:
        """Open every sink; GridtopError when one says that its configuration cannot work."""
        for line in self._lines:
            try:
                await line.sink.open()
            except GridtopError:
                raise
            except Exception as error:
                line.problem = f"cannot be opened ({_reason(error)})"
            line.worker = asyncio.create_task(self._serve(line), name=f"sink {line.name}")

    async def send(self, events: Sequence[Event]) -> None:
        """Queue the events for every sink.

        A sink that is slow makes the caller wait (a replay can), one that fails while its queue is full
        loses the newest events, which is counted.
        """
        for line in self._lines:
            for event in events:
                while line.queue.full() and not line.problem:
                    await asyncio.sleep(_GLANCE)
                if line.queue.full():
                    line.dropped += 1
                else:
                    line.queue.put_nowait(event)
                    line.waiting += 1

    async def close(self, deadline: float = 1.5) -> None:
        """Deliver what is queued within `deadline` seconds, count the rest as dropped, close the sinks."""
        waiting = [asyncio.create_task(line.queue.join()) for line in self._lines if line.worker]
        if waiting:
            _, late = await asyncio.wait(waiting, timeout=deadline)
            for task in late:
                task.cancel()
        for line in self._lines:
            line.dropped += line.waiting
            if line.worker is not None:
                line.worker.cancel()
                await asyncio.gather(line.worker, return_exceptions=True)
            try:
                await asyncio.wait_for(line.sink.close(), deadline)
            except Exception as error:
                line.problem = line.problem or f"cannot be closed ({_reason(error)})"

    async def _serve(self, line: _Line) -> None:
        while True:
            batch = [await line.queue.get()]
            while len(batch) < BATCH and not line.queue.empty():
                batch.append(line.queue.get_nowait())
            await self._deliver(line, batch)
            for _ in batch:
                line.queue.task_done()
            line.waiting -= len(batch)

    async def _deliver(self, line: _Line, batch: Sequence[Event]) -> None:
        """Send a batch until it is delivered; only a reader who has gone away ends the attempts."""
        pause = _FIRST_RETRY
        while True:
            try:
                await line.sink.send(batch)
                line.problem = ""
                return
            except BrokenPipeError:
                line.problem, line.dropped = "its reader has gone", line.dropped + len(batch)
                self._on_broken_pipe()
                return
            except Exception as error:
                line.problem = f"does not deliver ({_reason(error)}); {line.waiting} waiting"
            await asyncio.sleep(random.uniform(pause / 2, pause))
            pause = min(2 * pause, _LONGEST_RETRY)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
