"""Teaches models on some parts of recordings and has them judged on the others, and on recordings apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from gridtop.errors import GridtopError
from gridtop.evaluation.frame_scores import (
    UNTESTED,
    CrossValidation,
    FrameFigures,
    FrameScores,
    cross_validation,
    figures,
)
from gridtop.evaluation.learned import Learned
from gridtop.evaluation.splits import Split
from gridtop.learning.card import ModelKind, Recipe
from gridtop.text import clean
from gridtop.training.datasets import Classes, Dataset, choose_features, class_names, dataset
from gridtop.training.estimators import ISOLATION_TREES, RAW_LAYERS, TREES, Estimator
from gridtop.training.held_out import (
    FOLDS,
    Step,
    blind_features,
    cross_validated,
    finished_scores,
    folds_of,
)
from gridtop.training.lessons import Lesson, Marks

COIN = 0.5
"""The ROC AUC of a coin."""
CONSTANT = "trained on constant features"
"""How the remark begins that calls them out."""
_LIBRARIES = ("sklearn", "onnx")
_MOST_NAMED = 4


@dataclass(frozen=True)
class Plan:
    """What is to be taught.

    split     what is held out; None: recordings, of a single one events. When it is `file`, one at a time
    leaking   whether to show besides what a split by random rows would pretend
    """

    kinds: tuple[ModelKind, ...]
    recipe: Recipe = "transfer"
    classes: Classes = "binary"
    seed: int = 1
    split: Split | None = None
    leaking: bool = False

    def estimator(self, kind: ModelKind) -> Estimator:
        """What is fitted for one of the kinds, the same as `gridtop train` fits."""
        trees = ISOLATION_TREES if kind == "isolation_forest" else TREES
        layers = RAW_LAYERS if self.recipe == "raw" and kind == "autoencoder" else None
        return Estimator(kind, self.seed, trees, layers)


@dataclass(frozen=True)
class Material:
    """Rows to learn from and rows to test on only, and how the former are split.

    names     the recordings to learn from, in order of time, as `data.file` counts them
    split     None where nothing can be held out, so that only `test` tells
    remarks   what concerns every model that learns from it
    """

    data: Dataset
    test: Dataset | None
    names: tuple[str, ...]
    split: Split | None
    remarks: tuple[str, ...]

    @property
    def features(self) -> str:
        """What models look at, in words."""
        chosen = self.data.chosen
        recipe = "channels" if _fell_back(self.data) else chosen.recipe
        place = "each line" if chosen.scope == "line" else "the site"
        return f"{len(chosen.features)} features of {place} ({recipe})"


def require(kinds: Sequence[ModelKind]) -> None:
    """GridtopError, naming the extra, when what teaches these kinds is not installed."""
    needed = [*_LIBRARIES, *(["tensorflow"] if "autoencoder" in kinds else [])]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise GridtopError(f"training needs {', '.join(missing)}: pip install 'gridtop[train]'")


def material(
    plan: Plan,
    recordings: Sequence[Lesson],
    test: Sequence[Lesson],
    progress: Callable[[int], object] = lambda frames: None,
) -> Material:
    """Measure the features of all recordings.

    Raises GridtopError when they cannot be split as the plan says, or in no way and there is no `test`; and
    when two of them are the same, so that one would be learned from and the other tested on.
    """
    _check_different([*recordings, *test])
    classes = class_names(recordings, plan.classes)
    chosen = choose_features(recordings, plan.recipe)
    data = dataset(recordings, chosen, classes, progress=progress)
    apart = None
    if test:
        apart = dataset(test, data.chosen, data.classes, fills=data.fills, progress=progress)
    names = tuple(lesson.name for lesson in recordings)
    split: Split | None = plan.split or ("file" if len(names) > 1 else "event")
    remarks = [*data.remarks]
    if _fell_back(data):
        remarks.insert(
            0,
            "transfer features cannot be had: the site describes no line that is measured at both ends; the "
            "features are those of channels, and belong to this site",
        )
    try:
        folds_of(data, split, names)
    except GridtopError as error:
        if plan.split is not None or apart is None:
            raise
        split = None
        remarks.append(
            f"no honest split of what they learn from exists, so only other recordings judge them: {error}"
        )
    if apart is not None and (few := _too_few(apart)):
        remarks.append(
            f"tested on other recordings, there is no interval: they hold {few}. The figures may be luck"
        )
    return Material(data, apart, names, split, tuple(dict.fromkeys(remarks)))


def steps(plan: Plan, found: Material) -> int:
    """How many models are fitted for one to be judged."""
    held_out = len(folds_of(found.data, found.split, found.names, one_by_one=plan.split == "file"))
    return held_out + (FOLDS if plan.leaking else 0) + (found.test is not None)


def learned(plan: Plan, kind: ModelKind, found: Material, step: Step = lambda: None) -> Learned:
    """Teach one model on all parts but one, again and again, and on everything for the recordings apart.

    What cannot be taught has no figures, and a remark that says why.
    """
    estimator = plan.estimator(kind)
    try:
        return _learned(plan, estimator, found, step)
    except GridtopError as error:
        return Learned(kind, remarks=(f"it could not be taught: {error}",))


def _learned(plan: Plan, estimator: Estimator, found: Material, step: Step) -> Learned:
    remarks: list[str] = []
    blind: Marks = np.zeros(found.data.x.shape[1], dtype=bool)
    cross: CrossValidation | None = None
    test: FrameFigures | None = None
    beside: FrameFigures | None = None
    judged = cross_validated(
        found.data,
        estimator,
        found.split,
        found.names,
        leaking=plan.leaking,
        one_by_one=plan.split == "file",
        step=step,
    )
    if judged.honest is not None:
        cross = cross_validation(judged.honest, judged.leaking)
        blind |= judged.blind
        remarks += _alike(judged.honest, "held out")
    elif judged.leaking is not None:
        beside = figures(judged.leaking)
    if found.test is not None:
        fitted = estimator.fit(found.data)
        step()
        scores = finished_scores(fitted, found.test)
        test = figures(scores)
        blind |= blind_features(estimator, found.data)
        remarks += [*_alike(scores, "of other recordings"), *_coin(test)]
    if blind.any():
        remarks.insert(0, _constant(found.data, blind))
    return Learned(estimator.kind, cross, test, beside, tuple(remarks))


def _check_different(recordings: Sequence[Lesson]) -> None:
    seen: dict[str, Lesson] = {}
    for one in recordings:
        if (other := seen.setdefault(one.sha256, one)) is not one:
            raise GridtopError(
                f"{other.name} and {one.name} hold the same: a model would be tested on what it was taught"
            )


def _fell_back(data: Dataset) -> bool:
    return data.chosen.recipe == "transfer" and data.chosen.scope == "site"


def _too_few(data: Dataset) -> str:
    """How many events and stretches there are when that is too few for an interval, else nothing."""
    eventful = len(np.unique(data.group[data.truth]))
    quiet = len(np.unique(data.group[~data.truth]))
    if min(eventful, quiet) >= 2:
        return ""
    return (
        f"{eventful} event{'s' * (eventful != 1)} and {quiet} stretch{'es' * (quiet != 1)} without any event"
    )


def _constant(data: Dataset, blind: Marks) -> str:
    names = [clean(data.chosen.features[i].name, 60) for i in np.flatnonzero(blind).tolist()]
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return (
        f"{CONSTANT}: {len(names)} of {len(blind)} had one value in all the rows that it "
        f"was taught ({', '.join(names[:_MOST_NAMED])}{more})"
    )


def _alike(scores: FrameScores, which: str) -> list[str]:
    score = scores.score if scores.fold is None else scores.score[scores.fold != UNTESTED]
    if not len(score) or np.any(score != score[0]):
        return []
    return [f"scores all rows {which} alike ({score[0]:.6g}): it tells nothing apart"]


def _coin(test: FrameFigures) -> list[str]:
    low, high = test.intervals.roc_auc
    shown = f"ROC AUC {test.roc_auc:.2f}"
    if high < COIN:
        return [f"on other recordings it is worse than a coin ({shown}): what it learned does not transfer"]
    if test.roc_auc <= COIN:
        return [f"on other recordings it does no better than a coin ({shown}): nothing is seen to transfer"]
    if low <= COIN:
        return [f"on other recordings it is not shown to be better than a coin ({shown})"]
    return []
