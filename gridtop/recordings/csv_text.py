"""CSV as text: the names of the columns, pieces of whole rows, plain or gzip, and the cells in them."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np

from gridtop.errors import SourceError
from gridtop.recordings.tables import number
from gridtop.recordings.timestamps import times_from_text
from gridtop.text import clean

_LONGEST_ROW_BYTES = 16 << 20
_HEADER_BYTES = 1 << 16
_GZIP_MAGIC = b"\x1f\x8b"
_UTF_8_MARK = b"\xef\xbb\xbf"
_FOREIGN = {b"PK\x03\x04": "a ZIP or Excel file", b"\xff\xfe": "UTF-16 text", b"\xfe\xff": "UTF-16 text"}
_BLANKS = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a row begins: its number from 0, its byte in the unpacked text, its line from 1."""

    row: int
    offset: int
    line: int

    def after(self, text: bytes) -> Mark:
        """Where `text` ends that begins here; its rows are counted elsewhere."""
        return replace(self, offset=self.offset + len(text), line=self.line + count_of(b"\n", text))


class _MoreText(Exception):
    """The text ends inside a row."""


class HeaderMissingError(SourceError):
    """The first line of a file holds values, not names; `cells` are those values."""

    def __init__(self, message: str, cells: Sequence[str]) -> None:
        super().__init__(message)
        self.cells = tuple(cells)


class CsvText:
    """The text of a CSV file whose first line has been read.

    `names` are the cells of the header, or the `columns` given for a file that has none: then its first line
    is a row. `delimiter` is what stands between cells, `body` where the rows begin, `shown` how messages call
    the file. Raises SourceError, here and from every method, when the file is damaged or is not a table;
    HeaderMissingError when it has no header and no `columns` are given.
    """

    def __init__(self, path: Path, columns: Sequence[str] | None = None) -> None:
        self.shown = clean(path.name)
        self._columns = columns
        self.delimiter = ","
        self._path = path
        with path.open("rb") as file:
            self._packed = file.read(2) == _GZIP_MAGIC
        self.names, self.body = self._read_first_line()
        count = len(self.names)
        self.told_width = f"the header has {count}" if columns is None else _told(columns)
        """How messages say how many cells a row should have."""

    def pieces(self, mark: Mark, size: int) -> Iterator[tuple[Mark, Mark, bytes]]:
        """Pieces of whole rows: where each begins and ends (the caller counts the rows), and its text."""
        with self._opened(mark) as stream:
            rest = b""
            while text := rest + (more := stream.read(size)):
                if (nul := text.find(b"\0")) >= 0:
                    line = mark.line + text.count(b"\n", 0, nul)
                    raise SourceError(f"{self.shown}: line {line}: a NUL byte; this is not a CSV file")
                end = self._whole_rows(text, mark.line) if more else len(text)
                if not end and len(text) > _LONGEST_ROW_BYTES:
                    raise SourceError(
                        f"{self.shown}: line {mark.line}: the row does not end within "
                        f"{_LONGEST_ROW_BYTES >> 20} MiB; not a CSV file, or a quotation mark is not closed"
                    )
                piece, rest = text[:end], text[end:]
                if piece:
                    end_mark = mark.after(piece)
                    yield mark, end_mark, piece
                    mark = end_mark

    def rows(self, text: bytes, line: int, more: bool = False) -> Iterator[tuple[int, int, list[str]]]:
        """Each row as the csv module splits it: the line it begins on, the lines used up so far, its cells.

        With `more` text to come, a row that the end leaves open is kept back. Blank lines are no rows.
        """
        used = 0
        reader = csv.reader(_decoded_lines(text, more), delimiter=self.delimiter)
        try:
            for cells in reader:
                blank = not cells or (len(cells) == 1 and cells[0] != "" and not cells[0].strip(_BLANKS))
                if not blank:
                    yield line + used, reader.line_num, cells
                used = reader.line_num
        except _MoreText:
            return
        except csv.Error as error:
            hint = "is a quotation mark not closed?"
            raise SourceError(f"{self.shown}: line {line + used}: {error}; {hint}") from None

    def edges(self, text: bytes) -> tuple[int, Sequence[str], Sequence[str]]:
        """The number of rows in a piece, and the cells of its first and its last row."""
        if b'"' in text:
            rows = [cells for _, _, cells in self.rows(text, 1)]
            return (len(rows), rows[0], rows[-1]) if rows else (0, [], [])
        codes = np.frombuffer(text, dtype=np.uint8)
        begins = np.append(0, np.flatnonzero(codes[:-1] == ord("\n")) + 1)
        count = len(begins)
        if np.isin(codes[begins], [ord(blank) for blank in _BLANKS]).any():  # there may be blank lines
            blanks = b" \r" if self.delimiter == "\t" else b" \t\r"
            lines = [line for line in text.split(b"\n") if line.strip(blanks)]
            count, text = len(lines), b"\n".join(lines)
        first = text.partition(b"\n")[0]
        last = text.removesuffix(b"\n").rpartition(b"\n")[2]
        cut = [line.decode("utf-8", "replace").rstrip("\r").split(self.delimiter) for line in (first, last)]
        return count, cut[0], cut[1]

    @contextmanager
    def _opened(self, mark: Mark) -> Iterator[IO[bytes]]:
        """The unpacked text from a mark on; whatever goes wrong while reading becomes a SourceError."""
        try:
            with gzip.open(self._path) if self._packed else self._path.open("rb") as stream:
                stream.seek(mark.offset)
                yield stream  # type: ignore[misc]  # GzipFile is a binary stream
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(f"{self.shown}: the gzip data is damaged or cut short ({error})") from None
        except OSError as error:
            raise SourceError(f"{self.shown}: {error.strerror or error}") from None

    def _whole_rows(self, text: bytes, line: int) -> int:
        """How many bytes of `text` are whole rows."""
        end = text.rfind(b"\n") + 1
        if text.find(b'"', 0, end) < 0:
            return end
        try:
            used = [lines for _, lines, _ in self.rows(text[:end], line, more=True)]
        except SourceError:
            return end  # to be told when the piece is read, behind the rows that are right
        return _bytes_of_lines(text, used[-1]) if used else 0

    def _read_first_line(self) -> tuple[tuple[str, ...], Mark]:
        text = b""
        with self._opened(Mark(0, 0, 1)) as stream:
            while len(text) <= _LONGEST_ROW_BYTES:
                more = stream.read(_HEADER_BYTES)
                text += more
                self._refuse_foreign(text)
                if found := self._names_in(text, more=bool(more)):
                    return found
                if not more:
                    raise SourceError(f"{self.shown}: the file is empty")
        raise SourceError(f"{self.shown}: the first line does not end; this is not a CSV file")

    def _refuse_foreign(self, text: bytes) -> None:
        for magic, kind in _FOREIGN.items():
            if text.startswith(magic):
                raise SourceError(f"{self.shown}: this is {kind}; save it as CSV in UTF-8")
        if b"\0" in text:
            raise SourceError(f"{self.shown}: this is a binary file, not CSV")

    def _names_in(self, text: bytes, more: bool) -> tuple[tuple[str, ...], Mark] | None:
        begin = len(_UTF_8_MARK) if text.startswith(_UTF_8_MARK) else 0
        begin += len(re.match(rb"(?:[ \t\r]*\n)*", text[begin:])[0])  # type: ignore[index]  # it always matches
        mark = Mark(0, begin, 1 + text.count(b"\n", 0, begin))
        text = text[begin : text.rfind(b"\n") + 1 if more else len(text)]
        self.delimiter = _delimiter_of(text.partition(b"\n")[0])
        for line, lines, cells in self.rows(text, mark.line, more):
            where = f"{self.shown}: line {line}"
            if self._columns is None:
                if _looks_like_values(cells):
                    raise HeaderMissingError(
                        f"{where} holds values, not names; name the {len(cells)} columns in source: with "
                        "columns: [...], or let gridtop inspect print the configuration",
                        cells,
                    )
                return tuple(cells), mark.after(text[: _bytes_of_lines(text, lines)])
            if len(cells) != len(self._columns):
                raise SourceError(f"{where}: {counted(cells)}, {_told(self._columns)}")
            if all(_words(cells)):
                raise SourceError(f"{where} holds names, not values; take source.columns out")
            return tuple(self._columns), mark
        return None


