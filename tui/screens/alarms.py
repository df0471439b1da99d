"""The alarm screen: every alarm that is not normal, one of them chosen, and what is known of that one."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Resize

from gridtop.tui import keys
from gridtop.tui.view import marks
from gridtop.tui.view.alarm_details import detail_rows
from gridtop.tui.view.alarm_page import AlarmPage
from gridtop.tui.view.alarms import Alarm
from gridtop.tui.view.model import Model
from gridtop.tui.widgets.rows import Rows

from .alarm_card import AlarmCard
from .live import LiveScreen

_WITH_DETAILS = 18
"""Rows of the terminal from which on the chosen alarm is told of below the list."""
_DETAILS = (6, 9)
"""Rows for that, and from how many on (`_TALL`) there are more."""
_TALL = 36


class Alarms(LiveScreen):
    """A list to go through and to act on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.ORDERS,
        *keys.ALARM_LIST,
        *keys.DEVICES,
        *keys.BACK,
        *keys.GENERAL,
        *keys.TRANSPORT,
    ]

    MARKS = marks.ALARMS

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._page = AlarmPage()
        self._list = Rows(id="alarm-list")
        self._list.heading = True
        self._details = Rows(id="alarm-details")
        self._details.heading = True

    def middle(self) -> ComposeResult:
        """The list, and the chosen alarm."""
        yield self._list
        yield self._details

    def on_resize(self, event: Resize) -> None:
        """Share out the rows anew."""
        height = event.size.height
        self._details.display = height >= _WITH_DETAILS
        self._details.styles.height = _DETAILS[height >= _TALL]
        self.call_after_refresh(self.paint)

    def paint(self) -> bool:
        """Bring the list up to date."""
        model, page = self.model, self._page
        page.receive(model.alarms)
        self._list.show(page.rows(model.alarms, model.problems, *self._list.size, model.glyphs))
        if self._details.display:
            chosen = page.chosen
            head = model.alarm(chosen.parent) if chosen is not None else None
            self._details.show(detail_rows(chosen, head, *self._details.size, model.glyphs))
        return super().paint()

    @property
    def alarm_meant(self) -> Alarm | None:
        """The chosen one."""
        return self._page.chosen

    @property
    def alarms_on_view(self) -> list[Alarm]:
        """Those that are listed and in sight."""
        return self._page.on_view

    def go_on(self) -> None:
        """To the next alarm that nobody has acknowledged."""
        self._page.go_on()
        self.paint()

    def action_move(self, steps: int) -> None:
        """Choose the next alarm, or one before."""
        self._page.move(steps)
        self.paint()

    def action_page(self, pages: int) -> None:
        """Go on by what is visible."""
        self.action_move(pages * max(1, len(self._page.on_view) - 1))

    def action_end(self, side: int) -> None:
        """Choose the first alarm, or the last."""
        self.action_move(side * max(1, len(self.model.alarms)))

    def action_unfold(self) -> None:
        """List those that stand behind the chosen one."""
        self._page.unfold(self.model.alarms)
        self.paint()

    def action_fold(self) -> None:
        """Hide them again."""
        self._page.fold(self.model.alarms)
        self.paint()

    def action_card(self) -> None:
        """Show the chosen alarm in full."""
        if self._page.chosen is not None:
            self.app.push_screen(AlarmCard(self.model, self._page.chosen))

    def on_mouse_scroll_up(self) -> None:
        """Go through the list with the wheel, where the mouse is on."""
        self.action_move(-1)

    def on_mouse_scroll_down(self) -> None:
        """Go through the list with the wheel, where the mouse is on."""
        self.action_move(1)
