"""How long a condition has lasted and whether it holds: the arithmetic of alarm delays on arrays.

Arrays run over n frames, the two levels and k lanes (a lane is one rule, one direction, one channel):
(n, 2, k), or (n, 1, k) where both levels share them. Times are whole nanoseconds. Everything that a block
leaves behind is carried in arrays of (2, k) or (k,), so that cutting a stream differently changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Integers = npt.NDArray[np.int64]
Lanes = npt.NDArray[np.intp]

SECOND = 1_000_000_000
"""Nanoseconds."""
BEFORE = -1
"""The index of a frame that came before this block."""


def longest_silence(rate: float | None) -> int:
    """Nanoseconds without a good sample beyond which a run starts again: three frames, but at least 1 s."""
    return max(SECOND, round(3 * SECOND / rate)) if rate else SECOND


@dataclass(frozen=True, slots=True)
class Samples:
    """The good samples of a block: when they came, and after which silence.

    time      (n,)       nanoseconds
    row                  number of the first frame
    good      (n, 1, k)  there is something to judge
    previous  (n, 1, k)  index of the good sample before, BEFORE when that was in an earlier block
    latest    (1, k)     index of the last good sample, BEFORE when there is none
    resumes   (n, 1, k)  good, and the first after a silence that was too long
    """

    time: Integers
    row: int
    good: Bools
    previous: Integers
    latest: Integers
    resumes: Bools

    @classmethod
    def of(cls, time: Integers, row: int, good: Bools, last_time: Integers, silence: int) -> Samples:
        """From `good` (n, k) and `last_time` (k,), the time of the last good sample before the block."""
        index = np.arange(len(time))[:, None]
        seen = np.maximum.accumulate(np.where(good, index, BEFORE), axis=0)
        previous = np.vstack((np.full_like(seen[:1], BEFORE), seen[:-1]))
        waited = time[:, None] - np.where(previous == BEFORE, last_time, time[previous])
        resumes = good & (waited > silence)
        return cls(time, row, good[:, None], previous[:, None], seen[-1:], resumes[:, None])


@dataclass(frozen=True, slots=True)
class Progress:
    """What a block did to some runs.

    ready      (n, 2, k)  the run contains this sample and has lasted long enough
    first      (n, 2, k)  index of the run's first sample, BEFORE when that was in an earlier block
    since      (2, k)     when the runs from earlier blocks began, nanoseconds
    since_row  (2, k)     the rows where they began
    samples               what the block held
    """

    ready: Bools
    first: Integers
    since: Integers
    since_row: Integers
    samples: Samples

    def began(self, index: int, level: int, lane: int) -> tuple[int, int]:
        """Time (nanoseconds) and row of the first sample of the run that contains a sample."""
        first = int(self.first[index, level, lane])
        if first == BEFORE:
            return int(self.since[level, lane]), int(self.since_row[level, lane])
        return int(self.samples.time[first]), self.samples.row + first


class Runs:
    """Unbroken runs of good samples that meet a condition, each level and lane with its own: (2, k)."""

    def __init__(self, lanes: int) -> None:
        self.running = np.zeros((2, lanes), dtype=bool)
        self._since = np.zeros((2, lanes), dtype=np.int64)
        self._since_row = np.zeros((2, lanes), dtype=np.int64)
        self._count = np.zeros((2, lanes), dtype=np.int64)

    def extend(
        self,
        lanes: Lanes,
        samples: Samples,
        inside: Bools,
        ends: Bools,
        delay: Integers,
        count: Integers | None = None,
    ) -> Progress:
        """Go on by one block, in some `lanes` (k,).

        `inside` (n, 2, k) are the good samples that belong to a run; `ends` (n, 2, k) the frames that end
        one: every other good sample is among them. A run is ready when the time since its first sample is
        at least `delay` (2, k) and it has at least `count` (2, k) samples; without `count`, one.
        """
        time = samples.time
        index = np.arange(len(time))[:, None, None]
        running, since, since_row = self.running[:, lanes], self._since[:, lanes], self._since_row[:, lanes]

        # A run has its first sample at or behind `origin`, and no good sample between the two.
        origin = np.where(ends, index + 1, np.where(samples.resumes, index, BEFORE))
        origin[0] = np.maximum(origin[0], np.where(running, BEFORE, 0))
        origin = np.maximum.accumulate(origin, axis=0)
        starts = inside & (samples.previous < origin)
        first = np.maximum.accumulate(np.where(starts, index, BEFORE), axis=0)

        carried = first == BEFORE
        began = np.where(carried, since, time[first])
        ready = inside & (time[:, None, None] - began >= delay)
        if count is not None and (count > 1).any():
            total = np.cumsum(inside, axis=0)
            until = np.where(carried, self._count[:, lanes], 1 - np.take_along_axis(total, first, axis=0))
            length = total + until
            ready &= length >= count
            self._count[:, lanes] = length[-1]

        self.running[:, lanes] = samples.latest >= origin[-1]
        self._since[:, lanes] = began[-1]
        self._since_row[:, lanes] = np.where(carried[-1], since_row, samples.row + first[-1])
        return Progress(ready, first, since, since_row, samples)

    def saved(self, lane: int) -> list[list[int] | None]:
        """The runs of one lane, for JSON: of each level when and in which row it began, and its samples."""
        return [
            [int(self._since[level, lane]), int(self._since_row[level, lane]), int(self._count[level, lane])]
            if self.running[level, lane]
            else None
            for level in range(2)
        ]

    def restore(self, lane: int, runs: Sequence[Sequence[int] | None]) -> None:
        """Go on with what `saved` said."""
        for level, run in enumerate(runs):
            self.running[level, lane] = run is not None
            if run is not None:
                self._since[level, lane], self._since_row[level, lane], self._count[level, lane] = run


def held(sets: Bools, resets: Bools, before: Bools) -> Bools:
    """(n, 2, k) what a switch shows that is set and reset (never both at once), from `before` (2, k) on."""
    index = np.arange(len(sets))[:, None, None]
    touched = np.maximum.accumulate(np.where(sets | resets, index, BEFORE), axis=0)
    shown: Bools = np.where(touched == BEFORE, before, np.take_along_axis(sets, touched, axis=0))
    return shown
