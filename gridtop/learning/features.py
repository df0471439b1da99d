"""Features: the numbers a model is given for one place; training and monitoring compute the same."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from gridtop.blocks import DOUBTFUL, NO_VALUE, Block, Floats
from gridtop.channels import Channel, ChannelSet
from gridtop.errors import GridtopError
from gridtop.quantities.recent import Recent
from gridtop.site import Site

Statistic = Literal["value", "change", "range"]
Scope = Literal["line", "site"]

WHOLE_SITE = "site"
"""The place of a model that looks at all channels at once."""
Picked = tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
"""Which series are needed, and which of them each feature is made of."""
UNKNOWN_RATE = 30.0
"""Frames per second assumed of a stream that does not say."""
MOST_MISSING = 0.25
"""Share of its features that a frame may lack and still be judged."""
NO_LOG = -1.0
"""What a model is told of a log or breaker channel that is not there."""
_ROLES = ("near", "far", "line", "system", "any")


class Feature(BaseModel):
    """One number that a model is given.

    channel      the name of a channel. Of a model of lines it begins with a role instead of a place:
                 `near:voltage_pu.A` (the end at hand), `far:...` (the other end), `line:kvl_residual`,
                 `system:frequency_spread`; `near:breaker` is the channel that the site names for that
                 breaker, and `any:snort_log*` is the largest of all channels of such names
    statistic    the value now, its change over the window, or the range (largest less smallest) within it
    window       in seconds; 0 for `value`
    relative_to  for angles: the channel whose angle is taken off, round the circle
    inverse      take 1/x: an impedance is infinite on an open line, where an admittance is 0
    bound        the largest size it may have; what is beyond is cut off
    rated        divided by the rated current of the place
    optional     a channel that may be missing altogether, which the model is told as -1
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    channel: str
    statistic: Statistic = "value"
    window: float = Field(0.0, ge=0, le=60)
    unit: str = ""
    relative_to: str = ""
    inverse: bool = False
    bound: float | None = Field(None, gt=0)
    rated: bool = False
    optional: bool = False

    @property
    def name(self) -> str:
        """How it is called: `range over 1 s of near:voltage_pu.A`."""
        what = f"1/{self.channel}" if self.inverse else self.channel
        what += f" less {self.relative_to}" if self.relative_to else ""
        return what if self.statistic == "value" else f"{self.statistic} over {self.window:g} s of {what}"


@dataclass(frozen=True, slots=True)
class Place:
    """A line (or the whole site) that a model can judge.

    `columns` are for each feature the columns of the block that it is computed from (several for `any:`, none
    for an optional channel that is not there), `references` the column that is taken off, or -1, `factors`
    what it is multiplied by.
    """

    name: str
    near: str
    far: str
    columns: tuple[tuple[int, ...], ...]
    references: tuple[int, ...]
    factors: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Binding:
    """Where a list of features can be had in a stream, and for the other places, one line each, why not."""

    places: tuple[Place, ...]
    missing: tuple[str, ...]


def bind(
    features: Sequence[Feature],
    scope: Scope,
    channels: ChannelSet,
    site: Site,
    *,
    both_ways: bool = False,
    absolute_angles: bool = False,
) -> Binding:
    """The places of a stream where all features can be had.

    A line is seen from its first end; with `both_ways` from its second end as well (for training). Raises
    GridtopError for a feature that is an absolute angle, unless those are allowed: it turns with the
    frequency, so a model would learn the minute in which it was trained.
    """
    if scope == "site":
        candidates = [(WHOLE_SITE, "", "")]
    else:
        candidates = [(name, *line.ends) for name, line in site.lines.items()]
        if both_ways:
            candidates += [(name, far, near) for name, near, far in candidates]
    binder = _Binder(channels, site, absolute_angles)
    places: list[Place] = []
    missing: list[str] = []
    for name, near, far in candidates:
        lacking: list[str] = []
        place = binder.place(features, name, near, far, lacking)
        if lacking:
            missing.append(f"{name}: there is no {_few(lacking)}")
        else:
            places.append(place)
    if scope == "line" and not candidates:
        missing.append("the site describes no line (site.lines), and this model judges lines")
    return Binding(tuple(places), tuple(missing))


def wanted(features: Iterable[Feature]) -> tuple[str, ...]:
    """The globs of all channels and quantities that features may be computed from, at any place."""
    globs: dict[str, None] = {}
    for feature in features:
        for channel in filter(None, (feature.channel, feature.relative_to)):
            role, colon, rest = channel.partition(":")
            if not colon or role not in _ROLES:
                globs[channel] = None
            elif rest == "breaker":
                globs |= dict.fromkeys(("*_log*", "*status*", "*breaker*"))
            elif role == "any":
                globs[rest] = None
            else:
                globs[f"{role}:{rest}" if role == "system" else f"*:{rest}"] = None
    return tuple(globs)


