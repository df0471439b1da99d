"""Reads gridtop recordings, one SQLite file each: what live data are recorded in (docs/recording.md)."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.contracts import Extent
from gridtop.errors import SourceError
from gridtop.recordings.native_chunks import (
    Chunk,
    DamagedError,
    is_possible,
    joined,
    nanoseconds,
    unpack,
    unpack_time,
)
from gridtop.recordings.native_head import Head
from gridtop.recordings.native_tables import UnknownFormatError, reading
from gridtop.text import clean

BLOCK_VALUES = 1 << 19
"""Values in a block, about."""

_INDEX_ROWS = 10_000
_NOT_GRIDTOPS = (DamagedError, sqlite3.Error, UnicodeError)
"""The last: names in a damaged schema, which Python decodes for its own messages."""

Index = npt.NDArray[np.int64]


class _GoneError(Exception):
    """Frames are not there any more: whoever records has removed them."""


class NativeRecording:
    """A recording by gridtop, as far as it reached when it was opened; it may still be growing.

    Its rows count from 0 at the oldest frame that it held then. See `Recording` for its face.
    """

    channels: ChannelSet
    identity: str
    extent: Extent | None

    def __init__(self, path: Path, block_values: int = BLOCK_VALUES) -> None:
        self._path = path
        self._shown = clean(path.name)
        self._block_values = block_values
        self._head: Head | None = None
        with self._reading() as (connection, head):
            # One statement sees one state, whoever is writing.
            self._chunks = _index(connection, len(head.channels))
        self._head = head
        self.channels = head.channels
        if not len(self._chunks):
            raise SourceError(f"{self._shown}: nothing has been recorded in it yet")
        row, frames, first, last = self._chunks.T
        self._ends = np.cumsum(frames)
        """(k,) the number of frames up to and with each chunk."""
        self.identity = f"{head.id}:{row[0]}"
        self.extent = Extent(
            int(self._ends[-1]), np.datetime64(int(first[0]), "ns"), np.datetime64(int(last[-1]), "ns")
        )

    def blocks(self, start: int = 0) -> Generator[Block, None, None]:
        """The frames from row `start` on, to the end.

        Raises SourceError behind the last good frame when the file goes wrong there.
        """
        waiting: list[Block] = []
        values = 0
        with self._reading() as (connection, _):
            for k in range(int(np.searchsorted(self._ends, start, side="right")), len(self._chunks)):
                try:
                    block = self._block(connection, k)
                except (*_NOT_GRIDTOPS, _GoneError):
                    if waiting:
                        yield joined(waiting, waiting[0].row)
                    raise
                block = block.slice(max(0, start - block.row), len(block))
                if waiting and waiting[-1].labels.keys() != block.labels.keys():
                    yield joined(waiting, waiting[0].row)
                    waiting, values = [], 0
                waiting.append(block)
                values += block.values.size
                if values >= self._block_values:
                    yield joined(waiting, waiting[0].row)
                    waiting, values = [], 0
            if waiting:
                yield joined(waiting, waiting[0].row)

    def row_at(self, time: np.datetime64) -> int:
        """The first row at or after `time`; the last row when `time` is beyond the end."""
        moment = int(time.astype("datetime64[ns]").astype(np.int64))
        k = int(np.searchsorted(self._chunks[:, 3], moment))
        if k == len(self._chunks):
            return int(self._ends[-1]) - 1
        begin = int(self._ends[k] - self._chunks[k, 1])
        if moment <= self._chunks[k, 2]:
            return begin
        with self._reading() as (connection, _):
            times = unpack_time(*self._row(connection, k, 'frames, first, last, "time"'))
        return begin + int(np.searchsorted(nanoseconds(times), moment))

    def _block(self, connection: sqlite3.Connection, k: int) -> Block:
        """The frames of a chunk that were there when the recording was opened."""
        row = self._row(connection, k, 'frames, first, last, "time", "values", quality, labels')
        _, frames, _, last = self._chunks[k].tolist()
        block = unpack(Chunk(*row), self.channels, int(self._ends[k]) - frames)
        if nanoseconds(block.time)[frames - 1] != last:
            raise DamagedError("times that contradict each other")
        return block.slice(0, frames)

    def _row(self, connection: sqlite3.Connection, k: int, columns: str) -> tuple[Any, ...]:
        """What the file holds of a chunk, of the right types; the one at the end may have grown."""
        number, frames, first, _ = self._chunks[k].tolist()
        row: tuple[Any, ...] | None = connection.execute(
            f'SELECT {columns} FROM chunk WHERE "row" = ?', (number,)
        ).fetchone()
        if row is None:
            oldest = connection.execute('SELECT MIN("row") FROM chunk').fetchone()[0]
            if oldest is None or (isinstance(oldest, int) and oldest > number):
                raise _GoneError
            raise DamagedError("a piece is missing")
        numbers, pieces = row[:3], row[3:]
        if not (
            all(isinstance(number, int) for number in numbers)
            and all(isinstance(piece, bytes) for piece in pieces[:2])
            and all(piece is None or isinstance(piece, bytes) for piece in pieces[2:])
            and numbers[0] >= frames
            and numbers[1] == first
            and is_possible(numbers[0], len(self.channels))
        ):
            raise DamagedError("a piece that contradicts the list of pieces")
        return row

    @contextmanager
    def _reading(self) -> Iterator[tuple[sqlite3.Connection, Head]]:
        """A connection for as long as this takes; whatever is wrong becomes a SourceError in one line."""
        try:
            with reading(self._path) as (connection, head):
                if self._head is not None and head.id != self._head.id:
                    raise SourceError(f"{self._shown}: another recording has taken its place; open it again")
                yield connection, head
        except UnknownFormatError as error:
            raise SourceError(
                f"{self._shown} was recorded by a newer gridtop (format {error}); update gridtop to read it"
            ) from None
        except _GoneError:
            raise SourceError(
                f"{self._shown}: the frames to be read next are gone: the recording goes on, and its oldest "
                "frames made room for new ones; open it again, or let it keep more (recording.size, "
                "recording.keep)"
            ) from None
        except _NOT_GRIDTOPS as error:
            raise SourceError(f"{self._shown}: {_in_words(error)}") from None
        except OSError as error:
            raise SourceError(f"{self._shown}: {error.strerror or error}") from None


def _index(connection: sqlite3.Connection, channels: int) -> Index:
    """(k, 4) row, frames, first and last of all chunks in order; DamagedError when they cannot be right."""
    cursor = connection.execute('SELECT "row", frames, first, last FROM chunk ORDER BY first, last, frames')
    found = [np.empty((0, 4), np.int64)]
    before = (-1, -1, 0, np.iinfo(np.int64).min)
    while batch := cursor.fetchmany(_INDEX_ROWS):
        chunks = np.array([before, *batch])
        if chunks.dtype != np.int64 or chunks.shape != (len(batch) + 1, 4):
            raise DamagedError("a list of pieces that are none")
        row, frames, first, last = chunks.T
        if not (
            (row[1:] >= row[:-1] + np.maximum(frames[:-1], 0)).all()
            and row[0] < row[1]
            and (first[1:] > last[:-1]).all()
            and (last[1:] >= first[1:]).all()
            and all(is_possible(frames, channels) for frames in np.unique(frames[1:]).tolist())
        ):
            raise DamagedError("pieces that do not follow each other")
        found.append(chunks[1:])
        before = tuple(chunks[-1].tolist())
    return np.concatenate(found)


def _in_words(error: Exception) -> str:
    if isinstance(error, DamagedError):
        return f"the recording is damaged ({clean(str(error))})"
    code = getattr(error, "sqlite_errorname", "") or ""
    if code.startswith("SQLITE_CANTOPEN") or code.startswith("SQLITE_READONLY"):
        return (
            "it was not closed in order, and cannot be read where nothing can be written; copy it, with the "
            "-wal file beside it, to a folder of your own"
        )
    if code.startswith("SQLITE_BUSY"):
        return "another program holds it locked; try again"
    return f"the recording is damaged ({clean(str(error))})"
