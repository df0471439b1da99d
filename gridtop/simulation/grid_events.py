"""What happens to the grid itself: faults and switching, load, machines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from gridtop.simulation.causes import ATTACK, LASTING, LONGEST, NATURAL, QUIET, Event, Seconds
from gridtop.simulation.network import LINE_ENDS, Fault, Line, Relay


@dataclass(frozen=True, slots=True)
class ShortCircuit(Event):
    """A fault that both ends of its line clear; it is gone when they reclose, unless it is `permanent`:
    then they open again, for good, and the operator closes them `outage` seconds later."""

    fault: Fault
    permanent: bool = False
    outage: Seconds = 10.0

    kind: ClassVar[str] = "short_circuit"
    limits: ClassVar[dict[str, tuple[float, float]]] = {"outage": (1, LONGEST)}

    @property
    def place(self) -> str:
        """The line."""
        return self.fault.line

    @property
    def end(self) -> float:
        """The slowest protection, the longest dead time, and the outage."""
        return self.start + 8 + (self.outage if self.permanent else 0)


@dataclass(frozen=True, slots=True)
class BreakerFailure(Event):
    """A short circuit on whose clearing the breaker of relay `stuck`, at an end of the line, does not open.

    At R2 and R3 breaker-failure protection opens the other breaker of the bus. B1 and B3 have no other
    breaker in this model: there the same breaker opens late, by its second trip coil.
    """

    fault: Fault
    stuck: Relay

    kind: ClassVar[str] = "breaker_failure"

    def __post_init__(self) -> None:
        Event.__post_init__(self)
        if self.stuck not in LINE_ENDS[self.fault.line]:
            raise ValueError(f"stuck: {self.stuck} is at no end of {self.fault.line}")

    @property
    def place(self) -> str:
        """The line and the relay."""
        return f"{self.fault.line} {self.stuck}"

    @property
    def end(self) -> float:
        """As for any short circuit."""
        return self.start + 8


@dataclass(frozen=True, slots=True)
class RelaySettings(Event):
    """A short circuit after an attacker has changed settings: `disabled` relays of its line do not trip,
    and backup protection opens their breakers; `overreaching` ones of the other line trip without need."""

    fault: Fault
    disabled: tuple[Relay, ...] = ()
    overreaching: tuple[Relay, ...] = ()

    kind: ClassVar[str] = "relay_settings"

    def __post_init__(self) -> None:
        Event.__post_init__(self)
        ends = LINE_ENDS[self.fault.line]
        if any(relay not in ends for relay in self.disabled):
            raise ValueError(f"disabled: only {ends[0]} and {ends[1]} have to trip for {self.fault.line}")
        if any(relay in ends for relay in self.overreaching):
            raise ValueError(f"overreaching: {ends[0]} and {ends[1]} have to trip for {self.fault.line}")
        if not self.disabled and not self.overreaching:
            raise ValueError("disabled: name a relay here or under overreaching")

    @property
    def marker(self) -> str:
        """An attack, even though the short circuit is none."""
        return ATTACK

    @property
    def place(self) -> str:
        """The line and the relays."""
        return " ".join((self.fault.line, *self.disabled, *self.overreaching))

    @property
    def end(self) -> float:
        """As for any short circuit."""
        return self.start + 8


@dataclass(frozen=True, slots=True)
class TripCommand(Event):
    """An attacker opens breakers without any fault; the operator closes them `duration` seconds later."""

    relays: tuple[Relay, ...]
    duration: Seconds = 8.0

    kind: ClassVar[str] = "trip_command"
    limits: ClassVar[dict[str, tuple[float, float]]] = {"duration": (0.3, LONGEST)}

    def __post_init__(self) -> None:
        Event.__post_init__(self)
        if not self.relays:
            raise ValueError("relays: name at least one")

    @property
    def marker(self) -> str:
        """An attack."""
        return ATTACK

    @property
    def place(self) -> str:
        """The relays."""
        return " ".join(self.relays)


@dataclass(frozen=True, slots=True)
class Maintenance(Event):
    """The operator takes a line out of service for `duration` seconds, its ends half a second apart.

    An attacker may have `disabled` relays of it meanwhile, which nothing shows.
    """

    line: Line
    duration: Seconds = 20.0
    disabled: tuple[Relay, ...] = ()

    kind: ClassVar[str] = "maintenance"
    limits: ClassVar[dict[str, tuple[float, float]]] = {"duration": (1.5, LONGEST)}

    @property
    def marker(self) -> str:
        """Natural, or an attack if relays are disabled."""
        return ATTACK if self.disabled else NATURAL

    @property
    def place(self) -> str:
        """The line."""
        return self.line


@dataclass(frozen=True, slots=True)
class Energisation(Event):
    """A line comes back from `outage` seconds out of service: one end closes, and for `charging` seconds
    the line hangs on it and draws nothing but its charging current, until the other end closes."""

    line: Line
    outage: Seconds = 5.0
    charging: Seconds = 5.0

    kind: ClassVar[str] = "energisation"
    limits: ClassVar[dict[str, tuple[float, float]]] = {"outage": (0.5, LONGEST), "charging": (0.1, LONGEST)}

    @property
    def place(self) -> str:
        """The line."""
        return self.line

    @property
    def end(self) -> float:
        """When the line is back in service."""
        return self.start + self.outage + self.charging


# Load and machines ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LoadStep(Event):
    """The load changes to `level` times the nominal load, within `ramp` seconds, and stays there."""

    level: float
    ramp: Seconds = 0.0

    kind: ClassVar[str] = "load_step"
    limits: ClassVar[dict[str, tuple[float, float]]] = {"level": (0, 3), "ramp": (0, LONGEST)}

    @property
    def marker(self) -> str:
        """No event: a grid lives."""
        return QUIET

    @property
    def end(self) -> float:
        """When the new level is reached."""
        return self.start + self.ramp


@dataclass(frozen=True, slots=True)
class Inrush(Event):
    """A transformer is energised at B2: an inductive, unbalanced current that begins at `size` times the
    load's and dies away with the time constant `decay`."""

    size: float = 0.3
    decay: Seconds = 0.4

    kind: ClassVar[str] = "inrush"
    limits: ClassVar[dict[str, tuple[float, float]]] = {"size": (0.001, 3), "decay": (0.02, 60)}

    @property
    def place(self) -> str:
        """The bus."""
        return "B2"

    @property
    def end(self) -> float:
        """After five time constants: less than one hundredth is left."""
        return self.start + 5 * self.decay


