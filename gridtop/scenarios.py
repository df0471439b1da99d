"""What happens to the testbed and when: events, how protection answers them, and two timetables.

Times are seconds from the start of the simulation. An event is a cause (`ShortCircuit`); `plan` turns
it into the actions that follow (`Switch`, `ApplyFault`, ...), with the random part of their timing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, get_args

import numpy as np

from gridtop.testbed import LINE_ENDS, Fault, FaultKind, Line, Relay

T = TypeVar("T")
Log = Literal["control_panel", "relay", "snort"]
"""Who writes down that a breaker moved: the operator's panel, the relay, the intrusion detection."""

QUIET, NATURAL, ATTACK = "NoEvents", "Natural", "Attack"
"""The labels of the public data's three classes; load steps count as `NoEvents` there, and here."""

ZONE_1_REACH = 0.8
"""Share of the line that a relay clears at once (80 to 85 % is customary)."""
NEAR_CLEARING, FAR_CLEARING = 0.05, 0.40
"""Seconds from the fault to the opening of a breaker, for a fault within and beyond zone 1."""
ARC_TIME = 0.02
"""Seconds from the last breaker's opening to the end of the short circuit."""
AFTERMATH = 2.0
"""Seconds after the last action that still carry the event's label."""


@dataclass(frozen=True, slots=True)
class _Event:
    start: float

    def __post_init__(self) -> None:
        if not self.start >= 0:
            raise ValueError(f"an event starts at 0 s or later, not at {self.start}")


@dataclass(frozen=True, slots=True)
class ShortCircuit(_Event):
    """A fault that both ends of its line clear and that is gone when they reclose."""

    fault: Fault


@dataclass(frozen=True, slots=True)
class TripCommand(_Event):
    """An attacker opens breakers without any fault; the operator closes them `duration` seconds later."""

    relays: tuple[Relay, ...]
    duration: float = 8.0


@dataclass(frozen=True, slots=True)
class Maintenance(_Event):
    """The operator takes a line out of service for `duration` seconds, its ends half a second apart."""

    line: Line
    duration: float = 20.0


@dataclass(frozen=True, slots=True)
class LoadStep(_Event):
    """The load changes to `level` times the nominal load and stays there."""

    level: float


Event = ShortCircuit | TripCommand | Maintenance | LoadStep


@dataclass(frozen=True, slots=True)
class Switch:
    """A breaker moves, and the logs note it."""

    time: float
    relay: Relay
    closed: bool
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class ApplyFault:
    """A short circuit begins, or the one there is ends (None)."""

    time: float
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class SetLoad:
    """The load's level changes."""

    time: float
    level: float


@dataclass(frozen=True, slots=True)
class SetLabel:
    """Frames from here on carry this label."""

    time: float
    label: str


Action = Switch | ApplyFault | SetLoad | SetLabel


def plan(event: Event, random: np.random.Generator) -> list[Action]:
    """The actions that follow from an event, in order of time; the last one ends its label."""
    match event:
        case LoadStep():
            return [SetLoad(event.start, event.level)]
        case ShortCircuit():
            label, actions = NATURAL, _clear_and_reclose(event, random)
        case TripCommand():
            label, actions = ATTACK, _trip_by_command(event, random)
        case Maintenance():
            label, actions = NATURAL, _take_out_of_service(event)
    actions.sort(key=lambda action: action.time)
    return [SetLabel(event.start, label), *actions, SetLabel(actions[-1].time + AFTERMATH, QUIET)]


def _clear_and_reclose(event: ShortCircuit, random: np.random.Generator) -> list[Action]:
    fault = event.fault
    ends = dict(zip(LINE_ENDS[fault.line], (fault.distance, 1 - fault.distance), strict=True))
    actions: list[Action] = [ApplyFault(event.start, fault)]
    for relay, distance in ends.items():
        delay = NEAR_CLEARING if distance < ZONE_1_REACH else FAR_CLEARING
        actions.append(Switch(event.start + delay + random.uniform(0, 0.02), relay, False, ("relay",)))
    cleared = max(action.time for action in actions)
    actions.append(ApplyFault(cleared + ARC_TIME, None))
    reclosing = cleared + random.uniform(0.5, 1.5)
    return actions + [Switch(reclosing + random.uniform(0, 0.1), relay, True, ("relay",)) for relay in ends]


def _trip_by_command(event: TripCommand, random: np.random.Generator) -> list[Action]:
    actions: list[Action] = []
    for relay in event.relays:
        actions.append(Switch(event.start + random.uniform(0, 0.2), relay, False, ("relay", "snort")))
        actions.append(Switch(event.start + event.duration, relay, True, ("control_panel",)))
    return actions


def _take_out_of_service(event: Maintenance) -> list[Action]:
    first, second = LINE_ENDS[event.line]
    return [
        Switch(event.start, first, False, ("control_panel",)),
        Switch(event.start + 0.5, second, False, ("control_panel",)),
        Switch(event.start + event.duration - 0.5, second, True, ("control_panel",)),
        Switch(event.start + event.duration, first, True, ("control_panel",)),
    ]


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
        yield from (replace(event, start=start + event.start) for event in TOUR)


def timetable(seed: int) -> Iterator[Event]:
    """Something every 20 to 60 seconds, for ever; the same for the same seed."""
    random = np.random.default_rng(seed)
    start = 0.0
    while True:
        # The longest event is over in less than the shortest pause.
        start += random.uniform(20, 60)
        kind = random.uniform()
        line: Line = _choose(random, tuple(LINE_ENDS))
        if kind < 0.4:
            faults: Sequence[FaultKind] = get_args(FaultKind)
            # 15 to 70 ohm, log-uniform; four faults in five are of one phase to ground.
            resistance = float(np.exp(random.uniform(np.log(15), np.log(70))))
            fault_kind = _choose(random, faults[:3] if random.uniform() < 0.8 else faults[3:])
            yield ShortCircuit(start, Fault(line, fault_kind, random.uniform(0.1, 0.9), resistance))
        elif kind < 0.7:
            yield LoadStep(start, random.uniform(0.88, 1.12))
        elif kind < 0.85:
            relays = _choose(random, (LINE_ENDS[line], LINE_ENDS[line][:1], LINE_ENDS[line][1:]))
            yield TripCommand(start, relays, random.uniform(4, 10))
        else:
            yield Maintenance(start, line, random.uniform(5, 15))


def _choose(random: np.random.Generator, items: Sequence[T]) -> T:
    return items[int(random.integers(len(items)))]
