"""Ends the app on a signal, and the whole process when the terminal holds up the ending."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

GRACE = 5.0
"""Seconds that a clean end may take. A terminal that takes no more output would hold it up for ever."""
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


@contextlib.contextmanager
def by_signal(end: Callable[[], object]) -> Iterator[None]:
    """Within, a signal calls `end` in the running event loop; GRACE later the process ends in any case.

    These are no handlers of the event loop, because those wait while the loop waits for the terminal.
    In a thread that is not the main one there are no signals, and nobody to send them to.
    """
    loop = asyncio.get_running_loop()

    def obey(number: int, _: FrameType | None) -> None:
        last_resort = threading.Timer(GRACE, os._exit, (128 + number,))
        last_resort.daemon = True
        last_resort.start()
        loop.call_soon_threadsafe(end)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, obey) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
