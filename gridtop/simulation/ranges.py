"""From which ranges the parameters of a run are drawn, and the drawing: conditions, and events without end.

A test set that is to say anything holds out ranges, not only seeds: other limits here, another world.
docs/simulation.md says where the ranges come from.
"""

from __future__ import annotations

import cmath
import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, get_args

import numpy as np
from pydantic import BeforeValidator

from gridtop.simulation.events import (
    KINDS,
    BreakerFailure,
    Conductor,
    Energisation,
    Event,
    ForcedOscillation,
    GpsDrift,
    Injection,
    Inrush,
    InstrumentDrift,
    LateFrames,
    LoadStep,
    Maintenance,
    MissingFrames,
    NaturalOscillation,
    OpenCt,
    PowerSwing,
    Quantity,
    RelaySettings,
    ReorderedFrames,
    RepeatedFrames,
    ShortCircuit,
    StuckChannel,
    TripCommand,
    VtFuse,
)
from gridtop.simulation.instruments import RELAY_COLUMNS
from gridtop.simulation.logs import MOST_SKEW, LogErrors
from gridtop.simulation.network import LINE_ENDS, RELAYS, Fault, FaultKind, GridParameters, Line, Relay
from gridtop.simulation.protection import Protection
from gridtop.simulation.testbed import Conditions
from gridtop.simulation.timetables import choose
from gridtop.simulation.transducers import InstrumentErrors


