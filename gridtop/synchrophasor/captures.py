"""Captures: the bytes that a PMU sent, with the instants at which they came, in a file that replays.

The file begins with the line `gridtop-c37118 1`. Then record follows record, big-endian: 8 bytes of
nanoseconds since 1970 in UTC by the computer's clock, 4 bytes of length, and as many bytes as came: frames
whole, broken or damaged.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, NamedTuple

from gridtop.errors import SourceError
from gridtop.text import clean

FIRST_LINE = b"gridtop-c37118 1\n"
LARGEST = 1 << 20
"""Bytes of one record at most; readers take a larger one for damage."""

_RECORD = struct.Struct(">QI")


class Received(NamedTuple):
    """Bytes as they came, and when: nanoseconds since 1970, UTC."""

    arrival: int
    data: bytes


class CaptureWriter:
    """Writes a capture; each record is flushed, so that what is there can be read while it grows.

    Raises OSError when the file cannot be written, or exists: captures are never overwritten.
    """

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("xb")
        self._file.write(FIRST_LINE)

    def write(self, arrival: int, data: bytes) -> None:
        """Add bytes that came at `arrival`, nanoseconds since 1970."""
        for at in range(0, len(data), LARGEST):
            part = data[at : at + LARGEST]
            self._file.write(_RECORD.pack(arrival, len(part)) + part)
        self._file.flush()

    def close(self) -> None:
        """Let go of the file; legal twice."""
        self._file.close()

    def __enter__(self) -> CaptureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_capture(path: Path) -> Iterator[Received]:
    """The records of a capture in order; one that is cut short at the end is left out.

    Raises SourceError when it cannot be read, is no capture, or is damaged.
    """
    name = clean(path.name)
    try:
        with path.open("rb") as file:
            if file.read(len(FIRST_LINE)) != FIRST_LINE:
                raise SourceError(
                    f"{name} is no capture: its first line is not {FIRST_LINE.decode().strip()!r}"
                )
            while len(head := file.read(_RECORD.size)) == _RECORD.size:
                arrival, length = _RECORD.unpack(head)
                if length > LARGEST:
                    where = file.tell() - _RECORD.size
                    raise SourceError(f"{name} is damaged at byte {where}: a record of {length} bytes")
                data = file.read(length)
                if len(data) < length:
                    return
                yield Received(arrival, data)
    except OSError as error:
        raise SourceError(f"{name} cannot be read: {error.strerror or error}") from None


def is_capture(path: Path) -> bool:
    """Whether a file begins as captures do."""
    try:
        with path.open("rb") as file:
            return file.read(len(FIRST_LINE)) == FIRST_LINE
    except OSError:
        return False
