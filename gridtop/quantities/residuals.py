"""Residuals: what a physical law leaves over, and what of it was there when all was well.

A residual of a law (`raw`) is never zero: instruments err within their class, and a line's data are not
exact. Both are proportional to what is measured, so a commissioning baseline explains a residual by a sum of
factors times regressors. Quantities show the departure: raw minus that sum.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from gridtop.blocks import Floats
from gridtop.quantities.layout import Layout
from gridtop.quantities.phasors import Phasors
from gridtop.quantities.work import Work


@dataclass(frozen=True, slots=True)
class Residual:
    """One law, at all the places where it holds; k of them.

    channel     the quantity in whose name the factors are kept
    places      the k places, terminals or lines
    raw         (k, n) what the law leaves over
    regressors  each (k, n): what that may be proportional to
    spreads     for each regressor (k, 1) how large its factor usually is: one standard deviation
    noise       (k, 1) how far the raw residual usually strays from frame to frame
    """

    channel: str
    places: Callable[[Layout], Sequence[str]]
    raw: Callable[[Work], Phasors]
    regressors: Callable[[Work], tuple[Phasors, ...]]
    spreads: Callable[[Layout], tuple[Floats, ...]]
    noise: Callable[[Layout], Floats]

    def __post_init__(self) -> None:
        RESIDUALS[self.channel] = self

    def factors(self, layout: Layout) -> tuple[Phasors, ...] | None:
        """For each regressor its (k, 1) learned factors; None when nothing was learned."""
        return layout.once(self._factors)

    def _factors(self, layout: Layout) -> tuple[Phasors, ...] | None:
        places = self.places(layout)
        known = layout.factors(self.channel, places, len(self.spreads(layout)))
        return None if known is None else tuple(Phasors.constants(each) for each in zip(*known, strict=True))

    def departure(self, work: Work) -> Phasors:
        """(k, n) the raw residual without what the baseline explains."""
        raw = self.raw(work)
        factors = self.factors(work.layout)
        if factors is None:
            return raw
        for factor, regressor in zip(factors, self.regressors(work), strict=True):
            raw = raw - regressor * factor
        return raw


RESIDUALS: dict[str, Residual] = {}
"""Every residual by its channel: what a baseline is learned for."""


def terminals_of(layout: Layout) -> Sequence[str]:
    """All terminals."""
    return layout.terminals


def lines_of(layout: Layout) -> Sequence[str]:
    """All lines."""
    return tuple(layout.lines)


def same_for_all(number: float, of: Callable[[Layout], Sequence[str]]) -> Callable[[Layout], Floats]:
    """(k, 1) one number for all places."""
    return lambda layout: np.full((len(of(layout)), 1), number)
