"""Finds out from the first lines what the columns are, and keeps the rows until they are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic

import numpy as np

from gridtop.api import Block, ChannelSet, SourceError, Statistics
from gridtop.naming import ChannelMap, Columns, TimeColumn
from gridtop.recordings.tables import number
from gridtop.recordings.timestamps import guess_unit, times_from_text
from gridtop.text import clean

from .complaints import Complaints
from .cutting import LONGEST, LineCutter
from .formats import CsvLines, Format, Garbage, NoHeader, format_of, shown
from .frames import Frames, RawRow, written
from .ordering import nominal_rate
from .pace import Pace
from .settings import LineSettings

HEAD = 256
"""Rows that show, at most, which columns are numbers and how fast frames follow."""
DEFAULT_RATE = 30.0
"""Frames per second of a stream without times, unless told otherwise: as of a recording."""
_MOST_GARBAGE = 100
"""Lines before the first row at most; then it is not what it was taken for."""
_MOST_ROWS, _MOST_BYTES = 4096, 64 << 20
"""What waits to be taken at most."""
_BLANKS = " \t\r\n"
_BYTE_ORDER_MARK = "\ufeff"


class Intake:
    """Bytes come in, blocks go out. `channels` is None until `settle`, for which `head` rows are there.

    Raises SourceError from `feed` when the first lines begin no stream of rows, and from `settle` when the
    columns cannot be used; every other defect of the input is counted and told.
    """

    def __init__(
        self,
        settings: LineSettings,
        channel_map: ChannelMap,
        complaints: Complaints,
        name: str,
        wall: Callable[[], int],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.channels: ChannelSet | None = None
        self._settings = settings
        self._channel_map = channel_map
        self._complaints = complaints
        self._name = name
        self._wall, self._clock = wall, clock
        self._cutter = LineCutter()
        self._place = ""
        self._format: Format | None = None
        self._fresh = True
        self._head: list[RawRow] = []
        self._sample: list[RawRow] = []  # rows that were there before the first that counts
        self._frames: Frames | None = None
        self._pace: Pace | None = None
        self._before = 0

    # What comes in

    def feed(self, piece: bytes) -> None:
        """The next bytes of the stream."""
        arrived = self._wall()
        for line_number, line in self._cutter.feed(piece):
            self._line(line_number, line, arrived)

    def restart(self, place: str, discard: bool = False) -> None:
        """A new file or connection begins, named `place` in messages.

        `discard`: the rows until now only show what the columns are.
        """
        self._end_line()
        self._cutter.restart()
        self._place, self._fresh = place, True
        if discard:
            self._sample += self._head
            self._head.clear()
            if self._frames is not None:
                self._frames.drop(len(self._frames))

    def end(self) -> None:
        """The stream has ended; a last line without its end counts."""
        self._end_line()

    def _end_line(self) -> None:
        for line_number, line in self._cutter.finish():
            self._line(line_number, line, self._wall())

    def _line(self, line_number: int, line: bytes | None, arrived: int) -> None:
        where = f"{self._place}line {line_number}"
        if line is None:
            self._tell("long_lines", where, f"longer than {LONGEST >> 20} MiB; left out")
            return
        text = line.decode("utf-8", "replace").removeprefix(_BYTE_ORDER_MARK)
        if not text.strip(_BLANKS):
            return
        self._complaints.counts["lines"] += 1
        try:
            self._row(where, text, arrived)
        except Garbage as error:
            self._tell("garbage_lines", where, f"{error}; left out")
            self._despair(error, where)

    def _row(self, where: str, text: str, arrived: int) -> None:
        if self._format is None:
            columns = self._settings.columns
            try:
                self._format = format_of(text, self._settings.format, columns)
            except NoHeader as error:
                raise SourceError(f"{self._name}: {where}: {error}") from None
            self._fresh = columns is not None
            if columns is None and isinstance(self._format, CsvLines):
                return
        if self._fresh:
            self._fresh = False
            if self._format.is_header(text):
                self._tell_ignored(where)
                return
        cells = self._format.cells(text)
        if self._format.ignored:
            self._tell_ignored(where)
        raw = RawRow(where, cells, arrived, text.isascii() and "_" not in text)
        if self._frames is None:
            self._head.append(raw)
        else:
            self._frames.add(raw)

    def _tell_ignored(self, where: str) -> None:
        format_ = self._format
        if format_ is None or not format_.ignored:
            return
        names = sorted(format_.ignored)
        format_.ignored.clear()
        several = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
        told = ", ".join(shown(name) for name in names[:3]) + several
        self._tell("new_columns", where, f"{told} did not occur in the first line; ignored", len(names))

    def _despair(self, error: Garbage, where: str) -> None:
        self._before += self._frames is None and not self.head
        if self._before >= _MOST_GARBAGE:
            raise SourceError(
                f"{self._name}: {_MOST_GARBAGE} lines and none is a row of measurements; {where}: {error}"
            )

    def _tell(self, kind: str, where: str, text: str, count: int = 1) -> None:
        self._complaints.tell(kind, f"{self._name}: {where}: {text}", count)

    # What the first lines show

    @property
    def head(self) -> int:
        """The number of rows that `settle` can go by."""
        return len(self._sample) + len(self._head)

    def settle(self) -> ChannelSet:
        """Fix the channels by the rows that are there, or by the settings when there is none."""
        names = self._format.names if self._format is not None else self._settings.columns
        if names is None:
            raise SourceError(f"{self._name}: it ended before there was a line of measurements")
        columns = self._columns(names)
        by_arrival = self._settings.time == "arrival"
        rate = self._settings.rate
        if columns.time is None and not by_arrival:
            self.channels = ChannelSet(columns.channels, rate or DEFAULT_RATE, "row")
        else:
            if rate is None and not by_arrival:
                rate = self._measured(columns.time)
            self.channels = ChannelSet(columns.channels, rate, "utc")
        silence = self._settings.silence
        self._pace = Pace(None if silence is None else silence.total_seconds(), 1 / rate if rate else None)
        self._frames = Frames(columns, self.channels, by_arrival, self._pace, self._tell)
        for raw in self._head:
            self._frames.add(raw)
        self._head.clear()
        self._sample.clear()
        return self.channels

    def _columns(self, names: Sequence[str]) -> Columns:
        """What becomes of the columns, without those that hold only text and mean nothing known."""
        try:
            columns = self._channel_map.resolve(names)
            text = [
                position
                for position, channel in zip(columns.positions, columns.channels, strict=True)
                if channel.quantity == "other"
                and self._channel_map.meaning(columns.names[position]) is None
                and self._is_text(position)
            ]
            if not text:
                return columns
            told = ", ".join(shown(columns.names[position]) for position in text[:3])
            several = f" and {len(text) - 3:,} more" if len(text) > 3 else ""
            self._complaints.tell(
                "columns_of_text",
                f"{self._name}: no numbers in {told}{several}; left out (channels: could say what they are)",
                len(text),
            )
            kept = [position for position in range(len(names)) if position not in set(text)]
            fewer = self._channel_map.resolve([names[position] for position in kept])
        except ValueError as error:
            raise SourceError(f"{self._name}: {error}") from None
        return replace(
            fewer,
            names=columns.names,
            positions=tuple(kept[position] for position in fewer.positions),
            labels={name: kept[position] for name, position in fewer.labels.items()},
            time=fewer.time and replace(fewer.time, position=kept[fewer.time.position]),
        )

    def _is_text(self, position: int) -> bool:
        read = [number(raw.cells[position]) for raw in (*self._sample, *self._head)]
        return None in read and all(value is None or np.isnan(value) for value in read)

    def _measured(self, time: TimeColumn | None) -> float | None:
        if time is None or not self.head:
            return None
        texts = [written(raw.cells[time.position]) for raw in (*self._sample, *self._head)]
        return nominal_rate(times_from_text(texts, time.unit or guess_unit(texts[0])))

    # What goes out

    def __len__(self) -> int:
        return 0 if self._frames is None else len(self._frames)

    @property
    def full(self) -> bool:
        """Whether no more should wait than is there."""
        if self.channels is None:
            return len(self._head) >= HEAD
        return len(self) >= max(HEAD, min(_MOST_ROWS, _MOST_BYTES // (8 * len(self.channels))))

    def take(self, most: int, ended: bool = False) -> list[Block]:
        """The next frames from at most so many rows."""
        return [] if self._frames is None else self._frames.take(most, self._clock(), ended)

    def missing(self) -> list[Block]:
        """Frames without values for rows that should be there; none while the feed is not silent."""
        return [] if self._frames is None else self._frames.missing(self._clock())

    @property
    def watched(self) -> bool:
        """Whether `missing` may ever have something to say."""
        return self._pace is not None and self._pace.judges

    @property
    def silence(self) -> str:
        """That the feed is silent, in words; empty when it is not."""
        return self._pace.words if self._pace is not None else ""

    def statistics(self) -> Statistics:
        """What was counted since the start, and how rows come now (docs/live.md)."""
        now, pace, frames = self._clock(), self._pace, self._frames
        counts: dict[str, float] = dict(self._complaints.counts)
        if frames is not None:
            counts |= {
                "rows": frames.given,
                "silences": frames.silences,
                "missing_frames": frames.missing_frames,
            }
        rate = self.channels.rate if self.channels is not None else None
        counts |= {
            "defined_rate": rate or np.nan,
            "rate": pace.rate(now) if pace is not None else np.nan,
            "seconds_since_data": pace.seconds_since_data(now) if pace is not None else np.nan,
        }
        return Statistics(counts)

    def drop(self, rows: int) -> None:
        """Forget the oldest rows, and count them."""
        if self._frames is not None:
            self._complaints.tell(
                "dropped_frames",
                f"{clean(self._name)}: the monitor does not keep up; the oldest frames are dropped",
                self._frames.drop(rows),
            )
            self._complaints.counts["dropped_blocks"] += 1
