"""What scores of frames are worth: ROC AUC, PR AUC, MCC, precision, recall, F1 and confusion matrices.

A score that is NaN ("no opinion") counts as lower than every other: it raises no alarm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats

Marks = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


def roc_auc(score: Floats, truth: Marks) -> float:
    """The probability that a frame of an event scores higher than one without, ties counted half.

    `score` and `truth` are (n,). NaN unless there are frames of both kinds. By mid-ranks: H. B. Mann and
    D. R. Whitney, Annals of Mathematical Statistics 18 (1947), p. 50.
    """
    positives = int(np.count_nonzero(truth))
    negatives = len(truth) - positives
    if not positives or not negatives:
        return math.nan
    _, inverse, counts = np.unique(_ordered(score), return_inverse=True, return_counts=True)
    # Twice the mid-rank of a tie is a whole number: the sum is exact.
    twice = 2 * np.cumsum(counts) - counts + 1
    total = int(twice[inverse][truth].sum())
    return (total - positives * (positives + 1)) / (2 * positives * negatives)


def average_precision(score: Floats, truth: Marks) -> float:
    """The area under precision over recall as a sum of steps, frames of one score taken together.

    `score` and `truth` are (n,). A useless score reaches the prevalence, so give that beside it. NaN without
    frames of events.
    """
    recall, precision = pr_curve(score, truth)
    return float(np.sum(np.diff(recall) * precision[1:])) if len(recall) else math.nan


def roc_curve(score: Floats, truth: Marks) -> tuple[Floats, Floats]:
    """False and true positive rate (k,), from (0, 0) to (1, 1), a point for each different score.

    Empty unless there are frames of both kinds.
    """
    hits, false = _swept(score, truth)
    if not len(hits) or not hits[-1] or not false[-1]:
        return np.empty(0), np.empty(0)
    return _from_zero(false / false[-1]), _from_zero(hits / hits[-1])


def pr_curve(score: Floats, truth: Marks) -> tuple[Floats, Floats]:
    """Recall and precision (k,) as the threshold falls, a point for each different score behind (0, 1).

    Empty without frames of events.
    """
    hits, false = _swept(score, truth)
    if not len(hits) or not hits[-1]:
        return np.empty(0), np.empty(0)
    return _from_zero(hits / hits[-1]), np.concatenate(([1.0], hits / (hits + false)))


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How well one class was told: NaN precision when it was never named, NaN recall when it never was.

    `frames` is how many frames were truly of the class.
    """

    name: str
    frames: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Which class frames were, by rows, and which they were taken for, by columns.

    `classes` are the k names, `counts` is (k, k).
    """

    classes: tuple[str, ...]
    counts: Counts

    @property
    def figures(self) -> tuple[ClassFigures, ...]:
        """A line for each class."""
        right = np.diag(self.counts).tolist()
        were, named = self.counts.sum(axis=1).tolist(), self.counts.sum(axis=0).tolist()
        return tuple(
            ClassFigures(
                name,
                were[k],
                _ratio(right[k], named[k]),
                _ratio(right[k], were[k]),
                _ratio(2 * right[k], were[k] + named[k]),
            )
            for k, name in enumerate(self.classes)
        )

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that occur, in truth or in what was said; NaN when none does."""
        known = [figure.f1 for figure in self.figures if not math.isnan(figure.f1)]
        return math.fsum(known) / len(known) if known else math.nan

    @property
    def mcc(self) -> float:
        """Matthews' correlation coefficient of all classes; 0 when one class is always said.

        NaN unless two classes occur in truth. Source: J. Gorodkin, Computational Biology and Chemistry 28
        (2004), p. 367; with two classes it is that of B. W. Matthews (1975).
        """
        # Whole numbers of any size: products of four counts of frames do not fit 64 bits.
        were = [int(count) for count in self.counts.sum(axis=1)]
        named = [int(count) for count in self.counts.sum(axis=0)]
        frames, right = sum(were), int(np.trace(self.counts))
        spread = frames**2 - sum(count**2 for count in were)
        said = frames**2 - sum(count**2 for count in named)
        if not spread:
            return math.nan
        if not said:
            return 0.0
        agreement = right * frames - sum(a * b for a, b in zip(were, named, strict=True))
        return agreement / math.sqrt(spread * said)


def confusion(truth: Sequence[str], said: Sequence[str], classes: Sequence[str] = ()) -> Confusion:
    """The confusion matrix of (n,) names; `classes` come first, in their order, then others by name.

    Raises ValueError when the lengths differ.
    """
    if len(truth) != len(said):
        raise ValueError(f"{len(truth)} frames were something and {len(said)} were called something")
    were, were_at = np.unique(np.asarray(truth, dtype=np.str_), return_inverse=True)
    named, named_at = np.unique(np.asarray(said, dtype=np.str_), return_inverse=True)
    names = tuple(dict.fromkeys([*classes, *sorted({*were.tolist(), *named.tolist()})]))
    place = {name: k for k, name in enumerate(names)}
    rows = np.array([place[name] for name in were.tolist()], dtype=np.int64)
    columns = np.array([place[name] for name in named.tolist()], dtype=np.int64)
    k = len(names)
    cells = rows[were_at] * k + columns[named_at] if len(truth) else np.empty(0, dtype=np.int64)
    return Confusion(names, np.bincount(cells, minlength=k * k).reshape(k, k).astype(np.int64))


NORMAL, EVENT = "normal", "event"
"""The two classes of a binary confusion matrix."""


def binary_confusion(truth: Marks, said: Marks) -> Confusion:
    """The confusion matrix of frames (n,) that were in an event, and that were said to be."""
    cells = 2 * truth.astype(np.int64) + said
    return Confusion((NORMAL, EVENT), np.bincount(cells, minlength=4).reshape(2, 2).astype(np.int64))


def _ordered(score: Floats) -> Floats:
    """The scores, with no opinion below all others."""
    return np.where(np.isnan(score), -np.inf, score)


def _swept(score: Floats, truth: Marks) -> tuple[Floats, Floats]:
    """How many frames with and without an event score so high or higher, for each score from the top down."""
    values, inverse = np.unique(_ordered(score), return_inverse=True)
    hits = np.bincount(inverse[truth], minlength=len(values))[::-1]
    false = np.bincount(inverse[~truth], minlength=len(values))[::-1]
    return np.cumsum(hits).astype(np.float64), np.cumsum(false).astype(np.float64)


def _from_zero(values: Floats) -> Floats:
    return np.concatenate(([0.0], values))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
