"""The instants of an aligned stream: k / rate seconds, counted from a whole second of UTC."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]

SECOND = 1_000_000_000
_ROUNDING = 1000
"""Nanoseconds: of two frames half a period off, cut to nanoseconds, one would be rounded up and one down."""
_FINEST, _FINEST_SLOW = 1000, 10_000
"""Denominators that keep every product below 2^63: rates from 0.001 to 1000 frames a second."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Instants of a rate, numbered from 1970. Times are nanoseconds since then, UTC.

    The instants of whole rates are those of IEEE C37.118.2-2011, where frame 0 is that of the whole second.
    """

    rate: Fraction

    @classmethod
    def of(cls, rate: float) -> Grid:
        """The grid of so many frames a second, 0.001 to 1000."""
        return cls(Fraction(rate).limit_denominator(_FINEST if rate >= 1 else _FINEST_SLOW))

    @property
    def period(self) -> int:
        """Nanoseconds from one instant to the next."""
        return round(SECOND / self.rate)

    def times(self, numbers: Integers) -> Integers:
        """(n,) when the instants are."""
        frames, seconds = self.rate.numerator, self.rate.denominator * SECOND
        cycles, rest = np.divmod(numbers, frames)
        times: Integers = cycles * seconds + (rest * seconds + frames // 2) // frames
        return times

    def nearest(self, times: Integers) -> Integers:
        """(n,) the number of the instant that each time is nearest to."""
        frames, seconds = self.rate.numerator, self.rate.denominator * SECOND
        cycles, rest = np.divmod(times + _ROUNDING, seconds)
        numbers: Integers = cycles * frames + (rest * frames + seconds // 2) // seconds
        return numbers

    def number_at(self, time: int) -> int:
        """The number of the instant nearest to one time."""
        return int(self.nearest(np.array([time], dtype=np.int64))[0])
