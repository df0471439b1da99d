"""Messages of a broker that wait to be read, in bounded memory."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .lines.complaints import Complaints

if TYPE_CHECKING:
    from aiomqtt import Message


class DroppingQueue(asyncio.Queue["Message"]):
    """A queue that forgets its oldest message when it is full, and counts it."""

    def __init__(self, complaints: Complaints, place: str, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self._complaints, self._place = complaints, place

    def put_nowait(self, item: Message) -> None:
        """Put a message behind the others."""
        if self.full():
            self.get_nowait()
            text = f"{self._place}: messages come faster than they are read; the oldest are dropped"
            self._complaints.tell("dropped_messages", text)
        super().put_nowait(item)
