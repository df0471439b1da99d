"""A signal panel: name, place, value and alarm of one channel, above the envelope of its last minute."""

from __future__ import annotations

from gridtop.tui.view.model import Model
from gridtop.tui.view.panels import panel_rows

from .rows import Rows


class SignalPanel(Rows):
    """Panel number 0 to 3 of the model."""

    heading = True

    def __init__(self, number: int) -> None:
        super().__init__(id=f"panel-{number + 1}")
        self.number = number

    def paint(self, model: Model) -> None:
        """Show the model's panel in the room there is."""
        axis = model.chosen.axes[self.number]
        panel = model.panel(self.number)
        self.show(panel_rows(panel, self.size.width, self.size.height, axis, model.glyphs))
