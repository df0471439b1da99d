"""Judges the times of a device's frames: which go on, which are too late, and when its clock has leapt."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from gridtop.plugins.sources.c37118.clock_troubles import ClockTroubles

if TYPE_CHECKING:
    from gridtop.synchrophasor.statistics import StreamCounts

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.uint16]
Times = npt.NDArray[np.datetime64]
Integers = npt.NDArray[np.int64]
Rows = npt.NDArray[np.intp]

_SECOND = 1_000_000_000
_NEAR = _SECOND
"""Nanoseconds: frames that follow each other are nearer than that, unless frames were lost meanwhile."""
_OVERTAKEN = _SECOND // 4
"""A frame that lies back by no more was overtaken on its way, if it came with the one before it."""
_AGREED = 1.0
"""Seconds for which frames agree with each other before they are believed against those before them."""
_FEWEST = 3
_SLOWEST_PERIODS = 2.5
_SLACK = 0.25
_FORGOTTEN = 2.0
"""Seconds without a doubtful frame after which the next one is a new doubt."""


class Frames(NamedTuple):
    """n frames of c columns: `time` and `arrivals` (n,), `values` and `flags` (n, c)."""

    time: Times
    arrivals: Floats
    values: Floats
    flags: Flags


class Stretch(NamedTuple):
    """Frames whose times grow, and by how many nanoseconds the clock leapt before them: 0 is not at all."""

    frames: Frames
    leap: int


class _Row(NamedTuple):
    time: int
    arrival: float
    values: Floats
    flags: Flags
    at: int  # in what was handed over just now, -1 when it came before


class _Run:
    """Frames that agree with each other and not with those that were let through.

    `support` is a vote on who is right: one up for each frame that agrees, two down for each that does not.
    """

    def __init__(self, row: _Row, ahead: bool, most: int) -> None:
        self.rows: deque[_Row] = deque()
        self.ahead = ahead
        self.first, self.began = row.time, row.arrival
        self.time, self.arrival = row.time, row.arrival
        self.count = self.support = 0
        self._most = most
        self.add(row)

    def add(self, row: _Row) -> bool:
        """Take the next frame in; whether an old one had to go for it."""
        self.rows.append(row)
        self.time, self.arrival = row.time, row.arrival
        self.count += 1
        self.support = min(self.support + 1, self._most // 2)
        if len(self.rows) <= self._most:
            return False
        self.rows.popleft()
        return True

    def contradicted(self) -> bool:
        """A frame that does not agree came; whether that is enough to give up."""
        self.support -= 2
        return self.support <= 0

    @property
    def agreed(self) -> bool:
        """Whether it goes on as long, and as fast, as only a clock does."""
        took = self.arrival - self.began
        return self.count >= _FEWEST and took >= _AGREED and self.time - self.first >= took * _SECOND / 2

    def keep(self) -> None:
        """Let go of the arrays that frames were handed over in."""
        self.rows = deque(
            row if row.at < 0 else row._replace(values=row.values.copy(), flags=row.flags.copy(), at=-1)
            for row in self.rows
        )


class TimeOrder:
    """Lets through the frames of one stream whose times follow each other, and follows its clock.

    A frame that lies back, or further ahead than time has passed, is held. When those behind it agree with it
    for about a second the clock has leapt, and the stream goes on there with all that was held. When frames
    go on as before it was late or damaged, and is counted. So a wrong frame now and then stops nothing, and
    neither do frames of two clocks by turns: the stream stays with the one it is at, unless the other has
    three frames of four. Arrivals decide, so that how frames are handed over changes nothing.
    """

    def __init__(self, counts: StreamCounts, troubles: ClockTroubles) -> None:
        self._counts, self._troubles = counts, troubles
        self._run: _Run | None = None
        self._doubts: tuple[float, float] | None = None  # first and last since a frame was let through
        self._newest: tuple[int, float] | None = None  # time and arrival of what was let through
        self._new = False
        self.period = _SECOND

    @property
    def period(self) -> int:
        """Nanoseconds between two frames."""
        return self._period

    @period.setter
    def period(self, period: int) -> None:
        self._period = period
        self._near = max(_NEAR, round(_SLOWEST_PERIODS * period))
        self._most = max(2 * _FEWEST, 2 * _SECOND // period)  # frames that are held

    def connected(self) -> None:
        """A new connection: what was held is void, and how far ahead the first frame lies says nothing."""
        self.forget()
        self._new = True

    def forget(self) -> None:
        """What is held fits nothing any more."""
        self._drop()

    def deciding(self, now: float) -> bool:
        """Whether frames have come that may yet be believed, so that their absence is no silence."""
        if self._run is None or self._doubts is None:
            return False
        period = self._period / _SECOND
        longest = max(_AGREED, (_FEWEST - 1) * period) + max(_SLACK, period / 2)
        return now - self._doubts[0] < longest

    def admit(self, frames: Frames, last: int | None, limit: int) -> tuple[list[Stretch], Rows]:
        """What goes on now, and which of the n frames given are in it.

        `last` is the time of the last frame given out, and `limit` the latest that is possible, both in
        nanoseconds since 1970. Frames of earlier calls that were held come when they are believed.
        """
        times: Integers = frames.time.astype(np.int64)
        if self._plain(times, frames.arrivals, last, limit):
            self._accept(int(times[-1]), float(frames.arrivals[-1]))
            return [Stretch(frames, 0)], np.arange(len(times))
        judged = self._judge(frames, times, last, limit)
        if self._run is not None:
            self._run.keep()
        used = [row.at for _, rows in judged for row in rows if row.at >= 0]
        return [_stretch(leap, rows) for leap, rows in judged if rows], np.array(used, dtype=np.intp)

    def _plain(self, times: Integers, arrivals: Floats, last: int | None, limit: int) -> bool:
        if self._run is not None or int(times[-1]) > limit:
            return False
        if not self._follows(int(times[0]), float(arrivals[0]), last):
            return False
        steps = np.diff(times)
        return not len(steps) or bool(steps.min() > 0 and steps.max() <= self._near)

    def _follows(self, time: int, arrival: float, last: int | None) -> bool:
        """Whether a frame may be the next one: later than the last, by no more than has passed since."""
        if last is None or self._newest is None:
            return True
        if time <= last:
            return False
        newest, came = self._newest
        return (
            self._new or time - last <= self._near or time - newest <= (arrival - came) * _SECOND + self._near
        )

    def _judge(
        self, frames: Frames, times: Integers, last: int | None, limit: int
    ) -> list[tuple[int, list[_Row]]]:
        """Leaps, and the frames after each."""
        judged: list[tuple[int, list[_Row]]] = [(0, [])]
        for i in self._sorted(times):
            row = _Row(int(times[i]), float(frames.arrivals[i]), frames.values[i], frames.flags[i], i)
            if row.time > limit:
                self._counts.ahead += 1
                self._troubles.refused(row.arrival)
            elif last is None or self._follows(row.time, row.arrival, last):
                self._go_on(row, last)
                judged[-1][1].append(row)
                last = row.time
            elif row.time == last:
                self._counts.duplicates += 1
            elif (run := self._doubted(row, last)) is not None:
                judged.append((run.first - last, list(run.rows)))
                self._follow(run, last)
                last = run.time
        return judged

    def _sorted(self, times: Integers) -> Sequence[int]:
        """Frames in the order of time, but for leaps, which stay where they are."""
        steps = np.diff(times)
        leaps = np.abs(steps) > max(_OVERTAKEN, self._near - _NEAR)
        self._counts.out_of_order += int(np.count_nonzero((steps < 0) & ~leaps))
        stretches = np.concatenate(([0], np.cumsum(leaps)))
        order: list[int] = np.lexsort((times, stretches)).tolist()
        return order

    def _go_on(self, row: _Row, last: int | None) -> None:
        """A frame follows what was let through."""
        run = self._run
        if run is not None and last is not None:
            if 0 < row.time - run.time <= self._near:
                self._drop()  # it lay back and has caught up: no leap
            elif run.contradicted():
                self._drop(contradicted_at=last)
        self._accept(row.time, row.arrival)

    def _doubted(self, row: _Row, last: int) -> _Run | None:
        """Hold a frame; the run that is believed with it, if any."""
        self._mark_doubt(row.arrival)
        run = self._run
        if run is not None and row.arrival - run.arrival > self._near / _SECOND:
            self._drop()
            run = None
        if run is not None:
            step = row.time - run.time
            if 0 < step <= self._near:
                if run.add(row):
                    self._count_lost(run.ahead)
                return run if run.agreed else None
            if step == 0:
                self._counts.duplicates += 1
                return None
            if -self._near <= step < 0:
                self._counts.out_of_order += 1
                return None
            if not run.contradicted():
                self._count_lost(row.time > last)
                self._tell_apart(row.arrival, row.time - last)
                return None
            self._drop(contradicted_at=last)
        self._run = _Run(row, row.time > last, self._most)
        return None

    def _follow(self, run: _Run, last: int) -> None:
        self._run = None
        if run.first < last:
            self._counts.clock_put_back += 1
        self._troubles.leapt(run.arrival, run.first - last, run.time)
        self._accept(run.time, run.arrival)

    def _accept(self, time: int, arrival: float) -> None:
        self._newest = time, arrival
        self._doubts, self._new = None, False
        self._troubles.accepted()

    def _mark_doubt(self, arrival: float) -> None:
        doubts = self._doubts
        known = doubts is not None and arrival - doubts[1] <= max(_FORGOTTEN, self._near / _SECOND)
        self._doubts = (doubts[0] if doubts is not None and known else arrival, arrival)

    def _drop(self, contradicted_at: int | None = None) -> None:
        """Give up what is held; where frames at that time contradicted it, that is remembered."""
        run, self._run = self._run, None
        if run is None:
            return
        self._count_lost(run.ahead, len(run.rows))
        if contradicted_at is not None:
            self._tell_apart(run.arrival, run.first - contradicted_at)

    def _count_lost(self, ahead: bool, frames: int = 1) -> None:
        if ahead:
            self._counts.ahead += frames
        else:
            self._counts.out_of_order += frames

    def _tell_apart(self, arrival: float, apart: int) -> None:
        if abs(apart) > self._near:
            self._troubles.contradicted(arrival, apart)


def _stretch(leap: int, rows: Sequence[_Row]) -> Stretch:
    frames = Frames(
        np.array([row.time for row in rows], dtype=np.int64).view("datetime64[ns]"),
        np.array([row.arrival for row in rows]),
        np.stack([row.values for row in rows]),
        np.stack([row.flags for row in rows]),
    )
    return Stretch(frames, leap)
