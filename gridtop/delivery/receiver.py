"""A sink behind a time limit, which is opened when it is first needed and again where that failed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from gridtop.contracts import Sink
from gridtop.errors import DeliveryError, GridtopError
from gridtop.events import Event
from gridtop.text import clean

PATIENCE = 30.0
"""Seconds that one attempt may take, where the class of the sink says no `patience`."""

OPENING = 5.0
"""Seconds that a sink has to open at the start, before it is left for later."""

GRACE = 2.0
"""Seconds that a sink has to close."""

Sleep = Callable[[float], Coroutine[Any, Any, None]]


class Receiver:
    """Opens, asks and closes one sink. `patience` is in seconds, inf for no limit."""

    def __init__(self, name: str, sink: Sink, patience: float, sleep: Sleep) -> None:
        self.name = name
        self.sink = sink
        self._patience = patience
        self._sleep = sleep
        self._opened = False
        self._opening = asyncio.Lock()

    async def open(self, patience: float = OPENING) -> None:
        """Open the sink; raises what it raises, TimeoutError when it takes too long."""
        async with self._opening:
            if not self._opened:
                await self._within(patience, self.sink.open())
                self._opened = True

    async def send(self, events: Sequence[Event]) -> None:
        """Have the events delivered; raises what the sink raises, TimeoutError when it takes too long."""
        if not self._opened:
            await self.open(self._patience)
        await self._within(self._patience, self.sink.send(events))

    async def close(self) -> str:
        """Close the sink; what went wrong with that, empty for nothing."""
        try:
            await self._within(GRACE, self.sink.close())
        except Exception as error:
            return f"cannot be closed ({reason(error)})"
        return ""

    async def _within(self, seconds: float, work: Coroutine[Any, Any, None]) -> None:
        if math.isinf(seconds):
            await work
            return
        task = asyncio.ensure_future(work)
        timer = asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait((task, timer), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                # It is not waited for: what hangs may not obey, either.
                raise TimeoutError(f"no answer within {seconds:g} s")
        finally:
            timer.cancel()
            task.cancel()
            task.add_done_callback(_forget)
        if task.cancelled():
            raise DeliveryError("its attempt was cancelled")
        task.result()


def reason(error: BaseException) -> str:
    """Why something failed, in one harmless line."""
    return clean(str(error) or type(error).__name__)


def refuses_to_start(error: BaseException | None) -> bool:
    """Whether a failure to open means that the configuration cannot work, not only that it does not now."""
    return isinstance(error, GridtopError) and not isinstance(error, DeliveryError)


def _forget(task: asyncio.Future[None]) -> None:
    """Look at the outcome of what nobody waits for, so that it is not reported as never looked at."""
    if not task.cancelled():
        task.exception()
