"""What the alarm rules mean, one sentence a test (docs/alarms.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gridtop.alarms import AlarmEngine, BoundRule, bind_limits, bind_scores, check_inhibition
from gridtop.alarms.rules import AlarmDefaults, AlarmSettings, LimitSettings
from gridtop.blocks import Block
from gridtop.channels import Channel, ChannelSet
from gridtop.errors import ConfigurationError
from gridtop.events import Event
from gridtop.orders import Order
from gridtop.site import Line, Site

NAN = math.nan
NOW = AlarmDefaults.model_validate({"on_delay": "0s", "off_delay": "0s"})
SITE = Site(lines={"L1": Line(ends=("R1", "R2"))})
START = np.datetime64("2026-01-01", "ns")


def channel(name: str, unit: str = "pu", phase: str = "") -> Channel:
    """A channel whose name says what it is: `R1:voltage_pu`."""
    terminal, _, quantity = name.partition(":")
    return Channel(f"{name}.{phase}" if phase else name, quantity, unit, terminal, phase)


def seconds(*instants: float) -> np.ndarray:
    return START + np.round(np.array(instants) * 1e9).astype("timedelta64[ns]")


class Bench:
    """An engine with some limits on some channels, fed by hand."""

    def __init__(
        self,
        limits: Mapping[str, Mapping[str, Any]],
        channels: Sequence[Channel] = (channel("R1:x"),),
        rate: float | None = 10.0,
        clock: Any = "utc",
        defaults: AlarmDefaults = NOW,
        site: Site = SITE,
    ) -> None:
        self.channels = ChannelSet(tuple(channels), rate, clock)
        self.rate = rate or 10.0
        rules = {name: LimitSettings.model_validate({"on": "*:x", **limit}) for name, limit in limits.items()}
        self.engine = AlarmEngine(bind_limits(rules, defaults, self.channels), self.channels, site, "bench")
        self.row = 0

    def feed(self, *rows: float | Sequence[float], at: Sequence[float] | None = None) -> list[Event]:
        """The events of some rows, at the channels' rate or at given seconds."""
        values = np.array(rows, dtype=float).reshape(len(rows), len(self.channels))
        instants = [(self.row + i) / self.rate for i in range(len(rows))] if at is None else at
        block = Block(self.channels, seconds(*instants), values, row=self.row)
        self.row += len(rows)
        return self.engine.process(block)


def story(events: Sequence[Event]) -> list[str]:
    """Each event in short: `3 raised warning`."""
    return [f"{event.row} {event.transition} {event.severity}" for event in events]


def x(limit: Mapping[str, Any], *values: float, at: Sequence[float] | None = None) -> list[str]:
    """What one limit on one channel says to some values, at ten frames a second."""
    return story(Bench({"rule": limit}).feed(*values, at=at))


HIGH = {"high": {"warning": 1, "critical": 2}}


class TestLevels:
    def test_high_exceeds_at_its_limit(self) -> None:
        assert x({"high": {"warning": 1}}, 0.999, 1) == ["1 raised warning"]

    def test_low_is_high_upside_down(self) -> None:
        assert x({"low": {"warning": 1}, "deadband": 0.5}, 1.001, 1, 1.5, 1.51) == [
            "1 raised warning",
            "3 cleared warning",
        ]

    def test_abs_looks_at_the_size(self) -> None:
        assert x({"abs": {"warning": 1}}, 0.9, -1, 0.9, 1) == [
            "1 raised warning",
            "2 cleared warning",
            "3 raised warning",
        ]

    def test_low_and_high_of_one_rule_are_two_alarms(self) -> None:
        events = Bench({"rule": {"low": {"warning": -1}, "high": {"warning": 1}}}).feed(0, 1, -1, 0)
        assert [(e.row, e.direction, e.transition) for e in events] == [
            (1, "high", "raised"),
            (2, "high", "cleared"),
            (2, "low", "raised"),
            (3, "low", "cleared"),
        ]

    def test_an_alarm_escalates_eases_and_clears(self) -> None:
        assert x(HIGH, 1, 2, 1.5, 0) == [
            "0 raised warning",
            "1 escalated critical",
            "2 eased warning",
            "3 cleared warning",
        ]

    def test_critical_at_once_is_raised_once_and_eases_to_warning(self) -> None:
        rule = HIGH | {"on_delay": {"warning": "10s", "critical": "0s"}}
        assert x(rule, 0, 2, 1.5, 1.5, 0) == ["1 raised critical", "2 eased warning", "4 cleared warning"]

    def test_a_rule_without_warning_clears_from_critical(self) -> None:
        assert x({"high": {"critical": 2}}, 1.9, 2, 1.9) == ["1 raised critical", "2 cleared critical"]

    def test_between_limit_and_deadband_nothing_changes(self) -> None:
        rule = {"high": {"warning": 1}, "deadband": 0.2}
        assert x(rule, 0.9, 1, 0.8, 0.99, 0.79, 0.9) == ["1 raised warning", "4 cleared warning"]


