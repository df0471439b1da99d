"""Quantities that age: what a line and its instruments are, whatever the load, so that drifts show."""

from __future__ import annotations

import numpy as np

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import of_lines, of_terminals
from gridtop.quantities.checks import Buses
from gridtop.quantities.layout import (
    at_both_ends,
    positive_current,
    positive_voltage,
    rated_current,
)
from gridtop.quantities.lines import KVL
from gridtop.quantities.needs import if_there_is, shared_bus
from gridtop.quantities.work import Work


@of_lines(
    "line_resistance",
    "ohm",
    at_both_ends(positive_voltage),
    at_both_ends(positive_current),
    if_there_is(at_both_ends(rated_current)),
)
def line_resistance(work: Work) -> Floats:
    """Re((V1_first - V1_second) / I1), I1 the mean of both ends' currents through the series impedance.

    Each current less the charging j b1/2 V1 of its end. A ratio error of the voltages that the baseline knows
    is taken out. NaN unless both ends carry 5 % of rated current. The drop along a line is a few percent of
    the voltage, so an error of 0.1 % in one voltage is an error of several percent of |z1|; it changes with
    the load. A short circuit on the line is in it.
    Source: pi model of the line, Kundur; synchrophasor line parameter estimation.
    """
    first, second = work.line_voltages
    factors = KVL.factors(work.layout)
    drop = first - second
    if factors is not None:
        drop = drop - first * factors[0]
    near, far = work.series_currents
    impedance = drop / ((near - far) * np.float64(0.5))
    resistance = impedance.re
    np.putmask(resistance, ~work.line_closed, np.nan)
    return resistance


@of_terminals("vt_ratio", "", shared_bus)
def vt_ratio(work: Work) -> Floats:
    """|V1| / the median of |V1| of the other terminals at its bus that have a value.

    Magnitudes alone, so clocks do not matter. Of two terminals each shows the other's error turned round;
    from three on the one that is wrong stands alone. NaN on a dead bus, below 0.1 pu.
    Source: two measurements of one voltage are equal; instrument transformer classes, IEC 61869-3.
    """
    size = work.voltage_magnitudes[:, 0]
    live = np.where(work.dead, np.nan, size)
    ratio = np.full_like(size, np.nan)
    for rows in work.layout.once(Buses).groups:
        for row in rows:
            ratio[row] = live[row] / _median(live[rows[rows != row]])
    return ratio


def _median(values: Floats) -> Floats:
    """(n,) the median over the first axis of those that are there; NaN where none is."""
    ordered = np.sort(values, axis=0)  # NaN goes to the end
    number = np.count_nonzero(~np.isnan(values), axis=0)
    low, high = np.maximum(number - 1, 0) // 2, np.minimum(number // 2, len(values) - 1)
    at = np.arange(values.shape[1])
    middle: Floats = 0.5 * (ordered[low, at] + ordered[high, at])
    return middle
