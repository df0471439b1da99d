"""Rolling z-score: how many standard deviations a value is from the mean of the seconds before it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from gridtop.api import Block, ChannelSet, Duration, Scores, Settings

Floats = npt.NDArray[np.float64]

UNKNOWN_RATE = 30.0
"""Frames per second assumed of a stream that does not say."""

TINY = 1e-9
"""Added to the floor so that a channel resting at zero divides by something."""

LARGEST = 1e9
"""Scores end here: beyond it the standard deviation is noise of the arithmetic."""


class ZScore:
    """Scores |x - mean| / max(std, floor) per channel, over the good values of the frames before x.

    The window is a number of frames; missing values in it are left out. mean and std (population) never
    include x itself. There is no opinion (NaN) on a missing value, nor before `warm_up` frames' worth of
    good values is in the window. Phase angles that rotate are no sensible input: leave them out.

    How the sums are kept: the stream is cut into segments of one window at fixed frame numbers, and the
    window before a frame is the rest of the segment before and the beginning of its own. Each part is
    summed in one direction, from zero, around a value of its own, and nothing is ever subtracted again;
    the two are joined after Chan, Golub and LeVeque (1979). So there is no drift, a spike that has left
    the window has left the sums, and the result does not depend, to the bit, on the blocks.
    """

    class Config(Settings):
        """Settings of the rolling z-score."""

        window: Duration = Field(
            "10s", validate_default=True, description="how far back the baseline reaches"
        )
        warm_up: Duration = Field(
            "2s", validate_default=True, description="good values before the first opinion"
        )
        floor: float = Field(1e-4, ge=0, lt=1, description="least standard deviation, as a share of the mean")

        @model_validator(mode="after")
        def _fits(self) -> ZScore.Config:
            if self.warm_up > self.window:
                raise ValueError("warm_up is longer than window, so there would never be an opinion")
            return self

    def __init__(self, config: Config, channels: ChannelSet) -> None:
        rate = channels.rate or UNKNOWN_RATE
        self.outputs = channels.names
        self._floor = config.floor
        self._window = max(2, round(config.window.total_seconds() * rate))
        self._warm_up = max(2, round(config.warm_up.total_seconds() * rate))
        self._segment = np.empty((len(channels), self._window))
        self._before = _Moments(*np.zeros((3, len(channels), self._window)))
        """Of the frames from each place in the segment before to its end."""
        self._filled = 0
        self._centre, self._sums = _no_sums(len(channels))

    def score(self, block: Block) -> Scores:
        """(n, c) scores, one for each channel."""
        score = np.empty(block.values.shape)
        done = 0
        with np.errstate(over="ignore", invalid="ignore"):  # values beyond 1e150 have no variance
            while done < len(block):
                end = min(done + self._window - self._filled, len(block))
                # Time runs along the rows in here: numpy adds up along contiguous memory, thrice as fast.
                piece = np.ascontiguousarray(block.values[done:end].T)
                score[done:end] = self._score_within_segment(piece).T
                done = end
        return Scores(score)

    def _score_within_segment(self, values: Floats) -> Floats:
        first, end = self._filled, self._filled + values.shape[1]
        running, self._centre = _running_sums(values, self._centre, self._sums)
        baseline = _join(self._before.span(first, end), _moments(running[:, :, :-1], self._centre))
        self._sums = running[:, :, -1]
        self._segment[:, first:end] = values
        self._filled = end
        if end == self._window:
            self._end_segment()
        deviation = np.sqrt(baseline.squares / np.maximum(baseline.number, 1))
        least = self._floor * np.abs(baseline.mean) + TINY
        score = np.minimum(np.abs(values - baseline.mean) / np.maximum(deviation, least), LARGEST)
        return np.where(baseline.number >= self._warm_up, score, np.nan)

    def _end_segment(self) -> None:
        self._filled = 0
        self._centre, self._sums = _no_sums(len(self._segment))
        backwards, centre = _running_sums(self._segment[:, ::-1], self._centre, self._sums)
        self._before = _moments(backwards[:, :, :0:-1], centre)


class _Moments(NamedTuple):
    """(c, n) number, mean, and sum of squared differences from the mean of some values."""

    number: Floats
    mean: Floats
    squares: Floats

    def span(self, first: int, end: int) -> _Moments:
        return _Moments(*(part[:, first:end] for part in self))


def _no_sums(channels: int) -> tuple[Floats, Floats]:
    """The centre, unknown yet, and the sums where a segment begins."""
    return np.full(channels, np.nan), np.zeros((3, channels))


def _running_sums(values: Floats, centre: Floats, carried: Floats) -> tuple[Floats, Floats]:
    """(3, c, n + 1) number, sum and squares of the good values so far around their centre, and the centre.

    `values` is (c, n); the first sums are those carried here, (3, c). The centre (c,) is the first good
    value: being one of the summed values it keeps the sums as small as their spread, and no digits are lost.
    """
    good = ~np.isnan(values)
    if np.isnan(centre).any():
        first = np.take_along_axis(values, good.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
        centre = np.where(np.isnan(centre), first, centre)
    terms = np.empty((*carried.shape, values.shape[1] + 1))
    terms[:, :, 0] = carried
    terms[0, :, 1:] = good
    terms[1, :, 1:] = np.where(good, values - centre[:, np.newaxis], 0.0)
    terms[2, :, 1:] = terms[1, :, 1:] ** 2
    return np.add.accumulate(terms, axis=2), centre


def _moments(sums: Floats, centre: Floats) -> _Moments:
    """From running sums (3, c, n) around a centre (c,)."""
    number, total, squares = sums
    offset = total / np.maximum(number, 1)
    # A channel without a good value has no centre yet, and no weight.
    mean = np.where(number > 0, centre[:, np.newaxis] + offset, 0.0)
    return _Moments(number, mean, np.maximum(squares - total * offset, 0.0))


def _join(one: _Moments, other: _Moments) -> _Moments:
    """The moments of two sets of values together (Chan, Golub, LeVeque 1979, formula 2.1)."""
    number = one.number + other.number
    share = other.number / np.maximum(number, 1)
    apart = other.mean - one.mean
    squares = one.squares + other.squares + apart * (apart * (one.number * share))
    return _Moments(number, one.mean + apart * share, squares)