class TestDelays:
    def test_on_delay_is_measured_from_the_first_exceeding_sample(self) -> None:
        events = Bench({"rule": {"high": {"warning": 1}, "on_delay": "300ms"}}).feed(0, 1, 1, 1, 1, 1)
        assert story(events) == ["4 raised warning"]
        assert (events[0].since_row, events[0].since) == (1, seconds(0.1)[0])

    def test_a_good_sample_within_the_limit_ends_the_run(self) -> None:
        assert x({"high": {"warning": 1}, "on_delay": "200ms"}, 1, 1, 0.9, 1, 1, 1) == ["5 raised warning"]

    def test_consecutive_counts_samples_and_delay_counts_time_and_both_must_be_met(self) -> None:
        rule = {"high": {"warning": 1}, "on_delay": "200ms", "consecutive": 3}
        assert x(rule, 1, 1, 1, at=[0, 0.3, 0.4]) == ["2 raised warning"]
        assert x(rule, 1, 1, 1, 1, at=[0, 0.01, 0.02, 0.2]) == ["3 raised warning"]

    def test_off_delay_runs_while_the_value_is_back_inside(self) -> None:
        rule = {"high": {"warning": 1}, "off_delay": "200ms", "deadband": 0.1}
        assert x(rule, 1, 0, 0, 0.95, 0, 0, 0) == ["0 raised warning", "6 cleared warning"]

    def test_each_level_has_its_own_timers(self) -> None:
        rule = HIGH | {
            "on_delay": {"warning": "100ms", "critical": "300ms"},
            "off_delay": {"warning": "300ms", "critical": "0s"},
        }
        assert x(rule, 2, 2, 2, 2, 0, 0, 0, 0) == [
            "1 raised warning",
            "3 escalated critical",
            "4 eased warning",
            "7 cleared warning",
        ]

    def test_defaults_hold_where_a_rule_says_nothing(self) -> None:
        defaults = AlarmDefaults.model_validate({"on_delay": {"warning": "200ms", "critical": "0s"}})
        rule = HIGH | {"on_delay": {"critical": "100ms"}}
        bench = Bench({"rule": rule}, defaults=defaults)
        assert story(bench.feed(2, 2, 2)) == ["1 raised critical"]
        assert story(Bench({"rule": HIGH}, defaults=defaults).feed(1, 1, 1)) == ["2 raised warning"]

    def test_shipped_defaults_are_100_ms_on_and_1_s_off(self) -> None:
        bench = Bench({"rule": HIGH}, defaults=AlarmDefaults())
        assert story(bench.feed(1, 1, *[0] * 12)) == ["1 raised warning", "12 cleared warning"]

    def test_fractions_of_a_frame_are_not_lost(self) -> None:
        thirds = [0, 1 / 30, 2 / 30, 3 / 30]
        assert x({"high": {"warning": 1}, "on_delay": "100ms"}, 1, 1, 1, 1, at=thirds) == ["3 raised warning"]


class TestMissingValues:
    def test_missing_values_neither_raise_nor_clear(self) -> None:
        assert x({"high": {"warning": 1}}, NAN, NAN) == []
        assert x({"high": {"warning": 1}}, 1, NAN, NAN, 1, 0) == ["0 raised warning", "4 cleared warning"]

    def test_delays_go_on_over_a_short_gap_and_are_looked_at_on_good_samples(self) -> None:
        rule = {"high": {"warning": 1}, "on_delay": "200ms"}
        assert x(rule, 1, NAN, NAN, NAN, 1) == ["4 raised warning"]

    def test_missing_values_do_not_count_as_consecutive_but_do_not_interrupt(self) -> None:
        assert x({"high": {"warning": 1}, "consecutive": 2}, 1, NAN, 1) == ["2 raised warning"]

    @pytest.mark.parametrize(
        ("rate", "gap", "restarts"),
        [(10, 1.0, False), (10, 1.1, True), (1, 3.0, False), (1, 3.1, True), (None, 1.1, True)],
    )
    def test_a_gap_of_more_than_three_frames_and_one_second_restarts_a_delay(
        self, rate: float | None, gap: float, restarts: bool
    ) -> None:
        bench = Bench({"rule": {"high": {"warning": 1}, "on_delay": "1s"}}, rate=rate)
        raised = story(bench.feed(1, 1, at=[0, gap]))
        assert raised == ([] if restarts else ["1 raised warning"])
        assert story(bench.feed(1, at=[gap + 1])) == (["2 raised warning"] if restarts else [])

    def test_a_gap_is_the_same_whether_rows_are_missing_or_values(self) -> None:
        rule = {"high": {"warning": 1}, "on_delay": "500ms"}
        assert x(rule, 1, 1, 1, at=[0, 2, 2.4]) == []
        assert x(rule, 1, *[NAN] * 19, 1, 1, 1, 1, 1) == []

    def test_a_gap_neither_raises_nor_clears(self) -> None:
        rule = {"high": {"warning": 1}, "off_delay": "1s"}
        assert x(rule, 1, 0, 0, 0, at=[0, 0.1, 60, 60.9]) == ["0 raised warning"]
        assert x(rule, 1, 0, 0, 0, at=[0, 0.1, 60, 61]) == ["0 raised warning", "3 cleared warning"]

    def test_an_infinite_score_is_a_missing_one(self) -> None:
        assert x({"high": {"warning": 1}}, math.inf, -math.inf) == []


