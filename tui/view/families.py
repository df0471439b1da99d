"""Alarms with those that stand behind them in a flood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .alarms import Alarm


@dataclass(frozen=True, slots=True)
class Family:
    """An alarm, and those that it stands for."""

    head: Alarm
    behind: tuple[Alarm, ...] = ()

    @property
    def flags(self) -> str:
        """`+12* ~ old`: how many it stands for, a star when somebody should acknowledge one of them, and
        what is odd about itself."""
        count = max(self.head.children, len(self.behind))
        star = "*" if any(alarm.unseen for alarm in self.behind) else ""
        return " ".join(filter(None, (f"+{count}{star}" if count else "", self.head.flags)))


def families(alarms: Sequence[Alarm]) -> list[Family]:
    """All alarms in their order; a family stands where the first of its members does."""
    members: dict[str, list[Alarm]] = {}
    for alarm in alarms:
        members.setdefault(alarm.parent or alarm.id, []).append(alarm)
    return [
        Family(
            next(alarm for alarm in family if alarm.id == id),
            tuple(alarm for alarm in family if alarm.id != id),
        )
        for id, family in members.items()
    ]
