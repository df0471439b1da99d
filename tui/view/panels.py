"""A panel row by row: name, place, value and alarm of a channel above its graph, in the room there is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gridtop.tui import braille
from gridtop.tui.glyphs import Glyphs

from . import graph, numbers
from .axis import Axis, round_values
from .choices import Quantity
from .graph import Curve, Floats, Graph, Limit, Scale
from .rows import Role, Row, Span, column, fit, width_of

GUTTER = 11
"""Cells at the right of a small graph: where the newest value is, limits, highest and lowest value."""
_LABELS = 11
"""Cells at the left of a large graph for the values of the axis (` =L 118.2k┤`)."""
_ARROWS = 5
"""Cells at the right of a large graph for the names of the curves."""
_LARGE = (44, 9)
"""Columns and rows from which on a graph has an axis with values."""
_WITH_EXTREMES = 62
"""Cells from which on a panel of one row shows the lowest and highest value too."""
_LONGEST_NAME = 9
"""Letters of a quantity's name (`FREQUENCY`) that stand before its place."""
_MARGIN = 2
"""Cells at the left for the bar that marks the selected panel."""


NOTHING = Curve()


@dataclass(frozen=True, slots=True)
class Panel:
    """Everything a panel shows at one moment; its text is harmless already."""

    number: int
    quantity: Quantity
    place: str
    unit: str = ""
    curve: Curve = NOTHING
    """Of the channel on show."""
    others: tuple[Curve, ...] = ()
    """Of the other phases, when they are laid over it."""
    limits: tuple[Limit, ...] = ()
    scale: Scale = "fit"
    bad: bool = False
    """The newest frame has no good value, or a doubtful one: `?`."""
    stale: bool = False
    """Nothing new has come for a while: `~`."""
    severity: str = ""
    """`warning` or `critical` while the channel on show is in alarm."""
    alarm: str = ""
    """The alarm in a word: LOW, HIGH, or the place (`R3 B`) when another channel of the quantity has it."""
    selected: bool = False
    window: str = ""

    @property
    def curves(self) -> tuple[Curve, ...]:
        """All curves; only several need their names."""
        return (self.curve, *self.others) if self.others else (replace(self.curve, name=""),)

    @property
    def least_span(self) -> float:
        """The shortest axis that shows this signal without making much of its noise."""
        size = max(abs(self.curve.lowest), abs(self.curve.highest))
        return max(self.quantity.least, self.quantity.share * size if math.isfinite(size) else 0.0)

    @property
    def role(self) -> Role:
        """How the value looks: plain unless the channel is in alarm, faint when it is old."""
        if self.stale:
            return "dim"
        if self.severity == "critical":
            return "critical"
        return "warning" if self.severity == "warning" else "strong"

    @property
    def graph_role(self) -> Role:
        """How the graph looks."""
        return "graph" if self.role == "strong" else self.role


_LETTERS = {"voltage": "V", "current": "I", "impedance": "Z", "frequency": "f"}
"""What engineers write for a quantity where there is no room for the word."""


def is_large(width: int, height: int) -> bool:
    """Whether a panel of this size has an axis with values."""
    return width >= _LARGE[0] and height >= _LARGE[1]


def graph_width(width: int, height: int) -> int:
    """Cells of a panel of this size that are left for the graph."""
    beside = _LABELS + _ARROWS if is_large(width, height) else GUTTER
    return max(1, width - _MARGIN - beside)


def measured(panel: Panel, curve: Curve, others: tuple[Curve, ...], bad: bool) -> Panel:
    """The panel with what telemetry says about its channels; what is not finite is a gap from here on."""
    return replace(panel, curve=_finite(curve), others=tuple(map(_finite, others)), bad=bad)


def _finite(curve: Curve) -> Curve:
    ends: list[Floats] = [
        np.where(np.isfinite(side), side, np.nan) for side in (curve.minimum, curve.maximum)
    ]
    return replace(curve, minimum=np.fmin(*ends), maximum=np.fmax(*ends))


