"""The two ways to write a frame on a line, CSV and JSON: from a line to cells in the order of the columns."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from gridtop.naming import column_names
from gridtop.recordings.tables import number
from gridtop.recordings.timestamps import times_from_text
from gridtop.text import clean

MOST_COLUMNS = 10_000
_DEEPEST = 8
"""Objects within objects of a JSON line at most."""
_SHOWN = 40


class Garbage(ValueError):
    """A line that is no row; the text says what is wrong and, where it can be said, in which column."""


class NoHeader(Garbage):
    """The first line of a CSV stream holds values, and nothing says what they are."""


class Format(Protocol):
    """How the lines of one stream are written. `names` are its columns, fixed by the first line."""

    names: tuple[str, ...]
    ignored: set[str]
    """Columns that came later and are left out; whoever tells them empties the set."""

    def is_header(self, line: str) -> bool:
        """Whether a line at the beginning of a file or connection names columns; if so, it is obeyed."""

    def cells(self, line: str) -> Sequence[object]:
        """The cells of a row in the order of `names`, None for one that is not there; raises Garbage."""


class CsvLines:
    """Rows of cells; `delimiter` is whichever of comma, semicolon and tab the first line uses most.

    Raises Garbage when the first line is none of a CSV stream, with `columns` (the names of a stream that has
    no header) as well as without.
    """

    def __init__(self, first: str, columns: Sequence[str] | None) -> None:
        if any(letter < " " and letter != "\t" for letter in first):
            raise Garbage("control characters; this is neither CSV nor JSON")
        bare = re.sub(r'"[^"]*"', "", first)
        self.delimiter = max(",;\t", key=bare.count)
        self.ignored: set[str] = set()
        self._order: list[int | None] | None = None
        cells = self._split(first)
        if columns is None:
            if not any(_is_word(cell) for cell in cells):
                raise NoHeader(
                    f"values, not names; name the {len(cells)} columns in source: with columns: [...]"
                )
            self.names = _unique(cells)
        else:
            self.names = column_names(columns)
        self._positions = {name: position for position, name in enumerate(self.names)}
        self._width = len(self.names)

    def is_header(self, line: str) -> bool:
        """Whether one of the cells is the name of a column: then all are names, in a new order perhaps."""
        try:
            cells = column_names(self._split(line))
        except Garbage:
            return False
        if not any(cell in self._positions for cell in cells):
            return False
        found = {name: position for position, name in reversed(list(enumerate(cells)))}
        self.ignored |= found.keys() - self._positions.keys()
        order = [found.get(name) for name in self.names]
        self._order = None if order == list(range(len(cells))) else order
        self._width = len(cells)
        return True

    def cells(self, line: str) -> Sequence[object]:
        """The cells of a row in the order of `names`, None for one that is not there; raises Garbage."""
        cells = self._split(line)
        if len(cells) != self._width:
            raise Garbage(f"{len(cells)} cell{'s' * (len(cells) != 1)}, not {self._width}")
        if self._order is None:
            return cells
        return [None if position is None else cells[position] for position in self._order]

    def _split(self, line: str) -> list[str]:
        if '"' not in line:
            cells = line.split(self.delimiter)
        else:
            try:
                (cells,) = csv.reader([line], delimiter=self.delimiter, strict=True)
            except (csv.Error, ValueError) as error:
                quote = line.find('"') + 1
                raise Garbage(f"column {quote}: {clean(str(error))}") from None
        if len(cells) > MOST_COLUMNS:
            raise Garbage(f"{len(cells):,} cells; {MOST_COLUMNS:,} are the most")
        return cells


class JsonLines:
    """An object a line: its keys are the columns, `{"R1": {"F": 60}}` is the column `R1.F`."""

    def __init__(self, first: str, columns: Sequence[str] | None) -> None:
        self.ignored: set[str] = set()
        self.names = column_names(columns) if columns is not None else _unique(list(_flat(first)))
        self._known = set(self.names)
        self._told: set[str] = set()

    def is_header(self, line: str) -> bool:
        """Never: each line names its own cells."""
        return False

    def cells(self, line: str) -> Sequence[object]:
        """The cells of a row in the order of `names`, None for one that is not there; raises Garbage."""
        found = _flat(line)
        cells = [found.get(name) for name in self.names]
        if len(found) > len(cells) or not self._known >= found.keys():
            new = found.keys() - self._known
            # Keys with blanks or control characters are known by a tidier name.
            if tidy := [key for key in new if _tidy(key) in self._known]:
                places = {name: i for i, name in enumerate(self.names)}
                for key in tidy:
                    cells[places[_tidy(key)]] = found[key]
                new -= set(tidy)
            if len(self._told) < MOST_COLUMNS:
                self.ignored |= new - self._told
                self._told |= new
        return cells


def format_of(first: str, wanted: str, columns: Sequence[str] | None) -> Format:
    """The format of a stream by its first line; raises Garbage when that line begins none."""
    if wanted == "json" or (wanted == "auto" and first.lstrip().startswith("{")):
        return JsonLines(first, columns)
    return CsvLines(first, columns)


def _flat(line: str) -> Mapping[str, object]:
    """The cells of a JSON line by key."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise Garbage(f"column {error.colno}: {error.msg}, near {_near(line, error.pos)}") from None
    except (ValueError, RecursionError):  # numbers of thousands of digits; a deep nest
        raise Garbage("a number or a nest beyond all measure") from None
    if not isinstance(row, dict):
        raise Garbage('column 1: not a JSON object; a row looks like {"time": ..., "R1:F": 60.0}')
    if any(isinstance(value, dict) for value in row.values()):
        row = dict(_flattened(row, "", 1))
    if len(row) > MOST_COLUMNS:
        raise Garbage(f"{len(row):,} keys; {MOST_COLUMNS:,} are the most")
    return row


def _flattened(row: Mapping[str, Any], stem: str, depth: int) -> list[tuple[str, object]]:
    pairs: list[tuple[str, object]] = []
    for key, value in row.items():
        if not isinstance(value, dict):
            pairs.append((stem + key, value))
        elif depth < _DEEPEST:
            pairs += _flattened(value, f"{stem}{key}.", depth + 1)
    return pairs


def _near(line: str, position: int) -> str:
    return repr(clean(line[position : position + 20])) if position < len(line) else "its end"


def _tidy(name: str) -> str:
    return clean(" ".join(name.split()))


def _unique(cells: Sequence[str]) -> tuple[str, ...]:
    names = column_names(cells)
    if len(names) > MOST_COLUMNS:
        raise Garbage(f"{len(names):,} columns; {MOST_COLUMNS:,} are the most")
    return names


def _is_word(cell: str) -> bool:
    """Whether a cell is neither a number, nor a time, nor a way to say that there is no value."""
    return number(cell) is None and bool(np.isnat(times_from_text([cell], "iso")[0]))


def shown(cell: object) -> str:
    """A cell as messages show it."""
    return repr(clean(str(cell), longest=_SHOWN))