class FeatureStream:
    """Computes the features of some places, block after block.

    Doubtful values count as missing. How the stream is cut changes no bit of the result.
    """

    def __init__(self, features: Sequence[Feature], places: Sequence[Place], rate: float | None) -> None:
        self._shape = (len(places), len(features))
        rate = rate or UNKNOWN_RATE
        self._series = _Series(features, places)
        self._plans: list[tuple[Statistic, int, npt.NDArray[np.intp], Picked]] = []
        kinds = [
            (f.statistic, 0 if f.statistic == "value" else max(1, round(f.window * rate))) for f in features
        ]
        for kind in dict.fromkeys(kinds):
            of_kind = np.array([i for i, other in enumerate(kinds) if other == kind], dtype=np.intp)
            targets = (np.arange(len(places))[:, None] * len(features) + of_kind).ravel()
            used, back = np.unique(self._series.rows[:, of_kind].ravel(), return_inverse=True)
            self._plans.append((*kind, targets, (used, back)))
        longest = max((frames for _, frames in kinds), default=0)
        self._recent: Recent[np.float64] = Recent(longest, np.float64(np.nan))
        self._longest = longest

    def __call__(self, block: Block) -> Floats:
        """(p, n, f) the features of the block's n frames at p places; NaN where something is missing."""
        if self._longest == 0 and len(self._plans) == 1 and self._series.are_columns:
            return self._series.columns(block)
        joined = self._recent.join(self._series(block))
        features = np.empty((self._shape[0] * self._shape[1], len(block)))
        for statistic, frames, targets, (used, back) in self._plans:
            part = joined[used, self._longest - frames :]
            features[targets] = _statistic(part, statistic, frames)[back]
        return np.ascontiguousarray(features.reshape(*self._shape, len(block)).transpose(0, 2, 1))


def fill(features: Floats, defaults: Floats) -> Floats:
    """(n, f) with missing features taken from `defaults` (f,); frames that lack too many are all NaN."""
    missing = np.isnan(features)
    if not missing.any():
        return features
    filled: Floats = np.where(missing, defaults, features)
    filled[np.count_nonzero(missing, axis=1) > MOST_MISSING * features.shape[1]] = np.nan
    return filled


class _Series:
    """The different series that features are statistics of, as rows over time."""

    def __init__(self, features: Sequence[Feature], places: Sequence[Place]) -> None:
        keys: dict[tuple[tuple[int, ...], int, float, bool, float, bool, bool], int] = {}
        self.rows = np.empty((len(places), len(features)), dtype=np.intp)
        for i, place in enumerate(places):
            for j, feature in enumerate(features):
                circular = feature.relative_to != ""
                key = (
                    place.columns[j],
                    place.references[j],
                    place.factors[j],
                    feature.inverse,
                    math.inf if feature.bound is None else feature.bound,
                    feature.optional,
                    circular and feature.unit == "rad",
                )
                self.rows[i, j] = keys.setdefault(key, len(keys))
        self._keys = tuple(keys)
        self._columns = sorted({c for key in keys for c in (*key[0], key[1]) if c >= 0})
        self._position = {column: i for i, column in enumerate(self._columns)}
        plain = [k for k, key in enumerate(keys) if key[1:] == (-1, 1.0, False, math.inf, False, False)]
        plain = [k for k in plain if len(self._keys[k][0]) == 1]
        self._plain = np.array(plain, dtype=np.intp)
        self._plain_from = np.array([self._position[self._keys[k][0][0]] for k in plain], dtype=np.intp)
        self.are_columns = len(places) == 1 and len(plain) == len(self._keys)
        """Whether the features are nothing but columns of the block, at one place."""
        self._chosen = [self._keys[k][0][0] for k in self.rows[0]] if self.are_columns else []
        self._special = [k for k in range(len(self._keys)) if k not in set(plain)]

    def columns(self, block: Block) -> Floats:
        """(1, n, f) features that are nothing but columns."""
        values, quality = block.values, block.quality
        if self._chosen != list(range(values.shape[1])):
            # Not `values[:, chosen]`: its columns would lie side by side in memory, and models take rows.
            values = np.take(values, self._chosen, axis=1)
            quality = None if quality is None else np.take(quality, self._chosen, axis=1)
        if quality is not None:
            # Where there is no value it is NaN already.
            doubtful = (quality & np.uint16(DOUBTFUL)) != 0
            if doubtful.any():
                values = np.where(doubtful, np.nan, values)
        return values[np.newaxis]

    def __call__(self, block: Block) -> Floats:
        """(s, n) the series in a block."""
        values = np.ascontiguousarray(block.values[:, self._columns].T)
        if block.quality is not None:
            flags = block.quality[:, self._columns].T
            values[(flags & np.uint16(DOUBTFUL | NO_VALUE)) != 0] = np.nan
        series = np.empty((len(self._keys), len(block)))
        series[self._plain] = values[self._plain_from]
        with np.errstate(divide="ignore", invalid="ignore"):
            for k in self._special:
                series[k] = self._made(k, values, len(block))
        return series

    def _made(self, k: int, values: Floats, frames: int) -> Floats:
        columns, reference, factor, inverse, bound, optional, radians = self._keys[k]
        if not columns:
            return np.full(frames, NO_LOG)
        made = values[self._position[columns[0]]]
        for column in columns[1:]:
            made = np.fmax(made, values[self._position[column]])
        if reference >= 0:
            turn = 2 * math.pi if radians else 360.0
            made = made - values[self._position[reference]]
            made = made - turn * np.rint(made / turn)
        if factor != 1.0:
            made = made * factor
        if inverse:
            made = 1.0 / made
        if math.isfinite(bound):
            made = np.clip(made, -bound, bound)
        if optional:
            made = np.where(np.isnan(made), NO_LOG, made)
        finite: Floats = np.where(np.isfinite(made), made, np.nan)
        return finite


