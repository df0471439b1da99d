"""Frequency excursions: generation or load that the system has lost, from the fall or rise over seconds."""

from __future__ import annotations

import itertools
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from gridtop.api import Block, ChannelSet, Duration, Hertz, Scores, Settings, Site

Floats = npt.NDArray[np.float64]

UNKNOWN_RATE = 30.0
"""Frames per second assumed of a stream that does not say."""
MINUTE_NS = 60_000_000_000
_LEAST_MINUTES = 10
"""Whole minutes before the ambient counts."""
_MOST_MINUTES = 60


class FrequencyExcursion:
    """Scores how far the system's frequency has changed over a window, in multiples of the threshold.

    Each end of the window is the median of `smoothing` at each terminal; the change of the system is the
    median of the terminals'. It counts when at least `terminals` of them (all, where there are fewer)
    changed the same way by at least half as much. The score is the least of `consecutive` windows in a row
    with one sign, `step` apart: by then a short circuit and the swing after it are over. After a change
    of 1 or more has ended, `block` passes before another scores.

    The threshold is `threshold`, or where the grid is more restless `ambient` times the median of the
    largest changes of the last hour's minutes, once there are ten: the figure of one's own system.
    The window, the number of windows and the block are those of the Grid Solutions Framework's
    FrequencyExcursion; its 0.0256 Hz is for a whole interconnection and not for a part of one.
    """

    wants: ClassVar[tuple[str, ...]] = ("*:F", "*-F", "*[Ff]req*")

    class Config(Settings):
        """Settings of the frequency excursion."""

        window: Duration = Field("4s", validate_default=True, description="over which the change is taken")
        smoothing: Duration = Field(
            "500ms", validate_default=True, description="median at each end of the window"
        )
        threshold: Hertz = Field(0.1, gt=0, description="change that scores 1 on a quiet system")
        ambient: float = Field(
            3.0, ge=0, description="threshold in multiples of the ambient; 0 does not learn"
        )
        consecutive: int = Field(2, ge=1, le=10, description="windows in a row")
        step: Duration = Field(
            "1s", validate_default=True, description="from one of these windows to the next"
        )
        terminals: int = Field(2, ge=1, description="how many must agree")
        block: Duration = Field("20s", validate_default=True, description="silence after an excursion")

    outputs = ("system:frequency_excursion",)

    def __init__(self, config: Config, channels: ChannelSet, site: Site) -> None:
        rate = channels.rate or UNKNOWN_RATE
        self._config = config
        self._columns = [
            column
            for column, channel in enumerate(channels)
            if channel.quantity == "frequency" and channel.part == "value"
        ]
        if not self._columns:
            raise ValueError("none of the channels is a frequency")
        self._enough = min(config.terminals, len(self._columns))
        self._beta = site.system.beta
        self._median = max(1, round(config.smoothing.total_seconds() * rate))
        self._lag = max(1, round(config.window.total_seconds() * rate))
        self._history = self._lag + self._median - 1
        self._kept = np.full((self._history, len(self._columns)), np.nan)
        self._step = max(1, round(config.step.total_seconds() * rate))
        self._changes = np.full((config.consecutive - 1) * self._step, np.nan)
        self._block_ns = round(config.block.total_seconds() * 1e9)
        self._blocked_until = np.iinfo(np.int64).min
        self._within = False
        self._minute: int | None = None
        self._largest = 0.0
        self._minutes: list[float] = []

    def score(self, block: Block) -> Scores:
        """(n, 1) scores."""
        time = block.time.astype("datetime64[ns]", copy=False).view(np.int64)
        change, agreeing = self._change(block.values[:, self._columns])
        change = np.where(agreeing >= self._enough, change, np.where(np.isnan(change), np.nan, 0.0))
        threshold = self._thresholds(time, change)
        steady = self._steady(change)
        score = np.abs(steady) / threshold
        silent = self._silence(time, score)
        score[silent] = 0.0
        notes = self._notes(steady, agreeing, score)
        return Scores(score[:, np.newaxis], note=notes)

    def _change(self, values: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
        """(n,) Hz by which the system's frequency changed, and how many terminals agree."""
        joined = np.concatenate((self._kept, values))
        self._kept = joined[len(joined) - self._history :].copy()
        windows = np.lib.stride_tricks.sliding_window_view(joined, self._median, axis=0)
        smooth = _median(windows)  # (lag + n, k)
        changes = smooth[self._lag :] - smooth[: -self._lag]
        system = _median(changes)
        same = np.sign(changes) == np.sign(system)[:, np.newaxis]
        large = np.abs(changes) >= 0.5 * np.abs(system)[:, np.newaxis]
        return system, np.count_nonzero(same & large, axis=1)

    def _steady(self, change: Floats) -> Floats:
        """(n,) the least of the last windows' changes with its sign, 0 where their signs differ."""
        joined = np.concatenate((self._changes, change))
        kept = len(self._changes)
        self._changes = joined[len(joined) - kept :].copy()
        low, high = joined[kept:], joined[kept:]
        for lag in range(self._step, kept + 1, self._step):
            earlier = joined[kept - lag : len(joined) - lag]
            low, high = np.minimum(low, earlier), np.maximum(high, earlier)
        steady: Floats = np.where(
            low > 0, low, np.where(high < 0, high, np.where(np.isnan(low), np.nan, 0.0))
        )
        return steady

    def _thresholds(self, time: npt.NDArray[np.int64], change: Floats) -> Floats:
        """(n,) the threshold at each frame: what whole minutes before its own have taught."""
        result = np.full(len(time), float(self._config.threshold))
        if not self._config.ambient:
            return result
        minutes = time // MINUTE_NS
        edges = [0, *(np.flatnonzero(np.diff(minutes)) + 1).tolist(), len(time)]
        for first, end in itertools.pairwise(edges):
            if first == end:
                continue
            minute = int(minutes[first])
            if self._minute is not None and minute != self._minute:
                self._minutes = [*self._minutes, self._largest][-_MOST_MINUTES:]
                self._largest = 0.0
            self._minute = minute
            if len(self._minutes) >= _LEAST_MINUTES:
                ambient = self._config.ambient * float(np.median(self._minutes))
                result[first:end] = max(self._config.threshold, ambient)
            self._largest = float(np.fmax(self._largest, np.fmax.reduce(np.abs(change[first:end]))))
        return result

    def _silence(self, time: npt.NDArray[np.int64], score: Floats) -> npt.NDArray[np.bool_]:
        """(n,) the frames within the block that follows an excursion; one that goes on is not cut off."""
        silent = np.zeros(len(time), dtype=np.bool_)
        over = score >= 1.0
        at = 0
        while at < len(time):
            if self._within:
                ended = np.flatnonzero(~over[at:])
                if not len(ended):
                    break
                at += int(ended[0])
                self._within = False
                self._blocked_until = int(time[at]) + self._block_ns
            end = at + int(np.searchsorted(time[at:], self._blocked_until))
            silent[at:end] = True
            begun = np.flatnonzero(over[end:])
            if not len(begun):
                break
            at = end + int(begun[0])
            self._within = True
        return silent

    def _notes(self, steady: Floats, agreeing: npt.NDArray[np.int64], score: Floats) -> list[str] | None:
        frames = np.flatnonzero(score >= 1.0)
        if not len(frames):
            return None
        notes = [""] * len(score)
        for frame in frames.tolist():
            notes[frame] = self._in_words(float(steady[frame]), int(agreeing[frame]))
        return notes

    def _in_words(self, change: float, terminals: int) -> str:
        way, lost = ("fell", "generation") if change < 0 else ("rose", "load")
        seconds = f"{self._config.window.total_seconds():g}"
        places = "terminal" if terminals == 1 else "terminals"
        text = f"frequency {way} {abs(change):.2f} Hz in {seconds} s at {terminals} {places}; "
        if self._beta is None:
            return f"{text}{lost} lost (how much needs site.system.beta)"
        return f"{text}about {_rounded(abs(change) * self._beta / 1e6)} MW of {lost} lost"


def _median(values: Floats) -> Floats:
    """(...) the median of the good values along the last axis; NaN where there are none."""
    ordered = np.sort(values, axis=-1)  # NaN goes to the end
    number = np.count_nonzero(~np.isnan(values), axis=-1)
    low, high = np.maximum(number - 1, 0) // 2, number // 2
    high = np.minimum(high, values.shape[-1] - 1)
    pair = [np.take_along_axis(ordered, at[..., np.newaxis], axis=-1)[..., 0] for at in (low, high)]
    middle: Floats = np.where(number > 0, 0.5 * (pair[0] + pair[1]), np.nan)
    return middle


def _rounded(megawatts: float) -> str:
    """Two figures are all that such an estimate is good for."""
    return f"{float(f'{megawatts:.2g}'):.0f}" if megawatts >= 10 else f"{megawatts:.1f}"
