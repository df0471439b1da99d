"""How far a terminal is from its own recent past."""

from __future__ import annotations

import numpy as np

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import of_terminals
from gridtop.quantities.layout import (
    Layout,
    nominal_voltage,
    positive_current,
    positive_voltage,
    rated_current,
)
from gridtop.quantities.medians import RollingMedian
from gridtop.quantities.phasors import Phasors
from gridtop.quantities.work import Work

WINDOW_S = 30.0
LEAST_S = 1.0
_LEAST_VOLTAGE = 1e-9


class Usual:
    """(5, T, n) the medians of the last 30 s of each terminal's `state`, of its good frames.

    Those of seconds, renewed every second; it needs one.
    """

    def __init__(self, layout: Layout) -> None:
        self._median = RollingMedian(layout.rate, WINDOW_S, LEAST_S)

    def __call__(self, work: Work) -> Floats:
        """The medians in force."""
        series = work.trusted_locally.once(state)
        usual = self._median(series.reshape(-1, len(work)), work.time, work.row)
        return usual.reshape(series.shape)


def state(work: Work) -> Floats:
    """(5, T, n) I1 in phase with V1 and in quadrature, |3 I0| in A; |V2| and |V1| in V."""
    voltage, current = work.voltage_sequences, work.current_sequences
    positive, magnitudes = voltage[:, 0], work.voltage_magnitudes
    turned = current[:, 0] * positive.conjugate
    size = np.maximum(magnitudes[:, 0], _LEAST_VOLTAGE)
    found = np.empty((5, *size.shape))
    np.divide(turned.re, size, out=found[0])
    np.divide(turned.im, size, out=found[1])
    np.multiply(work.current_magnitudes[:, 2], 3.0, out=found[2])
    found[3] = magnitudes[:, 1]
    found[4] = size
    return found


@of_terminals("voltage_step", "pu", positive_voltage, nominal_voltage)
def voltage_step(work: Work) -> Floats:
    """| |V1| - its median of the last 30 s | / nominal voltage.

    The median is that of the medians of seconds, renewed every second; it needs one, and leaves doubtful
    frames out. A lasting change is a step for 15 s. Source: rapid voltage change, IEC 61000-4-30 clause 5.11,
    with a longer reference.
    """
    step: Floats = np.abs(work.once(state)[4] - work.shared(Usual)[4]) / work.layout.line_to_neutral
    return step


@of_terminals("current_step", "pu", positive_voltage, positive_current, rated_current)
def current_step(work: Work) -> Floats:
    """|I1 - its median of the last 30 s| / rated current, I1 turned so that V1 has the angle zero.

    Its parts in phase with V1 and in quadrature have medians of their own, as those of `voltage_step`.
    Source: superimposed quantities of line protection, IEEE Std C37.113.
    """
    now, usual = work.once(state), work.shared(Usual)
    return Phasors(now[0] - usual[0], now[1] - usual[1]).magnitude / work.layout.rated_current
