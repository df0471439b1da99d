"""Recordings: files of frames read as blocks, forward or from any row or time, whatever their format."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block, Flags, Floats, Labels, Quality, Times, seconds_to_time
from gridtop.channels import ChannelSet
from gridtop.contracts import Extent
from gridtop.errors import SourceError
from gridtop.naming import ChannelMap
from gridtop.recordings.file_kinds import TableFile, kind_of, open_table
from gridtop.recordings.tables import Table, TimeCells
from gridtop.recordings.timestamps import (
    frames_per_second,
    guess_unit,
    times_from_numbers,
    times_from_text,
)
from gridtop.text import clean

DEFAULT_RATE = 30.0
"""Frames per second of a recording that carries no time, unless told otherwise."""
PIECE_BYTES = 4 << 20
"""Text parsed at once, 3,700 rows of 129 columns; less costs speed, as pandas takes milliseconds a call."""
_HEAD_BYTES = 1 << 20
"""Text that shows, when a recording is opened, which columns are numeric and how fast frames follow."""
_SURVEYED_BYTES = 64 << 20
"""A recording up to this size is gone through when it is opened, so that its extent is known."""
_HASHED_BYTES = 64 << 10


class Recording(Protocol):
    """An opened recording.

    `channels` is fixed; `identity` names the data wherever the file lies; `extent` is known from the start
    for files up to 64 MiB and otherwise once the end has been reached. Use from several threads is safe as
    long as each iterates over its own `blocks()`.
    """

    channels: ChannelSet
    identity: str
    extent: Extent | None

    def blocks(self, start: int = 0) -> Generator[Block, None, None]:
        """The frames from row `start` on, to the end.

        Raises SourceError behind the last good frame when the file goes wrong there.
        """

    def row_at(self, time: np.datetime64) -> int:
        """The first row at or after `time`; the last row when `time` is beyond the end."""


def open_recording(
    path: Path,
    channel_map: ChannelMap,
    rate: float | None = None,
    piece_bytes: int = PIECE_BYTES,
    *,
    phasor_rate: float | None = None,
    waveform: bool | None = None,
    columns: Sequence[str] | None = None,
) -> Recording:
    """Open the recording at `path`; its columns become channels as the `channels:` section says.

    `rate` in frames per second is for a recording without times (30 when not given); one with times is
    measured. `piece_bytes` changes what one block holds, never what is read. `phasor_rate` and `waveform` are
    for COMTRADE: frames per second of a point-on-wave record, and whether it is one (None: see by its rate).
    `columns` names the columns of a CSV file without a header, whose first line is a row. A recording by
    gridtop says itself what its channels are: neither `channel_map` nor `rate` changes that.

    Raises SourceError, with file, row and column where there are such, when there is no recording to read.
    """
    kind = kind_of(path)
    if columns is not None and not kind.startswith("CSV"):
        raise SourceError(
            f"{clean(path.name)}: source.columns names the columns of a CSV file without a header; "
            f"{kind} names its own, so take it out"
        )
    if kind == "COMTRADE":
        from gridtop.recordings.comtrade import ComtradeRecording

        return ComtradeRecording(
            path,
            channel_map,
            phasor_rate=phasor_rate,
            waveform=waveform,
            block_values=max(1, piece_bytes // 32),
        )
    if kind == "gridtop":
        from gridtop.recordings.native import NativeRecording

        return NativeRecording(path, max(1, piece_bytes // 8))
    return TableRecording(path, open_table(path, kind, piece_bytes, columns), channel_map, rate)


class TableRecording:
    """A recording whose file is a table: rows of named columns. See `Recording` for its face."""

    channels: ChannelSet
    identity: str
    extent: Extent | None

    def __init__(self, path: Path, file: TableFile, channel_map: ChannelMap, rate: float | None) -> None:
        self._file = file
        self._shown = clean(path.name)
        self.identity = _identity(path)
        self.extent = None
        try:
            self._columns = channel_map.resolve(file.names)
        except ValueError as error:
            raise SourceError(f"{self._shown}: {error}") from None
        head = self._head()
        times = self._times(head.time)
        self._rate = rate or DEFAULT_RATE
        if times is None:
            self.channels = ChannelSet(self._columns.channels, self._rate, "row")
        else:
            self.channels = ChannelSet(
                self._columns.channels, frames_per_second(np.diff(times)) or rate, "utc"
            )
        blocks = list(self._blocks(iter([head])))  # raises what is wrong with the first rows
        self._known = {0: blocks[0].time[0]}
        """Times of rows that have been passed: the sparse index for `row_at`."""
        if path.stat().st_size <= _SURVEYED_BYTES:
            self._survey(size=_SURVEYED_BYTES)

    def blocks(self, start: int = 0) -> Generator[Block, None, None]:
        """The frames from row `start` on, to the end.

        Raises SourceError behind the last good frame when the file goes wrong there.
        """
        if start > max(self._known):
            self._survey(row=start)
        block = None
        for block in self._blocks(self._file.tables(self._columns, start)):
            self._known[block.row] = block.time[0]
            if block.row + len(block) > start:
                yield block.slice(max(0, start - block.row), len(block))
        if block is not None and self.extent is None:
            self.extent = Extent(block.row + len(block), self._known[0], block.time[-1])

    def row_at(self, time: np.datetime64) -> int:
        """The first row at or after `time`; the last row when `time` is beyond the end.

        It reads on in a large file as far as needed when that place has not been passed yet.
        """
        self._survey(time=time)
        before = max((row for row, known in tuple(self._known.items()) if known <= time), default=0)
        last = 0
        for block in self.blocks(before):
            if time <= block.time[-1]:
                return block.row + int(np.searchsorted(block.time, time))
            last = block.row + len(block) - 1
        return last

    def _survey(
        self, *, row: int | None = None, time: np.datetime64 | None = None, size: int | None = None
    ) -> None:
        """Go through what is not known yet, counting only, as far as a row, a time or `size` bytes."""
        if self.extent is not None:
            return
        passed = frames = 0
        for span in self._file.spans(self._columns, max(self._known)):
            if not span.frames:
                continue
            passed += span.size
            frames = span.row + span.frames
            times = self._times(span.edges)
            first, last = self._row_times([span.row, frames - 1]) if times is None else times
            self._known[span.row] = first
            reached = (row is not None and frames > row) or (time is not None and last >= time)
            if reached or (size is not None and passed > size):
                return
        if frames:
            self.extent = Extent(frames, self._known[0], last)

    def _head(self) -> Table:
        """The first rows, after which the unit of time is known and every channel is seen to hold numbers."""
        head = self._file.head(self._columns, _HEAD_BYTES)
        if head is None:
            raise SourceError(f"{self._shown}: there is a header but no row of values")
        columns = self._columns
        if columns.time is not None and columns.time.unit is None and head.time is not None:
            self._columns = replace(columns, time=replace(columns.time, unit=guess_unit(str(head.time[0]))))
        if text := [i for i in head.nonsense if np.isnan(head.values[:, i]).all()]:
            positions = [columns.positions[i] for i in text]
            shown = ", ".join(f"{columns.names[at]!r} (column {at + 1})" for at in positions)
            subject = f"column {shown} holds" if len(text) == 1 else f"columns {shown} hold"
            raise SourceError(
                f"{self._shown}: {subject} text such as {head.nonsense[text[0]]!r}; map "
                f"{'it' if len(text) == 1 else 'each'} under channels: as "
                "{quantity: label} or {ignore: true}"
            )
        return head

    def _blocks(self, tables: Iterator[Table]) -> Iterator[Block]:
        before: np.datetime64 | None = None
        for table in tables:
            times = self._times(table.time)
            good, problem = len(table), None
            if times is None:
                times = self._row_times(np.arange(table.row, table.row + good))
            else:
                before = times[0] - np.timedelta64(1, "ns") if before is None else before
                wrong = ~(np.diff(times, prepend=before) > np.timedelta64(0, "ns"))  # NaT is wrong, too
                if wrong.any():
                    good = int(np.argmax(wrong))
                    problem = self._time_problem(
                        table, good, times[good - 1] if good else before, times[good]
                    )
                before = times[-1]
            values, quality = self._values(table)
            block = Block(self.channels, times, values, quality, _texts(table), table.row)
            if good:
                yield block if problem is None else block.slice(0, good)
            if problem is not None:
                raise problem

    def _values(self, table: Table) -> tuple[Floats, Flags | None]:
        """(n, c) values in the units of the channels, NaN where there is none, and (n, c) why not."""
        # A zero loses its sign: whether `-0` keeps it depends on how its neighbours are written.
        values = table.values + 0.0
        error_codes = self._error_codes(values)
        changed = np.flatnonzero((self._columns.scales != 1) | (self._columns.offsets != 0))
        if changed.size:
            with np.errstate(over="ignore", invalid="ignore"):  # infinities are sorted out below
                values[:, changed] *= self._columns.scales[changed]
                values[:, changed] += self._columns.offsets[changed]
        if error_codes is None and np.isfinite(values).all():
            return values, None
        quality = np.where(np.isnan(values), np.uint16(Quality.MISSING), np.uint16(0))
        if table.unreadable is not None:
            quality[table.unreadable] = Quality.UNREADABLE
        infinite = np.isinf(values)
        quality[infinite] = Quality.INFINITE
        values[infinite] = np.nan
        if error_codes is not None:
            quality[error_codes] = Quality.BAD
            values[error_codes] = np.nan
        return values, quality

    def _error_codes(self, values: Floats) -> npt.NDArray[np.bool_] | None:
        """(n, c) where the numbers of the file are among those that stand for an error; None for nowhere."""
        if not any(self._columns.invalid):
            return None
        found = np.zeros(values.shape, dtype=bool)
        for column, codes in enumerate(self._columns.invalid):
            for code in codes:
                # Parquet may hold single precision, in which -327.68 is another number.
                found[:, column] |= np.abs(values[:, column] - code) <= 1e-6 * abs(code)
        return found if found.any() else None

    def _times(self, cells: TimeCells | None) -> Times | None:
        if cells is None or self._columns.time is None:
            return None
        unit = self._columns.time.unit or "iso"
        if not isinstance(cells, np.ndarray):
            return times_from_text(cells, unit)
        return times_from_numbers(cells, unit) if np.issubdtype(cells.dtype, np.number) else cells

    def _row_times(self, rows: npt.ArrayLike) -> Times:
        """What stands for the times of rows that carry none."""
        return seconds_to_time(np.asarray(rows) / self._rate)

    def _time_problem(
        self, table: Table, index: int, before: np.datetime64, time: np.datetime64
    ) -> SourceError:
        assert table.time is not None
        assert self._columns.time is not None
        position = self._columns.time.position
        column = f"column {self._columns.names[position]!r} (column {position + 1})"
        way_out = "or map the column under channels: as {ignore: true} to replay by row number"
        if np.isnat(time):
            told = clean(str(table.time[index]))
            wrong = (
                f"{told!r} is not a time; write ISO 8601 or a number since 1970 (s, ms, us, ns), {way_out}"
            )
        else:
            earlier = f"{_readable(before)} in row {table.row + index}"
            wrong = "time repeats" if time == before else "time runs backwards"
            wrong += f": {_readable(time)} comes after {earlier}; put the rows right, {way_out}"
        return SourceError(f"{self._shown}: {table.where(index)}, {column}: {wrong}")


def _readable(time: np.datetime64) -> str:
    return str(time).rstrip("0").rstrip(".")


def _texts(table: Table) -> dict[str, Labels]:
    return {name: np.array(texts, dtype=np.str_) for name, texts in table.labels.items()}


def _identity(path: Path) -> str:
    """File name, size and a hash of the first 64 KiB: the same wherever the file lies."""
    with path.open("rb") as file:
        digest = hashlib.sha256(file.read(_HASHED_BYTES)).hexdigest()
    return f"{clean(path.name)}:{path.stat().st_size}:{digest[:16]}"
