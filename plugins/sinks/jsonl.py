"""Appends events to a file, one JSON line each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from pydantic import Field

from gridtop.api import Event, Host, Settings


class JsonLines:
    """A file that other programs read as it grows: every batch is flushed, nothing is ever overwritten."""

    class Config(Settings):
        """Settings of the JSON lines file."""

        path: Path = Field(description="the file, relative to the working directory")

    def __init__(self, config: Config, host: Host) -> None:
        self._path = host.outputs / config.path
        self._file: BinaryIO | None = None

    async def open(self) -> None:
        """Open the file for appending; OSError when its folder is missing or it cannot be written."""
        await asyncio.to_thread(self._open)

    async def send(self, events: Sequence[Event]) -> None:
        """Append and flush; OSError when the disk does not take it."""
        lines = "".join(event.to_json() + "\n" for event in events)
        await asyncio.to_thread(self._write, lines.encode())

    async def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            await asyncio.to_thread(file.close)

    def _open(self) -> None:
        if not self._path.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {self._path.parent}; create it or change path")
        try:
            self._file = self._path.open("ab")
            if _ends_within_a_line(self._path):
                self._write(b"\n")
        except OSError as error:
            raise OSError(f"cannot write {self._path}: {error.strerror}") from error

    def _write(self, lines: bytes) -> None:
        if self._file is None:
            raise OSError(f"{self._path} is not open")
        self._file.write(lines)
        self._file.flush()


def _ends_within_a_line(path: Path) -> bool:
    """Whether a program died while it wrote: the next event must not join the half line."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read() != b"\n"
