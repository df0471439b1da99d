"""The status line: source, state, position, speed, number of alarms."""

from __future__ import annotations

from gridtop.tui.view.model import Model

from .rows import Rows


class StatusLine(Rows):
    """One row at the top."""

    def paint(self, model: Model) -> None:
        """Show the model's status."""
        self.show([model.status(self.size.width)])
