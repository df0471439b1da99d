"""The life of an alarm after ISA-18.2: every state against every order and condition (docs/alarms.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.alarms import AlarmEngine, bind_limits
from gridtop.alarms.rules import AlarmDefaults, AlarmSettings, LimitSettings
from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.errors import GridtopError
from gridtop.events import Contribution, Event
from gridtop.orders import ACTIONS, Action, Order
from tests.reference_alarms import ReferenceRule
from tests.test_alarm_properties import CHANNELS, CUTS, SITE, rule_sets, signals
from tests.test_alarms import NOW, Bench, channel, seconds, story

HIGH = {"high": {"warning": 1, "critical": 2}}
LATCHED = HIGH | {"latch": True}

Step = Callable[[Bench], object]


def values(*rows: float) -> Step:
    return lambda bench: bench.feed(*rows)


def tell(action: Action, seconds: float = 3600.0) -> Step:
    """Tell the first alarm of the list something."""

    def step(bench: Bench) -> object:
        return bench.engine.operate(
            Order(action, bench.engine.active()[0].id, "ada", "crew on site", seconds)
        )

    return step


REACHED: dict[str, tuple[bool, Sequence[Step]]] = {
    "unacknowledged": (False, [values(1)]),
    "acknowledged": (False, [values(1), tell("acknowledge")]),
    "returned": (False, [values(1, 0)]),
    "latched": (True, [values(1, 0)]),
    "latched_acknowledged": (True, [values(1, 0), tell("acknowledge")]),
    "shelved": (False, [values(1), tell("shelve")]),
    "out_of_service": (False, [values(1), tell("take-out-of-service")]),
}
"""How each state is reached, and whether its rule latches."""


def in_state(state: str, latch: bool | None = None) -> Bench:
    latches, steps = REACHED[state]
    bench = Bench({"rule": LATCHED if (latches if latch is None else latch) else HIGH})
    for step in steps:
        step(bench)
    assert now(bench) == state
    return bench


def now(bench: Bench) -> str:
    """The state of the one alarm there may be."""
    alarms = bench.engine.active()
    assert len(alarms) <= 1
    return alarms[0].state if alarms else "normal"


REFUSED = "refused"
ACK, LATCHED_ACK, OUT = "acknowledged", "latched_acknowledged", "out_of_service"
RAISED, NO = "unacknowledged", REFUSED
ORDERS: dict[str, tuple[str, ...]] = {
    # in the order of ACTIONS:
    #          acknowledge  unlatch     shelve     unshelve  take out  put in
    RAISED:      (ACK,         NO,         "shelved", NO,       OUT,      NO),
    ACK:         (ACK,         NO,         "shelved", NO,       OUT,      NO),
    "returned":  ("normal",    NO,         "shelved", NO,       OUT,      NO),
    "latched":   (LATCHED_ACK, "returned", "shelved", NO,       OUT,      NO),
    LATCHED_ACK: (LATCHED_ACK, "normal",   "shelved", NO,       OUT,      NO),
    "shelved":   ("shelved",   NO,         "shelved", RAISED,   OUT,      NO),
    OUT:         (OUT,         NO,         NO,        NO,       NO,       RAISED),
}  # fmt: skip
TOLD: dict[Action, str] = {
    "acknowledge": "acknowledged",
    "unlatch": "unlatched",
    "shelve": "shelved",
    "unshelve": "unshelved",
    "take-out-of-service": "out_of_service",
    "put-in-service": "in_service",
}


class TestDiagram:
    @pytest.mark.parametrize("action", ACTIONS)
    @pytest.mark.parametrize("state", ORDERS)
    def test_every_order_in_every_state(self, state: str, action: Action) -> None:
        bench, expected = in_state(state), ORDERS[state][ACTIONS.index(action)]
        [before] = bench.engine.active()
        order = Order(action, before.id, "ada", "crew on site", 60)
        if expected == REFUSED:
            with pytest.raises(GridtopError, match=rf"R1 x: cannot {action.replace('-', ' ')}: "):
                bench.engine.operate(order)
            assert bench.engine.active() == (before,)
            return
        events = bench.engine.operate(order)
        assert now(bench) == expected
        if action == "acknowledge" and expected == state:
            assert events == []
            return
        assert (events[0].transition, events[0].kind) == (TOLD[action], "operator")
        assert events[0].incident == before.id
        assert (events[0].details["user"], events[0].details["reason"]) == ("ada", "crew on site")
        # What comes back while its condition holds is raised anew.
        raised = ["raised"] if expected == "unacknowledged" else []
        assert [event.transition for event in events[1:]] == raised

    @pytest.mark.parametrize(
        ("state", "latch", "value", "expected", "said"),
        [
            ("unacknowledged", False, 0, "returned", "cleared"),
            ("unacknowledged", True, 0, "latched", "latched"),
            ("unacknowledged", False, 2, "unacknowledged", "escalated"),
            ("acknowledged", False, 0, "normal", "cleared"),
            ("acknowledged", True, 0, "latched_acknowledged", "latched"),
            ("acknowledged", False, 2, "unacknowledged", "escalated"),
            ("acknowledged", False, 1, "acknowledged", ""),
            ("returned", False, 0, "returned", ""),
            ("returned", False, 1, "unacknowledged", "raised"),
            ("latched", True, 0, "latched", ""),
            ("latched", True, 1, "unacknowledged", "raised"),
            ("latched_acknowledged", True, 0, "latched_acknowledged", ""),
            ("latched_acknowledged", True, 2, "unacknowledged", "raised"),
            ("shelved", False, 0, "shelved", ""),
            ("shelved", False, 2, "shelved", ""),
            ("shelved", True, 0, "shelved", ""),
            ("out_of_service", False, 0, "out_of_service", ""),
            ("out_of_service", False, 2, "out_of_service", ""),
        ],
    )
    def test_every_condition_in_every_state(
        self, state: str, latch: bool, value: float, expected: str, said: str
    ) -> None:
        bench = in_state(state, latch)
        assert [event.transition for event in bench.feed(value)] == ([said] if said else [])
        assert now(bench) == expected

    @pytest.mark.parametrize("state", ORDERS)
    def test_the_flags_follow_the_state(self, state: str) -> None:
        [alarm] = in_state(state).engine.active()
        assert alarm.latched == (state in ("latched", "latched_acknowledged"))
        assert alarm.acknowledged == (state in ("acknowledged", "latched_acknowledged"))
        assert (alarm.ended_row is not None) == (state in ("returned", "latched", "latched_acknowledged"))

    @pytest.mark.parametrize("state", ORDERS)
    def test_the_end_of_a_pass(self, state: str) -> None:
        """What is set aside outlives it; what was seen to hold ends with an event; the rest is forgotten."""
        bench = in_state(state)
        told = (
            ["reset"]
            if state in ("unacknowledged", "acknowledged", "latched", "latched_acknowledged")
            else []
        )
        assert [event.transition for event in bench.engine.reset()] == told
        assert now(bench) == (state if state in ("shelved", "out_of_service") else "normal")

    def test_an_alarm_that_is_over_or_never_was_takes_no_orders_but_needs_no_acknowledgement(self) -> None:
        engine = Bench({"rule": HIGH}).engine
        assert engine.operate(Order("acknowledge", "nonsense")) == []
        for action in ACTIONS[1:]:
            with pytest.raises(GridtopError, match="there is no such alarm, or it is over"):
                engine.operate(Order(action, "nonsense", seconds=1))


class TestIncidents:
    def test_all_that_happens_to_one_alarm_has_the_id_of_its_raise(self) -> None:
        bench = Bench({"rule": HIGH})
        events = bench.feed(1, 2, 1.5, 0)
        events += bench.engine.operate(Order("acknowledge", events[0].id))
        assert [e.transition for e in events] == ["raised", "escalated", "eased", "cleared", "acknowledged"]
        assert {event.incident for event in events} == {events[0].id}
        assert [event.priority for event in events] == ["low", "high", "low", "low", "low"]

    def test_a_condition_that_comes_back_is_a_new_incident_and_ends_the_old_one(self) -> None:
        bench = Bench({"rule": HIGH})
        first, _, second = bench.feed(1, 0, 1)
        [alarm] = bench.engine.active()
        assert (alarm.id, alarm.row, second.incident) == (second.id, 2, second.id)
        assert bench.engine.operate(Order("acknowledge", first.id)) == []

    def test_a_returned_alarm_says_when_it_ended_and_keeps_its_peak(self) -> None:
        bench = Bench({"rule": HIGH})
        bench.feed(1, 1.5, 0, 0.5)
        [alarm] = bench.engine.active()
        assert (alarm.state, alarm.ended, alarm.ended_row) == ("returned", seconds(0.2)[0], 2)
        assert (alarm.peak, alarm.value, alarm.severity) == (1.5, 0.5, "warning")

    def test_who_acknowledged_is_shown_until_it_gets_worse(self) -> None:
        bench = in_state("acknowledged")
        assert bench.engine.active()[0].user == "ada"
        bench.feed(2)
        assert bench.engine.active()[0].user == ""

    def test_the_same_order_twice_in_one_frame_gives_events_of_their_own(self) -> None:
        bench = in_state("unacknowledged")
        ids: list[str] = []
        for _ in range(3):
            for action in ("shelve", "unshelve"):
                alarm = bench.engine.active()[0].id
                ids += [event.id for event in bench.engine.operate(Order(action, alarm, seconds=60))]
        assert len(set(ids)) == len(ids) == 10  # three times shelved, unshelved, raised; and it chatters

    def test_the_cause_of_an_alarm_is_shown_as_long_as_it_is_there(self) -> None:
        bench = Bench({"rule": HIGH})
        [raised] = bench.feed(1)
        cause = (Contribution("R1:x", 1.0),)
        bench.engine.explained(replace(raised, cause=cause))
        bench.feed(0)
        assert bench.engine.active()[0].cause == cause


class TestShelving:
    def test_a_shelved_alarm_says_who_why_and_until_when(self) -> None:
        bench = in_state("unacknowledged")
        [alarm] = bench.engine.active()
        [event] = bench.engine.operate(Order("shelve", alarm.id, "ada", "crew on site", 1800))
        assert event.message == "R1 x warning alarm shelved for 30 min by ada: crew on site"
        assert event.details == {"user": "ada", "reason": "crew on site", "until": "2026-01-01T00:30:00Z"}
        [alarm] = bench.engine.active()
        assert (alarm.user, alarm.reason, alarm.until) == ("ada", "crew on site", seconds(1800)[0])

    def test_shelving_ends_by_itself_and_what_holds_is_raised_with_its_first_crossing(self) -> None:
        bench = in_state("unacknowledged")
        [alarm] = bench.engine.active()
        bench.engine.operate(Order("shelve", alarm.id, seconds=0.5))
        assert bench.feed(0, 2, 2, 2) == []
        unshelved, raised = bench.feed(1.5, 1.5)
        assert story([unshelved, raised]) == ["5 unshelved warning", "5 raised warning"]
        assert unshelved.details == {"user": "", "reason": "its time is over", "raised": 1}
        assert (raised.since_row, raised.since, raised.incident) == (2, seconds(0.2)[0], raised.id)
        [now] = bench.engine.active()
        assert (now.id, now.row, now.since_row, now.peak, now.state) == (raised.id, 5, 2, 2, "unacknowledged")

    def test_what_is_normal_again_when_it_comes_back_is_gone(self) -> None:
        bench = in_state("shelved")
        assert bench.feed(0, 1, 0, 1, 0) == []
        [event] = bench.engine.operate(Order("unshelve", bench.engine.active()[0].id))
        assert (
            event.message
            == "R1 x warning alarm no longer shelved; it is normal, and was raised 2 times meanwhile"
        )
        assert bench.engine.active() == ()

    def test_what_latched_while_it_was_away_is_held(self) -> None:
        bench = in_state("shelved", latch=True)
        bench.feed(0)
        [event] = bench.engine.operate(Order("unshelve", bench.engine.active()[0].id))
        assert event.message.endswith("no longer shelved; it is held")
        assert now(bench) == "latched"

    def test_a_shelved_alarm_keeps_its_id_while_its_condition_comes_and_goes(self) -> None:
        bench = in_state("shelved")
        [before] = bench.engine.active()
        bench.feed(0, 2)
        [alarm] = bench.engine.active()
        assert (alarm.id, alarm.state, alarm.severity, alarm.peak) == (before.id, "shelved", "critical", 2)

    def test_a_shelved_alarm_inhibits_others_all_the_same(self) -> None:
        """Else an operator's key, not the measurements, would decide what is an alarm."""
        rules = {"slope": HIGH | {"inhibit_if": ["fault"]}, "fault": {"on": "*:y", "high": {"warning": 1}}}
        bench = Bench(rules, (channel("R1:x"), channel("R1:y")))
        [fault] = bench.feed((0, 1))
        bench.engine.operate(Order("shelve", fault.id, seconds=60))
        assert bench.feed((1, 1)) == []

    def test_the_rest_of_its_time_is_served_in_the_next_pass(self) -> None:
        bench = in_state("unacknowledged")
        bench.engine.operate(Order("shelve", bench.engine.active()[0].id, seconds=1))
        bench.feed(0, 0, 0, 0)
        assert bench.engine.reset() == []
        bench.row = 0
        assert bench.feed(0, 0, 0, 0, 0, 0) == []
        assert story(bench.feed(0)) == ["6 unshelved warning"]

    def test_it_can_be_taken_back_before_the_next_pass_has_a_frame(self) -> None:
        bench = in_state("shelved")
        bench.engine.reset()
        [event] = bench.engine.operate(Order("unshelve", bench.engine.active()[0].id))
        assert (event.transition, event.pass_number) == ("unshelved", 2)
        assert bench.engine.active() == ()

    def test_a_recording_without_a_clock_counts_frames(self) -> None:
        bench = Bench({"rule": HIGH}, clock="row")
        [raised] = bench.feed(1)
        [event] = bench.engine.operate(Order("shelve", raised.id, seconds=0.4))
        assert event.message == "R1 x warning alarm shelved for 4 frames"
        assert event.details["until"] is None
        assert bench.engine.active()[0].until is None
        assert story(bench.feed(0, 0, 0, 0, 0)) == ["4 unshelved warning"]

    def test_out_of_service_has_no_end(self) -> None:
        bench = in_state("out_of_service")
        assert bench.feed(1, 0, 1, at=[0.1, 1e5, 2e5]) == []
        assert now(bench) == "out_of_service"

    def test_what_is_not_announced_comes_last(self) -> None:
        bench = Bench({"rule": HIGH}, [channel("R1:x"), channel("R2:x")])
        first, _ = bench.feed((2, 1))
        bench.engine.operate(Order("shelve", first.id, seconds=60))
        assert [(a.channel, a.state) for a in bench.engine.active()] == [
            ("R2:x", "unacknowledged"),
            ("R1:x", "shelved"),
        ]


