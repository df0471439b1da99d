"""Which frames a detector may learn from and which it is tested on: by event, by file, by time, or by row.

Only the last one leaks: rows of one event on both sides let a detector recognise what it was taught.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.evaluation.frame_metrics import Marks

Split = Literal["event", "file", "time", "rows"]
HONEST: tuple[Split, ...] = ("event", "file", "time")
"""The splits whose figures may stand alone."""
FOLDS = 5
SEED = 20260101
LEARNING_SHARE = 0.6
"""How much of the time comes first in a split by time."""
GAP_S = 10.0
"""Seconds between what is learned from and what is tested, in a split by time: longer than any window."""

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Fold:
    """One round: positions of the frames to learn from and of those to be tested on, both ascending."""

    name: str
    train: Rows
    test: Rows


def segments(inside: npt.NDArray[np.int64]) -> Rows:
    """(n,) numbers of stretches, counted from 0: the stretch changes where `inside` does.

    `inside` tells for each frame what it belongs to: the number of its event, -1 between events, and a file
    further on other numbers than the one before.
    """
    if not len(inside):
        return np.empty(0, dtype=np.int64)
    return np.concatenate(([0], np.cumsum(np.diff(inside) != 0))).astype(np.int64)


def by_event(group: Rows, truth: Marks, folds: int = FOLDS) -> list[Fold]:
    """Whole events, and whole stretches between them, in one of so many folds; fewer when groups are fewer.

    group, truth   (n,) numbers of events and stretches, and whether a frame is in an event

    Those with events and those without are dealt out apart, the longest first, each to the fold that has the
    least.
    """
    names, index, sizes = np.unique(group, return_inverse=True, return_counts=True)
    eventful = np.bincount(index[truth], minlength=len(names)) > 0
    folds = min(folds, len(names))
    filled = np.zeros((2, folds), dtype=np.int64)
    place = np.empty(len(names), dtype=np.int64)
    for g in np.lexsort((names, -sizes)).tolist():
        kind = int(eventful[g])
        # The other kind decides between equals, or the first folds would get all the odd ones.
        place[g] = int(np.lexsort((filled[1 - kind], filled[kind]))[0])
        filled[kind, place[g]] += sizes[g]
    dealt = place[index]
    return [_fold(f"part {k + 1}", dealt == k) for k in range(folds) if (dealt == k).any()]


def by_file(file: Rows, names: tuple[str, ...] = ()) -> list[Fold]:
    """Each file is tested by what was learned from all others; ValueError when there is but one."""
    numbers = np.unique(file).tolist()
    if len(numbers) < 2:
        raise ValueError("a split by file needs two recordings or more")
    return [_fold(names[k] if k < len(names) else f"file {k + 1}", file == k) for k in numbers]


def by_time(
    time: Floats, group: Rows, learning_share: float = LEARNING_SHARE, gap: float = GAP_S
) -> list[Fold]:
    """One fold: learn from the first part and be tested on what comes later by `gap` seconds or more.

    time, group   (n,) seconds in ascending order, and the numbers of events and stretches by `segments`

    The parts meet where an event or a stretch begins, as near as possible to the share that is learned from,
    so that none is on both sides. Raises ValueError when there is no such place, or nothing before the gap.
    """
    if np.any(np.diff(time) < 0):
        raise ValueError("the recordings overlap in time: split by file or by event")
    borders = np.flatnonzero(np.diff(group) != 0) + 1
    if not len(borders):
        raise ValueError("there is one event or none, so nothing to split by time")
    first = int(borders[np.argmin(np.abs(borders - learning_share * len(time)))])
    train = np.flatnonzero(time[:first] <= time[first] - gap).astype(np.int64)
    if not len(train):
        raise ValueError(f"nothing comes {gap:g} s before the part to be tested: split by event")
    return [Fold(f"the last {1 - first / len(time):.0%}", train, np.arange(first, len(time), dtype=np.int64))]


def by_rows(n: int, folds: int = FOLDS, seed: int = SEED) -> list[Fold]:
    """Rows dealt out at random: what leaks, to be shown beside an honest split and never alone."""
    dealt = np.random.default_rng(seed).permutation(n) % folds
    return [_fold(f"part {k + 1}", dealt == k) for k in range(folds) if (dealt == k).any()]


def _fold(name: str, test: Marks) -> Fold:
    return Fold(name, np.flatnonzero(~test).astype(np.int64), np.flatnonzero(test).astype(np.int64))
