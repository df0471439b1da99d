"""Damping of the oscillation that an event leaves behind."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.quantities.bins import Bins, Held
from gridtop.quantities.catalogue import of_terminals
from gridtop.quantities.layout import Columns, Layout, clock
from gridtop.quantities.medians import RollingMedian
from gridtop.quantities.oscillations import (
    AMBIENT_LEAST_S,
    AMBIENT_S,
    AMBIENT_STEP_S,
    Swing,
    least_swing,
    power_or_frequency,
)
from gridtop.quantities.recent import Recent
from gridtop.quantities.sums import added
from gridtop.quantities.work import Work

WINDOW_S = 6.0
SAMPLES_PER_S = 10
EVENT = 4.0
"""x ambient: the peak-to-peak swing in the window from which on there is something to fit."""
LEAST_HALF = 0.05
"""Of that, what there must be in each half of the window: otherwise it is a step, which rings nowhere."""
LOWEST_HZ, HIGHEST_HZ = 0.25, 3.5
LEAST_FIT = 0.95
"""Of the window's variance, what the modes must explain."""
LEAST_SHARE = 0.5
"""Of what the modes explain, what must be the strongest one's."""
SAME_MODE_HZ, SAME_MODE_PERCENT = 0.1, 3.0

_ORDER = 6
"""Exponentials that are fitted: two oscillations, and two that creep."""
_LEAST_SINGULAR = 1e-2
_LEAST_REST = 1e-6


class Mode(NamedTuple):
    """One oscillation: its frequency in Hz, and its damping in per cent of critical; negative if it grows."""

    frequency: float
    damping: float


def _dense_enough(layout: Layout, terminal: str) -> Columns | str:
    if layout.rate >= SAMPLES_PER_S:
        return ()
    return f"{layout.rate:g} frames/s are too few for a ring-down"