class TestSuppression:
    RULES = {  # noqa: RUF012
        "slope": {"high": {"warning": 1, "critical": 2}, "inhibit_if": ["fault"]},
        "fault": {"on": "*:y", "high": {"critical": 1}},
    }

    def bench(self) -> Bench:
        return Bench(self.RULES, (channel("R1:x"), channel("R1:y")))

    def test_what_is_silenced_is_shown_without_an_event(self) -> None:
        bench = self.bench()
        assert [event.rule for event in bench.feed((0, 1), (1, 1), (2.5, 1), (2, 1))] == ["fault"]
        [_, alarm] = bench.engine.active()
        assert (alarm.rule, alarm.state, alarm.severity) == ("slope", "suppressed", "critical")
        assert (alarm.since_row, alarm.since, alarm.value, alarm.peak) == (1, seconds(0.1)[0], 2, 2.5)
        assert alarm.message == "R1 x 2 pu above 2 pu, silenced by fault"
        with pytest.raises(GridtopError, match="no such alarm"):
            bench.engine.operate(Order("shelve", alarm.id, seconds=1))

    def test_it_is_normal_again_within_the_limit_and_raised_when_the_other_is_over(self) -> None:
        bench = self.bench()
        bench.feed((1, 1), (0.5, 1))
        assert [alarm.rule for alarm in bench.engine.active()] == ["fault"]
        bench.feed((1, 1))
        assert [event.transition for event in bench.feed((1, 0))] == ["cleared", "raised"]
        assert {(a.rule, a.state) for a in bench.engine.active()} == {
            ("fault", "returned"),
            ("slope", "unacknowledged"),
        }

    def test_a_missing_value_leaves_it_as_it_was(self) -> None:
        bench = self.bench()
        bench.feed((1, 1), (np.nan, 1))
        [_, alarm] = bench.engine.active()
        assert (alarm.state, alarm.value) == ("suppressed", 1)


