"""A line through the latest means, and when it crosses a threshold, with an interval.

The means are joined to twenty, which takes most of their correlation away; least squares; then Fieller's
interval for the crossing (Fieller, JRSS B 1954; inverse prediction in Draper and Smith, Applied Regression
Analysis). Sums are over arrays of one shape, so that they are the same to the bit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Positions = npt.NDArray[np.int64]

BLOCKS = 20
STUDENT_95 = 1.7340636066175394
"""95 % quantile of Student's t with 18 degrees of freedom: an interval of 90 %."""
STUDENT_9995 = 3.921645824844937
"""99.95 % quantile: a slope that is significant at 99.9 %, two-sided.

99 % would do for one look. But a line is looked at again whenever it has grown, and at 99 % a step without a
trend was given a date within a week in 5 to 8 of 100 runs."""
FARTHEST = 50.0
"""How far ahead a crossing may lie, in multiples of the span that was observed."""


class Crossing(NamedTuple):
    """How long from the last mean until the line reaches a level, and the 90 % interval of that."""

    earliest: float
    expected: float
    latest: float


class Line(NamedTuple):
    """A line through block means: level at their centre, slope, and what both rest on.

    Positions count from the last mean, so that the past is negative. `square` is the variance of a block
    mean around the line, `spread` the sum of squares of the positions around their centre, `span` the
    stretch from the first mean to the last.
    """

    centre: float
    level: float
    slope: float
    square: float
    spread: float
    span: float

    @property
    def significant(self) -> bool:
        """Whether the slope differs from zero: at 99.9 % in one look, hence at 99 % in many."""
        return abs(self.slope) > STUDENT_9995 * math.sqrt(self.square / self.spread)

    @property
    def now(self) -> float:
        """The value of the line at the last mean."""
        return self.level - self.slope * self.centre

    def reaches(self, level: float) -> Crossing | None:
        """When it crosses a level; None without a significant slope, for the past, and if it is too far."""
        if not self.significant:
            return None
        ahead = level - self.level
        expected = self.centre + ahead / self.slope
        if not 0.0 <= expected <= FARTHEST * self.span:
            return None
        # (ahead - slope x)² <= t² s² (1 / n + x² / Sxx) is a quadratic inequality in x.
        noise = STUDENT_95**2 * self.square
        a = self.slope**2 - noise / self.spread
        b = -self.slope * ahead
        c = ahead**2 - noise / BLOCKS
        root = math.sqrt(max(b * b - a * c, 0.0))
        return Crossing(max(self.centre + (-b - root) / a, 0.0), expected, self.centre + (-b + root) / a)


def means_needed(correlation: float) -> int:
    """How many means it takes for a line, whose neighbours have this correlation.

    Blocks are to be long against the time over which means remember each other, (1 + r) / (1 - r).
    """
    memory = (1.0 + correlation) / (1.0 - correlation)
    return BLOCKS * math.ceil(1.0 + 4.0 * (memory - 1.0))


def line_through(positions: Positions, values: Floats) -> Line | None:
    """The line through the last means (m,) at positions (m,); None for fewer than twenty."""
    each = len(values) // BLOCKS
    if each == 0:
        return None
    used = each * BLOCKS
    ago = (positions[-used:] - positions[-1]).astype(np.float64)
    x = np.add.reduce(ago.reshape(BLOCKS, each), axis=1) / each
    y = np.add.reduce(np.ascontiguousarray(values[-used:]).reshape(BLOCKS, each), axis=1) / each
    centre, level = float(np.add.reduce(x)) / BLOCKS, float(np.add.reduce(y)) / BLOCKS
    dx, dy = x - centre, y - level
    spread = float(np.add.reduce(dx * dx))
    if spread == 0.0:
        return None
    slope = float(np.add.reduce(dx * dy)) / spread
    left = dy - slope * dx
    square = float(np.add.reduce(left * left)) / (BLOCKS - 2)
    return Line(centre, level, slope, square, spread, -float(ago[0]))
