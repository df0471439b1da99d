"""Sets the trigger of event windows on quiet frames: how far each feature usually moves, and the level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.errors import GridtopError
from gridtop.learning.card import Windows
from gridtop.learning.features import Feature
from gridtop.learning.windows import Columns

Marks = npt.NDArray[np.bool_]

HOURLY_OPENINGS = 20.0
"""Times an hour that the windows of one place may open while nothing happens, or nearly."""
QUIET_SHARE = 0.999
"""Share of quiet frames that have changed by less than one spread."""
SMALLEST_SPREAD = 0.01
"""Of the range that a feature has over everything: what never moves while nothing happens has no spread."""
HELD_LAG_S = 30.0
"""How far features wander within so long is no departure from the state before."""
FEWEST_CHANGES = 1000
LEVELS = np.geomspace(0.7, 20.0, 40)


def set_trigger(parts: Sequence[tuple[Floats, Marks]], features: Sequence[Feature], rate: float) -> Windows:
    """Windows with a trigger set on features (p, n, f), one array a recording, and their quiet frames (n,).

    A spread is the 99.9 % quantile of what a feature changes within a lag in quiet frames, the larger of both
    ends; the level is the lowest at which quiet frames open about 20 windows an hour and place.
    """
    blank = Windows(level=1.0, spreads=((1.0,), (1.0,)), held=(1.0,))
    measured = Columns(features).measured
    values = [features[..., measured] for features, _ in parts]
    least = SMALLEST_SPREAD * np.nanmax([_range(v) for v in values], axis=0)
    least = np.where(least > 0, least, 1.0)
    names = [features[i].channel for i in measured]
    pairs = [names.index(_mirrored(name)) if _mirrored(name) in names else i for i, name in enumerate(names)]
    spreads: list[Floats] = []
    for lag in (*blank.lags, HELD_LAG_S):
        frames = max(1, round(lag * rate))
        usual = _usual(values, [quiet for _, quiet in parts], frames)
        if usual is None and spreads:
            usual = 3.0 * spreads[-1]
        if usual is None:
            raise GridtopError("there are not enough quiet frames between the events to set the trigger on")
        spreads.append(np.maximum(np.fmax(usual, usual[pairs]), least))
    level = _level(values, [quiet for _, quiet in parts], spreads[:-1], blank, rate)
    as_tuples = [tuple(float(f"{number:.6g}") for number in row) for row in spreads]
    return Windows(level=level, spreads=tuple(as_tuples[:-1]), held=as_tuples[-1])


def _usual(values: Sequence[Floats], quiet: Sequence[Marks], lag: int) -> Floats | None:
    """(v,) the quantile of the changes over `lag` frames; None when fewer than a thousand are all quiet."""
    changes = []
    for part, calm in zip(values, quiet, strict=True):
        disturbed = np.concatenate([[0], np.cumsum(~calm)])
        whole = disturbed[lag + 1 :] == disturbed[: -lag - 1]
        changes += [np.abs(place[lag:] - place[:-lag])[whole] for place in part if len(place) > lag]
    joined = np.concatenate(changes) if changes else np.empty((0, 1))
    if len(joined) < FEWEST_CHANGES:
        return None
    known = np.isfinite(joined).any(axis=0)
    usual = np.zeros(joined.shape[1])
    usual[known] = np.nanquantile(joined[:, known], QUIET_SHARE, axis=0)
    return usual


def _range(values: Floats) -> Floats:
    """(v,) how far the values (p, n, v) reach, but for one frame in a thousand at either end."""
    flat = values.reshape(-1, values.shape[-1])
    known = np.isfinite(flat).any(axis=0)
    reach = np.zeros(flat.shape[1])
    low, high = np.nanquantile(flat[:, known], [1 - QUIET_SHARE, QUIET_SHARE], axis=0)
    reach[known] = high - low
    return reach


def _level(
    values: Sequence[Floats], quiet: Sequence[Marks], spreads: Sequence[Floats], blank: Windows, rate: float
) -> float:
    """The lowest level at which quiet frames open few enough windows."""
    sizes = []
    hours = 0.0
    for part, calm in zip(values, quiet, strict=True):
        for place in part:
            hours += np.count_nonzero(calm) / rate / 3600
            for lag_s, spread in zip(blank.lags, spreads, strict=True):
                lag = max(1, round(lag_s * rate))
                if len(place) > lag:
                    moved = np.fmax.reduce(np.abs(place[lag:] - place[:-lag]) / spread, axis=1)
                    disturbed = np.concatenate([[0], np.cumsum(~calm)])
                    moved[disturbed[lag + 1 :] != disturbed[: -lag - 1]] = np.nan
                    sizes.append(moved)
    rest = round(blank.rest * rate)
    for level in LEVELS:
        if sum(_openings(moved > level, rest) for moved in sizes) <= HOURLY_OPENINGS * hours:
            return float(f"{level:.4g}")
    return float(LEVELS[-1])


def _openings(over: Marks, rest: int) -> int:
    """How many windows open, each with nothing after it for `rest` frames."""
    edges = np.flatnonzero(over[1:] & ~over[:-1])
    count, free = 0, -1
    for edge in edges.tolist():
        if edge >= free:
            count, free = count + 1, edge + rest
    return count


def _mirrored(name: str) -> str:
    """The same channel at the other end."""
    role, colon, rest = name.partition(":")
    return {"near": "far", "far": "near"}.get(role, role) + colon + rest
