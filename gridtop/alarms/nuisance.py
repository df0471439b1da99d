"""Alarms that are a nuisance: those that chatter, and those that stand for days (docs/alarms.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gridtop.alarms.timing import SECOND

RAISES = 3
WITHIN = 60 * SECOND
"""An alarm chatters that is raised three times within a minute, in nanoseconds (ISA-18.2)."""
CALM = 600 * SECOND
"""Without a raise for so long, it chatters no more."""
STALE = 24 * 3600 * SECOND
"""An alarm whose condition has held for so long is stale."""


@dataclass(slots=True)
class _Raises:
    """When one alarm was raised lately (nanoseconds), the newest last, and whether it chatters."""

    times: list[int]
    chatters: bool = False


class Chattering:
    """Which lanes chatter."""

    def __init__(self) -> None:
        self._lanes: dict[int, _Raises] = {}

    def raised(self, lane: int, time: int) -> int | None:
        """Count a raise: within how many nanoseconds it was the third, when that begins to be chatter."""
        mine = self._lanes.get(lane)
        if mine is None or time - mine.times[-1] >= CALM:
            mine = self._lanes[lane] = _Raises([])
        mine.times = [*mine.times[1 - RAISES :], time]
        took = time - mine.times[0]
        if mine.chatters or len(mine.times) < RAISES or took > WITHIN:
            return None
        mine.chatters = True
        return took

    def chatters(self, lane: int, time: int) -> bool:
        """Whether a lane chatters at a time."""
        mine = self._lanes.get(lane)
        return mine is not None and mine.chatters and time - mine.times[-1] < CALM

    def remembered(self, time: int) -> list[int]:
        """The lanes whose raises still matter at a time."""
        return [lane for lane, mine in self._lanes.items() if time - mine.times[-1] < CALM]

    def saved(self, lane: int, time: int) -> list[int | bool] | None:
        """What is known of a lane, for JSON: whether it chatters, and its last raises; None for nothing."""
        mine = self._lanes.get(lane)
        if mine is None or time - mine.times[-1] >= CALM:
            return None
        return [mine.chatters, *mine.times]

    def restore(self, lane: int, state: Sequence[int | bool]) -> None:
        """Go on with what `saved` said."""
        self._lanes[lane] = _Raises([int(time) for time in state[1:]], bool(state[0]))
