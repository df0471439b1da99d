"""Keys that choose what the screen shows: panels, places, quantities, the window and the events."""

from __future__ import annotations

from .operating import Operating
from .screens.ask import Ask
from .screens.pick import Pick
from .view import filtering


class Choosing(Operating):
    """An app whose panels and log show what a person has chosen; the monitor does not hear of it."""

    def show_choice(self) -> None:
        """What the person chose is on the screen at once, and its data are asked for."""
        raise NotImplementedError

    def action_select(self, panel: int) -> None:
        """Select a panel."""
        self.model.chosen.select(panel)
        self.show_choice()

    def action_next_panel(self, steps: int) -> None:
        """Select the next panel, or the one before."""
        self.action_select(self.model.chosen.selected + steps)

    def action_terminal(self, everywhere: bool) -> None:
        """Show the next terminal."""
        self.model.chosen.next_terminal(everywhere)
        self.show_choice()

    def action_phase(self, everywhere: bool) -> None:
        """Show the next phase."""
        self.model.chosen.next_phase(everywhere)
        self.show_choice()

    def action_quantity(self) -> None:
        """Choose what the selected panel shows: a measured quantity, or one computed on request."""
        chosen = self.model.chosen

        def show(name: str | None) -> None:
            if name is not None:
                chosen.show_quantity(name)
                self.show_choice()

        if chosen.quantities:
            now = chosen.quantity(chosen.selected).name
            self.push_screen(Pick(f"Panel {chosen.selected + 1} shows", chosen.quantities, now), show)

    def action_window(self, steps: int) -> None:
        """Look back further or less far."""
        self.model.chosen.widen(steps)
        self.show_choice()

    def action_overlay(self) -> None:
        """Lay the other phases over the one on show, or take them away."""
        self.model.chosen.toggle_overlay()
        self.show_choice()

    def action_scale(self) -> None:
        """Fit the data, show the limits too, or hold the scale."""
        self.model.chosen.next_scale()
        self.show_choice()

    def action_filter(self) -> None:
        """Ask which events to show, and show those."""

        def choose(text: str | None) -> None:
            if text is not None:
                self.model.filter(text)
                self.show_choice()

        self.push_screen(
            Ask("Show only events with", filtering.EXAMPLES, str, str(self.model.log.filter)), choose
        )

    def action_all_events(self) -> None:
        """Show all events again."""
        self.model.filter("")
        self.show_choice()
