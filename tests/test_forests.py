"""Forests from scikit-learn to the exported graph: parity, determinism, light inference, calibration."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from gridtop.errors import GridtopError
from gridtop.learning.inference import Calibration, Session
from gridtop.learning.trees import Trees, shares
from gridtop.training.calibration import brier_score, calibrate, expected_calibration_error
from gridtop.training.forests import (
    FittedForest,
    average_path_length,
    fit_gradient_boosting,
    fit_isolation_forest,
    fit_random_forest,
)
from gridtop.training.onnx_graphs import float32_down
from gridtop.training.parity import ParityError, check, threshold_rows

Floats = npt.NDArray[np.float64]
NAMES = ("normal", "fault", "line open", "data")


def measured(
    rows: int, seed: int, classes: int = 2, features: int = 8
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Rows whose class depends on features 0 to 2 and on chance; large and small columns side by side."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, features))
    hidden = x[:, 0] + x[:, 1] * x[:, 2] + 0.5 * rng.normal(size=rows)
    y = np.digitize(hidden, np.linspace(-1.0, 1.5, classes - 1) if classes > 2 else [0.8])
    return x * np.geomspace(1e-3, 1e6, features) + np.linspace(0, 400.0, features), y


def forest(kind: str, classes: int = 2, **settings: Any) -> FittedForest:
    x, y = measured(1200, 1, classes)
    if kind == "isolation_forest":
        return fit_isolation_forest(x, seed=3, **{"trees": 30, **settings})
    if kind == "gradient_boosting":
        return fit_gradient_boosting(x, y, classes=NAMES[:classes], seed=3, **{"rounds": 30, **settings})
    return fit_random_forest(x, y, classes=NAMES[:classes], seed=3, kind=kind, **{"trees": 30, **settings})  # type: ignore[arg-type]


KINDS = [
    ("random_forest", 2),
    ("random_forest", 4),
    ("extra_trees", 2),
    ("extra_trees", 4),
    ("gradient_boosting", 2),
    ("gradient_boosting", 4),
    ("isolation_forest", 1),
]


@pytest.fixture(scope="module", params=KINDS, ids=[f"{kind}-{k}" for kind, k in KINDS])
def fitted(request: pytest.FixtureRequest) -> FittedForest:
    return forest(*request.param)


def test_the_export_agrees_with_scikit_learn_everywhere_it_is_asked(fitted: FittedForest) -> None:
    parities = fitted.verify(measured(1200, 1)[0], measured(3000, 2)[0])
    assert [parity.name for parity in parities] == ["training rows", "held-out rows", "rows at thresholds"]
    assert all(parity.largest_difference <= 2e-7 and parity.flipped == 0 for parity in parities)
    assert fitted.parities == parities
    assert parities[1].to_dict()["rows"] == 3000


def test_probabilities_are_those_of_the_fitted_classes_in_order(fitted: FittedForest) -> None:
    x, y = measured(2000, 4, max(2, len(fitted.classes)))
    scores = fitted.predict(x)
    if not fitted.classes:
        assert scores.shape == (2000, 1)
        far = x[:50] + 40 * x.std(axis=0)
        assert fitted.predict(far).min() > np.quantile(scores, 0.9)
        return
    assert scores.shape == (2000, len(fitted.classes))
    assert scores.sum(axis=1) == pytest.approx(1.0, abs=1e-6)
    commonest = np.bincount(y).max() / len(y)
    for number in range(len(fitted.classes)):
        assert scores[y == number, number].mean() > 1.1 * scores[y != number, number].mean()
    assert (scores.argmax(axis=1) == y).mean() > 0.9 * commonest


def test_a_row_scores_alike_whatever_rows_stand_around_it(fitted: FittedForest) -> None:
    x = measured(4096, 5)[0]
    whole = fitted.predict(x)
    alone = np.concatenate([fitted.predict(x[row : row + 1]) for row in range(200)])
    sevens = np.concatenate([fitted.predict(x[row : row + 7]) for row in range(0, 700, 7)])
    assert np.array_equal(alone, whole[:200])
    assert np.array_equal(sevens, whole[:700])


def test_the_trees_predict_what_the_graph_predicts(fitted: FittedForest) -> None:
    x = measured(500, 6)[0]
    predicted = fitted.trees.predict(x)
    if fitted.kind == "isolation_forest":
        predicted = np.exp2(predicted)
    if fitted.kind == "gradient_boosting":
        # The trees hold log-odds without the baseline, which is alike for all rows.
        odds = np.log(fitted.predict(x))
        odds = odds if predicted.shape[1] > 1 else odds[:, 1:] - odds[:, :1]
        apart = odds - predicted
        apart -= apart.mean(axis=1, keepdims=True) if predicted.shape[1] > 1 else 0.0
        assert apart == pytest.approx(np.broadcast_to(apart[0], apart.shape), abs=1e-5)
        return
    assert predicted == pytest.approx(fitted.predict(x), abs=2e-7)


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_jobs() -> None:
    for kind, classes in KINDS:
        first, again = forest(kind, classes), forest(kind, classes, jobs=2)
        assert first.onnx == again.onnx
        assert first.trees.to_bytes() == again.trees.to_bytes()
    x, y = measured(1200, 1)
    other = fit_random_forest(x, y, classes=NAMES[:2], seed=4, trees=30)
    assert other.onnx != forest("random_forest").onnx


def test_the_cause_of_a_class_is_among_the_features_that_decide_it() -> None:
    fitted = forest("random_forest")
    x, _ = measured(400, 8)
    sure = x[fitted.predict(x)[:, 1] > 0.75]
    assert len(sure) > 20
    share = np.mean([shares(fitted.trees.contributions(row, 1)) for row in sure], axis=0)
    assert share[:3].sum() > 0.8


def test_the_cause_of_an_isolated_row_is_the_feature_that_isolates_it() -> None:
    fitted = forest("isolation_forest", trees=100)
    x, _ = measured(1200, 9)
    for feature in range(8):
        strange = np.median(x, axis=0)
        strange[feature] += 30 * x[:, feature].std()
        assert shares(fitted.trees.contributions(strange, 0)).argmax() == feature


def test_path_lengths_of_the_leaves_are_those_of_the_published_formula() -> None:
    assert average_path_length(np.array([0, 1, 2])).tolist() == [0.0, 0.0, 1.0]
    assert average_path_length(np.array([256]))[0] == pytest.approx(10.2448, abs=1e-4)


def test_a_class_without_rows_keeps_its_place_and_is_never_likely() -> None:
    x, y = measured(800, 1, 3)
    fitted = fit_random_forest(x, np.where(y == 2, 3, y), classes=NAMES, seed=1, trees=10)
    fitted.verify(x, measured(500, 2)[0])
    assert not fitted.predict(x)[:, 2].any()
    assert fitted.predict(x)[:, 3].max() > 0.5
    only_two = fit_random_forest(x, np.where(y == 2, 1, y), classes=NAMES, seed=1, trees=10)
    only_two.verify(x, measured(500, 2)[0])


def test_rows_that_cannot_be_trained_on_are_refused_with_their_place() -> None:
    x, y = measured(100, 1)
    x[7, 3] = np.nan
    with pytest.raises(GridtopError, match="row 7, feature 3"):
        fit_isolation_forest(x, seed=1)
    x[7, 3] = 1e300
    with pytest.raises(GridtopError, match="row 7, feature 3"):
        fit_random_forest(x, y, classes=NAMES[:2], seed=1)
    x[7, 3] = 0.0
    with pytest.raises(GridtopError, match="all rows have the class 'fault'"):
        fit_random_forest(x, np.ones(100, int), classes=NAMES[:2], seed=1)
    with pytest.raises(GridtopError, match="outside 0 to 1"):
        fit_random_forest(x, np.full(100, 2), classes=NAMES[:2], seed=1)
    with pytest.raises(GridtopError, match="one whole number per row"):
        fit_random_forest(x, y[:50], classes=NAMES[:2], seed=1)
    with pytest.raises(GridtopError, match="'line open' has none"):
        fit_gradient_boosting(x, np.minimum(y, 1), classes=NAMES[:3], seed=1)
    with pytest.raises(GridtopError, match="nothing to train on"):
        fit_isolation_forest(np.empty((0, 3)), seed=1)
    with pytest.raises(GridtopError, match="at least two rows"):
        fit_isolation_forest(x[:1], seed=1)


def test_files_of_a_hundred_trees_stay_below_two_megabytes_where_nothing_can_be_learned() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(4000, 50))
    for classes in (2, 4):
        y = rng.integers(0, classes, 4000)
        fitted = fit_random_forest(x, y, classes=NAMES[:classes], seed=1, trees=20)
        assert 5 * (len(fitted.onnx) + len(fitted.trees.to_bytes())) < 2.6e6
        assert 5 * len(fitted.onnx) < 2e6


# --- parity ---


def test_threshold_rows_lie_exactly_on_thresholds_deep_in_the_trees() -> None:
    trees = forest("random_forest").trees
    rows = threshold_rows(trees, np.random.default_rng(1), 3000)
    exact = rows[::3]
    below = np.nextafter(exact, np.float32(-np.inf))
    for feature in range(8):
        known = trees.threshold[trees.feature == feature]
        assert (np.isin(exact[:, feature], known) | np.isin(below[:, feature], known)).all()

    def moved_by_one_float(x: npt.NDArray[np.float32]) -> float:
        higher = np.nextafter(x, np.float32(np.inf))
        return float((trees.predict(x) != trees.predict(higher)).any(axis=1).mean())

    assert moved_by_one_float(exact) > 0.7
    assert moved_by_one_float(measured(1000, 3)[0].astype(np.float32)) < 0.02


def test_a_graph_whose_thresholds_are_rounded_the_usual_way_fails_at_the_thresholds() -> None:
    fitted = forest("random_forest")
    at = threshold_rows(fitted.trees, np.random.default_rng(1), 900)
    trees = fitted.trees
    moved = Trees(
        features=trees.features,
        roots=trees.roots,
        feature=trees.feature,
        threshold=np.where(trees.feature >= 0, np.nextafter(trees.threshold, np.float32(np.inf)), 0).astype(
            np.float32
        ),
        left=trees.left,
        right=trees.right,
        value=trees.value,
    )
    with pytest.raises(ParityError, match="differs by up to") as refused:
        check("moved", fitted.reference(at), moved.predict(at))
    assert refused.value.parity is not None
    assert refused.value.parity.largest_difference > 1e-3


def test_thresholds_are_rounded_down_to_float32() -> None:
    exact = np.array([0.1, -0.1, 0.5, 1 + 2**-30, -1 - 2**-30, 1e-46, 0.0])
    down = float32_down(exact)
    assert (down.astype(np.float64) <= exact).all()
    assert (np.nextafter(down, np.float32(np.inf)).astype(np.float64) > exact).all()


def test_a_difference_a_flip_or_a_missing_answer_is_refused() -> None:
    sure = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert check("same", sure, sure + 5e-7).flipped == 0
    with pytest.raises(ParityError, match="differs by up to 2e-06"):
        check("far", sure, sure + 2e-6)
    with pytest.raises(ParityError, match="otherwise in 1 of 2 rows"):
        check("flip", sure, np.array([[0.1, 0.9], [0.2, 0.8]]))
    with pytest.raises(ParityError, match="no answer"):
        check("missing", sure, np.where(sure == 0.9, np.nan, sure))
    with pytest.raises(ParityError, match="shape"):
        check("shape", sure, sure[:, :1])
    with pytest.raises(ParityError):
        check("infinite", sure, np.where(sure == 0.9, np.inf, sure))
    with pytest.raises(ParityError, match="otherwise in 1 of 1 rows"):
        check("threshold", np.array([[0.6]]), np.array([[0.4]]), threshold=0.5)


def test_a_tie_is_no_flip() -> None:
    tie = np.array([[0.5, 0.5]])
    assert check("tie", tie, tie + np.array([[0.0, 4e-7]])).flipped == 0
    at = np.array([[0.5]])
    assert check("at the threshold", at, at - 4e-7, threshold=0.5).flipped == 0


# --- inference ---


def test_rows_that_are_not_finite_score_nan_and_leave_the_others_alone(fitted: FittedForest) -> None:
    session = Session(fitted.onnx, trees=fitted.trees)
    x = measured(6, 10)[0]
    clean = session.run(x)
    spoilt = x.copy()
    spoilt[1, 0], spoilt[3, 7], spoilt[4, 2] = np.nan, -np.inf, 1e300
    scores = session.run(spoilt)
    assert np.isnan(scores).all(axis=1).tolist() == [False, True, False, True, True, False]
    assert np.array_equal(scores[[0, 2, 5]], clean[[0, 2, 5]])
    assert np.isnan(session.run(np.full((3, 8), np.nan))).all()


def test_no_rows_give_no_rows(fitted: FittedForest) -> None:
    session = Session(fitted.onnx, trees=fitted.trees)
    assert session.run(np.empty((0, 8))).shape == (0, session.outputs)
    assert session.outputs == (len(fitted.classes) or 1)


def test_scaling_is_done_in_float64_before_the_cast() -> None:
    rng = np.random.default_rng(1)
    small = rng.normal(size=(600, 3))
    y = (small[:, 0] > 0).astype(int)
    fitted = fit_random_forest(small, y, classes=("a", "b"), seed=1, trees=10)
    centre, spread = np.full(3, 1e9), np.array([0.5, 2.0, 1.0])
    rows = small * spread + centre
    scores = Session(fitted.onnx, centre, spread, trees=fitted.trees).run(rows)
    assert np.array_equal(scores, fitted.predict((rows - centre) / spread))
    assert ((scores[:, 1] > 0.5) == y).mean() > 0.97


def test_what_is_no_model_or_does_not_fit_is_refused_in_words() -> None:
    fitted = forest("random_forest")
    for bad in (b"", b"no model at all", fitted.onnx[:1000]):
        with pytest.raises(GridtopError, match="cannot be loaded"):
            Session(bad)
    session = Session(fitted.onnx, trees=fitted.trees)
    for rows in (np.zeros((2, 7)), np.zeros(8)):
        with pytest.raises(GridtopError, match="8 features"):
            session.run(rows)
    with pytest.raises(GridtopError, match="centre"):
        Session(fitted.onnx, np.zeros(7), np.ones(8), trees=fitted.trees)
    with pytest.raises(GridtopError, match="spread"):
        Session(fitted.onnx, np.zeros(8), np.zeros(8), trees=fitted.trees)


def test_running_a_model_imports_no_training_library(tmp_path: Path) -> None:
    fitted = forest("random_forest")
    (tmp_path / "model.onnx").write_bytes(fitted.onnx)
    (tmp_path / "trees.npz").write_bytes(fitted.trees.to_bytes())
    program = """
