"""What an attacker puts in the place of the relays' measurements, ahead of their PMUs' filters."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from gridtop.simulation.events import Injection
from gridtop.simulation.network import RELAYS, Complexes, Floats
from gridtop.simulation.protection import ACROSS_THE_BUS

REMEMBERED = 61
"""Seconds of true measurements that an attacker has recorded: the longest lag of a replay, and one."""


class Tampering:
    """The attacker's hand on the measurements, second by second."""

    def __init__(self, samples_per_second: int) -> None:
        self._samples_per_second = samples_per_second
        self._past: deque[Complexes] = deque(maxlen=REMEMBERED)

    def apply(
        self,
        true: Complexes,
        injections: Sequence[Injection],
        time: Floats,
        phantoms: Mapping[Injection, Complexes],
    ) -> tuple[Complexes, npt.NDArray[np.bool_]]:
        """What the relays are made to see at a second's samples, and (n, 4) whose measurements are false.

        `true` (n, 4, 2, 3) is what is there, `time` (n,) in seconds; `phantoms` holds, for the injections
        that need it, what would be there with the short circuit that is feigned.
        """
        seen = true
        spoofed = np.zeros((len(true), len(RELAYS)), dtype=np.bool_)
        for injection in injections:
            weights = _weights(injection, time)
            touched = weights > 0
            if not touched.any():
                continue
            false = self._false(injection, seen, phantoms)
            weight = np.repeat(weights[:, :, None], 2, axis=2)
            if injection.mode == "bus":
                # Across the bus only the voltage is false: the same as its neighbour's.
                for relay in injection.relays:
                    if neighbour := ACROSS_THE_BUS.get(relay):
                        here, there = RELAYS.index(relay), RELAYS.index(neighbour)
                        weight[:, there, 0] = weights[:, here]
                        touched[:, there] = touched[:, here]
            seen = seen + weight[..., None] * (false - seen)
            spoofed |= touched
        self._past.append(true)
        return seen, spoofed

    def _false(
        self, injection: Injection, seen: Complexes, phantoms: Mapping[Injection, Complexes]
    ) -> Complexes:
        match injection.mode:
            case "naive":
                false = seen.copy()
                phases = ["ABC".index(phase) for phase in injection.fault.kind if phase != "G"]
                false[:, :, 0, phases] *= injection.voltage
                false[:, :, 1, phases] *= injection.current
                return false
            case "replay":
                return self._before(len(seen), round(injection.lag * self._samples_per_second))
            case _:
                return phantoms[injection]

    def _before(self, count: int, lag: int) -> Complexes:
        """The measurements `lag` samples before the second at hand; the oldest known for those before."""
        past = np.concatenate(self._past) if self._past else np.zeros((1, 4, 2, 3), dtype=np.complex128)
        earlier: Complexes = past[np.maximum(len(past) - lag + np.arange(count), 0)]
        return earlier


def _weights(injection: Injection, time: Floats) -> Floats:
    """(n, 4) from 0, the truth, to 1, what the attacker wants, for each relay."""
    weights = np.zeros((len(time), len(RELAYS)))
    for number, relay in enumerate(injection.relays):
        age = time - injection.start - number * injection.skew
        left = injection.duration - age
        on = (age >= 0) & (left > 0)
        if injection.ramp:
            # A half ramp of a hair more than nothing: from its first instant on a value is false.
            share = np.minimum(1, (np.minimum(age, left) + 1e-6) / injection.ramp)
            weights[:, RELAYS.index(relay)] = np.where(on, share, 0)
        else:
            weights[:, RELAYS.index(relay)] = on
    return weights