@dataclass(frozen=True, slots=True)
class ForcedOscillation(Event):
    """Something at a machine or in the load swings at a frequency of its own.

    `amplitude` is per unit of the machine's rating, or a share of the load.
    """

    duration: Seconds
    frequency: float = 0.7
    amplitude: float = 0.01
    source: Literal["G1", "G2", "load"] = "G1"

    kind: ClassVar[str] = "forced_oscillation"
    limits: ClassVar[dict[str, tuple[float, float]]] = {
        **LASTING,
        "frequency": (0.01, 15),
        "amplitude": (0, 0.5),
    }

    @property
    def place(self) -> str:
        """The machine or the load."""
        return self.source


@dataclass(frozen=True, slots=True)
class NaturalOscillation(Event):
    """The machines lose their damping for a while, and a push of `kick` per unit sets them swinging against
    each other: at `damping` (per unit, about) 0 they keep on, below it they swing more and more."""

    duration: Seconds
    damping: float = 0.0
    kick: float = 0.1

    kind: ClassVar[str] = "natural_oscillation"
    limits: ClassVar[dict[str, tuple[float, float]]] = {**LASTING, "damping": (-5, 50), "kick": (0, 1)}


@dataclass(frozen=True, slots=True)
class PowerSwing(Event):
    """For `duration` seconds `size` per unit of power is too much at one machine and missing at the other,
    as when a fault elsewhere is cleared: a large swing that dies away by itself."""

    duration: Seconds = 0.2
    size: float = 0.4

    kind: ClassVar[str] = "power_swing"
    limits: ClassVar[dict[str, tuple[float, float]]] = {"duration": (0.02, 5), "size": (0, 2)}


Switching = ShortCircuit | BreakerFailure | RelaySettings | TripCommand | Maintenance | Energisation
"""The kinds that move breakers. Their windows may not overlap."""
