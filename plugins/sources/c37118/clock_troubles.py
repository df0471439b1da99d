"""What there is to say of a device's clock: that it leapt, that there are two of them, that it is far off."""

from __future__ import annotations

from collections import deque

import numpy as np

_SECOND = 1_000_000_000
_SHOWN = 60.0
"""Seconds for which a leap is a problem."""
_OFTEN = 3
"""Leaps in that time that are told one by one."""
_TURNS, _TURNS_SECONDS = 10, 10.0
"""So many contradictions in so many seconds are a fault; it is over after as long without one."""
_REFUSED = 2.0
"""Seconds for which nothing but frames of the future came before that is told."""


class ClockTroubles:
    """Words for people; each stays the same for as long as its trouble lasts.

    `ahead` is by how many seconds a frame may be ahead of this computer's clock. Arrivals and `now` are
    seconds of one clock.
    """

    def __init__(self, ahead: float) -> None:
        self._ahead = ahead
        self._leaps: deque[float] = deque(maxlen=_OFTEN + 1)
        self._leapt = ""
        self._turns: deque[float] = deque(maxlen=_TURNS)
        self._turning = ""
        self._refusals: tuple[float, float] | None = None  # first and last since a frame was usable

    def leapt(self, arrival: float, leap: int, to: int) -> None:
        """The stream went on by so many nanoseconds elsewhere, and is at `to` (since 1970) now."""
        self._leaps.append(arrival)
        where = str(np.datetime64(to // _SECOND, "s"))
        if len(self._leaps) > _OFTEN and arrival - self._leaps[0] < _SHOWN:
            self._leapt = "its time leaps again and again, and is followed each time"
        elif leap < 0:
            self._leapt = (
                f"its time went back by {_seconds(leap)}, to {where}Z, and is followed: the clock was put "
                "back, or frames come that much later than before"
            )
        else:
            self._leapt = f"its time went ahead by {_seconds(leap)}, to {where}Z, and is followed"

    def contradicted(self, arrival: float, apart: int) -> None:
        """A frame so many nanoseconds from the others was left out, because they went on."""
        self._turns.append(arrival)
        if not self._turning and len(self._turns) == _TURNS and arrival - self._turns[0] <= _TURNS_SECONDS:
            where = "ahead of" if apart > 0 else "behind"
            self._turning = (
                f"frames {_seconds(apart)} {where} the others come between them, and are left out: two "
                "clocks take turns, or times are damaged"
            )

    def refused(self, arrival: float) -> None:
        """A frame was too far ahead of this computer's clock."""
        self._refusals = (arrival if self._refusals is None else self._refusals[0], arrival)

    def accepted(self) -> None:
        """A frame was usable."""
        self._refusals = None

    def words(self, now: float) -> tuple[str, ...]:
        """The troubles there are."""
        if self._leapt and now - self._leaps[-1] >= _SHOWN:
            self._leapt = ""
        if self._turning and now - self._turns[-1] >= _TURNS_SECONDS:
            self._turning = ""
        far = ""
        if self._refusals is not None and self._refusals[1] - self._refusals[0] >= _REFUSED:
            far = (
                f"its frames are more than {self._ahead:,.0f} s ahead of this computer's clock, and are not "
                "used: one of the two clocks is wrong"
            )
        return tuple(text for text in (self._leapt, self._turning, far) if text)


def _seconds(nanoseconds: int) -> str:
    seconds = abs(nanoseconds) / _SECOND
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
