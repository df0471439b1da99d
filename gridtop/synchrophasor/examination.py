"""What an observation of a PMU shows: its frames counted and timed, its status words, its first values."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.synchrophasor.data import DataLayout, Readings
from gridtop.synchrophasor.pmus import Configuration
from gridtop.synchrophasor.probing import NANOSECONDS, Observation

SILENT_FRAMES = 5
"""A pause of more frames' time than this is silence, not a lost frame or two."""
JUMP_S = 0.5
"""Seconds by which a clock that is put forward or back is told from a frame that came late."""
HOLD_UP_S = 0.25
"""Frames that wait longer than this on their way and then come together are worth a word."""

_END_S = 0.15
"""A shorter rest without a frame at the end of an observation says nothing."""

Nanoseconds = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pause:
    """No frame came: how many seconds after the first one it began, and how many seconds it lasted."""

    begin: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Spread:
    """How some figures are spread, in seconds; NaN without figures."""

    least: float
    median: float
    p95: float
    most: float

    @classmethod
    def of(cls, seconds: Floats) -> Spread:
        """The spread of some figures."""
        if not len(seconds):
            return cls(*[float("nan")] * 4)
        return cls(
            float(seconds.min()),
            float(np.median(seconds)),
            float(np.percentile(seconds, 95)),
            float(seconds.max()),
        )


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """Data frames of an observation.

    received      whole ones, and how many were `expected` between the first and the last instant measured
    missing       instants of which no frame came; `silent` of them lie in `pauses`
    repeated      frames of an instant that had come already
    out_of_order  frames that came behind a later one
    uneven        frames whose instant is not one of k/rate from the second, by more than a tenth of a period
    jumps         how often the device's clock was put forward or back by more than `JUMP_S`
    rate          frames a second by arrival; `stated` the configuration's; `step` by the times in the frames
    """

    received: int
    expected: int
    missing: int
    silent: int
    repeated: int
    out_of_order: int
    uneven: int
    rate: float
    stated: float | None
    step: float | None
    jumps: int

    @property
    def completeness(self) -> float:
        """The share of the expected frames that came, 0 to 1."""
        return (self.expected - self.missing) / self.expected if self.expected else 0.0


@dataclass(frozen=True, slots=True)
class Examination:
    """Everything that an observation shows, in figures.

    latency   from the instant measured to the arrival, by two clocks: the device's and this computer's
    pauses    no frames, as nothing was measured or all of it was lost; `hold_ups`: those of a while came late
    jitter    how far from the median latency each frame came
    status    for every PMU, the STAT words and how many frames had them
    first     the readings of the first frame, and `values` those of all, of the first configuration with data
    time_quality   time quality bytes and how many frames had them
    """

    observation: Observation
    counts: FrameCounts
    latency: Spread
    jitter: Spread
    pauses: tuple[Pause, ...]
    hold_ups: tuple[Pause, ...]
    status: tuple[Counter[int], ...]
    time_quality: Counter[int]
    configuration: Configuration
    readings: Readings
    bits_per_second: float
    seconds: float


def examine(observation: Observation) -> Examination:
    """The figures of an observation, which has at least one data frame."""
    stretches = [stretch for stretch in observation.stretches if stretch.frames]
    decoded = [DataLayout(each.configuration).decode([a.frame for a in each.frames]) for each in stretches]
    measured = np.concatenate([readings.time for readings in decoded]).astype(np.int64)
    arrivals = np.array([a.time for each in stretches for a in each.frames], dtype=np.int64)
    stated = stretches[0].configuration.rate
    step = _step(measured)
    period = 1 / stated if stated else step or 1.0
    pauses, hold_ups = _pauses(measured, arrivals, period)
    rest = (observation.ended - int(arrivals[-1])) / NANOSECONDS
    if rest > max(SILENT_FRAMES * period, _END_S) and not observation.hung_up:
        pauses = (*pauses, Pause(float(arrivals[-1] - arrivals[0]) / NANOSECONDS, rest))
    latency = (arrivals - measured) / NANOSECONDS
    span = max(observation.ended - observation.begun, 1) / NANOSECONDS
    return Examination(
        observation,
        _count(measured, arrivals, pauses, stated, step, period),
        Spread.of(latency),
        Spread.of(np.abs(latency - np.median(latency))),
        pauses,
        hold_ups,
        tuple(
            _tally([readings.status[:, i] for readings in decoded if i < readings.status.shape[1]])
            for i in range(len(stretches[0].configuration.pmus))
        ),
        _tally([readings.time_quality for readings in decoded]),
        stretches[0].configuration,
        decoded[0],
        observation.size * 8 / span,
        float(arrivals[-1] - arrivals[0]) / NANOSECONDS,
    )


