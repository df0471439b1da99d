"""Derived quantities: series computed from channels by physics, ordinary channels from then on.

Only what a rule, a detector or a panel asks for is computed. docs/quantities.md lists them all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block, Floats
from gridtop.channels import Channel, ChannelSet, matches
from gridtop.site import Site

_LINE_TO_NEUTRAL = {"A", "B", "C"}
_LINE_TO_LINE = {"AB", "BC", "CA"}


@dataclass(frozen=True, slots=True)
class Derivation:
    """Channels that one formula gives, and the columns it needs.

    `formula` turns the values of `columns` (n, k) into those of `channels` (n, k).
    """

    channels: tuple[Channel, ...]
    columns: tuple[int, ...]
    formula: Callable[[Floats], Floats]

    def only(self, wanted: Callable[[Channel], bool]) -> Derivation | None:
        """The part of this derivation that is wanted, or None."""
        chosen = [i for i, channel in enumerate(self.channels) if wanted(channel)]
        if not chosen:
            return None
        formula = self.formula
        if isinstance(formula, partial) and isinstance(formula.args[0], np.ndarray):
            formula = partial(formula.func, formula.args[0][chosen])
        return Derivation(
            tuple(self.channels[i] for i in chosen), tuple(self.columns[i] for i in chosen), formula
        )


@dataclass(slots=True)
class _Available:
    """What the channels and the site allow, and why something is not among it."""

    derivations: list[Derivation] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def _ratio(base: npt.NDArray[np.float64], values: Floats) -> Floats:
    result: Floats = values / base
    return result


def _difference(base: npt.NDArray[np.float64], values: Floats) -> Floats:
    result: Floats = values - base
    return result


def voltage_pu(channels: ChannelSet, site: Site, available: _Available) -> None:
    """`R1:voltage_pu.A` in pu: magnitude of the phase voltage / its nominal value.

    Phases A, B, C are measured line to neutral and compared with U_n / sqrt(3), phases AB, BC, CA line
    to line and compared with U_n; a channel without a phase must say which (`reference:`). Sequence
    components are no phase voltages and have quantities of their own.
    Source: per-unit system, IEEE Std 3002.2 clause 4; the factor sqrt(3) is the commonest error in
    PMU data, which is why no guess is made.
    """
    made: list[tuple[Channel, int, float]] = []
    nominal = site.nominal
    for column, channel in enumerate(channels):
        if channel.quantity != "voltage" or channel.part == "angle" or channel.phase in ("+", "-", "0"):
            continue
        if channel.unit == "pu":
            base: float | None = 1.0
        elif channel.reference == "line_to_line" or channel.phase in _LINE_TO_LINE:
            base = nominal.line_to_line
        elif channel.reference == "line_to_neutral" or channel.phase in _LINE_TO_NEUTRAL:
            base = nominal.line_to_neutral
        else:
            available.missing.append(
                f"voltage_pu of {channel.name}: is it measured line to line or line to neutral? Say so under "
                "channels: (reference: line_to_line)"
            )
            continue
        if base is None:
            available.missing.append(f"voltage_pu of {channel.name}: site.nominal.voltage_ll is not given")
            continue
        made.append((_derived(channel, "voltage_pu", "pu"), column, base))
    _add(available, made, _ratio)


def frequency_deviation(channels: ChannelSet, site: Site, available: _Available) -> None:
    """`R1:frequency_deviation` in Hz: measured minus nominal frequency (IEC/IEEE 60255-118-1, f - f0)."""
    made = [
        (_derived(channel, "frequency_deviation", "Hz"), column, site.frequency)
        for column, channel in enumerate(channels)
        if channel.quantity == "frequency"
    ]
    _add(available, made, _difference)


QUANTITIES = (voltage_pu, frequency_deviation)
"""Every quantity there is, each a function that adds what the channels and the site allow."""


class Quantities:
    """Adds the wanted quantities to blocks.

    Knows `channels`, the channels of the blocks it gives: those of the recording and the derived ones
    behind them; and `missing`, one line for each quantity that could not be had, with the reason.
    """

    def __init__(self, channels: ChannelSet, site: Site, wanted: Iterable[str] = ("*:*",)) -> None:
        patterns = tuple(pattern for pattern in wanted if not pattern.startswith("!"))
        available = _Available()
        for quantity in QUANTITIES:
            quantity(channels, site, available)
        taken = set(channels.names)

        def is_wanted(channel: Channel) -> bool:
            return channel.name not in taken and any(matches(channel, pattern) for pattern in patterns)

        chosen = (derivation.only(is_wanted) for derivation in available.derivations)
        self._derivations = tuple(derivation for derivation in chosen if derivation is not None)
        self.missing = tuple(available.missing)
        self.channels = channels.extended(c for derivation in self._derivations for c in derivation.channels)

    def extend(self, block: Block) -> Block:
        """The block with the derived channels behind its own; their quality is that of their inputs."""
        if not self._derivations:
            return block
        values = [block.values, *(d.formula(block.values[:, d.columns]) for d in self._derivations)]
        quality = block.quality
        if quality is not None:
            quality = np.hstack([quality, *(quality[:, d.columns] for d in self._derivations)])
        return Block(self.channels, block.time, np.hstack(values), quality, block.labels, block.row)


def _derived(channel: Channel, quantity: str, unit: str) -> Channel:
    place = channel.terminal or channel.name
    name = f"{place}:{quantity}.{channel.phase}" if channel.phase else f"{place}:{quantity}"
    return Channel(name, quantity, unit, place, channel.phase, derived=True)


def _add(
    available: _Available,
    made: list[tuple[Channel, int, float]],
    formula: Callable[[npt.NDArray[np.float64], Floats], Floats],
) -> None:
    """Note one derivation for all channels of a quantity; of two channels of one name the first counts."""
    unique = {channel.name: (channel, column, base) for channel, column, base in reversed(made)}
    rows = sorted(unique.values(), key=lambda row: row[1])
    if len(rows) < len(made):
        twice = sorted(
            {channel.name for channel, _, _ in made if sum(channel.name == c.name for c, _, _ in made) > 1}
        )
        available.missing.append(
            f"{', '.join(twice)}: several channels have this terminal and phase; the first counts"
        )
    if rows:
        channels, columns, bases = zip(*rows, strict=True)
        available.derivations.append(Derivation(channels, columns, partial(formula, np.array(bases))))
