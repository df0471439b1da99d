"""What an estimator remembers of the stream: the latest rows, and how long it has been strange."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FORGIVENESS = 9
"""What one ordinary frame takes off the count of strange ones: strangeness lasts while nine in ten are."""


class RecentRows:
    """The latest rows, at most `capacity` of them, in the order they came."""

    def __init__(self, capacity: int, channels: int) -> None:
        self._ring = np.empty((capacity, channels))
        self._added = 0

    @property
    def number(self) -> int:
        """How many rows there are."""
        return min(self._added, len(self._ring))

    def add(self, rows: Floats) -> None:
        """Take rows (n, c), and forget as many of the oldest as must be."""
        capacity = len(self._ring)
        kept = rows[-capacity:]
        first = self._added + len(rows) - len(kept)
        self._ring[(first + np.arange(len(kept))) % capacity] = kept
        self._added += len(rows)

    def rows(self) -> Floats:
        """(n, c) a copy, the oldest first."""
        return np.roll(self._ring, -(self._added % len(self._ring)), axis=0)[-self.number :]

    def clear(self) -> None:
        """Forget all."""
        self._added = 0


class Persistence:
    """Counts strange frames; an ordinary one takes nine back, so that one among many ends nothing."""

    def __init__(self, limit: int) -> None:
        self._limit, self._count = limit, 0

    def reached(self, strange: Bools) -> int | None:
        """Where in some frames (n,) the count comes to the limit; None, and the count goes on, if nowhere."""
        if not len(strange):
            return None
        walk = self._count + np.cumsum(np.where(strange, 1, -FORGIVENESS))
        count = walk - np.minimum(np.minimum.accumulate(walk), 0)
        places = np.flatnonzero(count >= self._limit)
        self._count = 0 if len(places) else int(count[-1])
        return int(places[0]) if len(places) else None
