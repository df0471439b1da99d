"""The life of an estimator in the stream: it waits for its window, is fitted, scores, and may learn again."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from gridtop.api import DOUBTFUL, Block, ChannelSet, Scores
from gridtop.plugins.detectors.estimators.building import silence
from gridtop.plugins.detectors.estimators.expressions import Package, read
from gridtop.plugins.detectors.estimators.recent import Persistence, RecentRows
from gridtop.plugins.detectors.estimators.reference import MOST, Reference
from gridtop.plugins.detectors.estimators.scaling import Scaling
from gridtop.plugins.detectors.estimators.settings import EstimatorSettings

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

UNKNOWN_RATE = 30.0
"""Frames per second assumed of a stream that does not say."""

FEWEST = 60
"""Frames that a fit window must have: a third of it is the reference, whose highest tenth is the tail."""

STRANGE_NINES = 2.0
"""From here on a frame is too strange to be learned `when_normal`: one ordinary frame in a hundred."""

LEFT_OUT = 10.0**-STRANGE_NINES

LARGEST = 1e12
"""Raw scores end here: some libraries answer with infinity where a density is 0."""


class Model(Protocol):
    """A fitted estimator with what its scores are like on ordinary frames."""

    reference: Reference
    scaling: Scaling

    def raw(self, rows: Floats, first: int = 0) -> Floats:
        """(n,) the library's score of rows (n, c), bigger is stranger; NaN where a row has a NaN.

        `first` is the number of the first row since the fit.
        """
        ...


class Strangeness(ABC):
    """What detectors built on an estimator have in common.

    The first `fit_on` good frames, those in which every channel has a value that nobody doubts, are the fit
    window; until then, and on every other frame that is not good, there is no opinion. The estimator learns
    the first two thirds of the window; its scores of the last third are the reference of `nines`. A window
    that teaches nothing (all channels constant, or the fit fails) is dropped with one complaint, and the
    next one is waited for.

    The times of `learn` are counted in frames from the fit, so that the blocks do not matter; whether a
    frame is learned is decided here and not by the host, whose alarms come only after a block.
    """

    Config: ClassVar[type[EstimatorSettings]]
    package: ClassVar[Package]
    outputs: Sequence[str] = ("strangeness",)
    wants = ("*:voltage_pu", "*:current_pu", "*:frequency_deviation")

    def __init__(self, config: EstimatorSettings, channels: ChannelSet) -> None:
        for channel in channels:
            if channel.part == "angle" and not channel.derived:
                raise ValueError(
                    f"{channel.name} is an absolute phase angle, which turns with the frequency and means "
                    "nothing to an estimator; take it away or use *:angle_difference"
                )
        rate = channels.rate or UNKNOWN_RATE
        self._config, self._channels = config, channels
        self._window = round(config.fit_on.total_seconds() * rate)
        if self._window < FEWEST:
            raise ValueError(
                f"fit_on: {self._window} frames at {rate:g} frames/s are too few to learn from; "
                f"{FEWEST / rate:.3g}s is the least"
            )
        silence()
        self._call = read(config.model, self.package)
        self._learn_every = round(config.learn_every.total_seconds() * rate)
        self._persistence = Persistence(round(config.relearn_after.total_seconds() * rate))
        self._recent = RecentRows(self._window, len(channels))
        """The latest good rows; the fit window while there is no model."""
        self._learned = RecentRows(self._window, len(channels))
        self._model: Model | None = None
        self._since = 0
        """Frames since the latest fit."""
        self._waited = 0
        self._complaint = ""
        self._told = ""
        self._block: Block | None = None
        self._spans: list[tuple[int, int, Model]] = []
        """Which model scored which frames of the block scored last."""

    @abstractmethod
    def _fit(self, rows: Floats, left_out: float = 0.0) -> Model:
        """A model of good rows (n, c); whatever it raises means that they teach nothing."""

    @abstractmethod
    def _learn(self, model: Model, values: Floats, good: Bools, row: int) -> Floats:
        """(n,) the raw scores of frames, which are learned from; the first of them is `row` of its block.

        Fewer than there are frames when a model was fitted anew: that one has to score those behind.
        """

    def score(self, block: Block) -> Scores:
        """(n, 1) how strange each frame is; NaN until there is a fit, and on frames that are not good.

        Raises ValueError, once, when a fit window taught nothing.
        """
        values = np.ascontiguousarray(block.values)
        good = _good(block)
        score = np.full(len(block), np.nan)
        self._block, self._spans = block, []
        done = 0
        while done < len(block):
            if self._model is None:
                done += self._collect(values[done:], good[done:])
            else:
                done += self._judge(values[done:], good[done:], score[done:], done)
        if self._model is None and self._complaint not in ("", self._told):
            self._told = self._complaint
            raise ValueError(self._complaint)
        return Scores(score[:, np.newaxis])

    def explain(self, frame: int, output: int) -> Floats:
        """(c,) as `shares` says, by the model that scored the frame."""
        nothing = np.zeros(len(self._channels))
        if self._block is None:
            return nothing
        row = self._block.values[frame]
        for start, stop, model in self._spans:
            if start <= frame < stop and _good(self._block.slice(frame, frame + 1)).all():
                return shares(model, row)
        return nothing

    def quantile(self, share: float) -> float:
        """-log10(1 - share): known from the start. ValueError for raw scores and beyond nine nines."""
        if self._config.score == "raw":
            raise ValueError("quantiles of raw scores are not known; use score: nines")
        if not 0 <= share < 1 or (nines := round(-np.log10(1 - share), 9)) > MOST:
            raise ValueError(f"no quantile of {share:g}: scores end at {MOST:g} nines")
        return float(nines) + 0.0

    def _collect(self, values: Floats, good: Bools) -> int:
        """Fill the fit window; how many frames that took."""
        places = np.flatnonzero(good)[: self._window - self._recent.number]
        full = self._recent.number + len(places) == self._window
        taken = int(places[-1]) + 1 if full else len(values)
        self._recent.add(values[places])
        self._waited += taken
        if full:
            self._refit(self._recent.rows())
            if self._model is None:
                self._recent.clear()
            self._waited = 0
        elif self._waited >= 2 * self._window and self._recent.number < self._window // 2:
            self._complaint = self._why_waiting(values)
        return taken

    def _judge(self, values: Floats, good: Bools, score: Floats, row: int) -> int:
        """Score frames up to where a model is fitted anew; how many."""
        model = self._model
        assert model is not None
        reference = model.reference
        if self._config.learn == "never":
            raw = model.raw(np.where(good[:, np.newaxis], values, np.nan), self._since)
            self._since += len(raw)
        else:
            end = min(len(values), self._learn_every - self._since)
            raw = self._learn(model, values[:end], good[:end], row)
        raw = np.clip(raw, -LARGEST, LARGEST)
        score[: len(raw)] = raw if self._config.score == "raw" else reference.nines(raw)
        self._spans.append((row, row + len(raw), model))
        return len(raw)

    def _refit(self, rows: Floats, left_out: float = 0.0) -> None:
        """Fit a model; the one before stays when that fails."""
        self._since = 0
        try:
            self._model = self._fit(rows, left_out)
            self._complaint = self._told = ""
        except Exception as error:  # the library's own checks may raise anything
            why = " ".join(str(error).split()) or type(error).__name__
            self._complaint = (
                f"{self._call.path}: {why} ({self._window} frames of {_few(self._channels)}); "
                "it learns nothing from them and waits for the next window"
            )
            if self._model is not None:
                logging.getLogger("gridtop").warning("not fitted anew: %s", self._complaint)

    def _why_waiting(self, values: Floats) -> str:
        missing = np.isnan(values).mean(axis=0)
        worst = self._channels[int(missing.argmax())].name
        blame = f"{worst} is missing most" if missing.max() > 0 else "values are doubtful"
        return (
            f"{self._call.path} waits for {self._window} frames in which all channels are good, and most are "
            f"not: {blame}; take it away from channels"
        )


def shares(model: Model, row: Floats) -> Floats:
    """(c,) the share of each channel in the raw score of a good row (c,), or all 0.

    It is by how much the score falls when the channel is put at its median in the fit window. Where no
    single channel makes a difference, because many are strange together, it is by how much the score of
    the medians rises when the channel alone is put at its value.
    """
    median = model.scaling.median
    raw = model.raw(_each_replaced(row, median))
    differences = raw[0] - raw[1:]
    if not (differences > 0).any():
        raw = model.raw(_each_replaced(median, row))
        differences = raw[1:] - raw[0]
    differences = np.where(np.isfinite(differences), np.maximum(differences, 0.0), 0.0)
    total = differences.sum()
    return differences / total if total > 0 else np.zeros(len(row))


def _each_replaced(row: Floats, other: Floats) -> Floats:
    """(c + 1, c) the row, and behind it the row with each channel in turn taken from the other."""
    rows = np.tile(row, (len(row) + 1, 1))
    np.fill_diagonal(rows[1:], other)
    return rows


def _good(block: Block) -> Bools:
    """(n,) whether all values of a frame are there and nobody doubts them."""
    good: Bools = np.logical_and.reduce(np.isfinite(block.values), axis=1)
    if block.quality is not None:
        good &= np.logical_and.reduce((block.quality & np.uint16(DOUBTFUL)) == 0, axis=1)
    return good


def _few(channels: ChannelSet) -> str:
    return ", ".join(channels.names[:3]) + (f" and {len(channels) - 3} more" if len(channels) > 3 else "")
