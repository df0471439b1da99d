"""Sums over the last frames and times that something has lasted, however the frames come in blocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NANOSECONDS = 1_000_000_000
"""A second."""


class RollingSums:
    """Sums of whole numbers (n, k) over the frames of a window, the present one included."""

    def __init__(self, frames: int, width: int) -> None:
        self._frames = frames
        self._past: Counts = np.zeros((frames, width), dtype=np.int64)
        self._quiet = frames
        """For how many frames everything has been zero."""

    def sums(self, counts: Counts) -> Counts:
        """(n, k) sums that end with each of the frames."""
        if not counts.any() and self._quiet >= self._frames:
            return np.zeros_like(counts)
        together = np.vstack((np.zeros_like(counts[:1]), self._past, counts))
        total = np.cumsum(together, axis=0)
        self._past = together[-self._frames :]
        busy = np.flatnonzero(self._past.any(axis=1))
        self._quiet = self._frames - 1 - int(busy[-1]) if len(busy) else self._frames
        sums: Counts = total[self._frames + 1 :] - total[1 : len(counts) + 1]
        return sums


class Durations:
    """For how many seconds something has been so."""

    def __init__(self, width: int) -> None:
        self._since = np.zeros(width, dtype=np.int64)
        self._was = np.zeros(width, dtype=bool)

    def seconds(self, so: Bools, time: Counts) -> Floats:
        """(n, k) from `so` (n, k); 0 where it is not, and in the first frame in which it is."""
        if not len(so) or not (so.any() or self._was.any()):
            return np.zeros(so.shape)
        before = np.vstack((self._was, so[:-1]))
        index = np.arange(len(so))[:, np.newaxis]
        first = np.maximum.accumulate(np.where(so & ~before, index, -1), axis=0)
        since = np.where(first < 0, self._since, time[first])
        self._since, self._was = since[-1], so[-1].copy()
        return np.where(so, (time[:, np.newaxis] - since) / NANOSECONDS, 0.0)
