"""Why an alarm was raised: the channels it rests on, however they are found out and the stream is cut."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop import detection as detection_module
from gridtop.api import Block, ChannelSet, Scores, Settings
from gridtop.blocks import Quality
from gridtop.errors import PluginError
from gridtop.events import Contribution, Event
from gridtop.explanations import (
    MOST_SEARCHED,
    REMEMBERED,
    Cause,
    Recent,
    cause_of,
    checked_parts,
    own_shares,
    shares_by_replacement,
)
from gridtop.orders import Order
from tests.detectors_at_hand import HIGH, Each, Noting, Parting, Telling, Total, alarms, judged, pipeline_of
from tests.streams import block_of, channel_set, times

CHANNELS = channel_set("R1:V", "R1:I", "R2:V", "R2:I")


def jumps(n: int = 40, seed: int = 1) -> Block:
    """Restless channels with a few jumps."""
    random = np.random.default_rng(seed)
    values = random.integers(0, 3, (n, len(CHANNELS))) / 4
    for row in random.integers(4, n, 6).tolist():
        values[row, int(random.integers(0, 4))] += 8
        values[row, int(random.integers(0, 4))] += 24
    values[random.random(values.shape) < 0.03] = np.nan
    return block_of(values, CHANNELS)


def causes(events: list[Event]) -> list[tuple[Contribution, ...]]:
    return [event.cause for event in events if event.transition in ("raised", "escalated")]


async def told(detector: type, block: Block, cuts: list[int] | None = None) -> list[Event]:
    with pipeline_of({"total": (detector, HIGH)}, CHANNELS) as pipeline:
        return await judged(pipeline, block, cuts or [])


# The causes of a few known frames


def one_jump(row: int = 10) -> Block:
    values = np.ones((20, 4))
    values[row] += [0, 30, 10, 0]
    return block_of(values, CHANNELS)


@pytest.mark.parametrize("detector", [Telling, Parting, Total])
async def test_an_alarm_names_the_channels_that_its_score_rests_on(detector: type) -> None:
    raised = alarms(await told(detector, one_jump()))[0]
    assert raised.cause == (Contribution("R1:I", 0.75), Contribution("R2:V", 0.25))
    assert raised.cause_approximate == (detector is Total)


async def test_an_escalation_has_a_cause_of_its_own_and_the_end_has_none() -> None:
    values = np.ones((20, 4))
    values[10, 0] += 8
    values[11, 3] += 40
    events = alarms(await told(Telling, block_of(values, CHANNELS)))
    assert [event.transition for event in events[:2]] == ["raised", "escalated"]
    assert [event.cause[0].channel for event in events[:2]] == ["R1:V", "R2:I"]
    assert all(event.cause == () for event in events if event.transition in ("eased", "cleared"))


async def test_a_score_of_one_channel_rests_on_that_and_nobody_searches() -> None:
    with pipeline_of({"each": (Each, {"high": {"warning": 5}})}, CHANNELS) as pipeline:
        (raised, *_) = alarms(await judged(pipeline, block_of(np.full((9, 4), [1, 9, 1, 1]), CHANNELS), []))
    assert (raised.cause, raised.cause_approximate) == ((Contribution("R1:I", 1.0),), False)


async def test_a_reason_in_words_stands_and_nothing_is_searched_beside_it() -> None:
    (raised, *_) = alarms(await told(Noting, one_jump()))
    assert "that is why" in raised.message
    assert raised.cause == ()


async def test_an_open_alarm_carries_its_cause_to_the_screens() -> None:
    values = np.ones((12, 4))
    values[10:, 1] += np.array([30.0, 90.0])
    with pipeline_of({"total": (Total, HIGH)}, CHANNELS) as pipeline:
        await judged(pipeline, block_of(values, CHANNELS), [])
        (active,) = pipeline.active
        assert (active.cause, active.cause_approximate) == ((Contribution("R1:I", 1.0),), True)
        await pipeline.operate(Order("acknowledge", active.id))
        assert pipeline.active[0].cause == active.cause


async def test_only_alarms_of_detectors_have_a_cause() -> None:
    limits = '{size: {on: "R1:I", high: {critical: 20}, on_delay: 0s}}'
    with pipeline_of({"total": (Telling, HIGH)}, CHANNELS, limits=limits) as pipeline:
        events = await judged(pipeline, one_jump(), [])
    raised = {event.rule: event.cause for event in events if event.transition == "raised"}
    assert raised.keys() == {"size", "total"}
    assert raised["size"] == ()
    assert raised["total"]


# However the stream is cut


@pytest.mark.parametrize("detector", [Telling, Parting, Total])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 50), cuts=st.lists(st.integers(0, 60), max_size=12))
def test_causes_are_the_same_however_the_stream_is_cut(detector: type, seed: int, cuts: list[int]) -> None:
    block = jumps(seed=seed)
    whole = asyncio.run(told(detector, block))
    assert any(causes(whole))
    cut = asyncio.run(told(detector, block, cuts))
    assert [event.to_json() for event in alarms(cut)] == [event.to_json() for event in alarms(whole)]


def test_causes_are_the_same_frame_by_frame_and_beyond_what_is_remembered() -> None:
    block = jumps(2 * REMEMBERED + 50)
    whole = asyncio.run(told(Total, block))
    assert [event for event in whole if event.row > REMEMBERED + 1 and event.cause]
    single = asyncio.run(told(Total, block, list(range(len(block)))))
    assert [event.to_json() for event in alarms(single)] == [event.to_json() for event in alarms(whole)]


async def test_eight_of_256_rows_are_explained_the_first_ones() -> None:
    values = np.ones((600, 4))
    values[10:590:10, 0] = 40.0
    block = block_of(values, CHANNELS)
    for cuts in ([], [7, 100, 255, 256, 300], list(range(600))):
        raised = [event for event in await told(Telling, block, cuts) if event.transition == "raised"]
        explained = [event.row for event in raised if event.cause]
        assert explained == [row for first in (0, 256, 512) for row in _jumps_from(first)]


def _jumps_from(first: int) -> list[int]:
    return [row for row in range(10, 590, 10) if first <= row < first + 256][:8]


# What an explanation may not do


async def many_alarms(detector: type, n: int = 6) -> list[Event]:
    values = np.ones((10 * n + 10, 4))
    values[10::10, 0] = 40.0
    return await told(detector, block_of(values, CHANNELS), list(range(0, len(values), 10)))


def failing(explain: Any) -> type:
    class Failing(Telling):
        asked = 0

        def explain(self, frame: int, output: int) -> Any:
            Failing.asked += 1
            return explain()

    return Failing


FAULTS: dict[str, tuple[Any, str]] = {
    "raises": (lambda: 1 / 0, "ZeroDivisionError"),
    "list": (lambda: [1.0, 0, 0, 0], "shares must be an array of numbers, not list"),
    "shape": (lambda: np.array([1.0]), r"shares of shape (1,), expected (4,)"),
    "negative": (lambda: np.array([2.0, -1, 0, 0]), "negative or no number"),
    "nan": (lambda: np.array([np.nan, 1, 0, 0]), "negative or no number"),
    "sum": (lambda: np.array([2.0, 1, 0, 0]), "add up to 3, and not to 1 or 0"),
    "exits": (lambda: exit(3), "sys.exit(3)"),
}


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_failure_to_explain_is_told_and_no_failure_of_the_alarm(kind: str) -> None:
    function, text = FAULTS[kind]
    detector = failing(function)
    events = await many_alarms(detector)
    assert sum(event.transition == "raised" for event in events) == 6
    assert causes(events) == [()] * 6
    told_of = [event.message for event in events if event.kind == "plugin"]
    assert len(told_of) == 2
    assert told_of[0].startswith("cannot say why: ")
    assert text in told_of[0]
    assert told_of[1].endswith("3 failures in a row, so it is not asked again")
    assert detector.asked == 3  # type: ignore[attr-defined]


async def test_a_detector_that_has_nothing_to_say_has_said_nothing_wrong() -> None:
    events = await many_alarms(failing(lambda: np.zeros(4)))
    assert causes(events) == [()] * 6
    assert [event for event in events if event.kind == "plugin"] == []


async def test_a_detector_that_cannot_be_copied_is_told_and_its_alarms_come() -> None:
    class Locked(Total):
        def __init__(self, config: Settings, channels: ChannelSet) -> None:
            super().__init__(config, channels)
            self.lock = threading.Lock()

    events = await many_alarms(Locked)
    assert sum(event.transition == "raised" for event in events) == 6
    assert "cannot pickle" in next(event.message for event in events if event.kind == "plugin")


async def test_on_a_live_stream_an_explanation_that_hangs_holds_up_no_alarm() -> None:
    release = threading.Event()

    class Hanging(Telling):
        def explain(self, frame: int, output: int) -> np.ndarray:
            release.wait(60)
            return super().explain(frame, output)

    try:
        with pipeline_of({"total": (Hanging, HIGH)}, CHANNELS, live=True) as pipeline:
            (raised,) = alarms((await pipeline.process(one_jump(19))).events)
            assert (raised.transition, raised.cause) == ("raised", ())
            more = await pipeline.process(block_of(np.ones((2, 4)), CHANNELS, row=20))
            assert [event.message for event in more.events if "cannot say why: no answer" in event.message]
    finally:
        release.set()


async def test_a_search_that_takes_too_long_leaves_no_cause_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(detection_module, "REPLAY_EXPLAINING_S", 0.0)
    events = await many_alarms(Total)
    assert causes(events) == [()] * 6
    assert [event for event in events if "cannot say why" in event.message]


async def test_too_many_channels_are_not_searched() -> None:
    channels = channel_set(*(f"c{i}" for i in range(MOST_SEARCHED + 1)))
    values = np.ones((8, len(channels)))
    values[6, 3] = 50.0
    with pipeline_of({"total": (Total, HIGH)}, channels) as pipeline:
        (raised, *_) = alarms(await judged(pipeline, block_of(values, channels), []))
    assert raised.cause == ()


async def test_the_running_detector_is_not_touched_by_the_search() -> None:
    with pipeline_of({"total": (Total, HIGH), "telling": (Telling, HIGH)}, CHANNELS) as pipeline:
        result = [await pipeline.process(jumps().slice(i, i + 3)) for i in range(0, 39, 3)]
    events = alarms([event for one in result for event in one.events])
    by_rule = {
        rule: [(e.row, e.transition, e.value) for e in events if e.rule == rule]
        for rule in ("total", "telling")
    }
    assert by_rule["total"] == by_rule["telling"]


# Parts


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([[1.0]], "parts must be an array of numbers, not list"),
        (np.ones((2, 3)), r"parts of shape \(2, 3\), expected \(2, 4\)"),
        (np.full((2, 4), -0.1), "negative or infinite"),
        (np.full((2, 4), np.inf), "negative or infinite"),
        (np.full((2, 4), "x"), "parts must be an array of numbers, not <U1"),
    ],
)
def test_parts_are_checked(parts: Any, text: str) -> None:
    with pytest.raises(PluginError, match=text):
        checked_parts(parts, 2, 4)


def test_missing_parts_count_for_nothing() -> None:
    given = np.array([[np.nan, 1.0]])
    np.testing.assert_array_equal(checked_parts(given, 1, 2), [[0.0, 1.0]])
    assert np.isnan(given[0, 0])  # the detector's own array stays as it is
    assert checked_parts(None, 1, 2) is None


# Shares


def test_the_five_largest_shares_above_one_percent_are_named_in_order() -> None:
    shares = np.array([0.2, 0.1, 0.3, 0.009, 0.1, 0.1, 0.1, 0.091])
    cause = cause_of(shares, "abcdefgh")
    assert [(part.channel, part.share) for part in cause.contributions] == [
        ("c", 0.3),
        ("a", 0.2),
        ("b", 0.1),
        ("e", 0.1),
        ("f", 0.1),
    ]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=30))
def test_shares_are_positive_sorted_and_no_more_than_all(shares: list[float]) -> None:
    names = [f"c{i}" for i in range(len(shares))]
    cause = cause_of(np.array(shares), names, approximate=True)
    found = [part.share for part in cause.contributions]
    assert found == sorted(found, reverse=True)
    assert len(found) <= 5
    assert all(0.01 < share <= 1 for share in found)
    assert sum(found) <= 1.0001 * len(found)
    assert cause.approximate == bool(found)


def test_the_last_bits_decide_nothing() -> None:
    third = 1 / 3
    assert cause_of(np.array([third, third + 1e-12, third]), "abc") == cause_of(np.full(3, third), "abc")


def test_no_share_is_no_cause() -> None:
    assert cause_of(None, "ab") == cause_of(np.zeros(2), "ab", approximate=True) == Cause()


def test_shares_in_single_precision_are_taken() -> None:
    class Single:
        def explain(self, frame: int, output: int) -> np.ndarray:
            return np.full(3, 1 / 3, dtype=np.float32)

    np.testing.assert_allclose(own_shares(Single(), 0, 0, 3), 1 / 3, rtol=1e-6)  # type: ignore[arg-type]


# The frames that are remembered


@given(st.lists(st.integers(1, 400), min_size=1, max_size=8), st.data())
@settings(max_examples=40, deadline=None)
def test_the_same_frames_are_remembered_however_they_came(sizes: list[int], data: st.DataObject) -> None:
    n = sum(sizes)
    channels = channel_set("a", "b")
    values = np.arange(2.0 * n).reshape(n, 2)
    quality = (np.arange(2 * n).reshape(n, 2) % 7 == 0).astype(np.uint16)
    whole = Block(channels, times(n), values, quality)
    recent, start = Recent(), 0
    for size in sizes:
        recent.add(whole.slice(start, start + size))
        start += size
    frame = data.draw(st.integers(0, sizes[-1] - 1))
    row = n - sizes[-1] + frame
    first = max(0, row - REMEMBERED)
    found = recent.until(frame)
    np.testing.assert_array_equal(found.values, values[first : row + 1])
    np.testing.assert_array_equal(found.time, whole.time[first : row + 1])
    assert found.quality is not None
    np.testing.assert_array_equal(found.quality, quality[first : row + 1])
    assert found.row == first


# Replacement


class Weighing:
    """One score: a weighted sum of what is good; it remembers nothing."""

    weights = np.array([1.0, 2.0, 0.0])

    def __init__(self) -> None:
        self.outputs = ["sum"]

    def score(self, block: Block) -> Scores:
        good = ~np.isnan(block.values) & (block.quality == 0 if block.quality is not None else True)
        return Scores((np.where(good, block.values, 50.0) * self.weights).sum(axis=1, keepdims=True))


def replacement(rows: list[list[float]], **options: Any) -> Any:
    frames = block_of(rows, channel_set("a", "b", "c"))
    never = options.pop("expired", lambda: False)
    return shares_by_replacement(options.pop("build", Weighing), frames, 0, never)


def test_a_share_is_what_the_score_loses_when_the_channel_is_as_usual() -> None:
    shares = replacement([[1, 1, 1], [2, 2, 2], [9, 1, 1], [12, 12, 99]])
    np.testing.assert_array_equal(shares, [10.0, 22.0, 0.0])  # medians 2, 1, 1


def test_what_makes_a_score_smaller_has_no_share() -> None:
    np.testing.assert_array_equal(replacement([[1, 1, 1], [1, 1, 1], [-5, 4, 1]]), [0.0, 6.0, 0.0])


def test_the_median_leaves_out_what_is_missing_and_a_channel_never_seen_has_no_share() -> None:
    nan = np.nan
    shares = replacement([[nan, nan, 1], [3, nan, 1], [5, nan, 1], [10, 10, 1]])
    np.testing.assert_array_equal(shares, [6.0, 0.0, 0.0])


def test_a_missing_value_may_be_why() -> None:
    np.testing.assert_array_equal(replacement([[1, 1, 1], [1, 1, 1], [1, np.nan, 1]]), [0.0, 98.0, 0.0])


def test_a_replaced_value_is_a_good_one() -> None:
    quality = np.zeros((3, 3), dtype=np.uint16)
    quality[2, 1] = Quality.SUSPECT
    frames = Block(channel_set("a", "b", "c"), times(3), np.ones((3, 3)) + np.eye(3)[[0, 0, 1]], quality)
    shares = shares_by_replacement(Weighing, frames, 0, lambda: False)
    np.testing.assert_array_equal(shares, [0.0, 98.0, 0.0])


def test_nothing_can_be_said_of_the_first_frame_or_of_a_detector_that_is_not_ready() -> None:
    class NotReady(Weighing):
        def score(self, block: Block) -> Scores:
            return Scores(np.full((len(block), 1), np.nan))

    assert replacement([[1, 2, 3]]) is None
    assert replacement([[1, 1, 1], [9, 9, 9]], build=NotReady) is None


def test_the_search_ends_when_its_time_is_over() -> None:
    left = iter([False, False, True])
    with pytest.raises(TimeoutError):
        replacement([[1, 1, 1], [9, 9, 9]], expired=lambda: next(left))
