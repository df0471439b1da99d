"""The dialogue that offers a list of names: type to narrow it, arrows to go through it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from gridtop.tui.view.picking import matching, picking_rows
from gridtop.tui.view.rows import Span
from gridtop.tui.widgets.rows import Rows


class Pick(ModalScreen[str | None]):
    """Answers with the name picked, or None when the person changed their mind."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Back", id="pick-back"),
        Binding("up", "move(-1)", "Up", id="pick-up", priority=True),
        Binding("down", "move(1)", "Down", id="pick-down", priority=True),
    ]

    def __init__(self, question: str, names: Sequence[str], chosen: str = "") -> None:
        super().__init__()
        self._question, self._names = question, tuple(names)
        self._found = self._names
        self._at = self._names.index(chosen) if chosen in self._names else 0

    def compose(self) -> ComposeResult:
        """A line to type on, and the names below it."""
        with Vertical(id="dialog"):
            yield Rows(id="question")
            yield Input(id="place", select_on_focus=False)
            yield Rows(id="names")

    def on_mount(self) -> None:
        """The dialogue has no size before it is laid out."""
        self.call_after_refresh(self.on_resize)

    def on_resize(self) -> None:
        """Show the question and the names."""
        self.query_one("#question", Rows).show([(Span(self._question, "title"),)])
        self._list()

    def _list(self) -> None:
        rows = self.query_one("#names", Rows)
        rows.show(picking_rows(self._found, self._at, rows.size.width))

    def on_input_changed(self, changed: Input.Changed) -> None:
        """Narrow the list to what was typed."""
        if changed.value or self._found != self._names:
            self._found, self._at = matching(self._names, changed.value), 0
            self._list()

    def action_move(self, steps: int) -> None:
        """Go up or down in the list."""
        self._at = max(0, min(self._at + steps, len(self._found) - 1))
        self._list()

    def on_input_submitted(self) -> None:
        """Answer with the name at the mark."""
        if self._found:
            self.dismiss(self._found[self._at])
