"""Appends events to a file, one JSON line each, and sets full files aside."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from gridtop.api import DeliveryError, Event, Host, Settings

_BYTES = {"kB": 1_000, "MB": 1_000_000, "GB": 1_000_000_000}


def _size(value: Any) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kKMG]B)", value.strip()) if isinstance(value, str) else None
    size = round(float(match[1]) * _BYTES[match[2].replace("KB", "kB")]) if match else value
    if not isinstance(size, int) or isinstance(size, bool):
        raise ValueError(f"{value!r} is not a size; write a number with kB, MB or GB, such as 10 MB")
    if size < 1_000:
        raise ValueError(f"a file of {size} bytes holds no event; at least 1 kB")
    return size


Size = Annotated[
    int,
    BeforeValidator(_size),
    PlainSerializer(lambda size: f"{size / 1000:.15g} kB", when_used="json"),
    WithJsonSchema({"type": "string", "examples": ["10 MB", "1 GB"]}),
]
"""A number of bytes written with its unit."""


class JsonLines:
    """A file that other programs read as it grows: every batch is on disk when `send` returns.

    Nothing is ever overwritten. When somebody else has moved the file away, as logrotate does, the next
    batch goes to a new one.
    """

    class Config(Settings):
        """Settings of the JSON lines file."""

        path: Path = Field(description="the file, relative to the working directory")
        size: Size | None = Field(
            None, description="set the file aside as path.1 before it grows beyond this; null: never"
        )
        keep: int = Field(
            5, ge=1, le=1000, description="how many files set aside are kept, path.1 the newest"
        )

    def __init__(self, config: Config, host: Host) -> None:
        self._path = host.outputs / config.path
        self._most, self._keep = config.size, config.keep
        self._file: BinaryIO | None = None
        self._opened = False

    async def open(self) -> None:
        """Open the file for appending; OSError when its folder is missing or it cannot be written."""
        self._opened = True
        await asyncio.to_thread(self._open)

    async def send(self, events: Sequence[Event]) -> None:
        """Append and wait for the disk; DeliveryError when it does not take it."""
        if not self._opened:
            raise OSError(f"{self._path} is not open")
        lines = b"".join(
            event.to_json().encode("utf-8", "backslashreplace") + b"\n"  # still JSON
            for event in events
        )
        try:
            await asyncio.to_thread(self._append, lines)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise DeliveryError(_told(self._path, error)) from error

    async def close(self) -> None:
        """Close the file."""
        self._opened = False
        await asyncio.to_thread(self._let_go)

    def _open(self) -> None:
        if not self._path.parent.is_dir():
            raise FileNotFoundError(f"there is no folder {self._path.parent}; create it or change path")
        try:
            # Unbuffered: what a full disk did not take must not come back later out of a buffer.
            self._file = self._path.open("ab", buffering=0)
            if _ends_within_a_line(self._path):
                self._write(self._file, b"\n")
        except OSError as error:
            self._let_go()
            raise OSError(_told(self._path, error)) from error

    def _let_go(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()

    def _append(self, lines: bytes) -> None:
        if self._file is not None and not _is_at(self._path, self._file):
            self._let_go()
        if self._file is None:
            self._open()
        if self._most is not None:
            self._make_room(len(lines))
        assert self._file is not None
        self._write(self._file, lines)

    def _make_room(self, length: int) -> None:
        """Set the file aside when these bytes would make it too large; never a pipe or a device."""
        assert self._file is not None
        assert self._most is not None
        state = os.fstat(self._file.fileno())
        if not stat.S_ISREG(state.st_mode) or not state.st_size or state.st_size + length <= self._most:
            return
        self._let_go()
        for number in range(self._keep - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self._aside(number), self._aside(number + 1))
        with contextlib.suppress(FileNotFoundError):  # moved away at this very moment
            os.replace(self._path, self._aside(1))
        self._open()

    def _aside(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")

    def _write(self, file: BinaryIO, lines: bytes) -> None:
        """Write all and wait for the disk; else leave the file as it was."""
        state = os.fstat(file.fileno())
        regular = stat.S_ISREG(state.st_mode)
        written = 0
        try:
            while written < len(lines):
                written += file.write(lines[written:])
            if regular:
                os.fsync(file.fileno())
        except OSError:
            # The batch comes again as a whole. What another program appended meanwhile is not touched.
            if regular and os.fstat(file.fileno()).st_size == state.st_size + written:
                with contextlib.suppress(OSError):
                    os.ftruncate(file.fileno(), state.st_size)
            self._let_go()
            raise


def _is_at(path: Path, file: BinaryIO) -> bool:
    """Whether the open file is still the one with this name."""
    try:
        named = path.stat()
    except OSError:
        return False
    opened = os.fstat(file.fileno())
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def _ends_within_a_line(path: Path) -> bool:
    """Whether a program died while it wrote: the next event must not join the half line."""
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read() != b"\n"


def _told(path: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"cannot write {path}: the disk is full"
    return f"cannot write {path}: {error.strerror}" if error.strerror else str(error)
