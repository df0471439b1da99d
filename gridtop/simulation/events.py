"""Every kind of event: one small class for each, with its limits, and its name.

An event is a cause: when, where, how much. What follows from it is worked out elsewhere: by the
protection (protection.py), the machines (disturbances.py), an attacker (tampering.py), the instrument
transformers (transducers.py), the logs (logs.py) and the way of the data (transmission.py).
"""

from __future__ import annotations

from typing import get_args

from gridtop.simulation.causes import ATTACK, NATURAL, PHASES, QUIET, Event, Phase, Seconds
from gridtop.simulation.data_events import (
    Conductor,
    GpsDrift,
    Injection,
    InstrumentDrift,
    LateFrames,
    MissingFrames,
    OpenCt,
    Quantity,
    ReorderedFrames,
    RepeatedFrames,
    StuckChannel,
    VtFuse,
)
from gridtop.simulation.grid_events import (
    BreakerFailure,
    Energisation,
    ForcedOscillation,
    Inrush,
    LoadStep,
    Maintenance,
    NaturalOscillation,
    PowerSwing,
    RelaySettings,
    ShortCircuit,
    Switching,
    TripCommand,
)

__all__ = [
    "ATTACK",
    "KINDS",
    "NATURAL",
    "PHASES",
    "QUIET",
    "BreakerFailure",
    "Conductor",
    "Energisation",
    "Event",
    "ForcedOscillation",
    "GpsDrift",
    "Injection",
    "Inrush",
    "InstrumentDrift",
    "LateFrames",
    "LoadStep",
    "Maintenance",
    "MissingFrames",
    "NaturalOscillation",
    "OpenCt",
    "Phase",
    "PowerSwing",
    "Quantity",
    "RelaySettings",
    "ReorderedFrames",
    "RepeatedFrames",
    "Seconds",
    "ShortCircuit",
    "StuckChannel",
    "Switching",
    "TripCommand",
    "VtFuse",
]

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
