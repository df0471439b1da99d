"""What scores are like when nothing is wrong: how rare a score is, in nines, and which one is how rare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gridtop.errors import ConfigurationError
from gridtop.text import clean

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MOST_NINES = 9.0
"""Scores rarer than one in a thousand million ordinary frames are not told apart."""
RUN_GAP_SECONDS = 5.0
"""Exceedances closer than this are one raise (domain.md section 8, "How to claim a detection figure")."""
_POINTS = 64
_SUPPORT = 10
"""So many separate exceedances must lie at or above the last point: it is then known to about a third."""


class _Table(BaseModel):
    """Scores of ordinary frames and how rare they are; both ascending, at most 64 points."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    frames: int = Field(ge=1, description="how many ordinary frames it was made from")
    scores: tuple[float, ...] = Field(min_length=1, max_length=_POINTS, description="ascending")
    nines: tuple[float, ...] = Field(
        min_length=1, max_length=_POINTS, description="-log10 of the share of frames that score as high"
    )

    @model_validator(mode="after")
    def _ascends(self) -> Self:
        if len(self.scores) != len(self.nines):
            raise ValueError(f"there are {len(self.scores)} scores but {len(self.nines)} nines")
        for name, column in (("scores", self.scores), ("nines", self.nines)):
            for position, (low, high) in enumerate(pairwise(column)):
                if not low < high:
                    raise ValueError(
                        f"{name} do not ascend: {high:g} comes after {low:g} (at {position + 1})"
                    )
        if not 0.0 <= self.nines[0] <= self.nines[-1] <= MOST_NINES:
            raise ValueError(f"nines are from 0 to {MOST_NINES:g}")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for a model card."""
        return self.model_dump(mode="json", exclude_none=True)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """The table that `to_dict` described; ConfigurationError says what is wrong with it."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the table"
            raise ConfigurationError(
                f"ordinary scores: {clean(where)}: {clean(first['msg'])}; train the model again"
            ) from None

    @cached_property
    def _columns(self) -> tuple[Floats, Floats]:
        return np.array(self.scores), np.array(self.nines)


