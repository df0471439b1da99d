"""Event windows: opened where a line's numbers jump, then measured at a few ages against the state before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.learning.card import Windows
from gridtop.learning.features import NO_LOG, UNKNOWN_RATE, Feature
from gridtop.quantities.recent import Recent

BEFORE_UNTIL = 0.2
"""Seconds before the trigger at which the state before ends: the filters of a PMU smear an instant."""
LOGS_BEFORE = 1.0
"""Seconds before the trigger from which entries of logs count: their clocks disagree, orders come first."""
MEASURES = ("change", "lowest", "highest", "departure", "last")
"""What is measured of each feature: the first three less the state before, the departure less the origin."""


OPTIONAL_COPIES = 4
"""How often a row holds each optional number: a forest that draws a few of the many numbers for each split
would else hardly ever see a log. With four, openings without an order are told apart (tried with 8 hours)."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a window showed at one age.

    place   index of the place
    opened  row of the frame that opened the window
    row     row of the frame at which it was measured
    age     seconds between the two, as the card asks for
    numbers (w,) see `Columns`; a last value may be NaN
    """

    place: int
    opened: int
    row: int
    age: float
    numbers: Floats


@dataclass(frozen=True, slots=True)
class Change:
    """From `row` on `reading` is what holds at a place; None: no window is open there any more."""

    place: int
    row: int
    reading: Reading | None


class Columns:
    """Which features windows are measured of, and what the w numbers of a row are.

    In order: of every measured feature its change, its lowest and its highest (all less the state before),
    its departure (the last value less the state before the first of the windows that follow each other) and
    its last value; the age in seconds; of every optional feature (logs) the largest value since a second
    before the first of those windows opened, four times over. Changes and ranges of features are left out:
    the window has its own.
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        self._features = len(features)
        self.measured = np.array(
            [i for i, f in enumerate(features) if f.statistic == "value" and not f.optional], dtype=np.intp
        )
        self.optional = np.array([i for i, f in enumerate(features) if f.optional], dtype=np.intp)
        copies = OPTIONAL_COPIES * len(self.optional)
        self.width = len(MEASURES) * len(self.measured) + 1 + copies
        self.optional_columns = np.arange(self.width - copies, self.width).reshape(OPTIONAL_COPIES, -1)

    def filled(self, numbers: Floats, fill: Floats) -> Floats:
        """(..., w) numbers whose missing last values are taken from `fill` (f,)."""
        defaults = np.zeros(self.width)
        first = (len(MEASURES) - 1) * len(self.measured)
        defaults[first : first + len(self.measured)] = fill[self.measured]
        made: Floats = np.where(np.isnan(numbers), defaults, numbers)
        return made

    def of_features(self, shares: Floats) -> Floats:
        """(f,) shares (w,) of numbers added up for their features; the age's is left out, the rest scaled."""
        count = len(self.measured)
        result = np.zeros(self._features)
        result[self.measured] = shares[: len(MEASURES) * count].reshape(len(MEASURES), count).sum(axis=0)
        result[self.optional] = shares[self.optional_columns].sum(axis=0)
        total = float(result.sum())
        return result / total if total > 0 else result


@dataclass(slots=True)
class _Open:
    """A window that is open."""

    row: int
    before: Floats
    origin: Floats
    low: Floats
    high: Floats
    log: Floats
    departed: int
    ages: int = 0


