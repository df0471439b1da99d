"""How detection is judged: what is a hit, what is a false alarm, and what a count of them proves."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import math
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop import documents
from gridtop.evaluation import (
    Claim,
    Report,
    Run,
    Task,
    Truth,
    claims_of,
    clopper_pearson,
    evaluate,
    judge,
    markdown,
    merged,
    poisson_upper,
    quantile,
    right_places,
    truths_of,
)
from gridtop.events import Event
from gridtop.simulation import KINDS, Ranges
from gridtop.simulation.scenario_files import read_scenario
from gridtop.site import Site

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
FAULT = Truth("short_circuit", 100.0, 110.0, frozenset({"L1", "R1", "R2"}), frozenset({"AG"}))
SWING = Truth("forced_oscillation", 100.0, 110.0)
TASK = Task("faults", rules=("fault*",), finds=("short_circuit", "*_oscillation"), explained_by=("inrush",))
SITE = Site.model_validate(
    {
        "lines": {"L1": {"ends": ["R1", "R2"]}, "L2": {"ends": ["R3", "R4"]}},
        "buses": {"B2": {"terminals": ["R2", "R3"]}},
    }
)


def claim(time: float, place: str = "L1", class_: str = "", rule: str = "fault") -> Claim:
    return Claim(rule, place, time, class_)


def outcomes(task: Task, truths: list[Truth], *claims: Claim) -> list[str]:
    judged = judge(task, Run(truths, claims, 0.0, 3600.0))
    return [outcome for _, outcome, _ in judged.claims]


# What is a hit


@pytest.mark.parametrize(
    ("truth", "said", "outcome"),
    [
        pytest.param(FAULT, claim(100.0), "hit", id="at the start"),
        pytest.param(FAULT, claim(99.999), "false", id="before the start is false"),
        pytest.param(FAULT, claim(112.0), "hit", id="two seconds after the end"),
        pytest.param(FAULT, claim(112.001), "false", id="later than that"),
        pytest.param(FAULT, claim(101.0, "R2"), "hit", id="a terminal of the line"),
        pytest.param(FAULT, claim(101.0, "L2"), "misnamed", id="the wrong line"),
        pytest.param(FAULT, claim(101.0, "system"), "misnamed", id="no line at all"),
        pytest.param(FAULT, claim(101.0, class_="BG"), "hit", id="a class nobody compares"),
        pytest.param(SWING, claim(101.0, "R4"), "hit", id="anywhere"),
        pytest.param(SWING, claim(140.0, "R4"), "hit", id="an oscillation thirty seconds after its end"),
        pytest.param(SWING, claim(140.1, "R4"), "false", id="an oscillation later than that"),
        pytest.param(Truth("vt_fuse", 100, 110), claim(101.0), "false", id="an event of another kind"),
        pytest.param(Truth("inrush", 100, 110), claim(101.0), "also", id="another kind that explains it"),
        pytest.param(Truth("inrush", 100, 110), claim(99.0), "false", id="before what would explain it"),
    ],
)
def test_claim_counts_as(truth: Truth, said: Claim, outcome: str) -> None:
    assert outcomes(TASK, [truth], said) == [outcome]


@pytest.mark.parametrize(("class_", "outcome"), [("AG", "hit"), ("BG", "misnamed"), ("", "misnamed")])
def test_exact_task_has_to_name_the_class(class_: str, outcome: str) -> None:
    task = Task("faults", rules=("fault",), finds=("short_circuit",), exact=True)
    assert outcomes(task, [FAULT], claim(101.0, class_=class_)) == [outcome]


def test_one_event_is_hit_once_and_then_repeated() -> None:
    assert outcomes(TASK, [FAULT], claim(101.0), claim(102.0, "R1"), claim(103.0)) == [
        "hit",
        "repeat",
        "repeat",
    ]


def test_one_claim_hits_one_event() -> None:
    second = Truth("short_circuit", 100.0, 105.0, frozenset({"L1"}))
    judged = judge(TASK, Run([FAULT, second], [claim(101.0)], 0, 3600))
    assert judged.hits == {0: math.inf, 1: 1.0}
    assert outcomes(TASK, [FAULT, second], claim(101.0), claim(102.0)) == ["hit", "hit"]


def test_two_events_in_two_places_each_take_the_claim_that_names_them() -> None:
    other = Truth("short_circuit", 100.0, 104.0, frozenset({"L2"}))
    judged = judge(TASK, Run([FAULT, other], [claim(101.0), claim(103.0, "L2")], 0, 3600))
    assert judged.hits == {0: 1.0, 1: 3.0}


def test_explanation_lasts_as_long_as_its_aftermath() -> None:
    task = Task("frequency", rules=("*",), explained_by=("load_*",), aftermath=60)
    step = Truth("load_step", 100, 100)
    assert outcomes(task, [step], claim(160.0), claim(160.5)) == ["also", "false"]


def test_task_hears_only_its_rules_and_classes() -> None:
    task = Task("fuses", rules=("physics",), finds=("vt_fuse",), classes=("vt_*",))
    truth = Truth("vt_fuse", 100, 110)
    told = [claim(101.0, rule="physics", class_="open_ct"), claim(102.0, class_="vt_fuse")]
    assert outcomes(task, [truth], *told) == []
    assert outcomes(task, [truth], *told, claim(103.0, rule="physics", class_="vt_fuse")) == ["hit"]


@pytest.mark.parametrize(("said", "outcome"), [(claim(101.0), "also"), (claim(99.0), "false")])
def test_event_that_the_end_cuts_off_need_not_be_found(said: Claim, outcome: str) -> None:
    run = Run([FAULT], [said], 0, 109)
    judged = judge(TASK, run)
    assert (judged.hits, judged.claims[0][1]) == ({}, outcome)
    assert not any(recall.events for recall in evaluate([TASK], [run]).recalls)


# False alarms and their hours


def test_false_alarms_are_merged_within_five_seconds_of_the_first() -> None:
    groups = merged([claim(t) for t in (13.0, 10.0, 15.0, 15.001, 20.0, 20.002)])
    assert [[c.time for c in group] for group in groups] == [[10, 13, 15], [15.001, 20], [20.002]]


def report(truths: list[Truth], claims: list[Claim], *tasks: Task, hours: float = 1.0) -> Report:
    return evaluate(tasks or (TASK,), [Run(truths, claims, 0, hours * 3600)])


def test_rate_counts_only_hours_that_nothing_accounts_for() -> None:
    truths = [Truth("short_circuit", 0, 898), Truth("inrush", 890, 1798), Truth("vt_fuse", 3000, 3598)]
    (line,) = report(truths, [claim(3100.0)], hours=1).false_alarms
    assert line.rate.count == 1
    assert line.rate.hours == pytest.approx(0.5)
    assert line.quiet.count == 0, "a fuse blew, so not nothing happened"
    assert line.quiet.hours == pytest.approx(1 / 3)
    assert line.rate.per_day == pytest.approx(48)


def test_worst_offenders_are_named() -> None:
    claims = [claim(10.0 * i, "R1") for i in range(3)] + [claim(500.0, "R2", "jump")]
    (line,) = report([], claims).false_alarms
    assert line.offenders == (("fault R1", 3), ("fault R2 jump", 1))
    assert line.rate.count == 4


def test_claim_at_the_wrong_place_is_a_false_alarm() -> None:
    (line,) = report([FAULT], [claim(101.0, "L2")]).false_alarms
    assert (line.rate.count, line.misnamed, line.during) == (1, 1, {"short_circuit": 1})


def test_false_alarm_says_what_was_on() -> None:
    (line,) = report([Truth("vt_fuse", 100, 110)], [claim(101.0), claim(90.0), claim(91.0)]).false_alarms
    assert line.during == {"": 2, "vt_fuse": 1}


def test_over_reach_is_counted_apart_by_kind() -> None:
    truths = [Truth("inrush", 10, 20), Truth("inrush", 50, 60)]
    (line,) = report(truths, [claim(11.0), claim(12.0), claim(51.0)]).false_alarms
    assert line.also == {"inrush": 3}
    assert line.rate.count == 0


def test_rule_without_a_task_is_not_passed_over_in_silence() -> None:
    assert report([], [claim(1.0, rule="forest"), claim(2.0)]).unclaimed == (("forest", 1),)


def test_recordings_are_judged_apart() -> None:
    runs = [Run([FAULT], [], 0, 3600), Run([], [claim(101.0)], 0, 3600)]
    result = evaluate([TASK], runs)
    assert [(recall.hits, recall.events) for recall in result.recalls] == [(0, 1)]
    assert result.false_alarms[0].rate.count == 1
    assert result.hours == 2


def test_kind_that_two_tasks_look_for_has_a_line_for_either_of_them() -> None:
    other = Task("limits", rules=("voltage",), finds=("short_circuit",))
    result = report([FAULT], [claim(101.5), claim(100.5, rule="voltage")], TASK, other)
    assert [(r.task, r.kind, r.hits, r.delay(0.5)) for r in result.recalls] == [
        ("faults", "short_circuit", 1, 1500.0),
        ("limits", "short_circuit", 1, 500.0),
        ("any", "short_circuit", 1, 500.0),
    ]


def test_kind_that_no_task_looks_for_has_no_recall() -> None:
    result = report([Truth("vt_fuse", 1, 2), Truth("vt_fuse", 5, 6)], [claim(1.5)])
    assert (result.recalls, result.unsought) == ((), (("vt_fuse", 2),))


def test_misses_are_infinite_delays() -> None:
    truths = [Truth("short_circuit", 100.0 * i, 100.0 * i + 1) for i in range(1, 11)]
    (recall,) = report(truths, [claim(100.0 * i + 0.25) for i in range(1, 9)]).recalls
    assert (recall.delay(0.5), recall.delay(0.8)) == (250.0, 250.0)
    assert recall.delay(0.95) == math.inf
    line = report(truths, []).to_dict()["recall"][0]
    assert line["delay_p50_ms"] is None
    assert line["recall"] == 0


# Intervals. The figures are the closed forms where there are any, else Clopper-Pearson tables.


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [
        (48, 48, 0.025 ** (1 / 48), 1.0),
        (0, 10, 0.0, 1 - 0.025 ** (1 / 10)),
        (1, 1, 0.025, 1.0),
        (0, 0, 0.0, 1.0),
        (8, 10, 0.44390, 0.97479),
        (5, 10, 0.18709, 0.81291),
        (50, 100, 0.39832, 0.60168),
        (1, 2, 1 - math.sqrt(0.975), math.sqrt(0.975)),
    ],
)
def test_clopper_pearson_agrees_with_known_values(hits: int, trials: int, low: float, high: float) -> None:
    assert clopper_pearson(hits, trials) == pytest.approx((low, high), abs=6e-6)


def test_forty_eight_of_forty_eight_says_little() -> None:
    assert round(clopper_pearson(48, 48)[0], 3) == 0.926
    assert clopper_pearson(48, 48, 0.90)[0] == pytest.approx(0.05 ** (1 / 48))


def test_two_hundred_and_ninety_nine_events_prove_ninety_nine_percent() -> None:
    assert clopper_pearson(299, 299, 0.90)[0] >= 0.99 > clopper_pearson(298, 298, 0.90)[0]


@given(st.integers(1, 400), st.data())
def test_interval_holds_the_share_and_mirrors(trials: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, trials))
    low, high = clopper_pearson(hits, trials)
    assert 0 <= low <= hits / trials <= high <= 1
    mirrored = clopper_pearson(trials - hits, trials)
    assert (1 - high, 1 - low) == pytest.approx(mirrored, abs=1e-9)


@pytest.mark.parametrize(
    ("count", "bound"), [(0, -math.log(0.05)), (1, 4.74386), (2, 6.29579), (10, 16.96222)]
)
def test_poisson_bound_agrees_with_known_values(count: int, bound: float) -> None:
    assert poisson_upper(count) == pytest.approx(bound, abs=1e-5)


@pytest.mark.parametrize(("alarms", "hours"), [(0, 72), (1, 114), (2, 152)])
def test_hours_that_prove_at_most_one_false_alarm_a_day(alarms: int, hours: float) -> None:
    assert poisson_upper(alarms) * 24 / hours <= 1 < poisson_upper(alarms) * 24 / (hours - 2)


@pytest.mark.parametrize("bad", [(-1, 3), (4, 3)])
def test_impossible_shares_are_refused(bad: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no share"):
        clopper_pearson(*bad)


@pytest.mark.parametrize(("hits", "trials"), [(8, 10), (43, 48), (1900, 2000), (3, 4000)])
def test_bounds_leave_half_the_doubt_in_each_tail(hits: int, trials: int) -> None:
    def tail(share: float, counts: range) -> float:
        exact = Decimal(share)
        terms = (math.comb(trials, k) * exact**k * (1 - exact) ** (trials - k) for k in counts)
        return float(sum(terms))

    low, high = clopper_pearson(hits, trials)
    few = range(hits + 1)
    assert tail(high, few) == pytest.approx(0.025, rel=1e-6)
    # By symmetry, so that the sum stays short.
    assert tail(1 - clopper_pearson(trials - hits, trials)[0], few) == pytest.approx(0.025, rel=1e-6)
    assert low < hits / trials


def test_large_counts_are_no_trouble() -> None:
    cube = 1 - 1 / (9 * 1001) + 1.644854 / math.sqrt(9 * 1001)
    assert poisson_upper(1000) == pytest.approx(1001 * cube**3, rel=1e-5), "Wilson and Hilferty 1931"


def test_quantile_is_a_value_and_not_a_mean() -> None:
    assert [quantile([1, 2, 3, math.inf], share) for share in (0, 0.25, 0.5, 0.75, 0.76)] == [
        1,
        1,
        2,
        3,
        math.inf,
    ]
    assert quantile(list(range(1, 21)), 0.95) == 19
    assert math.isnan(quantile([], 0.5))


# Invariants. Times are eighths of a second, which floating point holds exactly.

TIMES = st.integers(0, 8 * 200).map(lambda eighths: eighths / 8)
PLACES = st.sampled_from(["L1", "R1", "R3", "system"])
EVENT_KINDS = st.sampled_from(["short_circuit", "forced_oscillation", "inrush", "vt_fuse"])


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    start = draw(TIMES)
    places = draw(st.frozensets(PLACES, max_size=2))
    return Truth(draw(EVENT_KINDS), start, start + draw(TIMES) / 8, places)


CLAIMS = st.builds(
    Claim, st.sampled_from(["fault", "fault2", "other"]), PLACES, TIMES, st.sampled_from(["", "AG"])
)
RUNS = st.builds(
    Run, st.lists(truths(), max_size=8), st.lists(CLAIMS, max_size=12), st.just(0.0), st.just(400.0)
)


@given(RUNS)
def test_every_event_is_a_hit_or_a_miss_and_every_claim_is_one_thing(run: Run) -> None:
    judged = judge(TASK, run)
    found = [delay for delay in judged.hits.values() if math.isfinite(delay)]
    assert len(judged.hits) == sum(map(TASK.seeks, run.truths))
    assert len(judged.claims) == sum(map(TASK.speaks, run.claims))
    assert len(found) == sum(outcome == "hit" for _, outcome, _ in judged.claims)
    assert all(delay >= 0 for delay in found)
    for recall in evaluate([TASK], [run]).recalls:
        assert recall.events == sum(truth.kind == recall.kind for truth in run.truths)


@given(RUNS, st.integers(-10_000, 10_000))
def test_shifting_all_times_changes_nothing(run: Run, shift: int) -> None:
    moved = Run(
        [Truth(t.kind, t.start + shift, t.end + shift, t.places, t.classes) for t in run.truths],
        [Claim(c.rule, c.place, c.time + shift, c.class_) for c in run.claims],
        run.start + shift,
        run.end + shift,
    )
    before, after = evaluate([TASK], [run]).to_dict(), evaluate([TASK], [moved]).to_dict()
    assert before == after


@given(RUNS, st.randoms(use_true_random=False))
def test_order_of_events_and_claims_does_not_matter(run: Run, random: object) -> None:
    mixed_truths, mixed_claims = list(run.truths), list(run.claims)
    random.shuffle(mixed_truths)  # type: ignore[attr-defined]
    random.shuffle(mixed_claims)  # type: ignore[attr-defined]
    mixed = Run(mixed_truths, mixed_claims, run.start, run.end)
    assert evaluate([TASK], [mixed]).to_dict() == evaluate([TASK], [run]).to_dict()


# From lists of events and from alarms


@pytest.mark.parametrize(
    ("place", "right"),
    [
        ("R1", {"R1", "L1"}),
        ("R1 A", {"R1", "L1"}),
        ("R3 VB", {"R3", "L2", "B2"}),
        ("R4-PM1:V", {"R4", "L2"}),
        ("R4:F", {"R4", "L2"}),
        ("R4-PA:Z", {"R4", "L2"}),
        ("L1", {"L1", "R1", "R2"}),
        ("L1 R3", {"L1", "R1", "R2", "R3", "L2", "B2"}),
        ("B2", {"B2", "R2", "R3"}),
        ("G1", set()),
        ("grid", set()),
        ("stream", set()),
    ],
)
def test_place_of_an_event_says_where_it_may_be_found(place: str, right: set[str]) -> None:
    assert right_places(place, SITE) == right


def test_event_list_becomes_truths() -> None:
    document = {
        "events": [
            {
                "kind": "short_circuit",
                "place": "L2",
                "start_ms": 1500.0,
                "end_ms": 2750.0,
                "parameters": {"fault": {"line": "L2", "kind": "BC"}},
            },
            {"kind": "load_step", "place": "grid", "start_ms": 5000.0, "end_ms": 5000.0, "parameters": {}},
        ]
    }
    assert truths_of(document, SITE) == [
        Truth("short_circuit", 1.5, 2.75, frozenset({"L2", "R3", "R4"}), frozenset({"BC"})),
        Truth("load_step", 5.0, 5.0),
    ]


def event(kind: str, transition: str, second: float | None, **more: object) -> Event:
    time = (
        None
        if second is None
        else np.datetime64("2026-01-01T00:00:00", "ns") + np.timedelta64(round(second * 1e9), "ns")
    )
    return Event("0", kind, transition, "warning", "rule", "text", 0, time, **more)  # type: ignore[arg-type]


def test_alarms_claim_when_raised_and_when_they_escalate() -> None:
    events = [
        event("alarm", "raised", 1.25, terminal="R1", quantity="voltage_pu", channel="R1:voltage_pu.A"),
        event("alarm", "escalated", 2, channel="system:efficiency", quantity="efficiency"),
        event("alarm", "cleared", 3, terminal="R1"),
        event("fault", "noticed", 4, details={"line": "L1", "type": "AG"}),
        event("plugin", "noticed", 5),
        event("operator", "acknowledged", 6),
        event("alarm", "raised", None, terminal="R1"),
    ]
    assert claims_of(events, np.datetime64("2026-01-01T00:00:00", "us")) == [
        Claim("rule", "R1", 1.25, "voltage_pu"),
        Claim("rule", "system:efficiency", 2.0, "efficiency"),
        Claim("rule", "L1", 4.0, "AG"),
    ]


# The tables, and what the benchmark judges


def test_tables_say_what_was_found_what_was_not_and_what_was_not_looked_for() -> None:
    truths = [FAULT, Truth("short_circuit", 200, 201), Truth("vt_fuse", 300, 301)]
    claims = [claim(100.25), claim(400.0, "R|3"), claim(500.0, rule="forest")]
    text = markdown(report(truths, claims))
    assert "| short_circuit | faults | 2 | 1 | 0.500 | 0.013–0.987 | 250 ms | ∞ |" in text
    assert "| faults | 1 | 1.0 | 24.1 | 114 |" in text
    assert "fault R\\|3 (1)" in text
    assert "there to mislead: vt_fuse (1)" in text
    assert "Judged nowhere, because no task speaks of them: forest (1)" in text


def test_report_is_plain_json() -> None:
    json.dumps(report([FAULT], [claim(1.0)]).to_dict(), allow_nan=False)
    nothing = evaluate([TASK], []).to_dict()
    assert nothing["false_alarms"][0]["at_most_per_day"] is None


def test_held_out_ranges_only_touch_the_usual_ones() -> None:
    held_out = read_scenario(BENCHMARKS / "held_out.yaml", {}).ranges
    assert held_out is not None
    differing = [
        f.name for f in dataclasses.fields(Ranges) if getattr(held_out, f.name) != getattr(Ranges(), f.name)
    ]
    assert len(differing) > 8
    for name in differing:
        (low, high), (usual_low, usual_high) = getattr(held_out, name), getattr(Ranges(), name)
        assert low >= usual_high or high <= usual_low, name


def test_benchmark_judges_rules_and_kinds_that_there_are() -> None:
    content = documents.read(BENCHMARKS / "detection.yaml", {}).value
    for name, task in content["tasks"].items():
        assert set(task) <= {field.name for field in dataclasses.fields(Task)}
        for glob in (*task.get("finds", ()), *task.get("explained_by", ())):
            assert fnmatch.filter(KINDS, glob), f"{name}: there is no kind {glob}"


def test_an_injection_that_deceives_a_bus_may_be_found_at_each_of_its_terminals() -> None:
    def places(mode: str) -> frozenset[str]:
        event = {
            "kind": "injection",
            "place": "L1 R1 R2",
            "start_ms": 0,
            "end_ms": 1,
            "parameters": {"mode": mode},
        }
        [truth] = truths_of({"events": [event]}, SITE)
        return truth.places

    assert places("consistent") == {"L1", "R1", "R2", "B2"}
    assert places("bus") == {"L1", "R1", "R2", "B2", "R3", "L2"}