class TestPriorities:
    def test_a_rule_says_how_soon_somebody_must_respond(self) -> None:
        rule = HIGH | {"priority": {"critical": "medium"}, "overrides": {"R2:*": {"priority": "high"}}}
        bench = Bench({"rule": rule}, [channel("R1:x"), channel("R2:x")])
        assert [(e.channel, e.severity, e.priority) for e in bench.feed((1, 1), (2, 2))] == [
            ("R1:x", "warning", "low"),
            ("R2:x", "warning", "high"),
            ("R1:x", "critical", "medium"),
            ("R2:x", "critical", "high"),
        ]
        assert {a.priority for a in bench.engine.active()} == {"medium", "high"}

    def test_the_defaults_can_be_changed_level_by_level(self) -> None:
        defaults = AlarmDefaults.model_validate(
            {"priority": {"critical": "medium"}, "on_delay": "0s", "off_delay": "0s"}
        )
        events = Bench({"rule": HIGH}, defaults=defaults).feed(1, 2)
        assert [event.priority for event in events] == ["low", "medium"]

    def test_a_word_that_is_no_priority_is_explained(self) -> None:
        with pytest.raises(ValueError, match="'urgent' is no priority; write low, medium, high"):
            AlarmSettings.model_validate(HIGH | {"priority": "urgent"})


