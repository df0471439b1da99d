"""On a live stream nobody waits for a slow detector, and what it says late is heard all the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from gridtop.api import Block, Channel, ChannelSet, Scores, Settings
from gridtop.blocks import Floats
from gridtop.detected import Detected, Failure
from gridtop.detection import LIVE_WAIT_S, Detection
from gridtop.detector_work import Answer
from gridtop.late_scores import LateScores
from tests.detectors_at_hand import pipeline_of
from tests.streams import block_of, channel_set

CHANNELS = channel_set("a", "b")
RULE = {"high": {"warning": 5}, "on_delay": "0s", "off_delay": "0s"}


class Turnstile:
    """Lets a detector through one block at a time, when the test says so."""

    def __init__(self) -> None:
        self.permits = threading.Semaphore(0)

    def detector(self, outputs: tuple[str, ...] = ("a", "b"), note: bool = False) -> type:
        turnstile = self

        class Slow:
            def __init__(self, config: Settings, channels: ChannelSet) -> None:
                self.outputs = outputs

            def score(self, block: Block) -> Scores:
                turnstile.permits.acquire()
                texts = [f"row {row}" for row in block.rows] if note else None
                return Scores(block.values[:, : len(outputs)].copy(), note=texts)

        return Slow


class Fast:
    def __init__(self, config: Settings, channels: ChannelSet) -> None:
        self.outputs = ["first"]

    def score(self, block: Block) -> Scores:
        return Scores(block.values[:, :1].copy())


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def live(turnstile: Turnstile, /, *others: type, **options: Any) -> Iterator[Detection]:
    """A live Detection whose first detector passes a turnstile."""
    targets = {"slow": options.pop("slow", turnstile.detector())}
    targets |= {f"other{i}": other for i, other in enumerate(others)}
    instances = {name: (target, Settings(), ("*",)) for name, target in targets.items()}
    detection = Detection(instances, CHANNELS, live=True, **({"patience": 0.0} | options))
    try:
        yield detection
    finally:
        turnstile.permits.release(1000)
        detection.close()


def rows(first: int, *values: float) -> Block:
    return block_of([[value, -value] for value in values], CHANNELS, row=first)


def heard(detection: Detection, row: int) -> tuple[Detected, int]:
    """What is detected once the late answer has come, and the number of frames that were given till then."""
    for given in range(2000):
        detected = detection.score_now(rows(row + given, 0.0))
        if not np.isnan(detected.scores[0, :2]).all():
            return detected, given
        time.sleep(0.005)
    raise AssertionError("the late answer was never heard")


def test_a_live_stream_waits_half_a_blocks_time_and_a_replay_until_all_have_answered() -> None:
    assert Detection({}, CHANNELS, live=True).patience == LIVE_WAIT_S == 0.05
    assert Detection({}, CHANNELS, live=False).patience == Detection({}, CHANNELS, live=False).budget


def test_a_busy_detector_keeps_nobody_from_being_heard() -> None:
    turnstile = Turnstile()
    with live(turnstile, Fast, patience=0.5) as detection:
        for row in (0, 2):  # it is still in front of the turnstile when these return
            detected = detection.score_now(rows(row, 1.0, 2.0))
            assert np.isnan(detected.scores[:, :2]).all()
            np.testing.assert_array_equal(detected.scores[:, 2], [1.0, 2.0])
        assert detection.statuses()[0].skipped == 2


async def test_the_event_loop_does_not_wait_either() -> None:
    turnstile = Turnstile()
    with live(turnstile, Fast, patience=0.5) as detection:
        detected = await detection.score(rows(0, 1.0))
        np.testing.assert_array_equal(detected.scores, [[np.nan, np.nan, 1.0]])
        turnstile.permits.release(2)
        detected = await detection.score(rows(1, 2.0))
        detected, _ = heard(detection, 2)
        assert detected.failures == ()


def test_what_a_busy_detector_misses_is_counted_and_told_once() -> None:
    turnstile = Turnstile()
    with live(turnstile) as detection:
        told = [detection.score_now(rows(3 * i, 1.0, 2.0, 3.0)).failures for i in range(4)]
        (status,) = detection.statuses()
        assert (status.state, status.error, status.skipped) == ("late", "9 frames skipped", 9)
        text = "late: no answer within 0 ms; until there is one, frames are skipped for it"
        assert told == [(), (Failure("slow", text),), (), ()]


def test_a_late_answer_is_entered_where_it_became_known_with_its_worst_scores() -> None:
    turnstile = Turnstile()
    with live(turnstile, slow=turnstile.detector(note=True)) as detection:
        detection.score_now(rows(0, 1.0, 7.0, 3.0, np.nan))
        detection.score_now(rows(4, 100.0))  # skipped: nobody will ever score it
        turnstile.permits.release()
        detected, given = heard(detection, 5)
        np.testing.assert_array_equal(detected.scores[0], [7.0, -1.0])
        assert [detected.note(0, column) for column in (0, 1)] == ["row 1", "row 0"]
        assert detected.late == {0, 1}
        assert detection.statuses()[0].skipped == 1 + given
        assert detection.statuses()[0].state == "late"


def test_a_detector_that_answers_in_time_again_is_well_again() -> None:
    turnstile = Turnstile()
    with live(turnstile, patience=30.0, budget=60.0) as detection:
        detection.patience = 0.0
        detection.score_now(rows(0, 1.0))
        detection.score_now(rows(1, 1.0))
        turnstile.permits.release(1000)
        detection.patience = 30.0
        _, given = heard(detection, 2)
        detected = detection.score_now(rows(3 + given, 9.0, 8.0))
        np.testing.assert_array_equal(detected.scores[:, 0], [9.0, 8.0])
        (status,) = detection.statuses()
        assert (status.state, status.error) == ("ok", "")
        assert status.skipped == 1 + given  # this is not forgotten


def test_over_a_second_it_is_stuck_and_asked_no_more() -> None:
    turnstile, clock = Turnstile(), Clock()
    with live(turnstile, clock=clock) as detection:
        detection.score_now(rows(0, 1.0))
        clock.now += 1.0
        assert detection.score_now(rows(1, 1.0)).failures[0].text.startswith("late: ")
        clock.now += 0.1
        expected = (Failure("slow", "no answer within 1 s, so it is asked no more"),)
        assert detection.score_now(rows(2, 1.0)).failures == expected
        turnstile.permits.release(1000)
        assert detection.statuses()[0].state == "quarantined"
        assert np.isnan(detection.score_now(rows(3, 1.0)).scores).all()


def test_a_late_failure_counts_like_any_other() -> None:
    turnstile = Turnstile()

    class Failing(turnstile.detector()):  # type: ignore[misc]
        def score(self, block: Block) -> Scores:
            super().score(block)
            raise ValueError("no")

    with live(turnstile, slow=Failing) as detection:
        texts = []
        for row in range(2000):
            turnstile.permits.release()
            texts += [failure.text for failure in detection.score_now(rows(row, 1.0)).failures]
            if detection.statuses()[0].state == "quarantined":
                break
            time.sleep(0.005)
        failures = [text for text in texts if text.startswith("ValueError: no")]
        assert len(failures) == 3
        assert failures[2].endswith("3 failures in a row, so it is asked no more")


def test_a_new_pass_owes_nothing_to_the_one_before() -> None:
    turnstile = Turnstile()
    with live(turnstile) as detection:
        detection.score_now(rows(0, 50.0))
        detection.score_now(rows(1, 1.0))
        detection.restart()
        turnstile.permits.release()  # of the thread that was left
        assert detection.statuses()[0].skipped == 0
        detection.score_now(rows(0, 2.0))
        turnstile.permits.release(2)
        detected, _ = heard(detection, 1)
        assert detected.scores[0, 0] == 2.0


async def test_a_detector_that_is_always_late_still_raises_its_alarm() -> None:
    turnstile = Turnstile()
    slow = turnstile.detector(("total",))
    channels = ChannelSet((Channel("a", terminal="a"), Channel("b", terminal="b")), 10.0)
    try:
        with pipeline_of({"slow": (slow, RULE)}, channels, live=True) as pipeline:
            await pipeline.process(rows(0, 1.0, 9.0, 1.0))
            await pipeline.process(rows(3, 1.0))
            assert pipeline.problems == ("detector slow is late: 1 frame skipped",)
            turnstile.permits.release()
            events = []
            row = 4
            while not events and row < 2000:
                result = await pipeline.process(rows(row, 1.0, 1.0))
                events = [event for event in result.events if event.kind == "alarm"]
                row += 2
            (raised,) = events
            assert (raised.transition, raised.value) == ("raised", 9.0)
            assert raised.row == row - 2
            assert raised.cause == ()  # the frame that it is about has gone
            turnstile.permits.release(1000)
    finally:
        turnstile.permits.release(1000)


# What is left of late scores


def late(scores: list[list[float]], note: Any = None) -> LateScores:
    return LateScores.of(Answer(np.array(scores), note), ("d/x", "d/y"), "d")


def test_the_worst_of_each_score_stays_and_no_opinion_is_none() -> None:
    kept = late([[1, np.nan], [3, np.nan], [2, np.nan]], ["p", "q", "r"])
    np.testing.assert_array_equal(kept.worst, [3, np.nan])
    assert kept.notes[0] == "q"


@pytest.mark.parametrize(("own", "first"), [(4.0, 4.0), (3.0, 3.0), (2.0, 3.0), (np.nan, 3.0)])
def test_what_is_worse_stands(own: float, first: float) -> None:
    scores: Floats = np.array([[own, 1.0], [5.0, 1.0]])
    entered, notes, columns = late([[3, np.nan]], {"x": ["then"]}).entered(
        scores, {"d": ["now", "next"]}, ("d/x", "d/y"), "d"
    )
    assert entered[0, 0] == first
    np.testing.assert_array_equal(entered[1], [5, 1])
    assert columns == ((0,) if not own >= 3 else ())
    assert notes.get("d/x", notes["d"]) == (["then", "next"] if columns else ["now", "next"])
    np.testing.assert_array_equal(scores[0], [own, 1.0])  # those that came in stay as they are
