"""The drift detector: what it calls a drift, what it does not, what it says; blocks do not matter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtop.alarms.rules import AlarmSettings
from gridtop.api import Block, Channel, ChannelSet, Quality, Scores
from gridtop.plugins.detectors.drift import Drift
from tests.streams import START

Floats = npt.NDArray[np.float64]

DAY = 1440
MINUTES = ChannelSet((Channel("L1:line_resistance", "line_resistance", "ohm", "L1", derived=True),), 1 / 60)
"""A frame a minute: a mean of a minute is a frame."""


def block_of(values: Floats, channels: ChannelSet = MINUTES, row: int = 0, **more: Any) -> Block:
    """A block from row `row` on at the channels' rate."""
    assert channels.rate is not None
    at = np.arange(row, row + len(values)) / channels.rate
    time = START + np.round(at * 1e9).astype("timedelta64[ns]")
    return Block(channels, time, values.reshape(len(values), len(channels)).copy(), row=row, **more)


def detector(channels: ChannelSet = MINUTES, **changes: Any) -> Drift:
    return Drift(Drift.Config.model_validate(changes), channels)


def noise(number: int, seed: int = 1, level: float = 3.7, deviation: float = 0.01) -> Floats:
    return level + deviation * np.random.default_rng(seed).standard_normal(number)


def scores_of(values: Floats, **changes: Any) -> Floats:
    """(n,) scores of one series, a mean a frame."""
    return detector(**changes).score(block_of(values)).score[:, 0]


def notes_of(scores: Scores, output: str = "L1:line_resistance") -> list[str]:
    """The notes on one output, "" where there are none."""
    if scores.note is None:
        return [""] * len(scores.score)
    assert isinstance(scores.note, Mapping)
    return list(scores.note.get(output, [""] * len(scores.score)))


class TestDrift:
    def test_there_is_no_opinion_until_the_reference_is_learned(self) -> None:
        score = scores_of(noise(100))
        assert np.isnan(score).tolist() == [True] * 59 + [False] * 41

    def test_what_stays_as_it_was_does_not_drift(self) -> None:
        assert np.nanmax(scores_of(noise(3 * DAY))) < 1

    @pytest.mark.parametrize("way", [-1, 1])
    def test_a_shift_is_seen_in_either_direction_after_some_means(self, way: int) -> None:
        values = noise(DAY)
        values[700:] += way * 0.03
        score = scores_of(values)
        assert np.nanmax(score[:700]) < 1
        assert 5 <= int(np.argmax(score[700:] >= 1)) <= 15
        assert score[-1] == 1.75

    def test_a_larger_lambda_asks_for_more(self) -> None:
        values = noise(DAY)
        values[700:] += 0.01
        first = [int(np.argmax(scores_of(values, evidence=evidence)[700:] >= 1)) for evidence in (10, 20, 40)]
        assert first == sorted(first)
        assert first[0] < first[2]

    def test_it_ends_some_time_after_the_repair_and_not_as_late_as_it_lasted(self) -> None:
        values = noise(6 * DAY)
        values[200 : 4 * DAY] += 0.1
        score = scores_of(values)
        assert score[4 * DAY - 1] == 1.75
        assert score[4 * DAY + 150] < 0.5

    def test_one_wild_mean_is_no_drift(self) -> None:
        values = noise(300)
        values[150] += 1000
        assert np.nanmax(scores_of(values)) < 1

    def test_wild_means_in_the_reference_do_no_harm(self) -> None:
        values = noise(DAY)
        values[[3, 17, 40]] += [1000, -50, 7]
        values[700:] += 0.03
        score = scores_of(values)
        assert np.nanmax(score[:700]) < 1
        assert score[720] >= 1

    def test_means_that_hang_together_raise_no_more_alarms(self) -> None:
        random = np.random.default_rng(5)
        series = np.zeros((5000, 40))
        for i in range(1, len(series)):
            series[i] = 0.7 * series[i - 1] + random.standard_normal(40)
        channels = ChannelSet(tuple(Channel(f"c{i}") for i in range(40)), 1 / 60)
        score = detector(channels, floor=0, learn=240).score(block_of(series, channels)).score
        # A reference that took them for independent would see a drift in nearly every one.
        assert int((score >= 1).any(axis=0).sum()) <= 6

    def test_changes_below_the_floor_do_not_count(self) -> None:
        values = noise(DAY, deviation=1e-7)
        values[700:] += 1e-4
        assert np.nanmax(scores_of(values)) < 1
        assert np.nanmax(scores_of(values, floor=0)) >= 1

    def test_a_constant_is_no_drift_and_a_change_of_it_is(self) -> None:
        values = np.zeros(200)
        assert np.nanmax(scores_of(values)) == 0
        values[100:] = 1e-3
        assert scores_of(values)[-1] == 1.75


