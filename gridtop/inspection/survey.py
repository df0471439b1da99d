"""Reads a recording once and says what its columns hold, before anything is said about what they mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block, Floats, Quality, Times
from gridtop.channels import Channel
from gridtop.errors import SourceError
from gridtop.inspection.statistics import MOST_VALUES, Gathering, Numbers
from gridtop.inspection.time_columns import (
    Candidate,
    Ticking,
    TimeSurvey,
    candidate_of_numbers,
    candidate_of_text,
    is_time_of_day,
)
from gridtop.naming import ChannelMap, Columns, TimeColumn, column_names
from gridtop.recordings.csv_text import HeaderMissingError, first_time
from gridtop.recordings.file_kinds import Kind, TableFile, kind_of, open_table
from gridtop.recordings.tables import Table, TimeCells
from gridtop.recordings.timestamps import times_from_numbers, times_from_text
from gridtop.text import clean

_HEAD_BYTES = 1 << 20
_HEAD_ROWS = 5_000
_PIECE_BYTES = 4 << 20


@dataclass(slots=True)
class Texts:
    """What a column of text holds: each text and how often, None once there are more than 64."""

    rows: int = 0
    missing: int = 0
    counts: Counter[str] | None = field(default_factory=Counter)
    of_day: bool = False
    """Whether these are times of day without a date."""

    def add(self, cells: Sequence[str]) -> None:
        """Take the cells of the next n rows, "" where there is nothing."""
        self.rows += len(cells)
        found = Counter(cells)
        self.missing += found.pop("", 0)
        if self.counts is not None:
            self.counts.update(found)
            if len(self.counts) > MOST_VALUES:
                self.counts = None


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the file: `position` from 0, `blank` when its header cell is empty.

    `numbers` or `texts` is what it holds; the time column has neither. `known` is what the format itself
    says that it measures (COMTRADE does, and gridtop's own), None in tables.
    """

    name: str
    position: int
    blank: bool
    numbers: Numbers | None = None
    texts: Texts | None = None
    known: Channel | None = None


@dataclass(frozen=True, slots=True)
class Survey:
    """A recording that has been read once.

    sample       (m, k) rows evenly spread over the recording, of the k columns of numbers
    sample_rows  (m,) the row number of each, from 0
    sampled      position of a column to its column of `sample`
    rate         frames/s that the format itself states, None where it states none
    waveform     what `source.waveform` has to say of a COMTRADE file, None when nothing
    given_names  what `source.columns` has to say of a CSV file without a header, None when nothing
    """

    path: Path
    kind: Kind
    rows: int
    columns: tuple[Column, ...]
    time: TimeSurvey | None
    other_times: tuple[Candidate, ...]
    sample: Floats
    sample_rows: npt.NDArray[np.int64]
    sampled: dict[int, int]
    rate: float | None = None
    waveform: bool | None = None
    given_names: tuple[str, ...] | None = None

    def values(self, position: int) -> Floats:
        """(m,) the sampled numbers of a column."""
        return self.sample[:, self.sampled[position]]


def survey(path: Path) -> Survey:
    """Read the recording at `path` once; SourceError when it cannot be read."""
    kind = kind_of(path)
    if kind in ("COMTRADE", "gridtop"):
        return _of_blocks(path, kind)
    try:
        return _of_table(path, open_table(path, kind, _PIECE_BYTES), kind, None)
    except HeaderMissingError as missing:
        names = _names_for(missing.cells)
        return _of_table(path, open_table(path, kind, _PIECE_BYTES, names), kind, names)


def _names_for(cells: Sequence[str]) -> tuple[str, ...]:
    """Names for the columns of a file without a header, from the cells of its first line."""
    time = first_time(cells)
    return column_names(["time" if position == time else "" for position in range(len(cells))])


