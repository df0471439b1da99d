"""The card of one device, or of the whole stream: every figure by its name, on a page of its own."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.events import Resize

from gridtop.tui import keys
from gridtop.tui.view import marks
from gridtop.tui.view.device_card import card_rows
from gridtop.tui.view.device_list import Device
from gridtop.tui.view.model import Model
from gridtop.tui.view.rows import Span
from gridtop.tui.widgets.rows import Rows

from .live import LiveScreen

_MARGIN = 4
"""Cells beside the text: one at the left, the scroll bar and a gap before it at the right."""


class DeviceCard(LiveScreen):
    """Goes on with the device while there is one; when it is gone, the card stays as it was last."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *keys.DEVICE_CARD,
        *keys.BACK,
        *keys.GENERAL,
        *keys.TRANSPORT,
        *keys.ALARMS,
    ]

    MARKS = marks.DEVICES
    shows_statistics = True

    def __init__(self, model: Model, device: Device | None) -> None:
        super().__init__(model)
        self._device = device
        self._title = Rows(id="title")
        self._figures = Rows(id="figures")

    def middle(self) -> ComposeResult:
        """One page that scrolls when the terminal is small."""
        yield self._title
        with VerticalScroll(id="page"):
            yield self._figures

    def on_resize(self, event: Resize) -> None:
        """Lay the page out for the width there is."""
        self.call_after_refresh(self.paint)

    def paint(self) -> bool:
        """Bring the card up to date."""
        model, title, words, figures = self.model, " STREAM", "", self.model.devices.stream
        if self._device is not None:
            now = model.devices.device(self._device.key)
            self._device = now or self._device
            words, figures = self._device.words, self._device.figures
            title = f" DEVICE  {self._device.name}" + ("" if now is not None else "  (gone)")
        old = f"   {model.freshness.age_words} old" if model.freshness.age_words else ""
        self._title.show([(Span(title, "title"), Span(old, "warning"))])
        rows = card_rows(words, figures, self.size.width - _MARGIN, model.glyphs)
        if len(rows) != len(self._figures.rows):
            self._figures.styles.height = len(rows)
        self._figures.show(rows)
        return super().paint()

    def action_move(self, rows: int) -> None:
        """Scroll the page."""
        self.query_one("#page").scroll_relative(y=rows, animate=False)

    def action_page(self, pages: int) -> None:
        """Scroll by what is visible."""
        self.action_move(pages * max(1, self.query_one("#page").size.height - 1))
