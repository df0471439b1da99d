"""From rows of cells to blocks: numbers, flags, units, and times in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gridtop.api import Block, ChannelSet, Quality, seconds_to_time
from gridtop.naming import Columns
from gridtop.recordings.tables import labels, number
from gridtop.recordings.timestamps import guess_unit, times_from_text

from .formats import shown
from .ordering import TimeOrder

Floats = npt.NDArray[np.float64]

_PUT_BACK = 60_000_000_000
"""Nanoseconds: the clock of this computer may be put back by so much before frames by arrival follow it."""


@dataclass(slots=True)
class RawRow:
    """A line as cells, before anything is known of its columns."""

    where: str
    """The place of the line, for people: `line 812`."""
    cells: Sequence[object]
    arrived: int
    """Nanoseconds since 1970."""
    plain: bool
    """Whether Python's own float reads its numbers as `number` does."""


@dataclass(slots=True)
class Row:
    """A line as numbers: `values` (c,), where it holds something else, and its time as written."""

    where: str
    values: Floats
    unreadable: tuple[int, ...]
    time: str
    arrived: int
    labels: tuple[object, ...]


class Frames:
    """Rows that wait to become blocks of the given columns of a stream.

    `positions` (c,), `time` and `labels` of the columns are positions in the cells of a row. `tell` is given
    the kind of trouble, where it is, and what is wrong. `by_arrival` makes the time of arrival that of the
    frame; without it and without a column of times, the frames follow at `channels.rate`.
    """

    def __init__(
        self,
        columns: Columns,
        channels: ChannelSet,
        by_arrival: bool,
        tell: Callable[[str, str, str], None],
    ) -> None:
        self.channels = channels
        self._columns = columns
        self._by_arrival = by_arrival
        self._tell = tell
        self._rows: deque[Row] = deque()
        self._order: TimeOrder[Row] = TimeOrder(self._tell_of_time)
        self._count = 0
        self._arrived = 0

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, raw: RawRow) -> None:
        """Keep a row until it is taken."""
        columns, cells = self._columns, raw.cells
        values, unreadable = self._numbers(raw)
        time = "" if columns.time is None else written(cells[columns.time.position])
        texts = tuple(cells[position] for position in columns.labels.values())
        self._rows.append(Row(raw.where, values, unreadable, time, raw.arrived, texts))

    def drop(self, count: int) -> int:
        """Forget the oldest rows; returns how many there were."""
        count = min(count, len(self._rows))
        for _ in range(count):
            self._rows.popleft()
        return count

    def take(self, most: int, ended: bool = False) -> Block | None:
        """The next frames from at most so many rows; None when there is none among them.

        `ended` says that nothing follows these rows.
        """
        rows = [self._rows.popleft() for _ in range(min(most, len(self._rows)))]
        ended = ended and not self._rows
        if self._by_arrival:
            times = self._arrivals(rows)
        elif self._columns.time is None:
            times = seconds_to_time(
                np.arange(self._count, self._count + len(rows)) / (self.channels.rate or 1)
            )
        else:
            admitted = self._order.admit(rows, self._times(rows), ended)
            rows = [row for row, _ in admitted]
            times = np.array([time for _, time in admitted], dtype="datetime64[ns]")
        if not rows:
            return None
        texts = zip(*(row.labels for row in rows), strict=True)
        named = {
            name: np.array(labels(cells), dtype=np.str_)
            for name, cells in zip(self._columns.labels, texts, strict=False)
        }
        values, quality = self._values(rows)
        block = Block(self.channels, times, values, quality, named, self._count)
        self._count += len(rows)
        return block

    def _numbers(self, raw: RawRow) -> tuple[Floats, tuple[int, ...]]:
        cells = [raw.cells[position] for position in self._columns.positions]
        if raw.plain:
            try:
                return np.array([float(cell) for cell in cells]), ()  # type: ignore[arg-type]  # refused here
            except (TypeError, ValueError, OverflowError):
                pass
        read = [number(cell) for cell in cells]
        unreadable = tuple(i for i, value in enumerate(read) if value is None)
        for i in unreadable:
            position = self._columns.positions[i]
            name = f"column {self._columns.names[position]!r} (column {position + 1})"
            self._tell("unreadable_cells", f"{raw.where}, {name}", f"{shown(cells[i])} is no number")
        return np.array([np.nan if value is None else value for value in read]), unreadable

    def _values(self, rows: Sequence[Row]) -> tuple[Floats, npt.NDArray[np.uint16] | None]:
        """(n, c) values in the units of the channels, NaN where there is none, and (n, c) why not."""
        columns = self._columns
        given = np.stack([row.values for row in rows]) + 0.0  # a zero loses its sign, as in recordings
        bad = np.zeros(given.shape, dtype=np.bool_)
        for i, codes in enumerate(columns.invalid):
            for code in codes:
                bad[:, i] |= np.abs(given[:, i] - code) <= 1e-6 * abs(code)
        with np.errstate(over="ignore", invalid="ignore"):  # infinities are sorted out below
            values = given * columns.scales + columns.offsets
        if np.isfinite(values).all() and not bad.any():
            return values, None
        quality = np.where(np.isnan(values), np.uint16(Quality.MISSING), np.uint16(0))
        for i, row in enumerate(rows):
            quality[i, list(row.unreadable)] = Quality.UNREADABLE
        quality[np.isinf(values)] = Quality.INFINITE
        quality[bad] = Quality.BAD
        values[np.isinf(values) | bad] = np.nan
        return values, quality

    def _times(self, rows: Sequence[Row]) -> npt.NDArray[np.datetime64]:
        column = self._columns.time
        assert column is not None
        if column.unit is None:
            # Found out from the first cell that is a time; until then each row is judged by itself.
            for row in rows:
                unit = guess_unit(row.time)
                if not np.isnat(times_from_text([row.time], unit)[0]):
                    self._columns = replace(self._columns, time=replace(column, unit=unit))
                    return times_from_text([row.time for row in rows], unit)
            return np.full(len(rows), np.datetime64("NaT", "ns"))
        return times_from_text([row.time for row in rows], column.unit)

    def _arrivals(self, rows: Sequence[Row]) -> npt.NDArray[np.datetime64]:
        """(n,) the times of arrival, each at least a microsecond behind the one before."""
        times = np.empty(len(rows), dtype=np.int64)
        for i, row in enumerate(rows):
            time = row.arrived
            if self._arrived - _PUT_BACK < time <= self._arrived:
                time = self._arrived + 1000
            times[i] = self._arrived = time
        return times.view("datetime64[ns]")

    def _tell_of_time(self, kind: str, row: Row, text: str) -> None:
        column = self._columns.time
        assert column is not None
        name = f"column {self._columns.names[column.position]!r} (column {column.position + 1})"
        if kind == "bad_times":
            text = f"{shown(row.time)} {text}"
        self._tell(kind, f"{row.where}, {name}", text)


def written(cell: object) -> str:
    """A time as it was written; the shortest text of a number that means the same."""
    return "" if cell is None else cell if isinstance(cell, str) else repr(cell)