class TestMeans:
    CHANNELS = ChannelSet((Channel("c"),), 30.0)

    def score(self, values: Floats, quality: npt.NDArray[np.uint16] | None = None, **changes: Any) -> Floats:
        more = {} if quality is None else {"quality": quality}
        block = block_of(values, self.CHANNELS, **more)
        return detector(self.CHANNELS, mean_over="2s", learn=20, **changes).score(block).score[:, 0]

    def test_a_short_circuit_within_a_mean_leaves_no_trace(self) -> None:
        values = noise(60 * 40)
        dented = values.copy()
        for mean in range(20, 40):
            dented[60 * mean + 7 : 60 * mean + 11] = 0.1
        assert np.nanmax(self.score(dented)) < 1

    def test_doubtful_and_missing_frames_are_left_out(self) -> None:
        values = noise(60 * 40)
        wrong = values.copy()
        wrong[60 * 20 :: 3] = 100.0
        quality = np.zeros((len(values), 1), dtype=np.uint16)
        quality[60 * 20 :: 3] = Quality.FLATLINE
        missing = wrong.copy()
        missing[60 * 20 :: 3] = np.nan
        assert np.nanmax(self.score(wrong)) >= 1
        doubted = self.score(wrong, quality)
        assert np.nanmax(doubted) < 1
        np.testing.assert_array_equal(doubted, self.score(missing))

    def test_a_mean_needs_half_of_its_frames(self) -> None:
        values = noise(60 * 60)
        values[60 * 20 :] += 1.0
        for lacking, told in ((30, True), (31, False)):
            gaps = values.copy()
            gaps[60 * 20 :].reshape(-1, 60)[:, :lacking] = np.nan
            assert bool(np.nanmax(self.score(gaps)) >= 1) is told

    def test_the_score_stands_between_means_and_while_values_are_missing(self) -> None:
        values = noise(60 * 60)
        values[60 * 30 :] += 1.0
        values[60 * 40 :] = np.nan
        score = self.score(values)
        assert (np.diff(score[60 * 20 :])[np.arange(60 * 40 - 1) % 60 != 58] == 0).all()
        assert score[-1] == score[60 * 40] >= 1

    def test_means_begin_at_fixed_frame_numbers_wherever_the_stream_does(self) -> None:
        block = block_of(noise(60 * 30), self.CHANNELS, row=40)
        score = detector(self.CHANNELS, mean_over="2s", learn=20).score(block).score[:, 0]
        # The mean of rows 0 to 59 has a third of its frames and does not count.
        assert int(np.isnan(score).sum()) == 60 * 21 - 1 - 40

    def test_a_row_every_ten_seconds_is_averaged_over_six(self) -> None:
        channels = ChannelSet((Channel("c"),), 0.1)
        score = detector(channels).score(block_of(noise(6 * 70), channels)).score[:, 0]
        assert int(np.isnan(score).sum()) == 6 * 60 - 1

    def test_a_mean_of_a_day_at_a_high_rate_keeps_no_day_in_memory(self) -> None:
        watcher = detector(self.CHANNELS, mean_over="20m", learn=20)
        values = noise(36_000 * 32)
        values[36_000 * 22 :] += 1.0
        score = np.concatenate(
            [
                watcher.score(block_of(values[row : row + 4000], self.CHANNELS, row)).score[:, 0]
                for row in range(0, len(values), 4000)
            ]
        )
        assert int(np.isnan(score).sum()) == 36_000 * 20 - 1
        assert int(np.argmax(score >= 1)) + 1 == 36_000 * 31


