"""STAT words: what a phasor measurement unit says about its own values.

Bits of IEEE C37.118.2-2011, table 7:

    15-14  01 no information about the data; 10 test mode or filled in; 11 error: do not use
    13     not synchronised to UTC
    12     sorted by arrival, not by time
    8-6    time quality; 7 is worse than 10 ms, or unknown

The others are no defect: 11 is a trigger, 10 a coming change of configuration, 9 post-processing, 5-4 how
long the clock has been unlocked, 3-0 why a trigger came.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats, Quality
from gridtop.channels import Channel, ChannelSet

Bools = npt.NDArray[np.bool_]
Columns = npt.NDArray[np.intp]

MESSENGERS = ("status", "log", "label", "time", "digital")
"""Quantities that tell about measurements, or are none: no check doubts them."""

_LARGEST = 0xFFFF
_NO_INFORMATION, _DO_NOT_USE = 0x4000, 0x8000
_UNSYNCHRONISED, _BY_ARRIVAL = 0x2000, 0x1000
_TIME_QUALITY = 0x01C0
"""All three bits: 7, worse than 10 ms or unknown."""


class StatusWords:
    """The status words of a stream, and the columns that each speaks of: those of its terminal."""

    def __init__(self, channels: ChannelSet) -> None:
        words, self._values, self._angles = [], [], []
        for column, channel in enumerate(channels):
            if channel.quantity != "status":
                continue
            mine = [i for i, other in enumerate(channels) if _speaks_of(channel, other)]
            if mine:
                words.append(column)
                self._values.append(np.array(mine, dtype=np.intp))
                angles = [i for i in mine if _is_phasor_angle(channels[i])]
                self._angles.append(np.array(angles, dtype=np.intp))
        self._words = np.array(words, dtype=np.intp)

    def find(self, values: Floats) -> Iterator[tuple[Columns, Bools, Quality]]:
        """Of (n, c) values: columns (k,), the frames concerned (n,), and what is said of them there."""
        raw = values[:, self._words]
        whole = (raw >= 1) & (raw <= _LARGEST)
        if not whole.any():
            return
        words = np.where(whole & (raw == np.floor(raw)), raw, 0.0).astype(np.uint16)
        for i in np.flatnonzero(words.any(axis=0)):
            word = words[:, i]
            unusable = (word & _DO_NOT_USE) != 0
            unlocked = ((word & _UNSYNCHRONISED) != 0) | ((word & _TIME_QUALITY) == _TIME_QUALITY)
            for columns, frames, flag in (
                (self._values[i], unusable, Quality.BAD),
                (self._values[i], ~unusable & ((word & _NO_INFORMATION) != 0), Quality.SUSPECT),
                (self._values[i], (word & _BY_ARRIVAL) != 0, Quality.LATE),
                (self._angles[i], unlocked, Quality.UNSYNCHRONISED),
            ):
                if frames.any():
                    yield columns, frames, flag


def _speaks_of(word: Channel, other: Channel) -> bool:
    return other.terminal == word.terminal and other.quantity not in MESSENGERS and other.part != "status"


def _is_phasor_angle(channel: Channel) -> bool:
    """An angle against UTC; that of an impedance is one between two phasors of the same clock."""
    return channel.part == "angle" and channel.quantity != "impedance"
