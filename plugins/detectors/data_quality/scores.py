"""The scores of data quality, one per terminal and one for time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from gridtop.api import Block, ChannelSet, Duration, Scores, Settings, Site
from gridtop.plugins.detectors.data_quality.devices import Device, Facts, devices_of
from gridtop.plugins.detectors.data_quality.levels import LARGEST, level, texts_of
from gridtop.plugins.detectors.data_quality.outages import Outages
from gridtop.plugins.detectors.data_quality.stream_time import StreamTime
from gridtop.plugins.detectors.data_quality.windows import Durations, RollingSums

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

UNKNOWN_RATE = 30.0
"""Frames per second assumed of a stream that does not say, for the length of windows only."""


SHORT_SHARE = 6
"""Repeated frames are counted in this part of the window: 10 s of a minute."""

STANDING_FRAMES = 3
"""So many repeated frames in a row are no frames that were lost on the way: the device gives no new values,
and somebody holds the old ones."""


class DataQuality:
    """One score per terminal, `R1:data`, and `system:time` for the stream: 1 is a warning, 2 critical.

    The score is that of the worst defect; below 1 it says how near a warning is. Defects of a terminal:

    - missing values, in percent of its cells in the window; what an open line or a dead bus makes undefined
      (impedance always, frequency without voltage) does not count;
    - doubtful values (late, suspect, out of range), in percent of its frames in the window;
    - repeated frames, in a sixth of the window;
    - a flat line: 1 as soon as it is flagged, 2 after `flatline_critical`;
    - a clock that is not synchronised, in seconds.

    A single outage, of missing or doubtful values, is forgotten when nothing was wrong for `recovery`.

    Defects of time: frames that are lost or too many, in percent of the window's length; steps that are not
    near a whole number of frame periods, in percent of the window's steps; years that cannot be.
    """

    wants: ClassVar[tuple[str, ...]] = ("*",)
    alarm: ClassVar[dict[str, Any]] = {
        "high": {"warning": 1, "critical": 2},
        "deadband": 0.1,
        "off_delay": "5s",
        "class": "data_quality",
    }

    class Config(Settings):
        """Settings of the data quality scores: what a warning is, and what is critical."""

        window: Duration = Field("60s", validate_default=True, description="what percentages are of")
        completeness_warning: float = Field(99.0, gt=0, lt=100, description="% of values that are there")
        completeness_critical: float = Field(95.0, gt=0, lt=100, description="% of values that are there")
        doubtful_warning: float = Field(1.0, gt=0, le=100, description="% of frames with a doubtful value")
        doubtful_critical: float = Field(20.0, gt=0, le=100, description="% of frames with a doubtful value")
        recovery: Duration = Field(
            "10s",
            validate_default=True,
            description="an outage is over when nothing has been missing or doubtful for so long; then it is "
            "not counted any more",
        )
        relapse: Duration = Field(
            "10min",
            validate_default=True,
            description="the next outage within so long is counted until it has left the window",
        )
        start: Duration = Field(
            "10s",
            validate_default=True,
            description="what has never been there is not missing before: at the start, the first values of "
            "slow sensors are still to come",
        )
        flatline_critical: Duration = Field(
            "30s", validate_default=True, description="a flat line is a warning at once, critical after this"
        )
        repeated_warning: int = Field(
            5,
            ge=1,
            description="repeated frames in a sixth of the window; doubtful_critical holds there, too",
        )
        unsynchronised_warning: Duration = Field(
            "10s", validate_default=True, description="how long a clock may be without UTC"
        )
        unsynchronised_critical: Duration = Field(
            "1000s", validate_default=True, description="how long a clock may be without UTC"
        )
        rate_warning: float = Field(1.0, gt=0, description="% by which the frame rate may differ")
        rate_critical: float = Field(5.0, gt=0, description="% by which the frame rate may differ")
        irregular_warning: float = Field(1.0, gt=0, le=100, description="% of steps off the frame grid")
        irregular_critical: float = Field(20.0, gt=0, le=100, description="% of steps off the frame grid")
        first_year: int = Field(1990, ge=1678, description="time before this year is wrong: 1970 is a reset")
        last_year: int = Field(2035, le=2261, description="time after it is: 2036 is where NTP starts again")

        @model_validator(mode="after")
        def _fits(self) -> DataQuality.Config:
            if self.completeness_critical >= self.completeness_warning:
                raise ValueError("completeness_critical must be below completeness_warning")
            for name in ("doubtful", "unsynchronised", "rate", "irregular"):
                if getattr(self, f"{name}_critical") <= getattr(self, f"{name}_warning"):
                    raise ValueError(f"{name}_critical must be above {name}_warning")
            for name in ("window", "recovery", "flatline_critical", "unsynchronised_warning"):
                if not getattr(self, name):
                    raise ValueError(f"{name} must be longer than 0s")
            if self.first_year > self.last_year:
                raise ValueError("first_year is after last_year")
            return self

    def __init__(self, config: Config, channels: ChannelSet, site: Site) -> None:
        self._config = config
        self._rate = rate = channels.rate or UNKNOWN_RATE
        self._frames = max(1, round(config.window.total_seconds() * rate))
        self._devices = devices_of(channels, site)
        self._time = StreamTime(
            config, channels, site, [device.name for device in self._devices], self._frames
        )
        self.outputs = (*(f"{device.name}:data" for device in self._devices), "system:time")
        width = len(self._devices)
        self._missing, self._doubtful = (RollingSums(self._frames, width) for _ in range(2))
        recovery, relapse = (time.total_seconds() * rate for time in (config.recovery, config.relapse))
        self._outages = Outages(max(1, round(recovery)), round(relapse), width)
        self._short = max(1, self._frames // SHORT_SHARE)
        self._repeated = RollingSums(self._short, width)
        self._starting = round(config.start.total_seconds() * rate)
        self._seen = np.zeros(len(channels), dtype=np.bool_)
        self._last = np.full(len(channels), np.nan)
        self._flat, self._unlocked, self._standing = (Durations(width) for _ in range(3))

    def score(self, block: Block) -> Scores:
        """(n, k) scores of the devices and of time, and for those from 1 on the reason."""
        time = block.time.astype("datetime64[ns]").view(np.int64)
        facts = self._facts(block)
        measures = self._measures(facts, time)
        levels = self._levels(facts, measures)
        standing = self._without_new_values(facts, time)
        worst = levels.argmax(axis=0)
        score = np.minimum(levels.max(axis=0), LARGEST)
        time_score, time_notes = self._time.score(block.time, time, block.channels.clock == "utc")
        notes = {
            f"{device.name}:data": self._notes(
                i, device, facts, measures[:, :, i], standing[:, i], worst[:, i], score[:, i] >= 1
            )
            for i, device in enumerate(self._devices)
            if (score[:, i] >= 1).any()
        }
        if time_notes is not None:
            notes["system:time"] = time_notes
        return Scores(np.column_stack((score, time_score)), note=notes)

    def _facts(self, block: Block) -> Facts:
        """What is wrong in each frame, before anything is compared."""
        shape = (len(block), len(self._devices))
        facts = Facts.none(shape)
        values, flags = block.values, block.quality
        before = self._last
        if len(block):
            self._last = values[-1].copy()
        gone = np.isnan(values)
        awaited = self._awaited(gone)
        if flags is None and not gone.any():
            return facts
        flags = np.zeros(values.shape, np.uint16) if flags is None else flags
        odd = gone.any(axis=0) | (flags != 0).any(axis=0)
        for i, device in enumerate(self._devices):
            if odd[device.columns].any():
                own = device.columns
                still = None if awaited is None else awaited[:, own]
                device.gather(i, facts, values[:, own], flags[:, own], before[own], still)
        return facts

    def _awaited(self, gone: Bools) -> Bools | None:
        """(n, c) what may still come for the first time; None when the start is over."""
        if self._starting <= 0:
            return None
        seen = np.logical_or.accumulate(np.vstack((self._seen, ~gone)), axis=0)
        self._seen = seen[-1]
        awaited = ~seen[1:]
        awaited[self._starting :] = False
        self._starting -= len(gone)
        return awaited

    def _without_new_values(self, facts: Facts, time: Counts) -> Counts:
        """(n, k) for how many tenths of a second, where that is too long for lost frames."""
        repeated, period = facts.repeated > 0, 1 / self._rate
        seconds = self._standing.seconds(repeated, time) + period
        long = repeated & (seconds >= (STANDING_FRAMES - 0.5) * period)
        return np.where(long, np.round(seconds * 10), 0).astype(np.int64)

    def _measures(self, facts: Facts, time: Counts) -> Floats:
        """(5, n, k) missing and doubtful in % of the window, flat and unsynchronised in seconds, and how
        many frames of the short window are repeated."""
        cells = self._frames * np.array([device.counted for device in self._devices])
        doubtful = facts.doubtful > 0
        counts = ~self._outages.over((facts.missing > 0) | doubtful)
        return np.stack(
            (
                np.where(counts, 100.0 * self._missing.sums(facts.missing) / cells, 0.0),
                np.where(counts, 100.0 * self._doubtful.sums(doubtful.astype(np.int64)) / self._frames, 0.0),
                self._flat.seconds(facts.flat > 0, time),
                self._unlocked.seconds(facts.unlocked > 0, time),
                np.where(counts, self._repeated.sums(facts.repeated), 0),
            )
        )

    def _levels(self, facts: Facts, measures: Floats) -> Floats:
        """(5, n, k) of the measures: 1 is a warning, 2 critical."""
        config = self._config
        missing, doubtful, flat, unlocked, repeated = measures
        levels = np.empty(measures.shape)
        levels[0] = level(missing, 100 - config.completeness_warning, 100 - config.completeness_critical)
        levels[1] = level(doubtful, config.doubtful_warning, config.doubtful_critical)
        levels[2] = np.where(facts.flat > 0, 1 + flat / config.flatline_critical.total_seconds(), 0.0)
        levels[3] = level(
            unlocked,
            config.unsynchronised_warning.total_seconds(),
            config.unsynchronised_critical.total_seconds(),
        )
        many = max(config.repeated_warning + 1, config.doubtful_critical / 100 * self._short)
        levels[4] = level(repeated, config.repeated_warning, many)
        return levels

    def _notes(
        self,
        i: int,
        device: Device,
        facts: Facts,
        measures: Floats,
        standing: Counts,
        worst: Counts,
        wanted: Bools,
    ) -> list[str]:
        """One text per frame, empty where there is nothing to say."""
        share = np.take_along_axis(measures, worst[np.newaxis], axis=0)[0]
        now = np.choose(
            worst,
            [
                fact[:, i]
                for fact in (facts.missing, facts.doubtful, facts.flat, facts.unlocked, facts.repeated)
            ],
        )
        # Seconds are told in whole numbers, percentages in tenths.
        rounded = np.where(worst >= 2, np.floor(share), np.round(share, 1) * 10).astype(np.int64)
        keys = np.column_stack((worst, now, facts.bad[:, i], rounded, standing))

        short = f"{self._config.window.total_seconds() / SHORT_SHARE:g} s"

        def text(key: Sequence[int]) -> str:
            return device.reason(*key, window=self._window, short=short)

        return texts_of(keys, wanted, text)

    @property
    def _window(self) -> str:
        return f"{self._config.window.total_seconds():g} s"
