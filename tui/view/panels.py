"""The four panels: which channel each shows, and what it says about it, row by row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from gridtop.channels import Channel, ChannelSet
from gridtop.tui.glyphs import Glyphs

from . import numbers
from .axis import Axis
from .rows import Role, Row, Span, column, fit, width_of

Floats = npt.NDArray[np.float64]

GUTTER = 11
"""Cells at the right of a graph for the highest and lowest value (` hi 132.4k `) and the alarm's mark."""
_WITH_EXTREMES = 62
"""Cells from which on a panel of one row shows the lowest and highest value too."""
_MARGIN = 2
"""Cells at the left for the bar that marks the selected panel."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a panel is about. The graph's axis is never shorter than `share` of the value or `least`."""

    name: str
    unit: str
    digits: int
    share: float
    least: float
    related: tuple[str, ...] = ()
    """Quantities whose alarms belong to this panel although their names do not contain its name."""

    def concerns(self, quantity: str) -> bool:
        """Whether an alarm on this (perhaps derived) quantity belongs to the panel."""
        return self.name in quantity or quantity in self.related


QUANTITIES = (
    Quantity("voltage", "V", 4, 0.02, 1e-3),
    Quantity("current", "A", 3, 0.05, 1e-3),
    Quantity("impedance", "ohm", 3, 0.05, 1e-3, ("admittance",)),
    Quantity("frequency", "Hz", 5, 0.0, 0.05, ("rocof",)),
)
"""A voltage moves by 2 % and a frequency by 50 mHz before it fills the height of its panel."""


class Choice:
    """Which channel of its quantity a panel shows: the person chooses a terminal and a phase."""

    def __init__(self, quantity: Quantity, channels: ChannelSet) -> None:
        self._terminals: dict[str, list[Channel]] = {}
        for channel in channels:
            if channel.quantity == quantity.name and channel.part in ("magnitude", "value"):
                self._terminals.setdefault(channel.terminal or channel.base_name, []).append(channel)
        self._terminal = 0
        self._phase = 0

    @property
    def channel(self) -> Channel | None:
        """The channel on show, None when the recording has none of this quantity."""
        phases = self._phases
        return phases[self._phase] if phases else None

    @property
    def place(self) -> str:
        """The channel's terminal and phase as they came from outside: `R1 A`."""
        channel = self.channel
        return f"{channel.terminal or channel.base_name} {channel.phase}".rstrip() if channel else ""

    @property
    def _phases(self) -> list[Channel]:
        terminals = list(self._terminals.values())
        return terminals[self._terminal] if terminals else []

    def next_terminal(self) -> None:
        """Go to the next terminal, in the same phase if it has it."""
        if len(self._terminals) > 1:
            self._go((self._terminal + 1) % len(self._terminals))

    def go_to(self, terminal: str) -> None:
        """Go to a terminal by name, if this quantity is measured there."""
        if terminal in self._terminals:
            self._go(list(self._terminals).index(terminal))

    def next_phase(self) -> None:
        """Go to the next channel of the terminal."""
        if self._phases:
            self._phase = (self._phase + 1) % len(self._phases)

    def _go(self, terminal: int) -> None:
        before = self.channel
        self._terminal = terminal
        phases = [channel.phase for channel in self._phases]
        self._phase = phases.index(before.phase) if before and before.phase in phases else 0


@dataclass(frozen=True, slots=True)
class Panel:
    """Everything a panel shows at one moment; its text is harmless already."""

    number: int
    quantity: Quantity
    place: str
    unit: str = ""
    latest: float = float("nan")
    minimum: Floats = field(default_factory=lambda: np.empty(0))
    maximum: Floats = field(default_factory=lambda: np.empty(0))
    bad: bool = False
    """The newest frame has no good value: `?`."""
    stale: bool = False
    """Nothing new has come for a while: `~`."""
    severity: str = ""
    """`warning` or `critical` while the channel on show is in alarm."""
    alarm: str = ""
    """The alarm in a word: LOW, HIGH, or the place (`R3 B`) when another channel of the quantity has it."""
    selected: bool = False
    window: str = ""

    @property
    def lowest(self) -> float:
        """The lowest value of the window, NaN when there is none."""
        return _extreme(np.fmin, self.minimum)

    @property
    def highest(self) -> float:
        """The highest value of the window, NaN when there is none."""
        return _extreme(np.fmax, self.maximum)

    @property
    def least_span(self) -> float:
        """The shortest axis that shows this signal without making much of its noise."""
        size = max(abs(self.lowest), abs(self.highest))
        return max(self.quantity.least, self.quantity.share * size if math.isfinite(size) else 0.0)

    @property
    def role(self) -> Role:
        """How the graph and the value look: plain unless the channel is in alarm."""
        if self.severity == "critical":
            return "critical"
        return "warning" if self.severity == "warning" else "strong"


def graph_width(width: int) -> int:
    """Cells of a panel of this width that are left for the graph."""
    return max(1, width - _MARGIN - GUTTER)