def _statistic(series: Floats, statistic: Statistic, frames: int) -> Floats:
    """(s, n) of series (s, frames + n) with the frames before."""
    if statistic == "value":
        return series
    if statistic == "change":
        change: Floats = series[:, frames:] - series[:, : series.shape[1] - frames]
        return change
    return _sliding(series, frames + 1, np.fmax) - _sliding(series, frames + 1, np.fmin)


def _sliding(series: Floats, frames: int, extreme: np.ufunc) -> Floats:
    """(s, n) the extreme of each window of `frames` in series (s, frames - 1 + n), missing ones left out.

    By doubling: windows of 2, 4, 8, ... frames, then two that overlap.
    """
    width = 1
    while 2 * width <= frames:
        series = extreme(series[:, :-width], series[:, width:])
        width *= 2
    if width == frames:
        return series
    rest = frames - width
    overlapped: Floats = extreme(series[:, : series.shape[1] - rest], series[:, rest:])
    return overlapped


class _Binder:
    """Finds the columns of features in one stream."""

    def __init__(self, channels: ChannelSet, site: Site, absolute_angles: bool) -> None:
        self._channels, self._site, self._absolute_angles = channels, site, absolute_angles
        self._columns = {channel.name: i for i, channel in enumerate(channels)}

    def place(self, features: Sequence[Feature], name: str, near: str, far: str, lacking: list[str]) -> Place:
        columns: list[tuple[int, ...]] = []
        references: list[int] = []
        factors: list[float] = []
        for feature in features:
            found = self._found(feature.channel, name, near, far)
            if not found and not feature.optional:
                lacking.append(_named(feature.channel, name, near, far))
            reference = -1
            if feature.relative_to:
                other = self._found(feature.relative_to, name, near, far)
                if not other:
                    lacking.append(_named(feature.relative_to, name, near, far))
                reference = other[0] if other else -1
            elif not self._absolute_angles and any(
                _is_absolute_angle(self._channels[column]) for column in found
            ):
                raise GridtopError(
                    f"the feature {feature.name} is an absolute angle, which turns with the frequency and "
                    "says nothing about another recording; give it relative_to another angle"
                )
            factor = 1.0
            if feature.rated:
                rated = self._site.rated_current(far if feature.channel.startswith("far:") else near)
                if rated is None:
                    lacking.append(f"rated current of {name}")
                factor = 1.0 / (rated or 1.0)
            columns.append(found)
            references.append(reference)
            factors.append(factor)
        return Place(name, near, far, tuple(columns), tuple(references), tuple(factors))

    def _found(self, channel: str, name: str, near: str, far: str) -> tuple[int, ...]:
        role, _, rest = channel.partition(":")
        if role == "any":
            return tuple(i for n, i in self._columns.items() if fnmatchcase(n, rest))
        column = self._columns.get(_named(channel, name, near, far, self._site))
        return () if column is None else (column,)


def _named(channel: str, name: str, near: str, far: str, site: Site | None = None) -> str:
    """The channel's name at a place."""
    role, colon, rest = channel.partition(":")
    place = {"near": near, "far": far, "line": name}.get(role) if colon else None
    if not place:
        return channel
    if rest == "breaker":
        return (site.terminal(place).breaker if site else None) or f"{place}:breaker"
    return f"{place}:{rest}"


def _is_absolute_angle(channel: Channel) -> bool:
    return channel.part == "angle" and not channel.derived


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(dict.fromkeys(names[:3]))
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
