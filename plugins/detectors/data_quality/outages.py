"""Outages that are over: what is forgotten of the past of a device, and what is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_LONG_AGO = -(1 << 60)


class Outages:
    """Tells which frames lie behind an outage that is over: a run of frames in which something was wrong.

    It is over when nothing was wrong for `recovery` frames, unless another one ended in the `relapse` frames
    before now: a device that comes and goes is not well between two outages.
    """

    def __init__(self, recovery: int, relapse: int, width: int) -> None:
        self._recovery, self._relapse = recovery, relapse
        self._frames = 0
        self._last: Counts = np.full((1, width), _LONG_AGO, dtype=np.int64)
        """The last frame in which something was wrong: the end of the last outage."""
        self._end_before: Counts = self._last.copy()
        """The end of the outage before that one."""

    def over(self, wrong: Bools) -> Bools:
        """(n, k) from whether something is wrong, (n, k)."""
        n = len(wrong)
        frames = self._frames + np.arange(n, dtype=np.int64)[:, np.newaxis]
        self._frames += n
        if not n or not (wrong.any() or (self._last > _LONG_AGO).any()):
            return np.ones(wrong.shape, dtype=np.bool_)
        last = np.maximum.accumulate(np.vstack((self._last, np.where(wrong, frames, _LONG_AGO))), axis=0)
        # Where an outage begins, the last wrong frame until then was the end of the one before.
        begins = wrong & (frames - last[:-1] > 1)
        ends = np.vstack((self._end_before, np.where(begins, last[:-1], _LONG_AGO)))
        end_before = np.maximum.accumulate(ends, axis=0)
        self._last, self._end_before = last[-1:], end_before[-1:]
        over: Bools = (frames - last[1:] >= self._recovery) & (frames - end_before[1:] > self._relapse)
        return over
