"""Writes events to standard output or standard error, as JSON lines or as text to read."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from gridtop.api import Event, Host, Settings
from gridtop.plugins.sinks.wording import readable


class Console:
    """One line an event, flushed after every batch; BrokenPipeError when nobody reads any more."""

    durable: ClassVar[bool] = False
    """A stream ends with the process: nothing can be owed to it."""

    class Config(Settings):
        """Settings of the console."""

        stream: Literal["stdout", "stderr"] = Field("stdout", description="where to write")
        format: Literal["json", "text"] = Field("json", description="lines for programs or for people")

    def __init__(self, config: Config, host: Host) -> None:
        self._config = config

    async def open(self) -> None:
        """Nothing to prepare."""

    async def send(self, events: Sequence[Event]) -> None:
        """Write the events and flush, off the event loop: a pipe may be full."""
        line = Event.to_json if self._config.format == "json" else readable
        text = "".join(line(event) + "\n" for event in events)
        await asyncio.to_thread(self._write, text.encode())

    async def close(self) -> None:
        """The stream belongs to the process and stays open."""

    def _write(self, lines: bytes) -> None:
        # Bytes, because JSON is UTF-8 whatever the terminal's encoding.
        stream = getattr(sys, self._config.stream)
        stream.flush()
        stream.buffer.write(lines)
        stream.buffer.flush()
