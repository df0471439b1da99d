"""Derived quantities: series computed from channels by physics, ordinary channels from then on.

Only what a rule, a detector or a panel asks for is computed. docs/quantities.md lists them all.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gridtop.baseline import Baseline
from gridtop.blocks import Block, Flags, Floats
from gridtop.channels import Channel, ChannelSet, matches
from gridtop.quantities import (
    checks,
    clocks,
    condition,
    damping,
    departures,
    disturbances,
    harmonics,
    impedances,
    lines,
    oscillations,
    per_channel,
    powers,
    rates,
    sequences,
    stability,
    system,
)
from gridtop.quantities.catalogue import CATALOGUE, Formula, Offer
from gridtop.quantities.layout import EVERYWHERE, Layout
from gridtop.quantities.lineage import Chosen, Lineage
from gridtop.quantities.memory import Memory
from gridtop.quantities.work import Work
from gridtop.site import Site

__all__ = ["CATALOGUE", "Quantities"]
_ = (  # they fill the catalogue
    sequences,
    powers,
    impedances,
    checks,
    harmonics,
    lines,
    system,
    per_channel,
    disturbances,
    departures,
    clocks,
    condition,
    rates,
    stability,
    oscillations,
    damping,
)


_FRAMES_AT_A_TIME = 4096
"""Longer blocks are cut: what is in progress takes several times the memory of a block."""
_ROWS_AT_A_TIME = 16


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
        self._chosen: list[Chosen] = []
        for quantity in CATALOGUE:
            offers = tuple(o for o in quantity.offers(self._layout, []) if is_wanted(o.channel))
            if offers:
                self._chosen.append(Chosen(quantity, offers))
        self.channels = channels.extended(o.channel for chosen in self._chosen for o in chosen.offers)
        self._lineage = Lineage(len(channels), self._chosen)
        self.restart()

    def restart(self) -> None:
        """Begin a new pass: every window is empty."""
        self._formulas: list[Formula] = [chosen.quantity.begin(self._layout) for chosen in self._chosen]
        self._memory = Memory(self._layout)
        self._rows: Floats | None = None

    def afresh(self) -> Quantities:
        """The same quantities with windows of their own."""
        twin = object.__new__(Quantities)
        twin.missing, twin.channels = self.missing, self.channels
        twin._layout, twin._chosen, twin._lineage = self._layout, self._chosen, self._lineage
        twin.restart()
        return twin

    def extend(self, block: Block) -> Block:
        """The block with the derived channels behind its own.

        What was calculated from doubtful values says so; what could not be for want of a value is missing.
        """
        if not self._chosen:
            return block
        own = len(block.channels)
        values = np.empty((len(block), len(self.channels)))
        values[:, :own] = block.values
        quality: Flags | None = None
        if block.quality is not None:
            quality = np.zeros(values.shape, dtype=np.uint16)
            quality[:, :own] = block.quality
        for first in range(0, len(block), _FRAMES_AT_A_TIME):
            piece = slice(first, first + _FRAMES_AT_A_TIME)
            part = block if len(block) <= _FRAMES_AT_A_TIME else block.slice(piece.start, piece.stop)
            rows = self._derive(part)
            # A few rows at a time: what is written stays in the cache.
            for row in range(0, len(rows), _ROWS_AT_A_TIME):
                end = min(row + _ROWS_AT_A_TIME, len(rows))
                values[piece, own + row : own + end] = rows[row:end].T
            if quality is not None and part.quality is not None:
                self._lineage.mark(part.quality, rows, quality[piece, own:])
        return Block(self.channels, block.time, values, quality, block.labels, block.row)

    def _derive(self, block: Block) -> Floats:
        """(k, n) the derived values, until the next call."""
        frames = len(block)
        rows = self._room(frames)
        work = Work(self._layout, block, self._memory)
        done = 0
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            for formula, chosen in zip(self._formulas, self._chosen, strict=True):
                end = done + len(chosen.offers)
                rows[done:end] = formula(work).reshape(-1, frames)[chosen.rows]
                done = end
        # Also NaN itself: its sign depends on which instruction made it, and so on the size of a block.
        if not (finite := np.isfinite(rows)).all():
            np.putmask(rows, ~finite, np.nan)
        return rows

    def _room(self, frames: int) -> Floats:
        """(k, n) not filled; the same memory as before if it fits."""
        if self._rows is None or self._rows.shape[1] != frames:
            self._rows = np.empty((len(self.channels) - len(self._layout.channels), frames))
        return self._rows


def _narrowed(everything: Layout, wanted: Iterable[Offer]) -> Layout:
    """The layout of those terminals only that something wanted is computed from or compared with."""
    places: set[str] = set()
    for offer in wanted:
        if offer.channel.terminal == EVERYWHERE:
            return everything
        places |= {everything.channels[column].terminal for column in offer.columns}
        places |= everything.site.scope(offer.channel.terminal)
    # A terminal may be compared with the far end of its line and with its neighbours at the bus.
    groups = [*(line.ends for line in everything.lines.values()), *everything.buses.values()]
    compared = {place for group in groups if not places.isdisjoint(group) for place in group}
    return Layout(everything.channels, everything.site, everything.baseline, sorted(places | compared))
