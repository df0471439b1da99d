"""Recordings in CSV: each piece of text becomes a table, by pandas' C parser where it is plain.

A piece that is not (quoted cells, rows of unequal length, blank lines) is read cell by cell, which also finds
the row to blame. Both ways read the same values, so where the text is cut never changes them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gridtop.blocks import Floats
from gridtop.errors import SourceError
from gridtop.naming import Columns
from gridtop.recordings.csv_text import CsvText, Mark, count_of, counted, lines_in
from gridtop.recordings.tables import MISSING, Span, Table, table_of

_NUMERIC = "fiub"
"""Kinds of numpy arrays that are numbers; what pandas could not read as such is text."""
# The default of pandas 3.1 reads every decimal exactly and deprecates being asked for it; older ones must be.
_EXACT: dict[str, Any] = (
    {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
)


class CsvFile:
    """A CSV file, plain or gzip: `names` are the cells of its header, or `columns` where it has none.

    It remembers where the pieces it has passed begin, so that going back is cheap. Raises SourceError, here
    and from every method, when the file is damaged or is not a table.
    """

    def __init__(self, path: Path, piece_bytes: int, columns: Sequence[str] | None = None) -> None:
        self._text = CsvText(path, columns)
        self._piece_bytes = piece_bytes
        self._marks = {0: self._text.body}
        self.names = self._text.names

    def head(self, columns: Columns, size: int) -> Table | None:
        """The first rows, as many as `size` bytes hold but at least one; None when there are none."""
        for mark, _, text in self._text.pieces(self._marks[0], size):
            if tables := list(self._read(mark, text, columns)):
                return tables[0]
        return None

    def tables(self, columns: Columns, row: int = 0) -> Iterator[Table]:
        """All rows from a known place at or before `row` on."""
        start = self._mark_before(row)
        frames = start.row
        for begin, end, text in self._text.pieces(start, self._piece_bytes):
            for table in self._read(replace(begin, row=frames), text, columns):
                yield table
                frames += len(table)
            self._marks[frames] = replace(end, row=frames)

    def spans(self, columns: Columns, row: int = 0) -> Iterator[Span]:
        """The same stretches as `tables`, counted but not read."""
        start = self._mark_before(row)
        frames = start.row
        for _, end, text in self._text.pieces(start, self._piece_bytes):
            count, *edges = self._text.edges(text)
            yield Span(frames, count, len(text), _times_in(edges, columns))
            frames += count
            self._marks[frames] = replace(end, row=frames)

    def _mark_before(self, row: int) -> Mark:
        known = max(passed for passed in tuple(self._marks) if passed <= row)
        return self._marks[known]

    def _read(self, mark: Mark, text: bytes, columns: Columns) -> Iterator[Table]:
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
            len(frame),
            values,
            texts[columns.time.position] if columns.time else None,
            {name: texts[position] for name, position in columns.labels.items()},
            np.arange(mark.line, mark.line + len(frame)),
        )

    def _read_plain(self, text: bytes, columns: Columns) -> tuple[pd.DataFrame, dict[int, list[str]]] | None:
        """The numeric columns of a piece and its columns of text; None when the piece is not plain."""
        rows = lines_in(text)
        last = len(self.names) - 1
        delimiter = self._text.delimiter.encode()
        if b'"' in text or count_of(delimiter, text) != rows * last:
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
            sep=self._text.delimiter,
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

    def _read_cells(self, mark: Mark, text: bytes, columns: Columns) -> Iterator[Table]:
        rows: list[list[str]] = []
        lines: list[int] = []
        problem: SourceError | None = None
        try:
            for line, _, cells in self._text.rows(text, mark.line):
                if len(cells) != len(self.names):
                    where = f"{self._text.shown}: line {line} (row {mark.row + len(rows) + 1})"
                    raise SourceError(f"{where}: {counted(cells)}, {self._text.told_width}")
                rows.append(cells)
                lines.append(line)
        except SourceError as error:
            problem = error
        if rows:
            by_column = list(zip(*rows, strict=True))
            yield table_of(
                mark.row,
                len(rows),
                [by_column[position] for position in columns.positions],
                by_column[columns.time.position] if columns.time else None,
                {name: by_column[position] for name, position in columns.labels.items()},
                np.array(lines),
            )
        if problem is not None:
            raise problem


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
