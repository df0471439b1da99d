"""The alarm engine: from blocks to alarm events, by the rules, on measurement time (docs/alarms.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gridtop.alarms.conditions import Conditions, Verdict
from gridtop.alarms.lanes import BoundRule, lay_out
from gridtop.alarms.rules import LEVELS
from gridtop.alarms.timing import Integers, longest_silence
from gridtop.alarms.wording import message, span, with_note
from gridtop.blocks import DOUBTFUL, Block, Floats
from gridtop.channels import ChannelSet
from gridtop.client import ActiveAlarm
from gridtop.errors import GridtopError
from gridtop.events import Event, Transition, event_id
from gridtop.orders import Order
from gridtop.site import Site
from gridtop.text import clean

_ROWS = 256
"""Rows looked at together: enough to be fast, few enough that trouble in one place stays cheap elsewhere."""

Notes = Mapping[str, Sequence[str]]
"""Reasons in words, one per frame, by the name of a rule, or by that of the channel of one of its scores."""


@dataclass(frozen=True, slots=True)
class _Moment:
    """One row: its number, its time in nanoseconds, its values (c,)."""

    row: int
    time: int
    values: Floats


@dataclass(frozen=True, slots=True)
class _Frames:
    """Some rows of a block: time (n,) in nanoseconds, values (n, c), the same without the doubtful ones, and
    the detectors' notes on them."""

    row: int
    time: Integers
    values: Floats
    good_values: Floats
    notes: Notes

    def at(self, index: int) -> _Moment:
        """One of the rows."""
        return _Moment(self.row + index, int(self.time[index]), self.values[index])


@dataclass(slots=True)
class _Alarm:
    """An open alarm: the event that raised it, when it all began (nanoseconds), and what became of it since.

    `value` is the latest good value, `peak` the worst one, `worst` that as the thresholds see it.
    """

    raised: Event
    since: int
    level: int
    message: str
    value: float = math.nan
    peak: float = math.nan
    worst: float = -math.inf
    latched: bool = False
    acknowledged: bool = False
    worsened: str = ""
    """The id of the event with which it last escalated."""
    explained: Event | None = None
    """The event that says which channels its score rests on."""

    def follow(self, values: Floats, turned: Floats) -> None:
        """Learn some rows (n,) of values, as they are and as the thresholds see them."""
        if len(turned) and not self.latched and (worst := float(np.fmax.reduce(turned))) > self.worst:
            self.worst, self.peak = worst, float(values[np.flatnonzero(turned == worst)[0]])


