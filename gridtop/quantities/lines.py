"""Quantities of one line, from the terminals at its two ends."""

from __future__ import annotations

import numpy as np

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import of_lines
from gridtop.quantities.layout import (
    Layout,
    at_both_ends,
    line_impedance,
    nominal_voltage,
    positive_current,
    positive_voltage,
    rated_current,
)
from gridtop.quantities.needs import base_of_power, if_there_is, power
from gridtop.quantities.phasors import Phasors
from gridtop.quantities.residuals import Residual, lines_of, same_for_all
from gridtop.quantities.work import Work

OPEN = 0.01
"""Below this share of rated current an end is open; charging alone is several times that."""
LEAST_THROUGH_FLOW = 0.02
"""Below this share of the base of power the quotient of two powers says nothing."""
FAULT_CURRENT = 0.2
"""From this share of rated current a differential current is a short circuit's."""

_voltages = at_both_ends(positive_voltage)
_currents = at_both_ends(positive_current)
_powers = at_both_ends(power)
_ratings = at_both_ends(rated_current)
_bases = at_both_ends(base_of_power)
_nominals = at_both_ends(nominal_voltage)


def charging_factor(layout: Layout) -> tuple[Floats, ...]:
    """(L, 1) how far charging may be from the line's data: 20 %, or half the rating without b1."""
    per_unit = layout.line_susceptance * layout.line_voltage / layout.line_rating
    known = np.nan_to_num(0.2 * per_unit)
    return np.where(known > 0, known, 0.5), np.full_like(known, 0.01)


def _charging_and_current(work: Work) -> tuple[Phasors, ...]:
    layout = work.layout
    first, second = work.line_voltages
    mean = (first + second) * (0.5 * layout.line_rating / layout.line_voltage)
    return mean, work.line_currents[0]


DIFFERENTIAL = Residual(
    "differential_current",
    lines_of,
    lambda work: work.raw_differential,
    _charging_and_current,
    charging_factor,
    lambda layout: 0.002 * layout.line_rating,
)

KVL = Residual(
    "kvl_residual",
    lines_of,
    lambda work: work.raw_kvl,
    lambda work: (work.line_voltages[0], work.line_currents[0] * work.layout.line_z1),
    lambda layout: (same_for_all(0.01, lines_of)(layout), same_for_all(0.2, lines_of)(layout)),
    lambda layout: 0.001 * layout.line_voltage,
)


def _real(values: Floats) -> Phasors:
    return Phasors(values, np.zeros_like(values))


def _raw_loss(work: Work) -> Phasors:
    expected = work.expected_losses
    return _real((work.losses - expected) / work.layout.line_power_base)


LOSS = Residual(
    "power_residual",
    lines_of,
    _raw_loss,
    lambda work: (
        _real(np.ones_like(work.losses)),
        _real(work.of_ends(work.power)[0].re / work.layout.line_power_base),
    ),
    lambda layout: (same_for_all(0.01, lines_of)(layout), same_for_all(0.01, lines_of)(layout)),
    same_for_all(0.002, lines_of),
)


def differential(work: Work) -> Phasors:
    """(L, n) the sum of a line's currents without its charging and what the baseline explains, in A."""
    return DIFFERENTIAL.departure(work)


def kvl(work: Work) -> Phasors:
    """(L, n) what Kirchhoff's voltage law leaves over and the baseline does not explain, in V."""
    return KVL.departure(work)


def learned_z1(work: Work) -> Phasors:
    """(L, 1) the series impedance, corrected by what the baseline found it to be, in ohm."""
    factors = KVL.factors(work.layout)
    z1 = work.layout.line_z1
    return z1 if factors is None else z1 + z1 * factors[1]


def place_of_fault(work: Work) -> Phasors:
    """(L, n) the complex place of a fault, its imaginary part 0 if all fits; NaN without a fault."""
    # With K the residual of the voltage law and d the differential current, the place is 1 + K / (z1 d).
    current = work.once(differential)
    place = work.once(kvl) / (current * work.once(learned_z1))
    small = ~(current.squared >= (FAULT_CURRENT * work.layout.line_rating) ** 2)
    place = Phasors(place.re + 1.0, place.im)
    np.putmask(place.re, small, np.nan)
    np.putmask(place.im, small, np.nan)
    return place


@of_lines("angle_difference", "deg", _voltages)
def angle_difference(work: Work) -> Floats:
    """arg(V1_first V1_second*), by how much the first end leads, in (-180, 180].

    Complex, so it never jumps by a turn between two close angles. NaN while either bus is dead, below 0.1 pu.
    Source: Kundur, Power System Stability and Control.
    """
    angle = work.angle_difference
    first, second = work.layout.ends[:, 0], work.layout.ends[:, 1]
    dead = work.dead[first] | work.dead[second]
    return np.where(dead, np.nan, angle) if dead.any() else angle


@of_lines("line_open", "", _currents, _ratings)
def line_open(work: Work) -> Floats:
    """1 while an end carries less than 1 % of rated current, else 0.

    A closed line of some length carries its charging current at least, which is more. A short line without
    load passes for open. Source: undercurrent elements of breaker-failure relays, IEEE Std C37.119.
    """
    first, second = (current.magnitude for current in work.line_currents)
    smaller = np.minimum(first, second)
    opened = (smaller < OPEN * work.layout.line_rating).astype(np.float64)
    np.putmask(opened, np.isnan(smaller), np.nan)
    return opened