def panel_rows(panel: Panel, width: int, height: int, axis: Axis, glyphs: Glyphs) -> tuple[Row, ...]:
    """A panel as `height` rows of `width` cells: a title with the value, and below it the graph.

    With a single row there is only the title, with as many numbers as fit.
    """
    if height < 2:
        return (_with_graph(panel, width, axis, glyphs),) if height else ()
    large = is_large(width, height)
    title = _title(panel, width, graph_width(width, height), large, glyphs)
    rows = height - 1 - large
    drawn = _graph(panel, graph_width(width, height), rows, axis, glyphs)
    bar = _bar(panel, glyphs)
    if drawn is None:
        return (title, *[fit((bar,), width)] * (height - 1))
    if not large:
        notes = _gutter(panel, drawn, rows)
        body = [
            (bar, Span(line, panel.graph_role), Span(notes[row], "dim"))
            for row, line in enumerate(drawn.rows)
        ]
        return (title, *(fit(row, width) for row in body))
    labels = _axis(panel, drawn, rows, glyphs)
    lines: list[Row] = [
        (bar, Span(labels[row], "dim"), Span(line, panel.graph_role), Span(drawn.latest.get(row, "")))
        for row, line in enumerate(drawn.rows)
    ]
    return (title, *(fit(row, width) for row in (*lines, _time_axis(panel, width, bar))))


def single_row(panel: Panel, width: int, glyphs: Glyphs) -> Row:
    """A panel's numbers in one line, not padded; the extremes only when there is room."""
    value = _value(panel)
    room = 20 if width >= 40 else 14
    label = fit(_label(panel, room, glyphs), room)
    row: Row = (*label, Span(column(value.text.rjust(10), 10, glyphs.ellipsis), value.role))
    row = (*row, *fit(_mark(panel), GUTTER))
    if width >= _WITH_EXTREMES:
        row = (*row, Span(f"{_extreme(panel, 'lo'):<10}{_extreme(panel, 'hi'):<11}", "dim"))
    return row


def _with_graph(panel: Panel, width: int, axis: Axis, glyphs: Glyphs) -> Row:
    """One line for small terminals: numbers, and what is left for a graph of one row."""
    row = single_row(panel, width, glyphs)
    left = width - width_of(row) - 1
    drawn = _graph(replace(panel, others=(), limits=()), left, 1, axis, glyphs) if left >= 8 else None
    if drawn is not None:
        row = (*row, Span(drawn.rows[0], panel.graph_role))
    return fit(row, width)


