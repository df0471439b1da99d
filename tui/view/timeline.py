"""The timeline: where in the recording the replay stands, and where something happened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from gridtop.client import Transport
from gridtop.events import SEVERITIES, Event, Transition
from gridtop.tui.glyphs import Glyphs

from . import times
from .rows import Role, Row, Span, fit, width_of

REMEMBERED = 20_000
"""Rows that are marked; the oldest mark gives way."""
_LIVE_SECONDS = 3600
"""What a live source shows: the last hour."""
_BEGINNINGS: tuple[Transition, ...] = ("raised", "escalated", "latched", "noticed")
_MARKS: tuple[tuple[str, Role], ...] = ((".", "plain"), ("!", "warning"), ("X", "critical"))
_CROWD = 3
"""Events in one cell from which information shows as `:`."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """The rows of the stream that the line stands for, and the cells it has."""

    first: int
    last: int
    left: int
    cells: int

    def cell(self, row: int) -> int:
        """The cell, from the left end of the line, that a row falls in."""
        return (row - self.first) * self.cells // max(1, self.last - self.first + 1)

    def row(self, x: int) -> int:
        """The row that a column of the terminal stands for."""
        share = min(max(x - self.left, 0), self.cells - 1) / max(1, self.cells - 1)
        return self.first + round(share * (self.last - self.first))


class Timeline:
    """Remembers in which rows something began; what is found in every pass counts once."""

    def __init__(self) -> None:
        self._worst: dict[int, int] = {}
        self.revision = 0

    def add(self, events: Iterable[Event]) -> None:
        """Mark where these events began."""
        for event in events:
            if event.transition in _BEGINNINGS:
                row = event.row if event.since_row is None else event.since_row
                self._worst[row] = max(self._worst.get(row, 0), SEVERITIES.index(event.severity))
                self.revision += 1
        while len(self._worst) > REMEMBERED:
            del self._worst[next(iter(self._worst))]

    def marks(self, stretch: Stretch) -> dict[int, tuple[int, int]]:
        """By cell: the worst severity and how many rows have an event."""
        found: dict[int, tuple[int, int]] = {}
        for row, severity in self._worst.items():
            if stretch.first <= row <= stretch.last:
                worst, count = found.get(cell := stretch.cell(row), (0, 0))
                found[cell] = max(worst, severity), count + 1
        return found


def timeline_row(
    timeline: Timeline, transport: Transport, rate: float | None, words: str, width: int, glyphs: Glyphs
) -> tuple[Row, Stretch]:
    """`00:00 ━━━━━━●───!──X── 05:00   60 s  fit` and what its cells stand for."""
    first, last = _bounds(transport, rate)
    begin, end = _labels(transport)
    left: Row = (Span(f" {begin} ", "dim"),)
    right: Row = (Span(f" {end}", "dim"), Span(f"   {words} ", "dim"))
    cells = max(1, width - width_of((*left, *right)))
    stretch = Stretch(first, last, width_of(left), cells)
    line = _cells(timeline.marks(stretch), stretch, transport.row, glyphs)
    spans = (
        Span("".join(text for text, _ in run), role) for role, run in groupby(line, key=lambda cell: cell[1])
    )
    return fit((*left, *spans, *right), width), stretch


def _cells(
    marks: dict[int, tuple[int, int]], stretch: Stretch, row: int, glyphs: Glyphs
) -> Iterator[tuple[str, Role]]:
    here = stretch.cell(row)
    for cell in range(stretch.cells):
        if cell == here:
            yield glyphs.here, "strong"
        elif cell in marks:
            worst, count = marks[cell]
            text, role = _MARKS[worst]
            yield (":" if not worst and count >= _CROWD else text), role
        else:
            yield (glyphs.played, "graph") if cell < here else (glyphs.rule, "dim")


def _bounds(transport: Transport, rate: float | None) -> tuple[int, int]:
    if transport.frames:
        return 0, max(transport.frames - 1, transport.row)
    if transport.state == "live" and rate:
        return max(0, transport.row - round(_LIVE_SECONDS * rate)), transport.row
    return 0, transport.row


def _labels(transport: Transport) -> tuple[str, str]:
    """What stands at the two ends."""
    first, last = times.instant(transport.first), times.instant(transport.last)
    if not transport.frames:
        return ("start", "now")
    if first is None or last is None:
        return "row 0", str(transport.frames)
    length = times.whole_seconds(times.nanoseconds(last) - times.nanoseconds(first))
    return times.elapsed(0, length), times.elapsed(length, length)
