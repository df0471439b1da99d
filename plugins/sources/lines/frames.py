"""From rows of cells to blocks: numbers, flags, units, times in order, and silence made visible."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from gridtop.api import Block, ChannelSet, Quality, seconds_to_time
from gridtop.naming import Columns
from gridtop.recordings.tables import labels, number
from gridtop.recordings.timestamps import guess_unit, times_from_text

from .formats import shown
from .ordering import TimeOrder
from .pace import Pace

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64]

LARGEST_FILL = 256
"""Frames without values in one block at most."""
LONGEST_FILL = 60_000_000_000
"""Nanoseconds that are filled at once at most: a longer absence is a gap."""

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

    `positions` (c,), `time` and `labels` of the columns are positions in the cells of a row. `by_arrival`
    makes the time of arrival that of the frame; without it and without a column of times, the frames follow
    at `channels.rate`. `pace` judges when there should have been rows: then frames without values take their
    place, where frames have times and a rate. `tell` is given the kind of trouble, where it is, what is
    wrong, and in how many rows.

    given    rows that became frames
    silences, missing_frames   times without rows that were filled, and with how many frames
    """

    def __init__(
        self,
        columns: Columns,
        channels: ChannelSet,
        by_arrival: bool,
        pace: Pace,
        tell: Callable[[str, str, str, int], None],
    ) -> None:
        self.channels = channels
        self._columns = columns
        self._by_arrival = by_arrival
        self._pace, self._tell = pace, tell
        self._rows: deque[Row] = deque()
        self._order: TimeOrder[Row] = TimeOrder(self._tell_of_time)
        self._count = 0
        self._arrived = 0
        rate = channels.rate if channels.clock == "utc" else None
        self._period = round(1e9 / rate) if rate else 0
        self._last: np.datetime64 | None = None  # the time of the last row
        self._filled: np.datetime64 | None = None  # and that of the last frame made up since
        self.given = self.silences = self.missing_frames = 0

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

    def take(self, most: int, now: float, ended: bool = False) -> list[Block]:
        """The next frames from at most so many rows, at `now` on the clock of `pace`.

        `ended` says that nothing follows these rows.
        """
        rows = [self._rows.popleft() for _ in range(min(most, len(self._rows)))]
        ended = ended and not self._rows
        if self.channels.clock == "row":
            times = seconds_to_time(
                np.arange(self._count, self._count + len(rows)) / (self.channels.rate or 1)
            )
        elif self._by_arrival:
            times = self._arrivals(rows)
        else:
            admitted = self._order.admit(rows, self._times(rows), ended)
            rows = [row for row, _ in admitted]
            times = np.array([time for _, time in admitted], dtype="datetime64[ns]")
        if not rows:
            return []
        own = None if self.channels.clock == "row" or self._by_arrival or self._last is None else self._last
        step = None if own is None else float((times[0] - own) / np.timedelta64(1, "s"))
        self._pace.came(now, len(rows), step)
        blocks: list[Block] = []
        # Where a clock was put back, a block ends.
        cuts = [0, *(np.flatnonzero(np.diff(times) <= np.timedelta64(0, "ns")) + 1).tolist(), len(rows)]
        for begin, end in pairwise(cuts):
            blocks += self._following(rows[begin:end], times[begin:end])
        return blocks

    def missing(self, now: float) -> list[Block]:
        """Frames without values for rows that should have come by now; none while the feed is not silent."""
        late = self._pace.silent_for(now)
        if late is None or self._last is None or not self._period:
            return []
        return self._fill(self._last + np.timedelta64(round(1e9 * late), "ns"))

    def _following(self, rows: list[Row], times: Times) -> list[Block]:
        """Rows whose times increase, behind what was given out."""
        blocks: list[Block] = []
        filled, last, self._last = self._filled, self._last, times[-1]
        if filled is not None and last is not None and times[0] > last:
            late = int(np.searchsorted(times, filled, side="right"))
            if late:
                rest = "it" if late == 1 else f"it and the {late - 1:,} behind it"
                told = f"frames without values had taken the place of {rest} before it came; left out"
                self._tell("overtaken_rows", rows[0].where, told, late)
                rows, times = rows[late:], times[late:]
            if not rows:
                return []
            if (times[0] - filled).astype(np.int64) <= LONGEST_FILL:
                blocks = self._fill(times[0] - np.timedelta64(self._period // 2, "ns"))
        self._filled = None
        texts = zip(*(row.labels for row in rows), strict=True)
        named = {
            name: np.array(labels(cells), dtype=np.str_)
            for name, cells in zip(self._columns.labels, texts, strict=False)
        }
        values, quality = self._values(rows)
        self.given += len(rows)
        return [*blocks, self._block(times, values, quality, named)]

    def _fill(self, end: np.datetime64) -> list[Block]:
        """Frames without values at the nominal rate, from the last one given out to `end`."""
        begin = self._filled if self._filled is not None else self._last
        assert begin is not None
        count = int((end - begin).astype(np.int64)) // self._period
        if count <= 0:
            return []
        self.silences += self._filled is None
        # Whoever was away for long is shown the last minute.
        skipped = max(0, count - LONGEST_FILL // self._period)
        blocks = []
        for at in range(skipped, count, LARGEST_FILL):
            steps = np.arange(at + 1, min(at + LARGEST_FILL, count) + 1) * self._period
            shape = len(steps), len(self.channels)
            blocks.append(
                self._block(
                    begin + steps.astype("timedelta64[ns]"),
                    np.full(shape, np.nan),
                    np.full(shape, np.uint16(Quality.MISSING)),
                    {name: np.full(len(steps), "", dtype=np.str_) for name in self._columns.labels},
                )
            )
        self.missing_frames += count - skipped
        self._filled = blocks[-1].time[-1]
        self._arrived = max(self._arrived, int(blocks[-1].time[-1].astype(np.int64)))
        return blocks

    def _block(
        self,
        times: Times,
        values: Floats,
        quality: npt.NDArray[np.uint16] | None,
        named: dict[str, npt.NDArray[np.str_]],
    ) -> Block:
        block = Block(self.channels, times, values, quality, named, self._count)
        self._count += len(block)
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
            self._tell("unreadable_cells", f"{raw.where}, {name}", f"{shown(cells[i])} is no number", 1)
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
        self._tell(kind, f"{row.where}, {name}", text, 1)


def written(cell: object) -> str:
    """A time as it was written; the shortest text of a number that means the same."""
    return "" if cell is None else cell if isinstance(cell, str) else repr(cell)
