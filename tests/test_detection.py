"""Detectors at work: what they score, and that nothing they do harms the monitor or one another."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from gridtop.api import Block, Channel, ChannelSet, Quality, Scores, Settings
from gridtop.detected import Failure
from gridtop.detection import Detection
from gridtop.errors import ConfigurationError
from tests.streams import block_of, channel_set

CHANNELS = ChannelSet(
    (
        Channel("R1:V", "voltage", "V", "R1"),
        Channel("R1:voltage_pu.A", "voltage_pu", "pu", "R1", "A"),
        Channel("R2:V", "voltage", "V", "R2"),
    ),
    rate=10.0,
)
BLOCK = block_of([[1.0, 2.0, 3.0], [4.0, np.nan, 6.0]], CHANNELS)


class Identity:
    """Scores every channel with its value."""

    def __init__(self, config: Settings, channels: ChannelSet) -> None:
        self.outputs = channels.names

    def score(self, block: Block) -> Scores:
        return Scores(np.array(block.values))


class Verdict:
    """One score for all channels together, with a note."""

    def __init__(self, config: Settings, channels: ChannelSet) -> None:
        self.outputs = ["total"]

    def score(self, block: Block) -> Scores:
        total = np.nansum(block.values, axis=1, keepdims=True)
        return Scores(total, note=[f"{value:g} in all" for value in total[:, 0]])


def scoring(function: Callable[[Block], Any], outputs: Any = None) -> type:
    """A detector class that scores with a function."""

    class Scoring:
        def __init__(self, config: Settings, channels: ChannelSet) -> None:
            self.outputs = channels.names if outputs is None else outputs

        def score(self, block: Block) -> Scores:
            return function(block)  # type: ignore[no-any-return]

    return Scoring


@contextmanager
def at_work(
    instances: dict[str, tuple[type, list[str]]], channels: ChannelSet = CHANNELS, budget: float | None = None
) -> Iterator[Detection]:
    """A Detection that is closed in the end."""
    settings = {name: (target, Settings(), globs) for name, (target, globs) in instances.items()}
    detection = Detection(settings, channels, live=False, budget=budget)
    try:
        yield detection
    finally:
        detection.close()


def test_scores_become_channels_behind_those_of_the_block() -> None:
    with at_work({"same": (Identity, ["R1:*"]), "sum": (Verdict, ["*"])}) as detection:
        detected = detection.score_now(BLOCK)
        extended = detected.extend(BLOCK)
    expected = [[1, 2, 3, 1, 2, 6], [4, np.nan, 6, 4, np.nan, 10]]
    np.testing.assert_array_equal(extended.values, expected)
    assert extended.channels == detection.extended(CHANNELS)
    assert extended.channels.names[3:] == ("same/R1:V", "same/R1:voltage_pu.A", "sum/total")
    assert extended.channels[4] == Channel("same/R1:voltage_pu.A", "score", terminal="R1", phase="A")
    assert extended.row == BLOCK.row
    assert detected.notes == {"sum": ["6 in all", "10 in all"]}


def test_an_output_speaks_of_its_channel_or_of_itself() -> None:
    with at_work({"same": (Identity, ["R2:V"]), "sum": (Verdict, ["*"])}) as detection:
        subjects = [output.subject for output in detection.outputs]
    assert subjects == [CHANNELS[2], Channel("sum:total", "score")]


def test_quality_of_scores_is_good() -> None:
    quality = np.array([[0, 0, 0], [0, 1, 0]], dtype=np.uint16)
    block = Block(CHANNELS, BLOCK.time, np.array(BLOCK.values), quality)
    with at_work({"sum": (Verdict, ["*"])}) as detection:
        extended = detection.score_now(block).extend(block)
    assert extended.quality is not None
    np.testing.assert_array_equal(extended.quality, [[0, 0, 0, 0], [0, 1, 0, 0]])


@pytest.mark.parametrize("globs", [["R1:*"], ["R2:V"], ["*"], ["R1:V", "R2:V"]])
def test_a_detector_gets_its_columns_with_their_quality(globs: list[str]) -> None:
    seen: list[Block] = []
    listens = scoring(lambda block: seen.append(block) or Scores(np.array(block.values)))
    quality = np.array([[0, 16, 0], [32, 1, 64]], dtype=np.uint16)
    block = Block(CHANNELS, BLOCK.time, np.array(BLOCK.values), quality, row=7)
    with at_work({"listens": (listens, globs)}) as detection:
        detection.score_now(block)
    columns = list(CHANNELS.select(globs))
    np.testing.assert_array_equal(seen[0].values, block.values[:, columns])
    np.testing.assert_array_equal(seen[0].quality, quality[:, columns])
    assert seen[0].channels == CHANNELS.subset(columns)
    assert seen[0].row == 7
    assert not seen[0].values.flags.writeable


def test_columns_side_by_side_reach_a_detector_without_a_copy() -> None:
    seen: list[Block] = []
    listens = scoring(lambda block: seen.append(block) or Scores(np.array(block.values)))
    with at_work({"listens": (listens, ["R1:*"])}) as detection:
        detection.score_now(BLOCK)
    assert np.shares_memory(seen[0].values, BLOCK.values)


def test_a_block_and_its_pieces_say_the_same() -> None:
    values = np.random.default_rng(3).normal(size=(700, 3))
    quality = np.zeros((700, 3), dtype=np.uint16)
    quality[::9, 2] = np.uint16(Quality.FLATLINE)
    long = block_of(values, CHANNELS, row=20)
    long = Block(CHANNELS, long.time, values, quality, row=20)
    with at_work({"sum": (Verdict, ["*"]), "same": (Identity, ["R2:V"])}) as detection:
        detected = detection.score_now(long)
    whole, pieces = detected.extend(long), list(detected.pieces(long))
    blocks = [piece for piece, _ in pieces]
    assert len(blocks) > 1
    assert [block.row for block in blocks] == [20 + sum(map(len, blocks[:i])) for i in range(len(blocks))]
    np.testing.assert_array_equal(np.concatenate([block.values for block in blocks]), whole.values)
    assert whole.quality is not None
    flags = [block.quality for block in blocks if block.quality is not None]
    np.testing.assert_array_equal(np.concatenate(flags), whole.quality)
    np.testing.assert_array_equal(whole.quality[:, 4], quality[:, 2])
    assert [text for _, notes in pieces for text in notes["sum"]] == list(detected.notes["sum"])


def test_scores_are_rounded_to_six_digits() -> None:
    exact = scoring(lambda block: Scores(np.full((len(block), 3), 1 / 3)))
    with at_work({"exact": (exact, ["*"])}) as detection:
        assert set(detection.score_now(BLOCK).scores.ravel()) == {0.333333}


def test_without_detectors_a_block_stays_as_it_is() -> None:
    with at_work({}) as detection:
        assert detection.score_now(BLOCK).extend(BLOCK) is BLOCK
        assert detection.extended(CHANNELS) == CHANNELS


async def test_the_event_loop_gets_the_same_scores() -> None:
    with at_work({"same": (Identity, ["*"]), "sum": (Verdict, ["*"])}) as detection:
        now, later = detection.score_now(BLOCK), await detection.score(BLOCK)
    np.testing.assert_array_equal(now.scores, later.scores)


def test_globs_that_match_nothing_are_a_configuration_error_with_a_suggestion() -> None:
    with (
        pytest.raises(
            ConfigurationError, match=r"detectors\.sum\.channels: R1:W.* \(did you mean 'R1:V'\?\)"
        ),
        at_work({"sum": (Verdict, ["R1:W"])}),
    ):
        pass


def test_a_recording_with_a_column_of_a_scores_name_is_a_configuration_error() -> None:
    with (
        pytest.raises(ConfigurationError, match="two channels are called 'sum/total'; give the detector"),
        at_work({"sum": (Verdict, ["*"])}, channel_set("sum/total")),
    ):
        pass


def _modify(block: Block) -> Scores:
    block.values[0] = 0
    return Scores(np.zeros((len(block), 3)))


def _exit(block: Block) -> Scores:
    sys.exit(2)


def _no_text(block: Block) -> Scores:
    raise OSError


SABOTAGE: dict[str, tuple[Callable[[Block], Any], str]] = {
    "raises": (lambda block: 1 / 0, "ZeroDivisionError: division by zero"),
    "exits": (_exit, "it called sys.exit(2)"),
    "says_nothing": (_no_text, "OSError"),
    "modifies": (_modify, "ValueError: assignment destination is read-only"),
    "no_scores": (lambda block: block.values, "score() must return Scores, not ndarray"),
    "nothing": (lambda block: None, "score() must return Scores, not NoneType"),
    "list": (lambda block: Scores([1.0, 2.0]), "scores must be an array of numbers, not list"),  # type: ignore[arg-type]
    "text": (lambda block: Scores(np.array([["x"] * 3] * 2)), "scores must be an array of numbers, not <U1"),
    "flags": (lambda block: Scores(block.values > 1), "scores must be an array of numbers, not bool"),  # type: ignore[arg-type]
    "flat": (lambda block: Scores(block.values[:, 0]), "scores of shape (2,) for 2 frames and 3 outputs"),
    "too_few": (lambda block: Scores(block.values[:1]), "scores of shape (1, 3) for 2 frames and 3 outputs"),
    "infinite": (lambda block: Scores(block.values / 0.0), "a score is infinite; NaN means no opinion"),
    "notes": (
        lambda block: Scores(np.array(block.values), note=["x"]),
        "a note must be a list of texts, one for each of the 2 frames",
    ),
    "odd_note": (lambda block: Scores(np.array(block.values), note=[1, 2]), "a note must be a list"),  # type: ignore[list-item]
    "one_note": (
        lambda block: Scores(np.array(block.values), note="xy"),
        "a note must be a list of texts, one for each of the 2 frames",
    ),
}


@pytest.mark.parametrize("kind_of_sabotage", SABOTAGE)
def test_a_failing_detector_is_one_line_and_the_others_score(kind_of_sabotage: str) -> None:
    function, text = SABOTAGE[kind_of_sabotage]
    with at_work({"bad": (scoring(function), ["*"]), "sum": (Verdict, ["*"])}) as detection:
        detected = detection.score_now(BLOCK)
        (failure,) = detected.failures
        assert failure.detector == "bad"
        assert text in failure.text
        assert "\n" not in failure.text
        assert np.isnan(detected.scores[:, :3]).all()
        np.testing.assert_array_equal(detected.scores[:, 3], [6, 10])
        assert [status.state for status in detection.statuses()] == ["failed", "ok"]
        assert detection.problems() == (f"detector bad: {failure.text}",)


def test_the_line_of_the_plugin_is_named() -> None:
    with at_work({"bad": (scoring(_modify), ["*"])}) as detection:
        assert "(test_detection.py, line " in detection.score_now(BLOCK).failures[0].text


def test_arithmetic_on_missing_values_warns_nobody() -> None:
    noisy = scoring(lambda block: Scores(np.zeros((len(block), 3)) / np.zeros((len(block), 3))))
    with warnings.catch_warnings(), at_work({"noisy": (noisy, ["*"])}) as detection:
        warnings.simplefilter("error")
        assert detection.score_now(BLOCK).failures == ()


def test_after_three_failures_in_a_row_a_detector_is_asked_no_more() -> None:
    calls = []

    def fail(block: Block) -> Scores:
        calls.append(block.row)
        raise ValueError("no")

    with at_work({"bad": (scoring(fail), ["*"])}) as detection:
        failures = [detection.score_now(BLOCK).failures for _ in range(6)]
        assert len(calls) == 3
        assert [len(these) for these in failures] == [1, 1, 1, 0, 0, 0]
        assert failures[2][0].text.endswith("3 failures in a row, so it is asked no more")
        assert detection.statuses()[0].state == "quarantined"
        assert np.isnan(detection.score_now(BLOCK).scores).all()


def test_a_success_makes_up_for_earlier_failures() -> None:
    answers = iter([False, False, True, False, False, True])

    def sometimes(block: Block) -> Scores:
        if not next(answers):
            raise ValueError("not now")
        return Scores(np.array(block.values))

    with at_work({"moody": (scoring(sometimes), ["*"])}) as detection:
        states = [(detection.score_now(BLOCK), detection.statuses()[0].state)[1] for _ in range(6)]
    assert states == ["failed", "failed", "ok", "failed", "failed", "ok"]


async def test_a_stuck_detector_is_left_behind_and_the_others_go_on() -> None:
    release = threading.Event()

    def hang(block: Block) -> Scores:
        release.wait()
        return Scores(np.array(block.values))

    try:
        with at_work({"stuck": (scoring(hang), ["*"]), "sum": (Verdict, ["*"])}, budget=2.0) as detection:
            detected = await detection.score(BLOCK)
            assert detected.failures == (Failure("stuck", "no answer within 2 s, so it is asked no more"),)
            np.testing.assert_array_equal(detected.scores[:, 3], [6, 10])
            again = await detection.score(BLOCK)
            assert again.failures == ()
            assert [status.state for status in detection.statuses()] == ["quarantined", "ok"]
    finally:
        release.set()


def test_a_live_stream_waits_less_long_than_a_replay() -> None:
    assert Detection({}, CHANNELS, live=True).budget == 1.0
    assert Detection({}, CHANNELS, live=False).budget == 30.0


def test_detectors_score_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=30)

    def meet(block: Block) -> Scores:
        meeting.wait()  # passes only when the other one is there too
        return Scores(np.array(block.values))

    with at_work({"one": (scoring(meet), ["*"]), "two": (scoring(meet), ["*"])}) as detection:
        assert detection.score_now(BLOCK).failures == ()


def test_a_detector_keeps_to_one_thread_that_is_not_the_loops() -> None:
    threads = []

    def remember(block: Block) -> Scores:
        threads.append(threading.current_thread())
        return Scores(np.array(block.values))

    with at_work({"one": (scoring(remember), ["*"])}) as detection:
        for _ in range(3):
            detection.score_now(BLOCK)
    assert len(set(threads)) == 1
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


@pytest.mark.parametrize(
    ("outputs", "reason"),
    [
        ("total", "its attribute outputs must be a list of names"),
        (7, "its attribute outputs must be a list of names"),
        ([1], "its attribute outputs must be a list of names"),
        ([], "its attribute outputs must be a list of names"),
        (["a", "a"], "two of its outputs have one name"),
    ],
)
def test_a_detector_with_impossible_outputs_is_left_out(outputs: Any, reason: str) -> None:
    detector = scoring(lambda block: None, outputs)
    with at_work({"bad": (detector, ["*"]), "sum": (Verdict, ["*"])}) as detection:
        detected = detection.score_now(BLOCK)
        detection.restart()
        again = detection.score_now(BLOCK)
    assert detected.failures == (Failure("bad", f"cannot start: {reason}"),)
    assert again.failures == ()
    assert [output.channel.name for output in detection.outputs] == ["sum/total"]
    np.testing.assert_array_equal(again.scores[:, 0], [6, 10])


@pytest.mark.parametrize("error", [ValueError("no model"), SystemExit(1), ImportError("no onnx")])
def test_a_detector_that_cannot_be_built_is_reported_once_and_left_out(error: BaseException) -> None:
    class Unbuildable:
        def __init__(self, config: Settings, channels: ChannelSet) -> None:
            raise error

    with at_work({"bad": (Unbuildable, ["*"]), "sum": (Verdict, ["*"])}) as detection:
        first, second = detection.score_now(BLOCK), detection.score_now(BLOCK)
        assert [failure.detector for failure in first.failures] == ["bad"]
        assert first.failures[0].text.startswith("cannot start: ")
        assert second.failures == ()
        assert detection.statuses()[0].state == "failed"
        np.testing.assert_array_equal(second.scores[:, 0], [6, 10])


def test_a_new_pass_gives_everyone_a_new_start() -> None:
    class Counting:
        built = 0

        def __init__(self, config: Settings, channels: ChannelSet) -> None:
            Counting.built += 1
            self.outputs = ["calls"]
            self.calls = 0

        def score(self, block: Block) -> Scores:
            self.calls += 1
            if Counting.built == 1 and self.calls > 1:
                raise ValueError("worn out")
            return Scores(np.full((len(block), 1), self.calls))

    with at_work({"counting": (Counting, ["*"])}) as detection:
        for _ in range(4):
            detection.score_now(BLOCK)
        assert detection.statuses()[0].state == "quarantined"
        detection.restart()
        assert detection.statuses()[0].state == "ok"
        assert detection.score_now(BLOCK).scores[0, 0] == 1.0


def test_outputs_that_change_from_pass_to_pass_are_a_failure_and_keep_their_columns() -> None:
    class Fickle:
        built = 0

        def __init__(self, config: Settings, channels: ChannelSet) -> None:
            Fickle.built += 1
            self.outputs = [f"output{Fickle.built}"]

        def score(self, block: Block) -> Scores:
            return Scores(np.zeros((len(block), 1)))

    with at_work({"fickle": (Fickle, ["*"])}) as detection:
        detection.restart()
        detected = detection.score_now(BLOCK)
    assert detected.failures == (
        Failure("fickle", "cannot start: its outputs are not those of the first pass"),
    )
    assert detected.scores.shape == (2, 1)
    assert np.isnan(detected.scores).all()


def test_an_empty_block_is_scored_without_asking_anyone() -> None:
    with at_work({"bad": (scoring(lambda block: 1 / 0), ["*"]), "sum": (Verdict, ["*"])}) as detection:
        detected = detection.score_now(block_of([], CHANNELS))
    assert detected.scores.shape == (0, 4)
    assert detected.failures == ()


def test_whole_numbers_and_single_precision_are_taken_as_scores() -> None:
    for kind in (np.int32, np.float32):
        detector = scoring(lambda block, kind=kind: Scores(np.full((len(block), 3), 2, dtype=kind)))  # type: ignore[misc]
        with at_work({"plain": (detector, ["*"])}) as detection:
            detected = detection.score_now(BLOCK)
        assert detected.failures == ()
        assert detected.scores.dtype == np.float64


def test_harmful_characters_in_output_names_are_shown_not_obeyed() -> None:
    detector = scoring(lambda block: Scores(np.zeros((len(block), 1))), ["red\x1b[31m"])
    with at_work({"bad": (detector, ["*"])}) as detection:
        assert detection.outputs[0].channel.name == "bad/red\ufffd[31m"


def test_closing_twice_is_fine() -> None:
    with at_work({"sum": (Verdict, ["*"])}) as detection:
        detection.close()
        detection.close()
