"""Quantities that are one channel in other units: per unit, and departures from nominal."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gridtop.blocks import Floats
from gridtop.channels import Channel
from gridtop.quantities.catalogue import CATALOGUE, Formula, Offer, Quantity, derived
from gridtop.quantities.layout import Layout
from gridtop.quantities.work import Work

_LINE_TO_NEUTRAL = {"A", "B", "C"}
_LINE_TO_LINE = {"AB", "BC", "CA"}

Base = Callable[[Channel, Layout], float | str | None]
"""What a channel is divided by or compared with: a number, why there is none, or None: not this channel."""


def voltage_base(channel: Channel, layout: Layout) -> float | str | None:
    """What 1 pu is on a voltage channel, in its own unit."""
    if channel.quantity != "voltage" or channel.part == "angle" or channel.phase in ("+", "-", "0"):
        return None
    if channel.unit == "pu":
        return 1.0
    if channel.reference == "line_to_line" or channel.phase in _LINE_TO_LINE:
        base = layout.site.line_to_line(channel.terminal)
    elif channel.reference == "line_to_neutral" or channel.phase in _LINE_TO_NEUTRAL:
        base = layout.site.line_to_neutral(channel.terminal)
    else:
        return (
            "is it measured line to line or line to neutral? Say so under channels: (reference: line_to_line)"
        )
    return base if base is not None else "site.nominal.voltage_ll is not given"


def current_base(channel: Channel, layout: Layout) -> float | str | None:
    """What 1 pu is on a current channel, in its own unit."""
    if channel.quantity != "current" or channel.part == "angle" or channel.phase in ("+", "-", "0"):
        return None
    if channel.unit == "pu":
        return 1.0
    base = layout.site.rated_current(channel.terminal)
    return base if base is not None else "neither site.lines.*.rating nor site.nominal.current is given"


def frequency_base(channel: Channel, layout: Layout) -> float | str | None:
    """The nominal frequency."""
    return layout.site.frequency if channel.quantity == "frequency" else None


def _per_channel(
    name: str,
    unit: str,
    base: Base,
    formula: Callable[[Floats, Floats], Floats],
    doc: str,
    *,
    on_live_buses: bool = False,
) -> None:
    """Note a quantity with one result for each channel that has a base; on dead buses none, if so said."""

    def bases(layout: Layout, missing: list[str]) -> list[tuple[Channel, int, float]]:
        found: dict[str, tuple[Channel, int, float]] = {}
        for column, channel in enumerate(layout.channels):
            if channel.terminal and channel.terminal not in layout.terminals:
                continue
            number = base(channel, layout)
            if isinstance(number, str):
                missing.append(f"{name} of {channel.name}: {number}")
            elif number is not None:
                made = derived(channel.terminal or channel.name, name, unit, channel.phase)
                if made.name in found:
                    missing.append(
                        f"{made.name}: several channels have this terminal and phase; the first counts"
                    )
                found.setdefault(made.name, (made, column, number))
        return list(found.values())

    def offers(layout: Layout, missing: list[str]) -> list[Offer]:
        return [Offer(channel, i, (column,)) for i, (channel, column, _) in enumerate(bases(layout, missing))]

    def begin(layout: Layout) -> Formula:
        made = bases(layout, [])
        columns = np.array([column for _, column, _ in made], dtype=np.intp)
        numbers = np.array([number for _, _, number in made]).reshape(-1, 1)
        if not on_live_buses:
            return lambda work: formula(work.column(columns), numbers)
        rows = {terminal: row for row, terminal in enumerate(layout.terminals)}
        placed = [
            (i, rows[channel.terminal]) for i, (channel, *_) in enumerate(made) if channel.terminal in rows
        ]
        which, at = np.array(placed, dtype=np.intp).reshape(-1, 2).T

        def on_live(work: Work) -> Floats:
            result = formula(work.column(columns), numbers)
            if work.dead.any():
                result[which] = np.where(work.dead[at], np.nan, result[which])
            return result

        return on_live

    CATALOGUE.append(Quantity(name, unit, offers, begin, True, doc))


def _ratio(values: Floats, base: Floats) -> Floats:
    ratio: Floats = values / base
    return ratio


def _difference(values: Floats, base: Floats) -> Floats:
    difference: Floats = values - base
    return difference


_per_channel(
    "voltage_pu",
    "pu",
    voltage_base,
    _ratio,
    """Magnitude of the phase voltage / its nominal value.

    Phases A, B, C are measured line to neutral and compared with U_n / sqrt(3), phases AB, BC, CA line
    to line and compared with U_n; a channel without a phase must say which (`reference:`). Sequence
    components are no phase voltages and have quantities of their own.
    Source: per-unit system, IEEE Std 3002.2 clause 4; the factor sqrt(3) is the commonest error in
    PMU data, which is why no guess is made.
    """,
)
_per_channel(
    "current_pu",
    "pu",
    current_base,
    _ratio,
    """Magnitude of the phase current / the normal rating of the terminal's line.

    Where the line has no rating, of the instruments' nominal current. Source: IEEE Std 3002.2 clause 4.
    """,
)
_per_channel(
    "frequency_deviation",
    "Hz",
    frequency_base,
    _difference,
    """Measured minus nominal frequency, f - f0.

    NaN on a dead bus, below 0.1 pu, where a device counts noise. Source: IEC/IEEE 60255-118-1.
    """,
    on_live_buses=True,
)
