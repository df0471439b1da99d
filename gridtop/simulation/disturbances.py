"""What disturbs load and machines as a function of time: daily cycle, inrush, oscillations, swings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridtop.simulation.events import Event, ForcedOscillation, Inrush, NaturalOscillation, PowerSwing
from gridtop.simulation.network import Complexes, Floats, GridParameters

_AGAINST_EACH_OTHER = np.array([1.0, -1.0])
_INRUSH_OF_PHASES = np.array([1.0, 0.6, 0.3])
"""A core takes up flux by the instant of switching, which differs from phase to phase."""
_KICK_SECONDS = 0.2
_HOUR_OF_HIGHEST_LOAD = 18.0


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What acts on the grid at n samples; None is nothing.

    load     (n,) factor on the load
    inrush   (n, 3) siemens besides the load, per phase
    drive    (n, 2) mechanical power of the machines, per unit
    damping  (n,) of both machines
    """

    load: Floats | None = None
    inrush: Complexes | None = None
    drive: Floats | None = None
    damping: Floats | None = None

    def part(self, cut: slice) -> Disturbance:
        """The samples of a stretch."""
        everything: tuple[Any, ...] = (self.load, self.inrush, self.drive, self.damping)
        return Disturbance(*(None if value is None else value[cut] for value in everything))


def disturbance(grid: GridParameters, events: Sequence[Event], time: Floats) -> Disturbance:
    """What `events` and the hour do at the times (n,) in seconds; each event looks after its own duration."""
    load: Floats | None = daily_load(grid, time) if grid.daily_depth else None
    inrush: Complexes | None = None
    drive: Floats | None = None
    damping: Floats | None = None
    for event in events:
        age = time - event.start
        on = (age >= 0) & (time < event.end)
        match event:
            case Inrush():
                decay = np.exp(-np.maximum(age, 0) / event.decay) * on
                siemens = -1j * event.size * abs(grid.load) / (3 * grid.phase_voltage**2)
                added = siemens * decay[:, None] * _INRUSH_OF_PHASES
                inrush = added if inrush is None else inrush + added
            case ForcedOscillation():
                wave = np.where(on, event.amplitude * np.sin(2 * math.pi * event.frequency * age), 0.0)
                if event.source == "load":
                    load = 1 + wave if load is None else load * (1 + wave)
                else:
                    drive = _added(drive, wave[:, None] * (np.array(["G1", "G2"]) == event.source))
            case NaturalOscillation():
                kick = on * (age < _KICK_SECONDS) * event.kick
                drive = _added(drive, kick[:, None] * _AGAINST_EACH_OTHER)
                usual = np.full(len(time), grid.damping) if damping is None else damping
                damping = np.where(on, event.damping, usual)
            case PowerSwing():
                drive = _added(drive, (on * event.size)[:, None] * _AGAINST_EACH_OTHER)
    return Disturbance(load, inrush, drive, damping)


def daily_load(grid: GridParameters, time: Floats) -> Floats:
    """(n,) the load's daily cycle as a factor: a cosine, highest at 18 h."""
    hour = grid.start_hour + time / 3600
    cycle: Floats = 1 + grid.daily_depth * np.cos(2 * math.pi * (hour - _HOUR_OF_HIGHEST_LOAD) / 24)
    return cycle


def _added(total: Floats | None, more: Floats) -> Floats:
    return more if total is None else total + more
