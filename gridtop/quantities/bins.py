"""Frames by the dozen: bins that begin at fixed frame numbers, however the stream is cut into blocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.quantities.layout import Index

Instants = npt.NDArray[np.int64]


class Bins:
    """Cuts a stream into bins of `frames` frames, counted from frame number 0.

    A stream that begins within a bin begins with a bin that misses its first frames.
    """

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self._begun: Floats | None = None
        self._before = 0

    def __call__(self, values: Floats, row: int) -> Floats:
        """(k, b, frames) the bins that end in a block of values (k, n) whose first frame is `row`."""
        if self._begun is None:
            self._begun = np.full((len(values), row % self.frames), np.nan)
        self._before = self._begun.shape[1]
        joined = np.concatenate((self._begun, values), axis=1)
        whole = joined.shape[1] // self.frames
        self._begun = joined[:, whole * self.frames :].copy()
        return joined[:, : whole * self.frames].reshape(len(values), whole, self.frames)

    def ends(self, time: Instants) -> Instants:
        """(b,) the times of the last frames of the bins that ended in the block at hand."""
        last: Instants = time[self.frames - 1 - self._before :: self.frames]
        return last

    def ended(self, seen: Index) -> Index:
        """How many bins have ended when so many frames of the block at hand have been `seen`."""
        number: Index = (seen + self._before) // self.frames
        return number


class Held:
    """What was known at the end of each bin, for every frame until the next bin ends."""

    def __init__(self) -> None:
        self._last: Floats | None = None

    def __call__(self, known: Floats, ended: Index) -> Floats:
        """(k, n) the values in force, from those known when the bins of a block ended, (k, b)."""
        if self._last is None:
            self._last = np.full((len(known), 1), np.nan)
        values = np.hstack((self._last, known))
        self._last = values[:, -1:].copy()
        return values.take(ended, axis=1)

    def still(self, values: Floats) -> Floats:
        """(k, n) the values in force during a block (k, n) in which no bin ended."""
        if self._last is None:
            self._last = np.full((len(values), 1), np.nan)
        return np.repeat(self._last, values.shape[1], axis=1)
