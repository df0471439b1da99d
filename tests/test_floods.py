"""Floods, bursts, chattering and stale alarms: when alarms are too many, or too much (docs/alarms.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.alarms import AlarmEngine, bind_limits
from gridtop.alarms.rules import LimitSettings
from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.events import Event
from gridtop.orders import Order
from tests.test_alarms import NOW, SITE, Bench, channel, seconds

DAY = 86_400.0
MANY = 24
RULE = {"rule": {"high": {"warning": 1, "critical": 2}}}


class Panel:
    """Some channels at 0, of which single ones go up and down at given seconds."""

    def __init__(self, rules: dict[str, Any] = RULE, count: int = MANY) -> None:
        self.names = [f"R{i:02}:x" for i in range(count)]
        self.bench = Bench(rules, [channel(name) for name in self.names])
        self.values = [0.0] * count

    def at(self, time: float, *changes: tuple[int, float]) -> list[Event]:
        """One row, in which some channels have new values."""
        for place, value in changes:
            self.values[place] = value
        return self.bench.feed(self.values, at=[time])

    def raise_each(self, places: Sequence[int], start: float, step: float, value: float = 1) -> list[Event]:
        """Raise one channel after the other."""
        return [
            event for i, place in enumerate(places) for event in self.at(start + i * step, (place, value))
        ]

    @property
    def engine(self) -> AlarmEngine:
        return self.bench.engine


def notices(events: Sequence[Event], rule: str) -> list[Event]:
    return [event for event in events if event.rule == rule]


def raised(events: Sequence[Event]) -> list[Event]:
    return [event for event in events if event.transition == "raised"]


class TestFloods:
    def test_a_flood_begins_with_more_than_ten_new_alarms_in_ten_minutes(self) -> None:
        panel = Panel()
        assert notices(panel.raise_each(range(10), 0, 59), "flood") == []
        assert panel.engine.flood() is None
        [begins] = notices(panel.at(599, (10, 1)), "flood")
        assert (begins.kind, begins.transition, begins.severity) == ("system", "noticed", "warning")
        assert begins.message.startswith("flood: 11 new alarms in 10 min")
        assert begins.details == {"alarms": 11, "collapsed": 0}
        flood = panel.engine.flood()
        assert flood is not None
        assert (flood.since, flood.since_row, flood.recent, flood.collapsed) == (seconds(599)[0], 10, 11, 0)

    def test_ten_in_ten_minutes_are_none(self) -> None:
        panel = Panel()
        assert notices(panel.raise_each(range(20), 0, 60), "flood") == []

    def test_a_flood_ends_with_fewer_than_five_in_ten_minutes_and_says_what_it_was(self) -> None:
        panel = Panel()
        panel.raise_each(range(12), 0, 1)
        # The fifth last was raised at 7 s, and counts for ten minutes.
        assert panel.at(606.9) == []
        [over] = panel.at(607)
        assert over.message == "flood over after 9 min 57 s: 12 alarms, 2 of them behind others"
        assert (over.rule, over.since_row, over.details) == ("flood", 10, {"alarms": 12, "collapsed": 2})
        assert panel.engine.flood() is None
        assert panel.at(700) == []

    def test_the_end_of_a_pass_ends_a_flood(self) -> None:
        panel = Panel()
        panel.raise_each(range(11), 0, 1)
        events = panel.engine.reset()
        assert [event.rule for event in events] == ["flood"] + ["rule"] * 11
        assert panel.engine.flood() is None

    def test_shelved_alarms_do_not_count(self) -> None:
        panel = Panel()
        [first] = panel.at(0, (0, 1))
        panel.engine.operate(Order("shelve", first.id, seconds=3600))
        for i in range(20):
            assert panel.at(i + 1, (0, i % 2)) == []

    def test_the_news_of_ten_minutes_are_counted_though_the_flood_is_longer(self) -> None:
        panel = Panel(count=40)
        panel.raise_each(range(40), 0, 30)
        flood = panel.engine.flood()
        assert flood is not None
        assert (flood.recent, flood.collapsed) == (20, 0)


class TestBursts:
    def test_in_a_flood_alarms_of_one_burst_stand_behind_the_first_of_it(self) -> None:
        """The first out may have been raised before anybody knew that it is a flood."""
        panel = Panel()
        events = raised(panel.raise_each(range(15), 0, 1))
        assert [event.parent for event in events] == [""] * 10 + [events[0].id] * 5
        alarms = {alarm.channel: alarm for alarm in panel.engine.active()}
        assert alarms["R00:x"].children == 5
        assert alarms["R14:x"].parent == events[0].id
        assert sum(alarm.children for alarm in alarms.values()) == 5

    def test_a_new_burst_has_a_first_out_of_its_own(self) -> None:
        panel = Panel()
        panel.raise_each(range(12), 0, 1)
        events = raised(panel.raise_each(range(12, 16), 21.1, 10))
        assert [event.parent for event in events] == ["", events[0].id, events[0].id, events[0].id]

    def test_without_a_flood_nothing_collapses(self) -> None:
        assert {event.parent for event in raised(Panel().raise_each(range(10), 0, 1))} == {""}

    def test_what_happens_to_a_child_later_has_the_same_parent(self) -> None:
        panel = Panel()
        events = raised(panel.raise_each(range(12), 0, 1))
        [cleared] = panel.at(20, (11, 0))
        assert (cleared.transition, cleared.parent) == ("cleared", events[0].id)
        [seen] = panel.engine.operate(Order("acknowledge", events[11].id))
        assert seen.parent == events[0].id

    def test_nothing_critical_hides_behind_something_milder(self) -> None:
        panel = Panel()
        first = raised(panel.raise_each(range(11), 0, 1))
        critical, warning, second = (
            raised(panel.at(11 + i, (11 + i, value)))[0] for i, value in enumerate((2, 1, 2))
        )
        assert critical.parent == ""
        assert warning.parent == first[0].id
        assert second.parent == critical.id

    def test_a_child_that_becomes_critical_stands_for_itself(self) -> None:
        panel = Panel()
        panel.raise_each(range(12), 0, 1)
        [escalated] = panel.at(12, (11, 2))
        [cleared] = panel.at(13, (11, 0))
        assert (escalated.parent, cleared.parent) == ("", "")

    def test_a_first_out_that_becomes_critical_stands_for_critical_ones(self) -> None:
        panel = Panel()
        first = raised(panel.raise_each(range(11), 0, 1))
        panel.at(11, (0, 2))
        [event] = raised(panel.at(12, (11, 2)))
        assert event.parent == first[0].id

    def test_of_what_is_raised_in_one_frame_the_worst_is_the_first(self) -> None:
        panel = Panel()
        events = panel.at(0, *((place, 2 if place == 7 else 1) for place in range(12)))
        [head] = [event for event in events if event.severity == "critical"]
        assert {event.parent for event in raised(events)} == {"", head.id}
        assert [event.channel for event in raised(events)] == panel.names[:12]

    def test_a_child_is_listed_by_itself_when_its_parent_is_over(self) -> None:
        panel = Panel()
        events = raised(panel.raise_each(range(14), 0, 1))
        [cleared] = panel.at(20, (0, 0))
        assert cleared.message.endswith("; 4 behind it remain")
        assert cleared.details == {"left": 4}
        assert {alarm.parent for alarm in panel.engine.active()} == {""}
        assert panel.at(21, (13, 0))[0].parent == events[0].id

    def test_what_is_shelved_stands_for_nothing(self) -> None:
        panel = Panel()
        events = raised(panel.raise_each(range(14), 0, 1))
        panel.engine.operate(Order("shelve", events[0].id, seconds=60))
        assert {alarm.parent for alarm in panel.engine.active()} == {""}

    def test_problems_of_the_data_do_not_hide_the_grid(self) -> None:
        rules = {
            "loss": {"on": "R0*:x", "high": {"warning": 1}, "class": "data_quality"},
            "rule": {"on": ["*:x", "!R0*:x"], "high": {"warning": 1}},
        }
        panel = Panel(rules)
        events = raised(panel.raise_each(range(14), 0, 1))
        assert [event.kind for event in events] == ["data"] * 10 + ["alarm"] * 4
        assert [event.parent for event in events] == [""] * 11 + [events[10].id] * 3


class TestChattering:
    def chatter(self, panel: Panel, instants: Sequence[float]) -> list[Event]:
        """Raise one channel at given seconds."""
        return [
            event
            for time in instants
            for row in ((time, 1.0), (time + 1, 0.0))
            for event in panel.at(row[0], (0, row[1]))
        ]

    def test_three_raises_within_a_minute_are_chatter_and_said_once(self) -> None:
        panel = Panel()
        events = self.chatter(panel, [0, 30, 60, 62, 64])
        [notice] = notices(events, "chattering")
        assert (notice.kind, notice.transition, notice.severity) == ("system", "noticed", "info")
        assert (notice.row, notice.terminal, notice.channel) == (4, "R00", "R00:x")
        assert notice.incident == raised(events)[2].id
        assert notice.message == (
            "R00 x chatters: raised 3 times within 1 min; "
            "shelve it, or give the rule rule a longer off_delay or on_delay"
        )
        assert panel.engine.active()[0].chattering

    def test_three_in_more_than_a_minute_are_none(self) -> None:
        panel = Panel()
        assert notices(self.chatter(panel, [0, 30, 60.1]), "chattering") == []
        assert not panel.engine.active()[0].chattering

    def test_it_is_said_again_only_after_ten_calm_minutes(self) -> None:
        panel = Panel()
        times = [0, 10, 20, 300, 310, 320]
        assert len(notices(self.chatter(panel, times), "chattering")) == 1
        panel.at(919)
        assert panel.engine.active()[0].chattering
        panel.at(920)
        assert not panel.engine.active()[0].chattering
        [notice] = notices(self.chatter(panel, [925, 935, 945]), "chattering")
        assert notice.row == 18


class TestStale:
    def test_an_alarm_that_holds_for_a_day_is_stale_and_it_is_said_once(self) -> None:
        panel = Panel(count=2)
        [event] = panel.at(0, (0, 1))
        assert panel.at(DAY - 0.1) == []
        [notice] = panel.at(DAY)
        assert (notice.kind, notice.rule, notice.severity) == ("system", "stale", "info")
        assert (notice.incident, notice.since_row) == (event.id, 0)
        assert panel.engine.active()[0].stale
        assert panel.at(2 * DAY) == []

    @pytest.mark.parametrize("action", ["shelve", "take-out-of-service"])
    def test_what_is_set_aside_is_not(self, action: Any) -> None:
        panel = Panel(count=2)
        [event] = panel.at(0, (0, 1))
        panel.engine.operate(Order(action, event.id, seconds=8 * 3600))
        assert notices(panel.at(8 * 3600 - 1) + panel.at(1.1 * DAY), "stale") == []

    def test_what_is_over_is_not(self) -> None:
        panel = Panel(count=2)
        panel.at(0, (0, 1))
        panel.at(1, (0, 0))
        assert panel.at(2 * DAY) == []


@st.composite
def storms(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Seconds and values of six channels that come and go, in bursts and with hours between."""
    n = draw(st.integers(20, 150))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    steps = random.choice([0.5, 1, 4, 9, 30, 200, 20_000], n, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.04, 0.01])
    values = random.choice([0.0, 0.0, 1.0, 2.0], (n, 6))
    return np.cumsum(steps), values