import sys, pathlib
import numpy as np
from gridtop.learning.inference import Calibration, Session
from gridtop.learning.trees import Trees, shares
row = np.ones((1, 8))
trees = Trees.from_bytes(pathlib.Path("trees.npz").read_bytes())
scores = Session(pathlib.Path("model.onnx").read_bytes(), trees=trees).run(row)
Calibration(((0.0, 1.0),), ((0.1, 0.9),)).apply(scores)
assert abs(trees.predict(row) - scores).max() < 1e-6
assert shares(trees.contributions(row[0], 1)).shape == (8,)
heavy = {"sklearn", "scipy", "tensorflow", "keras", "onnx", "pandas", "gridtop.training"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]


# --- calibration ---


@pytest.mark.parametrize("classes", [2, 4])
def test_calibration_makes_the_probabilities_of_a_badly_calibrated_forest_truer(classes: int) -> None:
    x, y = measured(6000, 11, classes)
    fitted = fit_random_forest(x[:1500], y[:1500], classes=NAMES[:classes], seed=1, trees=40, max_depth=4)
    calibration = calibrate(fitted.predict(x[1500:3500]), y[1500:3500])
    raw, truth = fitted.predict(x[3500:]), y[3500:]
    better = calibration.apply(raw)
    assert better.shape == raw.shape
    assert better.sum(axis=1) == pytest.approx(1.0)
    assert brier_score(better, truth) < 0.95 * brier_score(raw, truth)
    assert expected_calibration_error(better, truth) < 0.5 * expected_calibration_error(raw, truth)


