"""Brings channels of different units to one scale, learned from a window of frames."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Scale = Literal["robust", "unit", "none"]

REACH = 4.0
"""Interquartile ranges on each side of the median that `unit` maps to 0..1."""

FARTHEST = 1e6
"""Scaled values end here: estimators that work in single precision refuse larger ones."""

FARTHEST_UNSCALED = 1e15
"""The same without scaling: its square is still a number in single precision."""


class Scaling(NamedTuple):
    """(c,) each: what is taken off, what is divided by, and where the median of a channel lands."""

    centre: Floats
    spread: Floats
    offset: float
    median: Floats
    """In the channels' own units."""
    farthest: float

    def __call__(self, values: Floats) -> Floats:
        """(n, c) values on the common scale."""
        with np.errstate(over="ignore"):
            scaled = (values - self.centre) / self.spread + self.offset
        return np.clip(scaled, -self.farthest, self.farthest)


def learn_scaling(rows: Floats, scale: Scale) -> Scaling:
    """The scaling of good rows (n, c).

    `robust`: (x - median) / interquartile range. `unit`: the same, with 4 interquartile ranges on each
    side mapped to 0..1. A channel whose quartiles are equal is divided by its standard deviation, and one
    that is constant by its size (1 if that is 0). Raises ValueError when all channels are constant.
    """
    if not np.ptp(rows, axis=0).any():
        raise ValueError("all channels are constant")
    median = np.median(rows, axis=0)
    channels = rows.shape[1]
    if scale == "none":
        return Scaling(np.zeros(channels), np.ones(channels), 0.0, median, FARTHEST_UNSCALED)
    low, high = np.quantile(rows, [0.25, 0.75], axis=0)
    spread = high - low
    spread = np.where(spread > 0, spread, rows.std(axis=0))
    constant = np.ptp(rows, axis=0) == 0
    spread = np.where(constant, np.abs(median), spread)
    spread = np.where(spread > 0, spread, 1.0)
    if scale == "unit":
        return Scaling(median, spread * (2 * REACH), 0.5, median, FARTHEST)
    return Scaling(median, spread, 0.0, median, FARTHEST)
