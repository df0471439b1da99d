"""Quantities of one terminal, from its phasors alone."""

from __future__ import annotations

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import of_terminals
from gridtop.quantities.layout import all_voltage_sequences
from gridtop.quantities.work import Work


@of_terminals("positive_voltage", "V", all_voltage_sequences)
def positive_voltage(work: Work) -> Floats:
    """|V1|, the positive sequence of the voltage. Source: Fortescue 1918."""
    return work.voltage_sequences[:, 0].magnitude