def _pair(value: Any) -> Any:
    """One number is a range without width."""
    return (value, value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


Range = Annotated[tuple[float, float], BeforeValidator(_pair)]

USUAL_MIX: dict[str, float] = {
    "short_circuit": 6,
    "breaker_failure": 1,
    "relay_settings": 2,
    "trip_command": 2,
    "maintenance": 2,
    "energisation": 1,
    "load_step": 5,
    "inrush": 1,
    "forced_oscillation": 1,
    "natural_oscillation": 1,
    "power_swing": 1,
    "injection": 4,
    "gps_drift": 1,
    "vt_fuse": 1,
    "open_ct": 1,
    "instrument_drift": 1,
    "stuck_channel": 1,
    "missing_frames": 1,
    "repeated_frames": 0.5,
    "reordered_frames": 0.5,
    "late_frames": 0.5,
}
"""How often each kind of event comes, relative to the others."""

_LIMITS: dict[str, tuple[float, float]] = {
    "line_scale": (0.05, 5),
    "line_2": (0.05, 20),
    "charging": (0, 5),
    "source_scale": (0.2, 5),
    "source_2": (0.2, 5),
    "load": (0, 450e6),
    "power_factor": (0.5, 1),
    "transfer_angle": (-30, 30),
    "inertia": (1, 20),
    "damping": (0, 50),
    "load_sigma": (0, 0.2),
    "load_time": (0.1, 3600),
    "daily_depth": (0, 0.5),
    "zone_1": (0.5, 0.95),
    "near_clearing": (0.02, 0.3),
    "far_clearing": (0.1, 0.8),
    "dead_time": (0.2, 3),
    "backup": (0.3, 2.5),
    "breaker_failure": (0.1, 1),
    "vt_class": (0, 10),
    "ct_class": (0, 10),
    "noise": (0, 100),
    "memory": (0, 0.99),
    "knee": (500, 1e6),
    "dc_time": (0, 0.5),
    "log_miss": (0, 1),
    "log_false": (0, 1000),
    "log_skew": (-MOST_SKEW, MOST_SKEW),
    "pause": (1, 86_400),
    "fault_distance": (0.01, 0.99),
    "fault_resistance": (0.5, 1000),
    "permanent": (0, 1),
    "outage": (1.5, 3600),
    "load_level": (0, 1.4),
    "load_ramp": (0, 3600),
    "inrush": (0.001, 1),
    "oscillation": (1, 3600),
    "oscillation_frequency": (0.01, 15),
    "oscillation_amplitude": (0, 0.2),
    "mode_damping": (-3, 10),
    "swing": (0, 0.8),
    "injection": (0.02, 3600),
    "injection_ramp": (0, 60),
    "injection_skew": (0, 60),
    "replay_lag": (1, 60),
    "false_voltage": (0, 2),
    "false_current": (0, 20),
    "gps_rate": (0, 1000),
    "defect": (1, 3600),
    "fuse_residual": (0, 1),
    "drift": (0, 0.2),
    "lost_share": (0, 1),
    "disorder": (0.1, 3600),
    "delay": (0, 1),
}
"""What a range may span at most; beyond, the model is no model of anything."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Lowest and highest value of everything that is drawn, per run or per event.

    Uniform in between unless it says log-uniform. Raises ValueError, naming the range, for one that is
    turned round or goes beyond what the model can bear.
    """

    # Drawn once a run: the grid
    line_scale: Range = (0.6, 1.4)
    """Length of L1; 1 is about 100 km."""
    line_2: Range = (0.8, 1.25)
    """Length of L2 as a multiple of that of L1."""
    charging: Range = (0.85, 1.15)
    """Charging of the lines; 1 is 330 uS per 100 km."""
    source_scale: Range = (0.8, 1.4)
    """Impedance of the sources; 1 is 35 ohm, a short-circuit power of 1.5 GVA."""
    source_2: Range = (0.8, 1.25)
    """Impedance of the second source as a multiple of that of the first."""
    load: Range = (220e6, 340e6)
    """W"""
    power_factor: Range = (0.95, 1.0)
    """Lagging."""
    transfer_angle: Range = (-4.0, 4.0)
    """Degrees by which the first machine leads the second."""
    inertia: Range = (3.0, 6.0)
    """s"""
    damping: Range = (7.0, 14.0)
    load_sigma: Range = (0.01, 0.04)
    load_time: Range = (8.0, 30.0)
    """s"""
    daily_depth: Range = (0.05, 0.2)

    # Drawn once a run: protection
    zone_1: Range = (0.8, 0.85)
    near_clearing: Range = (0.04, 0.09)
    """s"""
    far_clearing: Range = (0.3, 0.5)
    """s"""
    dead_time: Range = (0.4, 2.0)
    """s; each reclosing draws its own from this range."""
    backup: Range = (1.0, 1.6)
    """s; each operation draws its own from this range."""
    breaker_failure: Range = (0.18, 0.4)
    """s; each operation draws its own from this range."""

    # Drawn once a run: instruments and logs
    vt_class: Range = (0.2, 0.5)
    """IEC 61869 accuracy class: each phase's errors are drawn within its limits."""
    ct_class: Range = (0.2, 0.5)
    noise: Range = (0.5, 2.5)
    """Multiple of the noise in instruments.py."""
    memory: Range = (0.0, 0.8)
    knee: Range = (1500.0, 8000.0)
    """A, log-uniform"""
    dc_time: Range = (0.02, 0.08)
    """s"""
    log_miss: Range = (0.0, 0.15)
    log_false: Range = (0.0, 2.0)
    """Per hour and log."""
    log_skew: Range = (-0.3, 0.3)
    """s"""

    # Drawn for each event
    pause: Range = (20.0, 120.0)
    """s from the end of one event to the start of the next"""
    fault_distance: Range = (0.05, 0.95)
    fault_resistance: Range = (5.0, 70.0)
    """ohm, log-uniform"""
    permanent: Range = (0.1, 0.1)
    """Share of short circuits that are still there when the line recloses."""
    outage: Range = (4.0, 60.0)
    """s, log-uniform: maintenance, trips, outages"""
    load_level: Range = (0.85, 1.15)
    load_ramp: Range = (0.0, 20.0)
    """s; half of the changes are sudden"""
    inrush: Range = (0.05, 0.5)
    oscillation: Range = (10.0, 60.0)
    """s"""
    oscillation_frequency: Range = (0.1, 2.5)
    """Hz, log-uniform"""
    oscillation_amplitude: Range = (0.003, 0.03)
    """Log-uniform"""
    mode_damping: Range = (-0.5, 2.0)
    swing: Range = (0.1, 0.5)
    """Per unit"""
    injection: Range = (0.2, 60.0)
    """s, log-uniform"""
    injection_ramp: Range = (0.0, 10.0)
    """s; half of the injections are sudden, and no ramp is longer than half the injection"""
    injection_skew: Range = (0.0, 0.5)
    """s; half of the injections are in step"""
    replay_lag: Range = (5.0, 55.0)
    """s"""
    false_voltage: Range = (0.3, 0.95)
    false_current: Range = (1.2, 5.0)
    gps_rate: Range = (0.01, 1.0)
    """Degrees per second, log-uniform, either way"""
    defect: Range = (5.0, 120.0)
    """s, log-uniform: how long an instrument is defective"""
    fuse_residual: Range = (0.0, 0.4)
    drift: Range = (0.001, 0.03)
    """Per minute, log-uniform, either way"""
    lost_share: Range = (0.02, 0.6)
    """Log-uniform"""
    disorder: Range = (0.5, 30.0)
    """s, log-uniform: how long the transmission is disturbed"""
    delay: Range = (0.034, 0.4)
    """s"""

    mix: Mapping[str, float] = field(default_factory=lambda: dict(USUAL_MIX))
    """How often each kind of event comes, relative to the others; a kind left out does not come."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        for name, (lowest, highest) in _LIMITS.items():
            low, high = getattr(self, name)
            if not lowest <= low <= high <= highest:
                between = f"{lowest:g} and {highest:g}"
                raise ValueError(
                    f"{name}: a range is a lower and an upper limit between {between}, not {low:g} and {high:g}"
                )
        for kind, weight in self.mix.items():
            if kind not in KINDS:
                raise ValueError(f"mix: there is no kind of event called {kind[:40]!r}")
            if not 0 <= weight < math.inf:
                raise ValueError(f"mix: the weight of {kind} is 0 or more, not {weight:g}")


class Draw:
    """Values from ranges; the same for the same seed."""

    def __init__(self, ranges: Ranges, seed: int | tuple[int, ...]) -> None:
        self.ranges = ranges
        self._random = np.random.default_rng(seed)

    def conditions(self, start_hour: float | None = None) -> Conditions:
        """Grid, protection, instruments and logs of one run; the hour of the day is drawn if not given."""
        ranges = self.ranges
        length, charging, source = map(
            self._uniform, (ranges.line_scale, ranges.charging, ranges.source_scale)
        )
        plain = GridParameters()
        load = cmath.rect(1, math.acos(self._uniform(ranges.power_factor)))
        drawn_hour = self._random.uniform(0, 24)
        grid = dataclasses.replace(
            plain,
            line_z1=plain.line_z1 * length,
            line_z0=plain.line_z0 * length,
            line_b1=plain.line_b1 * length * charging,
            line_b0=plain.line_b0 * length * charging,
            source_z1=plain.source_z1 * source,
            source_z0=plain.source_z0 * source,
            line_2=self._uniform(ranges.line_2),
            source_2=self._uniform(ranges.source_2),
            load=load / load.real * self._uniform(ranges.load),
            transfer_angle=self._uniform(ranges.transfer_angle),
            inertia=self._uniform(ranges.inertia),
            damping=self._uniform(ranges.damping),
            load_sigma=self._uniform(ranges.load_sigma),
            load_time=self._uniform(ranges.load_time),
            daily_depth=self._uniform(ranges.daily_depth),
            start_hour=drawn_hour if start_hour is None else start_hour % 24,
        )
        protection = Protection(
            zone_1=self._uniform(ranges.zone_1),
            near_clearing=self._uniform(ranges.near_clearing),
            far_clearing=self._uniform(ranges.far_clearing),
            dead_time=ranges.dead_time,
            backup=ranges.backup,
            breaker_failure=ranges.breaker_failure,
        )
        logs = LogErrors(
            miss=self._uniform(ranges.log_miss),
            false_per_hour=self._uniform(ranges.log_false),
            skew=(
                self._uniform(ranges.log_skew),
                self._uniform(ranges.log_skew),
                self._uniform(ranges.log_skew),
            ),
        )
        return Conditions(grid, protection, self._instruments(), logs)

    def events(self) -> Iterator[Event]:
        """One event after the other, with pauses, for ever; none at all if nothing is in the mix."""
        kinds = [kind for kind, weight in self.ranges.mix.items() if weight]
        weights = np.array([self.ranges.mix[kind] for kind in kinds])
        start = 0.0
        while kinds:
            start += self._uniform(self.ranges.pause)
            kind = kinds[int(self._random.choice(len(kinds), p=weights / weights.sum()))]
            event = self.event(kind, start)
            yield event
            # Two seconds of label follow, and nothing overlaps with them.
            start = event.end + 2

    def event(self, kind: str, start: float) -> Event:
        """An event of a kind."""
        ranges = self.ranges
        fault = Fault(self._choose(get_args(Line)), self._fault_kind(), *self._fault_place())
        ends = LINE_ENDS[fault.line]
        relay: Relay = self._choose(RELAYS)
        phase: Conductor = self._choose(get_args(Conductor))
        defect = self._log_uniform(ranges.defect)
        match kind:
            case "short_circuit":
                permanent = self._uniform(ranges.permanent) > self._random.uniform()
                return ShortCircuit(start, fault, permanent, self._log_uniform(ranges.outage))
            case "breaker_failure":
                return BreakerFailure(start, fault, self._choose(ends))
            case "relay_settings":
                others = tuple(relay for relay in RELAYS if relay not in ends)
                disabled = self._choose((ends[:1], ends[1:], ends, ()))
                return RelaySettings(start, fault, disabled, () if disabled else (self._choose(others),))
            case "trip_command":
                relays = self._choose((ends, ends[:1], ends[1:]))
                return TripCommand(start, relays, self._log_uniform(ranges.outage))
            case "maintenance":
                return Maintenance(start, fault.line, self._log_uniform(ranges.outage))
            case "energisation":
                outage, charging = self._log_uniform(ranges.outage), self._log_uniform(ranges.outage)
                return Energisation(start, fault.line, outage, charging)
            case "load_step":
                ramp = self._or_none(ranges.load_ramp)
                return LoadStep(start, self._uniform(ranges.load_level), ramp)
            case "inrush":
                return Inrush(start, self._uniform(ranges.inrush), self._random.uniform(0.1, 1))
            case "forced_oscillation":
                return ForcedOscillation(
                    start,
                    self._uniform(ranges.oscillation),
                    self._log_uniform(ranges.oscillation_frequency),
                    self._log_uniform(ranges.oscillation_amplitude),
                    self._choose(("G1", "G2", "load")),
                )
            case "natural_oscillation":
                duration, damping = self._uniform(ranges.oscillation), self._uniform(ranges.mode_damping)
                return NaturalOscillation(start, duration, damping, self._random.uniform(0.02, 0.1))
            case "power_swing":
                return PowerSwing(start, self._random.uniform(0.1, 0.3), self._uniform(ranges.swing))
            case "injection":
                return self._injection(start, fault)
            case "gps_drift":
                return GpsDrift(
                    start, defect, relay, self._either_way(ranges.gps_rate), self._random.uniform() < 0.7
                )
            case "vt_fuse":
                return VtFuse(start, defect, relay, phase, self._uniform(ranges.fuse_residual))
            case "open_ct":
                return OpenCt(start, defect, relay, phase)
            case "instrument_drift":
                quantity: Quantity = self._choose(get_args(Quantity))
                angle = self._random.uniform(-1, 1)
                return InstrumentDrift(
                    start, defect, relay, quantity, phase, self._either_way(ranges.drift), angle
                )
            case "stuck_channel":
                return StuckChannel(start, defect, self._choose(sorted(RELAY_COLUMNS)))
            case "late_frames":
                return LateFrames(
                    start, self._log_uniform(ranges.disorder), relay, self._uniform(ranges.delay)
                )
            case "missing_frames":
                relays = self._choose(((), (relay,), RELAYS))
                return MissingFrames(start, self._log_uniform(ranges.disorder), relays, self._share())
            case "repeated_frames":
                return RepeatedFrames(start, self._log_uniform(ranges.disorder), (relay,), self._share())
            case _:
                return ReorderedFrames(start, self._log_uniform(ranges.disorder), (relay,), self._share())

    def _injection(self, start: float, fault: Fault) -> Injection:
        ranges = self.ranges
        duration = self._log_uniform(ranges.injection)
        mode: Literal["naive", "consistent", "bus", "replay"]
        mode = self._choose(("naive", "consistent", "bus", "replay"))
        ends: Literal["both", "first", "second"]
        ends = "both" if mode == "bus" else self._choose(("both", "both", "first", "second"))
        return Injection(
            start,
            duration,
            fault,
            mode,
            ends,
            ramp=min(self._or_none(ranges.injection_ramp), duration / 2),
            skew=self._or_none(ranges.injection_skew) if ends == "both" else 0.0,
            lag=self._uniform(ranges.replay_lag),
            voltage=self._uniform(ranges.false_voltage),
            current=self._uniform(ranges.false_current),
        )

    def _instruments(self) -> InstrumentErrors:
        ranges = self.ranges
        gains = np.empty((4, 2, 3), dtype=np.complex128)
        for quantity, accuracy in enumerate((ranges.vt_class, ranges.ct_class)):
            grade = self._uniform(accuracy)
            ratio = 1 + grade / 100 * self._random.uniform(-1, 1, (4, 3))
            # Class 0.5 allows a VT 20 minutes of angle and a CT 30: 40 and 60 per unit of the class.
            minutes = grade * (40, 60)[quantity] * self._random.uniform(-1, 1, (4, 3))
            gains[:, quantity] = ratio * np.exp(1j * np.radians(minutes / 60))
        return InstrumentErrors(
            gains=tuple(gains.ravel().tolist()),
            knee=tuple(self._log_uniform(ranges.knee) for _ in RELAYS),
            dc_time=self._uniform(ranges.dc_time),
            noise=self._uniform(ranges.noise),
            memory=self._uniform(ranges.memory),
        )

    def _fault_kind(self) -> FaultKind:
        kinds: tuple[FaultKind, ...] = get_args(FaultKind)
        return self._choose(kinds[:3] if self._random.uniform() < 0.75 else kinds[3:])

    def _fault_place(self) -> tuple[float, float]:
        return self._uniform(self.ranges.fault_distance), self._log_uniform(self.ranges.fault_resistance)

    def _share(self) -> float:
        return self._log_uniform(self.ranges.lost_share)

    def _uniform(self, limits: tuple[float, float]) -> float:
        return float(self._random.uniform(*limits))

    def _log_uniform(self, limits: tuple[float, float]) -> float:
        low, high = limits
        if not low > 0:
            return self._uniform(limits)
        # The exponential of a logarithm may be off by a bit.
        return min(max(math.exp(self._random.uniform(math.log(low), math.log(high))), low), high)

    def _either_way(self, limits: tuple[float, float]) -> float:
        return self._log_uniform(limits) * float(self._choose((-1, 1)))

    def _or_none(self, limits: tuple[float, float]) -> float:
        """Half of the time nothing."""
        value = self._uniform(limits)
        return value if self._random.uniform() < 0.5 else 0.0

    def _choose(self, items: Any) -> Any:
        return choose(self._random, items)