def test_a_calibration_has_few_points_and_keeps_the_order_of_rows() -> None:
    x, y = measured(4000, 12)
    fitted = fit_random_forest(x[:1000], y[:1000], classes=NAMES[:2], seed=1, trees=40)
    scores = fitted.predict(x[1000:])
    calibration = calibrate(scores, y[1000:])
    assert len(calibration.scores) == 1
    assert len(calibration.scores[0]) <= 20
    order = np.argsort(scores[:, 1], kind="stable")
    raised = np.diff(scores[order, 1]) > 1e-9
    assert (np.diff(calibration.apply(scores)[order, 1])[raised] > 0).all()


def test_a_calibration_survives_the_card_and_refuses_nonsense() -> None:
    _, y = measured(2000, 13, 4)
    scores = np.random.default_rng(1).dirichlet(np.ones(4), 2000)
    calibration = calibrate(scores, y)
    again = Calibration.from_dict(calibration.to_dict())
    assert again == calibration
    assert np.array_equal(again.apply(scores), calibration.apply(scores))
    gap = calibration.apply(np.where(np.arange(2000)[:, None] == 5, np.nan, scores))
    assert np.isnan(gap[5]).all()
    assert not np.isnan(gap[6:]).any()
    wrong: tuple[dict[str, Any], ...] = (
        {},
        {"scores": [], "probabilities": []},
        {"scores": [[0, 1]], "probabilities": [[0, "x"]]},
        {"scores": [[0, 1]], "probabilities": [[1, 0]]},
        {"scores": [[1, 0]], "probabilities": [[0, 1]]},
        {"scores": [[0, 1]], "probabilities": [[0, 2]]},
        {"scores": [[0, 1]], "probabilities": [[0, float("nan")]]},
        {"scores": [[0, 1]], "probabilities": [[0]]},
    )
    for bad in wrong:
        with pytest.raises(GridtopError, match="calibration"):
            Calibration.from_dict(bad)
    with pytest.raises(GridtopError, match="4 outputs"):
        calibration.apply(scores[:, :2])
    with pytest.raises(GridtopError, match="0 to 1"):
        calibrate(scores * 3, y)
    with pytest.raises(GridtopError, match="does not know"):
        calibrate(scores, y + 4)
    with pytest.raises(GridtopError, match="do not fit"):
        calibrate(scores, y[:-1])


def test_measures_of_calibration_agree_with_a_case_done_by_hand() -> None:
    given = np.array([[0.8, 0.2], [0.6, 0.4]])
    assert brier_score(given, [0, 1]) == pytest.approx((0.04 + 0.04 + 0.36 + 0.36) / 2)
    always = np.full((10, 1), 0.7)
    assert expected_calibration_error(always, [1] * 7 + [0] * 3) == pytest.approx(0.0, abs=1e-12)
    assert expected_calibration_error(always, [1] * 4 + [0] * 6) == pytest.approx(0.3)
