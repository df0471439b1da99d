"""The data of a COMTRADE record (DAT): any run of samples as arrays, in bounded memory, and their times."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Flags, Floats, Quality
from gridtop.errors import SourceError
from gridtop.recordings.comtrade_header import Header
from gridtop.recordings.tables import number
from gridtop.text import clean

Rows = npt.NDArray[np.int64]

_PIECE_BYTES = 256 << 10
_PADDING = b"\x1a\x00 \t\r\n"
_MISSING_TEXT = b"99999"
"""Stands for no value since 1999, where 99999.0 is a number."""
_LONGEST_LINE_BYTES = 16 << 20
_LARGEST_FLOAT32 = 3.4028234e38
"""Stands for no value in FLOAT32 files of some makers."""
_NO_STAMP = 0xFFFFFFFF
_BINARY_TYPES = {"BINARY": "<i2", "BINARY32": "<i4", "FLOAT32": "<f4"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where data lie: in a file of their own, or in a part of a .cff, whose first line is number `line`."""

    path: Path
    shown: str
    offset: int = 0
    size: int | None = None
    line: int = 1


@dataclass(frozen=True, slots=True)
class Samples:
    """n consecutive samples, the first being number `row` from 0.

    values    (n, a) analog values in the unit of the CFG, primary side, NaN where there is none
    flags     (n, a) `Quality` flags of `values`, or None when all are good
    statuses  (n, d) 0, 1, or NaN where there is none
    problem   what ends the samples here, if not the end of the request
    """

    row: int
    values: Floats
    flags: Flags | None
    statuses: Floats
    problem: SourceError | None = None

    def __len__(self) -> int:
        return len(self.values)


class Data:
    """The samples of a record: `count` of them are there, and `problem` says why there are not more.

    Raises SourceError, here and from every method, when the file cannot be read.
    """

    count: int
    problem: SourceError | None

    def __init__(self, place: Place, header: Header) -> None:
        self._place = place
        self.shown = place.shown
        self._header = header
        self._scales = np.array([channel.scale for channel in header.analogs])
        self._offsets = np.array([channel.offset for channel in header.analogs])
        self._ratios = np.array([channel.ratio for channel in header.analogs])
        self.problem = None
        try:
            there = place.path.stat().st_size - place.offset
            self._size = there if place.size is None else min(there, place.size)
        except OSError as error:
            raise SourceError(f"{place.shown}: {error.strerror or error}") from None

    def read(self, start: int, stop: int) -> Samples:
        """The samples from `start` up to `stop`; fewer when a problem comes first."""
        raise NotImplementedError

    def stamps(self) -> tuple[npt.NDArray[np.int64], SourceError | None]:
        """The time stamps of all samples, and what is wrong behind them."""
        raise NotImplementedError

    def _bytes(self, offset: int, size: int) -> bytes:
        try:
            with self._place.path.open("rb") as file:
                file.seek(self._place.offset + offset)
                return file.read(min(size, max(0, self._size - offset)))
        except OSError as error:
            raise SourceError(f"{self._place.shown}: {error.strerror or error}") from None

    def _end_of_data(self) -> int:
        """The size without the padding at the end."""
        end = self._size
        while end > 0:
            begin = max(0, end - _PIECE_BYTES)
            piece = self._bytes(begin, end - begin).rstrip(_PADDING)
            if piece:
                return begin + len(piece)
            end = begin
        return 0

    def _claim(self, there: int, why: str) -> None:
        """Settle how many samples there are, and the problem when the CFG claims more."""
        self.count = there
        if not there:
            raise SourceError(f"{self._place.shown}: there is no sample in it")
        claimed = self._header.samples
        if claimed is not None and claimed > there:
            self.problem = SourceError(
                f"{self._place.shown}: {why} after sample {there}, {self._header.shown} says {claimed}; "
                "the rest of the record is lost"
            )

    def _samples(
        self, row: int, values: Floats, statuses: Floats, flags: Flags | None, problem: SourceError | None
    ) -> Samples:
        """The samples of (n, a) raw values, whose missing ones are NaN already."""
        with np.errstate(over="ignore", invalid="ignore"):  # infinities are sorted out below
            values = values * self._scales
            values += self._offsets
            values *= self._ratios
        values += 0.0
        if not np.isfinite(values).all():
            flags = np.zeros(values.shape, dtype=np.uint16) if flags is None else flags
            flags[np.isnan(values) & (flags == 0)] = Quality.MISSING
            infinite = np.isinf(values)
            flags[infinite] = Quality.INFINITE
            values[infinite] = np.nan
        return Samples(row, values, flags, statuses, problem)


