"""A detector on its thread: what it is asked there, and whether its answers keep to the contract."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from queue import SimpleQueue
from typing import NamedTuple, TypeGuard

import numpy as np

from gridtop.blocks import Block, Floats
from gridtop.contracts import Calibrated, Detector, Explains, Scores
from gridtop.errors import PluginError
from gridtop.explanations import DIGITS, Recent, checked_parts, own_shares, shares_by_replacement
from gridtop.loading import explain
from gridtop.text import clean


class Answer(NamedTuple):
    """What comes back from a detector for one block: scores, or what went wrong."""

    scores: Floats | None = None
    note: Sequence[str] | Mapping[str, Sequence[str]] | None = None
    parts: Floats | None = None
    fault: str = ""

    def notes(self, detector: str) -> dict[str, Sequence[str]]:
        """The reasons in words: by the channels of the outputs they are about, or by the detector's name."""
        if isinstance(self.note, Mapping):
            return {f"{detector}/{clean(output)}": texts for output, texts in self.note.items()}
        return {} if self.note is None else {detector: self.note}


class Shares(NamedTuple):
    """What comes back to the question why: the shares (c,) if there are any, or what went wrong."""

    shares: Floats | None = None
    fault: str = ""


class Worker:
    """A detector on its thread, and what is known there of the frames it was given."""

    def __init__(
        self,
        detector: Detector,
        outputs: int,
        build: Callable[[], Detector],
        searchable: bool,
        shared: Sequence[object],
    ) -> None:
        self._detector, self._outputs = detector, outputs
        self._build, self._shared = build, shared
        self._recent = Recent() if searchable else None
        self._channels = 0

    def score(self, block: Block) -> Answer:
        """The scores of a block, or what went wrong."""
        if self._recent is not None:
            self._recent.add(block)
        self._channels = len(block.channels)
        try:
            with np.errstate(all="ignore"):
                return _checked(self._detector.score(block), block, self._outputs)
        except BaseException as error:
            return Answer(fault=explain(error))

    def shares(self, frame: int, output: int, patience: float, until: float) -> Shares:
        """The shares in one score of the block scored last, or what went wrong."""
        deadline = min(time.monotonic() + patience, until)
        try:
            if time.monotonic() > deadline:
                raise TimeoutError
            with np.errstate(all="ignore"):
                if isinstance(self._detector, Explains):
                    return Shares(own_shares(self._detector, frame, output, self._channels))
                if self._recent is None:
                    return Shares()
                frames = self._recent.until(frame)
                return Shares(
                    shares_by_replacement(
                        self._build, frames, output, lambda: time.monotonic() > deadline, self._shared
                    )
                )
        except TimeoutError:
            return Shares(fault=f"to find out takes longer than {patience:g} s")
        except BaseException as error:
            return Shares(fault=explain(error))

    def quantile(self, share: float) -> float:
        """What the detector says; ValueError when it does not know."""
        if not isinstance(self._detector, Calibrated):
            raise ValueError("it does not know the quantiles of its scores")
        value: object = self._detector.quantile(share)
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise PluginError(f"quantile() must return a number, not {type(value).__name__}")
        if not math.isfinite(value):
            raise ValueError("it does not know this quantile of its scores")
        return round(float(value), DIGITS)


Jobs = SimpleQueue[Callable[[Worker], None] | None]
"""What a thread has to do, until None."""


def serve(worker: Worker, jobs: Jobs) -> None:
    """Do what there is to do until there is no more: the life of a detector's thread."""
    while (job := jobs.get()) is not None:
        job(worker)


def _checked(result: object, block: Block, outputs: int) -> Answer:
    """The answer of a detector that kept to its contract; PluginError for the others."""
    if not isinstance(result, Scores):
        raise PluginError(f"score() must return Scores, not {type(result).__name__}")
    frames, score, note = len(block), result.score, result.note
    if not isinstance(score, np.ndarray) or score.dtype.kind not in "fiu":
        kind = score.dtype if isinstance(score, np.ndarray) else type(score).__name__
        raise PluginError(f"scores must be an array of numbers, not {kind}")
    if score.shape != (frames, outputs):
        raise PluginError(f"scores of shape {score.shape} for {frames} frames and {outputs} outputs")
    scores = np.asarray(score, np.float64).round(DIGITS)
    if np.isinf(scores).any():
        raise PluginError("a score is infinite; NaN means no opinion")
    texts = list(note.values()) if isinstance(note, Mapping) else [note] if note is not None else []
    if not all(are_texts(text) and len(text) == frames for text in texts):
        raise PluginError(f"a note must be a list of texts, one for each of the {frames} frames, or None")
    return Answer(scores, note, checked_parts(result.parts, frames, len(block.channels)))


def are_texts(value: object) -> TypeGuard[Sequence[str]]:
    """Whether a value is a sequence of texts with something in it, and not a single text."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return False
    return len(value) > 0 and all(isinstance(text, str) for text in value)
