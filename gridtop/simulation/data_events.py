"""What happens to the measurements: attackers, instruments and clocks, the way of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from gridtop.simulation.causes import ATTACK, LASTING, LONGEST, NATURAL, QUIET, Event, Seconds
from gridtop.simulation.network import LINE_ENDS, Fault, Relay

Quantity = Literal["V", "I"]
Conductor = Literal["A", "B", "C"]


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
        **LASTING,
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
    limits: ClassVar[dict[str, tuple[float, float]]] = {**LASTING, "rate": (-1000, 1000)}

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
    limits: ClassVar[dict[str, tuple[float, float]]] = {**LASTING, "residual": (0, 1)}

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
    limits: ClassVar[dict[str, tuple[float, float]]] = LASTING

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
    limits: ClassVar[dict[str, tuple[float, float]]] = {**LASTING, "gain": (-0.5, 0.5), "angle": (-60, 60)}

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
    limits: ClassVar[dict[str, tuple[float, float]]] = LASTING

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

    limits: ClassVar[dict[str, tuple[float, float]]] = {**LASTING, "share": (0, 1)}

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
    limits: ClassVar[dict[str, tuple[float, float]]] = {**LASTING, "delay": (0, 1)}

    @property
    def marker(self) -> str:
        """No event of the grid."""
        return QUIET

    @property
    def place(self) -> str:
        """The relay."""
        return self.relay