def _title(panel: Panel, width: int, graph_cells: int, large: bool, glyphs: Glyphs) -> Row:
    """` 1 VOLTAGE  R1 A    131.9 kV   !! LOW`: the value ends where the graph ends."""
    value = _value(panel)
    end = _MARGIN + graph_cells + (_LABELS - GUTTER // 2 if large else 0)
    room = max(0, end - width_of((value,)) - 1)
    label = fit((*_label(panel, room, glyphs), *_legend(panel, large, glyphs)), room)
    return fit((*label, Span(" "), value, *_mark(panel)), width)


def _bar(panel: Panel, glyphs: Glyphs) -> Span:
    return Span(f"{glyphs.selected if panel.selected else ' '} ", "accent")


def _label(panel: Panel, room: int, glyphs: Glyphs) -> Row:
    """Number, quantity and place; where they are too long for `room` cells, the letter for the quantity."""
    words, role = panel.quantity.name.replace("_", " ").upper(), _title_role(panel)
    letter = _LETTERS.get(panel.quantity.name)
    if letter and _MARGIN + len(f"{panel.number} {words:<{_LONGEST_NAME}} {panel.place}") > room:
        return _bar(panel, glyphs), Span(f"{panel.number} {letter} ", role), Span(panel.place)
    place = Span(panel.place, "plain" if panel.place else "dim")
    if len(words) > _LONGEST_NAME and panel.place:
        # A long name is cut at its end: better that than not to know where.
        return _bar(panel, glyphs), Span(f"{panel.number} ", role), place, Span(f" {words}", role)
    return _bar(panel, glyphs), Span(f"{panel.number} {words:<{_LONGEST_NAME}} ", role), place


def _title_role(panel: Panel) -> Role:
    return "title" if panel.selected else "plain"


def _legend(panel: Panel, large: bool, glyphs: Glyphs) -> Row:
    """How each of several curves is drawn: `━ B╍ C┅` behind the place, which names the first one."""
    if not panel.others:
        return ()
    if not large:
        return (Span("+" + "".join(curve.name for curve in panel.others), "dim"),)
    first, *styles = glyphs.curves
    words = (f" {curve.name}{style}" for curve, style in zip(panel.others, styles, strict=False))
    return (Span(first + "".join(words), "dim"),)


def _value(panel: Panel) -> Span:
    if not panel.place:
        return Span("no channel", "dim")
    return Span(numbers.with_unit(panel.curve.latest, panel.unit, panel.quantity.digits), panel.role)


def _mark(panel: Panel) -> Row:
    """` ?!! LOW`: bad or stale data, then the alarm by glyph and word."""
    data = "~" if panel.stale else "?" if panel.bad else " "
    if not panel.alarm:
        return (Span(f" {data}"),)
    role: Role = "critical" if panel.alarm.startswith("!!") else "warning"
    return Span(f" {data}"), Span(panel.alarm, role)


def _extreme(panel: Panel, word: str) -> str:
    value = panel.curve.lowest if word == "lo" else panel.curve.highest
    return "" if math.isnan(value) else f"{word} {_compact(panel, value)}"


def _compact(panel: Panel, value: float) -> str:
    return numbers.compact(value, panel.unit, panel.quantity.digits)


def _graph(panel: Panel, width: int, rows: int, axis: Axis, glyphs: Glyphs) -> Graph | None:
    if not panel.place or not len(panel.curve.minimum):
        return None
    return graph.draw(panel.curves, panel.limits, width, rows, axis, panel.scale, panel.least_span, glyphs)


def _gutter(panel: Panel, drawn: Graph, rows: int) -> list[str]:
    """Beside a small graph: where the newest value is, the limits, and the extremes of the window."""
    limits = {row: f"{limit.mark} {_compact(panel, limit.value)}" for row, limit in drawn.limits.items()}
    notes = [limits.get(row, "") for row in range(rows)]
    free = [row for row in range(rows) if not notes[row]]
    if free:
        notes[free[0]] = _extreme(panel, "hi")
    if len(free) > 1:
        notes[free[-1]] = _extreme(panel, "lo")
    arrows = [
        names if len(names) < 2 else "*" for names in (drawn.latest.get(row, "") for row in range(rows))
    ]
    return [f"{arrow:1}{note:>{GUTTER - 1}}" for arrow, note in zip(arrows, notes, strict=True)]


def _axis(panel: Panel, drawn: Graph, rows: int, glyphs: Glyphs) -> list[str]:
    """Beside a large graph: the limits in it by mark and value, and between them round values."""
    labels = [""] * rows
    steps = braille.STEPS if glyphs.only_ascii else braille.DOTS
    for value in round_values(drawn.bottom, drawn.top, rows // 2):
        row = braille.row_of(value, rows, drawn.bottom, drawn.top, steps)
        if row is not None:
            labels[row] = _compact(panel, value)
    for row, limit in drawn.limits.items():
        labels[row] = f"{limit.mark} {_compact(panel, limit.value)}"
    return [f"{label:>{_LABELS - 1}}{glyphs.tick if label else glyphs.axis}" for label in labels]


def _time_axis(panel: Panel, width: int, bar: Span) -> Row:
    """`-60 s      lo 88.53k  hi 132.3k      now` below a large graph."""
    cells = width - _MARGIN - _LABELS - _ARROWS
    middle = f"{_extreme(panel, 'lo')}  {_extreme(panel, 'hi')}"
    start = f"-{panel.window}"
    words = f"{start}{middle:^{max(0, cells - 2 * len(start))}}{'now':>{len(start)}}"
    return fit((bar, Span(" " * _LABELS), Span(words, "dim")), width)
