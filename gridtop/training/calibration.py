"""Makes scores into probabilities that keep their word: fits the curves, and measures how well they do."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridtop.errors import GridtopError
from gridtop.learning.inference import Calibration

Floats = npt.NDArray[np.float64]
MOST_POINTS = 20
OWN_SCORE = 0.01
"""How much of the raw score stays in the curve: a curve with flat parts would make different rows alike."""


def calibrate(scores: npt.ArrayLike, y: npt.ArrayLike, *, points: int = MOST_POINTS) -> Calibration:
    """Fit curves to scores (n, k), 0 to 1, of rows that the model was *not* trained on, with classes y (n,).

    One output: y is 1 where it is true. Two outputs: one curve, of the second. More: one per output, each
    against all others. A curve is the isotonic regression, kept away from 0 and 1 by what n rows cannot tell,
    reduced to at most `points` points, with one hundredth of the raw score mixed in. Raises GridtopError when
    the shapes or classes do not fit. Rows with NaN are left out.
    """
    raw, numbers = np.asarray(scores, np.float64), np.asarray(y)
    if raw.ndim != 2 or numbers.shape != raw.shape[:1] or numbers.dtype.kind not in "iub":
        raise GridtopError(
            f"scores {raw.shape} and classes {numbers.shape} to calibrate do not fit each other"
        )
    if points < 2:
        raise GridtopError("a calibration curve needs at least two points")
    known = np.isfinite(raw).all(axis=1)
    raw, numbers = raw[known], numbers[known].astype(np.int64)
    outputs = raw.shape[1]
    if not len(raw) or numbers.min() < 0 or numbers.max() >= max(outputs, 2):
        raise GridtopError(
            "there are no rows to calibrate with, or one has a class that the model does not know"
        )
    if raw.min() < 0 or raw.max() > 1:
        raise GridtopError("only scores from 0 to 1 can be made into probabilities")
    columns = [(0, 1)] if outputs == 1 else [(1, 1)] if outputs == 2 else [(c, c) for c in range(outputs)]
    curves = [_curve(raw[:, column], numbers == meant, points) for column, meant in columns]
    return Calibration(tuple(tuple(s) for s, _ in curves), tuple(tuple(p) for _, p in curves))


def brier_score(probabilities: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Mean squared error of probabilities (n, k) for classes y (n,), summed over the outputs (Brier 1950)."""
    given = np.asarray(probabilities, np.float64)
    return float(np.square(given - _truth(given, y)).sum(axis=1).mean())


def expected_calibration_error(probabilities: npt.ArrayLike, y: npt.ArrayLike, bins: int = 10) -> float:
    """How far the probability of an output is from how often it comes true, 0 to 1; 0 is perfect.

    Mean over equally wide bins of probability, weighted by their rows, and over the k outputs (the class-wise
    form of Naeini, Cooper and Hauskrecht 2015).
    """
    given = np.asarray(probabilities, np.float64)
    truth = _truth(given, y)
    errors = []
    for output in range(given.shape[1]):
        box = np.minimum((given[:, output] * bins).astype(np.int64), bins - 1)
        gap = np.bincount(box, given[:, output] - truth[:, output], bins)
        errors.append(np.abs(gap).sum() / len(given))
    return float(np.mean(errors))


def _truth(given: Floats, y: npt.ArrayLike) -> Floats:
    numbers = np.asarray(y).astype(np.int64)
    if given.shape[1] == 1:
        return np.asarray((numbers == 1)[:, None], np.float64)
    return np.asarray(numbers[:, None] == np.arange(given.shape[1]), np.float64)


def _curve(score: Floats, true: npt.NDArray[np.bool_], points: int) -> tuple[list[float], list[float]]:
    from sklearn.isotonic import IsotonicRegression

    unsure = 1.0 / (len(score) + 2.0)
    fitted = IsotonicRegression(y_min=unsure, y_max=1.0 - unsure, out_of_bounds="clip").fit(score, true)
    knots = np.asarray(fitted.X_thresholds_, np.float64)
    levels = np.asarray(fitted.y_thresholds_, np.float64)
    # The ends of the scale belong to the curve, so that the raw score keeps its say beyond the rows seen.
    inside = (knots > 0.0) & (knots < 1.0)
    x = np.concatenate([[0.0], knots[inside], [1.0]])
    level = np.concatenate([levels[:1], levels[inside], levels[-1:]])
    x, level = _fewer(x, level, score, points)
    level = (1.0 - OWN_SCORE) * level + OWN_SCORE * x
    return x.tolist(), np.clip(level, 0.0, 1.0).tolist()


def _fewer(x: Floats, level: Floats, score: Floats, points: int) -> tuple[Floats, Floats]:
    """The points that matter: from the two ends, always the one whose lack hurts most, counted in rows."""
    kept = np.zeros(len(x), bool)
    kept[[0, -1]] = True
    weight = np.bincount(np.searchsorted(x, score).clip(0, len(x) - 1), minlength=len(x)) + 1.0
    while kept.sum() < min(points, len(x)):
        error = np.abs(np.interp(x, x[kept], level[kept]) - level) * weight
        error[kept] = -1.0
        kept[error.argmax()] = True
    return x[kept], level[kept]
