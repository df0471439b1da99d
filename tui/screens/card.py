"""The card of one event: everything that is known of it, on a page of its own."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import Screen

from gridtop.tui.view.card import card_rows
from gridtop.tui.view.model import Model
from gridtop.tui.view.rows import Span
from gridtop.tui.widgets.rows import Rows

_MARGIN = 6
"""Cells beside the text: the padding on both sides, the scroll bar and a gap before it."""


class Card(Screen[None]):
    """Shows the marked event, or the newest one; `n` and `N` go on to its neighbours."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,e,enter", "app.back", "Back", id="card-back"),
        Binding("n", "go(1)", "Next", id="card-next"),
        Binding("N", "go(-1)", "Before", id="card-before"),
        Binding("down,j", "move(1)", "Down", id="card-down"),
        Binding("up,k", "move(-1)", "Up", id="card-up"),
    ]

    def __init__(self, model: Model, page: int) -> None:
        super().__init__()
        self.model, self._page = model, page
        self._followed = False

    def compose(self) -> ComposeResult:
        """One page that scrolls when the terminal is small."""
        with Vertical(id="card"):
            yield Rows(id="title")
            with VerticalScroll(id="page"):
                yield Rows(id="facts")

    def on_mount(self) -> None:
        """Hold on to the event: it must not change while it is read. The page has no size before layout."""
        self._followed = self.model.log.following
        if self._followed:
            self.model.log.mark(-1, self._page)
        self.call_after_refresh(self.on_resize)

    def on_unmount(self) -> None:
        """Leave the log as it was."""
        if self._followed:
            self.model.log.follow()

    def on_resize(self) -> None:
        """Lay the page out for the width there is."""
        log, facts = self.model.log, self.query_one("#facts", Rows)
        line = log.spoken_of
        where = f"event {log.number_of(line)} of {len(log)}" if line else "no events yet"
        keys = "n N next, before   Esc back"
        self.query_one("#title", Rows).show([(Span(f"{where}   ", "title"), Span(keys, "dim"))])
        rows = card_rows(line.event, self.size.width - _MARGIN, self.model.glyphs) if line else ()
        facts.styles.height = max(1, len(rows))
        facts.show(rows)

    def action_go(self, steps: int) -> None:
        """To the next event, or the one before."""
        self.model.log.mark(steps, self._page)
        self.on_resize()
        self.query_one("#page").scroll_home(animate=False)

    def action_move(self, rows: int) -> None:
        """Scroll the page."""
        self.query_one("#page").scroll_relative(y=rows, animate=False)
