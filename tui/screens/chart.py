"""The chart screen: the selected panel as large as the terminal, with axes, drawn by plotext."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Resize

from gridtop.client import TelemetryRequest
from gridtop.tui import keys
from gridtop.tui.view.model import Model
from gridtop.tui.view.panels import Panel, single_row
from gridtop.tui.widgets.chart_plot import ChartPlot
from gridtop.tui.widgets.rows import Rows

from .live import LiveScreen

_SECONDS_BETWEEN_CHARTS = 1.0
"""A chart changes most of its cells: once a second is enough to read, and cheap on a slow line."""


class Chart(LiveScreen):
    """One channel over the window, with time below and values at the left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.GENERAL,
        *keys.BACK,
        *keys.TRANSPORT,
        *keys.HOURS,
        *keys.ALARMS,
        *keys.DEVICES,
        *keys.CHOICE,
        *keys.JUMPS,
        *keys.PANELS[1:],
    ]

    def __init__(self, model: Model, clock: Callable[[], float]) -> None:
        super().__init__(model)
        self._title = Rows(id="title")
        self._plot = ChartPlot(id="plot")
        self._clock = clock
        self._due = 0.0
        self._shown: tuple[int, str, float] | None = None

    def middle(self) -> ComposeResult:
        """The panel's title, and the chart."""
        yield self._title
        yield self._plot

    def on_resize(self, event: Resize) -> None:
        """Draw anew in the new size."""
        self._due = 0.0
        self.call_after_refresh(self.paint)

    def wanted(self) -> TelemetryRequest | None:
        """A bucket for each column of dots, of the selected panel's channel alone."""
        return self.model.chosen.request(self._plot.size.width, self.model.chosen.selected)

    def paint(self) -> bool:
        """The rows at once, the chart when it is its turn."""
        super().paint()
        panel = self.model.panel(self.model.chosen.selected)
        self._title.show([single_row(panel, self._title.size.width, self.model.glyphs)])
        shown = (panel.number, panel.place, self.model.chosen.window)
        if self._clock() < self._due and shown == self._shown:
            return False
        self._due, self._shown = self._clock() + _SECONDS_BETWEEN_CHARTS, shown
        self._draw(panel)
        return True

    def _draw(self, panel: Panel) -> None:
        telemetry = self.model.telemetry
        end = telemetry.end if telemetry is not None and not self.model.by_row else None
        self._plot.set_classes(panel.severity)
        self._plot.draw(panel, self.model.chosen.window, end, self.model.glyphs)
