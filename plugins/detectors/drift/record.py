"""The means of a pass, as many as fit: the older they are together, the coarser they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

MOST = 10_000
"""Means that are kept; when they are reached, each two neighbours become one."""


class Record:
    """Means of c channels and their positions, in order, at most `MOST` of them.

    When it is full, neighbours are joined in pairs, and from then on each entry holds twice as many means as
    before: all entries weigh the same.
    """

    def __init__(self, channels: int) -> None:
        self._positions = np.empty(64, dtype=np.int64)
        self._sums = np.zeros((64, channels))
        self._numbers = np.zeros((64, channels))
        self._entries = 0
        self._per_entry = 1
        self._within = 0
        """Means in the last entry, 0 when it is full."""
        self.latest = np.full(channels, np.nan)
        """(c,) the last mean of each channel."""

    def __len__(self) -> int:
        return self._entries

    def add(self, position: int, means: Floats) -> None:
        """Append the means (c,) at a position; NaN is none."""
        if self._within == 0:
            if self._entries == MOST:
                self._halve()
            elif self._entries == len(self._positions):
                self._grow()
            self._entries += 1
            self._sums[self._entries - 1] = 0.0
            self._numbers[self._entries - 1] = 0.0
            self._positions[self._entries - 1] = position
        last = self._entries - 1
        there = ~np.isnan(means)
        self.latest = np.where(there, means, self.latest)
        self._sums[last] += np.where(there, means, 0.0)
        self._numbers[last] += there
        # The middle of the means in the entry, which are equally far apart but for gaps.
        first = int(self._positions[last])
        self._positions[last] = first + (position - first) // (self._within + 1)
        self._within = (self._within + 1) % self._per_entry

    def since(self, onset: int, channel: int) -> tuple[Positions, Floats]:
        """(m,) twice: positions and values of a channel's entries from a position on, the full ones."""
        whole = self._entries - (1 if self._within else 0)
        begin = int(np.searchsorted(self._positions[:whole], onset))
        there = np.flatnonzero(self._numbers[begin:whole, channel] > 0) + begin
        return self._positions[there], self._sums[there, channel] / self._numbers[there, channel]

    def _grow(self) -> None:
        size = min(2 * len(self._positions), MOST)
        self._positions = np.resize(self._positions, size)
        shape = (size, self._sums.shape[1])
        self._sums, self._numbers = np.resize(self._sums, shape), np.resize(self._numbers, shape)

    def _halve(self) -> None:
        half = self._entries // 2
        first, second = self._positions[0 : 2 * half : 2], self._positions[1 : 2 * half : 2]
        self._positions[:half] = first + (second - first) // 2
        for array in (self._sums, self._numbers):
            array[:half] = array[0 : 2 * half : 2] + array[1 : 2 * half : 2]
        self._entries, self._per_entry = half, 2 * self._per_entry