class Nines(_Table):
    """Turns raw scores into nines: 3 means that one ordinary frame in 1000 scores as high.

    Between the points it is linear. Beyond the last one the share falls by a factor of ten with every
    `tail` of score (an exponential tail). `raises` counts, for each point, the separate raises of an alarm
    with its score as threshold in `hours` of ordinary frames; both are None when the frame rate was not
    known.
    """

    tail: float | None = Field(default=None, gt=0, description="score for one nine more, beyond the points")
    hours: float | None = Field(default=None, gt=0, description="of ordinary frames")
    raises: tuple[int, ...] | None = Field(default=None, description="separate raises in these hours")

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if (self.raises is None) != (self.hours is None):
            raise ValueError("hours and raises come together")
        if self.raises is not None and (len(self.raises) != len(self.scores) or min(self.raises) < 0):
            raise ValueError(f"raises are {len(self.scores)} counts, one for each score")
        return self

    @classmethod
    def fit(
        cls, scores: npt.ArrayLike, *, rate: float | None = None, groups: npt.ArrayLike | None = None
    ) -> Nines:
        """The table for scores (n,) of ordinary frames in order of time, where bigger is stranger.

        `rate` is in frames per second; `groups` (n,) changes wherever frames do not follow one another.
        Frames without a score (NaN) are left out, but time passes over them. Frames of one disturbance
        resemble each other: where the rate is known, the points end where fewer than 10 separate
        exceedances remain, else where fewer than 10 frames do. ValueError when no score is finite.
        """
        raw = np.asarray(scores, dtype=np.float64)
        finite = _finite(raw)
        levels, nines, _ = _rarity(finite)
        place, stretch = _places(raw, groups)
        gap = None if rate is None else _gap(rate)
        counted = [_separate(raw, level, place, stretch, gap) for level in levels]
        # From the top down: low thresholds are exceeded all the time, which also makes few separate raises.
        supported = [index for index, count in enumerate(counted) if count >= _SUPPORT]
        last = supported[-1] if supported else _at_least(finite, levels, _SUPPORT)
        levels, nines = levels[: last + 1], nines[: last + 1]
        return cls(
            frames=len(finite),
            scores=tuple(levels.tolist()),
            nines=tuple(nines.tolist()),
            tail=_tail(finite, levels, nines),
            hours=None if rate is None else len(finite) / rate / 3600.0,
            raises=None if rate is None else tuple(counted[: last + 1]),
        )

    def apply(self, scores: npt.ArrayLike) -> Floats:
        """Nines, 0 to 9, of scores of any shape; never falling with the score, NaN where it is NaN."""
        raw = np.asarray(scores, dtype=np.float64)
        levels, nines = self._columns
        left = np.clip(np.searchsorted(levels, raw, side="right") - 1, 0, max(len(levels) - 2, 0))
        right = np.minimum(left + 1, len(levels) - 1)
        with np.errstate(all="ignore"):
            along = (raw - levels[left]) / np.where(right > left, levels[right] - levels[left], 1.0)
            # Rounding may not carry a value past the point above it: the next segment begins there.
            within = np.minimum(nines[left] + along * (nines[right] - nines[left]), nines[right])
            if self.tail is None:
                beyond = np.full(raw.shape, max(math.log10(self.frames), self.nines[-1]))
            else:
                beyond = nines[-1] + (raw - levels[-1]) / self.tail
            result = np.where(raw > levels[-1], beyond, np.where(raw <= levels[0], nines[0], within))
        mapped: Floats = np.where(np.isnan(raw), np.nan, np.minimum(result, MOST_NINES))
        return mapped

    def quantile(self, share: float) -> float:
        """The nines that this share (0 to 1) of ordinary frames stays below: 0.999 is 3.

        ValueError when the share is no share, or so close to 1 that no score is told apart there.
        """
        if not 0.0 <= share < 1.0:
            raise ValueError(f"a share of ordinary frames is from 0 to less than 1, not {share:g}")
        nines = round(-math.log10(1.0 - share), 9) + 0.0
        if nines > MOST_NINES:
            raise ValueError(f"q{share * 100:.12g}: scores end at {MOST_NINES:g} nines, q99.9999999")
        return nines

    def raises_per_hour(self, threshold: float) -> float:
        """How often ordinary frames would raise an alarm at `threshold` nines, merged within 5 s.

        Counted on the calibration data; between the points and beyond them it follows the share of
        frames, beyond them in clusters as long as those at the last point. ValueError when the frame rate
        was not known, or for a threshold that is NaN.
        """
        if self.raises is None or self.hours is None:
            raise ValueError(
                "raises per hour are not known: the frame rate was not given when it was trained"
            )
        if math.isnan(threshold):
            raise ValueError("a threshold is a number")
        if threshold > MOST_NINES:
            return 0.0
        _, nines = self._columns
        if threshold <= nines[-1]:
            return float(np.interp(threshold, nines, np.array(self.raises, dtype=np.float64))) / self.hours
        if self.tail is None:
            return 0.0
        return self.raises[-1] / self.hours * math.pow(10.0, float(nines[-1]) - threshold)


class QuantileTable(_Table):
    """Which score how many ordinary frames stay below, for scores that keep their own scale."""

    @classmethod
    def fit(cls, scores: npt.ArrayLike) -> QuantileTable:
        """The table for scores (n,) of ordinary frames; NaN is left out. ValueError when none is finite."""
        finite = _finite(np.asarray(scores, dtype=np.float64))
        levels, nines, _ = _rarity(finite)
        return cls(frames=len(finite), scores=tuple(levels.tolist()), nines=tuple(nines.tolist()))

    def at(self, share: float) -> float:
        """The score that this share (0 to 1) of ordinary frames stays below.

        ValueError when the share is no share, or when so few frames were seen that one above is not to be
        expected among them.
        """
        if not 0.0 <= share < 1.0:
            raise ValueError(f"a share of ordinary frames is from 0 to less than 1, not {share:g}")
        wanted = -math.log10(1.0 - share)
        if wanted > math.log10(self.frames) + 1e-9:
            raise ValueError(
                f"q{share * 100:.12g} is not known from {self.frames:,} ordinary frames: "
                f"the highest is q{100 - 100 / self.frames:.12g}"
            )
        levels, nines = self._columns
        return float(np.interp(wanted, nines, levels))


