"""How steady the frequency is: one number between 0 and 1."""

from __future__ import annotations

import numpy as np

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import of_system, of_terminals
from gridtop.quantities.layout import Columns, Layout, frequency
from gridtop.quantities.medians import LONG_AGO
from gridtop.quantities.rates import live_frequency
from gridtop.quantities.recent import Recent
from gridtop.quantities.sums import frames_within, sliding_sums
from gridtop.quantities.work import Work

WINDOW_S = 10.0
LEAST_FRAMES = 10
UNSTABLE_HZ = 0.05
"""The rms deviation at which the index is 0."""


class _Index:
    """1 - min(1, rms / 0.05 Hz) of deviations (k, n) over the last 10 s, or 10 frames if they last longer."""

    def __init__(self, layout: Layout) -> None:
        span = max(WINDOW_S, LEAST_FRAMES / layout.rate)
        self._frames = round(span * layout.rate)
        self._span_ns = round((span - 0.5 / layout.rate) * 1e9)
        self._recent = Recent(self._frames - 1, np.float64(0.0))
        self._times = Recent(self._frames - 1, LONG_AGO)

    def __call__(self, deviation: Floats, work: Work) -> Floats:
        good = ~np.isnan(deviation)
        terms = np.stack((np.where(good, deviation * deviation, 0.0), good * 1.0))
        number = frames_within(self._span_ns, self._times.join(work.time), self._frames)
        squares, frames = sliding_sums(self._recent.join(terms), self._frames, number)
        index = 1.0 - np.minimum(np.sqrt(squares / frames) / UNSTABLE_HZ, 1.0)
        return np.where(good & (frames >= LEAST_FRAMES), index, np.nan)


@of_terminals("frequency_stability", "", frequency)
class FrequencyStability:
    """How steady the frequency was: 1 - min(1, rms(f - f0 over 10 s) / 0.05 Hz), from 1 (steady) to 0.

    Good frames of the last 10 s, at least 10 of them, so below one frame a second of the last 10 frames; no
    value on a dead bus (below 0.1 pu, where the nominal voltage is given). 0.05 Hz is what is usually
    tolerated for long. A stream without times counts 10 s in frames.
    Source: none; an index of ours, so compare it with itself. For limits take `frequency_deviation`.
    """

    def __init__(self, layout: Layout) -> None:
        self._index = _Index(layout)

    def __call__(self, work: Work) -> Floats:
        """(T, n) the index."""
        return self._index(work.trusted_locally.once(live_frequency), work)


def _some_frequency(layout: Layout, place: str) -> Columns | str:
    columns = tuple(int(column) for column in layout.frequency if column >= 0)
    return columns or "no terminal has a frequency"


@of_system("frequency_stability", "", _some_frequency)
class SystemFrequencyStability:
    """The same of the median of all terminals' frequencies, so that one wrong device says nothing.

    Of an even number of good frequencies the mean of the two in the middle. After a separation the median
    is that of the larger part. Source: as of the terminals' index.
    """

    def __init__(self, layout: Layout) -> None:
        self._index = _Index(layout)

    def __call__(self, work: Work) -> Floats:
        """(n,) the index."""
        ordered = np.sort(work.trusted_locally.once(live_frequency), axis=0)
        good = np.count_nonzero(~np.isnan(ordered), axis=0)
        frame = np.arange(len(work))
        median = 0.5 * (ordered[(good - 1) // 2, frame] + ordered[good // 2, frame])
        index: Floats = self._index(np.where(good > 0, median, np.nan)[np.newaxis], work)[0]
        return index
