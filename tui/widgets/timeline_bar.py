"""The timeline: how far the recording has played and where something happened; a click goes there."""

from __future__ import annotations

from textual.events import Click

from gridtop.tui.view.model import Model

from .rows import Rows


class TimelineBar(Rows):
    """One row; painted anew only when something moves by a cell."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._model: Model | None = None

    def paint(self, model: Model) -> None:
        """Show the model's timeline."""
        self._model = model
        if self.display:
            self.show([model.time_line(self.size.width)])

    async def on_click(self, click: Click) -> None:
        """Go to the row that was clicked at."""
        row = self._model.row_at(click.x) if self._model is not None else None
        if row is not None:
            await self.run_action(f"app.seek_row({row})")