class WindowStream:
    """Finds and measures the windows of p places, block after block; cuts change no bit of the result.

    A window opens where a feature has changed within one of the card's lags by more than `level` spreads and
    had not in the frame before. While it is open, another may take its place once it is `rest` seconds old.
    It closes when, `rest` seconds after it opened, no feature has been away for `calm` seconds from the state
    before, or before the first of the windows that followed each other, or when it is `hold` seconds old.
    """

    def __init__(
        self, windows: Windows, features: Sequence[Feature], places: int, rate: float | None
    ) -> None:
        rate = rate or UNKNOWN_RATE
        self.columns = Columns(features)
        self._windows = windows
        self._lags = [max(1, round(lag * rate)) for lag in windows.lags]
        self._spreads = np.array(windows.spreads).reshape(len(windows.lags), -1)
        self._held = np.array(windows.held)
        self._ages = [max(1, round(age * rate)) for age in windows.ages]
        self._rest, self._calm = round(windows.rest * rate), round(windows.calm * rate)
        self._hold = round(windows.hold * rate)
        self._until = round(BEFORE_UNTIL * rate)
        self._before = max(1, round(windows.before * rate) - self._until)
        self._logs_before = round(LOGS_BEFORE * rate)
        self._kept = max(*self._lags, self._before + self._until, self._logs_before)
        self._recent: Recent[np.float64] = Recent(self._kept, np.float64(np.nan))
        self._recent_logs: Recent[np.float64] = Recent(self._kept, np.float64(np.nan))
        self._hot = np.zeros((places, len(self._lags)), dtype=np.bool_)
        self._open: list[_Open | None] = [None] * places

    def __call__(self, features: Floats, row: int) -> list[Change]:
        """What changes in a block of features (p, n, f) whose first frame has the number `row`.

        Sorted by place, then by row.
        """
        by_time = features.transpose(0, 2, 1)
        values = self._recent.join(by_time[:, self.columns.measured])
        logs = self._recent_logs.join(by_time[:, self.columns.optional])
        edges = self._edges(values)
        changes: list[Change] = []
        for place in range(len(features)):
            where = np.flatnonzero(edges[place])
            if len(where) or self._open[place] is not None:
                self._follow(place, values[place], logs[place], where, row, changes)
        return changes

    def _edges(self, values: Floats) -> npt.NDArray[np.bool_]:
        """(p, n) where a change begins to exceed the level, over any of the lags."""
        frames = values.shape[-1] - self._kept
        edges = np.zeros((len(values), frames), dtype=np.bool_)
        for i, lag in enumerate(self._lags):
            changed = np.abs(values[..., self._kept :] - values[..., self._kept - lag : -lag])
            limits = self._windows.level * self._spreads[i]
            over = (changed > limits[:, np.newaxis]).any(axis=1)
            edges[:, :1] |= over[:, :1] & ~self._hot[:, i : i + 1]
            edges[:, 1:] |= over[:, 1:] & ~over[:, :-1]
            if frames:
                self._hot[:, i] = over[:, -1]
        return edges

    def _follow(
        self,
        place: int,
        values: Floats,
        logs: Floats,
        edges: npt.NDArray[np.intp],
        row: int,
        changes: list[Change],
    ) -> None:
        """Follow one place through a block; (v, kept + n) values and logs."""
        now, n = values[:, self._kept :], values.shape[1] - self._kept
        at = 0
        while at < n:
            window = self._open[place]
            if window is None:
                later = edges[edges >= at]
                if not len(later):
                    return
                at = int(later[0])
                self._open[place] = self._opened(values, logs, at, row + at, None)
                continue
            again = edges[edges >= max(at, window.row + self._rest - row)]
            again = again[again > window.row - row]
            next_edge = int(again[0]) if len(again) else n
            more = window.ages < len(self._ages)
            next_age = window.row + self._ages[window.ages] - row if more else n
            end = min(next_edge, next_age + 1, n)
            close = self._closing(window, now[:, at:end], row + at)
            if close is not None:
                self._open[place] = None
                changes.append(Change(place, close, None))
                at = close - row + 1
                continue
            if end > at:
                window.low = np.fmin(window.low, np.fmin.reduce(now[:, at:end], axis=1))
                window.high = np.fmax(window.high, np.fmax.reduce(now[:, at:end], axis=1))
                window.log = np.fmax(
                    window.log, np.fmax.reduce(logs[:, self._kept + at : self._kept + end], axis=1)
                )
            if more and end == next_age + 1:
                reading = self._measured(place, window, now[:, end - 1], row + end - 1)
                changes.append(Change(place, reading.row, reading))
                window.ages += 1
            at = end
            if at == next_edge and at < n:
                self._open[place] = self._opened(values, logs, at, row + at, window)

    def _opened(self, values: Floats, logs: Floats, at: int, row: int, earlier: _Open | None) -> _Open:
        end = self._kept + at
        first = values[:, end]
        part = values[:, end - self._until - self._before : end - self._until]
        known = np.isfinite(part)
        total = np.ascontiguousarray(np.where(known, part, 0.0)).sum(axis=1)
        count = known.sum(axis=1)
        # What was missing before is taken to be as it is now: no change is known.
        before = np.where(count > 0, total / np.maximum(count, 1), first)
        log = np.fmax.reduce(logs[:, end - self._logs_before : end + 1], axis=1, initial=NO_LOG)
        if earlier is None:
            return _Open(row, before, before, first, first, log, row)
        # What the logs said when it all began still explains what follows.
        return _Open(row, before, earlier.origin, first, first, np.fmax(log, earlier.log), row)

    def _closing(self, window: _Open, values: Floats, row: int) -> int | None:
        """The row at which a window closes within values (v, m) from `row` on, if it does."""
        rows = row + np.arange(values.shape[1])
        with np.errstate(invalid="ignore"):
            away, astray = (
                (np.abs(values - state[:, np.newaxis]) > self._held[:, np.newaxis]).any(axis=0)
                for state in (window.before, window.origin)
            )
            away &= astray
        last = np.maximum.accumulate(np.where(away, rows, window.departed))
        age = rows - window.row
        over = ((rows - last >= self._calm) & (age >= self._rest)) | (age >= self._hold)
        if over.any():
            return int(rows[over.argmax()])
        if len(last):
            window.departed = int(last[-1])
        return None

    def _measured(self, place: int, window: _Open, last: Floats, row: int) -> Reading:
        age = self._windows.ages[window.ages]
        before = window.before
        moved = np.concatenate(
            [last - before, window.low - before, window.high - before, last - window.origin]
        )
        moved = np.where(np.isnan(moved), 0.0, moved)
        return Reading(
            place, window.row, row, age, np.concatenate([moved, last, [age], *[window.log] * OPTIONAL_COPIES])
        )
