"""What derived channels were calculated from, and what doubts about that say of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from gridtop.blocks import DOUBTFUL, NO_VALUE, Flags, Floats, Quality
from gridtop.quantities.catalogue import Offer, Quantity
from gridtop.quantities.layout import Index

_CALCULATED, _MISSING, _NO_VALUE = (
    np.uint16(flag) for flag in (Quality.CALCULATED, Quality.MISSING, NO_VALUE)
)
_DOUBTFUL = np.uint16(DOUBTFUL)
_DOUBTFUL_LOCALLY = np.uint16(DOUBTFUL & ~Quality.UNSYNCHRONISED)


class Chosen:
    """What is wanted of one quantity."""

    def __init__(self, quantity: Quantity, offers: tuple[Offer, ...]) -> None:
        self.quantity, self.offers = quantity, offers

    @cached_property
    def rows(self) -> Index | slice:
        """The rows of the formula's result that are wanted; a slice, which copies nothing, if together."""
        rows = [offer.row for offer in self.offers]
        if rows == list(range(rows[0], rows[0] + len(rows))):
            return slice(rows[0], rows[0] + len(rows))
        return np.array(rows, dtype=np.intp)


class Lineage:
    """Which of `columns` measured channels each derived one is calculated from."""

    def __init__(self, columns: int, chosen: Sequence[Chosen]) -> None:
        offers = [(offer, one.quantity.local) for one in chosen for offer in one.offers]
        self._inputs = np.zeros((len(offers), columns), dtype=np.bool_)
        for row, (offer, _) in enumerate(offers):
            self._inputs[row, list(offer.columns)] = True
        self._doubtful = [_DOUBTFUL_LOCALLY if local else _DOUBTFUL for _, local in offers]

    def mark(self, quality: Flags, rows: Floats, derived: Flags) -> None:
        """Write the flags of the derived values rows (k, n) into `derived` (n, k), which is zero.

        What was calculated from doubtful values says so; what could not be for want of a value is missing.
        """
        flagged = np.flatnonzero(np.bitwise_or.reduce(quality, axis=0))
        if not len(flagged):
            return
        flags = np.ascontiguousarray(quality[:, flagged].T)
        inputs = self._inputs[:, flagged]
        seen: dict[bytes, Flags] = {}
        for row in np.flatnonzero(inputs.any(axis=1)):
            of = inputs[row]
            key = of.tobytes()
            if key not in seen:
                seen[key] = np.bitwise_or.reduce(flags[of], axis=0)
            doubted = (seen[key] & self._doubtful[row]) != 0
            lacking = np.isnan(rows[row]) & ((seen[key] & _NO_VALUE) != 0)
            derived[:, row] = np.where(lacking, _MISSING, doubted * _CALCULATED)
