"""The help screen: every key of the screen it was called from, and what the marks mean."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from gridtop.tui import keys
from gridtop.tui.glyphs import Glyphs
from gridtop.tui.view.marks import OVERVIEW, Marks


class Help(Screen[None]):
    """Generated from BINDINGS; any of its keys goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,space,enter", "app.back", "Back", id="help-back"),
    ]

    def __init__(self, bindings: Iterable[BindingType], glyphs: Glyphs, marks: Marks = OVERVIEW) -> None:
        super().__init__()
        self._keys, self._marks = keys.told(bindings, glyphs), marks

    def compose(self) -> ComposeResult:
        """One page that scrolls when the terminal is small."""
        with VerticalScroll(id="page"):
            yield Static(id="keys", markup=False)

    def on_resize(self) -> None:
        """Lay the page out for the width there is."""
        self.query_one("#keys", Static).update(page(self._keys, self.size.width - 2, self._marks))


def page(entries: list[tuple[str, str]], width: int, marks: Marks = OVERVIEW) -> Text:
    """Keys and marks in as many columns as fit."""
    text = Text("gridtop: keys", "bold", no_wrap=True)
    text.append("    Esc goes back\n", "not bold dim")
    text.append_text(_table([*entries, ("Ctrl+P", "commands by name")], width, 13, 38))
    text.append("\nmarks\n")
    return text.append_text(_table(marks, width, 3, 26))


def _table(entries: Iterable[tuple[str, str]], width: int, key: int, cells: int) -> Text:
    entries = list(entries)
    columns = max(1, width // cells)
    height = -(-len(entries) // columns)
    text = Text()
    for row in range(height):
        for at in range(row, len(entries), height):
            name, meaning = entries[at]
            text.append(f"{name:>{key}}  ", "bold")
            text.append(f"{meaning:<{cells - key - 2}}", "not bold")
        text.append("\n" if row < height - 1 else "")
    return text
