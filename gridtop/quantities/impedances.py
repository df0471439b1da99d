"""What a terminal sees when it divides its voltages by its currents."""

from __future__ import annotations

import math

import numpy as np

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import of_terminals
from gridtop.quantities.layout import phase_currents, phase_voltages, positive_current, positive_voltage
from gridtop.quantities.needs import impedance_of_line, zero_impedance_of_line
from gridtop.quantities.phasors import Phasors
from gridtop.quantities.work import IDLE, Work

_ROOT_3 = math.sqrt(3)
FARTHEST = 100.0
"""Line lengths: what `impedance_reach` says when no loop sees anything ahead."""


@of_terminals("impedance", "ohm", positive_voltage, positive_current)
def impedance(work: Work) -> Floats:
    """|V1 / I1|. NaN while I1 is below 5 % of rated: the line is open, and the quotient a huge number.

    Neither a distance to a fault nor directional: for those see `impedance_loop` and `impedance_reach`.
    Source: Blackburn and Domin, Protective Relaying.
    """
    ratio: Floats = work.voltage_magnitudes[:, 0] / work.current_magnitudes[:, 0]
    np.putmask(ratio, work.idle, np.nan)
    return ratio


@of_terminals("resistance", "ohm", positive_voltage, positive_current)
def resistance(work: Work) -> Floats:
    """Re(V1 / I1), positive for power into the line. NaN while I1 is below 5 % of rated.

    Source: Blackburn and Domin, Protective Relaying.
    """
    return work.impedance.re


@of_terminals("reactance", "ohm", positive_voltage, positive_current)
def reactance(work: Work) -> Floats:
    """Im(V1 / I1). NaN while I1 is below 5 % of rated.

    Source: Blackburn and Domin, Protective Relaying.
    """
    return work.impedance.im


@of_terminals("admittance", "S", positive_voltage, positive_current)
def admittance(work: Work) -> Floats:
    """|I1 / V1|: 0 on an open line, so a model can use it where the impedance would be infinite.

    NaN on a dead bus, below 0.1 pu. Source: Blackburn and Domin, Protective Relaying.
    """
    ratio: Floats = work.current_magnitudes[:, 0] / work.voltage_magnitudes[:, 0]
    np.putmask(ratio, work.dead, np.nan)
    return ratio


@of_terminals(
    "impedance_loop", "ohm", phase_voltages, phase_currents, zero_impedance_of_line, phases=("A", "B", "C")
)
def ground_loop(work: Work) -> Floats:
    """|V_a / (I_a + k0 3 I0)| and so on for B and C, k0 = (Z0 - Z1) / (3 Z1) of the terminal's line.

    NaN while the loop's current is below 5 % of rated.
    Source: Ziegler, Numerical Distance Protection.
    """
    return _loop(work.ground_loop, _least(work))


@of_terminals("impedance_loop", "ohm", phase_voltages, phase_currents, phases=("AB", "BC", "CA"))
def phase_loop(work: Work) -> Floats:
    """|(V_a - V_b) / (I_a - I_b)| and so on for BC and CA.

    NaN while the loop's current is below √3 times 5 % of rated.
    Source: Ziegler, Numerical Distance Protection.
    """
    return _loop(work.phase_loop, _least(work) * _ROOT_3)


@of_terminals("impedance_reach", "pu", phase_voltages, phase_currents, impedance_of_line)
def impedance_reach(work: Work) -> Floats:
    """How far ahead the nearest fault would be that looks like this, in lengths of the line.

    Of the six loops (three without z0) the smallest reach |Z| / (|z1| cos(arg Z - arg z1)) at which a mho
    circle through the origin along z1 would contain the loop's impedance Z = V / I. For a metallic fault
    ahead it is the share of the line up to it, and for one with resistance more; load, seen at right angles
    to z1, is far off. It is directional: a loop that sees backwards (cos <= 0) does not count, nor does one
    with less than 5 % of rated current. 100 is the most it says: nothing ahead, or no current. It polarises
    with the loop's own voltage, so a metallic fault at the terminal itself has no sure direction.
    Source: Schweitzer and Roberts, Distance Relay Element Design, 1993.
    """
    z1, _ = work.layout.line_impedances
    nearest = _inverse_reach(work.phase_loop, _least(work) * _ROOT_3, z1)
    if not np.isnan(work.layout.residual_compensation.re).all():
        ground = _inverse_reach(work.ground_loop, _least(work), z1)
        known = ~np.isnan(work.layout.residual_compensation.re[:, 0])
        nearest[known] = np.maximum(nearest[known], ground[known])
    return 1.0 / np.maximum(nearest, 1.0 / FARTHEST)


def _least(work: Work) -> Floats:
    """(T, 1, 1) the current that a loop to ground has at least; one between phases has √3 times that."""
    least: Floats = IDLE * work.layout.rated_current[:, :, np.newaxis]
    return least


def _loop(loop: tuple[Phasors, Phasors], least: Floats) -> Floats:
    voltage, current = loop
    size = current.magnitude
    ratio: Floats = voltage.magnitude / size
    np.putmask(ratio, size < least, np.nan)
    return ratio


def _inverse_reach(loop: tuple[Phasors, Phasors], least: Floats, z1: Phasors) -> Floats:
    """(T, n) the largest Re(z1 I / V) of three loops: 1 / reach."""
    voltage, current = loop
    inverse = (current * z1[:, :, np.newaxis]).aligned(voltage) / voltage.squared
    np.putmask(inverse, current.squared < least * least, 0.0)
    return np.maximum(np.maximum(inverse[:, 0], inverse[:, 1]), inverse[:, 2])