def _finite(raw: Floats) -> Floats:
    """The sorted scores that are there."""
    if raw.ndim != 1:
        raise ValueError(f"scores of ordinary frames are (n,), not {raw.shape}")
    if np.isinf(raw).any():
        raise ValueError("a score of an ordinary frame is infinite")
    finite: Floats = np.sort(raw[~np.isnan(raw)])
    if not len(finite):
        raise ValueError("there are no scores of ordinary frames to calibrate on")
    return finite


def _rarity(ordered: Floats) -> tuple[Floats, Floats, Integers]:
    """At most 64 scores, their nines, and how many frames score as high; evenly spaced in nines."""
    count = len(ordered)
    nines = np.linspace(0.0, min(math.log10(count), MOST_NINES), _POINTS)
    as_high = np.clip(np.round(count * 10.0**-nines).astype(np.int64), 1, count)
    levels = np.unique(ordered[count - as_high])
    # Equal scores share one rank: all that are as high count, whichever was picked.
    as_high = count - np.searchsorted(ordered, levels, side="left").astype(np.int64)
    exact = np.minimum(np.log10(count / as_high), MOST_NINES) + 0.0
    return levels, exact, as_high


def _at_least(ordered: Floats, levels: Floats, frames: int) -> int:
    """The last level that at least so many frames reach; the first when there are not so many."""
    as_high = len(ordered) - np.searchsorted(ordered, levels, side="left")
    return max(int(np.count_nonzero(as_high >= frames)) - 1, 0)


def _tail(ordered: Floats, levels: Floats, nines: Floats) -> float | None:
    """Score for one nine more beyond the last level; None when no frame lies above it.

    The mean excess of an exponential tail is its scale. It is taken above the last level and above the one
    a nine below it, and the larger counts: a tail that is heavier than it looks would promise too much.
    """
    scales = []
    for start in (len(levels) - 1, int(np.searchsorted(nines, nines[-1] - 1.0))):
        above = ordered[np.searchsorted(ordered, levels[start], side="right") :]
        if len(above):
            scales.append(float(np.mean(above - levels[start])) * math.log(10.0))
    scale = max(scales, default=0.0)
    return scale if scale > 0.0 and math.isfinite(scale) else None


def _gap(rate: float) -> float:
    """Frames within which exceedances are one raise."""
    if not (math.isfinite(rate) and rate > 0.0):
        raise ValueError(f"a frame rate is a positive number of frames per second, not {rate:g}")
    return rate * RUN_GAP_SECONDS


def _places(raw: Floats, groups: npt.ArrayLike | None) -> tuple[Integers, Integers]:
    """Number of each frame, and number of the stretch it is in."""
    if groups is None:
        return np.arange(len(raw)), np.zeros(len(raw), dtype=np.int64)
    group = np.asarray(groups)
    if group.shape != raw.shape:
        raise ValueError(f"{len(raw)} scores have groups {group.shape}")
    stretch = np.concatenate(([0], np.cumsum(group[1:] != group[:-1])))
    return np.arange(len(raw)), stretch.astype(np.int64)


def _separate(raw: Floats, level: float, place: Integers, stretch: Integers, gap: float | None) -> int:
    """How many runs of frames reach the level; without a gap, how many frames do."""
    with np.errstate(invalid="ignore"):
        reached = np.flatnonzero(raw >= level)
    if gap is None or len(reached) < 2:
        return len(reached)
    apart = (np.diff(place[reached]) > gap) | (np.diff(stretch[reached]) > 0)
    return 1 + int(np.count_nonzero(apart))
