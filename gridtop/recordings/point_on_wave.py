"""Phasors from samples of the wave: a one-cycle Fourier transform that slides over the record.

x(t) = c + sqrt(2) * sum over h of X_h cos(2 pi h f0 t + phi_h): X_h is the rms magnitude of harmonic h and
phi_1 the angle, both over the last cycle of the nominal frequency f0 (IEC/IEEE 60255-118-1, clause 4.2).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.recordings.comtrade_samples import Rows
from gridtop.recordings.sample_clock import SampleClock

MOST_HARMONICS = 50
"""IEC 61000-4-7 ends there, and so do the limits of IEEE 519."""
FEWEST_SAMPLES = 4
"""Per cycle: with fewer there is no fundamental beside an offset."""
_WHOLE = 1e-6
"""Of a cycle's number of samples: nearer to a whole number, it is one."""
_NEAR_NYQUIST = 0.9
"""Of the Nyquist frequency: harmonics above it are left out where a cycle is no whole number of samples."""
_WORST_CONDITION = 30.0
"""Of the fit: how many times larger than the noise of the samples that of a harmonic may become."""

_TURN = 2 * math.pi / 3


def harmonics_in(samples_per_cycle: float) -> int:
    """The highest harmonic that so many samples per cycle tell apart, at most 50."""
    whole = round(samples_per_cycle)
    if abs(samples_per_cycle - whole) <= _WHOLE * samples_per_cycle:
        return min(MOST_HARMONICS, (whole - 1) // 2)
    return min(MOST_HARMONICS, max(1, int(samples_per_cycle / 2 * _NEAR_NYQUIST)))


def weights(seconds: Floats, frequency: float, harmonics: int) -> Floats | None:
    """(1 + 2 h, n) what to weigh n samples with, taken `seconds` (n,) after the end of the window (<= 0).

    Row 0 gives the offset, rows 2 h - 1 and 2 h the real and imaginary part of harmonic h (rms), its angle
    counted from the end. They fit offset and harmonics by least squares: for a whole number of evenly spaced
    samples per cycle that is the discrete Fourier transform, and for any other spacing it is still exact for
    a wave made of those harmonics. Fewer harmonics are fitted where the samples do not tell so many apart
    (a gap), and None is the answer where they do not even show the fundamental.
    """
    angles = 2 * math.pi * frequency * seconds
    basis: Floats = np.empty((len(seconds), 1 + 2 * harmonics))
    basis[:, 0] = 1.0
    for harmonic in range(1, harmonics + 1):
        basis[:, 2 * harmonic - 1] = math.sqrt(2) * np.cos(harmonic * angles)
        basis[:, 2 * harmonic] = -math.sqrt(2) * np.sin(harmonic * angles)
    while harmonics and np.linalg.cond(basis) > _WORST_CONDITION:
        harmonics = harmonics * 3 // 4
        basis = basis[:, : 1 + 2 * harmonics]
    if not harmonics:
        return None
    fit: Floats = np.linalg.pinv(basis).astype(np.float64)
    return fit


@dataclass(frozen=True, slots=True)
class Windows:
    """n phasor windows, one for each frame: the first and the last of its samples.

    `last` rises strictly: the time of a frame is that of its last sample.
    """

    first: Rows
    last: Rows

    def __len__(self) -> int:
        return len(self.last)

    def slice(self, start: int, stop: int) -> Windows:
        """The windows of frames `start` up to `stop`."""
        return Windows(self.first[start:stop], self.last[start:stop])


def windows(clock: SampleClock, frequency: float, frame_rate: float) -> Windows:
    """The windows of a record at `frame_rate` frames per second, the first as soon as a cycle is complete."""
    cycle = 1 / frequency
    everything = np.array([0, clock.count - 1])
    begin, end = clock.seconds(everything)
    first_rate = clock.rate_at(0)
    tolerance = _WHOLE * cycle
    moment = begin + cycle - 1 / first_rate - tolerance
    ready = int(clock.last_at(np.array([moment]))[0])
    if ready < 0 or clock.seconds(np.array([ready]))[0] < moment:
        ready += 1
    if ready >= clock.count:
        return Windows(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    origin = float(clock.seconds(np.array([ready]))[0])
    count = int((end - origin) * frame_rate + _WHOLE) + 1
    last = np.unique(clock.last_at(origin + np.arange(count) / frame_rate))
    first = clock.last_at(clock.seconds(last) - cycle + tolerance) + 1
    # A sample at exactly one cycle before the end belongs to the cycle before.
    return Windows(np.minimum(first, last), last)


@dataclass
class Transform:
    """Turns windows of samples into phasors; it remembers the weights of regular windows."""

    clock: SampleClock
    frequency: float
    harmonics: int
    _known: dict[int, Floats] = field(default_factory=dict)

    def coefficients(self, values: Floats, row: int, frames: Windows) -> Floats:
        """(1 + 2 h, n, c) offset and harmonics of n windows over samples (m, c) from number `row` on.

        Element by element, tap by tap: how many frames are asked for at once changes no bit. NaN where a
        sample of the window has no value, or where there are too few samples in a cycle.
        """
        result = np.full((1 + 2 * self.harmonics, len(frames), values.shape[1]), np.nan)
        sections = self.clock.sections(frames.last)
        regular = (sections >= 0) & (self.clock.sections(frames.first) == sections)
        for section in np.unique(sections[regular]):
            chosen = np.flatnonzero(regular & (sections == section))
            lengths = frames.last[chosen] - frames.first[chosen]
            for length in np.unique(lengths):
                same = chosen[lengths == length]
                fit = self._regular_weights(int(section), int(length) + 1)
                if fit is not None:
                    self._add_up(result, values, frames.first[same] - row, fit, same)
        for frame in np.flatnonzero(~regular):
            rows = np.arange(frames.first[frame], frames.last[frame] + 1)
            fit = self._fit(self.clock.seconds(rows) - self.clock.seconds(rows[-1:]))
            if fit is not None:
                self._add_up(result, values, rows[:1] - row, fit, np.array([frame]))
        return result

    def _add_up(self, result: Floats, values: Floats, firsts: Rows, fit: Floats, frames: Rows) -> None:
        total = np.zeros((len(fit), len(firsts), values.shape[1]))
        product = np.empty_like(total)
        for tap in range(fit.shape[1]):
            np.multiply(fit[:, tap, None, None], values[firsts + tap], out=product)
            total += product
        result[: len(fit), frames] = total
        result[len(fit) :, frames] = 0.0  # harmonics that so few samples cannot show

    def _regular_weights(self, section: int, length: int) -> Floats | None:
        key = section << 32 | length
        if key not in self._known:
            seconds = np.arange(1 - length, 1) / self.clock.section_rate(section)
            fit = self._fit(seconds)
            self._known[key] = np.empty((0, 0)) if fit is None else fit
        found = self._known[key]
        return found if found.size else None

    def _fit(self, seconds: Floats) -> Floats | None:
        if len(seconds) < FEWEST_SAMPLES:
            return None
        step = -seconds[0] / (len(seconds) - 1)
        per_cycle = 1 / (self.frequency * step)
        if per_cycle < FEWEST_SAMPLES or len(seconds) < per_cycle * (1 - _WHOLE) - 1:
            return None
        return weights(seconds, self.frequency, min(self.harmonics, harmonics_in(per_cycle)))


def magnitude(real: Floats, imaginary: Floats) -> Floats:
    """The length of phasors given by their parts."""
    length: Floats = np.sqrt(real * real + imaginary * imaginary)
    return length


def wrapped(degrees: Floats) -> Floats:
    """Angles between -180 (exclusive) and 180 degrees."""
    angle: Floats = degrees - 360.0 * np.ceil(degrees / 360.0 - 0.5)
    return angle


def angle(real: Floats, imaginary: Floats) -> Floats:
    """Angles of phasors in degrees."""
    degrees: Floats = np.arctan2(imaginary, real) * (180.0 / math.pi)
    return degrees


Parts = tuple[Floats, Floats]


def sequences(a: Parts, b: Parts, c: Parts) -> tuple[Parts, Parts]:
    """The positive and the negative sequence of three phasors, each as real and imaginary part."""

    def turned(phasor: Parts, way: int) -> Parts:
        cosine, sine = math.cos(_TURN), way * math.sin(_TURN)
        return phasor[0] * cosine - phasor[1] * sine, phasor[0] * sine + phasor[1] * cosine

    def mean(first: Parts, second: Parts, third: Parts) -> Parts:
        return (first[0] + second[0] + third[0]) / 3.0, (first[1] + second[1] + third[1]) / 3.0

    return mean(a, turned(b, 1), turned(c, -1)), mean(a, turned(b, -1), turned(c, 1))


def frequency_of(
    candidates: list[Parts], turned: Floats, seconds: Floats, nominal: float, span: int, least: float
) -> Floats:
    """(n,) frequency in Hz from n phasors whose angles are counted from the end of their windows.

    The slope of the angle over the last `span` steps, by least squares; the first `span` frames have none.
    Of the candidates (the sequences of a terminal) each step takes the longer. `turned` (n,) is the angle of
    the nominal cosine at each frame in degrees, `seconds` (n,) its time. NaN while the longest is below
    `least`.
    """
    n = len(turned)
    result = np.full(n, np.nan)
    if n <= span:
        return result
    lengths = [magnitude(*candidate) for candidate in candidates]
    steps: Floats = np.empty(0)
    longest: Floats = np.empty(0)
    for candidate, length in zip(candidates, lengths, strict=True):
        moved = wrapped(np.diff(angle(*candidate)) - np.diff(turned))
        short = np.minimum(length[1:], length[:-1])
        if not steps.size:
            steps, longest = moved, short
        else:
            steps = np.where(short > longest, moved, steps)
            longest = np.maximum(longest, short)
    steps = np.where(longest >= least, steps, np.nan)
    passed = np.diff(seconds)
    # The least-squares slope of evenly spaced angles is a mean of their steps weighted by a parabola.
    slope, time = np.zeros(n - span), np.zeros(n - span)
    for i in range(span):
        weight = float((i + 1) * (span - i))
        slope += weight * steps[i : n - span + i]
        time += weight * passed[i : n - span + i]
    result[span:] = nominal + slope / time / 360.0
    return result


def level(values: Callable[[int, int], Floats], count: int, group: int) -> npt.NDArray[np.float64]:
    """(c,) the usual rms magnitude of c channels while they are alive, from `count` samples in groups.

    The largest of the groups' 90th percentiles of |x|: a spike does not raise it, and a dead stretch does
    not lower it. For a sine the 90th percentile is 0.988 of the peak.
    """
    highest: Floats | None = None
    for start in range(0, count, group):
        piece = np.abs(values(start, min(count, start + group)))
        if not len(piece):
            break
        ordered = np.sort(piece, axis=0)  # NaN last
        good = np.count_nonzero(~np.isnan(piece), axis=0)
        at = np.minimum(good * 9 // 10, np.maximum(good - 1, 0))
        found = np.where(good > 0, np.take_along_axis(ordered, at[None, :], axis=0)[0], 0.0)
        highest = found if highest is None else np.maximum(highest, found)
    peak = math.sin(math.pi / 2 * 0.9)
    return np.zeros(0) if highest is None else highest / (peak * math.sqrt(2))
