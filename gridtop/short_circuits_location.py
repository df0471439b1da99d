"""Type and place of a short circuit, from the phasors at one or both ends of its line.

The arrays are those of one episode, whatever the blocks they came in, so complex arithmetic is safe here.
"""

from __future__ import annotations

import cmath
import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats

Complexes = npt.NDArray[np.complexfloating[Any, Any]]

_TURN = cmath.exp(2j * math.pi / 3)
_PHASES = "ABC"
_SINGLE = {0: "A", 120: "B", -120: "C"}
_PAIRS = {180: "BC", -60: "CA", 60: "AB"}
"""The angle of I2 to I1 of the fault current, in degrees, and the phases that means."""
_BALANCED = 0.3
"""Below this share of negative in positive sequence all three phases are at fault."""
_GROUNDED = 0.2
"""From this share of zero in positive sequence on, ground is at fault too."""
_STRONG = 0.4
"""Frames count whose fault current is at least this share of the strongest."""
_FLAT = 0.05
"""Two frames in a row that differ by less than this are both past the filter's edge."""
_OUT_OF_STEP_DEGREES = 2.0
"""Beyond the errors of instruments (IEC 61869): the clocks of the two ends disagree."""


@dataclass(frozen=True, slots=True)
class Phasors:
    """f frames at the two ends of a line: volts and amperes (f, 2, 3) of phases A, B, C, into the line."""

    voltage: Complexes
    current: Complexes


@dataclass(frozen=True, slots=True)
class LineConstants:
    """What a line is made of, in ohm, and the order in which the phases follow: 1 for ABC, -1 for ACB."""

    z1: complex
    z0: complex | None
    rotation: float = 1.0


@dataclass(frozen=True, slots=True)
class Location:
    """What was found.

    type        AG, BC, BCG, ABC, ...
    distance    share of the line from its first end, outside of [0, 1] too; None when it cannot be said
    misfit      how far the two ends are from agreeing on a place, as a share of the line; None from one end
    method      two-ended, two-ended with aligned angles, or single-ended
    end         of a single-ended one, which end it was seen from
    resistance  ohm, None unless two frames in a row agree on the fault's current
    frames      the numbers of the frames it rests on
    flat        whether two frames in a row agree on the fault's current
    """

    type: str
    distance: float | None
    misfit: float | None
    method: str
    end: int
    resistance: float | None
    frames: tuple[int, ...]
    flat: bool


def sequences(phases: Complexes, rotation: float = 1.0) -> Complexes:
    """(..., 3) positive, negative and zero sequence of (..., 3) phases A, B, C. Source: Fortescue 1918."""
    turn = _TURN if rotation > 0 else _TURN.conjugate()
    a, b, c = phases[..., 0], phases[..., 1], phases[..., 2]
    one = (a + turn * b + turn * turn * c) / 3
    two = (a + turn * turn * b + turn * c) / 3
    return np.stack([one, two, (a + b + c) / 3], axis=-1)


