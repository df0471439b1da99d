"""The event list: a window on the log that follows the newest line or stands still."""

from __future__ import annotations

from gridtop.tui.view.model import Model

from .rows import Rows


class EventList(Rows):
    """Shows as many lines as there are rows. It has no scrollable size, so a new event costs no layout."""

    heading = True

    def paint(self, model: Model) -> None:
        """Show the model's log."""
        self.show(model.events(self.size.width, self.size.height))
