"""The rolling z-score, against a slow and obvious version of itself."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtop.api import ChannelSet
from gridtop.plugins.detectors.zscore import LARGEST, TINY, ZScore
from tests.streams import block_of, channel_set

Floats = npt.NDArray[np.float64]

WINDOW, WARM_UP = 6, 2


def detector(
    channels: ChannelSet, window: int = WINDOW, warm_up: int = WARM_UP, floor: float = 1e-4
) -> ZScore:
    """One whose window and warm-up are given in frames."""
    seconds = 1 / (channels.rate or 30.0)
    durations = {
        "window": timedelta(seconds=window * seconds),
        "warm_up": timedelta(seconds=warm_up * seconds),
    }
    return ZScore(ZScore.Config(floor=floor, **durations), channels)


def score(values: Floats, cuts: list[int] | None = None, **settings: float) -> Floats:
    """(n, c) scores of a stream that is cut before the given rows."""
    channels = channel_set(*(f"c{i}" for i in range(values.shape[1])))
    scorer = detector(channels, **settings)  # type: ignore[arg-type]
    whole = block_of(values, channels)
    edges = [0, *sorted(cuts or []), len(values)]
    return np.vstack([scorer.score(whole.slice(*pair)).score for pair in pairwise(edges)])


def reference(values: Floats, window: int = WINDOW, warm_up: int = WARM_UP, floor: float = 1e-4) -> Floats:
    """The same, one value at a time."""
    result = np.full(values.shape, np.nan)
    for row, column in np.ndindex(values.shape):
        before = values[max(0, row - window) : row, column]
        before = before[~np.isnan(before)]
        if len(before) >= warm_up:
            mean = before.mean()
            deviation = max(before.std(), floor * abs(mean) + TINY)
            result[row, column] = min(abs(values[row, column] - mean) / deviation, LARGEST)
    return result


readings = st.one_of(
    st.just(float("nan")),
    st.sampled_from([0.0, 60.0, 131_000.0]),
    st.floats(-1e6, 1e6, allow_subnormal=False),
)
streams = (
    st.integers(1, 40)
    .flatmap(lambda n: st.lists(st.tuples(readings, readings), min_size=n, max_size=n))
    .map(lambda rows: np.array(rows, dtype=np.float64))
)


@given(streams, st.data())
def test_cutting_the_stream_differently_changes_no_bit(values: Floats, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=12))
    assert score(values, cuts).tobytes() == score(values).tobytes()


@given(streams)
@example(np.array([[1e6, 0.0], *[[np.nan, 1.0]] * 5, *[[1.0, 2.0]] * 9]))
def test_it_equals_the_obvious_version(values: Floats) -> None:
    # Where the floor decides, or nothing deviates, there are no digits to compare beyond the arithmetic's.
    np.testing.assert_allclose(score(values), reference(values), rtol=1e-6, atol=1e-6)


@settings(max_examples=20)
@given(st.integers(2, 50), st.integers(0, 2**32 - 1))
def test_it_equals_the_obvious_version_on_long_noise(window: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = 131_000 + 50 * rng.standard_normal((400, 3))
    values[rng.random(values.shape) < 0.1] = np.nan
    values[200:, 0] -= 60_000
    np.testing.assert_allclose(score(values, window=window), reference(values, window=window), rtol=1e-6)


def test_a_spike_leaves_no_trace_when_it_has_left_the_window() -> None:
    rng = np.random.default_rng(1)
    calm = 60 + 0.001 * rng.standard_normal((60, 1))
    spiked = calm.copy()
    spiked[20] = 1e12
    np.testing.assert_allclose(score(spiked)[20 + WINDOW + 1 :], score(calm)[20 + WINDOW + 1 :], rtol=1e-6)


def test_a_step_is_seen_at_once_and_is_normal_a_window_later() -> None:
    noise = np.random.default_rng(2).standard_normal((120, 1))
    values = 1000 + noise
    values[60:] += 100
    scores = score(values, window=20)
    assert scores[60, 0] > 50
    assert (scores[40:60] < 6).all()
    assert (scores[80:] < 6).all()


@pytest.mark.parametrize("level", [0.0, 60.0, -131_000.0, 1e300])
def test_a_constant_signal_scores_zero(level: float) -> None:
    scores = score(np.full((30, 1), level))
    np.testing.assert_array_equal(scores[WARM_UP:], 0.0)


@pytest.mark.parametrize("level", [0.0, 60.0, 1e200])
def test_a_jump_out_of_a_constant_signal_is_large_but_finite(level: float) -> None:
    values = np.full((30, 1), level)
    values[20] = -1e6
    scores = score(values)
    assert np.isfinite(scores[20])
    assert scores[20] > 1000
    assert not np.isinf(scores).any()


def test_a_value_is_not_part_of_its_own_baseline() -> None:
    values = np.array([[0.0], [2.0], [0.0], [2.0], [9.0]])
    assert score(values)[4, 0] == 8.0


def test_there_is_no_opinion_before_the_warm_up_nor_on_a_missing_value() -> None:
    values = np.array([[1.0], [np.nan], [2.0], [1.0], [np.nan], [2.0]])
    scores = score(values)
    assert np.isnan(scores[:, 0]).tolist() == [True, True, True, False, True, False]


def test_after_a_gap_of_a_window_it_warms_up_again() -> None:
    values = np.vstack([np.ones((10, 1)), np.full((WINDOW, 1), np.nan), np.ones((10, 1))])
    assert np.isnan(score(values)[:, 0]).tolist() == [True] * 2 + [False] * 8 + [True] * 8 + [False] * 8


def test_values_too_large_to_square_do_no_harm() -> None:
    values = np.ones((40, 1))
    values[10:12] = 1e300
    scores = score(values)
    assert not np.isinf(scores).any()
    np.testing.assert_array_equal(scores[-WINDOW:], 0.0)


@pytest.mark.parametrize(("rate", "frames"), [(10.0, 20), (None, 60)])
def test_the_window_is_counted_in_frames_of_the_stream(rate: float | None, frames: int) -> None:
    channels = channel_set("c", rate=rate)
    config = ZScore.Config.model_validate({"window": "2s", "warm_up": "0s"})
    scores = []
    for probe in (frames, frames + 1):
        values = np.zeros((probe + 1, 1))
        values[0], values[probe] = 1.0, 0.5
        scores.append(ZScore(config, channels).score(block_of(values, channels)).score[probe, 0])
    assert scores[0] < 5
    assert scores[1] == pytest.approx(0.5 / TINY)  # nothing but zeros in the window: the first frame has left


def test_it_has_one_output_for_each_channel() -> None:
    channels = channel_set("a", "b")
    assert detector(channels).outputs == ("a", "b")


def test_an_empty_block_has_no_scores() -> None:
    channels = channel_set("a", "b")
    assert detector(channels).score(block_of([], channels)).score.shape == (0, 2)


def test_a_warm_up_longer_than_the_window_is_refused() -> None:
    with pytest.raises(ValidationError, match="warm_up is longer than window"):
        ZScore.Config.model_validate({"window": "1s", "warm_up": "2s"})
