"""Small simulated recordings to learn from: two and a half minutes of short circuits, ten frames a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gridtop.simulation import ShortCircuit, Simulation
from gridtop.simulation.network import Fault
from gridtop.simulation.recording import write_recording

RATE = 10
SECONDS = 150
FAULTS = (
    (70.0, Fault("L1", "AG", 0.3, 2.0)),
    (90.0, Fault("L2", "BC", 0.4, 2.0)),
    (110.0, Fault("L1", "ABC", 0.5, 2.0)),
    (130.0, Fault("L2", "BG", 0.6, 2.0)),
)


def simulated(folder: Path, name: str, seed: int, start: str = "2026-01-01T00:00:00") -> Path:
    """A recording with a short circuit on L1 and L2 by turns, and the list of its events beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    events = [ShortCircuit(start=at, fault=fault) for at, fault in FAULTS]
    simulation = Simulation(events=events, seed=seed, rate=RATE)
    write_recording(path, simulation, SECONDS * RATE, start=np.datetime64(start, "us"))
    return path


def hours(folder: Path) -> list[Path]:
    """Two such recordings, one after the other."""
    return [
        simulated(folder, "first", 1, "2026-01-01T00:00:00"),
        simulated(folder, "second", 2, "2026-01-01T01:00:00"),
    ]
