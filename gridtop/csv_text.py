"""Recordings in CSV: streams the text in pieces of whole rows and reads each with pandas' C parser.

A piece that is not plain (quoted cells, rows of unequal length, blank lines) is read cell by cell with
the csv module, which also finds the row to blame. Both ways read the same values, so where the text is cut
never changes them.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridtop.blocks import Floats
from gridtop.errors import SourceError
from gridtop.naming import Columns
from gridtop.tables import MISSING, Span, Table, number, table_of
from gridtop.text import clean
from gridtop.timestamps import times_from_text

_LONGEST_ROW_BYTES = 16 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_UTF_8_MARK = b"\xef\xbb\xbf"
_FOREIGN = {b"PK\x03\x04": "a ZIP or Excel file", b"\xff\xfe": "UTF-16 text", b"\xfe\xff": "UTF-16 text"}
_BLANKS = " \t\r\n"
_BLANK_CODES = np.frombuffer(_BLANKS.encode(), dtype=np.uint8)
_HEADER_BYTES = 1 << 16
_NUMERIC = "fiub"
"""Kinds of numpy arrays that are numbers; what pandas could not read as such is text."""
# The default of pandas 3.1 reads every decimal exactly and deprecates being asked for it; older ones must be.
_EXACT: dict[str, Any] = (
    {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
)


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where a row begins: its number from 0, its byte in the unpacked text, its line from 1."""

    row: int
    offset: int
    line: int

    def after(self, text: bytes) -> _Mark:
        """Where `text` ends that begins here; its rows are counted elsewhere."""
        return replace(self, offset=self.offset + len(text), line=self.line + _count(text, b"\n"))


class _MoreText(Exception):
    """The text ends inside a row."""