class TestGates:
    CHANNELS = (channel("R1:x"), channel("R1:load", "A"))
    RULE = {"high": {"warning": 1}, "gate": {"on": "load", "min": 0.5}}  # noqa: RUF012

    def test_nothing_exceeds_while_the_gate_is_closed_and_active_alarms_clear(self) -> None:
        bench = Bench({"rule": self.RULE}, self.CHANNELS)
        assert story(bench.feed((1, 0.4), (1, 0.5), (1, 0.4))) == ["1 raised warning", "2 cleared warning"]

    def test_a_closed_gate_clears_even_where_the_value_is_missing(self) -> None:
        """The impedance of an open line is no number, and its alarm must not stay for ever."""
        bench = Bench({"rule": self.RULE}, self.CHANNELS)
        assert story(bench.feed((1, 1), (NAN, 0))) == ["0 raised warning", "1 cleared warning"]

    def test_nobody_knows_whether_a_missing_gate_is_open(self) -> None:
        bench = Bench({"rule": self.RULE}, self.CHANNELS)
        assert story(bench.feed((1, NAN), (1, 1), (0, NAN), (0, 1))) == [
            "1 raised warning",
            "3 cleared warning",
        ]

    def test_an_upper_bound_closes_it_too(self) -> None:
        rule = {"high": {"warning": 1}, "gate": {"on": "load", "max": 2}}
        bench = Bench({"rule": rule}, self.CHANNELS)
        assert story(bench.feed((1, 2.1), (1, 2))) == ["1 raised warning"]

    @pytest.mark.parametrize(
        ("subject", "gates", "looks_at"),
        [
            (channel("R1:x"), [channel("R2:load"), channel("R1:load")], [1]),
            (channel("R1:x"), [channel("system:load"), channel("L1:load")], [1]),
            (channel("R3:x"), [channel("L1:load"), channel("system:load")], [1]),
            (channel("R1:x", phase="B"), [channel("R1:load", phase=p) for p in "ABC"], [1]),
            (channel("R1:x", phase="B"), [channel("R1:load")], [0]),
            (channel("R1:x"), [channel("R1:load", phase=p) for p in "ABC"], [0, 1, 2]),
            (channel("L1:x"), [channel("R1:load"), channel("R2:load"), channel("R3:load")], [0, 1]),
        ],
    )
    def test_the_gate_is_the_one_of_the_same_place_and_phase(
        self, subject: Channel, gates: list[Channel], looks_at: list[int]
    ) -> None:
        rule = {"high": {"warning": 1}, "gate": {"on": "load", "min": 1}}
        for i in range(len(gates)):
            row = [1.0] + [0.0 if j == i else 1.0 for j in range(len(gates))]
            assert bool(Bench({"rule": rule}, (subject, *gates)).feed(row)) == (i not in looks_at)

    def test_a_gate_that_is_nowhere_is_a_mistake_in_the_configuration(self) -> None:
        with pytest.raises(ConfigurationError, match=r"rule.gate.on: R1 has no quantity 'laod' .*'load'"):
            Bench({"rule": {"high": {"warning": 1}, "gate": {"on": "laod", "min": 1}}}, self.CHANNELS)


