"""The event list: a window on the log that follows the newest line or stands still."""

from __future__ import annotations

from gridtop.tui.view.log import has_heading
from gridtop.tui.view.model import Model

from .rows import Rows


class EventList(Rows):
    """Shows as many lines as there are rows. It has no scrollable size, so a new event costs no layout."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._painted: object = None

    def paint(self, model: Model) -> None:
        """Show the model's log, unless it is as it was."""
        picture = (model.log, model.log.revision, model.last_words, self.size)
        if picture != self._painted:
            self._painted = picture
            self.heading = has_heading(self.size.height)
            self.show(model.events(self.size.width, self.size.height))
