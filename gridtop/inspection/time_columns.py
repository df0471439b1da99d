"""The time of a recording: which column holds it, how regular it is, and whether it can be replayed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gridtop.blocks import Floats, Times
from gridtop.naming import TimeUnit
from gridtop.recordings.timestamps import times_from_text

_USUAL = {"time", "timestamp", "datetime", "date_time", "date time", "time_utc", "utc", "epoch"}
_HINT = re.compile(r"time|date|utc|epoch|stamp|clock|\b(?:t|ts|sec|seconds)\b", re.IGNORECASE)
# From 2000 to 2070: what lies outside is a count or a measurement, or not worth a guess.
_EPOCH_S = (946_684_800.0, 3_155_760_000.0)
_EPOCH_UNITS: tuple[tuple[TimeUnit, float], ...] = (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9))
_OF_DAY = re.compile(r"\s*\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?\s*")
_STEPS = 200_000


@dataclass(frozen=True, slots=True)
class Candidate:
    """A column that may hold the time: how likely (`score`), in what unit, and why."""

    position: int
    unit: TimeUnit
    score: int
    why: str


def candidate_of_text(position: int, name: str, cells: Sequence[str]) -> Candidate | None:
    """Whether a column of text holds dates and times."""
    if not cells or np.isnat(times_from_text(list(cells), "iso")).mean() > 0.1:
        return None
    return Candidate(position, "iso", 6 + _score(name), "dates and times")


def candidate_of_numbers(position: int, name: str, values: Floats) -> Candidate | None:
    """Whether a column of numbers counts time since 1970, or, if it is called so, since the beginning."""
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return None
    steps = np.diff(finite)
    for unit, factor in _EPOCH_UNITS:
        if _EPOCH_S[0] * factor <= finite.min() and finite.max() <= _EPOCH_S[1] * factor:
            onward = 2 * bool((steps > 0).all()) + bool((steps >= 0).mean() > 0.9)
            finer = bool((finite != np.round(finite)).any())
            return Candidate(position, unit, 2 + onward + finer + _score(name), f"{unit} since 1970")
    if _score(name) and (steps > 0).all() and finite.max() < _EPOCH_S[0]:
        lowered = name.lower()
        unit = "ms" if re.search(r"\bms\b|milli", lowered) else "us" if "micro" in lowered else "s"
        if np.ptp(steps) <= np.median(steps):
            return Candidate(position, unit, _score(name), f"{unit} since the beginning, counted from 1970")
    return None


def is_time_of_day(cells: Sequence[str]) -> bool:
    """Whether cells hold times without a date, such as 11:00:00, which no one can put in order."""
    return bool(cells) and all(_OF_DAY.fullmatch(cell) for cell in cells)


def is_called_time(name: str) -> bool:
    """Whether a column of this name is taken for the time where nothing else is said."""
    return name.lower() in _USUAL


def _score(name: str) -> int:
    if is_called_time(name):
        return 3
    return 2 if _HINT.search(name) else 0


@dataclass(frozen=True, slots=True)
class TimeSurvey:
    """How the time runs. Steps in seconds, of forward steps only; rows count from 1.

    `gaps` are steps of more than one and a half times the median of the first rows. `stops` says why
    the recording cannot be replayed by this column, None when it can.
    """

    position: int
    name: str
    unit: TimeUnit
    why: str
    first: np.datetime64
    last: np.datetime64
    median_step: float
    q05_step: float
    q95_step: float
    mean_step: float
    gaps: int
    longest: float
    longest_row: int
    repeats: int
    backward: int
    unreadable: int

    @property
    def usable(self) -> bool:
        """Whether time moves forward with every row."""
        return not (self.repeats or self.backward or self.unreadable)

    @property
    def rate(self) -> float:
        """Frames per second by the median step."""
        return 1.0 / self.median_step if self.median_step > 0 else np.nan

    @property
    def regular(self) -> bool:
        """Whether nine steps of ten lie within a tenth of the median."""
        near = 0.1 * self.median_step
        return abs(self.q95_step - self.median_step) <= near and abs(self.q05_step - self.median_step) <= near


class Ticking:
    """Follows a time column block by block."""

    def __init__(self, candidate: Candidate, name: str) -> None:
        self._candidate = candidate
        self._name = name
        self._rows = 0
        self._first = self._last = np.datetime64("NaT", "ns")
        self._usual: float | None = None
        self._steps: list[Floats] = []
        self._kept = 0
        self._stride = 1
        self._gaps = self._repeats = self._backward = self._unreadable = self._forward = 0
        self._total = self._longest = 0.0
        self._longest_row = 0

    def add(self, times: Times) -> None:
        """Take the times of the next n rows."""
        bad = np.isnat(times)
        self._unreadable += int(bad.sum())
        rows = self._rows + np.flatnonzero(~bad)
        self._rows += len(times)
        good = times[~bad]
        if not len(good):
            return
        if np.isnat(self._first):
            self._first = good[0]
        else:
            good, rows = np.concatenate([[self._last], good]), np.concatenate([rows[:1], rows])
        self._last = good[-1]
        steps = np.diff(good).astype("timedelta64[ns]").astype(np.float64) / 1e9
        self._repeats += int((steps == 0).sum())
        self._backward += int((steps < 0).sum())
        forward = steps > 0
        rows, steps = rows[1:][forward], steps[forward]
        if not len(steps):
            return
        self._forward += len(steps)
        self._total += float(steps.sum())
        if self._usual is None:
            self._usual = float(np.median(steps))
        self._gaps += int((steps > 1.5 * self._usual).sum())
        at = int(np.argmax(steps))
        if steps[at] > self._longest:
            self._longest, self._longest_row = float(steps[at]), int(rows[at]) + 1
        self._keep(steps)

    def result(self) -> TimeSurvey:
        """What was found."""
        steps = np.concatenate(self._steps) if self._steps else np.array([np.nan])
        q05, median, q95 = (float(q) for q in np.quantile(steps, [0.05, 0.5, 0.95]))
        return TimeSurvey(
            position=self._candidate.position,
            name=self._name,
            unit=self._candidate.unit,
            why=self._candidate.why,
            first=self._first,
            last=self._last,
            median_step=median,
            q05_step=q05,
            q95_step=q95,
            mean_step=self._total / self._forward if self._forward else np.nan,
            gaps=self._gaps,
            longest=self._longest,
            longest_row=self._longest_row,
            repeats=self._repeats,
            backward=self._backward,
            unreadable=self._unreadable,
        )

    def _keep(self, steps: Floats) -> None:
        self._steps.append(steps[:: self._stride])
        self._kept += len(self._steps[-1])
        while self._kept > _STEPS:
            self._stride *= 2
            self._steps = [np.concatenate(self._steps)[::2]]
            self._kept = len(self._steps[0])
