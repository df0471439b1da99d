"""Page-Hinkley in both directions: has a standardised series moved away from zero, which way, since when."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LARGEST_STEP = 3.0
"""What a single mean may add at most: it takes several in a row to speak of a drift."""
CEILING = 1.75
"""The statistic ends here, in multiples of lambda: so it can come back when the drift is repaired."""


class PageHinkley:
    """The statistics of c series, up and down.

    Page's m_n - min m_k with m_n the sum of z - allowance, written as g = max(0, g + z - allowance), which is
    the same number; and likewise for -z. Source: Page, Biometrika 1954; Hinkley, Biometrika 1971.
    """

    def __init__(self, channels: int, allowance: float, lambda_: float) -> None:
        self._allowance, self._lambda = allowance, lambda_
        self._statistics = np.zeros((2, channels))
        self._onsets = np.zeros((2, channels), dtype=np.int64)

    def __call__(self, standardised: Floats, position: int) -> None:
        """Learn the means (c,) at one position; NaN changes nothing."""
        step = np.clip(standardised, -LARGEST_STEP, LARGEST_STEP)
        steps = np.stack((step, -step)) - self._allowance
        steps[np.isnan(steps)] = 0.0
        self._onsets[(self._statistics == 0.0) & (steps != 0.0)] = position
        self._statistics = np.clip(self._statistics + steps, 0.0, CEILING * self._lambda)

    @property
    def score(self) -> Floats:
        """(c,) the larger of both statistics in multiples of lambda, 0 to 1.75."""
        score: Floats = self._statistics.max(axis=0) / self._lambda
        return score

    def rising(self, channel: int) -> bool:
        """Whether a series has moved up rather than down."""
        return bool(self._statistics[0, channel] >= self._statistics[1, channel])

    def onset(self, channel: int) -> int:
        """Where the statistic that leads was zero last: Page's estimate of the beginning."""
        return int(self._onsets[0 if self.rising(channel) else 1, channel])
