"""Checks of a terminal's readings against each other and against those of its neighbours at the bus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats, Quality
from gridtop.quantities.catalogue import of_terminals
from gridtop.quantities.layout import Index, Layout, nominal_voltage, positive_current, positive_voltage
from gridtop.quantities.needs import bus_of, reported_impedance, sequences_twice, shared_bus
from gridtop.quantities.phasors import Phasors
from gridtop.quantities.residuals import Residual, same_for_all, terminals_of
from gridtop.quantities.work import Work

_SEQUENCES = ("positive", "negative", "zero")


# (T, 3, n) the sequences that devices report, less those of their phases.
_DIFFERENCES: dict[str, Callable[[Work], Phasors]] = {
    "voltage": lambda work: work.measured_voltage_sequences - work.voltage_sequences,
    "current": lambda work: work.measured_current_sequences - work.current_sequences,
}


def _reported_less_computed(quantity: str, sequence: int) -> Residual:
    def raw(work: Work) -> Phasors:
        return work.once(_DIFFERENCES[quantity])[:, sequence]

    def regressors(work: Work) -> tuple[Phasors, ...]:
        return (work.positive_voltage if quantity == "voltage" else work.positive_current,)

    def noise(layout: Layout) -> Floats:
        size = layout.line_to_neutral if quantity == "voltage" else layout.rated_current
        return 0.001 * np.nan_to_num(size, nan=1.0)

    return Residual(
        f"measured_{_SEQUENCES[sequence]}_{quantity}",
        terminals_of,
        raw,
        regressors,
        lambda layout: (same_for_all(0.05, terminals_of)(layout),),
        noise,
    )


_REPORTED = {
    quantity: tuple(_reported_less_computed(quantity, sequence) for sequence in range(3))
    for quantity in ("voltage", "current")
}


@of_terminals("sequence_residual", "%", sequences_twice)
def sequence_residual(work: Work) -> Floats:
    """The largest of |reported - computed| sequences, of V1 for voltages and of I1 for currents.

    Positive, negative and zero sequences that the device reports, against Fortescue of its own three phases,
    less a share of V1 or I1 that the baseline explains. Voltages do not count on a dead bus (below 0.1 pu),
    currents not while I1 is below 5 % of rated; NaN when nothing counts. Source: Fortescue, AIEE 1918.
    """
    worst = np.full((len(work.layout.terminals), len(work)), np.nan)
    for quantity, columns, magnitudes, nothing in (
        ("voltage", work.layout.voltage_sequences, work.voltage_magnitudes, work.dead),
        ("current", work.layout.current_sequences, work.current_magnitudes, work.idle),
    ):
        share = np.full_like(worst, np.nan)
        for sequence, residual in enumerate(_REPORTED[quantity]):
            if (columns[:, :, sequence] >= 0).all(axis=0).any():
                np.fmax(share, residual.departure(work).squared, out=share)
        np.sqrt(share, out=share)
        share *= 100.0
        share /= magnitudes[:, 0]
        np.putmask(share, nothing, np.nan)
        np.fmax(worst, share, out=worst)
    return worst


def _reported_ratio(work: Work) -> Phasors:
    """(T, n) reported impedance / (V1 / I1); of magnitudes where no angle is reported."""
    magnitude, angle = work.layout.impedance
    computed = work.impedance
    size = work.column(magnitude)
    ratio = Phasors.polar(size, work.column(angle)) / computed
    angleless = angle < 0
    if angleless.any():
        ratio.re[angleless], ratio.im[angleless] = (size / computed.magnitude)[angleless], 0.0
    return Phasors(ratio.re - 1.0, ratio.im)


IMPEDANCE = Residual(
    "impedance_residual",
    terminals_of,
    _reported_ratio,
    lambda work: (Phasors(np.ones((1, len(work))), np.zeros((1, len(work)))),),
    lambda layout: (same_for_all(100.0, terminals_of)(layout),),
    same_for_all(0.01, terminals_of),
)


@of_terminals("impedance_residual", "%", reported_impedance, positive_voltage, positive_current)
def impedance_residual(work: Work) -> Floats:
    """|Z_reported / (k V1 / I1) - 1|, in magnitude and, where one is reported, in angle.

    k is the scale in which the device reports, 1 without a baseline: the test is that it stays what it was.
    NaN while I1 is below 5 % of rated and where the reported impedance is missing or infinite.
    Source: Ohm's law.
    """
    departure = IMPEDANCE.departure(work).magnitude
    factors = IMPEDANCE.factors(work.layout)
    if factors is not None:
        departure /= Phasors(factors[0].re + 1.0, factors[0].im).magnitude
    departure *= 100.0
    return departure


class Buses:
    """Which terminals are compared with which."""

    def __init__(self, layout: Layout) -> None:
        number = {bus: i for i, bus in enumerate(layout.buses)}
        self.of: Index = np.full(len(layout.terminals), -1, dtype=np.intp)
        for row, terminal in enumerate(layout.terminals):
            bus = bus_of(layout, terminal)
            if bus is not None and not isinstance(shared_bus(layout, terminal), str):
                self.of[row] = number[bus]
        self.groups = [rows for i in range(len(number)) if len(rows := np.flatnonzero(self.of == i)) > 1]


def _means(voltage: Phasors, groups: list[Index], *, of_others: bool) -> Phasors:
    """(T, n) for each terminal the mean at its bus of those that have a value, its own left out or not."""
    means = Phasors(np.full_like(voltage.re, np.nan), np.full_like(voltage.im, np.nan))
    for rows in groups:
        present = ~np.isnan(voltage.re[rows])
        for i, row in enumerate(rows):
            count = np.zeros(voltage.re.shape[1])
            total = Phasors(np.zeros_like(count), np.zeros_like(count))
            for j, other in enumerate(rows):
                if of_others and i == j:
                    continue
                np.add(total.re, voltage.re[other], out=total.re, where=present[j])
                np.add(total.im, voltage.im[other], out=total.im, where=present[j])
                count += present[j]
            means.re[row], means.im[row] = total.re / count, total.im / count
    return means


def _mean_at_bus(work: Work) -> Phasors:
    return _means(work.positive_voltage, work.layout.once(Buses).groups, of_others=False)


BUS = Residual(
    "bus_mismatch",
    terminals_of,
    lambda work: work.positive_voltage - work.once(_mean_at_bus),
    lambda work: (work.once(_mean_at_bus),),
    lambda layout: (same_for_all(0.01, terminals_of)(layout),),
    lambda layout: 0.001 * layout.line_to_neutral,
)


@of_terminals("bus_mismatch", "pu", shared_bus, nominal_voltage)
class BusMismatch:
    """|V1 - mean V1 of the other terminals at its bus| / nominal voltage, so that angles count.

    Each voltage is first divided by its ratio to the bus that the baseline knows. Of three terminals or more
    the one that is wrong shows the largest; of two both show the same. Where a clock runs unsynchronised
    magnitudes alone are compared. NaN where no other has a value; off while the coupler is open. On a dead
    bus it is near zero. Source: two measurements of one voltage are equal.
    """

    def __init__(self, layout: Layout) -> None:
        self._groups = layout.once(Buses).groups
        factors = BUS.factors(layout)
        one = np.float64(1.0)
        self._inverse = None if factors is None else _reciprocal(Phasors(factors[0].re + one, factors[0].im))

    def __call__(self, work: Work) -> Floats:
        """(T, n)"""
        voltage = work.positive_voltage
        if self._inverse is not None:
            voltage = voltage * self._inverse
        mismatch = (voltage - _means(voltage, self._groups, of_others=True)).magnitude
        unlocked = self._unsynchronised(work)
        if unlocked is not None:
            size = Phasors(voltage.magnitude, np.zeros_like(voltage.re))
            alone = np.abs((size - _means(size, self._groups, of_others=True)).re)
            np.copyto(mismatch, alone, where=unlocked)
        mismatch /= work.layout.line_to_neutral
        return mismatch

    def _unsynchronised(self, work: Work) -> npt.NDArray[np.bool_] | None:
        """(T, n) where a terminal at the bus has a clock that runs wrong; None where none has."""
        angles = np.hstack((work.layout.voltage[1], work.layout.voltage_sequences[1][:, :1]))
        flagged = work.flagged(angles, Quality.UNSYNCHRONISED)
        if flagged is None:
            return None
        own: npt.NDArray[np.bool_] = np.logical_or.reduce(flagged, axis=1)
        for rows in self._groups:
            own[rows] = np.logical_or.reduce(own[rows], axis=0)
        return own


def _reciprocal(phasors: Phasors) -> Phasors:
    return Phasors(np.ones_like(phasors.re), np.zeros_like(phasors.im)) / phasors
