"""Alarms that are suppressed by design: a limit is exceeded while another rule's alarm inhibits them.

They give no events; they are only shown, so that nobody takes silence for health.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridtop.alarms.conditions import Severities
from gridtop.alarms.saved import from_number, number
from gridtop.alarms.timing import Integers
from gridtop.blocks import Floats


@dataclass(slots=True)
class Silenced:
    """A lane that is silenced: since when (nanoseconds) and in which row, the level, the worst value."""

    since: int
    since_row: int
    level: int = 0
    peak: float = math.nan
    worst: float = -math.inf

    def saved(self) -> list[Any]:
        """Everything, for JSON."""
        return [self.since, self.since_row, self.level, number(self.peak), number(self.worst)]

    @classmethod
    def restored(cls, state: list[Any]) -> Silenced:
        """The inverse of `saved`."""
        since, since_row, level, peak, worst = state
        return cls(since, since_row, level, from_number(peak), from_number(worst))


class Suppression:
    """The lanes that are silenced after the newest row."""

    def __init__(self) -> None:
        self.lanes: dict[int, Silenced] = {}

    def follow(
        self, lane: int, levels: Severities, row: int, time: Integers, values: Floats, turned: Floats
    ) -> None:
        """Learn some rows (n,) from number `row` on: the silenced level in each, 0 for none."""
        if not levels[-1]:
            self.lanes.pop(lane, None)
            return
        free = np.flatnonzero(levels == 0)
        start = int(free[-1]) + 1 if len(free) else 0
        mine = self.lanes.get(lane)
        if mine is None or start:
            mine = self.lanes[lane] = Silenced(int(time[start]), row + start)
        mine.level = int(levels[-1]) - 1
        worst = float(np.fmax.reduce(turned[start:]))
        if worst > mine.worst:
            mine.worst, mine.peak = worst, float(values[start:][np.flatnonzero(turned[start:] == worst)[0]])

    def saved(self) -> Mapping[int, list[Any]]:
        """Each silenced lane, for JSON."""
        return {lane: mine.saved() for lane, mine in self.lanes.items()}
