"""The dialogue that asks where to go."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from gridtop.tui.view import seeking
from gridtop.tui.view.rows import Span
from gridtop.tui.widgets.rows import Rows


class GoTo(ModalScreen[seeking.Target | None]):
    """Answers with a row or a time, or None when the person changed their mind."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Back", id="go-to-back")]

    def __init__(self, position: seeking.Position) -> None:
        super().__init__()
        self._position = position

    def compose(self) -> ComposeResult:
        """A line to write on, and a line with examples or with what was wrong."""
        with Vertical(id="dialog"):
            yield Rows(id="question")
            yield Input(id="place", select_on_focus=False)
            yield Rows(id="answer")

    def on_resize(self) -> None:
        """Say what may be written."""
        self.query_one("#question", Rows).show([(Span("Go to a time or a row", "title"),)])
        self.query_one("#answer", Rows).show([(Span(seeking.EXAMPLES, "dim"),)])

    def on_mount(self) -> None:
        """The dialogue has no size before it is laid out."""
        self.call_after_refresh(self.on_resize)

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """Go there, or say why that is no place."""
        try:
            self.dismiss(seeking.parse(submitted.value, self._position))
        except ValueError as error:
            self.query_one("#answer", Rows).show([(Span(str(error), "warning"),)])