def saved_and_restored(
    engine: AlarmEngine, make: Callable[[], AlarmEngine]
) -> tuple[AlarmEngine, list[Event]]:
    text = json.dumps(engine.state(), allow_nan=False)
    after = make()
    return after, after.restore(json.loads(text))


class TestRestart:
    def engine(self, rules: dict[str, Any], channels: Sequence[str] = ("R1:x",)) -> AlarmEngine:
        told = ChannelSet(tuple(channel(name) for name in channels), 10.0)
        limits = {name: LimitSettings.model_validate({"on": "*:x"} | rule) for name, rule in rules.items()}
        return AlarmEngine(bind_limits(limits, NOW, told), told, SITE, "bench")

    def restarted(
        self, bench: Bench, rules: dict[str, Any], channels: Sequence[str] = ("R1:x",)
    ) -> list[Event]:
        bench.channels = ChannelSet(tuple(channel(name) for name in channels), 10.0)
        bench.engine, events = saved_and_restored(bench.engine, lambda: self.engine(rules, channels))
        return events

    def test_an_order_that_is_repeated_after_a_restart_has_an_event_of_its_own(self) -> None:
        bench = Bench({"rule": HIGH})
        bench.feed(1)
        ids: list[str] = []
        for _ in range(2):
            for action in ("take-out-of-service", "put-in-service"):
                order = Order(action, bench.engine.active()[0].id)
                ids += [event.id for event in bench.engine.operate(order)]
            self.restarted(bench, {"rule": HIGH})
        assert len(set(ids)) == len(ids) == 7  # twice out, in and raised; and it chatters

    def test_a_delay_that_was_running_goes_on(self) -> None:
        rule = {"high": {"warning": 1}, "on_delay": "300ms", "consecutive": 3}
        bench = Bench({"rule": rule})
        bench.feed(0, 1, 1)
        assert self.restarted(bench, {"rule": rule}) == []
        [raised] = bench.feed(1, 1)
        assert (raised.row, raised.since_row) == (4, 1)

    def test_an_alarm_of_a_changed_rule_ends_and_says_so_and_others_go_on(self) -> None:
        bench = Bench({"one": HIGH, "two": HIGH})
        one, two = bench.feed(1)
        [event] = self.restarted(bench, {"one": {"high": {"warning": 0.9}}, "two": HIGH})
        assert (event.transition, event.incident, event.rule) == ("reset", one.id, "one")
        assert event.message == "R1:x warning alarm ends: its rule one has changed"
        assert [alarm.id for alarm in bench.engine.active()] == [two.id]
        assert [event.rule for event in bench.feed(1)] == ["one"]

    def test_an_alarm_of_a_removed_rule_ends(self) -> None:
        bench = Bench({"one": HIGH, "two": HIGH})
        bench.feed(1)
        [event] = self.restarted(bench, {"two": HIGH})
        assert event.message == "R1:x warning alarm ends: its rule one is no longer there"

    def test_what_does_not_decide_may_change(self) -> None:
        bench = Bench({"rule": HIGH})
        bench.feed(1)
        changed = HIGH | {"priority": "medium", "overrides": {"R2:*": {"latch": True}}}
        assert self.restarted(bench, {"rule": changed}, ("R2:x", "R1:x")) == []
        [alarm] = bench.engine.active()
        assert (alarm.channel, alarm.priority, alarm.value) == ("R1:x", "medium", 1)
        assert story(bench.feed((0, 0))) == ["1 cleared warning"]

    def test_only_lanes_that_carry_something_are_written(self) -> None:
        bench = Bench({"rule": HIGH}, [channel(f"R{i}:x") for i in range(50)])
        bench.feed([0.0] * 50)
        assert bench.engine.state()["lanes"] == []
        bench.feed([1.0] + [0.0] * 49)
        assert len(bench.engine.state()["lanes"]) == 1

    def test_a_state_of_another_version_is_not_used_and_nonsense_is_refused(self) -> None:
        bench = Bench({"rule": HIGH})
        bench.feed(1)
        state = bench.engine.state()
        assert bench.engine.restore(state | {"version": 99}) == []
        assert bench.engine.active() == ()
        with pytest.raises(GridtopError, match="cannot be read"):
            bench.engine.restore({"version": 1, "lanes": [["rule"]]})
        assert bench.engine.active() == ()


