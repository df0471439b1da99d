"""Scores of frames beside the truth, from a detector at work or from a trained one under cross-validation.

What they are worth is worked out here, the same way for both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gridtop.blocks import Floats
from gridtop.evaluation.frame_metrics import (
    Confusion,
    Marks,
    average_precision,
    binary_confusion,
    confusion,
    roc_auc,
)
from gridtop.evaluation.resampling import DRAWS, Intervals, bootstrap
from gridtop.evaluation.splits import HONEST, Fold, Rows, Split

UNTESTED = -1
"""The fold of frames that no fold is tested on."""


@dataclass(frozen=True, slots=True)
class FrameScores:
    """What one detector thought of n frames, and what they were.

    score        (n,)  bigger is stranger; NaN is no opinion
    truth        (n,)  whether an event was on
    group        (n,)  number of the event, or of the stretch between events: what belongs together
    said         (n,)  whether the score would raise its alarm, None when there is no threshold
    fold         (n,)  by number in `fold_names`, in which fold each frame was tested; -1 in none. None: the
                       detector learned from none of these frames
    fold_names         what the folds are called: files, parts
    split              how the folds were made; `rows` may only stand beside another one
    kinds        (n,)  what the frames were, by name, and
    named        (n,)  what they were called; None of a detector that tells no classes
    level              the threshold behind `said`, when it is one
    """

    name: str
    score: Floats
    truth: Marks
    group: Rows
    said: Marks | None = None
    fold: Rows | None = None
    fold_names: tuple[str, ...] = ()
    split: Split | None = None
    kinds: Sequence[str] | None = None
    named: Sequence[str] | None = None
    level: float | None = None

    def __post_init__(self) -> None:
        n = len(self.score)
        for what in ("truth", "group", "said", "fold", "kinds", "named"):
            array = getattr(self, what)
            if array is not None and len(array) != n:
                raise ValueError(f"{self.name}: {n} scores and {len(array)} of {what}")

    def part(self, rows: Rows | Marks) -> FrameScores:
        """The frames at some positions, or where a mark is set; folds are forgotten."""
        said = None if self.said is None else self.said[rows]
        names = [None if x is None else np.asarray(x)[rows].tolist() for x in (self.kinds, self.named)]
        return FrameScores(
            self.name, self.score[rows], self.truth[rows], self.group[rows], said, None, (), None, *names
        )


@dataclass(frozen=True, slots=True)
class FrameFigures:
    """What scores of frames are worth; NaN where it cannot be said.

    frames      how many there were; `tested` of them, when folds were tested
    scored      share of them with an opinion
    prevalence  share of them in events: what a useless score has as average precision
    level       the threshold in use; None without one. `confusion` and all that follows is at this level
    confusion   frames that were and that were said to be in an event; None without a threshold
    classes     the confusion of several classes; None of a detector that tells none
    """

    name: str
    frames: int
    scored: float
    prevalence: float
    roc_auc: float
    average_precision: float
    intervals: Intervals
    level: float | None = None
    confusion: Confusion | None = None
    classes: Confusion | None = None

    @property
    def mcc(self) -> float:
        """Matthews' correlation coefficient at the level; NaN without one."""
        return math.nan if self.confusion is None else self.confusion.mcc

    def at_level(self) -> tuple[float, float, float]:
        """Precision, recall and F1 of frames in events; NaN without a level."""
        if self.confusion is None:
            return math.nan, math.nan, math.nan
        of_events = self.confusion.figures[1]
        return of_events.precision, of_events.recall, of_events.f1


@dataclass(frozen=True, slots=True)
class FoldFigures:
    """What the scores of one fold are worth, by themselves."""

    name: str
    frames: int
    roc_auc: float
    average_precision: float
    prevalence: float
    mcc: float


@dataclass(frozen=True, slots=True)
class CrossValidation:
    """What a detector that learns is worth on frames it has not seen.

    `leaking` is the same with rows dealt out at random: what one would believe, never what one gets.
    """

    honest: FrameFigures
    split: Split
    folds: tuple[FoldFigures, ...]
    leaking: FrameFigures | None = None
    remarks: tuple[str, ...] = field(default=())


def figures(scores: FrameScores, draws: int = DRAWS) -> FrameFigures:
    """What they are worth, all tested frames together; `draws` of 0 spares the intervals."""
    tested = scores if scores.fold is None else scores.part(scores.fold != UNTESTED)
    n = len(tested.score)
    said = None if tested.said is None else binary_confusion(tested.truth, tested.said)
    named = tested.named is not None and tested.kinds is not None
    return FrameFigures(
        scores.name,
        n,
        float(np.count_nonzero(~np.isnan(tested.score)) / n) if n else math.nan,
        float(np.count_nonzero(tested.truth) / n) if n else math.nan,
        roc_auc(tested.score, tested.truth),
        average_precision(tested.score, tested.truth),
        bootstrap(tested.score, tested.truth, tested.said, tested.group, draws=draws)
        if draws and n
        else Intervals(),
        scores.level,
        said,
        confusion(tested.kinds or (), tested.named or ()) if named else None,
    )


def fold_figures(scores: FrameScores) -> tuple[FoldFigures, ...]:
    """What each fold's scores are worth by themselves."""
    if scores.fold is None:
        return ()
    found = []
    for k, name in enumerate(scores.fold_names):
        one = figures(scores.part(scores.fold == k), draws=0)
        found.append(
            FoldFigures(name, one.frames, one.roc_auc, one.average_precision, one.prevalence, one.mcc)
        )
    return tuple(found)


def cross_validation(
    honest: FrameScores, leaking: FrameScores | None = None, remarks: Sequence[str] = ()
) -> CrossValidation:
    """Figures of scores that were made fold by fold, on an honest split, and on one by rows beside it.

    Raises ValueError when the split to stand alone is the leaking one.
    """
    if honest.split not in HONEST:
        raise ValueError("a split by rows shows nothing by itself: give one by event, file or time before it")
    shown = None if leaking is None else figures(leaking)
    return CrossValidation(figures(honest), honest.split, fold_figures(honest), shown, tuple(remarks))


Learn = Callable[[Rows, Rows], tuple[Floats, Marks | None]]
"""From positions to learn from and (m,) to be tested on: (m,) scores of the latter, and if they alarm."""


def scores_by_folds(
    name: str, learn: Learn, folds: Sequence[Fold], split: Split, truth: Marks, group: Rows
) -> FrameScores:
    """Have a detector learn and be tested once for each fold; frames in no test keep NaN and the fold -1.

    truth, group   (n,) whether frames are in an event, and their events' and stretches' numbers
    """
    score = np.full(len(truth), np.nan)
    said: Marks | None = np.zeros(len(truth), dtype=bool)
    fold = np.full(len(truth), UNTESTED, dtype=np.int64)
    for k, one in enumerate(folds):
        score[one.test], alarms = learn(one.train, one.test)
        fold[one.test] = k
        if alarms is None or said is None:
            said = None
        else:
            said[one.test] = alarms
    return FrameScores(name, score, truth, group, said, fold, tuple(one.name for one in folds), split)
