"""How well event windows are told apart by models that had not seen their recordings or events."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.errors import GridtopError
from gridtop.learning.card import Score

Integers = npt.NDArray[np.int64]
DRAWS = 1000
SEED = 20260101


class Predicts(Protocol):
    """A fitted classifier."""

    def predict(self, x: npt.ArrayLike) -> Floats:
        """(n, c) probabilities."""
        ...


def out_of_fold(
    x: Floats, groups: Integers, folds: int, fit: Callable[[npt.NDArray[np.bool_], int], Predicts]
) -> Floats:
    """(n, c) what is said of rows x (n, w) by models fitted without any row of their group.

    `fit` is given the rows (n,) to learn from and the number of the fold; groups are dealt to the folds in
    turn, the largest first.
    """
    names, index, counts = np.unique(groups, return_inverse=True, return_counts=True)
    folds = min(folds, len(names))
    if folds < 2:
        raise GridtopError("one event is too few to judge a model on: there must be another to learn from")
    load = np.zeros(folds, dtype=np.int64)
    fold_of = np.empty(len(names), dtype=np.int64)
    for group in np.argsort(-counts, kind="stable"):
        fold_of[group] = load.argmin()
        load[fold_of[group]] += counts[group]
    fold = fold_of[index]
    parts = [(fold == i, fit(fold != i, i).predict(x[fold == i])) for i in range(folds)]
    result = np.empty((len(x), parts[0][1].shape[1]))
    for chosen, part in parts:
        result[chosen] = part
    return result


def scores_of(
    probabilities: Floats,
    y: Integers,
    groups: Integers,
    classes: Sequence[str],
    split: str,
    *,
    leaking: bool = False,
) -> tuple[Score, ...]:
    """Macro-F1 over the classes that occur, and the recall of each, for probabilities (n, c) of rows.

    Intervals are percentiles of 1000 draws of whole groups with replacement (Efron 1979).
    """
    count = len(classes)
    names, index = np.unique(groups, return_inverse=True)
    said = probabilities.argmax(axis=1)
    flat = (index * count + y) * count + said
    tables = np.bincount(flat, minlength=len(names) * count * count).reshape(len(names), count, count)
    rng = np.random.default_rng(SEED)
    draws = [_figures(tables[rng.integers(len(names), size=len(names))].sum(axis=0)) for _ in range(DRAWS)]
    f1, recall = _figures(tables.sum(axis=0))
    given = {"split": split, "leaking": leaking}
    scores = [
        Score(
            name="macro F1 of windows",
            value=_rounded(f1),
            interval=_interval([draw[0] for draw in draws]) if len(names) > 1 else None,
            groups=len(names),
            **given,
        )
    ]
    for i, class_ in enumerate(classes):
        with_class = int((tables[:, i].sum(axis=1) > 0).sum())
        if with_class:
            interval = _interval([draw[1][i] for draw in draws]) if with_class > 1 else None
            value = _rounded(float(recall[i]))
            scores.append(
                Score(name=f"recall of {class_}", value=value, interval=interval, groups=with_class, **given)
            )
    return tuple(scores)


def _figures(table: Integers) -> tuple[float, Floats]:
    """Macro-F1 over the classes that occur in a table (c, c) of true and said, and the recall (c,) or NaN."""
    true, said, right = table.sum(axis=1), table.sum(axis=0), np.diag(table)
    occurs = true > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = right / true
        f1 = 2.0 * right / (true + said)
    return float(f1[occurs].mean()), recall


def _interval(values: Sequence[float]) -> tuple[float, float] | None:
    known = np.array([value for value in values if np.isfinite(value)])
    if not len(known):
        return None
    low, high = np.quantile(known, [0.025, 0.975])
    return float(_rounded(low)), float(_rounded(high))


def _rounded(value: float) -> float:
    return round(float(value), 4)
