"""The dialogue that asks for a line of text: where to go, which events to show."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from gridtop.tui.view.rows import Span
from gridtop.tui.widgets.rows import Rows

Answer = TypeVar("Answer")


class Ask(ModalScreen[Answer | None], Generic[Answer]):
    """Answers with what `read` makes of the text, or None when the person changed their mind.

    `read` raises ValueError in words for the person. `examples` say what may be written, `text` stands
    on the line at first; with `replace`, what is typed takes its place.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", "Back", id="ask-back")]

    def __init__(
        self,
        question: str,
        examples: str,
        read: Callable[[str], Answer],
        text: str = "",
        replace: bool = False,
    ) -> None:
        super().__init__()
        self._replace = replace
        self._question, self._examples, self._read, self._text = question, examples, read, text

    def compose(self) -> ComposeResult:
        """A line to write on, and a line with examples or with what was wrong."""
        with Vertical(id="dialog"):
            yield Rows(id="question")
            yield Input(self._text, id="place", select_on_focus=self._replace)
            yield Rows(id="answer")

    def on_resize(self) -> None:
        """Say what may be written."""
        self.query_one("#question", Rows).show([(Span(self._question, "title"),)])
        self.query_one("#answer", Rows).show([(Span(self._examples, "dim"),)])

    def on_mount(self) -> None:
        """The dialogue has no size before it is laid out."""
        self.call_after_refresh(self.on_resize)

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """Answer, or say why that is no answer."""
        try:
            self.dismiss(self._read(submitted.value))
        except ValueError as error:
            self.query_one("#answer", Rows).show([(Span(str(error), "warning"),)])