def counted(cells: Sequence[str]) -> str:
    """`1 cell`, `2 cells`."""
    return f"{len(cells)} cell{'s' * (len(cells) != 1)}"


def count_of(character: bytes, text: bytes) -> int:
    """`text.count(character)`, which numpy does ten times as fast when there are many."""
    return int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == ord(character)))


def lines_in(text: bytes) -> int:
    """The number of lines; the last may lack its end."""
    return count_of(b"\n", text) + (not text.endswith(b"\n"))


def _decoded_lines(text: bytes, more: bool) -> Iterator[str]:
    lines = text.split(b"\n")
    if not lines[-1]:
        lines.pop()
    for line in lines:
        # A carriage return within a line ends nothing; the csv module would refuse it.
        yield line.decode("utf-8", "replace").rstrip("\r").replace("\r", " ") + "\n"
    if more:
        raise _MoreText


def _bytes_of_lines(text: bytes, lines: int) -> int:
    return min(len(text), sum(len(line) + 1 for line in text.split(b"\n", lines)[:lines]))


def _delimiter_of(line: bytes) -> str:
    """The one of comma, semicolon and tab that a header uses most, outside quotation marks."""
    bare = re.sub(rb'"[^"]*"', b"", line)
    return max(",;\t", key=lambda delimiter: bare.count(delimiter.encode()))


def _told(columns: Sequence[str]) -> str:
    return f"source.columns names {len(columns)}"


def first_time(cells: Sequence[str]) -> int | None:
    """The first cell that holds a date and time, None when there is none."""
    times = ~np.isnat(times_from_text(cells, "iso"))
    return int(np.argmax(times)) if times.any() else None


def _looks_like_values(cells: Sequence[str]) -> bool:
    """Whether a header is none: no cell is a word, and one at least is a number or a time."""
    if any(_words(cells)):
        return False
    return first_time(cells) is not None or not all(np.isnan(number(cell) or 0.0) for cell in cells)


def _words(cells: Sequence[str]) -> list[bool]:
    """Which cells are neither a number, nor a time, nor a way to say that there is no value."""
    times = ~np.isnat(times_from_text(cells, "iso"))
    return [number(cell) is None and not time for cell, time in zip(cells, times, strict=True)]