def _tally(words: list[npt.NDArray[np.uint16]] | list[npt.NDArray[np.uint8]]) -> Counter[int]:
    return Counter(int(word) for each in words for word in each)


def _step(measured: Nanoseconds) -> float | None:
    """Seconds from one instant to the next, usually; None for a single instant."""
    steps = np.diff(np.unique(measured))
    return float(np.median(steps)) / NANOSECONDS if len(steps) else None


def _pauses(
    measured: Nanoseconds, arrivals: Nanoseconds, period: float
) -> tuple[tuple[Pause, ...], tuple[Pause, ...]]:
    """Where more than a few frames' time passed without a frame: nothing was measured, or it came later."""
    waited, passed = np.diff(arrivals) / NANOSECONDS, np.diff(measured) / NANOSECONDS
    silent = (waited > SILENT_FRAMES * period) & (passed > SILENT_FRAMES * period)
    held_up = (waited > max(SILENT_FRAMES * period, HOLD_UP_S)) & ~silent

    def told(places: npt.NDArray[np.bool_]) -> tuple[Pause, ...]:
        since = (arrivals - arrivals[0]) / NANOSECONDS
        return tuple(Pause(float(since[i]), float(waited[i])) for i in np.flatnonzero(places))

    return told(silent), told(held_up)


def _count(
    measured: Nanoseconds,
    arrivals: Nanoseconds,
    pauses: tuple[Pause, ...],
    stated: float | None,
    step: float | None,
    period: float,
) -> FrameCounts:
    instants = np.unique(measured)
    jumps = _jumps(measured, arrivals)
    # A clock that jumps leaves no frames missing between before and after.
    parts = [np.unique(part) for part in np.split(measured, jumps)]
    lost = np.concatenate([np.round(np.diff(part) / NANOSECONDS / period) - 1 for part in parts])
    lost = np.maximum(lost, 0)
    missing = int(lost.sum())
    silent = int(lost[lost >= SILENT_FRAMES].sum()) if pauses else 0
    span = (arrivals[-1] - arrivals[0]) / NANOSECONDS
    phase = (instants % NANOSECONDS) / NANOSECONDS / period if period <= 1 else np.zeros(1)
    uneven = int((np.abs(phase - np.round(phase)) > 0.1).sum())
    return FrameCounts(
        received=len(measured),
        expected=len(instants) + missing,
        missing=missing,
        silent=silent,
        repeated=len(measured) - len(instants),
        out_of_order=int((measured < np.maximum.accumulate(measured)).sum()),
        uneven=uneven,
        rate=float((len(measured) - 1) / span) if span > 0 else float("nan"),
        stated=stated,
        step=step,
        jumps=len(jumps),
    )


def _jumps(measured: Nanoseconds, arrivals: Nanoseconds) -> npt.NDArray[np.intp]:
    """Before which frames, in the order of their arrival, the device's clock was put forward or back."""
    latency = np.diff(arrivals - measured)
    places: npt.NDArray[np.intp] = np.flatnonzero(np.abs(latency) > JUMP_S * NANOSECONDS) + 1
    return places
