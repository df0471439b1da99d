"""Estimators from libraries in the stream: when they learn, what they score, and that cuts change nothing."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtop.api import Block, Calibrated, Channel, ChannelSet, Detector, Explains, Quality
from gridtop.plugins.detectors.estimators import Pyod, River, Sklearn
from tests.streams import block_of, channel_set, times

Floats = npt.NDArray[np.float64]

RATE = 10.0
WINDOW = 90
NEIGHBOURS = "sklearn.neighbors.LocalOutlierFactor(n_neighbors=10, novelty=True)"
FOREST = "sklearn.ensemble.IsolationForest(n_estimators=5)"
COVARIANCE = "sklearn.mixture.GaussianMixture()"
SVM = (
    "sklearn.pipeline.make_pipeline(sklearn.preprocessing.StandardScaler(), sklearn.svm.OneClassSVM(nu=0.1))"
)
TREES = "river.anomaly.HalfSpaceTrees(n_trees=3, height=3, window_size=20)"


def channels_of(number: int) -> ChannelSet:
    return channel_set(*(f"c{i}" for i in range(number)), rate=RATE)


def detector(model: str, channels: ChannelSet | int = 3, **changed: Any) -> Sklearn | Pyod | River:
    """The detector of a model, with a fit window of 90 frames."""
    target = {"sklearn": Sklearn, "pyod": Pyod, "river": River}[model.partition(".")[0]]
    settings = {"fit_on": "9s", "learn_every": "15s", "relearn_after": "12s"} | changed
    config = target.Config.model_validate({"model": model} | settings)
    return target(config, channels_of(channels) if isinstance(channels, int) else channels)


def stream(frames: int, number: int = 3, seed: int = 1) -> Floats:
    """(frames, number) noise around values of different size."""
    noise = np.random.default_rng(seed).standard_normal((frames, number))
    return np.array([1.0, 60.0, 400.0, 0.1])[:number] + noise * np.array([0.01, 0.02, 5.0, 1.0])[:number]


def scores_of(scorer: Sklearn | Pyod | River, values: Floats, cuts: list[int] | None = None) -> Floats:
    """(n,) scores of a stream that is cut before the given rows."""
    whole = block_of(values, channels_of(values.shape[1]))
    edges = [0, *sorted(cuts or []), len(values)]
    return np.concatenate([scorer.score(whole.slice(*pair)).score[:, 0] for pair in pairwise(edges)])


def score(model: str, values: Floats, cuts: list[int] | None = None, **changed: Any) -> Floats:
    return scores_of(detector(model, values.shape[1], **changed), values, cuts)


def with_events(seed: int) -> Floats:
    """600 frames with gaps, a spike, and a level that shifts for good: everything learning has to do with."""
    values = stream(600, seed=seed)
    rng = np.random.default_rng(seed)
    values[rng.random(600) < 0.05, 1] = np.nan
    values[150, 0] += 1.0
    values[330:, 2] += 100.0
    return values


@pytest.mark.parametrize("learn", ["never", "when_normal", "always"])
@pytest.mark.parametrize("model", [NEIGHBOURS, FOREST, COVARIANCE, SVM, TREES])
@settings(max_examples=6)
@given(data=st.data())
def test_cutting_the_stream_differently_changes_no_bit(model: str, learn: str, data: st.DataObject) -> None:
    values = with_events(data.draw(st.integers(0, 3)))
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=12))
    whole, cut = (score(model, values, c, learn=learn) for c in (None, cuts))
    assert whole.tobytes() == cut.tobytes()
    assert np.isfinite(whole[WINDOW * 2 :]).any()


@pytest.mark.parametrize("model", [NEIGHBOURS, TREES])
def test_a_stream_in_single_frames_scores_the_same(model: str) -> None:
    values = with_events(5)
    single = score(model, values, list(range(1, len(values))), learn="when_normal")
    assert single.tobytes() == score(model, values, learn="when_normal").tobytes()


@pytest.mark.parametrize(
    "model", ["pyod.models.ecod.ECOD()", "pyod.models.knn.KNN()", "pyod.models.pca.PCA()"]
)
def test_a_pyod_detector_that_ranks_rows_together_is_asked_about_one_at_a_time(model: str) -> None:
    pytest.importorskip("pyod")
    values = stream(300)
    values[250] += [0.5, 1.0, 200.0]
    result = score(model, values)
    assert result.tobytes() == score(model, values, [1, 95, 200, 201, 250, 251]).tobytes()
    assert result[250] == np.nanmax(result)


@pytest.mark.parametrize("model", [NEIGHBOURS, FOREST, COVARIANCE, SVM, TREES, "river.anomaly.LODA()"])
def test_the_strangest_frame_scores_highest(model: str) -> None:
    values = stream(700)
    values[400] += [0.2, -0.4, 100.0]
    result = score(model, values, learn="never", fit_on="30s")
    assert np.nanargmax(result) == 400


def test_there_is_no_opinion_until_the_window_is_full_of_good_frames() -> None:
    values = stream(150)
    values[10:20, 1] = np.nan
    result = score(NEIGHBOURS, values)
    assert np.isnan(result[: WINDOW + 10]).all()
    assert not np.isnan(result[WINDOW + 10 :]).any()


def test_a_frame_with_a_missing_or_doubtful_value_has_no_score_and_is_not_learned() -> None:
    values = stream(200)
    quality = np.zeros(values.shape, dtype=np.uint16)
    spoilt = values.copy()
    spoilt[[5, 40], 0] = 1e6
    quality[[5, 40], 0] = Quality.SUSPECT
    spoilt[[7, 150], 2] = np.nan
    quality[160, 1] = Quality.FLATLINE
    channels = channels_of(3)
    marked = Block(channels, times(200, RATE), spoilt, quality)
    result = detector(NEIGHBOURS).score(marked).score[:, 0]
    assert np.isnan(result[[150, 160]]).all()
    good = np.ones(200, dtype=bool)
    good[[5, 7, 40, 150, 160]] = False
    np.testing.assert_allclose(result[good], score(NEIGHBOURS, values[good]), atol=1e-9)


@pytest.mark.parametrize("model", [NEIGHBOURS, COVARIANCE, SVM, "river.anomaly.LODA()"])
def test_nines_tell_how_rare_a_score_is(model: str) -> None:
    result = score(model, stream(20_000), fit_on="300s", learn="never")[3000:]
    for nines in (0.3, 1.0, 2.0):
        share = float((result >= nines).mean())
        assert share == pytest.approx(10.0**-nines, rel=0.5)  # of 1,000 scores, 10 are above two nines


def test_quantiles_are_known_before_the_first_frame() -> None:
    scorer = detector(NEIGHBOURS)
    assert isinstance(scorer, Calibrated)
    assert [scorer.quantile(share) for share in (0.0, 0.9, 0.99, 0.999)] == [0.0, 1.0, 2.0, 3.0]
    for share in (1.0, -0.1, 1 - 1e-12):
        with pytest.raises(ValueError, match="no quantile"):
            scorer.quantile(share)


def test_raw_scores_are_the_librarys_own_and_have_no_quantiles() -> None:
    from sklearn.mixture import GaussianMixture

    values = stream(150)
    scorer = detector(COVARIANCE, score="raw", scale="none")
    expected = -GaussianMixture(random_state=0).fit(values[:60]).score_samples(values[WINDOW:])
    np.testing.assert_allclose(scores_of(scorer, values)[WINDOW:], expected, rtol=1e-9)
    with pytest.raises(ValueError, match="score: nines"):
        scorer.quantile(0.99)


def test_channels_of_different_size_count_alike() -> None:
    values = stream(300)
    larger = values * np.array([1e6, 1.0, 1e-6])
    np.testing.assert_allclose(score(NEIGHBOURS, larger), score(NEIGHBOURS, values), atol=1e-6)
    apart = score(NEIGHBOURS, larger, scale="none") - score(NEIGHBOURS, values, scale="none")
    assert np.nanmax(np.abs(apart)) > 0.1


def test_a_channel_that_is_constant_in_the_window_is_scaled_by_its_size() -> None:
    values = stream(200)
    values[:, 0] = 1000.0
    values[150, 0] = 2000.0
    values[160, 0] = 1e300
    result = score(NEIGHBOURS, values)
    assert np.nanmax(result[:150]) < result[150] <= result[160] <= 9.0


def test_constant_channels_are_told_once_and_the_next_window_is_waited_for() -> None:
    values = stream(400)
    values[:200] = [1.0, 60.0, 400.0]
    scorer, blocks = detector(FOREST), []
    for first in range(0, 400, 30):
        block = block_of(values, channels_of(3)).slice(first, first + 30)
        try:
            blocks.append(bool(np.isnan(scorer.score(block).score).all()))
        except ValueError as error:
            blocks.append("all channels are constant (90 frames of c0, c1, c2)" in str(error) and None)
    # The windows that are full at 90 and 180 hold nothing; the third, full at 270, holds movement.
    assert blocks == [True, True, None, *[True] * 6, *[False] * 5]


def test_an_estimator_that_scores_all_rows_alike_is_told() -> None:
    with pytest.raises(ValueError, match="scores all rows of the fit window alike"):
        score("sklearn.ensemble.IsolationForest(n_estimators=1, max_samples=1)", stream(100))


def test_a_channel_that_is_never_good_is_named() -> None:
    values = stream(200)
    values[:, 1] = np.nan
    with pytest.raises(ValueError, match="waits for 90 frames .*: c1 is missing most"):
        score(NEIGHBOURS, values)


def test_the_channel_that_is_strange_explains_the_score() -> None:
    values = stream(200)
    values[150, 1] += 1.0
    values[160, 1] = np.nan
    for model in (NEIGHBOURS, COVARIANCE, TREES):
        scorer = detector(model, learn="never")
        assert isinstance(scorer, Explains)
        scores_of(scorer, values)
        shares = scorer.explain(150, 0)
        assert shares.sum() == pytest.approx(1.0)
        assert shares[1] > 0.8
        assert not scorer.explain(160, 0).any()
        assert not scorer.explain(10, 0).any()


@pytest.mark.parametrize(
    ("model", "learn"),
    [
        (FOREST, "always"),
        (FOREST, "when_normal"),
        (TREES, "always"),
        (TREES, "when_normal"),
        (TREES, "never"),
    ],
)
def test_explanations_are_those_of_the_model_that_scored_the_frame(model: str, learn: str) -> None:
    values = with_events(2)
    whole, pieces = (detector(model, learn=learn) for _ in range(2))
    scores_of(whole, values)
    block = block_of(values, channels_of(3))
    told = 0
    for first in range(0, 600, 7):
        piece = block.slice(first, first + 7)
        pieces.score(piece)
        for frame in range(len(piece)):
            here, there = pieces.explain(frame, 0), whole.explain(first + frame, 0)
            assert here.tobytes() == there.tobytes()
            told += here.any()
    assert told > 10


def shift(frames: int = 700) -> Floats:
    """A level that shifts for good at frame 300."""
    values = stream(frames)
    values[300:, 2] += 100.0
    return values


@pytest.mark.parametrize("model", [NEIGHBOURS, COVARIANCE])
def test_what_never_learns_finds_a_shifted_level_strange_for_ever(model: str) -> None:
    assert (score(model, shift(), learn="never")[300:] > 3).all()


@pytest.mark.parametrize(
    "model", [NEIGHBOURS, COVARIANCE, "river.anomaly.LocalOutlierFactor(n_neighbors=10)"]
)
def test_a_shifted_level_is_normal_after_relearn_after_and_not_before(model: str) -> None:
    # 120 frames of strangeness, and from then on a model of the 90 frames before.
    result = score(model, shift(), learn="when_normal", learn_every="1000s")
    assert (result[300:420] > 2).all()
    assert np.median(result[425:]) < 1


def test_one_ordinary_frame_among_many_strange_ones_does_not_begin_anew() -> None:
    values = shift()
    values[320:400:20, 2] -= 100.0
    result = score(COVARIANCE, values, learn="when_normal", learn_every="1000s")
    assert result[459] > 2  # 120 strange frames, and for each of the 4 ordinary ones 1 + 9 more
    assert np.median(result[465:]) < 1


def test_what_always_learns_takes_a_shifted_level_at_the_next_fit() -> None:
    # Fits come 150 frames apart, the first at 90.
    result = score(COVARIANCE, shift(), learn="always")
    assert (result[300:390] > 3).all()
    assert np.median(result[395:]) < 1


def test_when_normal_learns_a_slow_drift_but_no_disturbance() -> None:
    values = stream(3000)
    values[:, 0] += np.linspace(0, 0.05, 3000)
    frozen = score(COVARIANCE, values, learn="never", fit_on="30s", learn_every="30s", relearn_after="1000s")
    learning = score(
        COVARIANCE, values, learn="when_normal", fit_on="30s", learn_every="30s", relearn_after="1000s"
    )
    assert np.median(learning[2000:]) < 0.6 < np.median(frozen[2000:])


def test_leaving_out_strange_frames_does_not_make_scores_grow_from_fit_to_fit() -> None:
    values = stream(30_000, number=2)
    result = score(
        COVARIANCE, values, learn="when_normal", fit_on="60s", learn_every="60s", relearn_after="9000s"
    )
    # After 40 fits on frames that the model before thought ordinary, one in a hundred still is not.
    assert float((result[-6000:] >= 2).mean()) < 0.025


def test_the_same_line_gives_the_same_scores_in_every_run() -> None:
    values = stream(200)
    for model in (FOREST, TREES):
        assert score(model, values).tobytes() == score(model, values).tobytes()


def test_the_input_is_not_modified() -> None:
    values = with_events(1)
    before = values.copy()
    score(NEIGHBOURS, values, learn="when_normal")
    assert values.tobytes() == before.tobytes()


def test_an_empty_block_has_no_scores() -> None:
    scorer = detector(NEIGHBOURS)
    assert isinstance(scorer, Detector)
    assert scorer.score(block_of([], channels_of(3))).score.shape == (0, 1)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("sklearn.neighbors.LocalOutlierFactor()", "give it novelty=True"),
        ("sklearn.linear_model.LinearRegression()", "has no score_samples"),
        ("sklearn.preprocessing.StandardScaler()", "has no score_samples"),
        ("sklearn.svm.OneClassSVM(nu=7)", "nu"),
        ("river.preprocessing.StandardScaler()", "has no score_one"),
        ("river.anomaly.GaussianScorer()", "here is no target"),
    ],
)
def test_what_cannot_score_rows_is_refused_at_the_start(model: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        detector(model)


def test_absolute_phase_angles_are_refused() -> None:
    channels = ChannelSet((Channel("R1-PA1:VH", "voltage", part="angle"), Channel("R1:F", "frequency")), RATE)
    with pytest.raises(ValueError, match="R1-PA1:VH is an absolute phase angle"):
        detector(NEIGHBOURS, channels)


def test_a_window_of_few_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="fit_on: 50 frames at 10 frames/s are too few.*6s is the least"):
        detector(NEIGHBOURS, fit_on="5s")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"fit_on": "0s"}, "fit_on: must be longer than 0s"),
        ({"learn": "always", "learn_every": "5s"}, "learn_every: shorter than fit_on"),
        ({"learn": "when_normal", "relearn_after": "5s"}, "relearn_after: shorter than fit_on"),
    ],
)
def test_times_that_cannot_work_are_refused(changed: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        detector(NEIGHBOURS, **changed)


def test_a_detector_of_one_library_does_not_take_a_model_of_another() -> None:
    with pytest.raises(ValidationError, match=r"does not begin with sklearn\."):
        Sklearn.Config(model=TREES)


def test_warnings_of_a_library_do_not_reach_stderr() -> None:
    program = (
        "import numpy as np\nfrom gridtop.api import *\n"
        "from gridtop.plugins.detectors.estimators import Sklearn\n"
        "channels = ChannelSet((Channel('a'), Channel('b')), 10.0)\n"
        "model = 'sklearn.mixture.GaussianMixture(3, max_iter=1)'\n"
        "scorer = Sklearn(Sklearn.Config(model=model, fit_on='10s'), channels)\n"
        "values = np.random.default_rng(0).standard_normal((200, 2))\n"
        "score = scorer.score(Block(channels, seconds_to_time(np.arange(200) / 10), values)).score\n"
        "print(np.isfinite(score).sum())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("100\n", "")
