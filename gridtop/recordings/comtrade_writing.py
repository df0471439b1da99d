"""Writes frames as a COMTRADE record (IEEE C37.111-2013): a CFG and a DAT, FLOAT32 unless told otherwise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block, Floats, Times
from gridtop.channels import Channel, ChannelSet
from gridtop.recordings.comtrade_header import FASTEST
from gridtop.recordings.writing import FrameWriter, replacing
from gridtop.text import clean

WrittenEncoding = Literal["FLOAT32", "ASCII", "BINARY"]

_MOST_STAMP = 0xFFFFFFFE
_MOST_COUNT = 32767
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass
class Outline:
    """What the head of a record needs to know of its frames, gathered in a first pass over them.

    Times are regular when every one is `first` + frame / rate, to the nanosecond.
    """

    channels: ChannelSet
    frames: int = 0
    first: np.datetime64 = field(default_factory=lambda: np.datetime64("NaT", "ns"))
    last: np.datetime64 = field(default_factory=lambda: np.datetime64("NaT", "ns"))
    _step: int = 0
    _regular: bool = True
    lows: Floats = field(init=False)
    highs: Floats = field(init=False)
    whole: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        self.lows = np.full(len(self.channels), np.inf)
        self.highs = np.full(len(self.channels), -np.inf)
        self.whole = np.ones(len(self.channels), dtype=bool)

    def add(self, block: Block) -> None:
        """Take the frames of the next block into account."""
        if not len(block):
            return
        if not self.frames:
            self.first = block.time[0]
        since = (block.time - self.first).astype(np.int64)
        self._step = math.gcd(self._step, int(np.gcd.reduce(since)))
        rate = self.channels.rate
        rows = np.arange(self.frames, self.frames + len(block))
        if rate is None or not np.array_equal(since, np.round(rows / rate * 1e9).astype(np.int64)):
            self._regular = False
        with np.errstate(invalid="ignore"):
            self.lows = np.fmin(self.lows, np.fmin.reduce(block.values, axis=0))
            self.highs = np.fmax(self.highs, np.fmax.reduce(block.values, axis=0))
        self.whole &= ((block.values == 0) | (block.values == 1)).all(axis=0)
        self.frames += len(block)
        self.last = block.time[-1]

    @property
    def rate(self) -> float:
        """Frames per second, 0 where the times are written down one by one."""
        rate = self.channels.rate
        return rate if self._regular and rate is not None and rate <= FASTEST else 0.0

    @property
    def stamp_nanoseconds(self) -> int:
        """What a time stamp counts: as exact as 32 bits allow."""
        if self.rate or self.frames < 2:
            return 1000
        span = int((self.last - self.first).astype(np.int64))
        exact = max(1, self._step)
        return exact if span // exact <= _MOST_STAMP else -(-span // _MOST_STAMP)

    @property
    def inexact_nanoseconds(self) -> int:
        """By how much the times can be off for want of bits; 0 when they are exact."""
        return 0 if self.rate or self._step % self.stamp_nanoseconds == 0 else self.stamp_nanoseconds // 2

    def is_status(self, column: int) -> bool:
        """Whether a channel is written as a status channel: it is one, and holds only 0 and 1."""
        channel = self.channels[column]
        return bool(self.whole[column]) and (
            channel.part == "status" or channel.quantity in ("status", "log")
        )


@contextmanager
def comtrade_writer(
    path: Path, outline: Outline, nominal: float, encoding: WrittenEncoding = "FLOAT32"
) -> Iterator[FrameWriter]:
    """Write the frames that `outline` has seen into `path` (.cfg) and the .dat beside it.

    `nominal` is the grid's frequency in Hz. Values are single precision in FLOAT32, exact in ASCII, and in
    BINARY one of 65,535 steps between the lowest and the highest of their channel.
    """
    with replacing(path) as head, replacing(path.with_suffix(".dat")) as data:
        writer = _Comtrade(data, outline, encoding)
        head.write(_configuration(outline, writer, nominal).encode("utf-8"))
        yield writer


class _Comtrade:
    def __init__(self, file: IO[bytes], outline: Outline, encoding: WrittenEncoding) -> None:
        self._file, self._outline, self.encoding = file, outline, encoding
        columns = range(len(outline.channels))
        self.statuses = [column for column in columns if outline.is_status(column)]
        self.analogs = [column for column in columns if column not in set(self.statuses)]
        if encoding == "BINARY":
            lows, highs = outline.lows[self.analogs], outline.highs[self.analogs]
            alive = np.isfinite(lows) & np.isfinite(highs)
            lows, highs = np.where(alive, lows, 0.0), np.where(alive, highs, 0.0)
            self.offsets = highs / 2 + lows / 2
            scales = (highs / 2 - lows / 2) / _MOST_COUNT
            self.scales = np.where(scales > 0, scales, 1.0)
        else:
            self.scales, self.offsets = np.ones(len(self.analogs)), np.zeros(len(self.analogs))
        self._written = 0

    def write(self, block: Block) -> None:
        """Append the frames of a block."""
        numbers = np.arange(self._written + 1, self._written + len(block) + 1)
        stamps = self._stamps(block.time, numbers)
        values = block.values[:, self.analogs] + 0.0
        statuses = block.values[:, self.statuses].astype(np.uint16)
        self._written += len(block)
        if self.encoding == "ASCII":
            self._write_lines(numbers, stamps, values, statuses)
            return
        words = -(-len(self.statuses) // 16)
        kind = "<f4" if self.encoding == "FLOAT32" else "<i2"
        records = np.zeros(
            len(block),
            dtype=[
                ("number", "<u4"), ("stamp", "<u4"), ("values", kind, (len(self.analogs),)),
                ("words", "<u2", (words,)),
            ],
        )  # fmt: skip
        records["number"], records["stamp"] = numbers, stamps
        if self.encoding == "FLOAT32":
            records["values"] = np.clip(values, -_LARGEST_FLOAT32, _LARGEST_FLOAT32)
        else:
            counts = np.round((values - self.offsets) / self.scales)
            records["values"] = np.where(
                np.isnan(values), -_MOST_COUNT - 1, np.clip(counts, -_MOST_COUNT, _MOST_COUNT)
            )
        for bit in range(len(self.statuses)):
            records["words"][:, bit // 16] |= statuses[:, bit] << np.uint16(bit % 16)
        self._file.write(records.tobytes())

    def _stamps(self, times: Times, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        since = (times - self._outline.first).astype(np.int64)
        unit = self._outline.stamp_nanoseconds
        stamps: npt.NDArray[np.int64] = (since + unit // 2) // unit
        if self._outline.rate:
            return np.minimum(stamps, _MOST_STAMP)  # not what tells the time
        return stamps

    def _write_lines(
        self, numbers: npt.NDArray[np.int64], stamps: npt.NDArray[np.int64], values: Floats,
        statuses: npt.NDArray[np.uint16],
    ) -> None:  # fmt: skip
        lines = []
        rows = zip(numbers.tolist(), stamps.tolist(), values.tolist(), statuses.tolist(), strict=True)
        for number, stamp, row, bits in rows:
            cells = ("" if value != value else repr(value) for value in row)
            lines.append(",".join([str(number), str(stamp), *cells, *map(str, bits)]))
        self._file.write("".join(f"{line}\r\n" for line in lines).encode("ascii"))


def _configuration(outline: Outline, writer: _Comtrade, nominal: float) -> str:
    channels = outline.channels
    # A reader takes the station for the terminal of a channel that names none.
    terminals = {channel.terminal for channel in channels}
    station = terminals.pop() if len(terminals) == 1 else ""
    analogs, statuses = writer.analogs, writer.statuses
    lines = [
        f"{_field(station)},gridtop,2013",
        f"{len(channels)},{len(analogs)}A,{len(statuses)}D",
    ]
    low, high = -_MOST_COUNT, _MOST_COUNT
    for number, column in enumerate(analogs, start=1):
        channel = channels[column]
        scale, offset = float(writer.scales[number - 1]), float(writer.offsets[number - 1])
        limits = (
            f"{low},{high}" if writer.encoding == "BINARY" else f"{_LARGEST_FLOAT32 * -1},{_LARGEST_FLOAT32}"
        )
        lines.append(
            f"{number},{_names(channel)},{_field(channel.unit)},{scale!r},{offset!r},0,{limits},1,1,P"
        )
    lines += [f"{number},{_names(channels[column])},0" for number, column in enumerate(statuses, start=1)]
    rate = outline.rate
    unit = outline.stamp_nanoseconds
    begin = _instant(outline.first if channels.clock == "utc" else np.datetime64("1970-01-01", "ns"))
    nine_digits = len(begin.rpartition(".")[2]) > 6
    lines += [
        f"{nominal:g}",
        "1" if rate else "0",
        f"{rate!r},{outline.frames}" if rate else f"0,{outline.frames}",
        begin, begin, writer.encoding,
        # A stamp counts nanoseconds where the start is given in them, else microseconds.
        f"{unit / (1 if nine_digits else 1000):.15g}",
        "0,0",
        "0,0",
    ]  # fmt: skip
    return "".join(f"{line}\r\n" for line in lines)


def _names(channel: Channel) -> str:
    return f"{_field(channel.name)},{_field(channel.phase)},{_field(channel.terminal)}"


def _field(text: str) -> str:
    """Text as a field of its own: a comma would begin another."""
    return clean(text.replace(",", ";")).strip()


def _instant(time: np.datetime64) -> str:
    """dd/mm/yyyy,hh:mm:ss.ssssss, with nine digits where six are not enough."""
    day, _, clock = str(time.astype("datetime64[ns]")).partition("T")
    year, month, of_month = day.split("-")
    seconds, _, fraction = clock.partition(".")
    fraction = fraction[:6] if fraction.endswith("000") else fraction
    return f"{of_month}/{month}/{year},{seconds}.{fraction}"
