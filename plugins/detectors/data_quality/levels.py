"""From measures to levels, where 1 is a warning and 2 critical, and from levels to words."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LARGEST = 3.0
"""Levels end here: half as bad again as critical is no news."""


def level(value: Floats, warning: float, critical: float) -> Floats:
    """From a measure in its own unit to 1 at the warning and 2 where it is critical, in straight lines."""
    level: Floats = np.where(
        value < warning,
        value / warning,
        np.where(value < critical, 1 + (value - warning) / (critical - warning), 1 + value / critical),
    )
    return level


def texts_of(keys: Counts, wanted: Bools, text: Callable[[Sequence[int]], str]) -> list[str]:
    """(n,) texts from what they say, keys (n, m), each made once; empty where none is wanted."""
    texts = np.full(len(keys), "", dtype=object)
    different, which = np.unique(keys[wanted], axis=0, return_inverse=True)
    made = np.array([text(key) for key in different.tolist()], dtype=object)
    texts[wanted] = made[which.reshape(-1)]
    listed: list[str] = texts.tolist()
    return listed
