"""Quantities of the whole system."""

from __future__ import annotations

import numpy as np

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import of_system
from gridtop.quantities.layout import Columns, Index, Layout, frequency, positive_current, positive_voltage
from gridtop.quantities.lines import LEAST_THROUGH_FLOW
from gridtop.quantities.needs import if_there_is, power
from gridtop.quantities.work import Work


def metered(layout: Layout) -> Index:
    """The terminals whose powers add up: those that have one, without lines that have one at one end only."""
    has = {terminal: not isinstance(power(layout, terminal), str) for terminal in layout.terminals}
    for line in layout.site.lines.values():
        known = [has.get(end, False) for end in line.ends]
        if not all(known):
            has.update({end: False for end in line.ends if end in has})
    return np.flatnonzero([has[terminal] for terminal in layout.terminals])


def _powers(layout: Layout, place: str) -> Columns | str:
    columns: list[int] = []
    for row in metered(layout):
        found = power(layout, layout.terminals[row])
        columns += () if isinstance(found, str) else found
    return tuple(columns) or "no terminal has a power"


def _frequencies(layout: Layout, place: str) -> Columns | str:
    columns: list[int] = []
    measuring = 0
    for terminal in layout.terminals:
        found = frequency(layout, terminal)
        if not isinstance(found, str):
            measuring += 1
            voltage = if_there_is(positive_voltage)(layout, terminal)
            columns += (*found, *(() if isinstance(voltage, str) else voltage))
    return tuple(columns) if measuring > 1 else "it takes two terminals with a frequency"


def _sum(rows: Floats) -> Floats:
    """(n,) the sum of the rows, one after the other."""
    total = np.zeros(rows.shape[1])
    for row in rows:
        total += row
    return total


@of_system("power_imbalance", "W", _powers)
class PowerImbalance:
    """The sum of the active powers of all terminals, less the expected losses 3 R1 |I1|² of described lines.

    With lines described, every terminal counts into its line, and what is left over is unexplained loss; a
    short circuit is in it. Without lines, terminals are sources (+) and loads (-), and what is left over is
    what is not measured. NaN while any power is missing. Source: conservation of energy.
    """

    def __init__(self, layout: Layout) -> None:
        self._rows = metered(layout)
        counted = {layout.terminals[row] for row in self._rows}
        self._lines = np.flatnonzero(
            [
                line.z1 is not None
                and counted.issuperset(line.ends)
                and not any(isinstance(positive_current(layout, end), str) for end in line.ends)
                for line in layout.lines.values()
            ]
        )

    def __call__(self, work: Work) -> Floats:
        """(n,)"""
        imbalance = _sum(work.power.re[self._rows])
        if len(self._lines):
            imbalance -= _sum(work.expected_losses[self._lines])
        return imbalance


@of_system("efficiency", "", _powers)
class Efficiency:
    """Power out / power in: the sum of the negative active powers of all terminals over that of the positive.

    NaN while any power is missing, and below a through-flow of 2 % of the largest base of power.
    Source: conservation of energy.
    """

    def __init__(self, layout: Layout) -> None:
        self._rows = metered(layout)
        bases = np.nan_to_num(layout.power_base[self._rows])
        self._least = LEAST_THROUGH_FLOW * float(bases.max(initial=0.0))

    def __call__(self, work: Work) -> Floats:
        """(n,)"""
        active = work.power.re[self._rows]
        flow_in = _sum(np.maximum(active, 0.0))
        through: Floats = -_sum(np.minimum(active, 0.0)) / flow_in
        np.putmask(through, ~(flow_in > self._least), np.nan)
        return through


@of_system("frequency_spread", "Hz", _frequencies)
def frequency_spread(work: Work) -> Floats:
    """The highest minus the lowest frequency of all terminals that have one.

    Dead buses, below 0.1 pu, do not count; NaN with fewer than two terminals. Parts of one synchronous
    system cannot differ for long. Source: steady state of a synchronous system, Kundur.
    """
    highest, lowest = (np.full(len(work), np.nan) for _ in range(2))
    counted = np.zeros(len(work))
    for frequencies in work.frequency:
        highest, lowest = np.fmax(highest, frequencies), np.fmin(lowest, frequencies)
        counted += ~np.isnan(frequencies)
    spread: Floats = highest - lowest
    np.putmask(spread, counted < 2, np.nan)
    return spread
