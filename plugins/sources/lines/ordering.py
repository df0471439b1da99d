"""Judges the times of a live stream: what is no time, what repeats, what runs backwards, what jumps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from gridtop.recordings.timestamps import frames_per_second

Row = TypeVar("Row")
Times = npt.NDArray[np.datetime64]

_FARTHEST = np.timedelta64(3_600_000_000_000, "ns")
"""An ordinary step is shorter: what is farther off must be confirmed by the lines behind it."""
_NOTHING = np.timedelta64(0, "ns")
_AHEAD, _BACK = 3, 100
"""How many lines in a row confirm that time jumped ahead, or that the clock was put back."""
_USUAL = (1, 2, 5, 10, 12, 15, 20, 25, 30, 50, 60, 100, 120)
"""Frames per second of PMUs (IEEE C37.118.1-2011, table 1) and of slower sensors."""


class TimeOrder(Generic[Row]):
    """Lets through the rows whose times follow each other; a single wrong clock reading stops nothing.

    A row that is more than an hour ahead is held until two more follow it: then there was a gap. Rows that
    lie back are left out; a hundred of them in good order mean that the clock was put back, and the stream
    goes on from there. `tell` is given the kind of trouble, the row, and what is wrong in words.
    """

    def __init__(self, tell: Callable[[str, Row, str], None]) -> None:
        self._tell = tell
        self._last: np.datetime64 | None = None
        self._held: list[tuple[Row, np.datetime64]] = []

    def admit(
        self, rows: Sequence[Row], times: Times, ended: bool = False
    ) -> list[tuple[Row, np.datetime64]]:
        """The rows that go on, each with its time, of n rows that follow those of the last call.

        `times` (n,) are datetime64[ns], NaT where there is none. Rows of earlier calls that were held come
        first when they are confirmed, or when the stream has `ended`.
        """
        if self._plain(times):
            admitted = list(zip(rows, times, strict=True))
            if len(times):
                self._last = times[-1]
        else:
            admitted = []
            for row, time in zip(rows, times, strict=True):
                admitted += self._judge(row, time)
        if ended and self._held:
            ahead = self._last is None or self._held[0][1] > self._last
            admitted += self._release() if ahead else self._drop()
        return admitted

    @property
    def last(self) -> np.datetime64 | None:
        """The time of the row that was let through last."""
        return self._last

    def _plain(self, times: Times) -> bool:
        if self._held or self._last is None:
            return False
        steps = np.diff(times, prepend=self._last)
        return bool(((steps > _NOTHING) & (steps <= _FARTHEST)).all())

    def _judge(self, row: Row, time: np.datetime64) -> list[tuple[Row, np.datetime64]]:
        if np.isnat(time):
            self._tell("bad_times", row, "is not a time")
            return []
        if self._last is None:
            self._last = time
            return [(row, time)]
        step = time - self._last
        if step == _NOTHING:
            self._tell("repeated_times", row, f"time repeats: {readable(time)}")
            return []
        if _NOTHING < step <= _FARTHEST:
            self._drop()
            self._last = time
            return [(row, time)]
        if self._held and not _NOTHING < time - self._held[-1][1] <= _FARTHEST:
            self._drop()
        self._held.append((row, time))
        if len(self._held) < (_AHEAD if step > _NOTHING else _BACK):
            return []
        if step < _NOTHING:
            first, back = self._held[0]
            self._tell(
                "clock_put_back", first, f"the clock was put back to {readable(back)}; it goes on there"
            )
        return self._release()

    def _release(self) -> list[tuple[Row, np.datetime64]]:
        released, self._held = self._held, []
        self._last = released[-1][1]
        return released

    def _drop(self) -> list[tuple[Row, np.datetime64]]:
        for row, time in self._held:
            ahead = self._last is not None and time > self._last
            wrong = "time jumps ahead, and what follows does not" if ahead else "time runs backwards"
            before = "" if self._last is None else f" beside {readable(self._last)}"
            self._tell("out_of_order", row, f"{wrong}: {readable(time)}{before}")
        self._held.clear()
        return []


def readable(time: np.datetime64) -> str:
    """A time as messages show it."""
    return str(time).rstrip("0").rstrip(".")


def nominal_rate(times: Times) -> float | None:
    """The frames per second that (n,) times show; None for less than two.

    Within half a percent of a usual rate it is that one, because stamps are cut to milliseconds.
    """
    rate = frames_per_second(np.diff(times[~np.isnat(times)]))
    if rate is None:
        return None
    near = min(_USUAL, key=lambda usual: abs(usual - rate))
    return float(near) if abs(near - rate) <= 0.005 * near else rate
