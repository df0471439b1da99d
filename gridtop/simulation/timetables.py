"""What happens when: the tour of the bundled recording, an endless timetable, the public data's scenarios."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TypeVar, get_args

import numpy as np

from gridtop.simulation.events import (
    Event,
    Injection,
    LoadStep,
    Maintenance,
    RelaySettings,
    ShortCircuit,
    TripCommand,
)
from gridtop.simulation.network import LINE_ENDS, RELAYS, Fault, FaultKind, Line, Relay

T = TypeVar("T")

SCENARIOS = (*range(1, 31), *range(35, 42))
"""The numbers of the public data's 37 scenarios; 31 to 34 do not exist."""
_FEIGNED_SECONDS = 0.4
"""How long a fault is feigned before the breakers are opened, as in the public data."""

TOUR: tuple[Event, ...] = (
    LoadStep(6, level=1.08),
    ShortCircuit(24, Fault("L1", "AG", distance=0.85, resistance=40)),
    LoadStep(50, level=0.94),
    ShortCircuit(75, Fault("L2", "BC", distance=0.6, resistance=25)),
    LoadStep(100, level=1.0),
    ShortCircuit(120, Fault("L1", "ABC", distance=0.88, resistance=30)),
    TripCommand(150, ("R3", "R4"), duration=8),
    LoadStep(180, level=1.05),
    Maintenance(200, "L1", duration=30),
    LoadStep(250, level=1.0),
    ShortCircuit(268, Fault("L2", "CG", distance=0.15, resistance=50)),
    TripCommand(283, ("R1",), duration=5),
)
"""One of everything within `TOUR_SECONDS`: what the bundled recording shows."""
TOUR_SECONDS = 300


def tour() -> Iterator[Event]:
    """The tour, over and over."""
    for start in itertools.count(0, TOUR_SECONDS):
        yield from (event.at(start + event.start) for event in TOUR)


def timetable(seed: int) -> Iterator[Event]:
    """Something every 20 to 60 seconds, for ever; the same for the same seed."""
    random = np.random.default_rng(seed)
    start = 0.0
    while True:
        # The longest event is over in less than the shortest pause.
        start += random.uniform(20, 60)
        kind = random.uniform()
        line: Line = choose(random, tuple(LINE_ENDS))
        if kind < 0.4:
            faults: Sequence[FaultKind] = get_args(FaultKind)
            # 15 to 70 ohm, log-uniform; four faults in five are of one phase to ground.
            resistance = float(np.exp(random.uniform(np.log(15), np.log(70))))
            fault_kind = choose(random, faults[:3] if random.uniform() < 0.8 else faults[3:])
            yield ShortCircuit(start, Fault(line, fault_kind, random.uniform(0.1, 0.9), resistance))
        elif kind < 0.7:
            yield LoadStep(start, random.uniform(0.88, 1.12))
        elif kind < 0.85:
            relays = choose(random, (LINE_ENDS[line], LINE_ENDS[line][:1], LINE_ENDS[line][1:]))
            yield TripCommand(start, relays, random.uniform(4, 10))
        else:
            yield Maintenance(start, line, random.uniform(5, 15))


def choose(random: np.random.Generator, items: Sequence[T]) -> T:
    """One of the items, each as likely as the other."""
    return items[int(random.integers(len(items)))]


def scenario(number: int, random: np.random.Generator, start: float) -> tuple[Event, ...]:
    """One of the 37 scenarios of the public data, from `start` seconds on; `random` fills in the rest.

    1-6     phase A to ground on L1 (1-3) or L2 (4-6), at 10-19, 20-79 or 80-90 % of the line
    7-12    the same six, feigned by data injection and followed by a trip command
    13, 14  maintenance of L1 or L2
    15-18   a command trips R1, R2, R3 or R4; 19, 20 both relays of L1 or of L2
    21-30   a fault while one relay's settings have been changed so that it does not trip
    35-38   a fault while both relays of its line do not trip
    39, 40  maintenance of L1 or L2 while both of its relays are disabled
    41      the load changes

    Raises ValueError when there is no such number.
    """
    if number not in SCENARIOS:
        raise ValueError(f"the scenarios are 1 to 30 and 35 to 41; there is no {number}")
    both = tuple(LINE_ENDS.values())
    lines: tuple[Line, ...] = get_args(Line)
    if number <= 12:
        line = lines[(number - 1) % 6 // 3]
        fault = _fault(random, line, ((0.10, 0.19), (0.20, 0.79), (0.80, 0.90))[(number - 1) % 3])
        if number <= 6:
            return (ShortCircuit(start, fault),)
        return (
            Injection(start, _FEIGNED_SECONDS, fault),
            TripCommand(start + _FEIGNED_SECONDS, LINE_ENDS[line], random.uniform(4, 10)),
        )
    if number in (13, 14):
        return (Maintenance(start, lines[number - 13], random.uniform(5, 20)),)
    if number <= 20:
        relays = (RELAYS[number - 15],) if number <= 18 else both[number - 19]
        return (TripCommand(start, relays, random.uniform(4, 10)),)
    if number <= 38:
        line, low, high, disabled = _DISABLED[number]
        return (RelaySettings(start, _fault(random, line, (low, high)), disabled),)
    if number <= 40:
        line = lines[number - 39]
        return (Maintenance(start, line, random.uniform(5, 20), LINE_ENDS[line]),)
    return (LoadStep(start, random.uniform(0.85, 1.15), choose(random, (0.0, random.uniform(1, 10)))),)


_DISABLED: dict[int, tuple[Line, float, float, tuple[Relay, ...]]] = {
    21: ("L1", 0.10, 0.19, ("R1",)),
    22: ("L1", 0.20, 0.90, ("R1",)),
    23: ("L1", 0.10, 0.49, ("R2",)),
    24: ("L1", 0.50, 0.79, ("R2",)),
    25: ("L1", 0.80, 0.90, ("R2",)),
    26: ("L2", 0.10, 0.19, ("R3",)),
    27: ("L2", 0.20, 0.49, ("R3",)),
    28: ("L2", 0.50, 0.90, ("R3",)),
    29: ("L2", 0.10, 0.79, ("R4",)),
    30: ("L2", 0.80, 0.90, ("R4",)),
    35: ("L1", 0.10, 0.49, ("R1", "R2")),
    36: ("L1", 0.50, 0.90, ("R1", "R2")),
    37: ("L2", 0.10, 0.49, ("R3", "R4")),
    38: ("L2", 0.50, 0.90, ("R3", "R4")),
}
"""Scenarios with relays that do not trip: line, where the fault may be, and the relays."""


def _fault(random: np.random.Generator, line: Line, within: tuple[float, float]) -> Fault:
    # 15 to 70 ohm, log-uniform, as in the timetable.
    resistance = float(np.exp(random.uniform(np.log(15), np.log(70))))
    return Fault(line, "AG", random.uniform(*within), resistance)
