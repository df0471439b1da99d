"""What a panel can show: which quantity, and which terminal and phase of it was chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gridtop.channels import Channel


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a panel is about. The graph's axis is never shorter than `share` of the value or `least`."""

    name: str
    unit: str
    digits: int
    share: float
    least: float
    related: tuple[str, ...] = ()
    """Quantities whose alarms belong to this panel although their names do not contain its name."""

    def concerns(self, quantity: str) -> bool:
        """Whether an alarm on this (perhaps derived) quantity belongs to the panel."""
        return self.name in quantity or quantity in self.related


_WELL_KNOWN = (
    Quantity("voltage", "V", 4, 0.02, 1e-3),
    Quantity("current", "A", 3, 0.05, 1e-3),
    Quantity("impedance", "ohm", 3, 0.05, 1e-3, ("admittance",)),
    Quantity("frequency", "Hz", 5, 0.0, 0.05, ("rocof",)),
)
"""A voltage moves by 2 % and a frequency by 50 mHz before it fills the height of its panel."""
USUAL = tuple(quantity.name for quantity in _WELL_KNOWN)
"""What the panels show unless someone says otherwise."""
PANELS = len(USUAL)

_LEAST = {"pu": 1e-3, "Hz": 1e-3, "Hz/s": 0.05, "%": 0.1, "deg": 0.1, "A": 1e-2, "V": 1.0, "W": 1e3}
"""The shortest axis of a quantity by its unit: what is smaller is noise."""


def quantity(name: str, channels: Iterable[Channel] = ()) -> Quantity:
    """How a quantity is shown, by its name; `channels` know the unit of one that is not well known."""
    known = {quantity.name: quantity for quantity in _WELL_KNOWN}
    if name in known:
        return known[name]
    unit = next((channel.unit for channel in channels if channel.quantity == name), "")
    return Quantity(name, unit, 4, 0.02, _LEAST.get(unit, 1e-3))


def offered(channels: Iterable[Channel]) -> tuple[str, ...]:
    """The quantities that a panel can show: the usual ones first, the others by name."""
    names = {channel.quantity for channel in channels if channel.part in ("magnitude", "value")}
    return (*(name for name in USUAL if name in names), *sorted(names.difference(USUAL)))


_TOGETHER = {phase: group for group in (("A", "B", "C"), ("AB", "BC", "CA")) for phase in group}


class Choice:
    """Which channel of its quantity a panel shows: the person chooses a terminal and a phase."""

    def __init__(self, quantity: Quantity, channels: Iterable[Channel]) -> None:
        self.quantity = quantity
        self._terminals: dict[str, list[Channel]] = {}
        for channel in channels:
            if channel.quantity == quantity.name and channel.part in ("magnitude", "value"):
                self._terminals.setdefault(channel.terminal or channel.base_name, []).append(channel)
        self._terminal = 0
        self._phase = 0

    @property
    def channel(self) -> Channel | None:
        """The channel on show, None when the recording has none of this quantity."""
        phases = self._phases
        return phases[self._phase] if phases else None

    @property
    def place(self) -> str:
        """The channel's terminal and phase as they came from outside: `R1 A`."""
        channel = self.channel
        return f"{channel.terminal or channel.base_name} {channel.phase}".rstrip() if channel else ""

    @property
    def others(self) -> tuple[Channel, ...]:
        """The other two phases beside the one on show, to be laid over it."""
        here = self.channel
        if here is None or here.phase not in _TOGETHER:
            return ()
        together = _TOGETHER[here.phase]
        found = {channel.phase: channel for channel in reversed(self._phases) if channel.phase in together}
        return tuple(found[phase] for phase in together if phase in found and phase != here.phase)

    @property
    def _phases(self) -> list[Channel]:
        terminals = list(self._terminals.values())
        return terminals[self._terminal] if terminals else []

    def next_terminal(self) -> None:
        """Go to the next terminal, in the same phase if it has it."""
        if len(self._terminals) > 1:
            self._go((self._terminal + 1) % len(self._terminals))

    def go_to(self, terminal: str, phase: str | None = None) -> None:
        """Go to a terminal by name, if this quantity is measured there, in the same phase or a given one."""
        if terminal not in self._terminals:
            return
        self._go(list(self._terminals).index(terminal))
        phases = [channel.phase for channel in self._phases]
        if phase in phases:
            self._phase = phases.index(phase)

    def next_phase(self) -> None:
        """Go to the next channel of the terminal."""
        if self._phases:
            self._phase = (self._phase + 1) % len(self._phases)

    def _go(self, terminal: int) -> None:
        before = self.channel
        self._terminal = terminal
        phases = [channel.phase for channel in self._phases]
        self._phase = phases.index(before.phase) if before and before.phase in phases else 0


def asked_for(choices: Sequence[Choice], overlay: bool) -> tuple[str, ...]:
    """The names of the channels on show, without repetition: what telemetry is asked for."""
    channels = [choice.channel for choice in choices]
    if overlay:
        channels += [channel for choice in choices for channel in choice.others]
    return tuple(dict.fromkeys(channel.name for channel in channels if channel))
