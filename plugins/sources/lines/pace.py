"""How the rows of a feed come: how many a second, and when it has fallen silent."""

from __future__ import annotations

from collections import deque

SHORTEST = 1.0
"""Seconds that a feed may always say nothing, unless told otherwise."""
LONGEST = 60.0
"""Seconds that a feed may say nothing at most before it is silent, whatever it did before."""
STARTING = 10.0
"""Seconds from the first row in which no feed is silent sooner: its rows may come in portions."""
PERIODS = 2.5
"""A feed slower than that in the time of silence is not silent between two rows."""

_MARGIN = 1.5
"""How much longer than ever before a pause is that means silence."""
_REMEMBERED = 600.0
"""Seconds for which a pause is remembered."""
_SPAN = 10
"""Seconds over which the rate is measured."""
_DISTRACTED = 0.5
"""Seconds between two looks at a feed after which the second one cannot tell silence from a queue."""


class Pace:
    """Judges by when rows came how long a feed may say nothing. Instants are seconds on a monotonic clock.

    `setting` is after how many seconds without a row a feed is silent, `period` how many lie between two
    rows; None for what is not known. Without a setting a feed gets one second, 2.5 periods, and half as long
    again as any pause of the last ten minutes whose rows came after it: what is written to a pipe may wait in
    the writer's buffer.
    """

    def __init__(self, setting: float | None, period: float | None) -> None:
        self._setting, self._period = setting, period
        self._begun: float | None = None
        self._heard = 0.0
        self._looked = -LONGEST
        self._pauses: deque[tuple[float, float]] = deque()  # when, how long; the longest first
        self._seconds: deque[tuple[int, int]] = deque(maxlen=_SPAN + 1)  # second, rows in it
        self.words = ""
        """That it is silent, for people; empty when it is not."""

    @property
    def judges(self) -> bool:
        """Whether it is known what silence is."""
        return self._setting is not None or self._period is not None

    def came(self, now: float, rows: int, step: float | None) -> None:
        """So many rows came, the first of them `step` seconds by its own time after the last one before.

        None when rows have no time of their own: then so many must fill a pause in which nothing was lost.
        """
        if self._begun is None:
            self._begun = now
        elif self._period is not None:
            pause = now - self._heard
            if (step if step is not None else pause - rows * self._period) < pause / 2:
                self._remember(now, pause)
        self._heard = self._looked = now
        self.words = ""
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            rows += self._seconds.pop()[1]
        self._seconds.append((second, rows))

    def silent_for(self, now: float) -> float | None:
        """How many seconds ago rows should have come at the latest; None when the feed is not silent."""
        awake, self._looked = now - self._looked < _DISTRACTED, now
        patience = self.patience(now)
        if self._begun is None or patience is None or not awake or now - self._heard < patience:
            return None
        self.words = self.words or f"nothing has come for {patience:.3g} s"
        return now - self._heard - patience

    def patience(self, now: float) -> float | None:
        """After how many seconds without a row the feed is silent; None when it never is."""
        if not self.judges:
            return None
        slow = PERIODS * (self._period or 0.0)
        if self._setting is not None:
            return max(self._setting, slow)
        self._forget(now)
        usual = _MARGIN * self._pauses[0][1] if self._pauses else 0.0
        starting = STARTING if self._begun is None or now - self._begun < STARTING else 0.0
        return max(SHORTEST, slow, min(usual, LONGEST), starting)

    def rate(self, now: float) -> float:
        """Rows per second of the last ten seconds; NaN before the first."""
        if self._begun is None:
            return float("nan")
        first = int(now) - _SPAN + 1
        rows = sum(count for second, count in self._seconds if second >= first)
        return rows / max(1.0, now - max(first, self._begun))

    def seconds_since_data(self, now: float) -> float:
        """Since the last row; NaN before the first."""
        return float("nan") if self._begun is None else now - self._heard

    def _remember(self, now: float, pause: float) -> None:
        self._forget(now)
        while self._pauses and self._pauses[-1][1] <= pause:
            self._pauses.pop()
        self._pauses.append((now, pause))

    def _forget(self, now: float) -> None:
        while self._pauses and now - self._pauses[0][0] > _REMEMBERED:
            self._pauses.popleft()
