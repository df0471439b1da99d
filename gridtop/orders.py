"""What an operator can tell an alarm, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gridtop.errors import GridtopError
from gridtop.text import clean

Action = Literal[
    "acknowledge",  # it was seen; one whose condition is gone leaves the list, unless it is latched
    "unlatch",  # let go of a latched alarm whose condition is gone
    "shelve",  # put aside for a while
    "unshelve",  # take it back
    "take-out-of-service",  # do not announce it, until further notice
    "put-in-service",  # announce it again
]
ACTIONS: tuple[Action, ...] = get_args(Action)

LONGEST_SHELVE = 8 * 3600.0
"""Seconds of measurement time (ISA-18.2 wants an end; docs/alarms.md)."""

LONGEST_TEXT = 200
"""Characters of a reason or of a user's name."""


@dataclass(frozen=True, slots=True)
class Order:
    """What somebody tells one alarm, named by the id of the event that raised it.

    `seconds` are for shelving. GridtopError when the action does not exist or something is out of bounds;
    the texts are cleaned.
    """

    action: Action
    alarm: str
    user: str = ""
    reason: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise GridtopError(f"{clean(str(self.action))} is nothing to tell an alarm: {', '.join(ACTIONS)}")
        if self.action == "shelve" and not 0 < self.seconds <= LONGEST_SHELVE:
            raise GridtopError("an alarm can be shelved for more than 0 s and at most 8 h")
        for name in ("user", "reason"):
            object.__setattr__(self, name, clean(getattr(self, name))[:LONGEST_TEXT])
