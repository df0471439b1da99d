"""One stream of a device: from bytes to data frames sorted by configuration, and what has to be asked for.

It does no input and output and looks at no clock: whoever holds the connection feeds it and sends what it
asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gridtop.synchrophasor.configuration import Fragments
from gridtop.synchrophasor.data import DataLayout, Readings
from gridtop.synchrophasor.frames import (
    CONFIGURATIONS,
    Command,
    FrameError,
    FrameKind,
    Head,
    Splitter,
    decode_header,
    head,
)
from gridtop.synchrophasor.pmus import Configuration
from gridtop.synchrophasor.statistics import StreamCounts
from gridtop.synchrophasor.status import CHANGE

Wanted = Literal["auto", "cfg1", "cfg2", "cfg3"]

MOST_WAITING_BYTES = 32 << 20
"""Of data frames that nobody has taken yet; beyond it the oldest are thrown away and counted."""

_FIRST = {
    "auto": Command.SEND_CFG2,
    "cfg1": Command.SEND_CFG1,
    "cfg2": Command.SEND_CFG2,
    "cfg3": Command.SEND_CFG3,
}


@dataclass(frozen=True, slots=True)
class Batch:
    """Data frames of one configuration that came one after the other over one connection.

    `arrivals` (n,) are what `receive` was told, and `connection` counts connections from 1.
    """

    layout: DataLayout
    frames: Sequence[bytes]
    arrivals: Sequence[float]
    connection: int

    def readings(self) -> Readings:
        """The frames decoded."""
        return self.layout.decode(self.frames)


class Stream:
    """What has come of the stream with an IDCODE.

    counts          what happened
    configuration   the one that data frames are read by, None before the first
    header          the text of the last header frame
    wishes          commands that should be sent to the device; whoever sends one takes it away
    data_arrival    when the last usable data frame came, None before the first of a connection

    `wanted` is the configuration frame to read data by; `auto` is CFG-2, and CFG-3 where the device has it.
    """

    def __init__(self, idcode: int, wanted: Wanted = "auto") -> None:
        self.idcode, self.wanted = idcode, wanted
        self.counts = StreamCounts()
        self.header = ""
        self.wishes: list[Command] = []
        self.data_arrival: float | None = None
        self._splitter = Splitter()
        self._fragments = Fragments()
        self._seen: dict[FrameKind, Configuration] = {}
        self._layout: DataLayout | None = None
        self._waiting: list[tuple[DataLayout, list[bytes], list[float], int]] = []
        self._waiting_bytes = 0
        self._changing: set[int] = set()  # PMUs that have announced a change

    @property
    def configuration(self) -> Configuration | None:
        """The configuration that data frames are read by."""
        return self._layout.configuration if self._layout is not None else None

    @property
    def seen(self) -> frozenset[FrameKind]:
        """The kinds of configuration frames that have come over this connection."""
        return frozenset(self._seen)

    @property
    def knows_all(self) -> bool:
        """Whether every configuration frame that is wanted has come; for `auto` that is CFG-3."""
        return self._layout is not None and (self.wanted != "auto" or FrameKind.CFG3 in self._seen)

    def begin(self) -> None:
        """A new connection: what was half received is void, and the device may be another by now."""
        self._splitter.forget()
        self._fragments = Fragments()
        self._seen.clear()
        self._changing.clear()
        self.data_arrival = None
        self.counts.connections += 1
        self.wishes = [_FIRST[self.wanted]]

    def receive(self, data: bytes, arrival: float, *, datagram: bool = False) -> None:
        """Take in bytes that came at `arrival`, on whatever clock; a datagram holds whole frames."""
        splitter, counts = self._splitter, self.counts
        counts.bytes += len(data)
        for frame in splitter.feed_datagram(data) if datagram else splitter.feed(data):
            first = head(frame)
            if first.idcode != self.idcode:
                counts.foreign += 1
            elif first.kind == FrameKind.DATA:
                self._take_data(frame, arrival)
            else:
                self._take_other(frame, first)
        counts.bad_crc, counts.skipped_bytes = splitter.bad_crc, splitter.skipped

    def take(self) -> list[Batch]:
        """The data frames that came since the last call."""
        batches = [Batch(*waiting) for waiting in self._waiting]
        self._waiting, self._waiting_bytes = [], 0
        return batches

    def look_for_change(self, readings: Readings) -> None:
        """Ask for the configuration where STAT's bit 10 has fallen: what it announced has happened."""
        announced = (readings.status & np.uint16(CHANGE)) != 0
        self._changing.update(np.flatnonzero(announced.any(axis=0)).tolist())
        fallen = self._changing.difference(np.flatnonzero(announced[-1:].any(axis=0)).tolist())
        if fallen:
            self._changing -= fallen
            self._wish(_FIRST[self.wanted])

    def _wish(self, command: Command) -> None:
        if command not in self.wishes:
            self.wishes.append(command)

    def _take_data(self, frame: bytes, arrival: float) -> None:
        layout, counts = self._layout, self.counts
        if layout is None or not self._seen:
            counts.unexpected += 1
            return
        if len(frame) != layout.size:
            counts.wrong_size += 1
            self._wish(_FIRST[self.wanted])
            return
        counts.frames += 1
        self.data_arrival = arrival
        connection = counts.connections
        if not self._waiting or self._waiting[-1][0] is not layout or self._waiting[-1][3] != connection:
            self._waiting.append((layout, [], [], connection))
        _, frames, arrivals, _ = self._waiting[-1]
        frames.append(frame)
        arrivals.append(arrival)
        self._waiting_bytes += len(frame)
        if self._waiting_bytes > MOST_WAITING_BYTES:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Throw away the older half of the first batch."""
        _, frames, arrivals, _ = self._waiting[0]
        half = (len(frames) + 1) // 2
        self._waiting_bytes -= sum(map(len, frames[:half]))
        self.counts.dropped += half
        del frames[:half], arrivals[:half]
        if not frames:
            del self._waiting[0]

    def _take_other(self, frame: bytes, first: Head) -> None:
        if first.kind in CONFIGURATIONS:
            try:
                configuration = self._fragments.add(frame)
            except FrameError:
                self.counts.bad_configurations += 1
                return
            if configuration is not None:
                self._take_configuration(configuration)
        elif first.kind == FrameKind.HEADER:
            self.header = decode_header(frame)
        else:
            self.counts.unexpected += 1

    def _take_configuration(self, new: Configuration) -> None:
        if self._seen.get(new.kind) == new:
            return
        if new.kind == FrameKind.CFG1 and self.wanted != "cfg1" and self._seen:
            return  # what the device could send, not what it does
        if new.kind == FrameKind.CFG2:
            long = self._seen.get(FrameKind.CFG3)
            if long is not None and FrameKind.CFG2 in self._seen:
                del self._seen[FrameKind.CFG3]  # what it said belongs to the one that is gone
        self._seen[new.kind] = new
        if new.kind == FrameKind.CFG2 and self.wanted == "cfg3" and FrameKind.CFG3 in self._seen:
            return
        if new.kind == FrameKind.CFG2 and self.wanted == "auto":
            self._wish(Command.SEND_CFG3)
        if self._layout is not None and self._layout.configuration == new:
            return
        if self._layout is not None and not _same_but_for_kind(self._layout.configuration, new):
            self.counts.configuration_changes += 1
        self._layout = DataLayout(new)


def _same_but_for_kind(one: Configuration, other: Configuration) -> bool:
    """Whether two configurations of different kinds may describe the same frames."""
    return one.kind != other.kind and [
        (pmu.idcode, pmu.size, len(pmu.phasors), pmu.change_count) for pmu in one.pmus
    ] == [(pmu.idcode, pmu.size, len(pmu.phasors), pmu.change_count) for pmu in other.pmus]
