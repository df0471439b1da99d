"""The graph of a panel: its scale, its curves, and the limits that lie in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from gridtop.tui import braille
from gridtop.tui.glyphs import Glyphs

from .axis import Axis

Floats = npt.NDArray[np.float64]
Scale = Literal["fit", "limits", "fixed"]
"""fit: follows the data. limits: shows the limits too. fixed: stays as it is."""
SCALES: tuple[Scale, ...] = get_args(Scale)


@dataclass(frozen=True, slots=True)
class Curve:
    """The envelope of one channel (b,), finite or NaN; `name` is the phase, in one letter or two."""

    name: str = ""
    latest: float = float("nan")
    minimum: Floats = field(default_factory=lambda: np.empty(0))
    maximum: Floats = field(default_factory=lambda: np.empty(0))

    @property
    def lowest(self) -> float:
        """The lowest value of the window, NaN when there is none."""
        return _extreme(np.fmin, self.minimum)

    @property
    def highest(self) -> float:
        """The highest value of the window, NaN when there is none."""
        return _extreme(np.fmax, self.maximum)


class Limit(NamedTuple):
    """A threshold in the unit of the panel. `mark` needs no colour: `=H` critical, `-L` warning."""

    mark: str
    value: float


@dataclass(frozen=True, slots=True)
class Graph:
    """A drawn graph: its rows from the top, and what stands beside them, by row."""

    rows: list[str]
    bottom: float
    top: float
    limits: dict[int, Limit]
    latest: dict[int, str]
    """The names of the curves whose newest value is on a row; the arrow for a curve without a name."""


def draw(
    curves: Sequence[Curve],
    limits: Sequence[Limit],
    width: int,
    height: int,
    axis: Axis,
    scale: Scale,
    least: float,
    glyphs: Glyphs,
) -> Graph:
    """The newest 2 * width buckets of all curves, the newest at the right; `least` is the shortest axis."""
    bottom, top = _range(curves, limits, axis, scale, least)
    minimum, maximum = (
        np.stack([_newest(side, 2 * width) for side in sides])
        for sides in zip(*((curve.minimum, curve.maximum) for curve in curves), strict=True)
    )
    rows = glyphs.draw(minimum, maximum, height, bottom, top)
    steps = braille.STEPS if glyphs.only_ascii else braille.DOTS
    placed: dict[int, Limit] = {}
    for limit in limits:
        row = braille.row_of(limit.value, height, bottom, top, steps)
        if row is not None and (row not in placed or limit.mark.startswith("=")):
            placed[row] = limit
            rows[row] = _ruled(rows[row], glyphs.limit)
    latest: dict[int, str] = {}
    for curve in curves:
        row = braille.row_of(curve.latest, height, bottom, top, steps)
        if row is not None:
            latest[row] = latest.get(row, "") + (curve.name or glyphs.latest)
    return Graph(rows, bottom, top, placed, latest)


def _ruled(line: str, rule: str) -> str:
    """The line with a broken rule where nothing is drawn."""
    return "".join(rule if c == " " and cell % 2 else c for cell, c in enumerate(line))


def _range(
    curves: Sequence[Curve], limits: Sequence[Limit], axis: Axis, scale: Scale, least: float
) -> tuple[float, float]:
    if scale == "fixed" and axis.bottom < axis.top:
        return axis.bottom, axis.top
    lowest = _extreme(np.fmin, np.array([curve.lowest for curve in curves]))
    highest = _extreme(np.fmax, np.array([curve.highest for curve in curves]))
    if scale == "limits" and limits and math.isfinite(lowest):
        values = [limit.value for limit in limits]
        lowest, highest = min(lowest, *values), max(highest, *values)
    return axis.fit(lowest, highest, least)


def _newest(values: Floats, count: int) -> Floats:
    """(count,) the last values, with gaps in front when there are fewer."""
    kept = values[-count:]
    return np.concatenate((np.full(count - len(kept), np.nan), kept))


def _extreme(operation: np.ufunc, values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(operation.reduce(finite)) if len(finite) else float("nan")
