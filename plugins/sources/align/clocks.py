"""Which of several clocks are right: those of the sources and this computer's, by majority."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .grid import SECOND

WINDOW = 3.0
"""Seconds in which the frame that came quickest tells a source's clock from its delays."""
_PERIODS = 2.5
"""A source slower than that in the window is judged by so many of its periods."""
_SUSTAINED = 1.0
"""Seconds for which all frames must come too late before the clock is called slow: a burst does not."""
_RIGHT_AGAIN = 0.8
"""The share of the tolerance within which a clock that was wrong is right."""


class Clocks:
    """The offset of each source's clock: arrival less measurement time, by the frame that came quickest.

    The median of all offsets, with that of this computer (0), is the truth. Where there is no majority it
    stays as near as it can to what it was, at first to this computer's clock; when all are silent it stays.
    Arrivals are told by a clock that nobody sets, so that setting this computer's moves only its own vote. A
    single source is never judged. `periods` and `tolerance` are in seconds; a slow source is allowed one and
    a half of its periods.
    """

    def __init__(self, names: Sequence[str], periods: Sequence[float], tolerance: float) -> None:
        self._names = tuple(names)
        self._windows = [max(WINDOW, _PERIODS * period) for period in periods]
        self._tolerances = [round(max(tolerance, 1.5 * period) * SECOND) for period in periods]
        self._tolerance = round(tolerance * SECOND)
        self._least: list[deque[tuple[float, int]]] = [deque() for _ in names]
        self._since: list[float | None] = [None] * len(names)  # when it began to come too late
        self._known: list[int | None] = [None] * len(names)
        self._truth = 0
        self._begin: int | None = None  # by this computer's clock, when the other one was 0
        self._local = 0
        self.wrong: list[str] = [""] * len(names)
        """Of each source what is wrong with its clock, in words; empty when it is right."""
        self.local_wrong = ""
        """What is wrong with this computer's clock."""

    def offset(self, source: int) -> float | None:
        """Seconds by which its frames come later than their time says; None when not known."""
        known = self._known[source]
        return None if known is None else (known - self._local) / SECOND

    def time(self, now: float) -> int | None:
        """The measurement time of frames that come now from a right clock; None when nothing is known.

        In nanoseconds since 1970.
        """
        if len(self._names) < 2 or self._begin is None:
            return None
        return self._begin + round(now * SECOND) - self._truth

    def admits(self, source: int, time: int, now: float, wall: int) -> bool:
        """Whether frames of which the newest has this time can be used, when they arrive at `now`.

        `time` and `wall` are nanoseconds since 1970; `wall` is this computer's clock.
        """
        if self._begin is None:
            self._begin = wall - round(now * SECOND)
        arrival = self._begin + round(now * SECOND)
        self._local = arrival - wall
        offset = arrival - time
        least = self._least[source]
        while least and least[-1][1] >= offset:
            least.pop()
        least.append((now, offset))
        self._known[source] = least[0][1]
        if len(self._names) < 2:
            return True
        if self._outlying(source, offset) or self.wrong[source]:
            self.judge(now)
        if not self._outlying(source, offset):
            self._since[source] = None
            return not self.wrong[source]
        if self._since[source] is None:
            self._since[source] = now
        self.judge(now)
        return False

    def judge(self, now: float) -> None:
        """Find out anew which clocks are right."""
        if len(self._names) < 2 or self._begin is None:
            return
        votes = {}
        for i, least in enumerate(self._least):
            while least and now - least[0][0] > self._windows[i]:
                least.popleft()
            if least:
                votes[i] = self._known[i] = least[0][1]
        if not votes:
            return
        self._truth = self._median(sorted((*votes.values(), self._local)))
        for i, vote in votes.items():
            self._judge_one(i, vote - self._truth, now, alone=len(votes) == 1)
        apart = self._local - self._truth
        if abs(apart) <= (_RIGHT_AGAIN if self.local_wrong else 1.0) * self._tolerance:
            self.local_wrong = ""
        elif not self.local_wrong:
            self.local_wrong = f"this computer's clock is {_apart(apart)} those of the sources"

    def _judge_one(self, source: int, apart: int, now: float, alone: bool) -> None:
        tolerance, since = self._tolerances[source], self._since[source]
        if self.wrong[source]:
            if abs(apart) <= _RIGHT_AGAIN * tolerance:
                self.wrong[source] = ""
        elif apart < -tolerance or (apart > tolerance and since is not None and now - since >= _SUSTAINED):
            others = "this computer's, and no other source says which is right" if alone else "the others"
            self.wrong[source] = (
                f"the clock of {self._names[source]} is {_apart(apart)} {others}: "
                "its frames are left out until it is right"
            )

    def _outlying(self, source: int, offset: int) -> bool:
        return abs(offset - self._truth) > self._tolerances[source]

    def _median(self, votes: Sequence[int]) -> int:
        low, high = votes[(len(votes) - 1) // 2], votes[len(votes) // 2]
        if high - low <= self._tolerance:
            return (low + high) // 2
        return min((low, high), key=lambda vote: abs(vote - self._truth))


def _apart(nanoseconds: int) -> str:
    """How far a clock is off, from its offset: frames of a clock that is behind seem to come late."""
    seconds = abs(nanoseconds) / SECOND
    amount = f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{amount} {'behind' if nanoseconds > 0 else 'ahead of'}"
