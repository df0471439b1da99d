"""How fast the frequency changes, and whether it agrees with the rotation of the voltage."""

from __future__ import annotations

import numpy as np

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import of_terminals
from gridtop.quantities.layout import Columns, Layout, clock, frequency, positive_voltage
from gridtop.quantities.medians import LONG_AGO, wrapped
from gridtop.quantities.recent import Recent
from gridtop.quantities.sums import Counts, added, frames_within, sliding_sums
from gridtop.quantities.work import Work

WINDOW_S = 0.5
LEAST_SHARE = 0.6
"""Of the frames expected in the window, those that must be good."""
LEAST_SPAN_S = 0.3

_LEAST_RATE = 2 / LEAST_SPAN_S


def live_frequency(work: Work) -> Floats:
    """(T, n) deviation of the frequency from nominal in Hz; missing where the bus is dead.

    A bus is dead below 0.1 pu of positive-sequence voltage; where that or the nominal voltage is not known,
    it is not.
    """
    return np.where(work.dead, np.nan, work.frequency - work.layout.site.frequency)


def _often_enough(layout: Layout, terminal: str) -> Columns | str:
    rate = _rate(layout, terminal)
    if rate >= _LEAST_RATE:
        return ()
    return f"{rate:g} frames/s are too few for a slope over {WINDOW_S * 1e3:.0f} ms"


def _rate(layout: Layout, terminal: str) -> float:
    """Frames a second that a terminal sends."""
    return min(layout.site.terminal(terminal).rate or layout.rate, layout.rate)


def _expected(layout: Layout) -> Floats:
    """(T, 1) frames expected of each terminal in the window."""
    return np.array([[round(WINDOW_S * _rate(layout, terminal))] for terminal in layout.terminals])


@of_terminals("rocof", "Hz/s", frequency, clock, _often_enough)
class Rocof:
    """Rate of change of frequency: least-squares slope of the measured frequency over 500 ms.

    df/dt = sum((t - mean t) (f - mean f)) / sum((t - mean t)²) over the frames of the last 500 ms (15 at
    30 frames/s), on their own times. Missing and doubtful frames are left out: it takes 60 % of the frames
    expected, 300 ms between the first and the last, and a value in the frame itself. So a gap begins anew
    by itself. No value on a dead bus (|V1| below 0.1 pu, where both are known), nor before the
    first window is full. White noise of s Hz gives s sqrt(12 / N) / T: 1 mHz makes 1.8 mHz/s.
    Source: 500 ms as in the British loss-of-mains protection (G59); IEC/IEEE 60255-118-1 lets a device's
    own ROCOF be wrong by up to 0.4 Hz/s, so that is not used.
    """

    def __init__(self, layout: Layout) -> None:
        self._points = max(1, round(WINDOW_S * layout.rate))
        self._measured = layout.frequency >= 0
        self._least = np.maximum(np.ceil(LEAST_SHARE * _expected(layout)), 3.0)
        self._oldest_s = -(WINDOW_S - 0.5 / layout.rate)
        self._recent = Recent(self._points - 1, np.float64(np.nan))
        self._times = Recent(self._points - 1, LONG_AGO)
        self._seen = 0

    def __call__(self, work: Work) -> Floats:
        """(T, n) the slopes."""
        n, points = len(work), self._points
        deviation = self._recent.join(work.trusted_locally.once(live_frequency))
        time = self._times.join(work.time)
        ages: Floats = np.stack([(time[k : k + n] - work.time) * 1e-9 for k in range(points)])
        good = sliding_sums(~np.isnan(deviation) * 1.0, points)
        complete = (good == points) & (ages[0] >= self._oldest_s)
        slope = self._of_all(deviation, ages)
        gaps = np.flatnonzero((~complete & self._measured[:, np.newaxis]).any(axis=0))
        if gaps.size:
            windows = np.stack([deviation[:, gaps + k] for k in range(points)])
            slope[:, gaps] = np.where(
                complete[:, gaps], slope[:, gaps], self._of_good(windows, ages[:, gaps])
            )
        slope[:, : max(0, points - 1 - self._seen)] = np.nan
        self._seen = min(self._seen + n, points)
        return slope

    def _of_all(self, deviation: Floats, ages: Floats) -> Floats:
        """(T, n) slopes where no frame is missing: the times are then the same for all terminals."""
        n, points = ages.shape[1], self._points
        centred = ages - added(ages) / points
        products = np.zeros((len(deviation), n))
        for k in range(points):
            products += centred[k] * deviation[:, k : k + n]
        slope: Floats = products / added(centred * centred)
        return slope

    def _of_good(self, windows: Floats, ages: Floats) -> Floats:
        """(T, n) slopes through the good frames of windows (points, T, n)."""
        times = ages[:, np.newaxis]
        good = ~np.isnan(windows) & (times >= self._oldest_s)
        number = added(good.astype(np.float64))
        first = np.where(good, times, np.inf).min(axis=0)
        last = np.where(good, times, -np.inf).max(axis=0)
        centred = np.where(good, times - added(np.where(good, times, 0.0)) / number, 0.0)
        slope = added(centred * np.where(good, windows, 0.0)) / added(centred * centred)
        usable = (number >= self._least) & (last - first >= LEAST_SPAN_S - 1e-6) & good[-1]
        return np.where(usable, slope, np.nan)


