"""Writes gridtop recordings: frames in chunks, committed as they come; the oldest make room for new ones."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.errors import GridtopError
from gridtop.recordings.native_chunks import (
    LARGEST_CHUNK,
    Chunk,
    DamagedError,
    frame_bytes,
    joined,
    nanoseconds,
    pack,
    portions,
)
from gridtop.recordings.native_head import COLUMNS, is_kept, new_head, to_row
from gridtop.recordings.native_place import Place
from gridtop.recordings.native_tables import (
    APPLICATION_ID,
    FORMAT,
    SCHEMA,
    UnknownFormatError,
    connect,
    read_head,
)
from gridtop.text import clean

SUFFIX = ".gridtop"

_SEALED = 32 << 10
"""Bytes of frames from which a chunk is not added to any more. Until then every commit writes it anew."""

_BUSY_SECONDS = 1.0
_LONGEST_LOG = 16 << 20
"""Bytes of the write-ahead log, at most a quarter of the file's bound; then it is brought into the file."""

_SYNC_COMMITS = 10
"""Commits after which all is made safe against a power cut, which is not so after each."""

_MOST_REMOVED = 64
"""Chunks that one commit removes, so that none takes long where the bound was lowered."""

_NEVER = np.iinfo(np.int64).min


class RecordingWriter:
    """A recording that is being written, by one thread at a time: a new file, or one that goes on.

    It takes at most `size_mb` megabytes, and holds at most `keep` of measurement time: the oldest frames make
    room. `source` says in words what is recorded. A commit survives the process; a power cut may cost ten.
    GridtopError when the file cannot be made, or is another recording: with `before`, one of another source,
    too, and one with frames that are not older than that.
    """

    def __init__(
        self,
        path: Path,
        channels: ChannelSet,
        *,
        size_mb: int,
        keep: timedelta | None = None,
        source: str = "",
        before: np.datetime64 | None = None,
    ) -> None:
        self.path = path
        self.channels = channels
        self.frames = 0
        """Frames that the file holds."""
        self.bytes = 0
        """What it takes on disk, with its log."""
        self.dropped = 0
        """Frames that were left out because they are not later than the one before."""
        self._bytes_bound = size_mb * 1_000_000
        self._keep = None if keep is None else max(1, round(keep.total_seconds() * 1e9))
        self._source, self._before = source, before
        self._tail: list[Block] = []  # frames of the chunk that is not sealed yet
        self._tail_row = 0
        self._commits = 0
        self._place = Place(path)
        self._place.claim()
        try:
            self._connection = connect(self._place.path, "rw", _BUSY_SECONDS)
            try:
                self._open()
            except BaseException:
                self._connection.close()
                raise
        except (sqlite3.Error, DamagedError, UnicodeError) as error:
            self._place.release()
            raise GridtopError(
                f"cannot record to {self._place.shown}: {clean(str(error))}; give another name"
            ) from None
        except BaseException:
            self._place.release()
            raise

    @property
    def last(self) -> np.datetime64 | None:
        """The time of the newest frame."""
        return None if self._last == _NEVER else np.datetime64(self._last, "ns")

    @property
    def vanished(self) -> bool:
        """Whether the file was removed or replaced in the meantime."""
        return self._place.vanished

    def write(self, blocks: Sequence[Block]) -> None:
        """Append frames and commit them: when it returns, all of them are kept; when it raises, none is.

        Blocks of more than a few MiB at once make the log long. sqlite3.Error when the disk is full or fails,
        GridtopError when the file is gone or somebody keeps its log from being emptied.
        """
        if self._place.vanished:
            raise GridtopError(f"{self._place.shown} was removed or replaced while it was written")
        self._refuse_long_log()
        new, last = self._later(blocks)
        fresh = sum(map(len, new))
        if fresh:
            packed = [joined(portion, 0) for portion in portions([*self._tail, *new], self._largest_chunk)]
            removed = self._commit([pack(block) for block in packed])
            self._last = last
            self._tail_row += sum(map(len, packed[:-1]))
            self._tail = [packed[-1]]
            if self._is_full(packed[-1]):
                self._tail_row, self._tail = self._tail_row + len(packed[-1]), []
            self.frames += fresh - removed
            self._commits += 1
            if self._commits % _SYNC_COMMITS == 0:
                self._synchronise()
        self.dropped += sum(map(len, blocks)) - fresh
        self.bytes = self._place.bytes

    def close(self) -> None:
        """Leave one file that can be read anywhere. Legal twice."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            # While the log is its journal, a file cannot be read where nothing can be written.
            self._connection.execute("PRAGMA journal_mode = DELETE").fetchall()
        self._connection.close()
        if self._place.bytes:
            self.bytes = self._place.bytes
        self._place.release()

    # The beginning

    def _open(self) -> None:
        connection = self._connection
        connection.execute("PRAGMA secure_delete = OFF")
        if not self._pragma("page_count"):
            self._begin()
        else:
            self._go_on()
        self._page_size = self._pragma("page_size")
        self._pages = pages = self._bytes_bound // self._page_size
        self._largest_chunk = min(LARGEST_CHUNK, self._bytes_bound // 16)
        log = min(_LONGEST_LOG, self._bytes_bound // 4)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {max(16, min(1000, pages // 8))}")
        connection.execute(f"PRAGMA journal_size_limit = {log}")
        self._longest_log = 4 * log
        self.bytes = self._place.bytes

    def _begin(self) -> None:
        """A new recording. Its tables are committed before there is a log, so that the file knows them."""
        if not is_kept(self.channels):
            raise GridtopError(
                f"cannot record to {self._place.shown}: there are no channels, more than 65,535, or "
                "names that are empty, too long or hold control characters"
            )
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:
            connection.execute(statement)
        marks = ", ".join("?" * len(COLUMNS))
        connection.execute(
            f"INSERT INTO head ({', '.join(COLUMNS)}) VALUES ({marks})",
            to_row(new_head(self.channels, self._source)),
        )
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT}")
        connection.execute("COMMIT")
        self._last = _NEVER

    def _go_on(self) -> None:
        """Behind what is there already; GridtopError when that is another stream."""
        shown = self._place.shown
        try:
            head = read_head(self._connection)
        except UnknownFormatError as error:
            raise GridtopError(
                f"{shown} was recorded by a newer gridtop (format {error}); give another name"
            ) from None
        last = self._newest()
        if (reason := _difference(head.channels, self.channels)) or (last and head.channels.clock == "row"):
            why = reason or "it has no times, so nothing can follow what is in it"
            raise GridtopError(f"{shown} is a recording that cannot go on: {why}; give another name")
        if self._before is not None:
            if head.source != clean(self._source):
                raise GridtopError(f"{shown} is a recording of something else")
            if last is not None and last[2] >= int(self._before.astype("datetime64[ns]").astype(np.int64)):
                raise GridtopError(f"{shown} has later frames")
        self.frames = self._one("SELECT COALESCE(SUM(frames), 0) FROM chunk")
        self._last = _NEVER
        if last is not None:
            row, frames, self._last = last
            self._tail_row = row + frames

    def _newest(self) -> tuple[int, int, int] | None:
        """Row, frames and last time of the newest chunk; DamagedError when it is none."""
        found = self._connection.execute(
            'SELECT "row", frames, last FROM chunk ORDER BY "row" DESC LIMIT 1'
        ).fetchone()
        if found is not None and not all(isinstance(number, int) for number in found):
            raise DamagedError("pieces that are none")
        return found  # type: ignore[no-any-return]

    # Frames

    def _later(self, blocks: Iterable[Block]) -> tuple[list[Block], int]:
        """Of the frames those that are later than all before them, and the time of the last."""
        later, last = [], self._last
        for block in blocks:
            time = nanoseconds(block.time)
            before = np.maximum.accumulate(np.concatenate(([last], time[:-1]))) if len(time) else time
            keep = time > before
            if keep.all():
                later.append(block)
            elif keep.any():
                later.append(_chosen(block, np.flatnonzero(keep)))
            last = max(last, int(time.max(initial=last)))
        return [block for block in later if len(block)], last

    def _is_full(self, block: Block) -> bool:
        """Whether a chunk takes no more frames: it is large, or long for what is to be kept."""
        span = int(nanoseconds(block.time)[-1] - nanoseconds(block.time)[0])
        long = self._keep is not None and span > self._keep // 32
        return long or len(block) * frame_bytes(block) >= min(_SEALED, self._largest_chunk // 2)

    def _commit(self, chunks: Sequence[Chunk]) -> int:
        """Write chunks from the tail's row on, and remove the oldest; how many frames that took away."""
        connection, row = self._connection, self._tail_row
        connection.execute("BEGIN IMMEDIATE")
        try:
            removed = 0
            for chunk in chunks:
                removed += self._make_room(len(chunk), row, chunk.last)
                connection.execute(
                    "INSERT OR REPLACE INTO chunk VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        row,
                        chunk.frames,
                        chunk.first,
                        chunk.last,
                        chunk.time,
                        chunk.values,
                        chunk.quality,
                        chunk.labels,
                    ),
                )
                row += chunk.frames
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return removed

    def _make_room(self, size: int, row: int, last: int) -> int:
        """Remove the oldest chunks before `row` where `size` more bytes are too many, or they are too old."""
        needed = size // self._page_size + 8  # those that are partly filled, and those of the index
        removed = 0
        for _ in range(_MOST_REMOVED):
            used = self._pragma("page_count") - self._pragma("freelist_count")
            oldest: Any = self._connection.execute(
                'SELECT "row", frames, last FROM chunk WHERE "row" < ? ORDER BY "row" LIMIT 1', (row,)
            ).fetchone()
            if oldest is None:
                break
            too_old = self._keep is not None and oldest[2] < last - self._keep
            if not too_old and used + needed <= self._pages:
                break
            self._connection.execute('DELETE FROM chunk WHERE "row" = ?', oldest[:1])
            removed += oldest[1]
        return removed

    # The log

    def _synchronise(self) -> None:
        """Bring the log into the file, as far as nobody reads it. What is committed is so, whether or not."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _refuse_long_log(self) -> None:
        """A reader that does not end has the log grow without bound."""
        if self._place.log_bytes > self._longest_log:
            busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if busy:
                raise GridtopError(
                    f"another program that reads {self._place.shown} does not let go of it: its log would "
                    "grow without bound"
                )

    def _pragma(self, name: str) -> int:
        return self._one(f"PRAGMA {name}")

    def _one(self, statement: str) -> int:
        value: int = self._connection.execute(statement).fetchone()[0]
        return value


def _difference(recorded: ChannelSet, now: ChannelSet) -> str:
    """What is different about the stream; nothing when it is the same."""
    if recorded.channels != now.channels:
        missing = [channel.name for channel in recorded if channel not in now.channels]
        new = [channel.name for channel in now if channel not in recorded.channels]
        other = missing or new
        if not other:
            return "its channels are in another order"
        told = ", ".join(repr(clean(name, 40)) for name in other[:3]) + (", ..." if len(other) > 3 else "")
        return f"it has other channels ({told})"
    if recorded.clock != now.clock:
        return "one has times, the other has none"
    if recorded.rate != now.rate:
        return f"it has {_rate(recorded)} frames/s, the source {_rate(now)}"
    return ""


def _rate(channels: ChannelSet) -> str:
    return "an unknown number of" if channels.rate is None else f"{channels.rate:g}"


def _chosen(block: Block, frames: Any) -> Block:
    """Some frames of a block."""
    return Block(
        block.channels,
        block.time[frames],
        block.values[frames],
        None if block.quality is None else block.quality[frames],
        {name: label[frames] for name, label in block.labels.items()},
        block.row,
    )
