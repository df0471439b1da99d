"""The life of one alarm after ISA-18.2: its states, and which orders make sense in which (docs/alarms.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gridtop.alarms.saved import from_number, number
from gridtop.blocks import Floats
from gridtop.client import AlarmState
from gridtop.events import Contribution, Event
from gridtop.orders import Action

ASIDE: frozenset[AlarmState] = frozenset({"shelved", "suppressed", "out_of_service"})
"""The states in which an alarm is not announced."""

UNSEEN: frozenset[AlarmState] = frozenset({"unacknowledged", "returned", "latched"})
"""The states that somebody should acknowledge."""

_ANNOUNCED: frozenset[AlarmState] = UNSEEN | {"acknowledged", "latched_acknowledged"}
_POSSIBLE: Mapping[Action, frozenset[AlarmState]] = {
    "acknowledge": _ANNOUNCED | ASIDE,  # nothing happens where there is nothing to see
    "unlatch": frozenset({"latched", "latched_acknowledged"}),
    "shelve": _ANNOUNCED | {"shelved"},
    "unshelve": frozenset({"shelved"}),
    "take-out-of-service": _ANNOUNCED | {"shelved"},
    "put-in-service": frozenset({"out_of_service"}),
}
_INSTEAD: Mapping[AlarmState, str] = {
    "unacknowledged": "its condition holds",
    "acknowledged": "its condition holds",
    "returned": "its condition is gone, and it only waits to be acknowledged",
    "latched": "it is latched; unlatch it",
    "latched_acknowledged": "it is latched; unlatch it",
    "shelved": "it is shelved; unshelve it first",
    "suppressed": "another alarm in the same place silences it, and nothing is announced",
    "out_of_service": "it is out of service; put it in service first",
}


def refusal(state: AlarmState, action: Action) -> str:
    """Why an order makes no sense for an alarm in this state; empty when it does."""
    return "" if state in _POSSIBLE[action] else _INSTEAD[state]


@dataclass(slots=True)
class Alarm:
    """An alarm that is not normal: the event that raised it, and what became of it since.

    Times are nanoseconds. `since` and `since_row` are the first crossing of the condition that holds, or held
    last; `at` is when it was raised. `peak` is the worst value, `worst` the same as the thresholds see it.
    While an alarm is set aside (`aside`), its condition comes and goes unseen: `unseen` counts the raises.
    """

    raised: Event
    at: int
    since: int
    since_row: int
    level: int
    message: str
    parent: str = ""
    holds: bool = True
    latched: bool = False
    acknowledged: bool = False
    aside: Literal["", "shelved", "out_of_service"] = ""
    until: int | None = None
    """When it is shelved no more; between two passes, how long that is from the first row of the next."""
    user: str = ""
    reason: str = ""
    unseen: int = 0
    ended: tuple[int, int] | None = None
    """Time and row in which the condition was gone."""
    stale: bool = False
    peak: float = math.nan
    worst: float = -math.inf
    worsened: str = ""
    """The id of the event with which it last escalated."""
    cause: tuple[Contribution, ...] = ()
    cause_approximate: bool = False
    _written: dict[str, Any] | None = None
    """The event that raised it, for JSON: it is written again and again."""

    @property
    def incident(self) -> str:
        """The id of the event that raised it."""
        return self.raised.id

    @property
    def state(self) -> AlarmState:
        """Where it stands in the diagram of ISA-18.2."""
        if self.aside:
            return self.aside
        if self.latched:
            return "latched_acknowledged" if self.acknowledged else "latched"
        if self.holds:
            return "acknowledged" if self.acknowledged else "unacknowledged"
        return "returned"

    def follow(self, values: Floats, turned: Floats) -> None:
        """Learn some rows (n,) of values, as they are and as the thresholds see them."""
        if len(turned) and self.holds and (worst := float(np.fmax.reduce(turned))) > self.worst:
            self.worst, self.peak = worst, float(values[np.flatnonzero(turned == worst)[0]])

    def rises(self, level: int, text: str, event: str = "") -> None:
        """It got worse: who has seen it has not seen this."""
        self.level, self.message, self.acknowledged, self.worsened = level, text, False, event
        if not self.aside:
            self.user = ""

    def begins_unseen(self, level: int, since: int, since_row: int) -> None:
        """The condition came while the alarm is set aside."""
        self.level, self.since, self.since_row = level, since, since_row
        self.holds, self.latched, self.acknowledged, self.ended = True, False, False, None
        self.worst, self.peak = -math.inf, math.nan
        self.unseen += 1

    def returns(self, time: int, row: int, latches: bool) -> None:
        """The condition is gone."""
        self.holds, self.latched, self.ended = False, latches, (time, row)

    def put_aside(
        self, aside: Literal["shelved", "out_of_service"], until: int | None, user: str, reason: str
    ) -> None:
        """An operator does not want to hear of it."""
        self.aside, self.until, self.user, self.reason = aside, until, user, reason

    def comes_back(self) -> None:
        """It is announced again."""
        self.aside, self.until, self.unseen, self.user, self.reason = "", None, 0, "", ""

    def forgets(self, elapsed: int | None) -> None:
        """The pass is over, at a time (None: no row of it was seen): the condition is no longer known."""
        self.holds, self.latched, self.acknowledged, self.parent, self.stale = False, False, False, "", False
        if self.until is not None and elapsed is not None:
            self.until -= elapsed

    def saved(self) -> dict[str, Any]:
        """Everything, for JSON."""
        if self._written is None:
            self._written = self.raised.to_dict()
        return {
            "raised": self._written,
            "at": self.at,
            "since": self.since,
            "since_row": self.since_row,
            "level": self.level,
            "message": self.message,
            "parent": self.parent,
            "holds": self.holds,
            "latched": self.latched,
            "acknowledged": self.acknowledged,
            "aside": self.aside,
            "until": self.until,
            "user": self.user,
            "reason": self.reason,
            "unseen": self.unseen,
            "ended": self.ended,
            "stale": self.stale,
            "peak": number(self.peak),
            "worst": number(self.worst),
            "worsened": self.worsened,
            "cause": [[part.channel, part.share] for part in self.cause],
            "cause_approximate": self.cause_approximate,
        }

    @classmethod
    def restored(cls, state: Mapping[str, Any]) -> Alarm:
        """The inverse of `saved`; KeyError, TypeError or ValueError for anything else."""
        values = dict(state)
        values["raised"] = Event.from_dict(state["raised"])
        values["ended"] = None if state["ended"] is None else (state["ended"][0], state["ended"][1])
        values["peak"], values["worst"] = from_number(state["peak"]), from_number(state["worst"])
        values["cause"] = tuple(Contribution(channel, share) for channel, share in state["cause"])
        return cls(**values)
