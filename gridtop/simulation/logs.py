"""The logs of breaker movements: entries that are missing, that are false, and clocks that disagree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridtop.simulation.network import RELAYS, Relay
from gridtop.simulation.protection import Log

LOGS: tuple[Log, ...] = ("control_panel", "relay", "snort")
MOST_SKEW = 1.0
"""Seconds that a log's clock may be off."""


@dataclass(frozen=True, slots=True)
class LogErrors:
    """How reliable the logs are; by default perfectly so.

    miss            share of entries that are lost
    false_per_hour  entries about nothing, in each of the twelve logs
    skew            s by which the clocks of panel, relays and intrusion detection are late; at most 1
    """

    miss: float = 0.0
    false_per_hour: float = 0.0
    skew: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class WriteLog:
    """One of the twelve logs, counted from 0, has an entry."""

    time: float
    column: int


def entry(
    time: float, log: Log, relay: Relay, errors: LogErrors, random: np.random.Generator
) -> WriteLog | None:
    """What is written about a breaker that moves at `time`; None if nothing is."""
    if errors.miss and random.uniform() < errors.miss:
        return None
    number = LOGS.index(log)
    return WriteLog(time + errors.skew[number], len(RELAYS) * number + RELAYS.index(relay))


def false_entries(start: float, errors: LogErrors, random: np.random.Generator) -> list[WriteLog]:
    """Entries about nothing within the second from `start` on."""
    if not errors.false_per_hour:
        return []
    columns = np.flatnonzero(random.uniform(size=len(LOGS) * len(RELAYS)) < errors.false_per_hour / 3600)
    return [WriteLog(start + random.uniform(), int(column)) for column in columns]
