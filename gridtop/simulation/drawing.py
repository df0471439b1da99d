"""Runs drawn from ranges: the conditions of one, and its events without end."""

from __future__ import annotations

import cmath
import dataclasses
import math
from collections.abc import Iterator
from typing import Any, Literal, get_args

import numpy as np

from gridtop.simulation.events import (
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
from gridtop.simulation.logs import LogErrors
from gridtop.simulation.network import LINE_ENDS, RELAYS, Fault, FaultKind, GridParameters, Line, Relay
from gridtop.simulation.protection import Protection
from gridtop.simulation.ranges import Ranges
from gridtop.simulation.testbed import Conditions
from gridtop.simulation.timetables import choose
from gridtop.simulation.transducers import InstrumentErrors


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
        return choose(self._random, kinds[:3] if self._random.uniform() < 0.75 else kinds[3:])

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