def from_two_ends(
    line: LineConstants, before: Phasors, during: Phasors, unsynchronised: bool
) -> Location | None:
    """Where both ends of the line say the short circuit is; None when no frame has both.

    x = Re[(V_s - V_r + Z I_r) / (Z (I_s + I_r))] in positive and negative sequence together, by least
    squares over the frames that agree best with one place. Both sides are taken as departures from what
    they were before, which removes charging and the constant errors of the instruments. Filters of the
    PMUs do not hurt, being the same for all: before the fault both sides are zero.
    Source: the two-ended method of IEEE Std C37.114, clause 5.
    """
    voltage, current = sequences(during.voltage, line.rotation), sequences(during.current, line.rotation)
    voltage0, current0 = sequences(before.voltage, line.rotation), sequences(before.current, line.rotation)
    method = "two-ended"
    lag = _lag(line, voltage0, current0)
    if lag is not None and (unsynchronised or abs(math.degrees(cmath.phase(lag))) > _OUT_OF_STEP_DEGREES):
        method = "two-ended, angles aligned by the load before"
        for array in (voltage, current, voltage0, current0):
            array[:, 1] *= lag
    elif unsynchronised:
        return None
    drop, total = _drop_and_total(line, voltage, current)
    drop0, total0 = _drop_and_total(line, voltage0, current0)
    now, then = _direction(voltage[:, 0, 0]), _direction(voltage0[:, 0, 0])
    drop = drop - _mean(drop0 / then[:, None]) * now[:, None]
    total = total - _mean(total0 / then[:, None]) * now[:, None]
    across = line.z1 * total[:, :2]
    strength = _norm(across)
    if not np.isfinite(strength).any() or not np.nanmax(strength) > 0:
        return None
    places = np.sum((across.conj() * drop).real, axis=1) / strength**2
    misfits = _norm(drop - places[:, None] * across) / strength
    usable = np.isfinite(misfits) & (strength >= _STRONG * np.nanmax(strength))
    if not usable.any():
        return None
    usable &= misfits <= max(0.03, 1.5 * float(np.min(misfits[usable])))
    chosen = np.flatnonzero(usable)
    across, drop, total = across[chosen], drop[chosen], total[chosen]
    place = float(np.sum((across.conj() * drop).real) / np.sum(np.abs(across) ** 2))
    misfit = float(np.sqrt(np.sum(np.abs(drop - place * across) ** 2) / np.sum(np.abs(across) ** 2)))
    type_ = fault_type(total, line.rotation)
    flat = _flat(strength, chosen)
    resistance = None
    if flat is not None and 0 <= place <= 1:
        at = int(np.flatnonzero(chosen == flat)[0])
        resistance = _resistance(line, type_, place, voltage[flat, 0], current[flat, 0], total[at])
    return Location(type_, place, misfit, method, 0, resistance, tuple(chosen.tolist()), flat is not None)


def from_one_end(line: LineConstants, before: Phasors, during: Phasors, end: int) -> Location | None:
    """Where one end alone says it is; None when it has no frame. A ground fault's place needs the line's z0.

    x = Im(V I_d*) / Im(Z1 I I_d*) of the faulted loop, where I_d is the loop's departure from the current
    before, so that load and the resistance of the fault matter little; for ground faults
    I = I_phase + k0 3 I0 with k0 = (Z0 - Z1) / (3 Z1). Source: T. Takagi et al., IEEE Trans. PAS-101 (1982).
    """
    voltage, current = during.voltage[:, end], during.current[:, end]
    one, one0 = (
        sequences(voltage, line.rotation)[:, 0],
        sequences(before.voltage[:, end], line.rotation)[:, 0],
    )
    before_current = _mean(before.current[:, end] / _direction(one0)[:, None])
    departure = current - before_current * _direction(one)[:, None]
    parts = sequences(departure, line.rotation)
    strength = _norm(parts)
    if not np.isfinite(strength).any() or not np.nanmax(strength) > 0:
        return None
    chosen = np.flatnonzero(np.isfinite(strength) & (strength >= 0.7 * np.nanmax(strength)))
    type_ = fault_type(parts[chosen], line.rotation)
    flat = _flat(strength, chosen)
    at = [flat] if flat is not None else [int(np.nanargmax(strength))]
    loop = _loop(line, type_, voltage[at], current[at], departure[at])
    place = None
    if loop is not None:
        volts, amperes, fault = loop
        reach = np.sum((line.z1 * amperes * fault.conj()).imag)
        place = float(np.sum((volts * fault.conj()).imag) / reach) if reach else None
        if place is not None and end == 1:
            place = 1 - place
    return Location(type_, place, None, "single-ended", end, None, tuple(chosen.tolist()), flat is not None)


def fault_type(currents: Complexes, rotation: float = 1.0) -> str:
    """AG, BG, CG, AB, BC, CA, ABG, BCG, CAG or ABC from the sequences (f, 3) of the fault's current.

    The angle of I2 to I1 is 0 for A to ground and 180 degrees for BC; each phase further on turns it by 120.
    Source: B. Das and others' sequence phase selection; Blackburn, Protective Relaying, chapter 4.
    """
    one, two, zero = (float(np.sqrt(np.sum(np.abs(currents[:, k]) ** 2))) for k in range(3))
    grounded = zero > _GROUNDED * max(one, two)
    if two < _BALANCED * one:
        return "ABC"
    turn = np.sum(currents[:, 1] * currents[:, 0].conj())
    angle = math.degrees(cmath.phase(complex(turn))) * rotation
    choices = {**_SINGLE, **_PAIRS} if grounded else _PAIRS
    nearest = min(choices, key=lambda centre: abs((angle - centre + 180) % 360 - 180))
    return choices[nearest] + ("G" if grounded else "")


