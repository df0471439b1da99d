"""A model at work on a stream: blocks in, a score of each place out, and the channels a score rests on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block, Floats
from gridtop.channels import ChannelSet
from gridtop.errors import ConfigurationError
from gridtop.learning.card import ModelCard
from gridtop.learning.event_scoring import EventScorer, in_words
from gridtop.learning.features import FeatureStream, Place, bind, wanted
from gridtop.learning.folder import read_card
from gridtop.learning.model import Model
from gridtop.site import Site
from gridtop.text import clean

RATE_TOLERANCE = 0.1
"""Share by which a stream's rate may differ from the one a model was trained at without a word."""
WORTH_A_WORD = 0.1
"""Probability from which the most probable class of a frame is named."""
_TOLD = 2


class _Judge(Protocol):
    """What judges features: of frames, or of event windows (gridtop/learning/event_scoring.py)."""

    def score(self, features: Floats, row: int) -> Floats:
        """(n, p * k) of features (p, n, f): the columns of the first place, then of the second."""
        ...

    def notes(self, place: int, output: int, frames: int) -> list[str]:
        """(n,) the most probable class at each frame of the block scored last, in words; or no texts."""
        ...

    def explain(self, frame: int, place: int, output: int) -> Floats:
        """(f,) the share of each feature in a score of the block scored last; all 0 when unknown."""
        ...


class ModelScorer:
    """Scores a stream with a model, at the places where the stream supplies what it needs.

    `channels` are those of the blocks. `outputs` are named after place and card: `L1:fault`, `R1:suspicious`
    where the card says that an output speaks of an end of the line, and of a whole site the bare name. Two
    places that speak of the same thing have one output, the larger of both. How the stream is cut changes
    no score. `remarks` are what to know before one relies on it, `note` the classes in words by output, for
    the block scored last.
    """

    def __init__(
        self, model: Model, places: Sequence[Place], channels: ChannelSet, remarks: Sequence[str] = ()
    ) -> None:
        card = model.card
        self._model, self._places, self._channels = model, tuple(places), len(channels)
        self._stream = FeatureStream(card.features, places, channels.rate)
        self._judge = _judge(model, len(places), channels.rate)
        columns = columns_of(card, places)
        self.outputs = tuple(columns)
        self.remarks = tuple(remarks)
        self.note: dict[str, list[str]] | None = None
        self._columns = [np.array(both, dtype=np.intp) for both in columns.values()]
        self._each = np.empty((0, len(places) * len(card.outputs)))
        # Of frames, an output of a single class says it all by its name, and an anomaly has no class.
        self._noted = [
            i
            for i, both in enumerate(self._columns)
            if card.mode == "events" or len(card.outputs[self._parted(both[0])[1]].classes) > 1
        ]

    def score(self, block: Block) -> Floats:
        """(n, k) the scores of the block's n frames; NaN where too many features are missing."""
        self._each = self._judge.score(self._stream(block), block.row)
        notes = {self.outputs[i]: self._note(self._columns[i]) for i in self._noted}
        self.note = {name: texts for name, texts in notes.items() if any(texts)} or None
        return np.column_stack([np.fmax.reduce(self._each[:, both], axis=1) for both in self._columns])

    def explain(self, frame: int, output: int) -> Floats:
        """(c,) the share of each channel in one score of the block scored last; all 0 when unknown.

        The share of a feature goes to the channels that it is computed from, in equal parts.
        """
        both = self._columns[output]
        scores = self._each[frame, both]
        if np.isnan(scores).all():
            return np.zeros(self._channels)
        place, of_card = self._parted(both[int(np.nanargmax(scores))])
        return on_channels(self._judge.explain(frame, place, of_card), self._places[place], self._channels)

    def quantile(self, share: float) -> float:
        """The score that this share of ordinary frames stays below; ValueError when it is not known."""
        return self._model.quantile(share)

    def _parted(self, column: np.intp) -> tuple[int, int]:
        """The place and the output of the card that a column of the judge belongs to."""
        return divmod(int(column), len(self._model.card.outputs))

    def _note(self, both: npt.NDArray[np.intp]) -> list[str]:
        """(n,) what the place with the larger score says in words, or no texts at all."""
        frames = len(self._each)
        told = [self._judge.notes(*self._parted(column), frames) for column in both]
        if len(told) == 1 or not any(told):
            return told[0]
        told = [texts or [""] * frames for texts in told]
        largest = np.argmax(np.nan_to_num(self._each[:, both], nan=-1.0), axis=1).tolist()
        return [told[i][frame] for frame, i in enumerate(largest)]


