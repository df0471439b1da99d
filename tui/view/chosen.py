"""What the person chose to see: channels, window, scale, phases laid over each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gridtop.channels import Channel
from gridtop.client import TelemetryRequest

from . import choices
from .axis import Axis
from .choices import PANELS, USUAL, Choice, Quantity
from .graph import SCALES, Scale

_MINUTE, _HOUR = 60.0, 3600.0
WINDOWS = (
    *(1.0, 2.0, 5.0, 10.0, 30.0, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 3 * _HOUR, 6 * _HOUR, 12 * _HOUR, 24 * _HOUR),
)
"""Seconds that panels and charts may look back."""


class Chosen:
    """Changes with keys only; the monitor knows nothing of it."""

    def __init__(self) -> None:
        self.choices: list[Choice] = []
        self._channels: tuple[Channel, ...] = ()
        self.axes = [Axis() for _ in USUAL]
        self.selected = 0
        self.window = _MINUTE
        self.scale: Scale = "fit"
        self.room_for_overlay = False
        """Whether the panels are large enough for several phases unless someone says otherwise."""
        self._overlay: bool | None = None

    def offer(self, channels: Iterable[Channel], panels: Sequence[str] = ()) -> None:
        """Choose from these channels; `panels` are the quantities to begin with."""
        self._channels = tuple(channels)
        names = (*panels, *(name for name in USUAL if name not in panels))[:PANELS]
        self.choices = [self._choice(name) for name in names]

    def renew(self, channels: Iterable[Channel]) -> None:
        """Go on with other channels: each panel shows what it did, where that is still there."""
        self._channels = tuple(channels)
        for i, before in enumerate(self.choices):
            self.choices[i] = choice = self._choice(before.quantity.name)
            if before.channel is not None:
                choice.go_to(before.channel.terminal or before.channel.base_name, before.channel.phase)

    @property
    def quantities(self) -> tuple[str, ...]:
        """What panels can show, by name."""
        return choices.offered(self._channels)

    def quantity(self, panel: int) -> Quantity:
        """What a panel is about."""
        return self.choices[panel].quantity if self.choices else choices.quantity(USUAL[panel])

    def show_quantity(self, name: str) -> None:
        """Let the selected panel show another quantity, at the same terminal if it can."""
        before = self.choice
        if before is None:
            return
        self.choices[self.selected] = self._choice(name)
        if before.channel is not None:
            self.choices[self.selected].go_to(before.channel.terminal)
        self.axes[self.selected] = Axis()

    def _choice(self, name: str) -> Choice:
        return Choice(choices.quantity(name, self._channels), self._channels)

    @property
    def choice(self) -> Choice | None:
        """What the selected panel shows."""
        return self.choices[self.selected] if self.choices else None

    @property
    def overlay(self) -> bool:
        """Whether panels show the three phases at once."""
        return self.room_for_overlay if self._overlay is None else self._overlay

    @property
    def window_words(self) -> str:
        """`60 s`, `5 min`, `24 h`."""
        if self.window <= _MINUTE:
            return f"{self.window:g} s"
        if self.window < _HOUR:
            return f"{self.window / _MINUTE:g} min"
        return f"{self.window / _HOUR:g} h"

    def select(self, panel: int) -> None:
        """Make a panel (0 to 3) the one that keys speak of."""
        self.selected = panel % PANELS

    def next_terminal(self, everywhere: bool) -> None:
        """Show the next terminal in the selected panel, or take all panels along."""
        if self.choice is None:
            return
        self.choice.next_terminal()
        if everywhere and self.choice.channel is not None:
            for choice in self.choices:
                choice.go_to(self.choice.channel.terminal)
        self.axes = [Axis() for _ in USUAL]

    def next_phase(self, everywhere: bool) -> None:
        """Show the next phase in the selected panel, or in all."""
        for number, choice in enumerate(self.choices):
            if everywhere or number == self.selected:
                choice.next_phase()
                self.axes[number] = Axis()

    def toggle_overlay(self) -> None:
        """Lay the other phases over the one on show, or take them away."""
        self._overlay = not self.overlay

    def next_scale(self) -> None:
        """Fit the data, show the limits too, or hold the scale as it is."""
        self.scale = SCALES[(SCALES.index(self.scale) + 1) % len(SCALES)]
        if self.scale != "fixed":
            self.axes = [Axis() for _ in USUAL]

    def suit(self, seconds: float) -> None:
        """Look back no further than a short recording reaches, so that it fills the panels."""
        self.window = min(self.window, next((w for w in WINDOWS if w >= seconds), WINDOWS[-1]))

    def widen(self, steps: int) -> None:
        """Look back further (positive) or less far."""
        at = WINDOWS.index(self.window) + steps
        self.window = WINDOWS[max(0, min(at, len(WINDOWS) - 1))]

    def request(self, cells: int, panel: int | None = None) -> TelemetryRequest | None:
        """What all panels need, or one of them, at two buckets a cell; None when there is nothing."""
        shown = self.choices if panel is None else self.choices[panel : panel + 1]
        names = choices.asked_for(shown, self.overlay and panel is None)
        return TelemetryRequest(names, self.window, 2 * cells) if names and cells > 0 else None
