"""Blocking calls of a sink, one at a time, in a thread that nothing else waits for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from gridtop.api import DeliveryError

T = TypeVar("T")


class OneAtATime:
    """Runs a call in a daemon thread: one that never returns holds up no other sink and no exit.

    The event loop's own pool of threads is shared by all; a few stuck calls would block everybody there.
    """

    def __init__(self) -> None:
        self._busy = False

    async def run(self, call: Callable[[], T], limit: float) -> T:
        """What `call` returns or raises; DeliveryError when it takes longer than `limit` seconds.

        A call that is late goes on in its thread, and until it ends there is no other.
        """
        if self._busy:
            raise DeliveryError("the attempt before has not ended yet")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()

        def settle(set_outcome: Callable[[Any], None], outcome: Any) -> None:
            if not done.done():
                set_outcome(outcome)

        def work() -> None:
            set_outcome: Callable[[Any], None] = done.set_result
            outcome: Any
            try:
                outcome = call()
            except Exception as error:
                set_outcome, outcome = done.set_exception, error
            self._busy = False
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, set_outcome, outcome)

        self._busy = True
        threading.Thread(target=work, name="sink", daemon=True).start()
        try:
            return await asyncio.wait_for(done, limit)
        except TimeoutError:
            if not done.cancelled():
                raise  # the call's own
            raise DeliveryError(f"no answer within {limit:g} s") from None
