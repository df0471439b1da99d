"""Says how rare a score is: the share of ordinary frames that score as high, as a number of nines."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOST = 9.0
"""Nines end here: one frame in a thousand million is a year at 30 frames/s."""

TAIL = 0.1
"""The share of the highest reference scores that says how fast scores become rare."""

_FLAT = 0.05
"""Least mean excess of the tail, as a share of the distance from the median to where the tail begins. It is
0.37 of normal, 0.62 of exponential and 0.13 of uniform scores; less is a plateau, not a tail."""


class Reference:
    """Scores of frames that were not learned from, and what share of ordinary frames scores as high.

    `nines` is -log10 of that share: 3 is one ordinary frame in a thousand. Within the reach of the
    reference the share is counted, with straight lines between; beyond it, it falls exponentially, with the
    mean excess of the highest tenth as the scale (the maximum-likelihood estimate of an exponential tail;
    Pickands 1975 for why tails look like that). `left_out` is the share of frames, the highest, that are
    not among the scores because they were thought too strange to be learned; the tail is then estimated as
    from a sample censored there, or it would grow shorter each time a model is learned anew.

    Raises ValueError when the scores are all alike or not numbers.
    """

    def __init__(self, scores: Floats, left_out: float = 0.0) -> None:
        known = np.sort(scores[~np.isnan(scores)])
        number = len(known)
        if number < 2:
            raise ValueError("it gives no scores for the rows of the fit window")
        if known[0] == known[-1]:
            raise ValueError("it scores all rows of the fit window alike")
        knots, first = np.unique(known, return_index=True)
        share = left_out + (1 - left_out) * (number - first) / (number + 1)
        nines = -np.log10(share)
        scale = _tail(known, left_out)
        top = knots[-1] + (MOST - nines[-1]) * scale * math.log(10)
        self._scores = np.append(knots, top)
        self._nines = np.append(nines, MOST)
        self._slopes = np.diff(self._nines) / np.diff(self._scores)

    def nines(self, scores: Floats) -> Floats:
        """(n,) from 0 to 9; NaN where the score is."""
        # Not np.interp: it takes another way through the arithmetic for few values than for many.
        last = len(self._slopes) - 1
        below = np.clip(np.searchsorted(self._scores, scores, side="right") - 1, 0, last)
        line = self._nines[below] + (scores - self._scores[below]) * self._slopes[below]
        nines: Floats = np.clip(line, self._nines[0], MOST)
        return nines

    def level(self, nines: float) -> float:
        """The score that is so rare."""
        return float(np.interp(nines, self._nines, self._scores))


def _tail(known: Floats, left_out: float) -> float:
    """The mean excess of the highest tenth, in units of the score; more than 0."""
    number = len(known)
    inside = (TAIL - left_out) / (1 - left_out)
    highest = min(max(2, math.floor(inside * (number + 1))), number - 1)
    begin = known[number - highest - 1]
    excess = known[number - highest :] - begin
    censored = number * left_out / (1 - left_out)
    scale = float((excess.sum() + censored * excess[-1]) / highest)
    least = _FLAT * float(begin - known[number // 2])
    # Scores with a plateau and a few steps: nothing is known of a tail, so the whole range stands for it.
    return max(scale, least) or float(known[-1] - known[0])
