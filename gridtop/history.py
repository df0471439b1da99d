"""History: the newest frames and a pyramid of extremes, for envelopes that lose no spike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.blocks import DOUBTFUL, Block
from gridtop.channels import ChannelSet
from gridtop.client import Telemetry, TelemetryRequest

CAPACITY = 24 << 20
"""Bytes of values kept: of 160 channels at 120 frames/s three minutes of frames, and days of extremes."""

_SECOND = 1_000_000_000
SPANS = tuple(_SECOND * 4**level // 16 for level in range(8))
"""Nanoseconds in a bucket of each level of the pyramid, 1/16 s to 17 minutes. Factors of four: an answer
looks at no more than 16 times as many buckets as it gives, and memory reaches back days at the top."""

_PYRAMID_SHARE = 0.4
_FEWEST_BUCKETS = 16
"""A level that could hold fewer is left out, and its bytes go to the frames."""

_FINE = 4
"""Buckets of a level that make up a requested bucket at least, so that a value is placed within a
quarter of a bucket of its time."""

_EXACT_FRAMES = 8192
"""A window of no more frames than this is answered from the frames whatever its resolution."""

_LONGEST = 1e9
"""Seconds that a window is cut to."""

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float32]


class History:
    """The newest frames of all channels in a ring, and behind it coarser rings of minima and maxima.

    Panels draw with a few hundred dots, so single precision is kept for the envelope; the newest
    values are kept in full. Every ring has a fixed size, so memory does not grow, and an answer costs
    at most a look at two or three of them, however long the window is.
    """

    def __init__(self, channels: ChannelSet, capacity: int = CAPACITY) -> None:
        self.channels = channels
        width = max(1, len(channels))
        buckets = int(_PYRAMID_SHARE * capacity) // len(SPANS) // (_BYTES * 2 * width)
        spans = SPANS if buckets >= _FEWEST_BUCKETS else ()
        self._levels = [_Level(span, _Ring(buckets, width), _Ring(buckets, width)) for span in spans]
        left = capacity - len(spans) * buckets * _BYTES * 2 * width
        self._frames = _Ring(max(_FEWEST_BUCKETS, left // (_BYTES * width)), width)
        self._latest = np.full(len(channels), np.nan)
        self._newest = self._latest
        self._flags = np.zeros(len(channels), dtype=np.uint16)  # of the newest frame

    def add(self, block: Block) -> None:
        """Remember a block; the oldest frames and buckets give way."""
        if not len(block):
            return
        with np.errstate(over="ignore"):
            values = block.values.astype(np.float32)
        values[~np.isfinite(values)] = np.nan
        time = block.time.astype("datetime64[ns]").astype(np.int64)
        self._frames.append(time, values)
        low = high = values
        for level in self._levels:
            time, low, high = level.add(time, low, high)
        self._newest = block.values[-1]
        self._flags = np.zeros_like(self._flags) if block.quality is None else block.quality[-1].copy()
        good = np.isfinite(block.values)
        last = len(block) - 1 - np.argmax(good[::-1], axis=0)
        newest_good = block.values[last, np.arange(len(self.channels))]
        self._latest = np.where(good.any(axis=0), newest_good, self._latest)

    def clear(self) -> None:
        """Forget everything: a new pass begins."""
        for ring in (self._frames, *(ring for level in self._levels for ring in (level.low, level.high))):
            ring.written = 0
        self._latest = np.full(len(self.channels), np.nan)
        self._newest = self._latest
        self._flags = np.zeros_like(self._flags)

    def telemetry(self, request: TelemetryRequest) -> Telemetry:
        """The envelope of the requested channels over the newest `window` seconds of measurement time.

        Bucket edges lie on multiples of the bucket's length, so that a bucket's content does not change
        while the window moves. Where the frames themselves are gone, or too many to look at, the
        extremes come from the pyramid: none is lost, and each is placed at most a quarter of a bucket
        too early. Where only levels coarser than that reach back so far, an extreme fills all that its
        bucket there covers. Names that are not channels give NaN rows.
        """
        buckets = max(1, request.buckets)
        k = len(request.channels)
        minimum, maximum = np.full((k, buckets), np.nan), np.full((k, buckets), np.nan)
        lowest, highest = np.full(k, np.nan), np.full(k, np.nan)
        latest, stale = np.full(k, np.nan), np.ones(k, dtype=np.bool_)
        doubtful = np.zeros(k, dtype=np.bool_)
        position = {name: column for column, name in enumerate(self.channels.names)}
        known = [(i, position[name]) for i, name in enumerate(request.channels) if name in position]
        end: np.datetime64 | None = None
        if self._frames.written and known:
            rows, columns = np.array(known, dtype=np.intp).T
            newest = self._frames.newest
            end = np.datetime64(newest, "ns")
            window = round(min(max(request.window, 1e-9), _LONGEST) * _SECOND)
            length = max(1, round(window / buckets))
            parts = self._parts(newest - window, length, columns)
            time, low, high = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
            number = np.clip(time // length - (newest // length - buckets + 1), 0, buckets - 1)
            if (number[1:] < number[:-1]).any():  # the clock of a live source was put back
                order = np.argsort(number, kind="stable")
                number, low, high = number[order], low[order], high[order]
            starts = _starts(number)
            low, high = _extremes(low, high, starts)
            place = np.ix_(rows, number[starts])
            minimum[place], maximum[place] = low.T, high.T
            lowest[rows], highest[rows] = np.fmin.reduce(low, axis=0), np.fmax.reduce(high, axis=0)
            latest[rows] = self._latest[columns]
            stale[rows] = ~np.isfinite(self._newest[columns])
            doubtful[rows] = ~stale[rows] & ((self._flags[columns] & np.uint16(DOUBTFUL)) != 0)
        return Telemetry(
            request.channels, request.window, end, minimum, maximum, latest, lowest, highest, stale, doubtful
        )

    def frames(self, channels: ChannelSet) -> Block | None:
        """The frames that are kept, of the first channels of the history, which `channels` are.

        In single precision, and with flags of the newest frame only; None when there is no frame.
        """
        if not self._frames.written:
            return None
        until = self._frames.newest + 1
        time, values = self._frames.since(-(1 << 62), until, np.arange(len(channels)))
        quality = None
        if self._flags[: len(channels)].any():
            quality = np.zeros(values.shape, dtype=np.uint16)
            quality[-1] = self._flags[: len(channels)]
        return Block(channels, time.view("datetime64[ns]"), values.astype(np.float64), quality)

    def _parts(self, start: int, length: int, columns: npt.NDArray[np.intp]) -> list[_Part]:
        """What happened after `start`, oldest first: from as few rings as reach back so far.

        The newest part has the resolution that buckets of `length` ns ask for; what that ring has
        forgotten comes from the next coarser one.
        """
        parts: list[_Part] = []
        until = self._frames.newest + 1
        level = self._level_for(start, length)
        if level < 0:
            time, values = self._frames.since(start + 1, until, columns)
            parts.append((time, values, values))
            if self._frames.complete_since(start + 1):
                return parts
            until, level = self._frames.oldest, 0
        else:
            # What began in an older bucket is placed there: the newest must not look empty for that.
            time, values = self._frames.since(until - 1, until, columns)
            parts.append((time, values, values))
        for coarser in self._levels[level:]:
            part = coarser.since(start, until, columns)
            parts.append(
                part if coarser.span <= length else _spread(part, coarser.span, length, start, until)
            )
            if coarser.low.complete_since(start):
                break
            until = min(until, coarser.low.oldest)
        return parts[::-1]

    def _level_for(self, start: int, length: int) -> int:
        """The coarsest level that is fine enough; -1 for the frames."""
        if self._frames.complete_since(start + 1) and self._frames.count_since(start + 1) <= _EXACT_FRAMES:
            return -1
        return sum(level.span * _FINE <= length for level in self._levels) - 1


_Part = tuple[Times, Values, Values]
"""Time (n,) in ns, smallest and largest values (n, k)."""

_BYTES = np.dtype(np.float32).itemsize


class _Ring:
    """The newest rows of values, each with its time; `written` counts all rows there ever were."""

    def __init__(self, size: int, width: int) -> None:
        self._time = np.zeros(size, dtype=np.int64)
        self._values = np.full((size, width), np.nan, dtype=np.float32)
        self.written = 0

    def append(self, time: Times, values: Values) -> None:
        size = len(self._time)
        kept = min(len(time), size)
        self.written += len(time)
        at = np.arange(self.written - kept, self.written) % size
        self._time[at] = time[len(time) - kept :]
        self._values[at, : values.shape[1]] = values[len(time) - kept :]

    @property
    def newest(self) -> int:
        """Time of the newest row; there must be one."""
        return int(self._time[(self.written - 1) % len(self._time)])

    @property
    def oldest(self) -> int:
        """Time of the oldest row kept; there must be one."""
        return int(self._time[max(0, self.written - len(self._time)) % len(self._time)])

    @property
    def newest_values(self) -> Values:
        """The newest row itself, to be changed in place."""
        row: Values = self._values[(self.written - 1) % len(self._time)]
        return row

    def complete_since(self, start: int) -> bool:
        """Whether nothing that happened at or after `start` has been forgotten."""
        return self.written <= len(self._time) or self.oldest <= start

    def count_since(self, start: int) -> int:
        """How many rows are at or after `start`."""
        return int(np.count_nonzero(self._time[: min(self.written, len(self._time))] >= start))

    def since(self, start: int, until: int, columns: npt.NDArray[np.intp]) -> tuple[Times, Values]:
        """The rows with start <= time < until, oldest first."""
        size = len(self._time)
        order = np.arange(max(0, self.written - size), self.written) % size
        time = self._time[order]
        chosen = order[(time >= start) & (time < until)]
        return self._time[chosen], self._values[np.ix_(chosen, columns)]


@dataclass
class _Level:
    """Extremes in buckets of `span` ns; only buckets in which there was a frame take room."""

    span: int
    low: _Ring
    high: _Ring

    def add(self, time: Times, low: Values, high: Values) -> _Part:
        """Take in newer extremes, and give back what the next level is to take in."""
        time = time // self.span * self.span
        starts = _starts(time)
        time = time[starts]
        low, high = _extremes(low, high, starts)
        fresh = int(self.low.written > 0 and time[0] == self.low.newest)
        if fresh:
            width = low.shape[1]
            np.fmin(self.low.newest_values[:width], low[0], out=self.low.newest_values[:width])
            np.fmax(self.high.newest_values[:width], high[0], out=self.high.newest_values[:width])
        self.low.append(time[fresh:], low[fresh:])
        self.high.append(time[fresh:], high[fresh:])
        return time, low, high

    def since(self, start: int, until: int, columns: npt.NDArray[np.intp]) -> _Part:
        """The buckets that hold anything after `start` and before `until`."""
        time, low = self.low.since(start - self.span + 1, until, columns)
        return time, low, self.high.since(start - self.span + 1, until, columns)[1]


def _spread(part: _Part, span: int, length: int, start: int, until: int) -> _Part:
    """The extremes of buckets of `span` ns, again for each shorter bucket of `length` ns that they cover."""
    time, low, high = part
    first = np.maximum(time, start) // length
    count = (np.minimum(time + span, until) - 1) // length - first + 1
    index = np.repeat(np.arange(len(time)), count)
    nth = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
    return (first[index] + nth) * length, low[index], high[index]


def _starts(number: Times) -> npt.NDArray[np.intp]:
    """Where each run of equal numbers begins."""
    return np.flatnonzero(np.r_[True, number[1:] != number[:-1]])


def _extremes(low: Values, high: Values, starts: npt.NDArray[np.intp]) -> tuple[Values, Values]:
    """Smallest and largest values (b, k) of the runs that begin at `starts`; NaN where there is none."""
    return np.fmin.reduceat(low, starts, axis=0), np.fmax.reduceat(high, starts, axis=0)