def panel_rows(panel: Panel, width: int, height: int, axis: Axis, glyphs: Glyphs) -> tuple[Row, ...]:
    """A panel as `height` rows of `width` cells: a title with the value, and below it the graph.

    With a single row there is only the title, with as many numbers as fit.
    """
    if height < 2:
        return (_with_graph(panel, width, axis, glyphs),) if height else ()
    gutter = [""] * (height - 1)
    gutter[0] = _extreme_text("hi", panel.highest, panel)
    if height > 2:
        gutter[-1] = _extreme_text("lo", panel.lowest, panel)
    if height > 4:
        gutter[(height - 1) // 2] = panel.window
    graph = _graph(panel, graph_width(width), height - 1, axis, glyphs)
    rows = [_title(panel, width, glyphs)]
    bar = _bar(panel, glyphs)
    for line, note in zip(graph, gutter, strict=True):
        row = (bar, Span(line, _graph_role(panel)), Span(f"{note:>{GUTTER - 1}} ", "dim"))
        rows.append(fit(row, width))
    return tuple(rows)


def _title(panel: Panel, width: int, glyphs: Glyphs) -> Row:
    """` 1 VOLTAGE  R1 A    131.9 kV   !! LOW`: the value ends where the graph ends."""
    value = _value(panel)
    label = fit(_label(panel, glyphs), max(0, _MARGIN + graph_width(width) - width_of((value,)) - 1))
    return fit((*label, Span(" "), value, *_mark(panel, glyphs)), width)


def single_row(panel: Panel, width: int, glyphs: Glyphs) -> Row:
    """A panel's numbers in one line, not padded; the extremes only when there is room."""
    value = _value(panel)
    label = fit(_label(panel, glyphs), 20 if width >= 40 else 14)
    row: Row = (*label, Span(column(value.text.rjust(10), 10, glyphs.ellipsis), value.role))
    row = (*row, *fit(_mark(panel, glyphs), GUTTER))
    if width >= _WITH_EXTREMES:
        low, high = (_extreme_text(*side, panel) for side in (("lo", panel.lowest), ("hi", panel.highest)))
        row = (*row, Span(f"{low:<10}{high:<11}", "dim"))
    return row


def _with_graph(panel: Panel, width: int, axis: Axis, glyphs: Glyphs) -> Row:
    """One line for small terminals: numbers, and what is left for a graph of one row."""
    row = single_row(panel, width, glyphs)
    left = width - width_of(row) - 1
    if left >= 8:
        row = (*row, Span(_graph(panel, left, 1, axis, glyphs)[0], _graph_role(panel)))
    return fit(row, width)


def _bar(panel: Panel, glyphs: Glyphs) -> Span:
    return Span(f"{glyphs.selected if panel.selected else ' '} ", "accent")


def _label(panel: Panel, glyphs: Glyphs) -> Row:
    name = Span(f"{panel.number} {panel.quantity.name.upper():<9} ", "title" if panel.selected else "plain")
    return _bar(panel, glyphs), name, Span(panel.place, "plain" if panel.place else "dim")


def _value(panel: Panel) -> Span:
    if not panel.place:
        return Span("no channel", "dim")
    return Span(numbers.with_unit(panel.latest, panel.unit, panel.quantity.digits), panel.role)


def _mark(panel: Panel, glyphs: Glyphs) -> Row:
    """` ?!! LOW`: bad or stale data, then the alarm by glyph and word."""
    data = "~" if panel.stale else "?" if panel.bad else " "
    if not panel.alarm:
        return (Span(f" {data}"),)
    role: Role = "critical" if panel.alarm.startswith("!!") else "warning"
    return Span(f" {data}"), Span(panel.alarm, role)


def _graph_role(panel: Panel) -> Role:
    return "graph" if panel.role == "strong" else panel.role


def _extreme_text(word: str, value: float, panel: Panel) -> str:
    return "" if np.isnan(value) else f"{word} {numbers.compact(value, panel.unit, panel.quantity.digits)}"


def _graph(panel: Panel, width: int, rows: int, axis: Axis, glyphs: Glyphs) -> list[str]:
    """The envelope of the newest 2 * width buckets, the newest at the right edge."""
    minimum, maximum = _newest(panel.minimum, 2 * width), _newest(panel.maximum, 2 * width)
    if not panel.place or not len(panel.minimum):
        return [" " * width] * rows
    bottom, top = axis.fit(panel.lowest, panel.highest, panel.least_span)
    return glyphs.draw(minimum, maximum, rows, bottom, top)


def _newest(values: Floats, count: int) -> Floats:
    """(count,) the last values, with gaps in front when there are fewer."""
    kept = values[-count:]
    return np.concatenate((np.full(count - len(kept), np.nan), kept))


def _extreme(operation: np.ufunc, values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(operation.reduce(finite)) if len(finite) else float("nan")


def in_order(choices: Sequence[Choice]) -> tuple[str, ...]:
    """The names of the channels on show, without repetition: what telemetry is asked for."""
    return tuple(dict.fromkeys(choice.channel.name for choice in choices if choice.channel))


def measured(panel: Panel, latest: float, minimum: Floats, maximum: Floats, bad: bool) -> Panel:
    """The panel with what telemetry says about its channel; what is not finite is a gap from here on."""
    ends = [np.where(np.isfinite(side), side, np.nan) for side in (minimum, maximum)]
    return replace(panel, latest=latest, minimum=np.fmin(*ends), maximum=np.fmax(*ends), bad=bad)