class TestTimeToThreshold:
    def ramp(self, days: float = 2.0, a_day: float = 0.02, seed: int = 1) -> Floats:
        """Resistance that is 3.7 ohm for half a day, then rises."""
        values = noise(round(DAY * (0.5 + days)), seed)
        values[DAY // 2 :] += a_day / DAY * np.arange(len(values) - DAY // 2)
        return values

    def test_the_note_says_how_fast_and_when_with_an_interval(self) -> None:
        values = self.ramp(days=10)
        watcher = detector(thresholds={"*:line_resistance": {"high": 4.5}})
        scores = watcher.score(block_of(values))
        assert np.nanmax(scores.score) < 2  # it takes longer than a week
        told = re.fullmatch(
            r"L1 line resistance (3\.\d+) ohm \(usually 3\.\d+\), rising 0\.0(\d+) ohm a day "
            r"since 2026-01-01T\d\d:\d\d:00Z; reaches 4\.5 ohm in (\d+) days "
            r"\(90 % interval (\d+) to (\d+) days\)",
            notes_of(scores)[-1],
        )
        assert told is not None, notes_of(scores)[-1]
        assert float(told[1]) == pytest.approx(3.9, abs=0.03)
        earliest, expected, latest = (int(told[i]) for i in (3, 4, 5))
        assert earliest <= expected <= latest
        assert expected == pytest.approx(30, abs=4)

    def test_a_threshold_that_is_near_scores_two(self) -> None:
        scores = detector(thresholds={"L1:*": {"high": 3.8}}).score(block_of(self.ramp(days=2)))
        due = int(np.argmax(scores.score[:, 0] >= 2))
        assert "reaches 3.8 ohm in " in notes_of(scores)[due]
        assert scores.score[-1, 0] == 2

    def test_a_falling_value_is_compared_with_the_low_threshold(self) -> None:
        values = 7.4 - self.ramp(days=2)
        both = {"L1:*": {"low": 3.6, "high": 3.71}}
        scores = detector(thresholds=both).score(block_of(values))
        assert "falling" in notes_of(scores)[-1]
        assert "reaches 3.6 ohm" in notes_of(scores)[-1]
        only_high = detector(thresholds={"L1:*": {"high": 3.71}}).score(block_of(values))
        assert "reaches" not in notes_of(only_high)[-1]
        assert np.nanmax(only_high.score) < 2

    def test_what_has_passed_its_threshold_says_so(self) -> None:
        values = noise(DAY)
        values[700:] += 1.0
        scores = detector(thresholds={"*:*": {"high": 4.5}}).score(block_of(values))
        assert scores.score[-1, 0] == 2
        assert notes_of(scores)[-1].endswith("; it has passed 4.5 ohm; no trend")

    def test_a_step_has_no_trend_and_no_date(self) -> None:
        values = noise(DAY, seed=4)
        values[700:] += 0.05
        scores = detector(thresholds={"*:*": {"high": 4.5}}).score(block_of(values))
        assert np.nanmax(scores.score) < 2
        assert notes_of(scores)[-1].endswith(" since 2026-01-01T11:40:00Z; no trend")
        assert not any("reaches" in note for note in notes_of(scores))

    def test_without_a_threshold_the_speed_is_told(self) -> None:
        note = notes_of(detector().score(block_of(self.ramp(days=4))))[-1]
        assert re.search(r"rising 0\.0\d+ ohm a day since .*Z$", note)

    def test_a_threshold_too_far_away_has_no_date(self) -> None:
        scores = detector(thresholds={"*:*": {"high": 40}}).score(block_of(self.ramp(days=4)))
        assert "rising" in notes_of(scores)[-1]
        assert "reaches" not in notes_of(scores)[-1]

    def test_the_horizon_forgets_an_older_trend(self) -> None:
        values = self.ramp(days=4, a_day=0.5)
        values = np.concatenate((values, noise(3 * DAY, seed=9, level=5.7)))
        whole, newest = (
            notes_of(detector(horizon=horizon).score(block_of(values)))[-1] for horizon in ("30d", "1d")
        )
        assert "rising" in whole
        assert newest.endswith("; no trend")

    def test_a_stream_without_times_speaks_of_frames(self) -> None:
        channels = ChannelSet((Channel("Oil", "other", "degC"),), 1 / 60, "row")
        values = noise(4 * DAY, level=50, deviation=0.1)
        values[DAY:] += 0.001 * np.arange(3 * DAY)
        scores = detector(channels, thresholds={"Oil": {"high": 60}}).score(block_of(values, channels))
        told = re.fullmatch(
            r"Oil 54\.\d degC \(usually 50\.0\), rising 1(\.\d)? degC in 1000 frames since row (\d+); "
            r"reaches 60 degC in (\d+) frames \(90 % interval (\d+) to (\d+) frames\)",
            notes_of(scores, "Oil")[-1],
        )
        assert told is not None, notes_of(scores, "Oil")[-1]
        assert int(told[2]) == pytest.approx(DAY, abs=200)
        assert int(told[3]) == pytest.approx(5680, rel=0.2)

    def test_weeks_of_means_fit_and_still_give_the_trend(self) -> None:
        values = self.ramp(days=25, a_day=0.02)
        watcher = detector(thresholds={"*:*": {"high": 4.5}})
        for row in range(0, len(values), 4096):
            scores = watcher.score(block_of(values[row : row + 4096], row=row))
        told = re.search(r"rising 0\.02 ohm a day .* in (\d+) days", notes_of(scores)[-1])
        assert told is not None, notes_of(scores)[-1]
        assert int(told[1]) == pytest.approx(15, abs=4)  # the line is as old as its last renewal

    def test_the_later_of_two_globs_wins(self) -> None:
        values = noise(DAY)
        values[700:] += 1.0
        globs = {"L1:*": {"high": 4.5}, "*:line_resistance": {"high": 9}}
        assert np.nanmax(scores_of(values, thresholds=globs)) < 2
        assert np.nanmax(scores_of(values, thresholds=dict(reversed(globs.items())))) == 2


TWO = ChannelSet(
    (
        Channel("R1:vt_ratio", "vt_ratio", "", "R1", derived=True),
        Channel("R1:voltage_pu.A", "voltage_pu", "pu", "R1", "A", derived=True),
    ),
    1.0,
)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(1, 7), st.data())
def test_cutting_the_stream_differently_changes_no_bit(
    seed: int, row: int, over: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(seed)
    values = 1.0 + 0.01 * random.standard_normal((900, 2))
    values[450:] += 0.0002 * np.arange(450.0)[:, np.newaxis] * [1, -1]
    values[random.random(values.shape) < 0.1] = np.nan
    quality = np.where(random.random(values.shape) < 0.1, np.uint16(Quality.LATE), np.uint16(0))
    whole = block_of(values, TWO, row, quality=quality)
    changes = {"mean_over": f"{over}s", "learn": 20, "thresholds": {"*:*": {"low": 0.9, "high": 1.1}}}
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=12))
    expected, cut = detector(TWO, **changes).score(whole), detector(TWO, **changes)
    pieces = [cut.score(whole.slice(*pair)) for pair in pairwise([0, *sorted(cuts), len(values)])]
    assert np.concatenate([piece.score for piece in pieces]).tobytes() == expected.score.tobytes()
    for name in TWO.names:
        notes = [text for piece in pieces for text in notes_of(piece, name)]
        assert notes == notes_of(expected, name)