@of_terminals("frequency_residual", "Hz", frequency, positive_voltage, clock, _often_enough)
class FrequencyResidual:
    """How far the measured frequency and the rotation of the voltage disagree, over 500 ms.

    |mean(f - f0) - (turn of arg V1 / 360°) / time|, over the pairs of consecutive good frames of the last
    500 ms; 60 % of those expected must be there, and the frame itself. From frame to frame the angle is
    unwrapped around the turn that the measured frequency predicts, so a frequency far off nominal does no
    harm; a *disagreement* of more than half a turn per frame (15 Hz at 30 frames/s) cannot be told from a
    smaller one. It shows angles or frequencies that were falsified apart from each other, and jumps of a
    clock: an angle that turns by d degrees/s against the frequency makes d / 360 Hz. A clock that drifts
    takes both along and is not seen (compare the terminals with `clock_angle` or `angle_step`). A device's
    frequency lags its angles by some cycles, so while the frequency moves, and at switching, there is some
    residual. Angles of a clock that is not locked to UTC are used. No value on a dead bus.
    Source: IEC/IEEE 60255-118-1, where frequency is the derivative of the phase.
    """

    def __init__(self, layout: Layout) -> None:
        self._pairs = max(1, round(WINDOW_S * layout.rate) - 1)
        self._nearby_ns = round(1.5e9 / layout.rate)
        self._least = np.maximum(np.ceil(LEAST_SHARE * (_expected(layout) - 1)), 2.0)
        self._before = Recent(1, np.float64(np.nan))
        self._time_before = Recent(1, LONG_AGO)
        self._recent = Recent(self._pairs - 1, np.float64(0.0))
        self._times = Recent(self._pairs - 1, LONG_AGO)

    def __call__(self, work: Work) -> Floats:
        """(T, n) the disagreement."""
        trusted = work.trusted_locally
        angle = trusted.voltage_sequences[:, 0].degrees
        state = self._before.join(np.stack((trusted.once(live_frequency), angle)))
        time = self._time_before.join(work.time)
        apart = time[1:] - time[:-1]
        seconds = np.where(apart <= self._nearby_ns, apart, 0) * 1e-9
        predicted = (180.0 * seconds) * (state[0, :, 1:] + state[0, :, :-1])
        surplus = wrapped(state[1, :, 1:] - state[1, :, :-1] - predicted)
        good = ~np.isnan(surplus) & (seconds > 0)
        terms = np.stack((np.where(good, surplus, 0.0), good * seconds, good * 1.0))
        number = self._within(work)
        turned, lasted, pairs = sliding_sums(self._recent.join(terms), self._pairs, number)
        usable = good & (pairs >= self._least)
        return np.where(usable, np.abs(turned / lasted) / 360.0, np.nan)

    def _within(self, work: Work) -> Counts:
        times = self._times.join(work.time)
        return frames_within(round(WINDOW_S * 1e9), times, self._pairs)
