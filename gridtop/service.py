"""What a service manager is told: that the engine is ready, how it goes, and that it is alive (sd_notify)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Mapping

from gridtop.text import clean


class ServiceManager:
    """The manager that started this process, by the datagram socket in NOTIFY_SOCKET (sd_notify(3)).

    Without one every call does nothing. What cannot be sent is not an error: nobody could act on it.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        place = environment.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the zero byte of Linux's abstract sockets.
        self._place = "\0" + place[1:] if place.startswith("@") else place
        self.watchdog = _watchdog_seconds(environment)
        """Within how many seconds a sign of life must follow the last one; None when none is expected."""

    def ready(self) -> None:
        """The engine has opened its source and its journal."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` follows."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The engine ends."""
        self._tell("STOPPING=1")

    def status(self, words: str) -> None:
        """One line for `systemctl status`."""
        self._tell(f"STATUS={clean(words)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if not self._place:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as messenger:
            messenger.setblocking(False)
            messenger.sendto("\n".join(lines).encode(), self._place)


async def keep_alive(
    manager: ServiceManager,
    progress: Callable[[], object],
    resting: Callable[[], bool],
    words: Callable[[], str],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Feed the watchdog at half its time for ever, as long as blocks flow.

    `progress` is something that differs whenever a block has gone through; `resting` says that none is
    meant to (a replay that is paused, or at its end). An engine that hangs, and a source that has fallen
    silent, are not fed: then the manager starts the engine again. `words` is the line of status.
    """
    period = manager.watchdog / 2 if manager.watchdog else 10.0
    seen: object = None
    while True:
        now = progress()
        if now != seen or resting():
            manager.alive()
        seen = now
        manager.status(words())
        await sleep(period)


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """WATCHDOG_USEC, if it is meant for this process."""
    text, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not text.isdecimal() or not int(text) or (pid and pid != str(os.getpid())):
        return None
    return int(text) / 1e6
