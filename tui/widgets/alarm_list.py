"""The list of active alarms beside the panels, where there is room for it."""

from __future__ import annotations

from gridtop.tui.view.alarm_rows import alarms_on_view
from gridtop.tui.view.alarms import Alarm
from gridtop.tui.view.model import Model

from .rows import Rows


class AlarmList(Rows):
    """The worst first, with what does not work below."""

    heading = True

    def paint(self, model: Model) -> None:
        """Show the model's alarms; while it is hidden, it has no size."""
        if self.display:
            self.show(model.alarm_list(self.size.width, self.size.height))

    def on_view(self, model: Model) -> list[Alarm]:
        """The alarms that can be seen in it."""
        return alarms_on_view(model.alarms, model.problems, self.size.height, model.glyphs)
