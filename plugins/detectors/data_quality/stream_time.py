"""How the time of a stream runs: lost frames, steps off the grid, years that cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridtop.api import ChannelSet, Site
from gridtop.plugins.detectors.data_quality.levels import LARGEST, level, texts_of
from gridtop.plugins.detectors.data_quality.windows import NANOSECONDS, RollingSums

if TYPE_CHECKING:
    from gridtop.plugins.detectors.data_quality.scores import DataQuality

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

STEP_TOLERANCE = 0.25
"""Share of a frame period by which a step may differ from a whole number of periods: stamps in milliseconds
and the jitter of a good clock stay well below it."""


class StreamTime:
    """How the time of the stream runs."""

    def __init__(
        self, config: DataQuality.Config, channels: ChannelSet, site: Site, places: Sequence[str], frames: int
    ) -> None:
        self._config = config
        set_rates = [rate for place in places if (rate := site.terminal(place).rate) is not None]
        self._rate = max(set_rates, default=channels.rate)
        self._period = round(NANOSECONDS / self._rate) if self._rate else 0
        self._frames = frames
        self._late, self._irregular = RollingSums(frames, 1), RollingSums(frames, 1)
        self._last: int | None = None
        years = (f"{config.first_year:04}-01-01", f"{config.last_year + 1:04}-01-01")
        self._years = tuple(np.datetime64(year, "ns") for year in years)

    def score(
        self, instants: npt.NDArray[np.datetime64], time: Counts, has_clock: bool
    ) -> tuple[Floats, list[str] | None]:
        """(n,) scores, no opinion on a stream without a clock, and reasons if there are any."""
        config, n = self._config, len(time)
        if not has_clock or not n:
            return np.full(n, np.nan), None
        rate, irregular, gap = np.zeros(n), np.zeros(n), np.zeros(n)
        if self._period:
            steps = np.diff(time, prepend=time[0] - self._period if self._last is None else self._last)
            self._last = int(time[-1])
            periods = steps / self._period
            nearest = np.maximum(1.0, np.round(periods))
            off = np.abs(periods - nearest) > STEP_TOLERANCE
            gap = np.where(nearest > 1, steps / NANOSECONDS, 0.0)
            excess = self._late.sums(steps[:, np.newaxis] - self._period)[:, 0]
            # Periods are whole nanoseconds: what that adds up to is not told.
            rate = np.round(100.0 * excess / (self._frames * self._period), 4)
            counts = self._irregular.sums(off[:, np.newaxis].astype(np.int64))[:, 0]
            irregular = 100.0 * counts / self._frames
        odd_year = (instants < self._years[0]) | (instants >= self._years[1])
        levels = np.stack(
            (
                level(np.abs(rate), config.rate_warning, config.rate_critical),
                level(irregular, config.irregular_warning, config.irregular_critical),
                np.where(odd_year, LARGEST, 0.0),
            )
        )
        score, worst = np.minimum(levels.max(axis=0), LARGEST), levels.argmax(axis=0)
        wanted = score >= 1
        if not wanted.any():
            return score, None
        year = instants.astype("datetime64[Y]").astype(np.int64) + 1970
        told = np.choose(worst, [np.round(rate * 10), np.round(irregular * 10), year])
        # A gap is named where it alone would be a warning; many small ones are a matter of the rate.
        long = (worst == 0) & (gap >= config.rate_warning / 100 * config.window.total_seconds())
        keys = np.column_stack((worst, told, np.where(long, np.round(gap * 1000), 0)))
        return score, texts_of(keys.astype(np.int64), wanted, self._reason)

    def _reason(self, key: Sequence[int]) -> str:
        defect, told, gap = key
        window = f"{self._config.window.total_seconds():g} s"
        if defect == 0 and gap:
            return f"time: a gap of {gap / 1000:g} s"
        if defect == 0:
            # So much longer than it should be lasted what the window's number of frames brought.
            real = (self._rate or 0.0) / max(1 + told / 1000, 1e-9)
            return f"time: {real:.4g} frames/s instead of {self._rate:g} in the last {window}"
        if defect == 1:
            return f"time: {told / 10:g} % of the steps of the last {window} are off the frame grid"
        return f"time: the stream says it is the year {told}"
