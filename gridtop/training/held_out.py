"""What a kind of model is worth on rows it has not seen, and beside it what a random split would pretend."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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
    """What came out of cross-validation: figures, and raw scores (n, k) of the rows of `data`.

    honest    one score a row from the models that had not seen it; None without a split
    leaking   the same of random rows; None when nobody asked
    blind     (f,) whether one of the models of the honest split was fitted to rows that had all one value
    """

    scores: tuple[Score, ...]
    data: Dataset
    raw: Floats
    tested: Marks
    confusion: Confusion | None
    is_constant: bool
    honest: FrameScores | None
    leaking: FrameScores | None
    blind: Marks


def folds_of(
    data: Dataset, split: Split | None, names: tuple[str, ...], *, one_by_one: bool = False
) -> list[Fold]:
    """The folds; GridtopError, saying why, when the data cannot be split in this way.

    A split by file leaves out a fifth of many large ones at a time, unless `one_by_one` is asked for.
    """
    if split is None:
        return []
    try:
        if split == "rows":
            return by_rows(len(data.y), FOLDS)
        if split == "time":
            return by_time(data.seconds, data.group)
        if split == "file":
            many = len(names) > MOST_SINGLE_FILES and len(names) * len(data.y) > FEW_ROWS
            if many and not one_by_one:
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
    one_by_one: bool = False,
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
    blind = np.zeros(small.x.shape[1], dtype=bool)
    honest = seen = None
    if split is not None:
        folds = folds_of(small, split, names, one_by_one=one_by_one)
        honest = _scores(small, quick, split, folds, raw, step, blind)
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
        folds = folds_of(small, "rows", names)
        seen = _scores(small, quick, "rows", folds, other, step, np.zeros_like(blind))
        found += score_list(seen, SPLIT_NAMES["rows"], leaking=True)
        if several:
            all_rows = np.ones(len(small.y), dtype=bool)
            pretended = _confusion(small, other, all_rows).macro_f1
            found += (_plain("macro F1", pretended, SPLIT_NAMES["rows"], leaking=True),)
    return HeldOut(found, small, raw, tested, matrix, constant, honest, seen, blind)


def _scores(
    data: Dataset,
    estimator: Estimator,
    split: Split,
    folds: Sequence[Fold],
    raw: Floats,
    step: Step,
    blind: Marks,
) -> FrameScores:
    """The scores of one split; `raw` (n, k) and `blind` (f,) are filled in."""

    def learn(train: Whole, test: Whole) -> tuple[Floats, Marks | None]:
        part = data.part(train)
        if estimator.is_supervised and len(np.unique(part.y)) < 2:
            raise GridtopError(
                f"--split {split}: without one of the parts all rows are "
                f"{data.classes[int(part.y[0])]!r}: there is nothing to tell apart. Take another split"
            )
        fitted = estimator.fit(part)
        np.logical_or(blind, blind_features(estimator, part), out=blind)
        raw[test] = fitted.score(data.x[test])
        step()
        return fitted.alarms(raw[test])

    group = data.file if split == "file" else data.group
    scores = scores_by_folds(estimator.kind, learn, folds, split, data.truth, group)
    return _with_classes(scores, data, estimator, raw)


def blind_features(estimator: Estimator, data: Dataset) -> Marks:
    """(f,) which features have one value in all the rows that an estimator learns from."""
    learned = data.x if estimator.is_supervised else data.x[data.ordinary]
    alike: Marks = np.ptp(learned, axis=0) == 0
    return alike


def finished_scores(fitted: Fitted, data: Dataset) -> FrameScores:
    """One score a row by the finished model, of recordings that are for testing only."""
    raw = fitted.score(data.x)
    score, said = fitted.alarms(raw)
    estimator = fitted.estimator
    scores = FrameScores(estimator.kind, score, data.truth, data.group, said)
    return _with_classes(scores, data, estimator, raw)


def own_file_scores(fitted: Fitted, data: Dataset) -> tuple[Score, ...]:
    """The figures of the finished model on recordings that are for testing only."""
    return score_list(finished_scores(fitted, data), OWN_FILE)


def _with_classes(scores: FrameScores, data: Dataset, estimator: Estimator, raw: Floats) -> FrameScores:
    """The scores with what each row was and was called, of an estimator that tells several classes."""
    if len(data.classes) <= 2 or not estimator.is_supervised:
        return scores
    # A class that was never taught is beyond the names: what a row of it was is still no secret.
    names = np.array([*data.classes, "another"])
    return replace(
        scores,
        kinds=names[np.minimum(data.y, len(data.classes))].tolist(),
        named=names[np.argmax(raw, axis=1)].tolist(),
    )


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