class TestInhibition:
    X_AND_Y = (channel("R1:x"), channel("R1:y"))
    RULES = {  # noqa: RUF012
        "slope": {"high": {"warning": 1, "critical": 2}, "inhibit_if": ["fault"]},
        "fault": {"on": "*:y", "high": {"critical": 1}},
    }

    def told(self, channels: Sequence[Channel], *rows: Sequence[float], **more: Any) -> list[str]:
        rules = {name: rule | more.get(name, {}) for name, rule in self.RULES.items()}
        events = Bench(rules, channels).feed(*rows)
        return [f"{e.row} {e.rule} {e.transition}" for e in events]

    def test_an_inhibited_rule_does_not_raise_in_the_same_row(self) -> None:
        assert self.told(self.X_AND_Y, (1, 1), (1, 0)) == [
            "0 fault raised",
            "1 fault cleared",
            "1 slope raised",
        ]

    def test_an_inhibited_rule_does_not_escalate(self) -> None:
        assert self.told(self.X_AND_Y, (1, 0), (2, 1), (2, 0)) == [
            "0 slope raised",
            "1 fault raised",
            "2 fault cleared",
            "2 slope escalated",
        ]

    def test_an_active_alarm_clears_while_it_is_inhibited(self) -> None:
        assert self.told(self.X_AND_Y, (1, 0), (0, 1)) == [
            "0 slope raised",
            "1 fault raised",
            "1 slope cleared",
        ]

    def test_pending_delays_start_again_after_inhibition(self) -> None:
        delayed = {"on_delay": "200ms"}
        assert self.told(self.X_AND_Y, (1, 0), (1, 1), (1, 0), (1, 0), (1, 0), slope=delayed) == [
            "1 fault raised",
            "2 fault cleared",
            "4 slope raised",
        ]

    @pytest.mark.parametrize(
        ("here", "there", "silenced"),
        [("R1", "R1", True), ("R1", "R2", False), ("R1", "L1", True), ("L1", "R2", True), ("R3", "L1", False)]
        + [("R1", "system", True), ("system", "R1", True), ("", "R1", True)],
    )
    def test_inhibition_reaches_as_far_as_the_place_does(self, here: str, there: str, silenced: bool) -> None:
        channels = (Channel("one:x", "x", "", here), Channel("other:y", "y", "", there))
        assert ("0 slope raised" in self.told(channels, (1, 1))) != silenced

    def test_any_direction_of_the_other_rule_inhibits(self) -> None:
        low = {"low": {"warning": -1}}
        assert "0 slope raised" not in self.told(self.X_AND_Y, (1, -1), fault=low)

    def test_a_latched_alarm_whose_condition_is_gone_inhibits_no_more(self) -> None:
        """Else the screens' users, not the measurements, would decide what is an alarm."""
        assert self.told(self.X_AND_Y, (0, 1), (1, 0), fault={"latch": True}) == [
            "0 fault raised",
            "1 fault latched",
            "1 slope raised",
        ]

    def test_a_rule_that_is_switched_off_inhibits_nothing(self) -> None:
        assert self.told(self.X_AND_Y, (1, 1), fault={"enabled": False}) == ["0 slope raised"]

    def test_rings_and_unknown_rules_are_found_before_anything_runs(self) -> None:
        def rule(*others: str) -> AlarmSettings:
            return AlarmSettings.model_validate({"high": {"warning": 1}, "inhibit_if": others})

        assert check_inhibition({"a": rule("b"), "b": rule()}) == []
        [(name, text)] = check_inhibition({"slope": rule("falt"), "fault": rule()})
        assert name == "slope"
        assert "no rule called 'falt'" in text
        assert "did you mean 'fault'" in text
        [(_, ring)] = check_inhibition({"a": rule("b"), "b": rule("c"), "c": rule("a")})
        assert "in a ring" in ring
        [(_, itself)] = check_inhibition({"a": rule("a")})
        assert "cannot wait for itself" in itself

    def test_a_ring_cannot_be_run(self) -> None:
        with pytest.raises(ConfigurationError, match="in a ring"):
            self.told(self.X_AND_Y, fault={"inhibit_if": ["slope"]})


class TestLatch:
    RULE = {"high": {"warning": 1, "critical": 2}, "latch": True}  # noqa: RUF012

    def test_a_latched_alarm_stays_until_it_is_unlatched(self) -> None:
        bench = Bench({"rule": self.RULE})
        raised, latched = bench.feed(1, 0, 0)
        assert story([raised, latched]) == ["0 raised warning", "1 latched warning"]
        [alarm] = bench.engine.active()
        assert (alarm.id, alarm.latched, alarm.severity) == (raised.id, True, "warning")
        assert story(bench.engine.operate(Order("acknowledge", alarm.id))) == ["2 acknowledged warning"]
        assert bench.engine.active()[0].latched
        assert story(bench.engine.operate(Order("unlatch", alarm.id))) == ["2 unlatched warning"]
        assert bench.engine.active() == ()

    def test_a_condition_that_comes_back_raises_again(self) -> None:
        bench = Bench({"rule": self.RULE})
        assert story(bench.feed(2, 0, 1, 0)) == [
            "0 raised critical",
            "1 latched critical",
            "2 raised warning",
            "3 latched warning",
        ]
        [alarm] = bench.engine.active()
        assert (alarm.row, alarm.peak) == (2, 1)

    def test_an_acknowledged_alarm_latches_as_well(self) -> None:
        bench = Bench({"rule": self.RULE})
        [raised] = bench.feed(1)
        assert story(bench.engine.operate(Order("acknowledge", raised.id))) == ["0 acknowledged warning"]
        assert story(bench.feed(0)) == ["1 latched warning"]


