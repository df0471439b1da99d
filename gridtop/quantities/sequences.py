"""Sequence components of a terminal and its unbalance."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import of_terminals
from gridtop.quantities.layout import (
    all_current_sequences,
    all_voltage_sequences,
    phase_currents,
    phase_voltages,
    positive_current,
    positive_voltage,
    rated_current,
)
from gridtop.quantities.needs import measured_sequence
from gridtop.quantities.work import Work

_NAMES = ("positive", "negative", "zero")


def _computed(sequence: int, quantity: str, unit: str) -> None:
    name, symbol = f"{_NAMES[sequence]}_{quantity}", f"{unit.replace('A', 'I')}{'120'[sequence]}"
    every = all_voltage_sequences if quantity == "voltage" else all_current_sequences
    first = positive_voltage if quantity == "voltage" else positive_current

    def formula(work: Work) -> Floats:
        of = work.voltage_magnitudes if quantity == "voltage" else work.current_magnitudes
        return of[:, sequence]

    formula.__doc__ = f"""|{symbol}|, the {_NAMES[sequence]} sequence of the {quantity}.

    Of the three phases, or as the device reports it where phases lack. Near zero it is what noise leaves.
    Source: Fortescue, AIEE 1918.
    """
    of_terminals(name, unit, first if sequence == 0 else every)(formula)


def _measured(sequence: int, quantity: str, unit: str) -> None:
    def formula(work: Work) -> Floats:
        columns = work.layout.voltage_sequences if quantity == "voltage" else work.layout.current_sequences
        return work.column(columns[0, :, sequence]) * work.layout.scale(columns[0, :, sequence])

    formula.__doc__ = f"""The {_NAMES[sequence]} sequence of the {quantity}, as the device reports it.

    Many devices report 0 for what is small. Source: the channel itself.
    """
    of_terminals(f"measured_{_NAMES[sequence]}_{quantity}", unit, measured_sequence(quantity, sequence))(
        formula
    )


for _quantity, _unit in (("voltage", "V"), ("current", "A")):
    for _sequence in range(3):
        _computed(_sequence, _quantity, _unit)
    for _sequence in range(3):
        _measured(_sequence, _quantity, _unit)


@of_terminals("positive_current_pu", "pu", positive_current, rated_current)
def positive_current_pu(work: Work) -> Floats:
    """|I1| / rated current: the gate of whatever needs current.

    Rated is the normal rating of the terminal's line, else the instruments' nominal current.
    Source: per-unit system, IEEE Std 3002.2.
    """
    ratio: Floats = work.current_magnitudes[:, 0] / work.layout.rated_current
    return ratio


@of_terminals("residual_current", "pu", all_current_sequences, rated_current)
def residual_current(work: Work) -> Floats:
    """|3 I0| / rated current: what returns through the ground.

    Near zero current it is near zero. Source: Blackburn and Domin, Protective Relaying.
    """
    residual: Floats = work.current_magnitudes[:, 2] * (3.0 / work.layout.rated_current)
    return residual


@of_terminals("voltage_unbalance", "%", all_voltage_sequences)
def voltage_unbalance(work: Work) -> Floats:
    """|V2| / |V1|. NaN on a dead bus, below 0.1 pu. Source: IEC 61000-4-30."""
    return _ratio_of_sequences(work.voltage_magnitudes, work.dead)


@of_terminals("current_unbalance", "%", all_current_sequences)
def current_unbalance(work: Work) -> Floats:
    """|I2| / |I1|. NaN while I1 is below 5 % of rated current. Source: IEC 61000-4-30, for currents."""
    return _ratio_of_sequences(work.current_magnitudes, work.idle)


@of_terminals("voltage_unbalance_nema", "%", phase_voltages)
def voltage_unbalance_nema(work: Work) -> Floats:
    """The largest departure of a line-to-line voltage from the mean of the three / that mean.

    Not V2/V1: it leaves angles out of account. NaN on a dead bus, below 0.1 pu. Source: NEMA MG 1.
    """
    unbalance = _largest_departure(work.line_to_line_voltage.magnitude)
    np.putmask(unbalance, work.dead, np.nan)
    return unbalance


@of_terminals("current_unbalance_nema", "%", phase_currents)
def current_unbalance_nema(work: Work) -> Floats:
    """The largest departure of a phase current from the mean of the three / that mean.

    NaN while I1 is below 5 % of rated current. Source: NEMA MG 1, applied to currents.
    """
    unbalance = _largest_departure(work.current.magnitude)
    np.putmask(unbalance, work.idle, np.nan)
    return unbalance


def _ratio_of_sequences(magnitudes: Floats, nothing: npt.NDArray[np.bool_]) -> Floats:
    ratio: Floats = magnitudes[:, 1] / magnitudes[:, 0]
    ratio *= 100.0
    np.putmask(ratio, nothing, np.nan)
    return ratio


def _largest_departure(magnitudes: Floats) -> Floats:
    a, b, c = (magnitudes[:, i] for i in range(3))
    mean = (a + b + c) / 3.0
    largest = np.maximum(np.maximum(a, b), c) - mean
    smallest = mean - np.minimum(np.minimum(a, b), c)
    departure: Floats = np.maximum(largest, smallest) / mean
    departure *= 100.0
    return departure
