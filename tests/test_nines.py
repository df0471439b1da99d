"""Calibrated scores: nines, quantiles, and what a reconstruction's errors say."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.errors import ConfigurationError
from gridtop.learning.nines import MOST_NINES, Nines, QuantileTable
from gridtop.learning.reconstruction import reconstruction_score, reconstruction_shares

ordinary_scores = st.lists(
    st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=300
)


def exponential(frames: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).exponential(size=frames)


def test_a_score_that_one_frame_in_a_thousand_reaches_has_three_nines() -> None:
    scores = exponential(200_000)
    nines = Nines.fit(scores).apply(np.quantile(scores, [0.0, 0.9, 0.99, 0.999, 0.9999]))
    assert nines == pytest.approx([0.0, 1.0, 2.0, 3.0, 4.0], abs=0.03)


def test_the_tail_beyond_the_reference_goes_on_as_the_upper_part_did() -> None:
    fitted = Nines.fit(exponential(100_000))
    assert fitted.nines[-1] == pytest.approx(4.0, abs=0.1)
    # The share of an exponential that reaches s is exp(-s): six nines are at 6 ln 10.
    assert fitted.apply(6.0 * math.log(10.0)) == pytest.approx(6.0, abs=0.7)
    assert fitted.apply(np.array([100.0, np.inf])).tolist() == [MOST_NINES, MOST_NINES]


def test_a_tail_heavier_than_exponential_does_not_get_more_nines_than_it_has_within_the_data() -> None:
    scores = np.random.default_rng(2).pareto(2.0, size=100_000)
    fitted = Nines.fit(scores[:50_000])
    shares = [np.mean(scores[50_000:] >= level) for level in np.quantile(scores, [0.99, 0.999, 0.9998])]
    promised = 10.0 ** -fitted.apply(np.quantile(scores, [0.99, 0.999, 0.9998]))
    assert promised == pytest.approx(shares, rel=0.7)


@given(ordinary_scores, st.lists(st.floats(-2e6, 2e6), min_size=2, max_size=60))
def test_a_higher_score_never_has_fewer_nines(ordinary: list[float], asked: list[float]) -> None:
    nines = Nines.fit(ordinary).apply(sorted(asked + ordinary))
    assert (np.diff(nines) >= 0).all()
    assert nines.min() >= 0
    assert nines.max() <= MOST_NINES


@given(ordinary_scores)
def test_no_frame_of_the_reference_is_called_rarer_than_any_that_was_not_seen(ordinary: list[float]) -> None:
    fitted = Nines.fit(ordinary)
    inside = fitted.apply(np.array(ordinary))
    assert (fitted.apply(max(ordinary) + 1.0) >= inside).all()


@given(ordinary_scores)
def test_a_table_survives_json_and_says_the_same(ordinary: list[float]) -> None:
    fitted = Nines.fit(ordinary, rate=30.0)
    again = Nines.from_dict(json.loads(json.dumps(fitted.to_dict())))
    assert again == fitted
    asked = np.linspace(-1e6, 1e6, 50)
    assert np.array_equal(again.apply(asked), fitted.apply(asked))
    assert len(fitted.scores) <= 64


def test_a_missing_score_has_no_nines_and_the_shape_stays() -> None:
    fitted = Nines.fit(exponential(1000))
    nines = fitted.apply(np.array([[0.5, np.nan], [np.nan, 3.0]]))
    assert np.isnan(nines).tolist() == [[False, True], [True, False]]


def test_how_the_stream_is_cut_does_not_change_nines() -> None:
    fitted = Nines.fit(exponential(5000))
    scores = exponential(997, seed=4) * 2
    whole = fitted.apply(scores)
    for size in (1, 7, 256):
        parts = [fitted.apply(scores[at : at + size]) for at in range(0, len(scores), size)]
        assert np.array_equal(np.concatenate(parts), whole)


def test_a_share_of_frames_is_a_threshold_in_nines() -> None:
    fitted = Nines.fit(exponential(1000))
    assert [fitted.quantile(share) for share in (0.0, 0.9, 0.999, 0.9999)] == [0.0, 1.0, 3.0, 4.0]
    for share in (1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match="from 0 to less than 1"):
            fitted.quantile(share)
    with pytest.raises(ValueError, match="scores end at 9 nines"):
        fitted.quantile(1 - 1e-12)


def test_exceedances_within_five_seconds_are_one_raise() -> None:
    scores = np.zeros(36_000)  # an hour at 10 frames a second
    for start in range(0, 36_000, 3_000):  # 12 bursts of four frames, one a second
        scores[start : start + 40 : 10] = 1.0
    fitted = Nines.fit(scores, rate=10.0)
    assert fitted.hours == pytest.approx(1.0)
    assert fitted.raises_per_hour(float(fitted.apply(1.0))) == pytest.approx(12.0)
    apart = Nines.fit(scores, rate=0.1, groups=np.arange(36_000) // 2)
    assert apart.raises is not None
    assert apart.raises[-1] == 48


def test_a_change_of_group_ends_a_run_of_exceedances() -> None:
    scores = np.zeros(600)
    scores[290:310] = 1.0
    together = Nines.fit(scores, rate=10.0)
    parted = Nines.fit(scores, rate=10.0, groups=np.arange(600) // 300)
    assert together.raises is not None
    assert parted.raises is not None
    assert (together.raises[-1], parted.raises[-1]) == (1, 2)


def test_time_passes_over_frames_without_a_score_but_they_are_no_hours() -> None:
    scores = np.zeros(1000)
    scores[[100, 300]] = 1.0
    scores[101:300] = np.nan
    fitted = Nines.fit(scores, rate=10.0)
    assert fitted.raises is not None
    assert fitted.raises[-1] == 2
    assert fitted.hours == pytest.approx(801 / 10 / 3600)


def test_the_points_end_where_fewer_than_ten_separate_raises_remain() -> None:
    scores = np.random.default_rng(3).normal(size=200_000)
    scores[5_000:5_060] += 50.0  # one disturbance of two seconds: 60 frames and one raise
    by_frame, by_raise = Nines.fit(scores), Nines.fit(scores, rate=30.0)
    assert by_frame.scores[-1] > 40.0
    assert by_raise.scores[-1] < 5.0


def test_raises_beyond_the_points_fall_with_the_share_of_frames() -> None:
    fitted = Nines.fit(exponential(300_000), rate=30.0)
    last = fitted.nines[-1]
    assert fitted.raises_per_hour(last + 1.0) == pytest.approx(fitted.raises_per_hour(last) / 10.0)
    assert fitted.raises_per_hour(9.5) == 0.0


def test_without_a_frame_rate_nobody_knows_the_raises_per_hour() -> None:
    with pytest.raises(ValueError, match="frame rate was not given"):
        Nines.fit(exponential(100)).raises_per_hour(2.0)


def test_scores_that_are_all_alike_still_tell_a_higher_one_apart() -> None:
    fitted = Nines.fit(np.zeros(1000))
    assert fitted.apply(np.array([-1.0, 0.0, 1e-9])).tolist() == [0.0, 0.0, 3.0]


def test_nothing_can_be_calibrated_on_no_scores_or_infinite_ones() -> None:
    for scores, text in (
        ([], "no scores of ordinary frames"),
        ([math.nan], "no scores of ordinary frames"),
        ([1.0, math.inf], "infinite"),
        ([[1.0]], r"are \(n,\)"),
    ):
        with pytest.raises(ValueError, match=text):
            Nines.fit(scores)
    with pytest.raises(ValueError, match="frame rate is a positive number"):
        Nines.fit([1.0, 2.0], rate=0.0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"scores": [1.0, 1.0, 2.0]}, "scores do not ascend: 1 comes after 1"),
        ({"nines": [0.0, 2.0, 1.0]}, "nines do not ascend: 1 comes after 2"),
        ({"nines": [0.0, 1.0]}, "3 scores but 2 nines"),
        ({"nines": [0.0, 1.0, 10.0]}, "from 0 to 9"),
        ({"scores": [0.0, 1.0, math.inf]}, "scores.2.*finite"),
        ({"tail": 0.0}, "tail"),
        ({"raises": [1, 2, 3]}, "hours and raises come together"),
        ({"raises": [1, 2], "hours": 1.0}, "3 counts"),
        ({"frames": 0}, "frames"),
        ({"colour": "red"}, "colour"),
        ({"scores": []}, "scores"),
    ],
)
def test_a_table_that_was_tampered_with_is_refused_with_the_reason(
    change: dict[str, object], text: str
) -> None:
    good = {"frames": 1000, "scores": [0.0, 1.0, 2.0], "nines": [0.0, 1.0, 2.0], "tail": 1.0}
    assert Nines.from_dict(good).apply(1.5) == pytest.approx(1.5)
    with pytest.raises(ConfigurationError, match=text):
        Nines.from_dict({**good, **change})


def test_a_quantile_is_the_score_that_this_share_stays_below() -> None:
    scores = np.random.default_rng(5).beta(1.0, 20.0, size=100_000)
    table = QuantileTable.fit(scores)
    for share in (0.5, 0.9, 0.99, 0.999, 0.9999):
        assert np.mean(scores < table.at(share)) == pytest.approx(share, abs=0.1 * (1 - share))
    again = QuantileTable.from_dict(json.loads(json.dumps(table.to_dict())))
    assert again.at(0.999) == table.at(0.999)


@given(ordinary_scores, st.lists(st.floats(0.0, 0.99), min_size=2, max_size=20))
def test_a_larger_share_never_has_a_lower_score(ordinary: list[float], shares: list[float]) -> None:
    table = QuantileTable.fit(ordinary)
    known = [share for share in sorted(shares) if share <= 1 - 1 / len(ordinary)]
    scores = [table.at(share) for share in known]
    assert scores == sorted(scores)
    assert all(min(ordinary) <= score <= max(ordinary) for score in scores)


def test_a_quantile_that_the_data_cannot_know_is_refused() -> None:
    table = QuantileTable.fit(exponential(1000))
    assert table.at(0.999) > table.at(0.99)
    with pytest.raises(
        ValueError, match=r"q99.99 is not known from 1,000 ordinary frames: the highest is q99.9"
    ):
        table.at(0.9999)
    with pytest.raises(ValueError, match="from 0 to less than 1"):
        table.at(1.0)


def test_the_score_of_a_frame_does_not_depend_on_the_frames_beside_it() -> None:
    for features in (1, 3, 8, 60, 129):
        errors = np.random.default_rng(features).exponential(size=(513, features))
        whole = reconstruction_score(errors)
        assert whole[0] == pytest.approx(math.sqrt(errors[0].mean()))
        for size in (1, 7, 256):
            parts = [reconstruction_score(errors[at : at + size]) for at in range(0, 513, size)]
            assert np.array_equal(np.concatenate(parts), whole)
        assert np.array_equal(reconstruction_score(np.asfortranarray(errors)), whole)


def test_a_missing_error_is_a_missing_score_and_explains_nothing() -> None:
    score = reconstruction_score([[1.0, np.nan], [1.0, 7.0]])
    assert np.isnan(score[0])
    assert score[1] == 2.0
    assert reconstruction_shares([1.0, np.nan]).tolist() == [0.0, 0.0]
    assert reconstruction_shares([0.0, 0.0]).tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match="frames by features"):
        reconstruction_score([1.0, 2.0])


def test_a_feature_that_is_always_hard_to_reconstruct_explains_nothing() -> None:
    errors, usual = [4.0, 1.5, 0.2], [4.0, 0.5, 0.3]
    assert reconstruction_shares(errors).argmax() == 0
    assert reconstruction_shares(errors, usual).tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(ValueError, match="one per feature"):
        reconstruction_shares(errors, [1.0])


@given(st.lists(st.floats(0.0, 1e300), min_size=1, max_size=30))
def test_shares_are_parts_of_one(errors: list[float]) -> None:
    shares = reconstruction_shares(errors)
    assert (shares >= 0).all()
    assert shares.sum() == pytest.approx(1.0) or not any(errors)


def test_calibrating_needs_no_training_library() -> None:
    program = (
        "import sys, gridtop.learning.nines, gridtop.learning.reconstruction as r\n"
        "r.reconstruction_score([[1.0]]); gridtop.learning.nines.Nines.fit([1.0, 2.0]).apply(3.0)\n"
        "heavy = {'sklearn', 'tensorflow', 'keras', 'onnx', 'scipy', 'pandas', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
