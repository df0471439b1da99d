"""The register of alarms that are not normal, and what conditions, time and operators do to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gridtop.alarms.floods import Floods
from gridtop.alarms.lanes import LaneTable
from gridtop.alarms.life_cycle import UNSEEN, Alarm, refusal
from gridtop.alarms.nuisance import STALE, Chattering
from gridtop.alarms.reporting import About, Moment, Reporter
from gridtop.alarms.rules import LEVELS
from gridtop.alarms.timing import SECOND
from gridtop.alarms.wording import (
    message,
    order_message,
    returned_message,
    subject,
    with_note,
)
from gridtop.errors import GridtopError
from gridtop.events import Detail, Event, Transition, iso_time
from gridtop.orders import Order

NEVER = 2**63 - 1
"""A time that no row reaches, in nanoseconds."""


@dataclass(frozen=True, slots=True)
class Change:
    """The condition of a lane became another one: severities 0 to 2, and since when it has been so.

    `note` is a detector's reason, cleaned.
    """

    lane: int
    was: int
    now: int
    since: int
    since_row: int
    gate_closed: bool = False
    note: str = ""


class Register:
    """The alarms that are not normal, by lane.

    Changes and times are to be told row by row, each row once: what it answers depends on nothing else.
    """

    def __init__(self, table: LaneTable, reporter: Reporter) -> None:
        self.alarms: dict[int, Alarm] = {}
        self.chattering = Chattering()
        self.floods = Floods()
        self.due = NEVER
        """No time of a row before this one (nanoseconds) has an effect."""
        self._table = table
        self._report = reporter

    def change(self, changes: Iterable[Change], moment: Moment) -> Iterator[Event]:
        """What the conditions of lanes did in one row."""
        yield from self._flood_ends(moment)
        lanes = self._table.lanes
        falls: list[Change] = []
        rises: list[Change] = []
        for change in changes:
            (rises if change.now > change.was else falls).append(change)
        # Children before their parents, which tell how many are left; and of what is raised the worst first.
        falls.sort(key=lambda change: (not self.alarms[change.lane].parent, lanes[change.lane].order))
        rises.sort(key=lambda change: (-change.now, change.since, lanes[change.lane].order))
        for change in falls:
            yield from self._falls(change, moment)
        for change in rises:
            yield from self._rises(change, moment)

    def pass_time(self, moment: Moment) -> Iterator[Event]:
        """What time alone does: shelving and floods end, alarms become stale."""
        if moment.time < self.due:
            return
        yield from self._flood_ends(moment)
        for k in self._in_order():
            alarm = self.alarms[k]
            if alarm.until is not None and alarm.until <= moment.time:
                yield from self._comes_back(k, "unshelved", moment, "", "its time is over")
            elif _may_grow_stale(alarm) and alarm.at + STALE <= moment.time:
                alarm.stale = True
                yield self._report.stale(k, replace(alarm.raised, parent=alarm.parent), alarm.level, moment)
        self._look_ahead()

    def begin_pass(self, time: int) -> None:
        """The first row of a pass has come: what is shelved is so from now on."""
        self._report.between_passes = False
        for alarm in self.alarms.values():
            if alarm.until is not None:
                alarm.until += time
        self._look_ahead()

    def end_pass(self, moment: Moment) -> list[Event]:
        """The end of a pass: the alarms whose condition holds or that are latched end.

        What is shelved or out of service stays so; conditions, floods and chatter are forgotten.
        """
        events = list(self._flood_ends(moment, forced=True))
        kept: dict[int, Alarm] = {}
        for k, alarm in self.alarms.items():
            if alarm.aside:
                alarm.forgets(moment.time)
                kept[k] = alarm
            elif alarm.holds or alarm.latched:
                events.append(self._tell(k, "reset", moment))
        self.alarms, self.chattering, self.floods = kept, Chattering(), Floods()
        self._report.between_passes = True
        self._look_ahead()
        return sorted(events, key=lambda event: event.order)

    def operate(self, order: Order, moment: Moment) -> list[Event]:
        """Obey an operator, after a row; GridtopError when the alarm is in no state for it."""
        k = next((k for k, alarm in self.alarms.items() if alarm.incident == order.alarm), None)
        if k is None:
            if order.action == "acknowledge":
                return []
            raise GridtopError(f"cannot {_words(order)}: there is no such alarm, or it is over")
        alarm, lane = self.alarms[k], self._table.lanes[k]
        why = refusal(alarm.state, order.action)
        if why:
            raise GridtopError(f"{subject(lane)}: cannot {_words(order)}: {why}")
        match order.action:
            case "acknowledge":
                return self._acknowledge(k, order, moment)
            case "unlatch":
                return self._unlatch(k, order, moment)
            case "shelve":
                length = round(order.seconds * SECOND)
                begins = 0 if self._report.between_passes else moment.time
                alarm.put_aside("shelved", begins + length, order.user, order.reason)
                self.due = min(self.due, begins + length)
                until = iso_time(self._report.time(moment.time + length))
                return [
                    self._ordered(k, "shelved", order, moment, self._report.span(length), {"until": until})
                ]
            case "take-out-of-service":
                alarm.put_aside("out_of_service", None, order.user, order.reason)
                return [self._ordered(k, "out_of_service", order, moment)]
            case "unshelve":
                return list(self._comes_back(k, "unshelved", moment, order.user, order.reason))
            case "put-in-service":
                return list(self._comes_back(k, "in_service", moment, order.user, order.reason))

    def explained(self, event: Event) -> None:
        """Note what an alarm rests on, if it is still the one that began or escalated with this event."""
        for alarm in self.alarms.values():
            if event.cause and event.id in (alarm.incident, alarm.worsened):
                alarm.cause, alarm.cause_approximate = event.cause, event.cause_approximate

    def restore(self, floods: Mapping[str, Any]) -> None:
        """The alarms and the chatter are there again, and so are floods: look at the clock again."""
        self.floods.restore(floods)
        self._look_ahead()

    def _rises(self, change: Change, moment: Moment) -> Iterator[Event]:
        k, level, alarm = change.lane, change.now - 1, self.alarms.get(change.lane)
        escalates = alarm is not None and alarm.holds
        if alarm is not None and alarm.aside:
            if escalates:
                alarm.rises(level, alarm.message)
            else:
                alarm.begins_unseen(level, change.since, change.since_row)
            return
        lane = self._table.lanes[k]
        value = float(moment.values[lane.column])
        text = message(lane, "escalated" if escalates else "raised", level, value)
        if change.note:
            text = with_note(change.note, lane, level, value, escalates)
        if alarm is None or not escalates:
            yield from self._raise(k, level, moment, change.since, change.since_row, text)
            return
        self.floods.worsened(alarm.incident)
        head = next((a for a in self.alarms.values() if a.incident == alarm.parent), None)
        if head is None or head.level < level:
            # Nothing critical stays behind what is milder.
            alarm.parent = ""
        about = About(change.since, change.since_row, alarm.incident, alarm.parent)
        event = self._report.alarm(k, "escalated", level, moment, text, about)
        alarm.rises(level, text, event.id)
        yield event

    def _raise(
        self, k: int, level: int, moment: Moment, since: int, since_row: int, text: str
    ) -> Iterator[Event]:
        event = self._report.alarm(k, "raised", level, moment, text, About(since, since_row))
        parent, flood = self.floods.raised(moment.time, moment.row, event.kind, event.id, level)
        event = replace(event, parent=parent)
        self.alarms[k] = Alarm(event, moment.time, since, since_row, level, text, parent)
        yield event
        if flood and self.floods.now:
            yield self._report.flood_begins(self.floods.now, moment)
        took = self.chattering.raised(k, moment.time)
        if took is not None:
            yield self._report.chatters(k, event, moment, took)
        self.due = min(self.due, moment.time + STALE, self.floods.due or NEVER)

    def _falls(self, change: Change, moment: Moment) -> Iterator[Event]:
        k, alarm = change.lane, self.alarms[change.lane]
        latches = self._table.lanes[k].settings.latch
        if alarm.aside:
            if change.now:
                alarm.level = 0
            else:
                alarm.returns(moment.time, moment.row, latches)
        elif change.now:
            event = self._tell(k, "eased", moment, change.gate_closed)
            alarm.level, alarm.message = 0, event.message
            yield event
        else:
            event = self._tell(k, "latched" if latches else "cleared", moment, change.gate_closed)
            alarm.returns(moment.time, moment.row, latches)
            alarm.message = event.message
            if alarm.acknowledged and not latches:
                del self.alarms[k]
            yield event

    def _tell(self, k: int, transition: Transition, moment: Moment, gate_closed: bool = False) -> Event:
        """What happens to an alarm's condition other than getting worse; the level it had is the one."""
        lane, alarm = self._table.lanes[k], self.alarms[k]
        value = float(moment.values[lane.column])
        lasted = self._report.lasted(moment, alarm.since, alarm.since_row)
        text = message(lane, transition, alarm.level, value, alarm.peak, lasted, gate_closed)
        details: dict[str, Detail] = {}
        if transition in ("cleared", "latched"):
            left = sum(1 for a in self.alarms.values() if a.parent == alarm.incident and a.holds)
            if left:
                details["left"] = left
                text += f"; {left} behind it {'remains' if left == 1 else 'remain'}"
        about = About(alarm.since, alarm.since_row, alarm.incident, alarm.parent, details)
        return self._report.alarm(k, transition, alarm.level, moment, text, about)

    def _acknowledge(self, k: int, order: Order, moment: Moment) -> list[Event]:
        alarm = self.alarms[k]
        if alarm.state not in UNSEEN:
            return []
        alarm.acknowledged, alarm.user = True, order.user
        event = self._ordered(k, "acknowledged", order, moment)
        if not (alarm.holds or alarm.latched):
            del self.alarms[k]
        return [event]

    def _unlatch(self, k: int, order: Order, moment: Moment) -> list[Event]:
        alarm = self.alarms[k]
        alarm.latched = False
        event = self._ordered(k, "unlatched", order, moment)
        if alarm.acknowledged:
            del self.alarms[k]
        return [event]

    def _comes_back(
        self, k: int, transition: Transition, moment: Moment, user: str, reason: str
    ) -> Iterator[Event]:
        """An alarm is announced again: raised anew where its condition holds, else normal or held."""
        lane, alarm = self._table.lanes[k], self.alarms[k]
        now = (
            f"it is {LEVELS[alarm.level]}"
            if alarm.holds
            else "it is held"
            if alarm.latched
            else "it is normal"
        )
        if alarm.unseen:
            now += f", and was raised {alarm.unseen} time{'s' * (alarm.unseen > 1)} meanwhile"
        more: dict[str, Detail] = {"raised": alarm.unseen}
        order = Order("unshelve", alarm.incident, user, reason)
        event = self._ordered(k, transition, order, moment, now, more)
        alarm.comes_back()
        if not alarm.holds and not alarm.latched:
            del self.alarms[k]
        yield event
        if alarm.holds:
            lasted = self._report.lasted(moment, alarm.since, alarm.since_row)
            text = returned_message(lane, alarm.level, float(moment.values[lane.column]), lasted)
            yield from self._raise(k, alarm.level, moment, alarm.since, alarm.since_row, text)
            self.alarms[k].peak, self.alarms[k].worst = alarm.peak, alarm.worst

    def _ordered(
        self,
        k: int,
        transition: Transition,
        order: Order,
        moment: Moment,
        lasts: str = "",
        more: Mapping[str, Detail] | None = None,
    ) -> Event:
        """What an operator told an alarm, or what came of it later."""
        lane, alarm = self._table.lanes[k], self.alarms[k]
        value = float(moment.values[lane.column])
        text = order_message(lane, transition, alarm.level, value, order.user, order.reason, lasts)
        details = {"user": order.user, "reason": order.reason, **(more or {})}
        about = About(alarm.since, alarm.since_row, alarm.incident, alarm.parent, details)
        return self._report.alarm(k, transition, alarm.level, moment, text, about)

    def _flood_ends(self, moment: Moment, forced: bool = False) -> Iterator[Event]:
        due = self.floods.due
        if due is not None and (forced or due <= moment.time):
            yield self._report.flood_ends(self.floods.over(), moment)

    def _in_order(self) -> list[int]:
        return sorted(self.alarms, key=lambda k: self._table.lanes[k].order)

    def _look_ahead(self) -> None:
        """Find out when time will have an effect next."""
        times = [self.floods.due or NEVER]
        for alarm in self.alarms.values():
            if alarm.until is not None:
                times.append(alarm.until)
            elif _may_grow_stale(alarm):
                times.append(alarm.at + STALE)
        self.due = min(times)


def _may_grow_stale(alarm: Alarm) -> bool:
    return alarm.holds and not alarm.aside and not alarm.stale


def _words(order: Order) -> str:
    return order.action.replace("-", " ")
