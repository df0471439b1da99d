"""Scores that came late: what is left of them, entered where they became known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gridtop.blocks import Floats
from gridtop.detector_work import Answer

Notes = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class LateScores:
    """The worst of each score of a detector over some earlier frames.

    worst  (k,)  NaN where there was no opinion
    notes  (k,)  the reasons given with them, in words
    """

    worst: Floats
    notes: tuple[str, ...]

    @classmethod
    def of(cls, answer: Answer, names: Sequence[str], detector: str) -> LateScores:
        """From an answer with scores; `names` are the channels of its outputs."""
        assert answer.scores is not None
        known = np.where(np.isnan(answer.scores), -np.inf, answer.scores)
        at = known.argmax(axis=0)
        told = answer.notes(detector)
        notes = tuple(_note(told, name, detector, frame) for name, frame in zip(names, at, strict=True))
        return cls(answer.scores[at, np.arange(len(names))], notes)

    def entered(
        self, scores: Floats, notes: Notes, names: Sequence[str], detector: str
    ) -> tuple[Floats, Notes, tuple[int, ...]]:
        """The scores (n, k) and notes of a block with these in its first frame, and in which columns.

        What the first frame's own score says stands where it is worse.
        """
        own = scores[0]
        entered = np.flatnonzero(~np.isnan(self.worst) & ~(own >= self.worst)).tolist()
        scores, told = scores.copy(), dict(notes)
        for i in entered:
            scores[0, i] = self.worst[i]
            usual = notes.get(names[i]) or notes.get(detector) or [""] * len(scores)
            told[names[i]] = [self.notes[i], *usual[1:]]
        return scores, told, tuple(entered)


def _note(notes: Notes, name: str, detector: str, frame: int) -> str:
    texts = notes.get(name) or notes.get(detector)
    return texts[frame] if texts else ""
