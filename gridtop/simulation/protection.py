"""How relays and operators answer events that move breakers: the actions that follow, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gridtop.simulation.events import (
    BreakerFailure,
    Energisation,
    Maintenance,
    RelaySettings,
    ShortCircuit,
    Switching,
    TripCommand,
)
from gridtop.simulation.network import LINE_ENDS, Fault, Relay

Log = Literal["control_panel", "relay", "snort"]
"""Who writes down that a breaker moved: the operator's panel, the relay, the intrusion detection."""

ACROSS_THE_BUS: dict[Relay, Relay] = {"R2": "R3", "R3": "R2"}
"""The other breaker of the bus, where there is one."""


@dataclass(frozen=True, slots=True)
class Protection:
    """The timing of the four relays, in seconds; the defaults are customary."""

    zone_1: float = 0.8
    """Share of the line that a relay clears at once (80 to 85 % is customary)."""
    near_clearing: float = 0.05
    """From the fault to the opening of a breaker, for a fault within zone 1."""
    far_clearing: float = 0.40
    """The same beyond zone 1: the delay of zone 2."""
    spread: float = 0.02
    """How much later than that a breaker may be."""
    arc_time: float = 0.02
    """From the last breaker's opening to the end of the short circuit."""
    dead_time: tuple[float, float] = (0.5, 1.5)
    """Shortest and longest time until the line recloses."""
    backup: tuple[float, float] = (1.2, 1.5)
    """When backup protection opens the breaker of a relay that does not trip."""
    breaker_failure: tuple[float, float] = (0.2, 0.35)
    """From the trip that a breaker ignores to the opening of what stands in for it."""


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


Action = Switch | ApplyFault


def plan(event: Switching, random: np.random.Generator, protection: Protection) -> list[Action]:
    """The actions that follow from an event, in order of time."""
    match event:
        case ShortCircuit():
            actions = _clear_and_reclose(event, random, protection)
        case BreakerFailure():
            actions = _fail_to_open(event, random, protection)
        case RelaySettings():
            actions = _clear_by_backup(event, random, protection)
        case TripCommand():
            actions = _trip_by_command(event, random)
        case Maintenance():
            actions = _take_out_of_service(event)
        case Energisation():
            actions = _energise(event)
    return sorted(actions, key=lambda action: action.time)


def _trips(
    start: float, fault: Fault, random: np.random.Generator, protection: Protection
) -> dict[Relay, float]:
    """When the breakers at both ends of a fault open, if nothing keeps them from it."""
    trips: dict[Relay, float] = {}
    ends = LINE_ENDS[fault.line]
    for relay, distance in zip(ends, (fault.distance, 1 - fault.distance), strict=True):
        near = distance < protection.zone_1
        delay = protection.near_clearing if near else protection.far_clearing
        trips[relay] = start + delay + random.uniform(0, protection.spread)
    return trips


def _clearing(fault: Fault, start: float, trips: dict[Relay, float], arc_time: float) -> list[Action]:
    """The fault, the breakers that open on it, and its end."""
    opening: list[Action] = [Switch(time, relay, False, ("relay",)) for relay, time in trips.items()]
    return [
        ApplyFault(start, fault),
        *opening,
        ApplyFault(max(trips.values()) + arc_time, None),
    ]


def _reclosing(
    relays: Sequence[Relay], cleared: float, random: np.random.Generator, protection: Protection
) -> list[Switch]:
    reclosing = cleared + random.uniform(*protection.dead_time)
    return [Switch(reclosing + random.uniform(0, 0.1), relay, True, ("relay",)) for relay in relays]


def _clear_and_reclose(
    event: ShortCircuit, random: np.random.Generator, protection: Protection
) -> list[Action]:
    trips = _trips(event.start, event.fault, random, protection)
    actions = _clearing(event.fault, event.start, trips, protection.arc_time)
    closing = _reclosing(tuple(trips), max(trips.values()), random, protection)
    actions += closing
    if event.permanent:
        # The arc strikes again as soon as the first end is closed, and each end trips for good once it has
        # been closed for its time.
        closed = {action.relay: action.time for action in closing}
        again = min(closed.values())
        delays = _trips(0.0, event.fault, random, protection)
        trips = {relay: closed[relay] + delay for relay, delay in delays.items()}
        actions += _clearing(event.fault, again, trips, protection.arc_time)
        in_service = max(trips.values()) + event.outage
        actions += [
            Switch(in_service + 0.5 * i, relay, True, ("control_panel",)) for i, relay in enumerate(trips)
        ]
    return actions


def _fail_to_open(event: BreakerFailure, random: np.random.Generator, protection: Protection) -> list[Action]:
    trips = _trips(event.start, event.fault, random, protection)
    ignored = trips.pop(event.stuck)
    opener = ACROSS_THE_BUS.get(event.stuck, event.stuck)
    trips[opener] = ignored + random.uniform(*protection.breaker_failure)
    actions = _clearing(event.fault, event.start, trips, protection.arc_time)
    return actions + _reclosing(tuple(trips), max(trips.values()), random, protection)


def _clear_by_backup(
    event: RelaySettings, random: np.random.Generator, protection: Protection
) -> list[Action]:
    trips = _trips(event.start, event.fault, random, protection)
    for relay in event.disabled:
        trips[relay] = event.start + random.uniform(*protection.backup)
    actions = _clearing(event.fault, event.start, trips, protection.arc_time)
    for relay in event.overreaching:
        trips[relay] = event.start + protection.near_clearing + random.uniform(0, protection.spread)
        actions.append(Switch(trips[relay], relay, False, ("relay",)))
    return actions + _reclosing(tuple(trips), max(trips.values()), random, protection)


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


def _energise(event: Energisation) -> list[Action]:
    first, second = LINE_ENDS[event.line]
    charged = event.start + event.outage
    return [
        *(Switch(event.start, relay, False, ("control_panel",)) for relay in (first, second)),
        Switch(charged, first, True, ("control_panel",)),
        Switch(charged + event.charging, second, True, ("control_panel",)),
    ]
