"""The engine agrees with the slow reference for any signal, any rules and any cutting into blocks."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.alarms import AlarmEngine, bind_limits
from gridtop.alarms.rules import AlarmDefaults, LimitSettings
from gridtop.blocks import Block
from gridtop.channels import Channel, ChannelSet
from gridtop.events import Event
from gridtop.site import Line, Site
from tests.reference_alarms import ReferenceRule, reference

LEVELS = ("warning", "critical")
MILLISECOND = 1_000_000
SITE = Site(lines={"L1": Line(ends=("R1", "R2"))})
CHANNELS = (
    Channel("R1:a", "a", "pu", "R1"),
    Channel("R2:a", "a", "pu", "R2"),
    Channel("R3:a", "a", "pu", "R3"),
    Channel("L1:b", "b", "A", "L1"),
    Channel("system:c", "c", "Hz", "system"),
    Channel("R1:load", "load", "A", "R1"),
    Channel("R2:load", "load", "A", "R2"),
    Channel("R3:load", "load", "A", "R3"),
    Channel("system:load", "load", "A", "system"),
)
NAMES = [channel.name for channel in CHANNELS]
PLACES = [{"R1"}, {"R2"}, {"R3"}, {"R1", "R2"}, {"everywhere"}, {"R1"}, {"R2"}, {"R3"}, {"everywhere"}]
GATES = {0: (5,), 1: (6,), 2: (7,), 3: (5, 6), 4: (8,)}
WATCHED = {"*:a": (0, 1, 2), "L1:b": (3,), "*:c": (4,), "R[13]:a": (0, 2), "[!s]*:[ab]": (0, 1, 2, 3)}

# Limits and values on one coarse grid, so that ties at the limits and at the deadband's edge are common.
VALUES = np.array([math.nan, *(step / 4 for step in range(-12, 13))])
STEPS = [33, 100, 100, 100, 100, 200, 1000, 1001, 3000, 3001]
DELAYS = st.sampled_from([0, 100, 200, 300, 1000, 2500])
CUTS = st.lists(st.integers(0, 120), max_size=20) | st.integers(1, 3).map(lambda n: list(range(0, 120, n)))


def per_level(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(dict.fromkeys(LEVELS, values))


def in_order(limits: dict[str, float], direction: str) -> dict[str, float]:
    """The same limits, the critical one the more severe."""
    ordered = sorted(limits.values(), reverse=direction == "low")
    return dict(zip([level for level in LEVELS if level in limits], ordered, strict=True))


@st.composite
def levels(draw: st.DrawFn, direction: str, lowest: int, highest: int) -> dict[str, float]:
    chosen = draw(st.sampled_from([("warning",), ("critical",), LEVELS]))
    return in_order({level: draw(st.integers(lowest, highest)) / 4 for level in chosen}, direction)


@st.composite
def rule(draw: st.DrawFn, name: str, others: list[str]) -> tuple[LimitSettings, ReferenceRule]:
    on = draw(st.sampled_from(sorted(WATCHED)))
    directions = draw(st.sets(st.sampled_from(["low", "high", "abs"]), min_size=1))
    ranges = {"low": (-10, 1), "high": (6, 12), "abs": (3, 10)}
    limits = {direction: draw(levels(direction, *ranges[direction])) for direction in sorted(directions)}
    deadband = draw(st.sampled_from([0.0, 0.25, 0.5]))
    on_delay, off_delay = draw(per_level(DELAYS)), draw(per_level(DELAYS))
    consecutive = draw(per_level(st.integers(1, 3)))
    gate = draw(st.none() | st.sampled_from([(-2.0, math.inf), (-math.inf, 1.5), (-1.0, 2.0)]))
    inhibit_if = tuple(draw(st.lists(st.sampled_from(others), unique=True))) if others else ()
    latch = draw(st.sampled_from([False, False, True]))
    written: dict[str, Any] = {
        "on": on,
        **limits,
        "deadband": deadband,
        "on_delay": {level: f"{delay}ms" for level, delay in on_delay.items()},
        "off_delay": {level: f"{delay}ms" for level, delay in off_delay.items()},
        "consecutive": consecutive,
        "inhibit_if": inhibit_if,
        "latch": latch,
    }
    if gate is not None:
        bounds = {"min": gate[0], "max": gate[1]}
        written["gate"] = {"on": "load"} | {
            key: bound for key, bound in bounds.items() if math.isfinite(bound)
        }
    return LimitSettings.model_validate(written), ReferenceRule(
        name,
        WATCHED[on],
        limits,
        deadband,
        {level: delay * MILLISECOND for level, delay in on_delay.items()},
        {level: delay * MILLISECOND for level, delay in off_delay.items()},
        consecutive,
        None if gate is None else (GATES, *gate),
        inhibit_if,
        latch,
    )


@st.composite
def rule_sets(draw: st.DrawFn) -> list[tuple[LimitSettings, ReferenceRule]]:
    names = ["first", "second", "third"][: draw(st.integers(1, 3))]
    return [draw(rule(name, names[:position])) for position, name in enumerate(names)]


@st.composite
def signals(draw: st.DrawFn) -> tuple[list[int], list[list[float]]]:
    """Times in nanoseconds and rows of values: each channel stays where it is for a while, then jumps."""
    n = draw(st.integers(1, 120))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    times = np.cumsum(random.choice(STEPS, n)) * MILLISECOND
    stays = random.random((n, len(CHANNELS))) < draw(st.sampled_from([0.3, 0.7, 0.9]))
    values = random.choice(VALUES, (n, len(CHANNELS)))
    for row in range(1, n):
        values[row, stays[row]] = values[row - 1, stays[row]]
    return times.tolist(), values.tolist()


def run(
    rules: list[tuple[LimitSettings, ReferenceRule]],
    times: list[int],
    rows: list[list[float]],
    rate: float | None,
    cuts: list[int],
) -> tuple[AlarmEngine, list[Event]]:
    """The engine on the signal, cut at the given rows."""
    channels = ChannelSet(CHANNELS, rate)
    limits = {plain.name: limit for limit, plain in rules}
    engine = AlarmEngine(bind_limits(limits, AlarmDefaults(), channels), channels, SITE, "signal")
    whole = Block(channels, np.array(times, dtype="datetime64[ns]"), np.array(rows), row=0)
    edges = sorted({0, len(times), *(cut % len(times) for cut in cuts)})
    events = [event for start, stop in pairwise(edges) for event in engine.process(whole.slice(start, stop))]
    return engine, events


def line(event: Event) -> tuple[Any, ...]:
    value = math.nan if event.value is None else event.value
    return (
        (event.row, event.rule, event.channel, event.direction, event.transition, event.severity)
        + (str(value), event.limit, event.since_row)
    )  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(rule_sets(), signals(), st.sampled_from([None, 10.0, 1.0]), CUTS)
def test_engine_agrees_with_the_reference_however_the_stream_is_cut(
    rules: list[tuple[LimitSettings, ReferenceRule]],
    signal: tuple[list[int], list[list[float]]],
    rate: float | None,
    cuts: list[int],
) -> None:
    times, rows = signal
    engine, events = run(rules, times, rows, rate, cuts)
    expected, active = reference([plain for _, plain in rules], NAMES, PLACES, times, rows, rate)
    assert [line(event) for event in events if event.kind == "alarm"] == [
        (*known[:6], str(known[6]), *known[7:]) for known in expected
    ]
    found = {(a.rule, a.channel, a.direction): (a.severity, a.state) for a in engine.active()}
    assert found == active


@settings(max_examples=100, deadline=None)
@given(rule_sets(), signals(), CUTS)
def test_everything_about_events_and_active_alarms_is_the_same_however_the_stream_is_cut(
    rules: list[tuple[LimitSettings, ReferenceRule]],
    signal: tuple[list[int], list[list[float]]],
    cuts: list[int],
) -> None:
    times, rows = signal
    engine, events = run(rules, times, rows, 10.0, [])
    cut_engine, cut_events = run(rules, times, rows, 10.0, cuts)
    assert cut_events == events
    assert repr(cut_engine.active()) == repr(engine.active())
    assert cut_engine.reset() == engine.reset()
    assert len({event.id for event in events}) == len(events)


@settings(max_examples=100, deadline=None)
@given(rule_sets(), signals())
def test_what_an_alarm_says_of_itself_is_true(
    rules: list[tuple[LimitSettings, ReferenceRule]], signal: tuple[list[int], list[list[float]]]
) -> None:
    times, rows = signal
    engine, events = run(rules, times, rows, 10.0, [])
    for alarm in engine.active():
        if alarm.state == "suppressed":
            continue
        column = NAMES.index(alarm.channel)
        since = [row[column] for row in rows[alarm.row :]]
        good = [value for value in since if not math.isnan(value)]
        assert alarm.value == good[-1]
        assert (alarm.ended_row is None) == (alarm.state == "unacknowledged")
        assert alarm.peak in good
        raised = next(event for event in events if event.id == alarm.id)
        assert (raised.transition, raised.row, raised.since_row) == ("raised", alarm.row, alarm.since_row)
        assert alarm.since == np.datetime64(times[alarm.since_row], "ns")
