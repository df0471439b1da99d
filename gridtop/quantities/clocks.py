"""Clocks that disagree: by how much one end of a line seems turned against the other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import of_lines
from gridtop.quantities.layout import (
    at_both_ends,
    line_impedance,
    nominal_voltage,
    positive_current,
    positive_voltage,
    rated_current,
)
from gridtop.quantities.lines import differential, kvl
from gridtop.quantities.phasors import Phasors
from gridtop.quantities.work import Work

_NEEDS = (
    at_both_ends(positive_voltage),
    at_both_ends(positive_current),
    line_impedance,
    at_both_ends(rated_current),
    at_both_ends(nominal_voltage),
)


class _Turn(NamedTuple):
    """(L, n) by how much the second end leads what the first end says of it, and what no turn explains."""

    degrees: Floats
    error: Floats


def _turn(work: Work) -> _Turn:
    voltage, current = work.line_voltages[1], work.line_currents[1]
    # What the first end and the laws say that the second end should measure.
    expected_voltage = voltage + work.once(kvl)
    # The differential current holds the charging by the second end's own voltage, which is turned, too.
    beyond = (voltage - expected_voltage) * (0.5 * work.layout.line_susceptance)
    expected_current = current - work.once(differential) - Phasors(-beyond.im, beyond.re)
    base_voltage, base_current = work.layout.line_voltage, work.layout.line_rating
    # The mean of both angles, each weighted by its size in per unit.
    both = (voltage * expected_voltage.conjugate) * (1.0 / base_voltage**2) + (
        current * expected_current.conjugate
    ) * (1.0 / base_current**2)
    size = both.magnitude
    turned = Phasors(both.re / size, both.im / size)
    left = (voltage - expected_voltage * turned).magnitude / base_voltage
    left_of_current = (current - expected_current * turned).magnitude * (
        work.layout.line_z1.magnitude / base_voltage
    )
    error = np.maximum(left, left_of_current)
    degrees = both.degrees
    for values in (degrees, error):
        np.putmask(values, ~work.line_closed, np.nan)
    return _Turn(degrees, error)


@of_lines("clock_difference", "deg", *_NEEDS)
def clock_difference(work: Work) -> Floats:
    """The angle by which voltage and current of the second end lead what the first end says of them.

    The first end's voltage and current give those of the second by the pi model, less what the baseline
    explains; the angle is the mean of both comparisons. A clock that is wrong turns both alike: 1 ms are
    21.6 degrees at 60 Hz. NaN unless both ends carry 5 % of rated current. Meaningless while
    `clock_difference_error` is large, as it is during a short circuit on the line.
    Source: pi model of the line, Kundur; effect of a clock's error, IEC/IEEE 60255-118-1.
    """
    return work.once(_turn).degrees


@of_lines("clock_difference_error", "pu", *_NEEDS)
def clock_difference_error(work: Work) -> Floats:
    """What stays unexplained, in pu of voltage, when the second end is turned back by `clock_difference`.

    The larger of the voltage's and of the current's times the line's impedance. NaN as `clock_difference`.
    Source: as `clock_difference`.
    """
    return work.once(_turn).error
