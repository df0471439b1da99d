"""Rows of a recording as its file holds them, and what its cells say: a number, nothing, or nonsense."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.text import clean

Marks = npt.NDArray[np.bool_]

MISSING = ("", "NaN", "nan", "NAN", "NA", "N/A", "#N/A", "null", "NULL", "None", "-", "--")
"""Cells that say that there is no value; other cases and blanks around them count as well."""

_NO_VALUE = {word.lower() for word in MISSING} | {"+nan", "-nan", "1.#qnan", "-1.#qnan", "1.#ind", "-1.#ind"}
_WORDS = dict.fromkeys(_NO_VALUE, np.nan) | {"true": 1.0, "false": 0.0}
for _infinity in ("inf", "infinity", "1.#inf"):
    _WORDS |= {_infinity: np.inf, "+" + _infinity: np.inf, "-" + _infinity: -np.inf}
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


TimeCells = Sequence[str] | npt.NDArray[Any]
"""Times as a file holds them: text, times, or numbers since 1970."""


@dataclass(frozen=True, slots=True)
class Table:
    """n consecutive rows of k numeric columns, as read: nothing is scaled or checked for order.

    row         number of the first row, from 0
    values      (n, k), infinities as they are, NaN for a cell without a number
    unreadable  (n, k) marks the cells that hold something, but not a number; None when there are none
    nonsense    column to the first of its unreadable cells
    time        (n,) text, times or numbers; None without a time column
    labels      name to n texts
    lines       (n,) the line of the file where each row begins, from 1; None for files without lines
    """

    row: int
    values: Floats
    unreadable: Marks | None
    nonsense: dict[int, str]
    time: TimeCells | None
    labels: dict[str, list[str]]
    lines: npt.NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.values)

    def where(self, index: int) -> str:
        """Where a row is, for people: `line 812 (row 811)`."""
        row = f"row {self.row + index + 1}"
        return row if self.lines is None else f"line {self.lines[index]} ({row})"


def table_of(
    row: int,
    rows: int,
    columns: Floats | Sequence[npt.NDArray[Any] | Sequence[object]],
    time: TimeCells | None,
    label_cells: Mapping[str, Sequence[object]],
    lines: npt.NDArray[np.int64] | None = None,
) -> Table:
    """The table of n `rows`: an (n, k) array, or k columns that are arrays of numbers or cells to be read."""
    texts = {name: labels(cells) for name, cells in label_cells.items()}
    if isinstance(columns, np.ndarray):
        return Table(row, np.ascontiguousarray(columns), None, {}, time, texts, lines)
    # An odd number of cells from row to row: at a power of two, the cells of a column share few lines of the
    # cache, and writing column by column takes six times as long.
    values = np.empty((rows, len(columns) | 1))[:, : len(columns)]
    unreadable: Marks | None = None
    nonsense: dict[int, str] = {}
    for i, cells in enumerate(columns):
        if isinstance(cells, np.ndarray):
            values[:, i] = cells
            continue
        read = [number(cell) for cell in cells]
        values[:, i] = [np.nan if value is None else value for value in read]
        if None in read:
            unreadable = np.zeros(values.shape, dtype=bool) if unreadable is None else unreadable
            unreadable[:, i] = [value is None for value in read]
            nonsense[i] = clean(str(cells[read.index(None)]), longest=40)
    return Table(row, values, unreadable, nonsense, time, texts, lines)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a recording seen only at its edges: `frames` rows from `row`, `size` bytes of text.

    `edges` holds the time cells of its first and last row; None without a time column.
    """

    row: int
    frames: int
    size: int
    edges: TimeCells | None


def number(cell: object) -> float | None:
    """What a cell says: a number, NaN for "no value", an infinity, or None when it is nonsense."""
    if isinstance(cell, str):
        text = cell.strip()
        if _NUMBER.fullmatch(text):
            return float(text)
        return _WORDS.get(text.lower())
    if cell is None:
        return np.nan
    try:
        return float(cell)  # type: ignore[arg-type]  # anything else is refused right here
    except OverflowError:  # a whole number of more than 308 digits
        return np.inf if cell > 0 else -np.inf  # type: ignore[operator]
    except (TypeError, ValueError):
        return None


def labels(cells: Sequence[object]) -> list[str]:
    """The texts of n label cells, harmless and without line breaks; "" for "no value"."""
    tidy = {cell: _label(cell) for cell in set(cells)}
    return [tidy[cell] for cell in cells]


def _label(cell: object) -> str:
    text = clean(" ".join(str(cell).split()))
    return "" if cell is None or text.lower() in _NO_VALUE else text
