"""The list of alarms that are not normal, as screens and other clients see it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from gridtop.alarms.conditions import Conditions
from gridtop.alarms.lanes import LaneTable
from gridtop.alarms.life_cycle import ASIDE, Alarm
from gridtop.alarms.register import Register
from gridtop.alarms.reporting import Reporter
from gridtop.alarms.rules import LEVELS
from gridtop.alarms.suppression import Suppression
from gridtop.alarms.wording import silenced_message
from gridtop.blocks import Floats
from gridtop.client import ActiveAlarm


class Newest:
    """The latest good value of the lanes whose alarm is not normal."""

    def __init__(self, table: LaneTable) -> None:
        self._table = table
        self.values = np.full(len(table), math.nan)

    def look(self, lanes: Iterable[int], values: Floats, good_values: Floats) -> None:
        """Learn some rows of values (n, c), and the same without the doubtful ones."""
        for judged, chosen in (
            (good_values, [k for k in lanes if self._table.needs_good[k]]),
            (values, [k for k in lanes if not self._table.needs_good[k]]),
        ):
            if chosen:
                columns = self._table.columns[chosen]
                last = judged[-1, columns]
                there = np.isfinite(last)
                self.values[chosen] = np.where(there, last, self.values[chosen])
                for i in np.flatnonzero(~there).tolist():
                    column = judged[:, columns[i]]
                    good = column[np.isfinite(column)]
                    if len(good):
                        self.values[chosen[i]] = good[-1]


class Listing:
    """Puts together what is known of each alarm that is not normal."""

    def __init__(
        self,
        table: LaneTable,
        register: Register,
        suppression: Suppression,
        conditions: Conditions,
        report: Reporter,
        newest: Newest,
    ) -> None:
        self._table, self._register, self._report, self._newest = table, register, report, newest
        self._suppression, self._conditions = suppression, conditions

    def alarms(self, now: int) -> tuple[ActiveAlarm, ...]:
        """All of them at the time of the newest row: the critical ones first, the newest of them first; those
        that are not announced last."""
        heads = {alarm.incident: alarm for alarm in self._register.alarms.values()}
        behind = {k: _stands_behind(alarm, heads) for k, alarm in self._register.alarms.items()}
        children: dict[str, int] = {}
        for parent in behind.values():
            children[parent] = children.get(parent, 0) + 1
        found = [
            (k, self._alarm(k, alarm, now, behind[k], children.get(alarm.incident, 0)))
            for k, alarm in self._register.alarms.items()
        ]
        found += self._silenced()

        def rank(entry: tuple[int, ActiveAlarm]) -> tuple[bool, int, int, tuple[str, str, str]]:
            k, alarm = entry
            level = LEVELS.index(alarm.severity) if alarm.severity in LEVELS else 0
            return alarm.state in ASIDE, -level, -alarm.row, self._table.lanes[k].order

        return tuple(alarm for _, alarm in sorted(found, key=rank))

    def _alarm(self, k: int, alarm: Alarm, now: int, parent: str, children: int) -> ActiveAlarm:
        lane, raised, state = self._table.lanes[k], alarm.raised, alarm.state
        ended_at, ended_row = (None, None) if alarm.ended is None else alarm.ended
        between = self._report.between_passes
        return ActiveAlarm(
            id=alarm.incident,
            rule=lane.rule,
            channel=lane.subject.name,
            severity=LEVELS[alarm.level],
            direction=lane.direction,
            value=float(self._newest.values[k]),
            peak=alarm.peak,
            limit=lane.limit(alarm.level),
            unit=lane.unit,
            message=alarm.message,
            row=raised.row,
            since_row=alarm.since_row,
            time=raised.time,
            since=self._report.time(alarm.since),
            latched=state in ("latched", "latched_acknowledged"),
            acknowledged=state in ("acknowledged", "latched_acknowledged"),
            cause=alarm.cause,
            cause_approximate=alarm.cause_approximate,
            state=state,
            priority=lane.priority(alarm.level),
            ended=self._report.time(ended_at),
            ended_row=ended_row,
            parent=parent,
            children=children,
            until=None if between else self._report.time(alarm.until),
            user=alarm.user,
            reason=alarm.reason,
            chattering=self._register.chattering.chatters(k, now),
            stale=alarm.stale and alarm.holds,
        )

    def _silenced(self) -> Iterator[tuple[int, ActiveAlarm]]:
        for k, silenced in self._suppression.lanes.items():
            if k in self._register.alarms:
                continue
            lane, value = self._table.lanes[k], float(self._conditions.newest[k])
            yield (
                k,
                ActiveAlarm(
                    id=self._report.silenced_id(k, silenced.since_row),
                    rule=lane.rule,
                    channel=lane.subject.name,
                    severity=LEVELS[silenced.level],
                    direction=lane.direction,
                    value=value,
                    peak=value if math.isnan(silenced.peak) else silenced.peak,
                    limit=lane.limit(silenced.level),
                    unit=lane.unit,
                    message=silenced_message(lane, silenced.level, value),
                    row=silenced.since_row,
                    since_row=silenced.since_row,
                    time=self._report.time(silenced.since),
                    since=self._report.time(silenced.since),
                    state="suppressed",
                    priority=lane.priority(silenced.level),
                ),
            )


def _stands_behind(alarm: Alarm, heads: Mapping[str, Alarm]) -> str:
    """The incident that stands for an alarm in the list; empty when it stands for itself.

    What holds is never put behind what is over, nor what is critical behind what is milder.
    """
    head = heads.get(alarm.parent)
    if head is None or head.aside or alarm.aside:
        return ""
    over = alarm.holds and not head.holds
    return "" if over or head.level < alarm.level else head.incident
