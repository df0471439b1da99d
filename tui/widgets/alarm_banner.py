"""The alarm banner: the one alarm, failure or answer that a person has to see."""

from __future__ import annotations

from gridtop.tui.view.model import Model

from .rows import Rows


class AlarmBanner(Rows):
    """One row below the status line, calm when there is nothing to say."""

    def paint(self, model: Model) -> None:
        """Show the model's banner."""
        self.show([model.banner(self.size.width)])
