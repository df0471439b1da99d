"""Oscillations: how much stronger each band of frequencies is than usual."""

from __future__ import annotations

import inspect
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.quantities.bins import Bins, Held, Instants
from gridtop.quantities.catalogue import of_terminals
from gridtop.quantities.layout import Columns, Layout, Need, clock, frequency
from gridtop.quantities.medians import LONG_AGO, RollingMedian
from gridtop.quantities.needs import power
from gridtop.quantities.recent import Recent
from gridtop.quantities.sums import Counts, added, frames_within, sliding_sums
from gridtop.quantities.work import Work

BANDS_HZ = ((0.01, 0.15), (0.15, 1.0), (1.0, 5.0), (5.0, 14.0))
MEMORY_S = (60.0, 20.0, 10.0, 10.0)
"""Of each band: each half has to hold some periods, or the load's wandering looks like an oscillation."""
LEAST_SHARE = 0.6
AMBIENT_S = 600.0
AMBIENT_LEAST_S = 30.0
AMBIENT_STEP_S = 10.0

BRIDGED_FRAMES = 3
"""So many missing frames in a row are bridged by the value before them."""
LEAST_POWER_PU = 2e-4
LEAST_FREQUENCY_HZ = 1e-4
"""What counts as ambient where there is less: below it there is only the instruments' noise."""

_HIGHEST_SHARE = 14 / 15
"""Of half the frame rate: where the highest band ends if the rate is low."""


def power_or_frequency(layout: Layout, terminal: str) -> Columns | str:
    """Active power; where there is none, the frequency."""
    for need in (power, frequency):
        if not isinstance(columns := need(layout, terminal), str):
            return columns
    return f"{terminal} has neither active power nor frequency"


def _powered(layout: Layout) -> npt.NDArray[np.bool_]:
    """(T, 1) which terminals have an active power."""
    powered = [not isinstance(power(layout, terminal), str) for terminal in layout.terminals]
    return np.array(powered, dtype=np.bool_).reshape(-1, 1)


def least_swing(layout: Layout) -> Floats:
    """(T, 1) the smallest ambient that is more than noise, in W or Hz."""
    least = np.fmax(LEAST_POWER_PU * layout.power_base, 0.0)
    return np.where(_powered(layout), least, LEAST_FREQUENCY_HZ)


class Swing:
    """(T, n) the active power of each terminal in W, or its frequency in Hz where that is all there is.

    Up to three missing frames are bridged. The first frame after a longer gap in time is missing, so that
    no filter reaches across it.
    """

    def __init__(self, layout: Layout) -> None:
        self._powered = _powered(layout)
        self._gap_ns = round((BRIDGED_FRAMES + 1.5) / layout.rate * 1e9)
        self._recent = Recent(BRIDGED_FRAMES, np.float64(np.nan))
        self._time = Recent(1, LONG_AGO)

    def __call__(self, work: Work) -> Floats:
        """The swing of a block."""
        joined = self._recent.join(self._measured(work.trusted_locally))
        time = self._time.join(work.time)
        bridged = joined[:, BRIDGED_FRAMES:]
        if np.isnan(bridged).any():
            for back in range(1, BRIDGED_FRAMES + 1):
                before = joined[:, BRIDGED_FRAMES - back : joined.shape[1] - back]
                bridged = np.where(np.isnan(bridged), before, bridged)
        apart = time[1:] - time[:-1] > self._gap_ns
        if apart.any():
            bridged = np.where(apart, np.nan, bridged)
        return bridged

    def _measured(self, work: Work) -> Floats:
        if self._powered.all():
            return work.power.re
        return np.where(self._powered, work.power.re, work.frequency)


