"""What the errors of a reconstruction say: one score a frame, and the share each feature has in it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def reconstruction_score(errors: npt.ArrayLike) -> Floats:
    """(n,) root of the mean of the squared errors (n, f): in spreads, about 1 where nothing is learned.

    A frame with an error that is NaN has the score NaN. A frame's score does not depend on the frames beside
    it, to the bit. Raises ValueError for anything but (n, f), f > 0.
    """
    # Row by row in memory: then numpy adds up each row by itself, in an order that only f decides.
    squared = np.ascontiguousarray(errors, dtype=np.float64)
    if squared.ndim != 2 or squared.shape[1] == 0:
        raise ValueError(f"errors are frames by features, not {squared.shape}")
    score: Floats = np.sqrt(squared.sum(axis=1) / squared.shape[1])
    return score


def reconstruction_shares(errors: npt.ArrayLike, usual: npt.ArrayLike | None = None) -> Floats:
    """(f,) the share of each feature in the score of one frame with squared errors (f,).

    With `usual` (f,), the mean squared errors of ordinary frames, it is the share in what lies above them:
    a feature that is always hard to reconstruct explains nothing. Shares are 0 or more and add up to 1, or
    are all 0 when no error is above the usual or one is not finite. ValueError when the shapes differ.
    """
    squared = np.asarray(errors, dtype=np.float64)
    expected = np.zeros_like(squared) if usual is None else np.asarray(usual, dtype=np.float64)
    if squared.ndim != 1 or expected.shape != squared.shape:
        raise ValueError(f"errors {squared.shape} and usual errors {expected.shape} are not one per feature")
    excess = np.maximum(squared - expected, 0.0)
    largest = float(excess.max(initial=0.0))
    if not (np.isfinite(largest) and largest > 0.0):
        return np.zeros_like(squared)
    excess /= largest
    shares: Floats = excess / excess.sum()
    return shares
