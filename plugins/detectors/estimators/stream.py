"""The detector of river: estimators that score and learn one frame at a time."""

from __future__ import annotations

import contextlib
import inspect
from typing import Any

import numpy as np
from pydantic import Field

from gridtop.api import Block, ChannelSet, Scores
from gridtop.plugins.detectors.estimators.building import build
from gridtop.plugins.detectors.estimators.expressions import RIVER
from gridtop.plugins.detectors.estimators.recent import RecentRows
from gridtop.plugins.detectors.estimators.reference import Reference
from gridtop.plugins.detectors.estimators.scaling import Scale, Scaling, learn_scaling
from gridtop.plugins.detectors.estimators.settings import EstimatorSettings, Learn
from gridtop.plugins.detectors.estimators.strangeness import (
    LEFT_OUT,
    STRANGE_NINES,
    Bools,
    Floats,
    Model,
    Strangeness,
    shares,
)


class River(Strangeness):
    """Scores of a river anomaly detector, its `score_one`; then, by default, it learns the frame.

    The fit window is learned frame by frame, and the scores of its last third, each given before its frame
    was learned, are the reference. While it goes on learning, the reference is renewed `learn_every` from
    the scores of the frames learned last, for the score of an online estimator wanders.
    """

    class Config(EstimatorSettings):
        """Settings of a river estimator."""

        package = RIVER

        scale: Scale = Field(
            "unit",
            description="unit: 4 interquartile ranges on each side of the median to 0..1; robust; none",
        )
        learn: Learn = Field("always", description="whether it goes on learning after fit_on")

    package = RIVER

    def __init__(self, config: EstimatorSettings, channels: ChannelSet) -> None:
        super().__init__(config, channels)
        self._scores = RecentRows(self._window, 1)
        """Of the frames learned last, each from before it was learned."""
        self._parts: dict[int, Floats] = {}
        """By frame of the block scored last, what a strange score falls by: the model moves on."""
        noise = np.random.default_rng(0).standard_normal((self._window, len(channels)))
        model = self._new(learn_scaling(noise, config.scale))
        _check(model.estimator, self._call.path)
        for row in noise[:10]:  # mistakes in the arguments come to light at the start
            model.score_one(row)
            model.learn_one(row)

    def score(self, block: Block) -> Scores:
        """As `Strangeness` says."""
        self._parts = {}
        return super().score(block)

    def explain(self, frame: int, output: int) -> Floats:
        """As `Strangeness` says; while it learns, for frames of two nines and more."""
        if self._config.learn == "never":
            return super().explain(frame, output)
        return self._parts.get(frame, np.zeros(len(self._channels)))

    def _new(self, scaling: Scaling) -> _StreamModel:
        return _StreamModel(build(self._call, self.package), scaling, self._channels.names)

    def _fit(self, rows: Floats, left_out: float = 0.0) -> Model:
        model = self._new(learn_scaling(rows, self._config.scale))
        scores = np.full((len(rows), 1), np.nan)
        for i, row in enumerate(rows):
            if i >= 2 * len(rows) // 3:
                scores[i] = model.score_one(row)
            model.learn_one(row)
        later = scores[2 * len(rows) // 3 :]
        model.reference = Reference(later[:, 0], left_out)
        self._scores.clear()
        self._scores.add(later)
        return model

    def _learn(self, model: Model, values: Floats, good: Bools, row: int) -> Floats:
        assert isinstance(model, _StreamModel)
        always = self._config.learn == "always"
        limit = model.reference.level(STRANGE_NINES)
        raw = np.full(len(values), np.nan)
        learned: list[float] = []
        relearn = False
        done = 0
        while done < len(values) and not relearn:
            if good[done]:
                score = raw[done] = model.score_one(values[done])
                if strange := score >= limit:
                    self._parts[row + done] = shares(model, values[done])
                if always or not strange:
                    model.learn_one(values[done])
                    learned.append(score)
                if not always:
                    relearn = self._persistence.reached(np.array([strange])) is not None
            done += 1
        self._scores.add(np.array(learned).reshape(-1, 1))
        self._recent.add(values[:done][good[:done]])
        self._since += done
        if relearn:
            self._refit(self._recent.rows())
        elif self._since == self._learn_every:
            self._since = 0
            self._renew(model, 0.0 if always else LEFT_OUT)
        return raw[:done]

    def _renew(self, model: _StreamModel, left_out: float) -> None:
        """Take the scores of the frames learned last as the reference, unless they say nothing."""
        if self._scores.number == self._window:
            # Scores that are all alike say nothing; the reference before stays.
            with contextlib.suppress(ValueError):
                model.reference = Reference(self._scores.rows()[:, 0], left_out)


class _StreamModel:
    """An estimator that is given frames as dicts of scaled values by the channels' names."""

    reference: Reference

    def __init__(self, estimator: Any, scaling: Scaling, names: tuple[str, ...]) -> None:
        self.estimator, self.scaling, self._names = estimator, scaling, names

    def score_one(self, row: Floats) -> float:
        """The library's score of one good frame (c,)."""
        return float(self.estimator.score_one(self._features(row)))

    def learn_one(self, row: Floats) -> None:
        """Learn one good frame (c,)."""
        self.estimator.learn_one(self._features(row))

    def raw(self, rows: Floats, first: int = 0) -> Floats:
        """As `Model` says."""
        good: Bools = np.logical_and.reduce(np.isfinite(rows), axis=1)
        return np.array(
            [self.score_one(row) if fine else np.nan for row, fine in zip(rows, good, strict=True)]
        )

    def _features(self, row: Floats) -> dict[str, float]:
        return dict(zip(self._names, self.scaling(row).tolist(), strict=True))


def _check(estimator: Any, path: str) -> None:
    """ValueError for what cannot score a frame by itself, such as a classifier or a forecaster."""
    steps = getattr(estimator, "steps", None)
    last = list(steps.values())[-1] if isinstance(steps, dict) and steps else estimator
    score = getattr(last, "score_one", None)
    if score is None or not hasattr(last, "learn_one"):
        raise ValueError(f"{path} has no score_one, so it cannot say how strange a frame is")
    if len(inspect.signature(score).parameters) != 1:
        raise ValueError(f"{path} scores a target against its features, and here is no target")
