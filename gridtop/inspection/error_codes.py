"""Numbers that stand for an error: an instrument that has no value to give says -327.68."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from gridtop.blocks import Floats
from gridtop.inspection.statistics import Numbers

_LEAST_KINDS = 8
"""A column with fewer different values is a status, or constant."""


_CUSTOMARY: Collection[float] = {
    327.68, 327.67, 3276.8, 3276.7, 32768.0, 32767.0, 65535.0, 6553.5, 655.35, 2147483647.0, 2147483648.0,
    99.99, 999.0, 999.9, 999.99, 9999.0, 9999.9, 99999.0, 999999.0,
}  # fmt: skip


def error_codes(values: Floats, numbers: Numbers) -> tuple[list[float], list[float]]:
    """Values of (n,) far from all others: those that are codes for certain, and those that may be.

    -327.68 and 32767 are what 16-bit instruments write; 999.9, -9999 and their like are customary. Any
    other that comes back exactly is only suspicious: a clipped peak does, too. Zero is neither: it is what an
    open line carries.
    """
    codes: list[float] = []
    suspects: list[float] = []
    if numbers.counts is not None and len(numbers.counts) < _LEAST_KINDS:
        return codes, suspects
    found, occurrences = np.unique(values[~np.isnan(values)], return_counts=True)
    if len(found) < _LEAST_KINDS:
        return codes, suspects
    span = numbers.q95 - numbers.q05
    for at, beside in ((0, 1), (-1, -2)):
        value = float(found[at])
        isolated = abs(value - found[beside]) > 5 * max(span, 1e-9)
        if value == 0 or not isolated or occurrences[at] > 0.5 * len(values):
            continue
        if round(abs(value), 2) in _CUSTOMARY:
            codes.append(value)
        elif occurrences[at] >= 3:
            suspects.append(value)
    return codes, suspects