def _of_table(path: Path, file: TableFile, kind: Kind, given_names: tuple[str, ...] | None) -> Survey:
    names = column_names(file.names)
    everything = tuple(range(len(names)))
    head = file.head(_columns(names, everything, {}, None), _HEAD_BYTES)
    if head is None:
        raise SourceError(f"{clean(path.name)}: there is a header but no row of values")
    textual = _textual(head)
    head_texts = file.head(_columns(names, (), _keys(textual), None), _HEAD_BYTES) if textual else None
    cells = {p: head_texts.labels[str(p)][:_HEAD_ROWS] if head_texts else [] for p in textual}
    candidates = _candidates(names, head, cells)
    chosen = candidates[0] if candidates else None
    numeric = tuple(p for p in everything if p not in textual and not (chosen and p == chosen.position))
    written = [p for p in textual if not (chosen and p == chosen.position)]
    time = TimeColumn(chosen.position, chosen.unit) if chosen else None
    gathering, ticking = Gathering(len(numeric)), Ticking(chosen, names[chosen.position]) if chosen else None
    texts = {p: Texts(of_day=is_time_of_day([cell for cell in cells[p] if cell])) for p in written}
    for table in file.tables(_columns(names, numeric, _keys(written), time)):
        gathering.add(table.values, table.unreadable)
        for position, found in texts.items():
            found.add(table.labels[str(position)])
        if ticking is not None and chosen is not None and table.time is not None:
            ticking.add(_times(table.time, chosen))
    results = dict(zip(numeric, gathering.results(), strict=True))
    columns = tuple(
        Column(names[p], p, not file.names[p].strip(), results.get(p), texts.get(p)) for p in everything
    )
    return Survey(
        path=path,
        kind=kind,
        rows=gathering.rows,
        columns=columns,
        time=ticking.result() if ticking else None,
        other_times=tuple(candidates[1:]),
        sample=gathering.sample,
        sample_rows=gathering.sample_rows,
        sampled={position: i for i, position in enumerate(numeric)},
        given_names=given_names,
    )


def _of_blocks(path: Path, kind: Kind) -> Survey:
    """A recording whose format says what its channels are."""
    from gridtop.recordings import open_recording

    waveform: bool | None = None
    try:
        recording = open_recording(path, ChannelMap())
    except SourceError:
        if kind != "COMTRADE":
            raise
        # A waveform too short for a phasor can be replayed as it is; any other trouble comes back here.
        recording, waveform = open_recording(path, ChannelMap(), waveform=False), False
    channels = recording.channels
    gathering = Gathering(len(channels))
    timed = channels.clock == "utc"
    ticking = Ticking(Candidate(-1, "iso", 9, "as the format says"), "time") if timed else None
    texts: dict[str, Texts] = {}
    for block in recording.blocks():
        values, unreadable = _with_infinities(block)
        gathering.add(values, unreadable)
        if ticking is not None:
            ticking.add(block.time)
        for name, label in block.labels.items():
            texts.setdefault(name, Texts()).add(label.tolist())
    results = gathering.results()
    columns = [
        Column(channel.name, i, False, results[i], None, channel) for i, channel in enumerate(channels)
    ]
    columns += [
        Column(name, len(channels) + i, False, None, found) for i, (name, found) in enumerate(texts.items())
    ]
    return Survey(
        path=path,
        kind=kind,
        rows=gathering.rows,
        columns=tuple(columns),
        time=ticking.result() if ticking else None,
        other_times=(),
        sample=gathering.sample,
        sample_rows=gathering.sample_rows,
        sampled={i: i for i in range(len(channels))},
        rate=channels.rate,
        waveform=waveform,
    )


def _with_infinities(block: Block) -> tuple[Floats, npt.NDArray[np.bool_] | None]:
    if block.quality is None:
        return block.values, None
    values = block.values.copy()
    values[(block.quality & Quality.INFINITE) != 0] = np.inf
    return values, (block.quality & Quality.UNREADABLE) != 0


def _columns(
    names: tuple[str, ...], numeric: Sequence[int], labels: dict[str, int], time: TimeColumn | None
) -> Columns:
    count = len(numeric)
    return Columns(
        names=names,
        channels=(),
        positions=tuple(numeric),
        scales=np.ones(count),
        offsets=np.zeros(count),
        invalid=((),) * count,
        labels=labels,
        time=time,
    )


def _keys(positions: Sequence[int]) -> dict[str, int]:
    """Columns of text by position: their names may be the same."""
    return {str(position): position for position in positions}


def _textual(head: Table) -> list[int]:
    """The columns of which more cells are text than numbers."""
    if head.unreadable is None:
        return []
    text = head.unreadable.sum(axis=0)
    numbers = (~np.isnan(head.values)).sum(axis=0)
    return [int(i) for i in np.flatnonzero((text > 0) & (text >= numbers))]


def _candidates(names: Sequence[str], head: Table, cells: dict[int, list[str]]) -> list[Candidate]:
    """The columns that may hold the time, the likeliest first."""
    found = []
    for position, name in enumerate(names):
        candidate = (
            candidate_of_text(position, name, [cell for cell in cells[position] if cell])
            if position in cells
            else candidate_of_numbers(position, name, head.values[:_HEAD_ROWS, position])
        )
        if candidate is not None:
            found.append(candidate)
    return sorted(found, key=lambda candidate: (-candidate.score, candidate.position))


def _times(cells: TimeCells, chosen: Candidate) -> Times:
    if not isinstance(cells, np.ndarray):
        return times_from_text(cells, chosen.unit)
    if np.issubdtype(cells.dtype, np.number):
        return times_from_numbers(cells, chosen.unit)
    return cells