@of_terminals("damping", "%", power_or_frequency, clock, _dense_enough)
class Damping:
    """Damping of the strongest oscillation after an event, in per cent of critical.

    Once a second the active power (where there is none, the frequency) of the last 6 s, at 10 samples/s, is
    resolved into at most six damped exponentials by the matrix pencil; damping = -Re(s) / |s| of the
    strongest one between 0.25 and 3.5 Hz. A value is given only where the swing, peak to peak, is 4 times
    its ambient median (10 minutes, at least 30 s) and neither half of the window all but still; where the
    fit is good: the modes explain 95 % of the variance, the strongest half of that; and where the second
    before gave the same mode within 0.1 Hz and 3 percentage points. NaN otherwise, so mostly. While
    switching goes on in the window there is none; a steady forced oscillation has a damping of zero. Gaps
    as for the oscillation bands.
    Below 5 % is worth watching and below 3 % acting upon, by custom.
    Source: Hua and Sarkar, Matrix pencil method, IEEE Trans. ASSP 38 (1990).
    """

    def __init__(self, layout: Layout) -> None:
        self._least = least_swing(layout)
        frames = max(1, round(layout.rate / SAMPLES_PER_S))
        self._period = frames / layout.rate
        self._samples, self._seconds = Bins(frames), Bins(SAMPLES_PER_S)
        self._length = round(WINDOW_S * SAMPLES_PER_S)
        self._recent = Recent(self._length - SAMPLES_PER_S, np.float64(np.nan))
        seconds = layout.rate / frames / SAMPLES_PER_S
        self._ambient = RollingMedian(seconds, AMBIENT_S, AMBIENT_LEAST_S, step=AMBIENT_STEP_S)
        self._before: list[Mode | None] = [None] * len(layout.terminals)
        self._held = Held()

    def __call__(self, work: Work) -> Floats:
        """(T, n) the damping in force."""
        frames = self._samples.frames
        swing = work.shared(Swing)
        samples = self._samples(swing, work.row)
        if not samples.shape[1]:
            return self._held.still(swing)
        seconds = self._seconds(added(np.moveaxis(samples, -1, 0)) / frames, work.row // frames)
        if not seconds.shape[1]:
            return self._held.still(swing)
        seen = self._samples.ended(np.arange(1, len(work) + 1))
        ends = self._seconds.ends(self._samples.ends(work.time))
        joined = self._recent.join(seconds.reshape(len(seconds), -1))
        windows = np.lib.stride_tricks.sliding_window_view(joined, self._length, axis=1)[:, ::SAMPLES_PER_S]
        half = self._length // 2
        size, early, late = (
            _peak_to_peak(part) for part in (windows, windows[..., :half], windows[..., half:])
        )
        first = work.row // (frames * SAMPLES_PER_S)
        least = EVENT * np.maximum(self._ambient(size, ends, first), self._least)
        found = np.full(seconds.shape[:2], np.nan)
        self._fit(windows, (size > least) & (np.minimum(early, late) > LEAST_HALF * size), found)
        return self._held(found, self._seconds.ended(seen))

    def _fit(self, windows: Floats, worth: npt.NDArray[np.bool_], found: Floats) -> None:
        for terminal, before in enumerate(self._before):
            for second, fit in enumerate(worth[terminal]):
                mode = strongest_mode(windows[terminal, second], self._period) if fit else None
                if mode and before and _same(mode, before):
                    found[terminal, second] = mode.damping
                before = mode
            self._before[terminal] = before


def _peak_to_peak(windows: Floats) -> Floats:
    size: Floats = windows.max(axis=-1) - windows.min(axis=-1)
    return size


def _same(one: Mode, other: Mode) -> bool:
    return (
        abs(one.frequency - other.frequency) < SAME_MODE_HZ
        and abs(one.damping - other.damping) < SAME_MODE_PERCENT
    )


def strongest_mode(values: Floats, period: float) -> Mode | None:
    """The strongest oscillation in values (n,) that are `period` seconds apart; None where none fits well.

    Rounded to 0.0001, far above what linear algebra differs by from one machine to another.
    """
    swing = values - values.mean()
    size = float(np.sqrt((swing * swing).sum()))
    swing = swing / size
    width = len(swing) // 3 + 1
    hankel = swing[np.arange(len(swing) - width + 1)[:, np.newaxis] + np.arange(width)]
    # The right singular vectors, from the far smaller covariance: precise enough for the strongest.
    squares, vectors = np.linalg.eigh(hankel.T @ hankel)
    order = min(_ORDER, int(np.count_nonzero(squares > _LEAST_SINGULAR**2 * squares[-1])))
    subspace = vectors[:, : -order - 1 : -1]
    # Least squares of the rows but the first on those but the last: the columns are orthonormal, so the
    # inverse is known but for the row that is left out (Sherman and Morrison).
    last = subspace[-1]
    rest_of_last = 1.0 - last @ last
    if rest_of_last < _LEAST_REST:  # the newest value stands alone: it rings nowhere
        return None
    product = subspace[:-1].T @ subspace[1:]
    step = product + np.outer(last, last @ product) / rest_of_last
    turns = np.linalg.eigvals(step)
    turns = turns[(np.abs(turns) > 0.3) & (np.abs(turns) < 1.5)]
    modes = np.vander(turns, len(swing), increasing=True).T
    amplitudes = np.linalg.lstsq(modes, swing.astype(np.complex128), rcond=None)[0]
    parts = modes * amplitudes
    rest = swing - parts.sum(axis=1).real
    if 1.0 - (rest * rest).sum() < LEAST_FIT:
        return None
    exponents = np.log(turns) / period
    hertz = exponents.imag / math.tau
    # An oscillation is a pair of exponentials; the one with the positive frequency stands for both.
    strength = np.where(
        (hertz >= LOWEST_HZ) & (hertz <= HIGHEST_HZ), 2.0 * (np.abs(parts) ** 2).sum(axis=0), 0.0
    )
    best = int(strength.argmax()) if len(strength) else -1
    if best < 0 or strength[best] < LEAST_SHARE:
        return None
    ratio = -exponents[best].real / abs(exponents[best])
    return Mode(round(float(hertz[best]), 4), round(100.0 * float(ratio), 4))