def open_data(place: Place, header: Header) -> Data:
    """The data of a record, as its header says they are encoded."""
    return AsciiData(place, header) if header.encoding == "ASCII" else BinaryData(place, header)


class BinaryData(Data):
    """BINARY, BINARY32 and FLOAT32: records of one size, little-endian."""

    def __init__(self, place: Place, header: Header) -> None:
        super().__init__(place, header)
        words = -(-len(header.digitals) // 16)
        analog = np.dtype(_BINARY_TYPES[header.encoding])
        # The size first: a hostile number of channels must not become memory.
        size = 8 + analog.itemsize * len(header.analogs) + 2 * words
        self._type = np.dtype(
            [
                ("number", "<u4"),
                ("stamp", "<u4"),
                ("values", analog, (len(header.analogs),)),
                ("words", "<u2", (words,)),
            ]
        )
        there, claimed = self._size // size, header.samples
        cut = bool(self._bytes(there * size, size).strip(_PADDING))
        if claimed is not None and there > claimed and not self._goes_on(claimed):
            there, cut = claimed, False
        self._claim(there, "the file is cut off" if cut else "the file ends")
        if cut and self.problem is None:
            self.problem = SourceError(f"{place.shown}: the file is cut off within sample {there + 1}")

    def read(self, start: int, stop: int) -> Samples:
        """The samples from `start` up to `stop`; fewer when the file has shrunk."""
        stop = min(stop, self.count)
        records = self._records(start, stop)
        raw = records["values"]
        values = raw.astype(np.float64)
        if self._header.encoding == "FLOAT32":
            values[np.abs(values) >= _LARGEST_FLOAT32] = np.where(
                np.isinf(values[np.abs(values) >= _LARGEST_FLOAT32]), np.inf, np.nan
            )
        else:
            missing = raw == np.iinfo(raw.dtype).min
            if self._header.revision == 1991:
                # FFFF marks a missing value there, unless -1 is within the channel's range.
                lows = np.array([channel.low for channel in self._header.analogs])
                missing |= (raw == -1) & (lows > -1)
            values[missing] = np.nan
        problem = None
        if len(records) < stop - start:
            problem = SourceError(f"{self._place.shown}: the file ends after sample {start + len(records)}")
        return self._samples(start, values, self._bits(records["words"]), None, problem)

    def stamps(self) -> tuple[npt.NDArray[np.int64], SourceError | None]:
        """The time stamps of all samples; a counter that ran over is carried on."""
        stamps = np.empty(self.count, dtype=np.int64)
        step = max(1, (4 << 20) // self._type.itemsize)
        for start in range(0, self.count, step):
            records = self._records(start, min(self.count, start + step))
            stamps[start : start + len(records)] = records["stamp"]
        if (missing := np.flatnonzero(stamps == _NO_STAMP)).size:
            first = int(missing[0])
            problem = SourceError(
                f"{self._place.shown}: sample {first + 1} has no time stamp, "
                f"and {self._header.shown} gives no rate"
            )
            return stamps[:first], problem
        wraps = np.cumsum(np.diff(stamps, prepend=stamps[:1]) < -(1 << 31))
        return stamps + (wraps << 32), None

    def _records(self, start: int, stop: int) -> npt.NDArray[np.void]:
        size = self._type.itemsize
        data = self._bytes(start * size, (stop - start) * size)
        return np.frombuffer(data, dtype=self._type, count=len(data) // size)

    def _goes_on(self, claimed: int) -> bool:
        """Whether the samples behind the claimed last one are numbered on."""
        if not claimed:
            return True
        numbers = self._records(claimed - 1, claimed + 1)["number"].astype(np.int64)
        return len(numbers) == 2 and int(numbers[1]) == int(numbers[0]) + 1

    def _bits(self, words: npt.NDArray[np.uint16]) -> Floats:
        channels = np.arange(len(self._header.digitals))
        bits: Floats = ((words[:, channels // 16] >> (channels % 16).astype(np.uint16)) & 1).astype(
            np.float64
        )
        return bits


class AsciiData(Data):
    """ASCII: one line a sample. The lines are counted when it is opened, so that any sample is found."""

    def __init__(self, place: Place, header: Header) -> None:
        super().__init__(place, header)
        self._size = self._end_of_data()
        self._line_end = b"\n" if b"\n" in self._bytes(0, 64 << 10) else b"\r"
        self._cells = 2 + len(header.analogs) + len(header.digitals)
        self._rows: list[int] = []
        self._places: list[tuple[int, int]] = []
        """Of each piece the number of its first sample; its first byte and line."""
        rows, line = 0, place.line
        for offset, text in self._pieces():
            self._rows.append(rows)
            self._places.append((offset, line))
            rows += sum(1 for _ in self._lines(text, 0))
            line += text.count(self._line_end)
        claimed = header.samples
        if claimed is not None and rows > claimed > 0:
            edge = [cells[0] for _, cells in self._split(claimed - 1, claimed + 1)]
            if not (edge[0].isdigit() and edge[1].isdigit() and int(edge[1]) == int(edge[0]) + 1):
                rows = claimed
        self._claim(rows, "the file ends")

    def read(self, start: int, stop: int) -> Samples:
        """The samples from `start` up to `stop`; fewer when a line is not one."""
        analogs = len(self._header.analogs)
        rows: list[list[bytes]] = []
        problem = None
        for line, cells in self._split(start, min(stop, self.count)):
            if len(cells) > self._cells and not b"".join(cells[self._cells :]).strip(_PADDING):
                cells = cells[: self._cells]  # separators at the end of the line
            if len(cells) != self._cells:
                problem = SourceError(
                    f"{self._place.shown}: line {line} (sample {start + len(rows) + 1}): {len(cells)} "
                    f"values, {self._header.shown} describes {self._cells}"
                )
                break
            rows.append(cells)
        values = np.empty((len(rows), self._cells - 2))
        flags: Flags | None = None
        try:
            values[:] = (
                np.array([row[2:] for row in rows], dtype=bytes).astype(np.float64).reshape(values.shape)
            )
        except ValueError:  # blanks, or text that is no number
            flags = np.zeros(values.shape, dtype=np.uint16)
            for i, row in enumerate(rows):
                for k, cell in enumerate(row[2:]):
                    read = number(cell.decode("latin-1"))
                    values[i, k] = np.nan if read is None else read
                    flags[i, k] = Quality.UNREADABLE if read is None else 0
        raw, statuses = values[:, :analogs], values[:, analogs:]
        for i, k in np.argwhere(raw == float(_MISSING_TEXT)):
            raw[i, k] = np.nan if rows[i][k + 2] == _MISSING_TEXT else raw[i, k]
        statuses[~((statuses == 0) | (statuses == 1))] = np.nan
        return self._samples(start, raw, statuses, None if flags is None else flags[:, :analogs], problem)

    def stamps(self) -> tuple[npt.NDArray[np.int64], SourceError | None]:
        """The time stamps of all samples."""
        stamps: list[int] = []
        for line, cells in self._split(0, self.count):
            read = number(cells[1].decode("latin-1")) if len(cells) > 1 else None
            if read is None or not abs(read) < 1e18:
                told = clean(cells[1].decode("latin-1").strip()) if len(cells) > 1 else ""
                return np.array(stamps, dtype=np.int64), SourceError(
                    f"{self._place.shown}: line {line} (sample {len(stamps) + 1}): {told!r} is no time "
                    f"stamp, and {self._header.shown} gives no sampling rate; write the rate there"
                )
            stamps.append(int(read))
        return np.array(stamps, dtype=np.int64), None

    def _pieces(self) -> Iterator[tuple[int, bytes]]:
        """The text in pieces of whole lines, each with its first byte."""
        offset, rest = 0, b""
        while offset + len(rest) < self._size:
            more = self._bytes(offset + len(rest), _PIECE_BYTES)
            text = rest + more
            end = text.rfind(self._line_end) + 1
            if not more or offset + len(text) >= self._size:
                end = len(text)
            if not end and len(text) > _LONGEST_LINE_BYTES:
                raise SourceError(f"{self._place.shown}: a line of over 16 MiB; this is not ASCII data")
            if end:
                yield offset, text[:end]
                offset += end
            rest = text[end:]
            if not more:
                return

    def _lines(self, text: bytes, line: int) -> Iterator[tuple[int, bytes]]:
        for at, content in enumerate(text.split(self._line_end), start=line):
            if content := content.strip(_PADDING):
                yield at, content

    def _split(self, start: int, stop: int) -> Iterator[tuple[int, list[bytes]]]:
        """The line number and the cells of each sample from `start` up to `stop`."""
        if stop <= start:
            return
        piece = bisect_right(self._rows, start) - 1
        row = self._rows[piece]
        for index in range(piece, len(self._rows)):
            offset, line = self._places[index]
            end = self._places[index + 1][0] if index + 1 < len(self._places) else self._size
            for at, content in self._lines(self._bytes(offset, end - offset), line):
                if row >= stop:
                    return
                if row >= start:
                    yield at, [cell.strip(b" \t") for cell in content.split(b",")]
                row += 1
