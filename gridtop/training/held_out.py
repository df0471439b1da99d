"""What a kind of model is worth on rows it has not seen, and beside it what a random split would pretend."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from gridtop.blocks import Floats
from gridtop.errors import GridtopError
from gridtop.evaluation.frame_metrics import Confusion, confusion
from gridtop.evaluation.frame_scores import UNTESTED, FrameScores, figures, scores_by_folds
from gridtop.evaluation.splits import Fold, Split, by_event, by_file, by_rows, by_time
from gridtop.learning.card import Score
from gridtop.training.datasets import Dataset
from gridtop.training.estimators import Estimator, Fitted
from gridtop.training.lessons import Marks, Whole

CROSS_ROWS = 60_000
"""Rows that cross-validation uses at most: models are fitted many times."""
FOLDS = 5
MOST_SINGLE_FILES = 6
FEW_ROWS = 400_000
"""Up to so many recordings, or rows times recordings, each is left out by itself; else five parts of them."""
SPLIT_NAMES = {
    "event": "by event",
    "file": "by file",
    "time": "by time",
    "rows": "random rows: leaking",
}
OWN_FILE = "file of its own"

Step = Callable[[], object]


@dataclass(frozen=True)
class HeldOut:
    """What came out of cross-validation: figures, and raw scores (n, k) of the rows of `data`."""

    scores: tuple[Score, ...]
    data: Dataset
    raw: Floats
    tested: Marks
    confusion: Confusion | None
    is_constant: bool


def folds_of(data: Dataset, split: Split | None, names: tuple[str, ...]) -> list[Fold]:
    """The folds; GridtopError, saying why, when the data cannot be split in this way."""
    if split is None:
        return []
    try:
        if split == "rows":
            return by_rows(len(data.y), FOLDS)
        if split == "time":
            return by_time(data.seconds, data.group)
        if split == "file":
            if len(names) > MOST_SINGLE_FILES and len(names) * len(data.y) > FEW_ROWS:
                return by_event(data.file, data.truth, FOLDS)
            return by_file(data.file, names)
    except ValueError as error:
        raise GridtopError(f"--split {split}: {error}") from None
    eventful = len(np.unique(data.group[data.truth]))
    quiet = len(np.unique(data.group[~data.truth]))
    if min(eventful, quiet) < 2:
        raise GridtopError(
            f"--split event: there are {eventful} events and {quiet} stretches without: two of each are the "
            "least that can be split. Give more data"
        )
    return by_event(data.group, data.truth, min(FOLDS, eventful, quiet))


def steps(data: Dataset, estimator: Estimator, split: Split | None, names: tuple[str, ...]) -> int:
    """How many models are fitted for a model to be judged and finished."""
    return len(folds_of(data, split, names)) + (FOLDS if estimator.is_supervised else 0) + 1


def cross_validated(
    data: Dataset,
    estimator: Estimator,
    split: Split | None,
    names: tuple[str, ...],
    *,
    leaking: bool,
    step: Step = lambda: None,
) -> HeldOut:
    """Teach on some folds, test on the others, all round; with `leaking` also on a split by random rows.

    Without a split nothing is held out but those random rows. Raises GridtopError when the data cannot be
    split.
    """
    small = data.part(np.arange(0, len(data.y), -(-len(data.y) // CROSS_ROWS)))
    quick = replace(estimator, epochs=min(estimator.epochs, 25), patience=min(estimator.patience, 4))
    raw = np.full((len(small.y), len(data.classes) if estimator.is_supervised else 1), np.nan)
    several = len(data.classes) > 2 and estimator.is_supervised
    found: tuple[Score, ...] = ()
    tested = np.zeros(len(small.y), dtype=bool)
    matrix: Confusion | None = None
    constant = False
    if split is not None:
        honest = _scores(small, quick, split, names, raw, step)
        assert honest.fold is not None
        tested = honest.fold != UNTESTED
        found = score_list(honest, SPLIT_NAMES[split])
        known = honest.score[np.isfinite(honest.score)]
        constant = bool(len(known) and known.min() == known.max())
    if split is not None and several:
        matrix = _confusion(small, raw, tested)
        found += (_plain("macro F1", matrix.macro_f1, SPLIT_NAMES[split]),)
    if leaking:
        other = np.full_like(raw, np.nan)
        seen = _scores(small, quick, "rows", names, other, step)
        found += score_list(seen, SPLIT_NAMES["rows"], leaking=True)
        if several:
            all_rows = np.ones(len(small.y), dtype=bool)
            pretended = _confusion(small, other, all_rows).macro_f1
            found += (_plain("macro F1", pretended, SPLIT_NAMES["rows"], leaking=True),)
    return HeldOut(found, small, raw, tested, matrix, constant)


def _scores(
    data: Dataset, estimator: Estimator, split: Split, names: tuple[str, ...], raw: Floats, step: Step
) -> FrameScores:
    def learn(train: Whole, test: Whole) -> tuple[Floats, Marks | None]:
        part = data.part(train)
        if estimator.is_supervised and len(np.unique(part.y)) < 2:
            raise GridtopError(
                f"--split {split}: without one of the parts all rows are "
                f"{data.classes[int(part.y[0])]!r}: there is nothing to tell apart. Take another split"
            )
        fitted = estimator.fit(part)
        raw[test] = fitted.score(data.x[test])
        step()
        return fitted.alarms(raw[test])

    group = data.file if split == "file" else data.group
    return scores_by_folds(estimator.kind, learn, folds_of(data, split, names), split, data.truth, group)


def own_file_scores(fitted: Fitted, data: Dataset) -> tuple[Score, ...]:
    """The figures of the finished model on recordings that are for testing only."""
    score, said = fitted.alarms(fitted.score(data.x))
    return score_list(FrameScores("test", score, data.truth, data.group, said), OWN_FILE)


def score_list(scores: FrameScores, split: str, *, leaking: bool = False) -> tuple[Score, ...]:
    """ROC AUC, PR AUC with prevalence, F1 and MCC, with intervals over groups."""
    tested = scores if scores.fold is None else scores.part(scores.fold != UNTESTED)
    one = figures(tested)
    groups = len(np.unique(tested.group))
    found = [
        ("ROC AUC", one.roc_auc, one.intervals.roc_auc),
        ("PR AUC", one.average_precision, one.intervals.average_precision),
        ("prevalence", one.prevalence, (math.nan, math.nan)),
    ]
    if tested.said is not None:
        f1 = one.at_level()[2]
        found += [
            ("F1", f1, one.intervals.f1),
            ("MCC", one.mcc, one.intervals.mcc),
        ]
    return tuple(
        Score(
            name=name,
            value=None if math.isnan(value) else value,
            interval=None if math.isnan(interval[0]) else interval,
            groups=groups,
            split=split,
            leaking=leaking,
        )
        for name, value, interval in found
    )


def _plain(name: str, value: float, split: str, *, leaking: bool = False) -> Score:
    return Score(name=name, value=None if math.isnan(value) else value, split=split, leaking=leaking)


def _confusion(data: Dataset, raw: Floats, rows: Marks) -> Confusion:
    names = np.array(data.classes)
    said = names[np.argmax(raw[rows], axis=1)]
    return confusion(names[data.y[rows]].tolist(), said.tolist(), data.classes)
