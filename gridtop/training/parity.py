"""The gate at export: the exported model must say what the fitted one says, or it is not written.

It must say so in every runtime that is installed; `check_runtimes` compares these later, from the files.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.errors import GridtopError
from gridtop.learning.numpy_graphs import NumpyGraph
from gridtop.learning.reconstruction import reconstruction_score
from gridtop.learning.runtimes import OnnxruntimeGraph, runtimes_at_hand
from gridtop.learning.trees import LEAF, Trees

TOLERANCE = 1e-6
"""The largest difference allowed; a decision closer than this to its limit is nobody's."""
RUNTIME_ROWS = 3000
RUNTIME_ROWS = 3000


@dataclass(frozen=True, slots=True)
class Parity:
    """How well an exported model agrees with the fitted one on one set of rows."""

    name: str
    rows: int
    largest_difference: float
    flipped: int
    """Rows that decide otherwise: another class, or the other side of the threshold."""

    def to_dict(self) -> dict[str, Any]:
        """For the parity report of a model folder."""
        return asdict(self)


class ParityError(GridtopError):
    """The exported model does not agree with the fitted one; `parity` says by how much."""

    def __init__(self, message: str, parity: Parity | None = None) -> None:
        super().__init__(message)
        self.parity = parity


def check(
    name: str,
    reference: npt.NDArray[np.float64],
    exported: npt.NDArray[np.float64],
    threshold: float | None = None,
) -> Parity:
    """Compare outputs (n, k) of the fitted and the exported model on the same rows.

    A decision is the largest of several outputs, or one output at or above `threshold`. It flips when the
    fitted model is sure, that is, its two best outputs differ by more than 2e-6, or it is more than 1e-6 away
    from the threshold. Raises ParityError when the shapes differ, one is NaN where the other is not, a
    difference is above 1e-6, or a decision flips.
    """
    if reference.shape != exported.shape or reference.ndim != 2:
        raise ParityError(
            f"{name}: the exported model gives shape {exported.shape}, the fitted one {reference.shape}"
        )
    missing = np.isnan(reference)
    if (missing != np.isnan(exported)).any():
        rows = int((missing != np.isnan(exported)).any(axis=1).sum())
        raise ParityError(f"{name}: the exported model has no answer, or one too many, in {rows} rows")
    known = ~missing.any(axis=1)
    fitted, written = reference[known], exported[known]
    with np.errstate(invalid="ignore"):
        difference = np.where(fitted == written, 0.0, np.abs(fitted - written))
    parity = Parity(
        name, len(reference), float(difference.max(initial=0.0)), _flipped(fitted, written, threshold)
    )
    if not parity.largest_difference <= TOLERANCE or parity.flipped:
        raise ParityError(
            f"{name}: the exported model differs by up to {parity.largest_difference:.2g} "
            f"(allowed: {TOLERANCE:g}) and decides otherwise in {parity.flipped} of "
            f"{parity.rows} rows; it is not written",
            parity,
        )
    return parity


def worst(parities: Iterable[Parity]) -> Parity:
    """The one of several with the largest difference."""
    return max(parities, key=lambda parity: parity.largest_difference)


def check_runtimes(onnx: bytes, trees: Trees | None, *, seed: int = 0) -> Parity | None:
    """Compare numpy with onnxruntime on an exported graph, without its scaling; None without onnxruntime.

    Forests get rows at thresholds, networks rows up to 30 spreads out and more. Raises ParityError as
    `check`, and GridtopError when one of the two cannot run the graph.
    """
    if "onnxruntime" not in runtimes_at_hand():
        return None
    reference, graph = OnnxruntimeGraph(onnx), NumpyGraph(onnx, trees)
    rng = np.random.default_rng(seed)
    if trees is not None:
        rows = threshold_rows(trees, rng, RUNTIME_ROWS)
        answers = reference.run(rows), graph.run(rows)
    else:
        size = rng.choice([0.3, 1.0, 3.0, 30.0], (RUNTIME_ROWS, 1))
        rows = (rng.standard_normal((RUNTIME_ROWS, graph.features)) * size).astype(np.float32)
        unit = error_unit(graph.weights)
        answers = comparable_score(reference.run(rows), unit), comparable_score(graph.run(rows), unit)
    try:
        return check("onnxruntime and numpy", *answers)
    except ParityError as error:
        found = error.parity
        apart = "" if found is None else f", by up to {found.largest_difference:.2g} (allowed: {TOLERANCE:g})"
        raise ParityError(f"onnxruntime and numpy give different answers{apart}", found) from None


def error_unit(weights: npt.NDArray[np.float64] | None) -> float:
    """What a difference of one spread counts for in a score whose squared errors have these weights (f,)."""
    return 1.0 if weights is None else max(1.0, float(np.sqrt(weights.max())))


def comparable_score(errors: npt.NDArray[np.float64], unit: float) -> npt.NDArray[np.float64]:
    """(n, 1) scores of squared errors (n, f) on the scale on which they are compared; the order stays.

    A reconstruction may differ by 1e-6 spreads, above a score of 1 by that part of it: float32 carries no
    more, and two libraries compute tanh to its last digit only.
    """
    return relative_above_one(reconstruction_score(errors))[:, np.newaxis] / unit


def relative_above_one(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Scores up to 1 as they are, above on a scale where equal steps are equal parts; the order stays."""
    return np.where(scores > 1.0, 1.0 + np.log(np.maximum(scores, 1.0)), scores)


def threshold_rows(trees: Trees, rng: np.random.Generator, rows: int) -> npt.NDArray[np.float32]:
    """(rows, f) rows exactly on the trees' thresholds, and on the next float32 above and below.

    Each row is led down a random path of a random tree to a leaf, so deep splits are met, too: where a
    feature is on the wrong side of a split it is moved to the threshold, or to the next float32 above it.
    Then a third of the rows is moved up by one float32 in every feature, and a third down.
    """
    x = np.zeros((rows, trees.features), np.float32)
    inner = trees.feature != LEAF
    for feature in np.unique(trees.feature[inner]):
        x[:, feature] = rng.choice(trees.threshold[trees.feature == feature], rows)
    node = rng.choice(trees.roots, rows)
    below = np.full_like(x, -np.inf)
    above = np.full_like(x, np.inf)
    at = np.flatnonzero(trees.feature[node] != LEAF)
    while len(at):
        here = node[at]
        feature, threshold = trees.feature[here], trees.threshold[here]
        left = rng.random(len(at)) < 0.5
        above[at, feature] = np.where(left, threshold, above[at, feature])
        next_up = np.nextafter(threshold, np.float32(np.inf))
        below[at, feature] = np.where(left, below[at, feature], next_up)
        node[at] = np.where(left, trees.left[here], trees.right[here])
        at = at[trees.feature[node[at]] != LEAF]
    x = np.minimum(np.maximum(x, below), above)
    for third, towards in ((1, np.inf), (2, -np.inf)):
        x[third::3] = np.nextafter(x[third::3], np.float32(towards))
    return x


def _flipped(
    fitted: npt.NDArray[np.float64], written: npt.NDArray[np.float64], threshold: float | None
) -> int:
    if not len(fitted):
        return 0
    if fitted.shape[1] > 1:
        best = np.sort(fitted, axis=1)
        sure = best[:, -1] - best[:, -2] > 2 * TOLERANCE
        return int((sure & (fitted.argmax(axis=1) != written.argmax(axis=1))).sum())
    if threshold is None:
        return 0
    sure = np.abs(fitted[:, 0] - threshold) > TOLERANCE
    return int((sure & ((fitted[:, 0] >= threshold) != (written[:, 0] >= threshold))).sum())
