"""Harmonic distortion of a terminal's phases, computed from harmonics or as the device reports it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gridtop.blocks import Floats
from gridtop.quantities.catalogue import CATALOGUE, Formula, Offer, Quantity, derived
from gridtop.quantities.layout import Columns, Index, Layout
from gridtop.quantities.work import Work

_PHASES = ("A", "B", "C", "")


@dataclass(frozen=True, slots=True)
class _Distortion:
    """Where one phase's distortion comes from: a channel that is it, or harmonics and their fundamental."""

    place: str
    phase: str
    reported: int
    harmonics: tuple[int, ...]
    fundamental: int

    @property
    def columns(self) -> Columns:
        if self.reported >= 0:
            return (self.reported,)
        return self.harmonics if self.fundamental < 0 else (*self.harmonics, self.fundamental)


def _found(layout: Layout, quantity: str, missing: list[str]) -> list[_Distortion]:
    harmonics: dict[tuple[str, str], dict[int, int]] = {}
    for column, channel in enumerate(layout.channels):
        if channel.quantity == f"{quantity}_harmonic" and channel.part != "angle" and channel.order > 1:
            orders = harmonics.setdefault((channel.terminal, channel.phase), {})
            orders.setdefault(channel.order, column)
    found: list[_Distortion] = []
    for place in layout.terminals:
        for phase in _PHASES:
            reported = layout.column(f"thd_{quantity}", place, phase)
            columns = tuple(harmonics.get((place, phase), {}).values())
            if reported < 0 and not columns:
                continue
            relative = all(layout.channels[column].unit == "%" for column in columns)
            fundamental = -1 if relative else layout.column(quantity, place, phase, "magnitude")
            if reported < 0 and not relative and fundamental < 0:
                missing.append(
                    f"thd_{quantity} of {place}: {place} lacks the {quantity} of phase {phase or '?'}"
                )
                continue
            found.append(_Distortion(place, phase, reported, columns, fundamental))
        if not any(each.place == place for each in found):
            missing.append(
                f"thd_{quantity} of {place}: {place} has no harmonics (quantity {quantity}_harmonic)"
            )
    return found


def _distortion(quantity: str, doc: str) -> None:
    name = f"thd_{quantity}"

    def offers(layout: Layout, missing: list[str]) -> list[Offer]:
        return [
            Offer(derived(each.place, name, "%", each.phase), row, each.columns)
            for row, each in enumerate(_found(layout, quantity, missing))
        ]

    def begin(layout: Layout) -> Formula:
        found = _found(layout, quantity, [])

        def formula(work: Work) -> Floats:
            result = np.empty((len(found), len(work)))
            for row, each in enumerate(found):
                result[row] = _percent(work, each)
            return result

        return formula

    CATALOGUE.append(Quantity(name, "%", offers, begin, True, doc))


def _percent(work: Work, of: _Distortion) -> Floats:
    if of.reported >= 0:
        reported: Floats = work.column(_index(of.reported))[0]
        return reported
    scales = work.layout.scale(_index(*of.harmonics))
    total = np.zeros(len(work))
    for values, scale in zip(work.column(_index(*of.harmonics)), scales, strict=True):
        total += (values * scale) ** 2
    root: Floats = np.sqrt(total)
    if of.fundamental < 0:
        return root
    fundamental = work.column(_index(of.fundamental))[0] * work.layout.scale(_index(of.fundamental))[0]
    root /= fundamental
    root *= 100.0
    return root


def _index(*columns: int) -> Index:
    return np.array(columns, dtype=np.intp)


_distortion(
    "voltage",
    """sqrt(V_2² + V_3² + ...) / V_1 of one phase, from the harmonics there are; a reported one comes first.

    NaN where a harmonic or the fundamental is missing, or the fundamental 0; large on a dead bus.
    Source: IEEE Std 519-2022, IEC 61000-4-7.
    """,
)
_distortion(
    "current",
    """sqrt(I_2² + I_3² + ...) / I_1 of one phase, from the harmonics there are; a reported one comes first.

    Of the current that flows, so it is large where little flows. NaN where a harmonic or the fundamental is
    missing, or the fundamental 0. Source: IEEE Std 519-2022, IEC 61000-4-7.
    """,
)
