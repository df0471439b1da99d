"""Means over fixed numbers of frames, the same to the bit however the stream is cut into blocks."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

LONGEST_PART = 4096
"""Frames that are kept until they are added up: the memory of a long mean is bounded by it."""
TRIMMED = 0.1
"""Share of a part's frames left out at either end: a short circuit within a minute leaves no trace."""
LEAST_SHARE = 0.5
"""Of its frames that a mean needs."""


class Mean(NamedTuple):
    """The mean of c channels over some frames, NaN where half of them lack.

    `frame` is the index in the block of the frame that completes it, `position` its middle on the axis of
    time or row numbers.
    """

    frame: int
    position: int
    values: Floats


class Means:
    """Cuts a stream of c channels into means of `frames` frames each, counted from frame number 0.

    A mean that is longer than 4096 frames is made of parts of equal length. In each part the lowest and the
    highest tenth of the good values are left out, which costs next to nothing in noise, and keeps what lasts
    a few seconds out of a minute. The parts count by their number of good values. `frames` is a multiple of
    the length of a part, so it may differ a little from what was asked for.
    """

    def __init__(self, channels: int, frames: int) -> None:
        self._parts = math.ceil(frames / LONGEST_PART)
        length = max(1, round(frames / self._parts))
        self.frames = self._parts * length
        self._part = np.full((channels, length), np.nan)
        """The part that is being filled, each channel's frames together."""
        self._totals = np.zeros((self._parts, channels))
        self._numbers = np.zeros((self._parts, channels))
        self._filled: int | None = None
        self._first = 0

    def __call__(self, values: Floats, positions: Positions, row: int) -> list[Mean]:
        """The means that end in a block of values (n, c), NaN where they are not good."""
        if self._filled is None:
            self._filled = row % self.frames
            self._first = int(positions[0]) if len(positions) else 0
        length = self._part.shape[1]
        found: list[Mean] = []
        done = 0
        while done < len(values):
            part, at = divmod(self._filled, length)
            if self._filled == 0:
                self._first = int(positions[done])
            end = min(done + length - at, len(values))
            self._part[:, at : at + end - done] = values[done:end].T
            self._filled += end - done
            if self._filled % length == 0:
                self._totals[part], self._numbers[part] = _trimmed(self._part)
                self._part[:] = np.nan
            if self._filled == self.frames:
                last = int(positions[end - 1])
                found.append(Mean(end - 1, self._first + (last - self._first) // 2, self._mean()))
                self._filled = 0
            done = end
        return found

    def _mean(self) -> Floats:
        number = self._numbers.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            mean = self._totals.sum(axis=0) / number
        self._totals[:], self._numbers[:] = 0.0, 0.0
        good = (number >= LEAST_SHARE * self.frames) & np.isfinite(mean)
        return np.where(good, mean, np.nan)


def _trimmed(part: Floats) -> tuple[Floats, Floats]:
    """(c,) the trimmed mean of each channel times the number of its good values, and that number."""
    ordered = np.sort(part, axis=1)  # NaN goes to the end
    numbers = np.count_nonzero(~np.isnan(part), axis=1)
    totals = np.zeros(len(part))
    with np.errstate(over="ignore", invalid="ignore"):
        for i, number in enumerate(numbers.tolist()):
            if number:
                out = int(TRIMMED * number)
                kept = ordered[i, out : number - out]
                totals[i] = np.add.reduce(kept) / len(kept) * number
    return totals, numbers.astype(np.float64)
