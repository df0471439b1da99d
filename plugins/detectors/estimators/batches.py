"""Detectors of scikit-learn and PyOD: estimators that are fitted on a window and score many rows at once."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.api import ChannelSet
from gridtop.plugins.detectors.estimators.building import build
from gridtop.plugins.detectors.estimators.expressions import PYOD, SKLEARN, Package, read
from gridtop.plugins.detectors.estimators.recent import RecentRows
from gridtop.plugins.detectors.estimators.reference import Reference
from gridtop.plugins.detectors.estimators.scaling import Scaling, learn_scaling
from gridtop.plugins.detectors.estimators.settings import EstimatorSettings
from gridtop.plugins.detectors.estimators.strangeness import (
    LEFT_OUT,
    STRANGE_NINES,
    Bools,
    Floats,
    Model,
    Strangeness,
)

PIECE = 256
"""Rows that an estimator is always given at a time: 256 cost an Isolation Forest little more than 1, and
where shape and place are always the same, so are the bits, however the stream is cut."""

MOST_FOR_TRIAL = 2000
"""Rows of the trial fit at the start."""

_ALIKE = 1e-6
"""Part of their spread by which scores may differ and be held the same."""


class _Batches(Strangeness):
    """An estimator with `fit(rows)`, and a score of many rows that depends on no other row."""

    def __init__(self, config: EstimatorSettings, channels: ChannelSet) -> None:
        super().__init__(config, channels)
        rows = min(2 * self._window // 3, MOST_FOR_TRIAL)
        self._singly = _must_score_singly(self.package, config.model, rows, len(channels))

    def _fit(self, rows: Floats, left_out: float = 0.0) -> Model:
        earlier, later = rows[: 2 * len(rows) // 3], rows[2 * len(rows) // 3 :]
        model = self._fitted(earlier, learn_scaling(earlier, self._config.scale))
        # It stays as it is and is not fitted again on all rows: the scores of some estimators grow with the
        # number of rows they have learned (a one-class SVM) or shrink (nearest neighbours).
        model.reference = Reference(model.raw(later), left_out)
        return model

    def _fitted(self, rows: Floats, scaling: Scaling) -> _FittedModel:
        estimator = build(self._call, self.package)
        estimator.fit(scaling(rows))
        return _FittedModel(estimator, self.package, scaling, self._singly)

    def _learn(self, model: Model, values: Floats, good: Bools, row: int) -> Floats:
        raw = model.raw(np.where(good[:, np.newaxis], values, np.nan), self._since)
        if self._config.learn == "always":
            self._end_of_learning(values, good, self._recent, 0.0)
            return raw
        strange = raw >= model.reference.level(STRANGE_NINES)
        places = np.flatnonzero(good)
        reached = self._persistence.reached(strange[places])
        if reached is None:
            self._learned.add(values[good & ~strange])
            self._end_of_learning(values, good, self._learned, LEFT_OUT)
            return raw
        end = int(places[reached]) + 1
        self._recent.add(values[:end][good[:end]])
        self._learned.clear()
        self._learned.add(self._recent.rows())
        self._refit(self._recent.rows())
        return raw[:end]

    def _end_of_learning(self, values: Floats, good: Bools, kept: RecentRows, left_out: float) -> None:
        """Remember frames, and fit a model on those kept when it is time."""
        self._recent.add(values[good])
        self._since += len(values)
        if self._since == self._learn_every:
            self._since = 0
            if kept.number == self._window:
                self._refit(kept.rows(), left_out)


class Sklearn(_Batches):
    """Scores of a scikit-learn estimator: `-score_samples`, as of an Isolation Forest or a density."""

    class Config(EstimatorSettings):
        """Settings of a scikit-learn estimator."""

        package = SKLEARN

    package = SKLEARN


class Pyod(_Batches):
    """Scores of a PyOD detector: its `decision_function`."""

    class Config(EstimatorSettings):
        """Settings of a PyOD detector."""

        package = PYOD

    package = PYOD


class _FittedModel:
    """An estimator after its fit, which nothing changes any more."""

    reference: Reference

    def __init__(self, estimator: Any, package: Package, scaling: Scaling, singly: bool) -> None:
        self.scaling = scaling
        self._estimator, self._package, self._singly = estimator, package, singly

    def raw(self, rows: Floats, first: int = 0) -> Floats:
        """As `Model` says."""
        scaled = self.scaling(rows)
        good: Bools = np.logical_and.reduce(np.isfinite(scaled), axis=1)
        if self._singly:
            score = np.full(len(rows), np.nan)
            for place in np.flatnonzero(good):
                score[place] = _scores(self._estimator, scaled[place : place + 1], self._package)[0]
            return score
        return in_pieces(
            self._estimator, self._package, scaled, good, first, self.scaling(self.scaling.median[np.newaxis])
        )


def in_pieces(
    estimator: Any, package: Package, scaled: Floats, good: Bools, first: int, median: Floats
) -> Floats:
    """(n,) scores of the good rows, each at its own place in a piece that medians (1, c) fill up."""
    score = np.full(len(scaled), np.nan)
    done = 0
    while done < len(scaled):
        place = (first + done) % PIECE
        end = min(done + PIECE - place, len(scaled))
        if good[done:end].any():
            piece = np.repeat(median, PIECE, axis=0)
            span = slice(place, place + end - done)
            piece[span] = np.where(good[done:end, np.newaxis], scaled[done:end], median)
            score[done:end] = np.where(good[done:end], _scores(estimator, piece, package)[span], np.nan)
        done = end
    return score


def _scores(estimator: Any, rows: Floats, package: Package) -> Floats:
    """(n,) scores as the library gives them, turned so that bigger is stranger."""
    if package is PYOD:
        score = np.asarray(estimator.decision_function(rows), dtype=np.float64).ravel()
    else:
        score = -np.asarray(estimator.score_samples(rows), dtype=np.float64).ravel()
    if score.shape != (len(rows),):
        raise ValueError(f"it gives {score.shape} scores for {len(rows)} rows")
    return np.clip(score, -1e300, 1e300)


@functools.lru_cache(maxsize=64)
def _must_score_singly(package: Package, model: str, rows: int, channels: int) -> bool:
    """Fit an estimator on noise and see whether a row's score depends on the rows beside it.

    Some (PyOD's ECOD and COPOD) rank a row among all that they are asked about at once; they are then
    asked about one at a time. This also brings mistakes in the arguments to light at the start, and has
    compiled what some libraries compile at their first use. Raises ValueError when the estimator cannot be
    used here.
    """
    call = read(model, package)
    estimator = build(call, package)
    if package is SKLEARN and not hasattr(estimator, "score_samples"):
        hint = "; give it novelty=True" if hasattr(estimator, "novelty") else ""
        raise ValueError(f"{call.path} has no score_samples, so it cannot say how strange a row is{hint}")
    noise: npt.NDArray[np.float64] = np.random.default_rng(0).standard_normal((rows, channels))
    estimator.fit(noise)
    probe = np.vstack([noise[:14], np.full((1, channels), 9.0), np.full((1, channels), -9.0)])
    good, median = np.ones(len(probe), dtype=bool), np.zeros((1, channels))
    together, again = (in_pieces(estimator, package, probe, good, 0, median) for _ in range(2))
    alone = np.concatenate([_scores(estimator, probe[i : i + 1], package) for i in range(len(probe))])
    limit = _ALIKE * max(float(np.ptp(together)), 1e-300)
    if not np.array_equal(together, again, equal_nan=True):
        raise ValueError(f"{call.path} gives the same row another score each time")
    return not bool((np.abs(together - alone) <= limit).all())
