"""The receiving end of a UDP socket, for whoever wants datagrams handed on and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

Address = tuple[str, int]


class Postman(asyncio.DatagramProtocol):
    """Hands datagrams on with their sender's address; `full` says that no more can be sent for now."""

    def __init__(self, received: Callable[[bytes, Address], object]) -> None:
        self._received = received
        self.full = False

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """A datagram came."""
        self._received(data, addr[:2])

    def pause_writing(self) -> None:
        """The system takes no more."""
        self.full = True

    def resume_writing(self) -> None:
        """It does again."""
        self.full = False

    def error_received(self, exc: Exception) -> None:
        """The other end's port is closed, perhaps only for now: that nothing comes says so."""
