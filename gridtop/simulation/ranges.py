"""The ranges from which the parameters of a run are drawn.

A test set that is to say anything holds out ranges, not only seeds: other limits here, another world.
docs/simulation.md says where the ranges come from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from gridtop.simulation.events import KINDS
from gridtop.simulation.logs import MOST_SKEW


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
                within = f"two limits within {lowest:g} and {highest:g}, the lower first"
                raise ValueError(f"{name}: should be {within}, not {low:g} and {high:g}")
        for kind, weight in self.mix.items():
            if kind not in KINDS:
                raise ValueError(f"mix: there is no kind of event called {kind[:40]!r}")
            if not 0 <= weight < math.inf:
                raise ValueError(f"mix: the weight of {kind} is 0 or more, not {weight:g}")
