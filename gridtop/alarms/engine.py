"""The alarm engine: from blocks to alarm events, by the rules, on measurement time (docs/alarms.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridtop.alarms.conditions import Conditions, Verdict
from gridtop.alarms.lanes import BoundRule, lay_out
from gridtop.alarms.life_cycle import Alarm
from gridtop.alarms.listing import Listing, Newest
from gridtop.alarms.register import Change, Register
from gridtop.alarms.reporting import Moment, Reporter
from gridtop.alarms.saved import VERSION, fingerprints, from_number, lane_key, number
from gridtop.alarms.suppression import Silenced, Suppression
from gridtop.alarms.timing import Bools, Integers, longest_silence
from gridtop.blocks import DOUBTFUL, Block, Floats
from gridtop.channels import ChannelSet
from gridtop.client import ActiveAlarm, Flood
from gridtop.errors import GridtopError
from gridtop.events import Event
from gridtop.orders import Order
from gridtop.site import Site
from gridtop.text import clean

_ROWS = 256
"""Rows looked at together: enough to be fast, few enough that trouble in one place stays cheap elsewhere."""

Notes = Mapping[str, Sequence[str]]
"""Reasons in words, one per frame, by the name of a rule, or by that of the channel of one of its scores."""


@dataclass(frozen=True, slots=True)
class _Frames:
    """Some rows of a block: time (n,) in nanoseconds, values (n, c), the same without the doubtful ones, and
    the detectors' notes on them."""

    row: int
    time: Integers
    values: Floats
    good_values: Floats
    notes: Notes

    def at(self, index: int) -> Moment:
        """One of the rows."""
        return Moment(self.row + index, int(self.time[index]), self.values[index])


class _Looks:
    """What some rows hold for the alarms: values as they are and as the thresholds see them, by lane."""

    def __init__(self) -> None:
        self.values: dict[int, tuple[Floats, Floats]] = {}
        self.changes: dict[int, list[Change]] = {}
        self._seen: dict[int, int] = {}

    def show(self, k: int, alarm: Alarm | None, until: int | None = None) -> None:
        """Let an alarm see the rows up to one that it has not seen yet."""
        start = self._seen.get(k, 0)
        if until is not None:
            self._seen[k] = until
        if alarm is not None:
            values, turned = self.values[k]
            alarm.follow(values[start:until], turned[start:until])


