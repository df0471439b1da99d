"""Scores of event windows: what is going on at each place, from what its open window showed last."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from gridtop.blocks import Floats
from gridtop.errors import ConfigurationError
from gridtop.learning.features import MOST_MISSING
from gridtop.learning.model import Model
from gridtop.learning.windows import WindowStream

FAULT, SUSPICIOUS, INSTRUMENT, DATA = "fault_", "suspicious_", "instrument_", "data_"
"""What the names of classes of one kind begin with."""
_KINDS = {
    "AG": "phase A to ground",
    "BG": "phase B to ground",
    "CG": "phase C to ground",
    "AB": "phases A and B",
    "BC": "phases B and C",
    "CA": "phases C and A",
    "ABC": "all three phases",
}
_WORDS = {
    "load_change": "load change",
    "protection_failure": "fault not cleared by its protection",
    "needless_trip": "opened by protection without need",
    "line_open": "line open by the operator",
    "line_open_unexplained": "line open, unexplained",
    "oscillation": "oscillation",
    SUSPICIOUS + "both": "suspicious data at both ends",
}
_BEGINNINGS = {
    SUSPICIOUS: "suspicious data",
    INSTRUMENT: "instrument failure",
    DATA: "data problem",
}


def in_words(class_: str) -> str:
    """What an operator calls a class: `fault, phase A to ground`; other classes keep their name."""
    if class_ in _WORDS:
        return _WORDS[class_]
    if class_.startswith(FAULT) and (kind := _KINDS.get(class_.removeprefix(FAULT))):
        return f"fault, {kind}"
    words = (text for beginning, text in _BEGINNINGS.items() if class_.startswith(beginning))
    return next(words, class_.replace("_", " "))


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What holds at a place from a row on: probabilities (c,), scores (k,) and numbers (w,) of a window."""

    row: int
    probabilities: Floats | None = None
    scores: Floats | None = None
    numbers: Floats | None = None


class EventScorer:
    """A model of mode `events` at p places, block after block; cuts change no bit of the scores.

    Scores stay as they are between the ages of a window and until it closes, and are 0 while none is open.
    ConfigurationError when the model does not take the windows that its card describes.
    """

    def __init__(self, model: Model, places: int, rate: float | None) -> None:
        card = model.card
        if card.windows is None:
            raise ConfigurationError(f"{card.name} is no model of events: its card describes no windows")
        self._model, self._card, self._places = model, card, places
        self._stream = WindowStream(card.windows, card.features, places, rate)
        self._columns = self._stream.columns
        if model.width != self._columns.width:
            raise ConfigurationError(
                f"{card.name}: the model takes rows of {model.width} numbers, and its windows have "
                f"{self._columns.width}"
            )
        self._history: list[deque[_Verdict]] = [deque([_Verdict(-1)]) for _ in range(places)]
        self._first = 0

    def score(self, features: Floats, row: int) -> Floats:
        """(n, p * k) of features (p, n, f) of a block whose first frame has the number `row`.

        The columns are those of the first place, then of the second. NaN where too many features are missing.
        """
        frames, outputs = features.shape[1], len(self._card.outputs)
        self._first = row
        for verdicts in self._history:
            while len(verdicts) > 1 and verdicts[1].row <= row:
                verdicts.popleft()
        for change in self._stream(features, row):
            verdict = _Verdict(change.row)
            if change.reading is not None:
                numbers = self._columns.filled(change.reading.numbers, self._card.fills)
                # One at a time: then nothing but the row itself decides the bits of its scores.
                probabilities = self._model.probabilities(numbers[np.newaxis])
                scores = self._model.summed(probabilities)[0]
                verdict = _Verdict(change.row, probabilities[0], scores, numbers)
            self._history[change.place].append(verdict)
        result = np.zeros((frames, self._places, outputs))
        for place, verdicts in enumerate(self._history):
            for verdict in verdicts:
                start = max(verdict.row - row, 0)
                result[start:, place] = 0.0 if verdict.scores is None else verdict.scores
        missing = np.isnan(features[..., self._columns.measured]).sum(axis=-1)
        result[(missing > MOST_MISSING * len(self._columns.measured)).T] = np.nan
        return result.reshape(frames, self._places * outputs)

    def notes(self, place: int, output: int, frames: int) -> list[str]:
        """(n,) the most probable class of an output at each frame of the block scored last, in words.

        `fault, phase A to ground (0.82)`; empty while no window is open. No texts at all when none was.
        """
        if all(verdict.scores is None for verdict in self._history[place]):
            return []
        texts = [""] * frames
        for verdict in self._history[place]:
            start = max(verdict.row - self._first, 0)
            if start < frames:
                texts[start:] = [self._text(verdict, output)] * (frames - start)
        return texts

    def explain(self, frame: int, place: int, output: int) -> Floats:
        """(f,) the share of each feature in a score at a frame of the block scored last; all 0 if unknown."""
        verdict = self._at(place, self._first + frame)
        if verdict.numbers is None:
            return np.zeros(len(self._card.features))
        return self._columns.of_features(self._model.shares(verdict.numbers, output))

    def _at(self, place: int, row: int) -> _Verdict:
        return next(verdict for verdict in reversed(self._history[place]) if verdict.row <= row)

    def _text(self, verdict: _Verdict, output: int) -> str:
        if verdict.probabilities is None or verdict.scores is None:
            return ""
        classes = list(self._model.columns[output])
        best = classes[int(np.argmax(verdict.probabilities[classes]))]
        return f"{in_words(self._card.classes[best])} ({verdict.scores[output]:.2f})"