class AlarmEngine:
    """Applies rules to the blocks of one stream and knows which alarms are active.

    Blocks have the columns of `channels` and follow each other without a break until `reset`.
    `identity` and `pass_number` go into the ids of events. The same rows give the same events, however
    they are cut into blocks. Raises ConfigurationError for rules that cannot work here: an unknown rule
    or a ring in `inhibit_if`, two rules of one name, a gate on a quantity that is not there.
    """

    def __init__(
        self,
        rules: Sequence[BoundRule],
        channels: ChannelSet,
        site: Site,
        identity: str,
        pass_number: int = 1,
    ) -> None:
        self.pass_number = pass_number
        self._identity = identity
        self._channels = channels
        self._table, self._inhibitors = lay_out(rules, channels, site)
        self._begin()

    def _begin(self) -> None:
        """A pass starts: nothing has been seen."""
        silence = longest_silence(self._channels.rate)
        self._conditions = Conditions(self._table, self._inhibitors, len(self._channels), silence)
        self._open: dict[int, _Alarm] = {}
        self._last: _Moment | None = None

    def process(self, block: Block, notes: Notes | None = None) -> list[Event]:
        """The events of a block, in the order of row, rule, channel and direction.

        `notes` are the reasons of detectors; they are added to the messages of alarms that are raised.
        """
        events: list[Event] = []
        time = block.time.astype("datetime64[ns]", copy=False).view(np.int64)
        for start in range(0, len(block), _ROWS):
            rows = slice(start, start + _ROWS)
            part = {rule: texts[rows] for rule, texts in (notes or {}).items()}
            values = block.values[rows]
            good = self._good_values(block, rows)
            events += self._process(_Frames(block.row + start, time[rows], values, good, part))
        return events

    def active(self) -> tuple[ActiveAlarm, ...]:
        """Every alarm that is not normal: the critical ones first, the newest of them first."""
        alarms, lanes = self._open, self._table.lanes
        order = sorted(alarms, key=lambda k: (-alarms[k].level, -alarms[k].raised.row, lanes[k].order))
        return tuple(self._active(k) for k in order)

    def reset(self) -> list[Event]:
        """End the pass: a `reset` event for every active alarm; the next block begins the next pass."""
        last = self._last
        events = [self._ends(k, "reset", last) for k in self._open] if last else []
        self._begin()
        self.pass_number += 1
        return sorted(events, key=lambda event: event.order)

    def operate(self, order: Order) -> list[Event]:
        """Obey an operator; GridtopError when the alarm is in no state for it."""
        if order.action != "acknowledge":
            raise GridtopError(f"{order.action} is not possible yet")
        return self._acknowledge(order.alarm)

    def _acknowledge(self, alarm_id: str) -> list[Event]:
        """Someone has seen an alarm: one event, and a second one when that lets a latched alarm clear.

        None when no such alarm is active or it was acknowledged before.
        """
        for k, alarm in self._open.items():
            if alarm.raised.id == alarm_id and not alarm.acknowledged and self._last:
                alarm.acknowledged = True
                events = [self._ends(k, "acknowledged", self._last)]
                if alarm.latched:
                    events.append(self._ends(k, "cleared", self._last))
                    del self._open[k]
                return events
        return []

    def explained(self, event: Event) -> None:
        """Note what an alarm rests on, if it is still the one that began or escalated with this event."""
        for alarm in self._open.values():
            if event.cause and event.id in (alarm.raised.id, alarm.worsened):
                alarm.explained = event

    def _good_values(self, block: Block, rows: slice) -> Floats:
        """Some rows of values, NaN where they are doubtful; the very same where no rule minds."""
        values, watched = block.values[rows], self._table.watched
        if block.quality is None or not len(watched):
            return values
        doubtful = (block.quality[rows][:, watched] & np.uint16(DOUBTFUL)) != 0
        if not doubtful.any():
            return values
        good = values.copy()
        good[:, watched] = np.where(doubtful, np.nan, values[:, watched])
        return good

    def _process(self, frames: _Frames) -> list[Event]:
        events: list[Event] = []
        for verdict in self._conditions.judge(frames.row, frames.time, frames.values, frames.good_values):
            changed = np.any(verdict.changed, axis=0).tolist()
            for i, k in enumerate(verdict.lanes.tolist()):
                if changed[i]:
                    events += self._change(k, i, verdict, frames)
                elif k in self._open:
                    self._open[k].follow(frames.values[:, self._table.lanes[k].column], verdict.turned[:, i])
        for k, alarm in self._open.items():
            judged = frames.good_values if self._table.needs_good[k] else frames.values
            values = judged[:, self._table.lanes[k].column]
            if len(good := values[np.isfinite(values)]):
                alarm.value = float(good[-1])
        self._last = frames.at(len(frames.time) - 1)
        return sorted(events, key=lambda event: event.order)

    def _change(self, k: int, i: int, verdict: Verdict, frames: _Frames) -> list[Event]:
        """The events of lane `k`, which is column `i` of the verdict."""
        severity, turned = verdict.severity[:, i], verdict.turned[:, i]
        values = frames.values[:, self._table.lanes[k].column]
        alarm, seen, events = self._open.get(k), 0, []
        for row in np.flatnonzero(verdict.changed[:, i]).tolist():
            if alarm:
                alarm.follow(values[seen:row], turned[seen:row])
            seen, moment = row, frames.at(row)
            was, now = severity[row], severity[row + 1]
            if now > was:
                level = int(now) - 1
                since, since_row = verdict.rise.began(row, level, i)
                events.append(self._rises(k, level, moment, since, since_row, frames))
            else:
                events.append(self._falls(k, int(now) - 1, moment, bool(verdict.closed[row, i])))
            alarm = self._open.get(k)
        if alarm:
            alarm.follow(values[seen:], turned[seen:])
        return events

    def _rises(
        self, k: int, level: int, moment: _Moment, since: int, since_row: int, frames: _Frames
    ) -> Event:
        """Lane `k` is raised or escalates to a level (0 warning, 1 critical), exceeded since a row."""
        lane, alarm = self._table.lanes[k], self._open.get(k)
        escalates = alarm is not None and not alarm.latched
        transition: Transition = "escalated" if escalates else "raised"
        text = message(lane, transition, level, float(moment.values[lane.column]))
        notes = frames.notes.get(lane.channel.name) or frames.notes.get(lane.rule)
        if notes is not None and (note := notes[moment.row - frames.row]):
            text = with_note(clean(note), lane, level, float(moment.values[lane.column]), escalates)
        event = self._event(k, transition, level, moment, since, since_row, text)
        if alarm is not None and escalates:
            alarm.level, alarm.message, alarm.acknowledged = level, text, False
            alarm.worsened = event.id
        else:
            self._open[k] = _Alarm(event, since, level, text)
        return event

    def _falls(self, k: int, level: int, moment: _Moment, gate_closed: bool) -> Event:
        """Lane `k` eases to warning (level 0) or goes back to normal (level -1)."""
        alarm = self._open[k]
        if level == 0:
            event = self._ends(k, "eased", moment, gate_closed)
            alarm.level, alarm.message = level, event.message
        elif self._table.lanes[k].settings.latch and not alarm.acknowledged:
            event = self._ends(k, "latched", moment, gate_closed)
            alarm.latched, alarm.message = True, event.message
        else:
            event = self._ends(k, "cleared", moment, gate_closed)
            del self._open[k]
        return event

    def _ends(self, k: int, transition: Transition, moment: _Moment, gate_closed: bool = False) -> Event:
        """What happens to an open alarm other than getting worse; the level it had is the one concerned."""
        lane, alarm = self._table.lanes[k], self._open[k]
        since_row = alarm.raised.since_row or 0
        lasted = span(moment.time - alarm.since) if self._has_clock else f"{moment.row - since_row} frames"
        text = message(
            lane, transition, alarm.level, float(moment.values[lane.column]), alarm.peak, lasted, gate_closed
        )
        return self._event(k, transition, alarm.level, moment, alarm.since, since_row, text)

    def _event(
        self,
        k: int,
        transition: Transition,
        level: int,
        moment: _Moment,
        since: int,
        since_row: int,
        text: str,
    ) -> Event:
        lane = self._table.lanes[k]
        subject, value = lane.subject, float(moment.values[lane.column])
        speaker = f"{lane.rule}/{lane.direction}"
        return Event(
            id=event_id(self._identity, self.pass_number, speaker, subject.name, transition, moment.row),
            kind="operator" if transition == "acknowledged" else lane.kind,
            transition=transition,
            severity=LEVELS[0 if transition == "eased" else level],
            rule=lane.rule,
            message=text,
            row=moment.row,
            time=self._time(moment.time),
            since=self._time(since),
            since_row=since_row,
            channel=subject.name,
            quantity=subject.quantity,
            terminal=subject.terminal,
            phase=subject.phase,
            direction=lane.direction,
            value=value if math.isfinite(value) else None,
            limit=lane.limit(level),
            unit=lane.unit,
            pass_number=self.pass_number,
        )

    @property
    def _has_clock(self) -> bool:
        return self._channels.clock == "utc"

    def _time(self, nanoseconds: int) -> np.datetime64 | None:
        return np.datetime64(nanoseconds, "ns") if self._has_clock else None

    def _active(self, k: int) -> ActiveAlarm:
        lane, alarm = self._table.lanes[k], self._open[k]
        raised = alarm.raised
        return ActiveAlarm(
            id=raised.id,
            rule=lane.rule,
            channel=lane.subject.name,
            severity=LEVELS[alarm.level],
            direction=lane.direction,
            value=alarm.value,
            peak=alarm.peak,
            limit=lane.limit(alarm.level),
            unit=lane.unit,
            message=alarm.message,
            row=raised.row,
            since_row=raised.since_row or 0,
            time=raised.time,
            since=raised.since,
            latched=alarm.latched,
            acknowledged=alarm.acknowledged,
            cause=alarm.explained.cause if alarm.explained else (),
            cause_approximate=alarm.explained is not None and alarm.explained.cause_approximate,
        )