class _Band:
    """x ambient: rms of the active power in this band, of its own ambient median.

    The active power (where there is none, the frequency) passes a Butterworth band-pass of second order,
    its impulse response ended where it has faded, so that it forgets. Of the last 10 s (20 s below 1 Hz, 60 s
    below 0.15 Hz) the lesser of the rms of both halves counts: an oscillation is in both, a step only in the
    one. That is divided by its median over the last 10 minutes (of 10-second medians), or what there is of
    them, at least 30 s. 1 is usual. Renewed every 0.2 s, in the lowest band every second; first after 50
    s, in the lowest band after two and a half minutes. Up to three missing frames are bridged, longer
    gaps begin anew. An ambient below 0.0002 of the base power counts as that much. A step still sounds
    for as long as the filter rings, some seconds, and what rings after a fault is an oscillation: a rule
    should wait for 15 s. An oscillation that lasts for five minutes becomes ambient itself. Needs times,
    and a frame rate of five times the band's lower edge; the upper edge is at most 14/15 of half the
    frame rate.
    Source: rms in four bands as monitoring systems have it (PNNL-28016, Archive Walker).
    """

    band: ClassVar[int]

    def __init__(self, layout: Layout) -> None:
        low, high = BANDS_HZ[self.band]
        high = min(high, _HIGHEST_SHARE * layout.rate / 2)
        self._mean_of = max(1, int(layout.rate / (6 * high)))
        """frames that are averaged before the filter: slow bands need no more than six samples a period"""
        rate = layout.rate / self._mean_of
        self._energy_of = max(1, round(rate / 5))
        """samples behind the filter between two renewals"""
        self._taps = band_pass(low, high, rate)
        self._least = least_swing(layout)
        self._bins = Bins(self._mean_of * self._energy_of)
        self._filtered = Recent(len(self._taps) - 1, np.float64(np.nan))
        renewals = rate / self._energy_of
        self._half = max(1, round(MEMORY_S[self.band] / 2 * renewals))
        self._frames = 2 * self._half
        self._span_ns = round((MEMORY_S[self.band] - 0.5 / renewals) * 1e9)
        self._recent = Recent(self._frames - 1, np.float64(0.0))
        self._times = Recent(self._frames - 1, LONG_AGO)
        self._ambient = RollingMedian(renewals, AMBIENT_S, AMBIENT_LEAST_S, step=AMBIENT_STEP_S)
        self._held = Held()

    def __call__(self, work: Work) -> Floats:
        swing = work.shared(Swing)
        bins = self._bins(swing, work.row)
        if not bins.shape[1]:
            return self._held.still(swing)
        ratio = self._ratio(self._filter(bins), self._bins.ends(work.time), work.row // self._bins.frames)
        return self._held(ratio, self._bins.ended(np.arange(1, len(work) + 1)))

    def _filter(self, bins: Floats) -> Floats:
        """(T, c, energy_of) the squares of what passes the filter, of frames in bins (T, c, frames)."""
        shape = (*bins.shape[:2], self._energy_of)
        means = added(np.moveaxis(bins.reshape(len(bins), -1, self._mean_of), -1, 0)) / self._mean_of
        joined = self._filtered.join(means)
        filtered = np.zeros(means.shape)
        product = np.empty_like(filtered)
        newest = len(self._taps) - 1
        for back, tap in enumerate(self._taps):
            filtered += np.multiply(joined[:, newest - back : joined.shape[1] - back], tap, out=product)
        filtered *= filtered
        return filtered.reshape(shape)

    def _ratio(self, energies: Floats, ends: Instants, first: int) -> Floats:
        """(T, c) the lesser rms of the window's halves, x ambient, of squares in bins (T, c, energy_of)."""
        good = ~np.isnan(energies)
        terms = np.stack((np.where(good, energies, 0.0), good * 1.0))
        number = frames_within(self._span_ns, self._times.join(ends), self._frames)
        halves = self._halves(self._recent.join(added(np.moveaxis(terms, -1, 0))), number)
        least = LEAST_SHARE * self._half * self._energy_of
        late, early = (np.where(good >= least, squares / good, np.nan) for squares, good in halves)
        rms = np.sqrt(np.minimum(late, early))
        ratio: Floats = rms / np.maximum(self._ambient(rms, ends, first), self._least)
        return ratio

    def _halves(self, joined: Floats, number: Counts) -> tuple[Floats, Floats]:
        """(2, T, c) twice: the sums over the newer and the older half, of the `number` newest bins (c,)."""
        half = self._half
        if (number == self._frames).all():
            sums = sliding_sums(joined, half)
            return sums[..., half:], sums[..., : len(number)]
        newer, older = np.minimum(number, half), np.maximum(number - half, 0)
        return sliding_sums(joined[..., half:], half, newer), sliding_sums(joined[..., :-half], half, older)


def band_pass(low: float, high: float, rate: float) -> Floats:
    """The impulse response of a Butterworth band-pass of second order, until it has faded to 1 %.

    Edges in Hz, `rate` in samples per second. The analogue filter, moved to discrete time by the bilinear
    transform, is evaluated on the unit circle and transformed back; what is cut off is made up for so that
    a constant has no response.
    """
    points = 1 << 14
    edges = np.tan(np.pi * np.array([low, high]) / rate)
    angle = np.tan(np.pi * np.arange(1, points // 2) / points)  # the bilinear transform of 0 to half the rate
    prototype = 1j * (angle * angle - edges[0] * edges[1]) / (angle * (edges[1] - edges[0]))
    response = np.zeros(points // 2 + 1, dtype=np.complex128)
    response[1:-1] = 1 / (prototype * prototype + np.sqrt(2) * prototype + 1)
    impulse = np.fft.irfft(response)
    energy = np.cumsum(impulse[::-1] ** 2)[::-1]
    taps: Floats = impulse[: np.flatnonzero(energy > 1e-4 * energy[0])[-1] + 1]
    window = np.hanning(len(taps) + 2)[1:-1]
    taps = taps - window * (taps.sum() / window.sum())
    return taps


def _fast_enough(band: int) -> Need:
    low = BANDS_HZ[band][0]

    def need(layout: Layout, terminal: str) -> Columns | str:
        if layout.rate >= 5 * low:
            return ()
        return f"{layout.rate:g} frames/s are too few for oscillations above {low:g} Hz"

    return need


_WHOSE = (
    "governors and plant controls",
    "areas against each other",
    "machines of one plant or area",
    "shafts, converters, HVDC; at 30 frames/s only just",
)


def _define(number: int) -> None:
    low, high = BANDS_HZ[number]
    doc = f"{low:g} to {high:g} Hz ({_WHOSE[number]}), {inspect.getdoc(_Band)}"
    band = type(f"_Band{number + 1}", (_Band,), {"band": number, "__doc__": doc})
    of_terminals(f"oscillation_band{number + 1}", "x", power_or_frequency, clock, _fast_enough(number))(band)


for _number in range(len(BANDS_HZ)):
    _define(_number)
