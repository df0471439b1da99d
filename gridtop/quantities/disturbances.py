"""Sudden changes: the step of a line's angle, and short circuits."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import of_lines, of_terminals
from gridtop.quantities.departures import Usual, state
from gridtop.quantities.layout import (
    Layout,
    all_current_sequences,
    all_voltage_sequences,
    at_both_ends,
    positive_voltage,
)
from gridtop.quantities.medians import RollingMedian, wrapped
from gridtop.quantities.work import Work

Booleans = npt.NDArray[np.bool_]

ANGLE_WINDOW_S = 60.0
ANGLE_LEAST_S = 10.0

FAULT_ANGLE = math.radians(45.0)
"""By which a fault's current lags the voltage: between 0° (arc) and 85° (line)."""
LEAST_BASE_PU = 0.2
"""Of the rated current: the least current that changes are compared with."""
CHANGE = 0.15
"""Change of the current along the fault angle, forward or reverse."""
CARRYING = 0.3
"""Positive-sequence current below which a terminal carries none, and has no direction."""


@of_lines("angle_step", "deg", at_both_ends(positive_voltage))
class AngleStep:
    """The angle across the line now, minus its median over the last 60 s, in [-180°, 180°].

    The angle is arg(V1 of the first end × conj V1 of the other). The median is that of the medians of
    seconds; it takes good, synchronised frames of both ends only, is renewed with every second (a second's
    worth of frames) and needs 10 of them. A stream without times counts its seconds in frames.
    Source: the angle across a line depends on the line and on its load, so a fixed limit on it needs a
    study (NERC 2016, recommendation 27); a limit on its change does not.
    """

    def __init__(self, layout: Layout) -> None:
        self._median = RollingMedian(layout.rate, ANGLE_WINDOW_S, ANGLE_LEAST_S, period=360.0)

    def __call__(self, work: Work) -> Floats:
        """(L, n) the steps."""
        usual = self._median(work.trusted.angle_difference, work.time, work.row)
        return wrapped(work.angle_difference - usual)


class _Evidence(NamedTuple):
    """From which departure on a voltage or current speaks for a fault."""

    undervoltage: float
    """fall of |V1|, of its median"""
    unbalance: float
    """rise of |V2|, of the median of |V1|"""
    residual: float
    """rise of |3 I0|, of the base current"""


BOTH_ENDS = _Evidence(0.06, 0.02, 0.3)
ONE_END = _Evidence(0.15, 0.05, 0.6)
CONFIRMATION = 0.008
"""Fall of |V1| or rise of |V2| without which 3 I0 is an open current circuit, not a fault."""


@of_terminals("fault", "", all_voltage_sequences, all_current_sequences)
class Fault:
    """1 while a short circuit is on the terminal's own line, else 0.

    All departures are from the terminal's own medians of the last 30 s (of seconds, renewed every second):
    the current's rise dI = I1 - median, with I1 turned so that V1 has the angle zero, in parts of the
    median of |I1| or of 0.2 of the rated current, whichever is more.

    - Forward: Re(dI × 1∠45°) above 0.15, and |I1| above 0.3. A fault's current lags the voltage by 0° (arc)
      to 85° (line), so it comes within 45° of that direction; one behind the terminal is opposite.
    - Evidence: |V1| falls by 0.06, or |V2| rises by 0.02 (of the median of |V1|), or |3 I0| rises by 0.3;
      the last only if |V1| or |V2| departs by 0.008, since an open current circuit makes 3 I0, too.
    - The other end of the line does not see it behind itself (forward turned round). Load steps, swings,
      trips of the neighbour and faults elsewhere flow through the line and are forward at one end, reverse
      at the other.

    Where the other end is not measured the evidence must be stronger (0.15, 0.05, 0.6), and a fault behind
    the far end still looks like one on the line. There is no value before the first second is complete.
    A cleared fault lasts two frames at 30 frames/s (median), so a rule on this takes one sample. A relay
    that is told of a fault which is not there sees a fault.
    Source: directional comparison as in line protection (IEEE Std C37.113), with changes (superimposed
    quantities); thresholds measured on the simulator. It does not rest on the differential current, which
    the line's charging makes true at all times.
    """

    def __init__(self, layout: Layout) -> None:
        self._least_base = LEAST_BASE_PU * layout.rated_current
        self._other = np.arange(len(layout.terminals))
        ends = layout.ends
        self._other[ends[:, 0]], self._other[ends[:, 1]] = ends[:, 1], ends[:, 0]
        self._has_other = (self._other != np.arange(len(layout.terminals))).reshape(-1, 1)

    def __call__(self, work: Work) -> Floats:
        """(T, n) 1 or 0."""
        usual, now = work.shared(Usual), work.once(state)
        base = np.fmax(np.sqrt(usual[0] * usual[0] + usual[1] * usual[1]), self._least_base)
        known = work.trusted_locally.once(state)
        along = _along(now, usual, base)
        known_along = along if known is now else _along(known, usual, base)
        fall, rise, excess = -_part(now, usual, 4), _part(now, usual, 3), (now[2] - usual[2]) / base
        beyond = np.where(self._has_other, known_along[self._other], np.nan)
        speaks = np.where(
            np.isnan(beyond),
            _speaks(fall, rise, excess, ONE_END),
            _speaks(fall, rise, excess, BOTH_ENDS) & ~(beyond < -CHANGE),
        )
        fault = (along > CHANGE) & speaks
        return np.where(np.isnan(along) | np.isnan(fall), np.nan, fault)


def _along(now: Floats, usual: Floats, base: Floats) -> Floats:
    """(T, n) change of the current along a fault's, of the base: positive is forward; 0 without a current."""
    in_phase, quadrature = now[:2]
    carried = CARRYING * base
    carrying = in_phase * in_phase + quadrature * quadrature > carried * carried
    change = (in_phase - usual[0]) * math.cos(FAULT_ANGLE) - (quadrature - usual[1]) * math.sin(FAULT_ANGLE)
    return np.where(carrying | np.isnan(change), change / base, 0.0)


def _part(now: Floats, usual: Floats, which: int) -> Floats:
    """(T, n) departure of a voltage from its median, of the median of |V1|."""
    part: Floats = (now[which] - usual[which]) / usual[4]
    return part


def _speaks(fall: Floats, rise: Floats, excess: Floats, least: _Evidence) -> Booleans:
    confirmed = (fall > CONFIRMATION) | (rise > CONFIRMATION)
    speaks: Booleans = (
        (fall > least.undervoltage) | (rise > least.unbalance) | (confirmed & (excess > least.residual))
    )
    return speaks
