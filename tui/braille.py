"""Draws the envelope of a signal with braille dots, or with ASCII where there is no braille.

An envelope is the lowest and highest value of each of b buckets of time. A bucket is a column of dots
from its lowest to its highest value, so a spike of a single frame always shows. Buckets that follow
each other are joined. A bucket without values is a gap: an empty column with a `.` at the bottom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
_Cells = npt.NDArray[np.int64]

DOTS = 4
"""Rows of dots in a braille character."""
STEPS = 3
"""Heights that ASCII tells apart within one character: _ - '"""

_BLANK = 0x2800
_BITS = np.array(((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80)))
"""Braille bits of the left and the right column, from the top dot to the bottom dot."""
_ASCII = np.array(list(" _-|'|||"))
"""The character for each set of steps: bit 0 is the lowest step."""
_DASHES = ((1, 1), (8, 5), (4, 1))
"""(period, drawn) in columns of dots, for the first, second and third curve: solid, dashed, dotted."""
_ASCII_DASHES = ((1, 1), (4, 3), (3, 1))
"""The same in characters."""


def braille(minimum: Floats, maximum: Floats, rows: int, bottom: float, top: float) -> list[str]:
    """`rows` lines of text, the top line first, with two buckets in a character.

    minimum, maximum: (b,) or, for several curves, (k, b) with b even; NaN and infinities are gaps. The
    axis runs from `bottom` to `top`. The first curve is solid, the others are dashed and dotted.
    """
    lit, empty = _lit(minimum, maximum, rows * DOTS, bottom, top, _DASHES)
    dots = lit.reshape(-1, 2, rows, DOTS)
    codes: _Cells = (dots * _BITS[None, :, None, :]).sum(axis=(1, 3))
    lines = [[chr(_BLANK + code) if code else " " for code in line] for line in codes.T.tolist()]
    for cell in np.flatnonzero(_gaps(empty).reshape(-1, 2).any(axis=1)):
        if lines[-1][cell] == " ":
            lines[-1][cell] = "."
    return ["".join(line) for line in lines]


def ascii_art(minimum: Floats, maximum: Floats, rows: int, bottom: float, top: float) -> list[str]:
    """The same with `_ - ' |` for terminals and fonts without braille."""
    minimum, maximum = np.atleast_2d(minimum, maximum)
    pairs = (len(minimum), -1, 2)
    with np.errstate(invalid="ignore"):
        minimum = np.fmin.reduce(_finite(minimum).reshape(pairs), axis=2)
        maximum = np.fmax.reduce(_finite(maximum).reshape(pairs), axis=2)
    lit, empty = _lit(minimum, maximum, rows * STEPS, bottom, top, _ASCII_DASHES)
    codes: _Cells = (lit.reshape(-1, rows, STEPS) * np.array((4, 2, 1))).sum(axis=2)
    lines = _ASCII[codes.T]
    lines[-1, _gaps(empty) & (lines[-1] == " ")] = "."
    return ["".join(line) for line in lines.tolist()]


def row_of(value: float, rows: int, bottom: float, top: float, steps: int = DOTS) -> int | None:
    """The line of a graph, 0 at the top, on which a value lies; None outside of the axis."""
    if not (math.isfinite(value) and bottom <= value <= top and bottom < top):
        return None
    share = (value / 2 - bottom / 2) / (top / 2 - bottom / 2)
    return rows - 1 - round(share * (rows * steps - 1)) // steps


def _lit(
    minimum: Floats, maximum: Floats, count: int, bottom: float, top: float, dashes: Sequence[tuple[int, int]]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(b, count) the dots of all curves, from the top one down, and (b,) where no curve has a value."""
    low, high, empty = _levels(*np.atleast_2d(minimum, maximum), count, bottom, top)
    columns = np.arange(low.shape[1])
    for curve, (period, drawn) in enumerate(dashes[: len(low)]):
        # Only what is level is dashed: a spike must show wherever it falls.
        empty_here = (high[curve] - low[curve] < 2) & (columns % period >= drawn)
        low[curve, empty_here] = count
    heights = np.arange(count - 1, -1, -1)
    lit = (low[:, :, None] <= heights) & (heights <= high[:, :, None]) & ~empty[:, :, None]
    of_any: npt.NDArray[np.bool_] = np.any(lit, axis=0)
    nowhere: npt.NDArray[np.bool_] = np.all(empty, axis=0)
    return of_any, nowhere


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _levels(
    minimum: Floats, maximum: Floats, count: int, bottom: float, top: float
) -> tuple[_Cells, _Cells, npt.NDArray[np.bool_]]:
    """(k, b) lowest and highest of `count` levels that each bucket reaches, and where there is nothing."""
    low, high = np.fmin(_finite(minimum), _finite(maximum)), np.fmax(_finite(minimum), _finite(maximum))
    empty = np.isnan(low)
    # Halves, so that an axis from -1e308 to 1e308 does not overflow.
    span = top / 2 - bottom / 2 or 1.0
    with np.errstate(over="ignore"):
        shares = (np.where(empty, 0.0, (edge / 2 - bottom / 2) / span) for edge in (low, high))
        first, last = (np.rint(np.clip(share, 0, 1) * (count - 1)).astype(int) for share in shares)
    joined = ~(empty[:, 1:] | empty[:, :-1])
    rise = joined & (first[:, 1:] > last[:, :-1] + 1)
    fall = joined & (last[:, 1:] < first[:, :-1] - 1)
    lower, upper = first.copy(), last.copy()
    lower[:, 1:][rise] = last[:, :-1][rise] + 1
    upper[:, 1:][fall] = first[:, :-1][fall] - 1
    return lower, upper, empty


def _gaps(empty: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Where to mark a gap: not before the first value, which is only a window that is not full yet."""
    started = np.logical_or.accumulate(~empty)
    marked: npt.NDArray[np.bool_] = empty & (started | empty.all())
    return marked