class AlarmEngine:
    """Applies rules to the blocks of one stream and knows which alarms are not normal.

    Blocks have the columns of `channels` and follow each other without a break until `reset`.
    `identity` and `pass_number` go into the ids of events. The same rows and orders give the same events,
    however the rows are cut into blocks. Raises ConfigurationError for rules that cannot work here: an
    unknown rule or a ring in `inhibit_if`, two rules of one name, a gate on a quantity that is not there.
    """

    def __init__(
        self,
        rules: Sequence[BoundRule],
        channels: ChannelSet,
        site: Site,
        identity: str,
        pass_number: int = 1,
    ) -> None:
        self._identity = identity
        self._channels = channels
        self._table, self._inhibitors = lay_out(rules, channels, site)
        self._prints: list[str] = []
        self._start(pass_number)

    @property
    def pass_number(self) -> int:
        """Counts how often the recording was begun."""
        return self._report.pass_number

    @pass_number.setter
    def pass_number(self, number: int) -> None:
        self._report.pass_number = number

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
        """Every alarm that is not normal: the critical ones first, the newest of them first; those that are
        not announced (shelved, suppressed, out of service) come last."""
        listing = Listing(
            self._table, self._register, self._suppression, self._conditions, self._report, self._newest
        )
        return listing.alarms(self._last.time)

    def flood(self) -> Flood | None:
        """The flood of alarms after the newest row, None when there is none."""
        floods = self._register.floods
        if floods.now is None:
            return None
        recent, collapsed = floods.recent(self._last.time)
        return Flood(self._report.time(floods.now.since), floods.now.since_row, recent, collapsed)

    def operate(self, order: Order) -> list[Event]:
        """Obey an operator, after the newest row. Nothing happens when there is nothing to acknowledge.

        Raises GridtopError when the alarm is in no state for the order.
        """
        return self._register.operate(order, self._last)

    def explained(self, event: Event) -> None:
        """Note what an alarm rests on, if it is still the one that began or escalated with this event."""
        self._register.explained(event)

    def reset(self) -> list[Event]:
        """End the pass: a `reset` event for every alarm whose condition holds or that is latched.

        What is shelved or out of service stays so. The next block begins the next pass.
        """
        events = self._register.end_pass(self._last) if self._begun else []
        self._forget()
        self._report.pass_number += 1
        return events

    def state(self) -> dict[str, Any]:
        """Everything that later events depend on, for JSON: of those lanes that carry anything."""
        now, register = self._last.time, self._register
        lanes = {*self._conditions.carried.tolist(), *register.alarms, *self._suppression.lanes}
        lanes.update(register.chattering.remembered(now))
        return {
            "version": VERSION,
            "report": self._report.saved(),
            "last": [self._last.row, now],
            "begun": self._begun,
            "floods": register.floods.saved(),
            "lanes": [
                [*lane_key(self._table.lanes[k]), self._fingerprints[k], self._saved(k)]
                for k in sorted(lanes)
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> list[Event]:
        """Go on as if the engine that gave this state had never stopped.

        Entries of rules that were changed or removed since are left out; the alarms among them end, each with
        a `reset` event. A state of another version is not used at all. Raises GridtopError for what is none.
        """
        self._start(self.pass_number)
        if state.get("version") != VERSION:
            return []
        try:
            return self._restored(state)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            self._start(1)
            raise GridtopError(f"the saved state of the alarms cannot be read: {error!r}") from None

    def _start(self, pass_number: int) -> None:
        """Nothing has happened yet."""
        self._report = Reporter(self._table, self._channels, self._identity, pass_number)
        self._register = Register(self._table, self._report)
        self._newest = Newest(self._table)
        self._last = Moment(0, 0, np.full(len(self._channels), np.nan))
        self._forget()

    def _forget(self) -> None:
        """A pass starts: nothing has been seen."""
        silence = longest_silence(self._channels.rate)
        self._conditions = Conditions(self._table, self._inhibitors, len(self._channels), silence)
        self._suppression = Suppression()
        self._begun = False

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
        if not self._begun:
            self._begun = True
            self._register.begin_pass(int(frames.time[0]))
        looks, alarms = _Looks(), self._register.alarms
        for verdict in self._conditions.judge(frames.row, frames.time, frames.values, frames.good_values):
            self._learn(verdict, frames, looks)
        events: list[Event] = []
        if looks.changes or self._register.due <= frames.time[-1]:
            events = sorted(self._row_by_row(looks, frames), key=lambda event: event.order)
        for k in looks.values:
            looks.show(k, alarms.get(k))
        if alarms:
            self._newest.look(alarms, frames.values, frames.good_values)
        self._last = frames.at(len(frames.time) - 1)
        return events

    def _learn(self, verdict: Verdict, frames: _Frames, looks: _Looks) -> None:
        """Take from a verdict what concerns alarms, and changes by the row in which they happen."""
        changed: Bools = verdict.changed
        any_change = np.any(changed, axis=0).tolist()
        for i, k in enumerate(verdict.lanes.tolist()):
            lane = self._table.lanes[k]
            values, turned = frames.values[:, lane.column], verdict.turned[:, i]
            if verdict.silenced is not None:
                self._suppression.follow(k, verdict.silenced[:, i], frames.row, frames.time, values, turned)
            if any_change[i] or k in self._register.alarms:
                looks.values[k] = values, turned
            if not any_change[i]:
                continue
            notes = frames.notes.get(lane.channel.name) or frames.notes.get(lane.rule)
            for row in np.flatnonzero(changed[:, i]).tolist():
                was, now = int(verdict.severity[row, i]), int(verdict.severity[row + 1, i])
                since, since_row, note = 0, 0, ""
                if now > was:
                    since, since_row = verdict.rise.began(row, now - 1, i)
                    note = clean(notes[row]) if notes is not None else ""
                change = Change(k, was, now, since, since_row, bool(verdict.closed[row, i]), note)
                looks.changes.setdefault(row, []).append(change)

    def _row_by_row(self, looks: _Looks, frames: _Frames) -> Iterator[Event]:
        """What changes, and what time does, each in its row."""
        register, start, length = self._register, 0, len(frames.time)
        rows = sorted(looks.changes, reverse=True)
        while True:
            row = rows[-1] if rows else length
            if register.due <= frames.time[min(row, length - 1)]:
                row = min(row, start + int(np.searchsorted(frames.time[start:], register.due)))
            if row >= length:
                return
            moment = frames.at(row)
            if rows and rows[-1] == row:
                changes = looks.changes[rows.pop()]
                for change in changes:
                    looks.show(change.lane, register.alarms.get(change.lane), row)
                yield from register.change(changes, moment)
            yield from register.pass_time(moment)
            start = row + 1

    @property
    def _fingerprints(self) -> list[str]:
        if not self._prints:
            self._prints = fingerprints(self._table.lanes)
        return self._prints

    def _saved(self, k: int) -> dict[str, Any]:
        """What is known of a lane: only what there is."""
        saved: dict[str, Any] = {}
        alarm, silenced = self._register.alarms.get(k), self._suppression.lanes.get(k)
        if self._conditions.is_carried(k):
            saved["condition"] = self._conditions.saved(k)
        if alarm is not None:
            saved["alarm"] = alarm.saved()
            saved["newest"] = number(self._newest.values[k])
            saved["here"] = number(self._last.values[self._table.lanes[k].column])
        if silenced is not None:
            saved["silenced"] = silenced.saved()
        raises = self._register.chattering.saved(k, self._last.time)
        if raises is not None:
            saved["raises"] = raises
        return saved

    def _restored(self, state: Mapping[str, Any]) -> list[Event]:
        self._report.restore(state["report"])
        row, time = state["last"]
        values, self._begun = np.full(len(self._channels), np.nan), bool(state["begun"])
        self._last = Moment(row, time, values)
        known = {lane_key(lane): k for k, lane in enumerate(self._table.lanes)}
        lost: list[Event] = []
        for rule, direction, subject, channel, fingerprint, saved in state["lanes"]:
            k = known.get((rule, direction, subject, channel))
            if k is not None and self._fingerprints[k] == fingerprint:
                self._restore(k, saved, values)
            elif "alarm" in saved:
                alarm, here = Alarm.restored(saved["alarm"]), from_number(saved["here"])
                why = "is no longer there" if k is None else "has changed"
                lost.append(self._report.lost(alarm.raised, alarm.level, self._last, here, why))
        self._register.restore(state["floods"])
        return sorted(lost, key=lambda event: event.order)

    def _restore(self, k: int, saved: Mapping[str, Any], values: Floats) -> None:
        if "condition" in saved:
            self._conditions.restore(k, saved["condition"])
        if "alarm" in saved:
            self._register.alarms[k] = Alarm.restored(saved["alarm"])
            self._newest.values[k] = from_number(saved["newest"])
            values[self._table.lanes[k].column] = from_number(saved["here"])
        if "silenced" in saved:
            self._suppression.lanes[k] = Silenced.restored(saved["silenced"])
        if "raises" in saved:
            self._register.chattering.restore(k, saved["raises"])
