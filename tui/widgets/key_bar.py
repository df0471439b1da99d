"""The key bar: the bindings of the screen above it, as many as fit."""

from __future__ import annotations

from gridtop.tui.keys import footer, mapped
from gridtop.tui.view.model import Model
from gridtop.tui.view.rows import Row, Span, width_of

from .rows import Rows


class KeyBar(Rows):
    """One row at the bottom, generated from the screen's BINDINGS, so that it is always true."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._painted: object = None

    def paint(self, model: Model) -> None:
        """Show the keys that are of use; those for pause and recording say what they would do now."""
        picture = (model.paused, model.recording, model.of_live_source, self.size, model.keys)
        if picture != self._painted:
            self._painted = picture
            self.show([self._row(model, self.size.width)])

    def _row(self, model: Model, width: int) -> Row:
        row: Row = (Span(" "),)
        turned = {"Pause": "Resume"} if model.paused else {}
        turned |= {"Record": "End rec"} if model.recording else {}
        bindings = mapped(self.screen.BINDINGS, model.keys)
        for names, words in footer(bindings, model.glyphs, model.of_live_source):
            words = turned.get(words, words)
            piece = (Span(names, "accent"), Span(f" {words}  ", "dim"))
            if width_of((*row, *piece)) > width + 1:
                break
            row = (*row, *piece)
        return row
