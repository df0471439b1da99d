"""The drift detector: Page-Hinkley on the means of each channel, and the time left to its threshold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from gridtop.api import DOUBTFUL, Block, ChannelSet, Duration, Scores, Settings

from .means import Mean, Means
from .page_hinkley import PageHinkley
from .record import Record
from .reference import Reference
from .trend import Crossing, Line, line_through, means_needed
from .wording import Axis, change, level, subject

Floats = npt.NDArray[np.float64]

UNKNOWN_RATE = 30.0
"""Frames per second assumed of a stream that does not say."""
DUE = 2.0
"""The score of what reaches its threshold soon, or has reached it."""
LEARNED_ERRORS = 2.0
"""Standard errors of the learned mean that are allowed for."""
_GROWTH = 0.2
"""A line is fitted again when it has so many more means than it had."""


class Threshold(Settings):
    """Where a channel may not get to, in its unit."""

    low: float | None = Field(None, allow_inf_nan=False, description="lowest value that is still all right")
    high: float | None = Field(None, allow_inf_nan=False, description="highest value that is still all right")

    @model_validator(mode="after")
    def _bounds(self) -> Threshold:
        if self.low is None and self.high is None:
            raise ValueError("there is no threshold; write low, high or both")
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self


class Drift:
    """Scores how surely each channel has moved away from what it was while the pass was young.

    The stream is averaged over `mean_over`. The first `learn` means of a channel are its reference. Then
    Page-Hinkley runs in both directions: the sum of what the means exceed their reference by, in standard
    deviations and less an allowance, since that sum was zero last. 1 is `evidence` of it, 1.75 the most. The
    allowance is `allowance` and two standard errors of the learned mean. NaN until learned; between means
    the score stands.

    A channel with a threshold scores 2 when a line through its means since then reaches it within `soon`, or
    when it has passed it. The line counts while its slope is significant.
    Sources: Page, Biometrika 1954; Hinkley, Biometrika 1971; Fieller, JRSS B 1954.
    """

    # What follows the load (efficiency, line_resistance, current_unbalance) is asked for by name, with a
    # reference that has seen whole days: docs/drift.md has the figures.
    wants: ClassVar[tuple[str, ...]] = ("*:vt_ratio", "*:voltage_unbalance")
    alarm: ClassVar[dict[str, Any]] = {
        "high": {"warning": 1, "critical": 2},
        "deadband": 0.5,
        "on_delay": "0s",
        "off_delay": "0s",
        "class": "integrity",
    }

    class Config(Settings):
        """Settings of the drift detector."""

        mean_over: Duration = Field("1m", validate_default=True, description="length of a mean")
        learn: int = Field(60, ge=20, le=10_000, description="means that the reference is learned from")
        evidence: float = Field(
            20.0, gt=0, le=1e6, description="Page-Hinkley's lambda: how much makes a drift (docs/drift.md)"
        )
        allowance: float = Field(
            0.25, ge=0, le=10, description="Page-Hinkley's delta, in standard deviations of a mean"
        )
        floor: float = Field(
            1e-4, ge=0, lt=1, description="least standard deviation of a mean, as a share of the reference"
        )
        thresholds: dict[str, Threshold] = Field(
            default_factory=dict,
            description="glob of channels to {low: ..., high: ...} in their unit; the later wins",
        )
        horizon: Duration = Field(
            "30d", validate_default=True, description="a trend is looked for in no more than this"
        )
        soon: Duration = Field(
            "7d", validate_default=True, description="a threshold that is reached within this scores 2"
        )

    def __init__(self, config: Config, channels: ChannelSet) -> None:
        rate = channels.rate or UNKNOWN_RATE
        number = len(channels)
        self.outputs = channels.names
        self._channels = channels
        self._axis = Axis(channels.clock == "utc")
        unit = 1e9 if self._axis.has_time else rate
        self._horizon = round(config.horizon.total_seconds() * unit)
        self._soon = config.soon.total_seconds() * unit
        self._thresholds = _thresholds(config.thresholds, channels)
        self._means = Means(number, max(1, round(config.mean_over.total_seconds() * rate)))
        self._reference = Reference(number, config.learn, config.floor)
        allowance = config.allowance + LEARNED_ERRORS / math.sqrt(config.learn)
        self._page_hinkley = PageHinkley(number, allowance, config.evidence)
        self._record = Record(number)
        self._outlooks: dict[int, _Outlook] = {}
        self._number = 0
        self._score = np.full(number, np.nan)

    def score(self, block: Block) -> Scores:
        """(n, c) scores, one for each channel."""
        score = np.empty(block.values.shape)
        notes: dict[str, list[str]] = {}
        done = 0
        for mean in (*self._means(_trusted(block), self._positions(block), block.row), None):
            stop = len(block) if mean is None else mean.frame
            score[done:stop] = self._score
            if stop > done:
                for i, outlook in self._outlooks.items():
                    texts = notes.setdefault(self.outputs[i], [""] * len(block))
                    texts[done:stop] = [outlook.text] * (stop - done)
            if mean is not None:
                self._learn(mean)
            done = stop
        return Scores(score, note=notes or None)

    def explain(self, frame: int, output: int) -> Floats:
        """(c,) a score rests on its own channel and on no other."""
        shares = np.zeros(len(self._channels))
        shares[output] = 1.0
        return shares

    def _positions(self, block: Block) -> npt.NDArray[np.int64]:
        if not self._axis.has_time:
            return block.rows
        return block.time.astype("datetime64[ns]", copy=False).view(np.int64)

    def _learn(self, mean: Mean) -> None:
        """What a mean (c,) changes."""
        self._number += 1
        learned = self._reference.learned
        self._page_hinkley(self._reference.standardised(mean.values), mean.position)
        self._record.add(mean.position, mean.values)
        self._score = np.where(learned | self._reference.learned, self._page_hinkley.score, np.nan)
        drifting = np.flatnonzero(self._score >= 1.0).tolist()
        self._outlooks = {i: self._outlook(i, mean.position) for i in drifting}
        for i, outlook in self._outlooks.items():
            if outlook.due:
                self._score[i] = DUE

    def _outlook(self, i: int, position: int) -> _Outlook:
        """What is to be expected of a channel that drifts: the last one, unless there is much that is new."""
        rising = self._page_hinkley.rising(i)
        onset = self._page_hinkley.onset(i)
        before = self._outlooks.get(i)
        if before is not None and before.onset == onset and self._number < before.until:
            return before
        positions, values = self._record.since(max(onset, position - self._horizon), i)
        enough = len(values) >= means_needed(float(self._reference.correlation[i]))
        line = line_through(positions, values) if enough else None
        now = float(np.add.reduce(values)) / len(values) if len(values) else float(self._record.latest[i])
        if line is not None and line.significant:
            now = line.now
        else:
            line = None
        threshold = self._thresholds.get(i)
        limit = None if threshold is None else threshold.high if rising else threshold.low
        until = self._number + math.ceil(_GROWTH * len(values))
        return self._judged(i, _Seen(onset, until, now, line, rising), limit)

    def _judged(self, i: int, seen: _Seen, limit: float | None) -> _Outlook:
        """The outlook on what was seen, with the threshold in its direction if there is one."""
        channel = self._channels[i]
        unit, line = channel.unit, seen.line
        sentence = f"{subject(channel)} {change(seen.now, float(self._reference.centre[i]), unit)}"
        if line is not None:
            way = "rising" if line.slope > 0 else "falling"
            sentence += f", {way} {self._axis.slope(line.slope, unit, line.span)}"
        sentence += f" since {self._axis.moment(seen.onset)}"
        due = False
        if limit is not None and (seen.now >= limit if seen.rising else seen.now <= limit):
            due = True
            sentence += f"; it has passed {level(limit, unit)}"
        elif limit is not None and (crossing := _crossing(line, limit, rising=seen.rising)) is not None:
            due = crossing.expected <= self._soon
            sentence += f"; reaches {level(limit, unit)} in {self._axis.wait(crossing)}"
        if line is None:
            sentence += "; no trend"
        return _Outlook(seen.onset, seen.until, sentence, due)


class _Seen(NamedTuple):
    """Of a channel that drifts: since when, its value now, its trend if it has one; good up to a mean."""

    onset: int
    until: int
    now: float
    line: Line | None
    rising: bool


class _Outlook(NamedTuple):
    """What is said of a channel that drifts, up to which mean, and whether its threshold is near."""

    onset: int
    until: int
    text: str
    due: bool


def _crossing(line: Line | None, limit: float, *, rising: bool) -> Crossing | None:
    """When the trend reaches a threshold, if it goes on the way the channel has gone."""
    if line is None or (line.slope > 0) != rising:
        return None
    return line.reaches(limit)


def _trusted(block: Block) -> Floats:
    """(n, c) the values, missing where they are doubtful."""
    if block.quality is None:
        return block.values
    doubtful = (block.quality & np.uint16(DOUBTFUL)) != 0
    return np.where(doubtful, np.nan, block.values) if doubtful.any() else block.values


def _thresholds(by_glob: Mapping[str, Threshold], channels: ChannelSet) -> dict[int, Threshold]:
    """The threshold of each channel that has one; ValueError for a glob that matches none."""
    found: dict[int, Threshold] = {}
    for glob, threshold in by_glob.items():
        columns = channels.select((glob,))
        if not columns:
            raise ValueError(f"thresholds: {glob!r} matches none of the channels it was given")
        found |= dict.fromkeys(columns, threshold)
    return found