@settings(max_examples=50, deadline=None)
@given(storms(), st.lists(st.integers(0, 149), max_size=10), st.lists(st.integers(0, 149), max_size=4))
def test_floods_and_nuisances_are_the_same_however_the_stream_is_cut_and_after_any_restart(
    storm: tuple[np.ndarray, np.ndarray], cuts: list[int], shelved: list[int]
) -> None:
    times, values = storm
    channels = ChannelSet(tuple(channel(f"R{i}:x") for i in range(6)), 1.0)
    rules = {
        "rule": LimitSettings.model_validate({"on": "*:x", **RULE["rule"]}),
        "loss": LimitSettings.model_validate(
            {"on": "R[12]:x", "high": {"warning": 1}, "class": "data_quality"}
        ),
    }
    bound = bind_limits(rules, NOW, channels)
    whole = Block(channels, seconds(*times), values)
    stops = [row % len(times) + 1 for row in shelved]

    def told(edges: Sequence[int], restarts: bool) -> list[object]:
        engine, log = AlarmEngine(bound, channels, SITE, "storm"), list[object]()
        for start, stop in pairwise(sorted({0, len(times), *stops, *edges})):
            log += engine.process(whole.slice(start, stop))
            alarms = [alarm for alarm in engine.active() if alarm.state == "unacknowledged"]
            if stop in stops and alarms:
                log += engine.operate(Order("shelve", alarms[0].id, seconds=500))
            if restarts:
                state = json.loads(json.dumps(engine.state(), allow_nan=False))
                engine = AlarmEngine(bound, channels, SITE, "storm")
                assert engine.restore(state) == []
            if stop in stops or stop == len(times):
                log += [repr(engine.active()), repr(engine.flood())]
        return log + engine.reset()

    expected = told([], False)
    edges = [cut % len(times) for cut in cuts]
    assert told(edges, False) == expected
    assert told(edges, True) == expected