Told = tuple[int, Action, int, float]
"""After which row somebody tells which alarm of the list what, and for how many seconds."""
TOLD_ORDERS = st.lists(
    st.tuples(
        st.integers(0, 119),
        st.sampled_from(ACTIONS),
        st.integers(0, 5),
        st.sampled_from([0.1, 1.0, 3.3, 30.0]),
    ),
    max_size=12,
)
RuleSet = list[tuple[LimitSettings, ReferenceRule]]


def played(
    rules: RuleSet,
    signal: tuple[list[int], list[list[float]]],
    told: Sequence[Told],
    cuts: Sequence[int],
    restarts: bool = False,
    passes: int = 2,
) -> list[object]:
    """Everything that an engine says in some passes over a signal, and its list of alarms at the end."""
    times, rows = signal
    channels = ChannelSet(CHANNELS, 10.0)
    bound = bind_limits({plain.name: limit for limit, plain in rules}, AlarmDefaults(), channels)

    def make() -> AlarmEngine:
        return AlarmEngine(bound, channels, SITE, "signal")

    engine, log = make(), list[object]()
    whole = Block(channels, np.array(times, dtype="datetime64[ns]"), np.array(rows), row=0)
    orders = [(row % len(times) + 1, *rest) for row, *rest in told]
    edges = sorted({0, len(times), *(cut % len(times) for cut in cuts), *(order[0] for order in orders)})
    for _ in range(passes):
        for start, stop in pairwise(edges):
            log += engine.process(whole.slice(start, stop))
            for _, action, which, length in (order for order in orders if order[0] == stop):
                alarms = engine.active()
                if alarms:
                    order = Order(action, alarms[which % len(alarms)].id, "ada", "", length)
                    try:
                        log += engine.operate(order)
                    except GridtopError as error:
                        log.append(str(error))
            if any(order[0] == stop for order in orders) or stop == len(times):
                log += [repr(engine.active()), repr(engine.flood())]
            if restarts:
                engine, lost = saved_and_restored(engine, make)
                assert lost == []
        log += engine.reset()
        log.append(repr(engine.active()))
    return log


@settings(max_examples=60, deadline=None)
@given(rule_sets(), signals(), TOLD_ORDERS, CUTS)
def test_the_life_of_alarms_is_the_same_however_the_stream_is_cut(
    rules: RuleSet, signal: tuple[list[int], list[list[float]]], told: list[Told], cuts: list[int]
) -> None:
    log = played(rules, signal, told, [])
    assert played(rules, signal, told, cuts) == log
    ids = [event.id for event in log if isinstance(event, Event)]
    assert len(set(ids)) == len(ids)


@settings(max_examples=60, deadline=None)
@given(rule_sets(), signals(), TOLD_ORDERS, CUTS)
def test_saved_and_restored_at_any_step_equals_never_stopped(
    rules: RuleSet, signal: tuple[list[int], list[list[float]]], told: list[Told], cuts: list[int]
) -> None:
    assert played(rules, signal, told, cuts, restarts=True) == played(rules, signal, told, cuts)