@pytest.mark.parametrize("size", [1, 7, 256])
def test_a_day_in_small_pieces_is_the_same_day(size: int) -> None:
    values = np.stack((noise(DAY, level=1.0), noise(DAY, 2, 0.98)), axis=1)
    values[600:] += 0.0005 * np.arange(DAY - 600)[:, np.newaxis]
    changes = {"mean_over": "3s", "thresholds": {"*:*": {"high": 2.0}}}
    expected, cut = detector(TWO, **changes).score(block_of(values, TWO)), detector(TWO, **changes)
    pieces = [cut.score(block_of(values[i : i + size], TWO, i)) for i in range(0, DAY, size)]
    assert np.concatenate([piece.score for piece in pieces]).tobytes() == expected.score.tobytes()
    for name in TWO.names:
        assert [text for piece in pieces for text in notes_of(piece, name)] == notes_of(expected, name)
        assert any("reaches 2" in text for text in notes_of(expected, name))


def test_an_empty_block_changes_nothing() -> None:
    watcher = detector(learn=20)
    assert watcher.score(block_of(np.empty(0))).score.shape == (0, 1)
    values = noise(60)
    first = watcher.score(block_of(values[:30])).score
    watcher.score(block_of(np.empty(0), row=30))
    rest = watcher.score(block_of(values[30:], row=30)).score
    np.testing.assert_array_equal(np.concatenate((first, rest))[:, 0], scores_of(values, learn=20))


def test_values_too_large_to_add_up_are_missing() -> None:
    values = noise(6 * 100)
    values[6 * 70 : 6 * 72] = 1e308
    channels = ChannelSet((Channel("c"),), 0.1)
    score = detector(channels).score(block_of(values, channels)).score
    assert not np.isinf(score).any()
    assert np.nanmax(score) < 1


def test_it_has_one_output_for_each_channel_and_a_score_rests_on_its_own() -> None:
    watcher = detector(TWO)
    assert watcher.outputs == TWO.names
    assert watcher.explain(3, 1).tolist() == [0.0, 1.0]


def test_the_rule_it_brings_is_one_about_integrity_and_does_not_latch() -> None:
    rule = AlarmSettings.model_validate(Drift.alarm)
    assert (rule.class_, rule.latch) == ("integrity", False)
    assert rule.high is not None
    assert (rule.high.warning, rule.high.critical) == (1, 2)


@pytest.mark.parametrize(
    ("thresholds", "problem"),
    [
        ({"*": {}}, "write low, high or both"),
        ({"*": {"low": 2, "high": 1}}, r"low \(2\) must be below high \(1\)"),
        ({"*": {"high": float("nan")}}, "finite number"),
        ({"*": {"hihg": 1}}, "Extra inputs"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(thresholds: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Drift.Config.model_validate({"thresholds": thresholds})


def test_a_threshold_for_no_channel_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"thresholds: '\*:losses' matches none"):
        detector(thresholds={"*:losses": {"high": 1}})
