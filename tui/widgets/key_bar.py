"""The key bar: the bindings of the screen above it, as many as fit."""

from __future__ import annotations

from gridtop.tui.keys import footer
from gridtop.tui.view.model import Model
from gridtop.tui.view.rows import Row, Span, width_of

from .rows import Rows


class KeyBar(Rows):
    """One row at the bottom, generated from the screen's BINDINGS, so that it is always true."""

    def paint(self, model: Model) -> None:
        """Show the keys; the pause key says what it would do now."""
        row: Row = (Span(" "),)
        for names, words in footer(self.screen.BINDINGS, model.glyphs):
            words = "Resume" if words == "Pause" and model.paused else words
            piece = (Span(names, "accent"), Span(f" {words}  ", "dim"))
            if width_of((*row, *piece)) > self.size.width + 1:
                break
            row = (*row, *piece)
        self.show([row])