@of_lines("power_in", "W", _powers)
def power_in(work: Work) -> Floats:
    """What flows into the line: the sum of the positive ones of the active powers at its ends.

    Near zero without load. Source: conservation of energy.
    """
    return work.line_power_in


@of_lines("power_in_pu", "pu", _powers, _bases)
def power_in_pu(work: Work) -> Floats:
    """The same / `site.system.base`; without one / (√3 U_n I_rated). Source: IEEE Std 3002.2."""
    ratio: Floats = work.line_power_in / work.layout.line_power_base
    return ratio


@of_lines("losses", "W", _powers)
def losses(work: Work) -> Floats:
    """The sum of the active powers into the line at both ends: what does not come out again.

    A difference of two large numbers: class 0.5 instruments make it uncertain by 1 % of the flow. A short
    circuit on the line is in it. Source: conservation of energy.
    """
    return work.losses


@of_lines("efficiency", "", _powers)
def efficiency(work: Work) -> Floats:
    """Power out of the line / power into it, each the sum of the ends where it has that direction.

    NaN below a through-flow of 2 % of the base of power. Source: conservation of energy.
    """
    flow_in = work.line_power_in
    through: Floats = (flow_in - work.losses) / flow_in
    np.putmask(through, ~(flow_in > LEAST_THROUGH_FLOW * np.nan_to_num(work.layout.line_power_base)), np.nan)
    return through


@of_lines("power_residual", "%", _powers, _currents, if_there_is(_voltages), line_impedance, _bases)
def power_residual(work: Work) -> Floats:
    """(losses - 3 R1 |I1|²) / base of power, less what the baseline explains (a constant and a share of P).

    I1 is the current through the series impedance of the pi model. Losses of unbalance are left out. A short
    circuit on the line is in it. With little current it is near zero.
    Source: pi model of the line, Kundur; conservation of energy.
    """
    departure: Floats = LOSS.departure(work).re * 100.0
    return departure


@of_lines(
    "differential_current",
    "A",
    _currents,
    if_there_is(_voltages),
    if_there_is(_ratings),
    if_there_is(_nominals),
)
def differential_current(work: Work) -> Floats:
    """|I1_first + I1_second - j b1/2 (V1_first + V1_second)|, less what the baseline explains.

    Both currents count into the line, so their sum is its charging current, and a short circuit's besides.
    The baseline explains an admittance and an error of the current transformers. While neither end carries
    5 % of rated current the line may be dead, without charging: the smaller one, with charging and without,
    counts then. Source: line differential protection, IEEE Std C37.243.
    """
    magnitude = work.once(differential).magnitude
    if work.line_idle.any():
        first, second = work.line_currents
        np.copyto(magnitude, np.minimum(magnitude, (first + second).magnitude), where=work.line_idle)
    return magnitude


@of_lines("kvl_residual", "pu", _voltages, _currents, line_impedance, _ratings, _nominals)
def kvl_residual(work: Work) -> Floats:
    """|V1_first - V1_second - z1 (I1_first - j b1/2 V1_first)| / nominal voltage.

    Kirchhoff's voltage law along the line, less what the baseline explains. NaN unless both ends carry 5 % of
    rated current: an open line need not obey it. A short circuit on the line violates it too;
    `fault_location_error` tells the two apart. Source: pi model of the line, Kundur.
    """
    residual: Floats = work.once(kvl).magnitude / work.layout.line_voltage
    np.putmask(residual, ~work.line_closed, np.nan)
    return residual


@of_lines("fault_location", "", _voltages, _currents, line_impedance, _ratings)
def fault_location(work: Work) -> Floats:
    """Where a short circuit is, as a share of the line from its first end.

    x = Re((V_first - V_second + z1 I_second) / (z1 (I_first + I_second))), positive sequence, less charging
    and what the baseline explains. Holds for every kind of fault, whatever its resistance, because every one
    draws positive-sequence current. NaN unless that is 20 % of rated current.
    Source: two-ended synchronised fault location, IEEE Std C37.114.
    """
    return work.once(place_of_fault).re


@of_lines("fault_location_error", "pu", _voltages, _currents, line_impedance, _ratings, _nominals)
def fault_location_error(work: Work) -> Floats:
    """How much voltage the nearest real place on the line leaves unexplained, of nominal voltage.

    |V_first - V_second + z1 I_second - x z1 (I_first + I_second)|, x of `fault_location` held in [0, 1].
    A genuine short circuit leaves little; readings that no short circuit explains leave much. NaN unless the
    differential current is 20 % of rated. Source: residual of the equation of `fault_location`.
    """
    x = work.once(place_of_fault)
    place = np.clip(x.re, 0.0, 1.0)
    drop = (work.once(differential) * work.once(learned_z1)).magnitude
    error: Floats = np.hypot(x.re - place, x.im) * drop / work.layout.line_voltage
    return error
