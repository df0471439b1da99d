"""What can happen to the testbed: one small class for each kind of event, with its limits.

An event is a cause: when, where, how much. What follows from it is worked out elsewhere: by the
protection (protection.py), the machines (disturbances.py), an attacker (tampering.py), the instrument
transformers (transducers.py), the logs (logs.py) and the way of the data (transmission.py). Times are
seconds from the first frame; in a scenario file they may be written with a unit.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator

from gridtop.simulation.network import LINE_ENDS, Fault, Line, Relay
from gridtop.units import parse_duration

QUIET, NATURAL, ATTACK = "NoEvents", "Natural", "Attack"
"""The labels of the public data's three classes; load steps count as `NoEvents` there, and here."""

Phase = Literal["normal", "recovered", "reclosed", "active", "open", "fault"]
"""What a frame shows of its event; where two events overlap, the later in this list is said."""
PHASES: tuple[Phase, ...] = get_args(Phase)


def _seconds(value: Any) -> Any:
    """A plain number is of seconds, text needs a unit."""
    return parse_duration(value).total_seconds() if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_seconds)]
Quantity = Literal["V", "I"]
Conductor = Literal["A", "B", "C"]


@dataclass(frozen=True, slots=True)
class Event:
    """The start of them all. Raises ValueError, as every kind does, for values outside of its limits."""

    start: Seconds

    kind: ClassVar[str] = ""
    limits: ClassVar[dict[str, tuple[float, float]]] = {}
    """Lowest and highest value of the numbers that a kind has."""
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if not 0 <= self.start < float("inf"):
            raise ValueError(f"start: an event starts at 0 s or later, not at {self.start}")
        for name, (low, high) in self.limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name}: lies between {low:g} and {high:g}, not at {value:g}")

    @property
    def marker(self) -> str:
        """The class it belongs to: `NoEvents`, `Natural` or `Attack`."""
        return NATURAL

    @property
    def place(self) -> str:
        """The line, relays, machine or column it happens to; `grid` for the whole."""
        return "grid"

    @property
    def end(self) -> float:
        """When its cause is over; for events with a timing that is drawn, the latest this can be."""
        return self.start + float(getattr(self, "duration", 0.0))

    @property
    def parameters(self) -> dict[str, Any]:
        """All else that there is to say about it, as plain values."""
        values = dataclasses.asdict(self)
        del values["start"]
        return values

    def at(self, start: float) -> Self:
        """The same event at another time."""
        return dataclasses.replace(self, start=start)


LONGEST = 86_400.0
_LASTING = {"duration": (0.02, LONGEST)}


# Breakers move: one at a time -------------------------------------------------------------------------


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
        **_LASTING,
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
    limits: ClassVar[dict[str, tuple[float, float]]] = {**_LASTING, "damping": (-5, 50), "kick": (0, 1)}


@dataclass(frozen=True, slots=True)
class PowerSwing(Event):
    """For `duration` seconds `size` per unit of power is too much at one machine and missing at the other,
    as when a fault elsewhere is cleared: a large swing that dies away by itself."""

    duration: Seconds = 0.2
    size: float = 0.4

    kind: ClassVar[str] = "power_swing"
    limits: ClassVar[dict[str, tuple[float, float]]] = {"duration": (0.02, 5), "size": (0, 2)}


# What an attacker does to the data ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Injection(Event):
    """An attacker replaces what relays of `fault`'s line measure, before it reaches their PMUs.

    naive       in the faulted phases the voltage is multiplied by `voltage` and the current by `current`
    consistent  what the relays would see if `fault` were there: V, I, sequences and Z agree
    bus         the same, and the relay across the bus is told the same voltage
    replay      what the relays saw `lag` seconds ago

    The false values fade in and out within `ramp` seconds; the second end follows `skew` seconds behind.
    """

    duration: Seconds
    fault: Fault
    mode: Literal["naive", "consistent", "bus", "replay"] = "consistent"
    ends: Literal["both", "first", "second"] = "both"
    ramp: Seconds = 0.0
    skew: Seconds = 0.0
    lag: Seconds = 10.0
    voltage: float = 0.6
    current: float = 2.5

    kind: ClassVar[str] = "injection"
    limits: ClassVar[dict[str, tuple[float, float]]] = {
        **_LASTING,
        "ramp": (0, LONGEST),
        "skew": (0, 60),
        "lag": (1, 60),
        "voltage": (0, 10),
        "current": (0, 100),
    }

    @property
    def relays(self) -> tuple[Relay, ...]:
        """The relays whose measurements are replaced, those of the line."""
        first, second = LINE_ENDS[self.fault.line]
        return {"both": (first, second), "first": (first,), "second": (second,)}[self.ends]

    @property
    def marker(self) -> str:
        """An attack."""
        return ATTACK

    @property
    def place(self) -> str:
        """The line and the relays."""
        return " ".join((self.fault.line, *self.relays))

    @property
    def end(self) -> float:
        """When the last end tells the truth again."""
        return self.start + self.duration + (self.skew if self.ends == "both" else 0)


