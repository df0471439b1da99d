"""Medians of the last seconds or minutes, renewed at fixed frame numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.quantities.bins import Bins, Held, Instants
from gridtop.quantities.recent import Recent

LONG_AGO = np.int64(-(2**62))
"""The time of frames before the first."""

_NS = 1_000_000_000


class RollingMedian:
    """The median of each series over the last `window` seconds, of its good values.

    Precisely: the median of the medians of the seconds. A second is as many frames as come in one, counted
    from frame numbers divisible by that; it counts when half of its frames are good. The median is renewed
    when a second is complete and then holds for the next one, so it never knows the frame it is compared
    with. There is none (NaN) before `least` seconds have counted, nor after a gap as long as the window.
    `step` makes the seconds longer, for windows of minutes.

    `period` is 360 for angles: the median is then taken round the circle from the value at hand.
    """

    def __init__(
        self, rate: float, window: float, least: float, period: float | None = None, step: float = 1.0
    ) -> None:
        self._bins = Bins(max(1, round(rate * step)))
        self._span = round(window * _NS)
        self._seconds = max(1, round(window / step))
        self._least = max(1, round(least / step))
        self._period = period
        self._recent = Recent(self._seconds - 1, np.float64(np.nan))
        self._ends = Recent(self._seconds - 1, LONG_AGO)
        self._medians = Held()
        self._renewal = LONG_AGO

    def __call__(self, values: Floats, time: Instants, row: int) -> Floats:
        """(k, n) the medians in force at n frames, from the values (k, n), which it then remembers."""
        seconds = self._bins(values, row)
        if not seconds.shape[1]:
            in_force = self._medians.still(values)
            too_old = time - self._renewal > self._span
        else:
            ends = self._bins.ends(time)
            ended = self._bins.ended(np.arange(len(time)))
            in_force = self._medians(self._renewed(seconds, ends), ended)
            too_old = time - np.concatenate(([self._renewal], ends))[ended] > self._span
            self._renewal = ends[-1]
        if too_old.any():
            in_force[:, too_old] = np.nan
        return in_force

    def _renewed(self, seconds: Floats, ends: Instants) -> Floats:
        """(k, s) the medians after each of s seconds (k, s, frames)."""
        of_seconds = self._recent.join(_median(seconds, self._bins.frames / 2, self._period))
        times = self._ends.join(ends)
        windows = np.lib.stride_tricks.sliding_window_view(of_seconds, self._seconds, axis=1)
        past = np.lib.stride_tricks.sliding_window_view(times, self._seconds)
        outside = past <= (ends - self._span)[:, np.newaxis]
        if outside.any():
            windows = np.where(outside, np.nan, windows)
        # The newest second comes first, so that angles are taken round it.
        return _median(windows[..., ::-1], self._least, self._period)


def _median(values: Floats, least: float, period: float | None) -> Floats:
    """(...) medians over the last axis, NaN where fewer than `least` values are good."""
    good = ~np.isnan(values)
    if period is None and good.all() and values.shape[-1] >= least:
        ordered, half = np.sort(values, axis=-1), values.shape[-1] // 2
        middle: Floats = 0.5 * (ordered[..., (values.shape[-1] - 1) // 2] + ordered[..., half])
        return middle
    number = np.count_nonzero(good, axis=-1)
    if period is None:
        return _middle(values, number, least)
    first = np.take_along_axis(values, good.argmax(axis=-1)[..., np.newaxis], axis=-1)
    return wrapped(first[..., 0] + _middle(wrapped(values - first, period), number, least), period)


def _middle(values: Floats, number: npt.NDArray[np.intp], least: float) -> Floats:
    ordered = np.sort(values, axis=-1)  # the missing ones last
    below = np.take_along_axis(ordered, ((number - 1) // 2)[..., np.newaxis], axis=-1)[..., 0]
    upper = np.minimum(number // 2, values.shape[-1] - 1)
    above = np.take_along_axis(ordered, upper[..., np.newaxis], axis=-1)[..., 0]
    middle: Floats = np.where(number >= max(least, 1), 0.5 * (below + above), np.nan)
    return middle


def wrapped(angle: Floats, period: float = 360.0) -> Floats:
    """The same angles within half a turn of zero."""
    within: Floats = angle - period * np.rint(angle / period)
    return within