class CsvFile:
    """A CSV file, plain or gzip, whose header has been read: `names` are its cells.

    It remembers where the pieces it has passed begin, so that going back is cheap. Raises SourceError, here
    and from every method, when the file is damaged or is not a table.
    """

    def __init__(self, path: Path, piece_bytes: int) -> None:
        self._path = path
        self._shown = clean(path.name)
        self._piece_bytes = piece_bytes
        with path.open("rb") as file:
            self._packed = file.read(2) == _GZIP_MAGIC
        self._delimiter = ","
        self.names, body = self._read_header()
        self._marks = {0: body}

    def head(self, columns: Columns, size: int) -> Table | None:
        """The first rows, as many as `size` bytes hold but at least one; None when there are none."""
        for mark, _, text in self._pieces(self._marks[0], size):
            if tables := list(self._read(mark, text, columns)):
                return tables[0]
        return None

    def tables(self, columns: Columns, row: int = 0) -> Iterator[Table]:
        """All rows from a known place at or before `row` on."""
        start = self._mark_before(row)
        frames = start.row
        for begin, end, text in self._pieces(start, self._piece_bytes):
            for table in self._read(replace(begin, row=frames), text, columns):
                yield table
                frames += len(table)
            self._marks[frames] = replace(end, row=frames)

    def spans(self, columns: Columns, row: int = 0) -> Iterator[Span]:
        """The same stretches as `tables`, counted but not read."""
        start = self._mark_before(row)
        frames = start.row
        for _, end, text in self._pieces(start, self._piece_bytes):
            count, *edges = self._edges(text)
            yield Span(frames, count, len(text), _times_in(edges, columns))
            frames += count
            self._marks[frames] = replace(end, row=frames)

    def _mark_before(self, row: int) -> _Mark:
        known = max(passed for passed in tuple(self._marks) if passed <= row)
        return self._marks[known]

    # From bytes to pieces of whole rows

    @contextmanager
    def _opened(self, mark: _Mark) -> Iterator[IO[bytes]]:
        """The unpacked text from a mark on; whatever goes wrong while reading becomes a SourceError."""
        try:
            with gzip.open(self._path) if self._packed else self._path.open("rb") as stream:
                stream.seek(mark.offset)
                yield stream  # type: ignore[misc]  # GzipFile is a binary stream
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise SourceError(f"{self._shown}: the gzip data is damaged or cut short ({error})") from None
        except OSError as error:
            raise SourceError(f"{self._shown}: {error.strerror or error}") from None

    def _pieces(self, mark: _Mark, size: int) -> Iterator[tuple[_Mark, _Mark, bytes]]:
        """Pieces of whole rows: where each begins and ends (the caller counts the rows), and its text."""
        with self._opened(mark) as stream:
            rest = b""
            while text := rest + (more := stream.read(size)):
                if (nul := text.find(b"\0")) >= 0:
                    line = mark.line + text.count(b"\n", 0, nul)
                    raise SourceError(f"{self._shown}: line {line}: a NUL byte; this is not a CSV file")
                end = self._whole_rows(text, mark.line) if more else len(text)
                if not end and len(text) > _LONGEST_ROW_BYTES:
                    raise SourceError(
                        f"{self._shown}: line {mark.line}: the row does not end within "
                        f"{_LONGEST_ROW_BYTES >> 20} MiB; not a CSV file, or a quotation mark is not closed"
                    )
                piece, rest = text[:end], text[end:]
                if piece:
                    end_mark = mark.after(piece)
                    yield mark, end_mark, piece
                    mark = end_mark

    def _whole_rows(self, text: bytes, line: int) -> int:
        """How many bytes of `text` are whole rows."""
        end = text.rfind(b"\n") + 1
        if text.find(b'"', 0, end) < 0:
            return end
        used = [lines for _, lines, _ in self._rows(text[:end], line, more=True)]
        return _bytes_of_lines(text, used[-1]) if used else 0

    def _rows(self, text: bytes, line: int, more: bool = False) -> Iterator[tuple[int, int, list[str]]]:
        """Each row as the csv module splits it: the line it begins on, the lines used up so far, its cells.

        With `more` text to come, a row that the end leaves open is kept back. Blank lines are no rows.
        """
        used = 0
        reader = csv.reader(_decoded_lines(text, more), delimiter=self._delimiter)
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
            raise SourceError(f"{self._shown}: line {line + used}: {error}; {hint}") from None

    # The header

    def _read_header(self) -> tuple[tuple[str, ...], _Mark]:
        text = b""
        with self._opened(_Mark(0, 0, 1)) as stream:
            while len(text) <= _LONGEST_ROW_BYTES:
                more = stream.read(_HEADER_BYTES)
                text += more
                self._refuse_foreign(text)
                if header := self._header_in(text, more=bool(more)):
                    return header
                if not more:
                    raise SourceError(f"{self._shown}: the file is empty")
        raise SourceError(f"{self._shown}: the first line does not end; this is not a CSV file")

    def _refuse_foreign(self, text: bytes) -> None:
        for magic, kind in _FOREIGN.items():
            if text.startswith(magic):
                raise SourceError(f"{self._shown}: this is {kind}; save it as CSV in UTF-8")
        if b"\0" in text:
            raise SourceError(f"{self._shown}: this is a binary file, not CSV")

    def _header_in(self, text: bytes, more: bool) -> tuple[tuple[str, ...], _Mark] | None:
        begin = len(_UTF_8_MARK) if text.startswith(_UTF_8_MARK) else 0
        begin += len(re.match(rb"(?:[ \t\r]*\n)*", text[begin:])[0])  # type: ignore[index]  # it always matches
        mark = _Mark(0, begin, 1 + text.count(b"\n", 0, begin))
        text = text[begin : text.rfind(b"\n") + 1 if more else len(text)]
        self._delimiter = _delimiter_of(text.partition(b"\n")[0])
        for line, lines, names in self._rows(text, mark.line, more):
            if _looks_like_values(names):
                raise SourceError(
                    f"{self._shown}: line {line} holds values, not names; put a line with the names of the "
                    "columns before it"
                )
            return tuple(names), mark.after(text[: _bytes_of_lines(text, lines)])
        return None

    # From a piece to a table

    def _read(self, mark: _Mark, text: bytes, columns: Columns) -> Iterator[Table]:
        """The rows of a piece as one table or none, and behind them the error that ends them."""
        read = self._read_plain(text, columns)
        if read is None:
            yield from self._read_cells(mark, text, columns)
            return
        frame, texts = read
        values: Floats | list[Any]
        if all(kind.kind in _NUMERIC for kind in frame.dtypes):
            values = frame.to_numpy(np.float64)
        else:
            values = [
                cells.to_numpy() if cells.dtype.kind in _NUMERIC else cells.tolist()
                for _, cells in frame.items()
            ]
        yield table_of(
            mark.row,
            values,
            texts[columns.time.position] if columns.time else None,
            {name: texts[position] for name, position in columns.labels.items()},
            np.arange(mark.line, mark.line + len(frame)),
        )

    def _read_plain(self, text: bytes, columns: Columns) -> tuple[pd.DataFrame, dict[int, list[str]]] | None:
        """The numeric columns of a piece and its columns of text; None when the piece is not plain."""
        rows = _lines_in(text)
        last = len(self.names) - 1
        delimiter = self._delimiter.encode()
        if b'"' in text or _count(text, delimiter) != rows * last:
            return None
        if b"\r" in text and text.count(b"\r") != text.count(b"\r\n"):
            return None
        as_text = {*columns.labels.values()} | ({columns.time.position} if columns.time else set())
        numeric = list(columns.positions)
        try:
            frame = self._parse(text, {*numeric, *as_text, last}, na_filter=False)
            textual = {position for position, kind in frame.dtypes.items() if kind.kind not in _NUMERIC}
            # The number of cells is right, so a row too long goes with one too short, whose last is blank.
            blank_end = last in textual and bool((frame[last] == "").any())
            if len(frame) != rows or (blank_end and not _is_regular(text, delimiter, last)):
                return None
            texts = {}
            for position in as_text:
                cells = frame[position].tolist()
                if not isinstance(cells[0], str):  # numbers in this piece: read them as they are written
                    cells = self._parse(text, {position}, na_filter=False, dtype=object)[position].tolist()
                texts[position] = cells
            if not textual.isdisjoint(numeric):
                # Looking for missing values costs a third of the speed: only where there is something amiss.
                frame = self._parse(text, {*numeric}, keep_default_na=False, na_values=MISSING)
            return frame[numeric], texts
        except ValueError:
            return None

    def _parse(self, text: bytes, positions: set[int], **settings: Any) -> pd.DataFrame:
        """Some columns of a piece, called by their position."""
        frame: pd.DataFrame = pd.read_csv(
            BytesIO(text),
            sep=self._delimiter,
            header=None,
            names=range(len(self.names)),
            usecols=sorted(positions),
            quoting=csv.QUOTE_NONE,
            encoding_errors="replace",
            low_memory=False,
            engine="c",
            **_EXACT,
            **settings,
        )
        return frame

    def _read_cells(self, mark: _Mark, text: bytes, columns: Columns) -> Iterator[Table]:
        rows: list[list[str]] = []
        lines: list[int] = []
        problem: SourceError | None = None
        try:
            for line, _, cells in self._rows(text, mark.line):
                if len(cells) != len(self.names):
                    where = f"{self._shown}: line {line} (row {mark.row + len(rows) + 1})"
                    counted = f"{len(cells)} cell{'s' if len(cells) > 1 else ''}"
                    raise SourceError(f"{where}: {counted}, the header has {len(self.names)}")
                rows.append(cells)
                lines.append(line)
        except SourceError as error:
            problem = error
        if rows:
            by_column = list(zip(*rows, strict=True))
            yield table_of(
                mark.row,
                [by_column[position] for position in columns.positions],
                by_column[columns.time.position] if columns.time else None,
                {name: by_column[position] for name, position in columns.labels.items()},
                np.array(lines),
            )
        if problem is not None:
            raise problem

    def _edges(self, text: bytes) -> tuple[int, Sequence[str], Sequence[str]]:
        """The number of rows in a piece, and the cells of its first and its last row."""
        if b'"' in text:
            rows = [cells for _, _, cells in self._rows(text, 1)]
            return (len(rows), rows[0], rows[-1]) if rows else (0, [], [])
        begins = _line_begins(text)
        count = len(begins)
        if np.isin(
            np.frombuffer(text, dtype=np.uint8)[begins], _BLANK_CODES
        ).any():  # there may be blank lines
            blanks = b" \r" if self._delimiter == "\t" else b" \t\r"
            lines = [line for line in text.split(b"\n") if line.strip(blanks)]
            count, text = len(lines), b"\n".join(lines)
        first = text.partition(b"\n")[0]
        last = text.removesuffix(b"\n").rpartition(b"\n")[2]
        cut = [line.decode("utf-8", "replace").rstrip("\r").split(self._delimiter) for line in (first, last)]
        return count, cut[0], cut[1]