# What instruments and clocks do -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GpsDrift(Event):
    """A PMU's clock loses its reference: V and I of its terminal turn together at `rate` degrees per second,
    and jump back at the end. The PMU says so in its status (`flagged`), unless its clock is deceived."""

    duration: Seconds
    relay: Relay
    rate: float = 0.02
    flagged: bool = True

    kind: ClassVar[str] = "gps_drift"
    limits: ClassVar[dict[str, tuple[float, float]]] = {**_LASTING, "rate": (-1000, 1000)}

    @property
    def marker(self) -> str:
        """Natural if the PMU knows it, else an attack (a forged GPS signal)."""
        return NATURAL if self.flagged else ATTACK

    @property
    def place(self) -> str:
        """The relay."""
        return self.relay


@dataclass(frozen=True, slots=True)
class VtFuse(Event):
    """A fuse of a voltage transformer blows: of one phase's voltage the share `residual` is left."""

    duration: Seconds
    relay: Relay
    phase: Conductor = "A"
    residual: float = 0.0

    kind: ClassVar[str] = "vt_fuse"
    limits: ClassVar[dict[str, tuple[float, float]]] = {**_LASTING, "residual": (0, 1)}

    @property
    def place(self) -> str:
        """The relay and the phase."""
        return f"{self.relay} {self.phase}"


@dataclass(frozen=True, slots=True)
class OpenCt(Event):
    """A current transformer's secondary circuit is open: one phase's current is gone."""

    duration: Seconds
    relay: Relay
    phase: Conductor = "A"

    kind: ClassVar[str] = "open_ct"
    limits: ClassVar[dict[str, tuple[float, float]]] = _LASTING

    @property
    def place(self) -> str:
        """The relay and the phase."""
        return f"{self.relay} {self.phase}"


@dataclass(frozen=True, slots=True)
class InstrumentDrift(Event):
    """One phase's voltage or current is read more and more wrong, until somebody puts it right.

    `gain` is the relative error per minute, `angle` the degrees per minute.
    """

    duration: Seconds
    relay: Relay
    quantity: Quantity = "V"
    phase: Conductor = "A"
    gain: float = 0.001
    angle: float = 0.0

    kind: ClassVar[str] = "instrument_drift"
    limits: ClassVar[dict[str, tuple[float, float]]] = {**_LASTING, "gain": (-0.5, 0.5), "angle": (-60, 60)}

    @property
    def place(self) -> str:
        """The relay, the quantity and the phase."""
        return f"{self.relay} {self.quantity}{self.phase}"


@dataclass(frozen=True, slots=True)
class StuckChannel(Event):
    """One column of a relay repeats its last value; everything else goes on. `column` as in the recording."""

    duration: Seconds
    column: str

    kind: ClassVar[str] = "stuck_channel"
    limits: ClassVar[dict[str, tuple[float, float]]] = _LASTING

    def __post_init__(self) -> None:
        from gridtop.simulation.instruments import RELAY_COLUMNS

        Event.__post_init__(self)
        if self.column not in RELAY_COLUMNS:
            raise ValueError(f"column: no relay has a column {self.column[:40]!r}; one is called R1-PM1:V")

    @property
    def place(self) -> str:
        """The column."""
        return self.column


# The way of the data ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Transmission(Event):
    duration: Seconds
    relays: tuple[Relay, ...] = ()
    share: float = 0.3

    limits: ClassVar[dict[str, tuple[float, float]]] = {**_LASTING, "share": (0, 1)}

    @property
    def marker(self) -> str:
        """No event of the grid."""
        return QUIET

    @property
    def place(self) -> str:
        """The relays, or the whole stream."""
        return " ".join(self.relays) or "stream"


@dataclass(frozen=True, slots=True)
class MissingFrames(_Transmission):
    """The given share of frames is lost: those of the relays stay empty; without relays, rows are absent."""

    kind: ClassVar[str] = "missing_frames"


@dataclass(frozen=True, slots=True)
class RepeatedFrames(_Transmission):
    """The given share of frames comes twice: of the relays, the one before stands in a frame's place; without
    relays, rows are there twice, with the same time."""

    kind: ClassVar[str] = "repeated_frames"


@dataclass(frozen=True, slots=True)
class ReorderedFrames(_Transmission):
    """The given share of pairs of frames comes in the wrong order: of the relays (with STAT bit 12, sorted by
    arrival), or, without relays, as whole rows, so that time steps back."""

    kind: ClassVar[str] = "reordered_frames"


@dataclass(frozen=True, slots=True)
class LateFrames(Event):
    """The frames of one PMU come `delay` seconds late, and the concentrator does not wait: every row holds
    what that PMU measured earlier, with STAT bit 12 (sorted by arrival)."""

    duration: Seconds
    relay: Relay
    delay: Seconds = 0.1

    kind: ClassVar[str] = "late_frames"
    limits: ClassVar[dict[str, tuple[float, float]]] = {**_LASTING, "delay": (0, 1)}

    @property
    def marker(self) -> str:
        """No event of the grid."""
        return QUIET

    @property
    def place(self) -> str:
        """The relay."""
        return self.relay


Switching = ShortCircuit | BreakerFailure | RelaySettings | TripCommand | Maintenance | Energisation
"""The kinds that move breakers. Their windows may not overlap."""
KINDS: dict[str, type[Event]] = {
    kind.kind: kind
    for kind in (
        *get_args(Switching),
        *(LoadStep, Inrush, ForcedOscillation, NaturalOscillation, PowerSwing),
        *(Injection, GpsDrift, VtFuse, OpenCt, InstrumentDrift, StuckChannel),
        *(MissingFrames, RepeatedFrames, ReorderedFrames, LateFrames),
    )
}
"""Every kind by its name in scenario files and event lists."""
