"""The card of one alarm: everything that is known of it, who did what to it, on a page of its own."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.events import Resize

from gridtop.tui import keys
from gridtop.tui.view import marks
from gridtop.tui.view.alarm_details import card_rows
from gridtop.tui.view.alarms import Alarm
from gridtop.tui.view.model import Model
from gridtop.tui.view.rows import Span
from gridtop.tui.widgets.rows import Rows

from .live import LiveScreen

_MARGIN = 4
"""Cells beside the text: one at the left, the scroll bar and a gap before it at the right."""


class AlarmCard(LiveScreen):
    """Goes on with the alarm while it lasts; when it is over, the card stays as it was last."""

    BINDINGS: ClassVar[list[BindingType]] = [*keys.ORDERS, *keys.CARD, *keys.BACK, *keys.GENERAL]

    MARKS = marks.ALARMS

    def __init__(self, model: Model, alarm: Alarm) -> None:
        super().__init__(model)
        self._alarm = alarm
        self._title = Rows(id="title")
        self._facts = Rows(id="facts")

    def middle(self) -> ComposeResult:
        """One page that scrolls when the terminal is small."""
        yield self._title
        with VerticalScroll(id="page"):
            yield self._facts

    def on_resize(self, event: Resize) -> None:
        """Lay the page out for the width there is."""
        self.call_after_refresh(self.paint)

    def paint(self) -> bool:
        """Bring the card up to date."""
        model = self.model
        now = model.alarm(self._alarm.id)
        self._alarm = now or self._alarm
        words = self._alarm.state_words if now is not None else "over"
        self._title.show([(Span(f" ALARM  {words}", "title"),)])
        rows = card_rows(
            self._alarm,
            model.alarm(self._alarm.parent),
            [alarm for alarm in model.alarms if alarm.parent == self._alarm.id],
            model.log.about(self._alarm.id),
            self.size.width - _MARGIN,
            model.glyphs,
        )
        if len(rows) != len(self._facts.rows):
            self._facts.styles.height = len(rows)
        self._facts.show(rows)
        return super().paint()

    @property
    def alarm_meant(self) -> Alarm | None:
        """The alarm of the card, as long as it lasts."""
        return self.model.alarm(self._alarm.id)

    def action_move(self, rows: int) -> None:
        """Scroll the page."""
        self.query_one("#page").scroll_relative(y=rows, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by what is visible."""
        self.action_move(pages * max(1, self.query_one("#page").size.height - 1))
