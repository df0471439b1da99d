"""Derived quantities: series computed from channels by physics, ordinary channels from then on.

Only what a rule, a detector or a panel asks for is computed. docs/quantities.md lists them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.baseline import Baseline
from gridtop.blocks import DOUBTFUL, NO_VALUE, Block, Flags, Floats, Quality
from gridtop.channels import Channel, ChannelSet, matches
from gridtop.quantities import per_channel, terminals
from gridtop.quantities.catalogue import CATALOGUE, Formula, Offer, Quantity
from gridtop.quantities.layout import EVERYWHERE, Index, Layout
from gridtop.quantities.work import Work
from gridtop.site import Site

__all__ = ["CATALOGUE", "Quantities"]
_ = (per_channel, terminals)  # they fill the catalogue


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What is wanted of one quantity."""

    quantity: Quantity
    offers: tuple[Offer, ...]
    rows: Index


class Quantities:
    """Adds the wanted quantities to blocks.

    Knows `channels`, the channels of the blocks it gives: those of the recording and the derived ones
    behind them; and `missing`, one line for each quantity that could not be had, with the reason. Blocks
    follow each other without a break until `restart`.
    """

    def __init__(
        self,
        channels: ChannelSet,
        site: Site,
        wanted: Iterable[str] = ("*:*",),
        baseline: Baseline | None = None,
    ) -> None:
        patterns = tuple(pattern for pattern in wanted if not pattern.startswith("!"))
        taken = set(channels.names)

        def is_wanted(channel: Channel) -> bool:
            return channel.name not in taken and any(matches(channel, pattern) for pattern in patterns)

        everything = Layout(channels, site, baseline)
        missing: list[str] = []
        offered = [offer for quantity in CATALOGUE for offer in quantity.offers(everything, missing)]
        self.missing = tuple(dict.fromkeys(missing))
        self._layout = _narrowed(everything, [offer for offer in offered if is_wanted(offer.channel)])
        self._chosen: list[_Chosen] = []
        for quantity in CATALOGUE:
            offers = tuple(o for o in quantity.offers(self._layout, []) if is_wanted(o.channel))
            if offers:
                rows = np.array([offer.row for offer in offers], dtype=np.intp)
                self._chosen.append(_Chosen(quantity, offers, rows))
        self.channels = channels.extended(o.channel for chosen in self._chosen for o in chosen.offers)
        self.restart()

    def restart(self) -> None:
        """Begin a new pass: every window is empty."""
        self._formulas: list[Formula] = [chosen.quantity.begin(self._layout) for chosen in self._chosen]

    def afresh(self) -> Quantities:
        """The same quantities with windows of their own."""
        twin = object.__new__(Quantities)
        twin.missing, twin.channels = self.missing, self.channels
        twin._layout, twin._chosen = self._layout, self._chosen
        twin.restart()
        return twin

    def extend(self, block: Block) -> Block:
        """The block with the derived channels behind its own.

        What was calculated from doubtful values says so; what could not be for want of a value is missing.
        """
        if not self._chosen:
            return block
        work = Work(self._layout, block)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            results = [
                formula(work).reshape(-1, len(block))[chosen.rows]
                for formula, chosen in zip(self._formulas, self._chosen, strict=True)
            ]
        rows: Floats = np.concatenate(results)
        rows[~np.isfinite(rows)] = np.nan
        values = np.hstack((block.values, rows.T))
        quality = block.quality
        if quality is not None:
            quality = np.hstack((quality, self._quality(quality, rows)))
        return Block(self.channels, block.time, values, quality, block.labels, block.row)

    def _quality(self, quality: Flags, rows: Floats) -> Flags:
        """(n, k) the flags of the derived values (k, n), from those of what they were calculated from."""
        flags = np.zeros(rows.shape[::-1], dtype=np.uint16)
        flagged = set(np.flatnonzero(quality.any(axis=0)).tolist())
        column = 0
        for chosen in self._chosen:
            tolerated = Quality.UNSYNCHRONISED if chosen.quantity.local else Quality(0)
            doubtful = np.uint16(DOUBTFUL & ~tolerated)
            for offer in chosen.offers:
                if inputs := [at for at in offer.columns if at in flagged]:
                    seen = np.bitwise_or.reduce(quality[:, inputs], axis=1)
                    flags[:, column] = _derived(seen, doubtful, np.isnan(rows[column]))
                column += 1
        return flags


def _derived(seen: Flags, doubtful: np.uint16, absent: npt.NDArray[np.bool_]) -> Flags:
    """(n,) the flags of one derived channel from all those of its inputs."""
    calculated = np.where(seen & doubtful, np.uint16(Quality.CALCULATED), np.uint16(0))
    lacking = absent & ((seen & np.uint16(NO_VALUE)) != 0)
    return np.where(lacking, np.uint16(Quality.MISSING), calculated)


def _narrowed(everything: Layout, wanted: Iterable[Offer]) -> Layout:
    """The layout of those terminals only that something wanted is computed from."""
    places: set[str] = set()
    for offer in wanted:
        if offer.channel.terminal == EVERYWHERE:
            return everything
        places |= {everything.channels[column].terminal for column in offer.columns}
        places |= everything.site.scope(offer.channel.terminal)
    return Layout(everything.channels, everything.site, everything.baseline, sorted(places))
