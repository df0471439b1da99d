"""What was usual: centre and scale of each channel's first means."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_OUTLYING = 3.0
"""Robust standard deviations from the median beyond which a mean is no part of what is usual."""
_OF_NORMAL = 1.4826
"""The standard deviation of a normal distribution in multiples of its median absolute deviation."""
MOST_CORRELATED = 0.9
"""Largest correlation of neighbouring means that is believed."""
TINY = 1e-12
"""Least scale, so that a channel that rests at zero divides by something."""


class Reference:
    """Learns c channels from their first `learn` means each, one by one.

    Knows, NaN until learned: `centre` and `scale` (c,), mean and standard deviation of the means within three
    robust standard deviations of their median (Rousseeuw and Leroy 1987, reweighted); and `correlation` (c,)
    of neighbouring means, 0 to 0.9. The scale is the larger by √((1 + r) / (1 - r)), which is what a run of
    correlated means adds up to, and at least `floor` times the size of the centre.
    """

    def __init__(self, channels: int, learn: int, floor: float) -> None:
        self._floor = floor
        self._first = np.empty((channels, learn))
        self._number = np.zeros(channels, dtype=np.int64)
        self.centre = np.full(channels, np.nan)
        self.scale = np.full(channels, np.nan)
        self.correlation = np.full(channels, np.nan)

    @property
    def learned(self) -> Bools:
        """(c,) which channels have one."""
        known: Bools = ~np.isnan(self.centre)
        return known

    def standardised(self, means: Floats) -> Floats:
        """(c,) how many scales each mean is from the centre; NaN, and learned, while there is none."""
        result: Floats = (means - self.centre) / self.scale
        for i in np.flatnonzero(np.isnan(self.centre) & ~np.isnan(means)).tolist():
            self._first[i, self._number[i]] = means[i]
            self._number[i] += 1
            if self._number[i] == self._first.shape[1]:
                self._learn(i)
        return result

    def _learn(self, i: int) -> None:
        first = self._first[i]
        middle = float(np.median(first))
        robust = _OF_NORMAL * float(np.median(np.abs(first - middle)))
        usual = np.abs(first - middle) <= _OUTLYING * robust
        number = int(np.count_nonzero(usual))
        centre = float(np.add.reduce(first[usual]) / number)
        apart = np.where(usual, first - centre, 0.0)
        squares = float(np.add.reduce(apart * apart))
        together = float(np.add.reduce(apart[1:] * apart[:-1]))
        correlation = together / squares if squares > 0 else 0.0
        # Of n values the estimate is too small by (1 + 3 r) / n (Kendall 1954).
        correlation += (1.0 + 3.0 * correlation) / len(first)
        correlation = min(max(correlation, 0.0), MOST_CORRELATED)
        scale = np.sqrt(squares / max(number - 1, 1) * (1.0 + correlation) / (1.0 - correlation))
        self.centre[i], self.correlation[i] = centre, correlation
        self.scale[i] = max(float(scale), self._floor * abs(centre), TINY)
