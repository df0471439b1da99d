"""The quality checks: a block of measurements comes in and goes out with flags on its doubtful values."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block, Flags, Floats, Quality
from gridtop.channels import ChannelSet
from gridtop.quality.flatline import Flatline
from gridtop.quality.plausibility import Plausibility, Terminals
from gridtop.quality.repetition import RepeatedFrames
from gridtop.quality.settings import QualitySettings
from gridtop.quality.status_words import StatusWords
from gridtop.site import Site


class QualityChecks:
    """Checks the blocks of one pass, which follow each other without a break.

    Values are never changed, except that those which are not to be used become NaN. However the stream is cut
    into blocks, every value gets the same flags.
    """

    def __init__(self, channels: ChannelSet, site: Site, settings: QualitySettings) -> None:
        plausible = settings.plausible
        self._status_words = StatusWords(channels) if settings.status_words else None
        self._plausibility = Plausibility(channels, site, plausible)
        self._terminals = Terminals(channels, site, plausible)
        self._repeated = RepeatedFrames(channels) if settings.repeated_frames else None
        self._flatline = Flatline(channels, settings.flatline)

    def check(self, block: Block) -> Block:
        """The next block of the pass with its flags; the very same one when there is nothing to add."""
        sheet = _Sheet(block)
        if self._status_words is not None:
            for columns, frames, flag in self._status_words.find(block.values):
                sheet.add(columns, frames[:, np.newaxis], flag)
        implausible = self._plausibility.find(block.values)
        if implausible is not None:
            sheet.add(*implausible, Quality.OUT_OF_RANGE)
            for columns, frames in self._terminals.absent(block.values, implausible[0]):
                sheet.add(columns, frames[:, np.newaxis], Quality.BAD)
        values = sheet.without_bad_values()
        for columns, frames in self._terminals.dead(values):
            sheet.add(columns, frames[:, np.newaxis] & ~np.isnan(values[:, columns]), Quality.SUSPECT)
        if self._repeated is not None:
            for columns, frames in self._repeated.find(values):
                sheet.add(columns, frames[:, np.newaxis] & ~np.isnan(values[:, columns]), Quality.LATE)
        flat = self._flatline.find(block.row, values)
        if flat is not None:
            sheet.add(*flat, Quality.FLATLINE)
        return sheet.block()


class _Sheet:
    """The flags of one block while they are gathered; nothing is copied before there is something to note."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._values = block.values
        self._flags: Flags | None = None
        self._bad = False

    def add(self, columns: npt.NDArray[np.intp], where: npt.NDArray[np.bool_], flag: Quality) -> None:
        """Set a flag in `columns` (k,) `where` (n, k) or, for all of them alike, (n, 1) says so."""
        if self._flags is None:
            quality = self._block.quality
            self._flags = np.zeros(self._values.shape, np.uint16) if quality is None else quality.copy()
        self._flags[:, columns] |= np.where(where, np.uint16(flag), np.uint16(0))
        self._bad |= flag == Quality.BAD

    def without_bad_values(self) -> Floats:
        """(n, c) the values, NaN where they are not to be used."""
        if self._bad and self._flags is not None:
            bad = (self._flags & Quality.BAD) != 0
            self._values = np.where(bad, np.nan, self._values)
            # What is not to be used needs no further reason.
            self._flags[bad] &= ~np.uint16(Quality.OUT_OF_RANGE)
        return self._values

    def block(self) -> Block:
        """The block with its flags."""
        if self._flags is None:
            return self._block
        block = self._block
        return Block(block.channels, block.time, self._values, self._flags, block.labels, block.row)
