"""The simulated grid: a two-line testbed with everything that can happen to it, its relays and its data.

simulation = Simulation(events=tour(), seed=1)
frames = simulation.read(300)          # the next ten seconds at 30 frames/s
frames.values[:, COLUMNS.index("R1-PM1:V")]

What else the engine needs of it is named here; docs/simulation.md says what is modelled, and how well.
"""

from __future__ import annotations

from gridtop.simulation.drawing import Draw
from gridtop.simulation.events import (
    KINDS,
    PHASES,
    BreakerFailure,
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
    RelaySettings,
    ReorderedFrames,
    RepeatedFrames,
    ShortCircuit,
    StuckChannel,
    TripCommand,
    VtFuse,
)
from gridtop.simulation.instruments import COLUMNS, NUMERIC_COLUMNS
from gridtop.simulation.logs import LogErrors
from gridtop.simulation.network import Fault, GridParameters
from gridtop.simulation.occurrences import AFTERMATH, Occurrence
from gridtop.simulation.protection import Protection
from gridtop.simulation.ranges import Ranges
from gridtop.simulation.testbed import Conditions, Frames, Simulation
from gridtop.simulation.timetables import SCENARIOS, scenario, timetable, tour
from gridtop.simulation.transducers import InstrumentErrors

__all__ = [
    "AFTERMATH",
    "COLUMNS",
    "KINDS",
    "NUMERIC_COLUMNS",
    "PHASES",
    "SCENARIOS",
    "BreakerFailure",
    "Conditions",
    "Draw",
    "Energisation",
    "Event",
    "Fault",
    "ForcedOscillation",
    "Frames",
    "GpsDrift",
    "GridParameters",
    "Injection",
    "Inrush",
    "InstrumentDrift",
    "InstrumentErrors",
    "LateFrames",
    "LoadStep",
    "LogErrors",
    "Maintenance",
    "MissingFrames",
    "NaturalOscillation",
    "Occurrence",
    "OpenCt",
    "PowerSwing",
    "Protection",
    "Ranges",
    "RelaySettings",
    "ReorderedFrames",
    "RepeatedFrames",
    "ShortCircuit",
    "Simulation",
    "StuckChannel",
    "TripCommand",
    "VtFuse",
    "scenario",
    "timetable",
    "tour",
]
