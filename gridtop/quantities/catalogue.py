"""What a quantity is, and the decorators that make one of a formula."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gridtop.blocks import Floats
from gridtop.channels import Channel
from gridtop.quantities.layout import EVERYWHERE, Columns, Layout, Need
from gridtop.quantities.work import Work

Formula = Callable[[Work], Floats]
"""From a block in progress to (..., n): a row for each place (and phase), flattened in that order."""

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Offer:
    """A derived channel that is to be had: the row of its formula's result, and what it is computed from."""

    channel: Channel
    row: int
    columns: Columns


@dataclass(frozen=True, slots=True)
class Quantity:
    """One derived series, for every place where it is to be had.

    offers  what a layout allows; reasons why something is missing are appended to the list it is given
    begin   a formula for the blocks of one pass, with whatever it remembers between them
    local   all inputs come from one terminal, so its clock need not be right
    """

    name: str
    unit: str
    offers: Callable[[Layout, list[str]], list[Offer]]
    begin: Callable[[Layout], Formula]
    local: bool
    doc: str


CATALOGUE: list[Quantity] = []
"""Every quantity, in the order in which the modules define them."""


# A formula is a function of the work, or a class that is made with the layout and then called with the work:
# its instance lives for one pass and may remember.
def of_terminals(
    name: str, unit: str, *needs: Need, phases: Sequence[str] = ("",), local: bool = True
) -> Callable[[F], F]:
    """A quantity of each terminal: the formula gives (T, n), or (T, p, n) for several phases."""
    return _quantity(name, unit, needs, lambda layout: layout.terminals, phases, local)


def of_lines(name: str, unit: str, *needs: Need) -> Callable[[F], F]:
    """A quantity of each line: the formula gives (L, n)."""
    return _quantity(name, unit, needs, lambda layout: tuple(layout.lines), ("",), False)


def of_system(name: str, unit: str, *needs: Need) -> Callable[[F], F]:
    """A quantity of the whole system: the formula gives (n,)."""
    return _quantity(name, unit, needs, lambda layout: (EVERYWHERE,), ("",), False)


def _quantity(
    name: str,
    unit: str,
    needs: Sequence[Need],
    places: Callable[[Layout], Iterable[str]],
    phases: Sequence[str],
    local: bool,
) -> Callable[[F], F]:
    def offers(layout: Layout, missing: list[str]) -> list[Offer]:
        found: list[Offer] = []
        for i, place in enumerate(places(layout)):
            columns = _columns(layout, place, needs)
            if isinstance(columns, str):
                missing.append(f"{name} of {place}: {columns}")
                continue
            found += [
                Offer(derived(place, name, unit, phase), i * len(phases) + j, columns)
                for j, phase in enumerate(phases)
            ]
        return found

    def decorate(formula: F) -> F:
        is_class = inspect.isclass(formula)

        def begin(layout: Layout) -> Formula:
            made: Formula = formula(layout) if is_class else formula
            return made

        CATALOGUE.append(Quantity(name, unit, offers, begin, local, inspect.getdoc(formula) or ""))
        return formula

    return decorate


def _columns(layout: Layout, place: str, needs: Iterable[Need]) -> Columns | str:
    columns: list[int] = []
    for need in needs:
        found = need(layout, place)
        if isinstance(found, str):
            return found
        columns += found
    return tuple(dict.fromkeys(columns))


def derived(place: str, quantity: str, unit: str, phase: str = "") -> Channel:
    """The channel of a quantity: `R1:voltage_pu.A`, `L1:efficiency`."""
    name = f"{place}:{quantity}.{phase}" if phase else f"{place}:{quantity}"
    return Channel(name, quantity, unit, place, phase, derived=True)
