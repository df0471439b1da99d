"""The overview: four panels, the alarms beside them where there is room, timeline and event log."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal

from gridtop.client import TelemetryRequest
from gridtop.tui import keys
from gridtop.tui.view.alarms import Alarm
from gridtop.tui.view.choices import PANELS
from gridtop.tui.view.layout import layout
from gridtop.tui.view.log import has_heading
from gridtop.tui.view.model import Model
from gridtop.tui.view.panels import graph_width, is_large
from gridtop.tui.widgets.alarm_list import AlarmList
from gridtop.tui.widgets.event_list import EventList
from gridtop.tui.widgets.signal_panel import SignalPanel
from gridtop.tui.widgets.timeline_bar import TimelineBar

from .card import Card
from .live import LiveScreen


class Overview(LiveScreen):
    """The first screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.GENERAL,
        *keys.TRANSPORT,
        *keys.HOURS,
        *keys.ALARMS,
        *keys.DEVICES,
        *keys.PANELS,
        *keys.JUMPS,
        *keys.CHOICE,
        *keys.LOG,
    ]

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._panels = [SignalPanel(number) for number in range(PANELS)]
        self._alarms = AlarmList(id="alarms")
        self._timeline = TimelineBar(id="timeline")
        self._log = EventList(id="log")

    def middle(self) -> ComposeResult:
        """Panels and alarms, timeline and log."""
        yield Horizontal(Container(*self._panels, id="panels"), self._alarms, id="upper")
        yield self._timeline
        yield self._log

    def on_resize(self, event: events.Resize) -> None:
        """Share out the rows anew."""
        room = layout(event.size.width, event.size.height)
        panels = self.query_one("#panels")
        panels.styles.grid_size_columns = room.columns
        panels.styles.grid_size_rows = PANELS // room.columns
        self.query_one("#upper").styles.height = room.panels
        self._alarms.display = room.side > 0
        self._alarms.styles.width = room.side
        self._timeline.display = room.timeline > 0
        self._log.styles.height = room.log
        width = (event.size.width - room.side) // room.columns
        self.model.chosen.room_for_overlay = is_large(width, room.panel)
        self.call_after_refresh(self.paint)

    def wanted(self) -> TelemetryRequest | None:
        """Two buckets for each cell of the widest panel."""
        sizes = [panel.size for panel in self._panels]
        widest = max(graph_width(*size) if size.width else 0 for size in sizes)
        return self.model.chosen.request(widest)

    def paint(self) -> bool:
        """Bring all widgets up to date."""
        for panel in self._panels:
            panel.paint(self.model)
        self._alarms.paint(self.model)
        self._timeline.paint(self.model)
        self._log.paint(self.model)
        return super().paint()

    @property
    def alarms_on_view(self) -> list[Alarm]:
        """Those of the list, where there is one."""
        listed = self._alarms.on_view(self.model) if self._alarms.display else []
        return listed or super().alarms_on_view

    def action_follow(self) -> None:
        """Follow the newest events."""
        self.model.log.follow()
        self.paint()

    def action_scroll_log(self, lines: int) -> None:
        """Move the window on the log."""
        self.model.log.scroll(lines, self._page)
        self.paint()

    def action_scroll_page(self, pages: int) -> None:
        """Move the window on the log by what is visible."""
        self.action_scroll_log(pages * max(1, self._page - 1))

    def action_mark(self, steps: int) -> None:
        """Mark the next line of the log, or the one before."""
        self.model.log.mark(steps, self._page)
        self.paint()

    def action_card(self) -> None:
        """Show the marked event, or the newest, in full."""
        self.app.push_screen(Card(self.model, self._page))

    def action_oldest(self) -> None:
        """Go to the oldest event."""
        self.action_scroll_log(-len(self.model.log))

    def on_mouse_scroll_up(self) -> None:
        """Scroll the log with the wheel, where the mouse is on."""
        self.action_scroll_log(-3)

    def on_mouse_scroll_down(self) -> None:
        """Scroll the log with the wheel, where the mouse is on."""
        self.action_scroll_log(3)

    @property
    def _page(self) -> int:
        height = self._log.size.height
        return height - has_heading(height)