def _count(text: bytes, character: bytes) -> int:
    """`text.count(character)`, which numpy does ten times as fast when there are many."""
    return int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8) == ord(character)))


def _lines_in(text: bytes) -> int:
    return _count(text, b"\n") + (not text.endswith(b"\n"))


def _line_begins(text: bytes) -> npt.NDArray[np.int64]:
    characters = np.frombuffer(text, dtype=np.uint8)
    return np.append(0, np.flatnonzero(characters[:-1] == ord("\n")) + 1)


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


def _looks_like_values(cells: Sequence[str]) -> bool:
    """Whether a header is none: every cell that is not blank is a number or a time."""
    filled = [cell for cell in cells if cell.strip()]
    return bool(filled) and all(
        number(cell) is not None or not np.isnat(times_from_text([cell], "iso")[0]) for cell in filled
    )


def _is_regular(text: bytes, delimiter: bytes, expected: int) -> bool:
    """Whether every line has the expected number of delimiters."""
    bytes_ = np.frombuffer(text, dtype=np.uint8)
    ends = np.append(np.flatnonzero(bytes_ == ord("\n")), len(bytes_))
    counts = np.diff(np.searchsorted(np.flatnonzero(bytes_ == ord(delimiter)), ends), prepend=0)
    return bool((counts[: -1 if text.endswith(b"\n") else None] == expected).all())


def _times_in(rows: Sequence[Sequence[str]], columns: Columns) -> list[str] | None:
    if columns.time is None:
        return None
    position = columns.time.position
    return [cells[position] if len(cells) > position else "" for cells in rows]
