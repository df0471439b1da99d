"""Data quality: counts the cells that carry no usable number, and says where unreadable ones begin."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from gridtop.blocks import Block, Quality
from gridtop.channels import ChannelSet
from gridtop.events import Event, event_id
from gridtop.text import clean

RULE = "data_quality"


class Found(NamedTuple):
    """Numbers of cells by what is wrong with them."""

    missing: int
    unreadable: int
    infinite: int


class DataQuality:
    """Counts of missing, unreadable and infinite cells of one pass.

    The first unreadable cell of each channel is an event: the device or the recording has a defect.
    Missing cells and infinities (the impedance of an open line) are ordinary and only counted.
    """

    def __init__(self, channels: ChannelSet, identity: str, pass_number: int) -> None:
        self._channels = channels
        self._identity = identity
        self._pass = pass_number
        self._told = np.zeros(len(channels), dtype=np.bool_)
        self._missing = self._unreadable = self._infinite = 0

    @property
    def told(self) -> tuple[str, ...]:
        """The channels whose first unreadable cell was told."""
        return tuple(name for name, told in zip(self._channels.names, self._told, strict=True) if told)

    def restore(self, told: Collection[str]) -> None:
        """Go on where an earlier run stopped that had told these."""
        self._told |= np.isin(self._channels.names, list(told))

    def take(self) -> Found:
        """What was counted since the last call."""
        found = Found(self._missing, self._unreadable, self._infinite)
        self._missing = self._unreadable = self._infinite = 0
        return found

    def process(self, block: Block) -> list[Event]:
        """Count a block's flags; the events in order of row and channel."""
        flags = block.quality
        if flags is None:
            return []
        found = np.bitwise_or.reduce(flags, axis=None)
        if found & Quality.MISSING:
            self._missing += int(np.count_nonzero(flags & Quality.MISSING))
        if found & Quality.INFINITE:
            self._infinite += int(np.count_nonzero(flags & Quality.INFINITE))
        if not found & Quality.UNREADABLE:
            return []
        unreadable = (flags & Quality.UNREADABLE) != 0
        self._unreadable += int(np.count_nonzero(unreadable))
        new = np.flatnonzero(unreadable.any(axis=0) & ~self._told)
        self._told[new] = True
        firsts = sorted((int(np.argmax(unreadable[:, column])), int(column)) for column in new)
        return [self._event(block, frame, column) for frame, column in firsts]

    def _event(self, block: Block, frame: int, column: int) -> Event:
        channel = self._channels[column]
        row = block.row + frame
        return Event(
            id=event_id(self._identity, self._pass, RULE, channel.name, "noticed", row),
            kind="data",
            transition="noticed",
            severity="warning",
            rule=RULE,
            message=f"{clean(channel.name)}: a cell is no number and counts as missing (told only once)",
            row=row,
            time=block.time[frame] if self._channels.clock == "utc" else None,
            channel=channel.name,
            quantity=channel.quantity,
            terminal=channel.terminal,
            phase=channel.phase,
            unit=channel.unit,
            pass_number=self._pass,
        )
