"""What the alarm engine says: events with their ids, places and times."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from gridtop.alarms.floods import WINDOW, FloodSoFar
from gridtop.alarms.lanes import LaneTable
from gridtop.alarms.nuisance import RAISES
from gridtop.alarms.rules import LEVELS
from gridtop.alarms.timing import SECOND
from gridtop.alarms.wording import span, subject
from gridtop.blocks import Floats
from gridtop.channels import ChannelSet
from gridtop.events import Detail, Event, Transition, event_id
from gridtop.text import clean

_OPERATORS: frozenset[Transition] = frozenset(
    {"acknowledged", "unlatched", "shelved", "unshelved", "out_of_service", "in_service"}
)


@dataclass(frozen=True, slots=True)
class Moment:
    """One row: its number, its time in nanoseconds, its values (c,)."""

    row: int
    time: int
    values: Floats


@dataclass(frozen=True, slots=True)
class About:
    """What an event tells of an alarm: since when it is so, which incident it is, and what else is known."""

    since: int
    since_row: int
    incident: str = ""
    """Empty for the event that begins it."""
    parent: str = ""
    details: Mapping[str, Detail] = field(default_factory=dict)


class Reporter:
    """Writes events; ids are the same whenever the same thing happens in the same pass of one recording."""

    def __init__(self, table: LaneTable, channels: ChannelSet, identity: str, pass_number: int) -> None:
        self.pass_number = pass_number
        self.between_passes = False
        """Whether the moment of an event belongs to the pass before."""
        self.has_clock = channels.clock == "utc"
        self._table = table
        self._rate = channels.rate
        self._identity = identity
        self._row = -1
        self._ids: set[str] = set()
        """Those of the events in `_row`: an operator may say the same twice in one frame."""

    def alarm(
        self, k: int, transition: Transition, level: int, moment: Moment, text: str, about: About
    ) -> Event:
        """Something that happened to lane `k`; the level (0 warning, 1 critical) is the one concerned."""
        lane = self._table.lanes[k]
        subject, value = lane.subject, float(moment.values[lane.column])
        found = self._id(f"{lane.rule}/{lane.direction}", subject.name, transition, moment.row)
        severity = 0 if transition == "eased" else level
        return Event(
            id=found,
            kind="operator" if transition in _OPERATORS else lane.kind,
            transition=transition,
            severity=LEVELS[severity],
            rule=lane.rule,
            message=text,
            row=moment.row,
            time=self.time(moment.time),
            since=self.time(about.since),
            since_row=about.since_row,
            channel=subject.name,
            quantity=subject.quantity,
            terminal=subject.terminal,
            phase=subject.phase,
            direction=lane.direction,
            value=value if math.isfinite(value) else None,
            limit=lane.limit(level),
            unit=lane.unit,
            pass_number=self.pass_number,
            priority=lane.priority(severity),
            incident=about.incident or found,
            parent=about.parent,
            details=about.details,
        )

    def chatters(self, k: int, raised: Event, moment: Moment, took: int) -> Event:
        """The alarm of lane `k` was raised again and again within some nanoseconds."""
        lane = self._table.lanes[k]
        text = (
            f"{subject(lane)} chatters: raised {RAISES} times within {self.span(took)}; "
            f"shelve it, or give the rule {clean(lane.rule)} a longer off_delay or on_delay"
        )
        return self._nuisance(k, "chattering", raised, moment, text)

    def stale(self, k: int, raised: Event, level: int, moment: Moment) -> Event:
        """The alarm of lane `k` stands for so long that nobody looks at it any more."""
        text = (
            f"{subject(self._table.lanes[k])} {LEVELS[level]} for a day: if nobody can put it right, "
            "shelve it, take it out of service or change its limit"
        )
        return self._nuisance(k, "stale", raised, moment, text)

    def flood_begins(self, flood: FloodSoFar, moment: Moment) -> Event:
        """More new alarms than anybody can follow."""
        text = (
            f"flood: {flood.alarms} new alarms in {self.span(WINDOW * SECOND)}; "
            "those that follow closely stand behind the one that came first"
        )
        return self._flood("begins", flood, moment, text)

    def flood_ends(self, flood: FloodSoFar, moment: Moment) -> Event:
        """It is over, and this is what it was."""
        lasted = self.lasted(moment, flood.since, flood.since_row)
        text = f"flood over after {lasted}: {flood.alarms} alarms, {flood.collapsed} of them behind others"
        return self._flood("ends", flood, moment, text)

    def _nuisance(
        self, k: int, rule: Literal["chattering", "stale"], raised: Event, moment: Moment, text: str
    ) -> Event:
        lane = self._table.lanes[k]
        return replace(
            raised,
            id=self._id(f"{rule}/{lane.rule}/{lane.direction}", raised.channel, "noticed", moment.row),
            kind="system",
            transition="noticed",
            severity="info",
            rule=rule,
            message=text,
            row=moment.row,
            time=self.time(moment.time),
            value=None,
            limit=None,
            unit="",
            priority="",
            details={"rule": lane.rule},
        )

    def _flood(self, what: Literal["begins", "ends"], flood: FloodSoFar, moment: Moment, text: str) -> Event:
        return Event(
            id=self._id(f"flood {what}", "", "noticed", moment.row),
            kind="system",
            transition="noticed",
            severity="warning",
            rule="flood",
            message=text,
            row=moment.row,
            time=self.time(moment.time),
            since=self.time(flood.since),
            since_row=flood.since_row,
            pass_number=self.pass_number,
            details={"alarms": flood.alarms, "collapsed": flood.collapsed},
        )

    def lost(self, raised: Event, level: int, moment: Moment, value: float, why: str) -> Event:
        """The end of an incident whose rule is there no more, or says something else."""
        severity = LEVELS[level]
        speaker = f"{raised.rule}/{raised.direction}"
        return Event(
            id=self._id(speaker, raised.channel, "reset", moment.row),
            kind=raised.kind,
            transition="reset",
            severity=severity,
            rule=raised.rule,
            message=f"{clean(raised.channel)} {severity} alarm ends: its rule {clean(raised.rule)} {why}",
            row=moment.row,
            time=self.time(moment.time),
            since=raised.since,
            since_row=raised.since_row,
            channel=raised.channel,
            quantity=raised.quantity,
            terminal=raised.terminal,
            phase=raised.phase,
            direction=raised.direction,
            value=value if math.isfinite(value) else None,
            limit=raised.limit,
            unit=raised.unit,
            pass_number=self.pass_number,
            priority=raised.priority,
            incident=raised.id,
            parent=raised.parent,
        )

    def silenced_id(self, k: int, since_row: int) -> str:
        """What to call the alarm of lane `k` while it is suppressed, for it has no event."""
        lane = self._table.lanes[k]
        speaker = f"{lane.rule}/{lane.direction}"
        return event_id(self._identity, self.pass_number, speaker, lane.subject.name, "suppressed", since_row)

    def time(self, nanoseconds: int | None) -> np.datetime64 | None:
        """A time for people; None when the stream has no clock."""
        return np.datetime64(nanoseconds, "ns") if self.has_clock and nanoseconds is not None else None

    def lasted(self, moment: Moment, since: int, since_row: int) -> str:
        """How long something has lasted, in words: in frames where there is no clock."""
        return span(moment.time - since) if self.has_clock else f"{moment.row - since_row} frames"

    def span(self, nanoseconds: int) -> str:
        """A length of time in words: in frames where there is no clock but a rate."""
        if self.has_clock or not self._rate:
            return span(nanoseconds)
        return f"{round(nanoseconds * self._rate / SECOND)} frames"

    def saved(self) -> list[Any]:
        """Everything that ids depend on, for JSON."""
        return [self.pass_number, self.between_passes, self._row, sorted(self._ids)]

    def restore(self, state: Sequence[Any]) -> None:
        """Go on with what `saved` said."""
        self.pass_number, self.between_passes, self._row, ids = state
        self._ids = set(ids)

    def _id(self, speaker: str, channel: str, transition: str, row: int) -> str:
        if row != self._row:
            self._row = row
            self._ids.clear()
        if self.between_passes:
            transition += " before the pass"
        found, count = self._name(speaker, channel, transition, row), 1
        while found in self._ids:
            count += 1
            found = self._name(speaker, channel, f"{transition} {count}", row)
        self._ids.add(found)
        return found

    def _name(self, speaker: str, channel: str, transition: str, row: int) -> str:
        return event_id(self._identity, self.pass_number, speaker, channel, transition, row)