@settings(max_examples=50, deadline=None)
@given(storms())
def test_counts_are_honest(storm: tuple[np.ndarray, np.ndarray]) -> None:
    times, values = storm
    channels = ChannelSet(tuple(channel(f"R{i}:x") for i in range(6)), 1.0)
    rules = {"rule": LimitSettings.model_validate({"on": "*:x", **RULE["rule"]})}
    engine = AlarmEngine(bind_limits(rules, NOW, channels), channels, SITE, "storm")
    events = engine.process(Block(channels, seconds(*times), values)) + engine.reset()
    starts = [event for event in events if event.rule == "flood" and event.message.startswith("flood:")]
    ends = [event for event in events if event.rule == "flood" and event.message.startswith("flood over")]
    assert len(starts) == len(ends)
    levels = {event.id: event.severity for event in raised(events)}
    for child in raised(events):
        if child.parent:
            assert child.parent in levels
            assert (
                levels[child.parent] == "critical"
                or child.severity == "warning"
                or any(event.transition == "escalated" and event.incident == child.parent for event in events)
            )
    for begin, end in zip(starts, ends, strict=True):
        during = [event for event in raised(events) if begin.row < event.row < end.row]
        assert end.details["alarms"] >= begin.details["alarms"] + len(during)  # type: ignore[operator]
        assert sum(bool(event.parent) for event in during) <= end.details["collapsed"]  # type: ignore[operator]
