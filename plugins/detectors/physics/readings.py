"""The readings of a block by quantity and place, and conditions on them from block to block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gridtop.api import DOUBTFUL, Block

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

PHASES = ("A", "B", "C")


def trusted(block: Block) -> Floats:
    """(n, c) the values, missing where they are doubtful: what is wrong with those is known already."""
    if block.quality is None:
        return block.values
    doubtful = (block.quality & np.uint16(DOUBTFUL)) != 0
    return np.where(doubtful, np.nan, block.values) if doubtful.any() else block.values


class Frames:
    """The quantities of a block by name and place; what is not there is NaN."""

    def __init__(self, values: Floats, columns: dict[tuple[str, str, str], int]) -> None:
        self._values, self._columns = values, columns
        self.number = len(values)
        self._nothing = np.full(len(values), np.nan)

    def __call__(self, quantity: str, place: str, phase: str = "") -> Floats:
        """(n,) one of them."""
        column = self._columns.get((quantity, place, phase))
        return self._nothing if column is None else self._values[:, column]

    def phases(self, quantity: str, place: str) -> Floats:
        """(n, 3) phases A, B, C of one of them."""
        phases: Floats = np.stack([self(quantity, place, phase) for phase in PHASES], axis=1)
        return phases


def any_of(conditions: Sequence[Bools], number: int) -> Bools:
    """(n,) where any of some conditions holds."""
    return np.logical_or.reduce(conditions) if conditions else np.zeros(number, dtype=bool)


class Lasting:
    """Stretches a condition by some frames, from one block to the next."""

    def __init__(self, frames: int) -> None:
        self._frames = self._since = frames

    def __call__(self, now: Bools) -> Bools:
        """(n,) where the condition holds or held within the last frames."""
        at = np.arange(len(now))
        since = at - np.maximum.accumulate(np.where(now, at, -self._since - 1))
        if len(now):
            self._since = min(int(since[-1]), self._frames + 1)
        lasting: Bools = since <= self._frames
        return lasting


class Peaks:
    """The largest value of each series since a condition began to hold; 0 while it does not."""

    def __init__(self, series: int) -> None:
        self._peaks = np.zeros(series)

    def __call__(self, holds: Bools, values: Floats) -> Floats:
        """(k, n) the peaks of values (k, n)."""
        peaks = np.where(holds, values, 0.0)
        ends = np.flatnonzero(~holds)
        for start, stop in zip([0, *(ends + 1)], [*ends, len(holds)], strict=True):
            part = peaks[:, start:stop]
            if stop > start:
                if start == 0:
                    part[:, 0] = np.maximum(part[:, 0], self._peaks)
                np.maximum.accumulate(part, axis=1, out=part)
        if len(holds):
            self._peaks = peaks[:, -1].copy()
        return peaks


class Delayed:
    """Series as they were some frames ago; NaN before the first."""

    def __init__(self, series: int, frames: int) -> None:
        self._kept = np.full((series, frames), np.nan)

    def __call__(self, values: Floats) -> Floats:
        """(k, n) the values (k, n) of that time."""
        joined = np.concatenate((self._kept, values), axis=1)
        self._kept = joined[:, joined.shape[1] - self._kept.shape[1] :].copy()
        return joined[:, : values.shape[1]]
