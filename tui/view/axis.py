"""The range of values a graph covers: it moves seldom, so that the picture stays still and readable."""

from __future__ import annotations

import math
import sys

_LARGEST = sys.float_info.max
_RELATIVE = 1e-9
_ROOM = 0.04
"""Share of the range left free above and below when the axis has to move, so that it need not again soon."""
_TOO_SMALL = 0.4
"""The axis closes in when the data fills less than this share of it."""
_ABSURD = 1e300
"""Steps beyond which powers of ten overflow."""


class Axis:
    """Keeps its range until the data leaves it or uses too little of it."""

    def __init__(self) -> None:
        self.bottom, self.top = 0.0, 0.0

    def fit(self, lowest: float, highest: float, least: float) -> tuple[float, float]:
        """(bottom, top) for data from `lowest` to `highest`; never shorter than `least`.

        Data that is shorter than `least` lies in the middle. Without finite data the axis stays.
        """
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            return self.bottom, self.top
        span = max(highest - lowest, least)
        outside = lowest < self.bottom or highest > self.top or self.bottom == self.top
        # The least range wanders with the signal; only a change of scale counts, not of a percent.
        loose = span < _TOO_SMALL * (self.top - self.bottom)
        if outside or loose:
            room = _ROOM * span if highest - lowest > least else (least - (highest - lowest)) / 2
            # Of a huge value the least range may be less than its last digit.
            room = max(room, _RELATIVE * max(abs(lowest), abs(highest)))
            self.bottom, self.top = max(lowest - room, -_LARGEST), min(highest + room, _LARGEST)
        return self.bottom, self.top


def round_values(bottom: float, top: float, most: int) -> list[float]:
    """At most about `most` values between two others, at steps of 1, 2 or 5 times a power of ten."""
    rough = top / most - bottom / most
    if not 0 < rough <= _ABSURD:
        return [bottom, top]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= rough), 10 * power)
    first, last = math.ceil(bottom / step), math.floor(top / step)
    return [n * step for n in range(first, last + 1)]