class _Frames:
    """A model of mode `frames` at p places."""

    def __init__(self, model: Model) -> None:
        self._model, self._card = model, model.card
        self._rows = self._probabilities = np.empty((0, 0, 0))

    def score(self, features: Floats, row: int) -> Floats:
        """As `_Judge` says."""
        places, frames, width = features.shape
        rows = self._model.filled(features.reshape(places * frames, width))
        self._rows = rows.reshape(places, frames, width)
        if self._card.classes:
            probabilities = self._model.probabilities(rows)
            self._probabilities = probabilities.reshape(places, frames, -1)
            scores = self._model.summed(probabilities)
        else:
            scores = self._model.score(rows)
        return scores.reshape(places, frames, -1).transpose(1, 0, 2).reshape(frames, -1)

    def notes(self, place: int, output: int, frames: int) -> list[str]:
        """As `_Judge` says; empty where the output is improbable."""
        classes = list(self._model.columns[output])
        probabilities = self._probabilities[place][:, classes]
        total = self._model.summed(self._probabilities[place])[:, output]
        texts = [""] * frames
        for frame in np.flatnonzero(total >= WORTH_A_WORD).tolist():
            best = self._card.classes[classes[int(np.argmax(probabilities[frame]))]]
            texts[frame] = f"{in_words(clean(best))} ({total[frame]:.2f})"
        return texts

    def explain(self, frame: int, place: int, output: int) -> Floats:
        """As `_Judge` says."""
        row = self._rows[place, frame]
        return np.zeros(len(row)) if np.isnan(row).any() else self._model.shares(row, output)


def _judge(model: Model, places: int, rate: float | None) -> _Judge:
    return EventScorer(model, places, rate) if model.card.mode == "events" else _Frames(model)


def load_model(folder: Path, kinds: Collection[str], channels: ChannelSet, site: Site) -> ModelScorer:
    """The model in a folder, at work on a stream of `channels`.

    Raises ConfigurationError when the folder is damaged, holds a model of another kind, or when there is no
    place at which the channels supply what the model needs.
    """
    card = checked_card(folder, kinds)
    absolute = card.recipe == "raw"
    binding = bind(card.features, card.scope, channels, site, absolute_angles=absolute)
    if not binding.places:
        raise ConfigurationError(f"model {card.name} has no place to judge: {_few(binding.missing)}")
    remarks = _remarks(card, binding.missing, channels)
    return ModelScorer(Model.load(folder), binding.places, channels, remarks)


def model_channels(folder: Path, kinds: Collection[str]) -> tuple[str, ...]:
    """The globs of the channels and quantities that the model in a folder needs. Reads the card only.

    Raises ConfigurationError, about the setting `model`, when there is no such model or one of another kind.
    """
    try:
        return wanted(checked_card(folder, kinds).features)
    except ConfigurationError as error:
        raise ConfigurationError(f"model: {error}") from None


def checked_card(folder: Path, kinds: Collection[str]) -> ModelCard:
    """The card of a folder with a model of one of some kinds; ConfigurationError for any other."""
    card = read_card(folder)
    if card.kind not in kinds:
        raise ConfigurationError(
            f"{clean(card.name)} is of kind {card.kind}, and this detector takes {' or '.join(kinds)}"
        )
    return card


def columns_of(card: ModelCard, places: Sequence[Place]) -> Mapping[str, tuple[int, ...]]:
    """The names of the outputs, and for each its columns among places times outputs of the card."""
    columns: dict[str, tuple[int, ...]] = {}
    for i, place in enumerate(places):
        for j, output in enumerate(card.outputs):
            where = {"near": place.near, "far": place.far}.get(output.at) or place.name
            name = output.name if card.scope == "site" else f"{where}:{output.name}"
            columns[name] = (*columns.get(name, ()), i * len(card.outputs) + j)
    return columns


def on_channels(shares: Floats, place: Place, channels: int) -> Floats:
    """(channels,) shares of features (f,) passed on to the channels that these are computed from."""
    result = np.zeros(channels)
    for share, columns, reference in zip(shares.tolist(), place.columns, place.references, strict=True):
        sources = (*columns, reference) if reference >= 0 else columns
        for column in sources:
            result[column] += share / len(sources)
    total = float(result.sum())
    return result / total if total > 0 else result


def _remarks(card: ModelCard, missing: Sequence[str], channels: ChannelSet) -> tuple[str, ...]:
    """What to know before one relies on a model here, one line each."""
    remarks = [clean(remark) for remark in card.remarks]
    rate = channels.rate
    if card.rate and rate and abs(rate - card.rate) > RATE_TOLERANCE * card.rate:
        remarks.append(f"trained at {card.rate:g} frames/s, and this stream has {rate:g}")
    if missing:
        remarks.append(f"not everywhere at work: {_few(missing)}")
    return tuple(remarks)


def _few(lines: Sequence[str]) -> str:
    shown = "; ".join(clean(line, 80) for line in lines[:_TOLD])
    return f"{shown}; and {len(lines) - _TOLD} more" if len(lines) > _TOLD else shown
