"""How far figures of frames can be trusted: intervals by drawing whole groups of frames again.

Frames of one event are alike, so that drawing frames would make any interval too narrow: groups are events
and the stretches between them, or files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.evaluation.frame_metrics import Marks
from gridtop.evaluation.intervals import CONFIDENCE

DRAWS = 1000
SEED = 20260101
_BINS = 1024
"""Scores are put into so many classes for the draws; what is given as the figure itself is exact."""
_AT_ONCE = 100
"""Draws taken together: arrays of this many rows stay small."""

Interval = tuple[float, float]
UNKNOWN: Interval = (math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class Intervals:
    """The 95 % intervals of four figures; NaN where they cannot be had."""

    roc_auc: Interval = UNKNOWN
    average_precision: Interval = UNKNOWN
    mcc: Interval = UNKNOWN
    f1: Interval = UNKNOWN


def bootstrap(
    score: Floats,
    truth: Marks,
    said: Marks | None,
    group: npt.NDArray[np.int64],
    *,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Intervals:
    """Percentile intervals from `draws` draws of as many groups as there are, with replacement.

    score, truth, said, group   (n,) scores, frames of events, frames that raise an alarm, numbers of groups

    A draw without both kinds of frames is left out. With fewer than two groups of either kind nothing can be
    known of how figures vary: all are NaN. Source: B. Efron, Annals of Statistics 7 (1979), p. 1.
    """
    names, index = np.unique(group, return_inverse=True)
    groups = len(names)
    with_events = np.bincount(index[truth], minlength=groups)
    without = np.bincount(index[~truth], minlength=groups)
    if np.count_nonzero(with_events) < 2 or np.count_nonzero(without) < 2:
        return Intervals()
    bins, count = _binned(score, truth)
    cells = index * count + bins
    hits = np.bincount(cells[truth], minlength=groups * count).reshape(groups, count).astype(np.float64)
    false = np.bincount(cells[~truth], minlength=groups * count).reshape(groups, count).astype(np.float64)
    table = _table(index, groups, truth, said) if said is not None else None
    random = np.random.default_rng(seed)
    figures: list[Floats] = []
    for first in range(0, draws, _AT_ONCE):
        times = random.multinomial(groups, np.full(groups, 1 / groups), size=min(_AT_ONCE, draws - first))
        weights = times.astype(np.float64)
        figures.append(_figures(weights @ hits, weights @ false, None if table is None else weights @ table))
    return Intervals(*(_percentiles(column) for column in np.concatenate(figures).T))


def _binned(score: Floats, truth: Marks) -> tuple[npt.NDArray[np.int64], int]:
    """Classes of scores (n,), from the highest down, and how many: each different score one if there is room.

    Else so that each class holds about as much of all events' frames and of all others together.
    """
    values, inverse = np.unique(np.where(np.isnan(score), -np.inf, score), return_inverse=True)
    falling = len(values) - 1 - inverse
    if len(values) <= _BINS:
        return falling, len(values)
    weight = np.where(truth, 0.5 / np.count_nonzero(truth), 0.5 / np.count_nonzero(~truth))
    mass = np.bincount(falling, weights=weight, minlength=len(values))
    reached = np.minimum((np.cumsum(mass) - mass / 2) * _BINS, _BINS - 1).astype(np.int64)
    return reached[falling], _BINS


def _table(index: npt.NDArray[np.int64], groups: int, truth: Marks, said: Marks) -> Floats:
    """(groups, 4) numbers of frames: true and said, said only, true only, neither."""
    columns = [truth & said, ~truth & said, truth & ~said, ~truth & ~said]
    return np.stack([np.bincount(index[c], minlength=groups) for c in columns], axis=1).astype(np.float64)


def _figures(hits: Floats, false: Floats, table: Floats | None) -> Floats:
    """(draws, 4) ROC AUC, average precision, MCC, F1 of draws (draws, bins); NaN where a kind is missing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found, wrong = np.cumsum(hits, axis=1), np.cumsum(false, axis=1)
        all_hits, all_false = found[:, -1], wrong[:, -1]
        below = all_false[:, None] - wrong + false / 2
        auc = np.sum(hits * below, axis=1) / (all_hits * all_false)
        precision = np.where(found + wrong > 0, found / (found + wrong), 0.0)
        average = np.sum(hits * precision, axis=1) / all_hits
        average[all_false == 0] = np.nan
        mcc, f1 = np.full((2, len(hits)), np.nan)
        if table is not None:
            a, b, c, d = table.T
            root = np.sqrt(a + b) * np.sqrt(c + d) * np.sqrt(a + c) * np.sqrt(b + d)
            mcc = np.where(root > 0, (a * d - b * c) / root, 0.0)
            mcc[(all_hits == 0) | (all_false == 0)] = np.nan
            f1 = 2 * a / (2 * a + b + c)
    return np.stack([auc, average, mcc, f1], axis=1)


def _percentiles(values: Floats) -> Interval:
    known = values[np.isfinite(values)]
    if not len(known):
        return UNKNOWN
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(known, [tail, 100 - tail])
    return float(low), float(high)
