"""Instrument transformers and clocks ahead of the PMU's filter: class errors, saturation and defects."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.simulation.events import Event, GpsDrift, InstrumentDrift, OpenCt, VtFuse
from gridtop.simulation.network import RELAYS, Complexes, Floats

Integers = npt.NDArray[np.int64]

NOT_SYNCHRONISED = 0x2000
"""STAT bit 13 of IEEE C37.118.2-2011: the PMU is not synchronised to UTC."""
_UNKNOWN_TIME = 0x01C0
"""The PMU time quality then, bits 8 to 6: worse than 10 ms or unknown."""


@dataclass(frozen=True, slots=True)
class InstrumentErrors:
    """How good the instruments are; the defaults are perfect transformers and PMUs with white noise.

    gains    24 complex factors of V then I of phases A, B, C at R1, then at R2, ...: ratio error, angle error
    knee     A above which a current transformer saturates, one for each relay
    dc_time  s in which the direct component of a fault current dies away; 0 is none of it
    noise    factor on the standard deviations of instruments.py
    memory   of the noise from frame to frame: the coefficient of an AR(1) process, 0 to less than 1
    """

    gains: tuple[complex, ...] = (1,) * 24
    knee: tuple[float, ...] = (math.inf,) * 4
    dc_time: float = 0.0
    noise: float = 1.0
    memory: float = 0.0


class Transducers:
    """The instrument transformers and clocks of the four relays, second by second."""

    def __init__(self, errors: InstrumentErrors, samples_per_second: int, frequency: float) -> None:
        self._errors = errors
        self._gains = np.array(errors.gains, dtype=np.complex128).reshape(4, 2, 3)
        self._is_exact = bool((self._gains == 1).all())
        self._knee = np.array(errors.knee)[:, None]
        self._samples_per_second = samples_per_second
        self._turn = 2 * math.pi * frequency / samples_per_second
        self._last: Complexes | None = None
        self._direct = np.zeros((4, 3))

    def apply(
        self,
        phasors: Complexes,
        events: Sequence[Event],
        time: Floats,
        sample: int,
        switchings: Sequence[int],
    ) -> Complexes:
        """What leaves the transformers, from the phasors (n, 4, 2, 3) at `time` (n,) s.

        `sample` is the number of the first one. At the samples `switchings`, counted from it, currents may
        jump, and leave the direct component behind that keeps the current through an inductance steady.
        """
        if self._errors.dc_time:
            phasors = self._with_direct_component(phasors, sample, switchings)
        if np.isfinite(self._knee).all():
            phasors = self._saturated(phasors)
        if not self._is_exact:
            phasors = phasors * self._gains
        for event in events:
            if isinstance(event, (GpsDrift, VtFuse, OpenCt, InstrumentDrift)):
                phasors = _defective(phasors, event, time)
        return phasors

    def _with_direct_component(self, phasors: Complexes, sample: int, switchings: Sequence[int]) -> Complexes:
        """As a phasor the direct component d of the instantaneous current is d exp(-j w t): the filter, made
        for the fundamental, lets some of it through."""
        currents = phasors[:, :, 1]
        turning: Complexes = np.exp(1j * self._turn * (sample + np.arange(len(phasors))))
        keep = math.exp(-1 / (self._errors.dc_time * self._samples_per_second))
        direct = np.empty(currents.shape)
        edges = [0, *(start for start in switchings if start > 0), len(phasors)]
        for start, stop in itertools.pairwise(edges):
            if start in switchings:
                before = currents[start - 1] if start else self._last
                if before is not None:
                    jump = (currents[start] - before) * turning[start]
                    # An open breaker carries nothing, a direct current least of all.
                    closed = np.abs(currents[start]) > 1
                    self._direct = np.where(closed, self._direct - jump.real, 0)
            direct[start:stop] = self._direct * keep ** np.arange(stop - start)[:, None, None]
            self._direct = direct[stop - 1] * keep if stop > start else self._direct
        self._last = currents[-1].copy()
        phasors = phasors.copy()
        phasors[:, :, 1] += direct * turning.conj()[:, None, None]
        return phasors

    def _saturated(self, phasors: Complexes) -> Complexes:
        """Above the knee the fundamental grows with the square root only, and leads, by up to 30 degrees:
        the shape of it, not the physics of a core."""
        currents = phasors[:, :, 1]
        magnitude = np.abs(currents)
        over = np.maximum(magnitude / self._knee, 1)
        if (over == 1).all():
            return phasors
        phasors = phasors.copy()
        phasors[:, :, 1] = currents / np.sqrt(over) * np.exp(1j * math.pi / 6 * (1 - 1 / over))
        return phasors


def _defective(
    phasors: Complexes, event: GpsDrift | VtFuse | OpenCt | InstrumentDrift, time: Floats
) -> Complexes:
    age = time - event.start
    on = (age >= 0) & (time < event.end)
    relay = RELAYS.index(event.relay)
    phasors = phasors.copy()
    match event:
        case GpsDrift():
            turn = np.where(on, np.exp(1j * np.radians(event.rate * age)), 1)
            phasors[:, relay] *= turn[:, None, None]
        case VtFuse():
            phasors[:, relay, 0, "ABC".index(event.phase)] *= np.where(on, event.residual, 1)
        case OpenCt():
            phasors[:, relay, 1, "ABC".index(event.phase)] *= np.where(on, 0, 1)
        case InstrumentDrift():
            minutes = age / 60
            factor = (1 + event.gain * minutes) * np.exp(1j * np.radians(event.angle * minutes))
            place = (slice(None), relay, "VI".index(event.quantity), "ABC".index(event.phase))
            phasors[place] *= np.where(on, factor, 1)
    return phasors


def clock_status(events: Sequence[Event], time: Floats) -> Integers:
    """(n, 4) STAT bits that the PMUs set about their clocks: without reference they also say that the time is
    of unknown quality (bits 8 to 6), and for how long it has been missing (bits 5 and 4)."""
    status = np.zeros((len(time), len(RELAYS)), dtype=np.int64)
    for event in events:
        if isinstance(event, GpsDrift) and event.flagged:
            age = time - event.start
            unlocked = NOT_SYNCHRONISED | _UNKNOWN_TIME | np.digitize(age, (10, 100, 1000)) << 4
            status[:, RELAYS.index(event.relay)] |= np.where((age >= 0) & (time < event.end), unlocked, 0)
    return status