class TestActiveAlarms:
    def test_active_alarms_come_with_the_worst_and_newest_first(self) -> None:
        bench = Bench({"rule": HIGH}, [channel(f"R{i}:x") for i in range(4)])
        bench.feed((2, 1, 0, 0), (2, 1, 2, 1))
        assert [(a.channel, a.severity, a.row) for a in bench.engine.active()] == [
            ("R2:x", "critical", 1),
            ("R0:x", "critical", 0),
            ("R3:x", "warning", 1),
            ("R1:x", "warning", 0),
        ]

    def test_value_is_the_latest_good_one_and_peak_the_worst_since_the_raise(self) -> None:
        bench = Bench({"rule": {"low": {"warning": -1}, "consecutive": 2}})
        bench.feed(-9, -1, -3, -2, NAN)
        [alarm] = bench.engine.active()
        assert (alarm.value, alarm.peak, alarm.limit, alarm.since_row, alarm.row) == (-2, -3, -1, 0, 1)
        bench.feed(-2.5)
        [alarm] = bench.engine.active()
        assert (alarm.value, alarm.peak) == (-2.5, -3)

    def test_the_peak_of_a_size_keeps_its_sign(self) -> None:
        bench = Bench({"rule": {"abs": {"warning": 1}}})
        bench.feed(1, -2, 1.5)
        assert bench.engine.active()[0].peak == -2

    def test_severity_and_limit_follow_the_level(self) -> None:
        bench = Bench({"rule": HIGH})
        [raised, _] = bench.feed(1, 2)
        [alarm] = bench.engine.active()
        assert (alarm.id, alarm.severity, alarm.limit) == (raised.id, "critical", 2)
        bench.feed(1)
        [alarm] = bench.engine.active()
        assert (alarm.id, alarm.severity, alarm.limit) == (raised.id, "warning", 1)

    def test_an_alarm_is_acknowledged_once_and_again_when_it_gets_worse(self) -> None:
        bench = Bench({"rule": HIGH})
        [raised] = bench.feed(1)
        [seen] = bench.engine.operate(Order("acknowledge", raised.id))
        assert (seen.transition, seen.kind, seen.channel) == ("acknowledged", "operator", "R1:x")
        assert bench.engine.active()[0].acknowledged
        assert bench.engine.operate(Order("acknowledge", raised.id)) == []
        bench.feed(2)
        assert not bench.engine.active()[0].acknowledged
        assert story(bench.engine.operate(Order("acknowledge", raised.id))) == ["1 acknowledged critical"]

    def test_an_unknown_alarm_cannot_be_acknowledged(self) -> None:
        assert Bench({"rule": HIGH}).engine.operate(Order("acknowledge", "nonsense")) == []

    def test_reset_ends_every_alarm_and_the_next_pass_starts_afresh(self) -> None:
        bench = Bench({"rule": HIGH | {"on_delay": "100ms"}})
        first = bench.feed(1, 1)
        assert story(bench.engine.reset()) == ["1 reset warning"]
        assert bench.engine.active() == ()
        assert bench.engine.reset() == []
        bench.engine.pass_number, bench.row = 2, 0
        second = bench.feed(1, 1)
        assert story(second) == story(first)
        assert (first[0].pass_number, second[0].pass_number) == (1, 2)
        assert first[0].id != second[0].id