def faulted(type_: str) -> list[int]:
    """The numbers of the phases that a type of short circuit names."""
    return [_PHASES.index(phase) for phase in type_ if phase != "G"]


def _drop_and_total(
    line: LineConstants, voltage: Complexes, current: Complexes
) -> tuple[Complexes, Complexes]:
    """(f, 2) V_s - V_r + Z I_r in positive and negative sequence, and (f, 3) I_s + I_r in all three."""
    drop = voltage[:, 0, :2] - voltage[:, 1, :2] + line.z1 * current[:, 1, :2]
    return drop, current[:, 0] + current[:, 1]


def _lag(line: LineConstants, voltage: Complexes, current: Complexes) -> complex | None:
    """By what the second end's phasors are to be multiplied so that both agreed before; None if unknown."""
    expected = voltage[:, 0, 0] - line.z1 * current[:, 0, 0]
    product = expected * voltage[:, 1, 0].conj()
    product = product[np.isfinite(product)]
    if not len(product) or np.sum(product) == 0:
        return None
    total = complex(np.sum(product))
    return total / abs(total)


def _resistance(
    line: LineConstants, type_: str, place: float, voltage: Complexes, current: Complexes, total: Complexes
) -> float | None:
    """Ohm between the faulted phases, or between phase and ground; None where it is more than one number."""
    if type_.endswith("G") and (len(type_) == 3 or line.z0 is None):
        return None
    impedances = np.array([line.z1, line.z1, line.z0 or line.z1])
    at_fault = _to_phases(voltage - place * impedances * current, line.rotation)
    through = _to_phases(total, line.rotation)
    phases = faulted(type_)
    if len(phases) == 2:
        one, other = phases
        ratio = 2 * (at_fault[one] - at_fault[other]) / (through[one] - through[other])
    elif len(phases) == 1:
        ratio = at_fault[phases[0]] / through[phases[0]]
    else:
        ratio = (voltage - place * impedances * current)[0] / total[0]
    return float(ratio.real) if np.isfinite(ratio) else None


def _to_phases(parts: Complexes, rotation: float) -> Complexes:
    turn = _TURN if rotation > 0 else _TURN.conjugate()
    one, two, zero = parts
    return np.array(
        [one + two + zero, turn * turn * one + turn * two + zero, turn * one + turn * turn * two + zero]
    )


def _loop(
    line: LineConstants, type_: str, voltage: Complexes, current: Complexes, departure: Complexes
) -> tuple[Complexes, Complexes, Complexes] | None:
    """Voltage, current and fault part of the current of the loop that a type of short circuit closes."""
    phases = faulted(type_)
    if len(phases) == 2:
        one, other = phases
        return tuple(array[:, one] - array[:, other] for array in (voltage, current, departure))  # type: ignore[return-value]
    if len(phases) == 3:
        return tuple(sequences(array, line.rotation)[:, 0] for array in (voltage, current, departure))  # type: ignore[return-value]
    if line.z0 is None:
        return None
    zero = current.sum(axis=-1)
    phase = phases[0]
    k0 = (line.z0 - line.z1) / (3 * line.z1)
    return voltage[:, phase], current[:, phase] + k0 * zero, departure[:, phase] - departure.sum(axis=-1) / 3


def _flat(strength: Floats, chosen: npt.NDArray[np.intp]) -> int | None:
    """The strongest of the chosen frames that a neighbour among them agrees with."""
    best: int | None = None
    for first, second in itertools.pairwise(chosen):
        pair = strength[[first, second]]
        if second == first + 1 and abs(pair[0] - pair[1]) <= _FLAT * pair.max():
            at = int(second if pair[1] >= pair[0] else first)
            best = at if best is None or strength[at] > strength[best] else best
    return best


def _direction(phasors: Complexes) -> Complexes:
    size = np.abs(phasors)
    return np.where(size > 0, phasors / np.where(size > 0, size, 1), 1)


def _mean(rows: Complexes) -> Complexes:
    """(k,) the mean of the rows (f, k) without gaps; zero when there is none."""
    good = rows[np.isfinite(rows).all(axis=1)]
    mean: Complexes = good.mean(axis=0) if len(good) else np.zeros(rows.shape[1], dtype=np.complex128)
    return mean


def _norm(rows: Complexes) -> Floats:
    norm: Floats = np.sqrt(np.sum(np.abs(rows) ** 2, axis=1))
    return norm
