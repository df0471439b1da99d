"""The gate at export: the exported model must say what the fitted one says, or it is not written."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.errors import GridtopError
from gridtop.learning.trees import LEAF, Trees

TOLERANCE = 1e-6
"""The largest difference allowed; a decision closer than this to its limit is nobody's."""


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