class TestRules:
    def test_an_override_changes_only_what_it_says(self) -> None:
        rule = HIGH | {"overrides": {"R2:*": {"high": {"critical": 3}}, "R3:*": {"high": {"warning": None}}}}
        events = Bench({"rule": rule}, [channel(f"R{i}:x") for i in (1, 2, 3)]).feed((2, 2, 1), (3, 3, 3))
        assert [(e.row, e.channel, e.severity) for e in events] == [
            (0, "R1:x", "critical"),
            (0, "R2:x", "warning"),
            (1, "R2:x", "critical"),
            (1, "R3:x", "critical"),
        ]

    def test_of_two_overrides_the_later_wins(self) -> None:
        rule = {
            "high": {"warning": 1},
            "overrides": {"*": {"high": {"warning": 2}}, "R1:*": {"high": {"warning": 3}}},
        }
        assert x(rule, 2, 3) == ["1 raised warning"]

    def test_a_channel_can_be_taken_out(self) -> None:
        rule = {"high": {"warning": 1}, "overrides": {"R1:*": {"enabled": False}}}
        events = Bench({"rule": rule}, [channel("R1:x"), channel("R2:x")]).feed((1, 1))
        assert [e.channel for e in events] == ["R2:x"]

    def test_a_rule_can_be_switched_off_even_where_its_quantity_is_not_known(self) -> None:
        assert x({"on": "*:nothing", "high": {"warning": 1}, "enabled": False}, 1) == []

    def test_a_rule_may_look_at_all_channels_but_some(self) -> None:
        rule = {"on": ["*:x", "!R1:*"], "high": {"warning": 1}}
        events = Bench({"rule": rule}, [channel("R1:x"), channel("R2:x")]).feed((1, 1))
        assert [e.channel for e in events] == ["R2:x"]

    def test_what_matches_nothing_is_a_mistake_and_all_are_named_at_once(self) -> None:
        with pytest.raises(ConfigurationError) as error:
            Bench(
                {
                    "one": {"on": "*:voltge_pu", "high": {"warning": 1}},
                    "two": {
                        "on": "*:voltage_pu",
                        "high": {"warning": 1},
                        "overrides": {"R7:*": {"latch": True}},
                    },
                },
                [channel("R1:voltage_pu", phase="A")],
            )
        assert str(error.value).splitlines() == [
            "limits.one.on: no channel matches '*:voltge_pu' (did you mean '*:voltage_pu'?)",
            "limits.two.overrides: no channel of this rule matches 'R7:*'",
        ]

    def test_overrides_that_contradict_each_other_on_a_channel_are_named(self) -> None:
        overrides = {"R*": {"high": {"warning": 1.9}}, "R1*": {"high": {"critical": 1.5}}}
        with pytest.raises(ConfigurationError, match=r"limits.rule.overrides: on R1:x: .*less severe"):
            Bench({"rule": HIGH | {"overrides": overrides}})

    def test_two_rules_of_one_name_are_a_mistake(self) -> None:
        settings = AlarmSettings.model_validate(HIGH)
        channels = ChannelSet((channel("R1:x"),))
        rule = bind_scores("twin", settings, NOW, [0], channels.channels)
        with pytest.raises(ConfigurationError, match="two rules are called twin"):
            AlarmEngine([rule, rule], channels, SITE, "bench")

    @pytest.mark.parametrize(
        ("settings", "complaint"),
        [
            ({}, "there is no limit"),
            ({"high": 3}, "say which level 3 is"),
            ({"high": {}}, "no level is given"),
            ({"high": {"warning": None}}, "high has no level"),
            (
                {"low": {"warning": 0.9, "critical": 0.95}},
                "low: critical .0.95. is less severe than warning .0.9.",
            ),
            ({"high": {"warning": 2, "critical": 1}}, "it must be above it"),
            ({"low": {"warning": 2}, "high": {"warning": 1}}, "low .2. must be below high .1."),
            ({"low": {"warning": 0}, "high": {"warning": 1}, "deadband": 0.5}, "could never both be clear"),
            ({"abs": {"warning": 1}, "deadband": 1}, "could never clear"),
            ({"abs": {"warning": -1}}, "its limits must be above 0"),
            ({"high": {"warning": 1}, "deadband": -1}, "greater than or equal to 0"),
            ({"high": {"warning": NAN}}, "finite"),
            ({"high": {"warning": 1}, "on_delay": 10}, "10 is not a duration"),
            ({"high": {"warning": 1}, "consecutive": 0}, "whole number from 1"),
            ({"high": {"warning": 1}, "gate": {"on": "y"}}, "has no bound"),
            ({"high": {"warning": 1}, "gate": {"on": "y", "min": 2, "max": 1}}, "never opens"),
            ({"high": {"warning": 1}, "latched": True}, "Extra inputs"),
            ({"high": {"warning": 1}, "overrides": {"*": {"high": {"critical": 0}}}}, "override for '\\*'"),
        ],
    )
    def test_settings_that_make_no_sense_are_explained(
        self, settings: dict[str, Any], complaint: str
    ) -> None:
        with pytest.raises(ValidationError, match=complaint):
            AlarmSettings.model_validate(settings)

    @pytest.mark.parametrize("on", ["!R1:x", ["!R1:x"], []])
    def test_a_limit_begins_with_channels_it_takes(self, on: Any) -> None:
        with pytest.raises(ValidationError, match="begin with a glob"):
            LimitSettings.model_validate({"on": on, "high": {"warning": 1}})

    def test_abs_may_stand_beside_low_and_high(self) -> None:
        AlarmSettings.model_validate({"low": {"warning": -2}, "high": {"warning": 2}, "abs": {"warning": 1}})

    def test_the_settings_have_a_json_schema(self) -> None:
        import jsonschema

        schema = LimitSettings.model_json_schema()
        good = {"on": ["*:x"], "high": {"warning": 1}, "on_delay": {"critical": "1s"}, "consecutive": 2}
        jsonschema.validate(good | {"class": "integrity", "off_delay": "2s"}, schema)
        for bad in ({"on_delay": 1.5}, {"consecutive": 0}, {"class": "other"}, {"hihg": {}}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(good | bad, schema)
        jsonschema.validate({"on_delay": "1s"}, AlarmDefaults.model_json_schema())


class TestEvents:
    VOLTAGE = (channel("R3:voltage_pu", "pu", "A"),)
    UNDERVOLTAGE = {  # noqa: RUF012
        "on": "*:voltage_pu",
        "low": {"warning": 0.95, "critical": 0.9},
        "on_delay": {"warning": "10s", "critical": "100ms"},
        "off_delay": "200ms",
    }

    def test_an_event_holds_everything_its_reader_needs(self) -> None:
        [event] = Bench({"undervoltage": self.UNDERVOLTAGE}, self.VOLTAGE).feed(1, 0.7134567, 0.7)
        assert event == Event(
            id=event.id,
            kind="alarm",
            transition="raised",
            severity="critical",
            rule="undervoltage",
            message="R3 A voltage 0.7 pu below 0.9 pu (critical)",
            row=2,
            time=seconds(0.2)[0],
            since=seconds(0.1)[0],
            since_row=1,
            channel="R3:voltage_pu.A",
            quantity="voltage_pu",
            terminal="R3",
            phase="A",
            direction="low",
            value=0.7,
            limit=0.9,
            unit="pu",
            priority="high",
            incident=event.id,
        )

    def test_messages_say_what_where_how_much_and_for_how_long(self) -> None:
        bench = Bench({"undervoltage": self.UNDERVOLTAGE | {"on_delay": "0s"}}, self.VOLTAGE)
        events = bench.feed(0.94, 0.9, 0.71345, 0.94, 0.94, 0.94, 1, 1, 1)
        assert [event.message for event in events] == [
            "R3 A voltage 0.94 pu below 0.95 pu (warning)",
            "R3 A voltage 0.9 pu at 0.9 pu (critical, was warning)",
            "R3 A voltage eased to warning at 0.94 pu, no longer below 0.9 pu",
            "R3 A voltage cleared at 1 pu after 0.8 s, worst 0.7135 pu",
        ]
        assert [event.limit for event in events] == [0.95, 0.9, 0.9, 0.95]

    @pytest.mark.parametrize("unit", ["", "1"])
    def test_a_ratio_has_no_unit(self, unit: str) -> None:
        [event] = Bench(
            {"rule": {"on": "*:efficiency", "low": {"warning": 0.97}}}, [channel("L1:efficiency", unit)]
        ).feed(0.95)
        assert event.message == "L1 efficiency 0.95 below 0.97 (warning)"

    def test_the_message_of_a_size_shows_both_limits(self) -> None:
        [event] = Bench({"rule": {"abs": {"warning": 0.5}}}, [channel("R1:x", "Hz")]).feed(-0.62)
        assert event.message == "R1 x -0.62 Hz beyond ±0.5 Hz (warning)"

    def test_a_gate_that_closed_is_the_reason_of_clearing(self) -> None:
        rule = {"high": {"warning": 1}, "gate": {"on": "load", "min": 1}}
        events = Bench({"rule": rule}, [channel("R1:x"), channel("R1:load")]).feed((1.5, 1), (NAN, 0))
        assert events[1].message == "R1 x cleared, load left its gate after 0.1 s, worst 1.5 pu"
        assert events[1].value is None

    def test_what_is_held_unlatched_reset_or_acknowledged_says_so(self) -> None:
        bench = Bench({"rule": {"high": {"warning": 1}, "latch": True}})
        raised, latched = bench.feed(1.5, 0.5)
        assert latched.message == "R1 x back at 0.5 pu after 0.1 s, worst 1.5 pu; held until unlatched"
        [seen] = bench.engine.operate(Order("acknowledge", raised.id))
        assert seen.message == "R1 x warning alarm acknowledged at 0.5 pu"
        [unlatched] = bench.engine.operate(Order("unlatch", raised.id, "ada", "relay checked"))
        assert unlatched.message == "R1 x warning alarm unlatched by ada at 0.5 pu: relay checked"
        bench.feed(1)
        [reset] = bench.engine.reset()
        assert reset.message == "R1 x still warning at 1 pu when the pass ended, after 0 s, worst 1 pu"

    def test_a_recording_without_a_clock_has_rows_and_no_times(self) -> None:
        bench = Bench({"rule": {"high": {"warning": 1}, "on_delay": "100ms"}}, clock="row")
        raised, cleared = bench.feed(1, 1, 0)
        assert (raised.time, raised.since, raised.row, raised.since_row) == (None, None, 1, 0)
        assert cleared.message.endswith("after 2 frames, worst 1 pu")
        bench.feed(1, 1)
        [alarm] = bench.engine.active()
        assert (alarm.time, alarm.since, alarm.row, alarm.since_row) == (None, None, 4, 3)

    def test_bad_data_is_another_kind_of_event(self) -> None:
        [event] = Bench({"rule": {"high": {"warning": 1}, "class": "data_quality"}}).feed(1)
        assert event.kind == "data"

    def test_a_score_speaks_of_the_channel_it_scored(self) -> None:
        channels = ChannelSet((channel("R1:x", "kV"), Channel("zscore/R1:x", "score")), 10.0)
        alarm = AlarmSettings.model_validate({"high": {"warning": 4}})
        rule = bind_scores("zscore", alarm, NOW, [1], [channels[0]])
        engine = AlarmEngine([rule], channels, SITE, "bench")
        block = Block(channels, seconds(0, 0.1), np.array([[1.0, 3.0], [9.0, 5.2]]))
        [event] = engine.process(block, {"zscore": ["calm", "x is 5 sigma\x1b high"]})
        assert (event.channel, event.quantity, event.unit, event.value) == ("R1:x", "x", "", 5.2)
        assert event.message == "R1 x is 5 sigma\ufffd high (zscore 5.2 above 4, warning)"

    def test_events_are_in_the_order_of_row_rule_channel_and_direction(self) -> None:
        rules = {
            "z": {"high": {"warning": 1}, "abs": {"warning": 1}},
            "a": {"high": {"warning": 1}, "inhibit_if": ["later"]},
            "later": {"high": {"warning": 9}},
        }
        events = Bench(rules, [channel("R2:x"), channel("R1:x")]).feed((1, 1), (0, 1))
        assert [(e.row, e.rule, e.channel, e.direction) for e in events] == [
            (0, "a", "R1:x", "high"),
            (0, "a", "R2:x", "high"),
            (0, "z", "R1:x", "abs"),
            (0, "z", "R1:x", "high"),
            (0, "z", "R2:x", "abs"),
            (0, "z", "R2:x", "high"),
            (1, "a", "R2:x", "high"),
            (1, "z", "R2:x", "abs"),
            (1, "z", "R2:x", "high"),
        ]

    def test_the_same_run_has_the_same_ids_and_another_recording_has_others(self) -> None:
        def ids(identity: str) -> list[str]:
            channels = ChannelSet((channel("R1:x"),), 10.0)
            rules = bind_limits({"rule": LimitSettings.model_validate({"on": "*", **HIGH})}, NOW, channels)
            engine = AlarmEngine(rules, channels, SITE, identity)
            block = Block(channels, seconds(0, 0.1, 0.2), np.array([[1.0], [2.0], [0.0]]))
            return [event.id for event in engine.process(block)]

        assert ids("one") == ids("one")
        assert len({*ids("one"), *ids("two")}) == 6

    def test_an_empty_block_and_no_rules_are_nothing_special(self) -> None:
        channels = ChannelSet((channel("R1:x"),), 10.0)
        engine = AlarmEngine([], channels, SITE, "bench")
        assert engine.process(Block(channels, seconds(0, 1), np.ones((2, 1)))) == []
        assert engine.process(Block(channels, seconds(), np.ones((0, 1)), row=2)) == []
        assert engine.reset() == []

    def test_a_bound_rule_knows_its_settings_with_the_defaults(self) -> None:
        channels = ChannelSet((channel("R1:x"),))
        [rule] = bind_limits(
            {"rule": LimitSettings.model_validate({"on": "*", **HIGH})}, AlarmDefaults(), channels
        )
        assert isinstance(rule, BoundRule)
        assert (rule.name, rule.columns, rule.subjects) == ("rule", (0,), channels.channels)
        assert rule.settings.off_delay == AlarmDefaults().off_delay
