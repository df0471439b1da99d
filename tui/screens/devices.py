"""The screen of devices: how the data come, from the stream as a whole and from each device in it."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.events import Resize

from gridtop.tui import keys
from gridtop.tui.view import marks
from gridtop.tui.view.device_page import DevicePage
from gridtop.tui.view.model import Model
from gridtop.tui.widgets.rows import Rows

from .device_card import DeviceCard
from .live import LiveScreen


class Devices(LiveScreen):
    """A list to go through; the monitor is asked for its figures once a second while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.DEVICE_LIST,
        *keys.BACK,
        *keys.GENERAL,
        *keys.TRANSPORT,
        *keys.ALARMS,
    ]

    MARKS = marks.DEVICES
    shows_statistics = True

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._page = DevicePage()
        self._list = Rows(id="device-list")
        self._list.heading = True

    def middle(self) -> ComposeResult:
        """The list alone."""
        yield self._list

    def on_resize(self, event: Resize) -> None:
        """Lay the page out for the size there is."""
        self.call_after_refresh(self.paint)

    def paint(self) -> bool:
        """Bring the list up to date."""
        model = self.model
        self._page.receive(model.devices)
        self._list.show(self._page.rows(*self._list.size, bool(model.freshness.age_words), model.glyphs))
        return super().paint()

    def action_move(self, steps: int) -> None:
        """Choose the next device, or one before; the stream comes before the first."""
        self._page.move(steps)
        self.paint()

    def action_page(self, pages: int) -> None:
        """Go on by what is visible."""
        self._page.turn(pages)
        self.paint()

    def action_end(self, side: int) -> None:
        """Choose the stream, or the last device."""
        self._page.end(side)
        self.paint()

    def action_card(self) -> None:
        """Show everything that is known of what is chosen."""
        if self._page.chosen is not None or self._page.is_stream_chosen:
            self.app.push_screen(DeviceCard(self.model, self._page.chosen))

    def on_mouse_scroll_up(self) -> None:
        """Go through the list with the wheel, where the mouse is on."""
        self.action_move(-1)

    def on_mouse_scroll_down(self) -> None:
        """Go through the list with the wheel, where the mouse is on."""
        self.action_move(1)
