"""From the columns of a file to channels: the `channels:` section and the naming schemes known without it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, get_args

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gridtop.blocks import Floats
from gridtop.channels import Channel, Part, Reference
from gridtop.text import clean

TimeUnit = Literal["s", "ms", "us", "ns", "iso"]
Phase = Literal["", "A", "B", "C", "AB", "BC", "CA", "+", "-", "0"]

_PREFIXES = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
_PREFIXED = ("V", "A", "Hz/s", "Hz", "ohm", "W", "var", "VA")
_ANYWHERE = ("", "pu", "%")
_UNITS = {
    "voltage": ("V", "deg"),
    "current": ("A", "deg"),
    "impedance": ("ohm", "deg"),
    "frequency": ("Hz",),
    "rocof": ("Hz/s",),
    "power": ("W", "var", "VA"),
    "voltage_harmonic": ("V", "deg"),
    "current_harmonic": ("A", "deg"),
}
"""The units that a quantity can have, its default first; other quantities take any."""


_HARMONICS = ("voltage_harmonic", "current_harmonic")


def base_unit(unit: str) -> tuple[str, float]:
    """The unit that channels carry and the factor into it: `kV` gives (`V`, 1000.0), `rad` (`deg`, 57.3).

    A unit without a base (`pu`, `degC`) comes back as it is.
    """
    if unit == "rad":
        return "deg", 180.0 / math.pi
    for base in _PREFIXED:
        if unit.endswith(base) and unit.removesuffix(base) in _PREFIXES:
            return base, _PREFIXES[unit.removesuffix(base)]
    return unit, 1.0


def _phase(value: Any) -> Any:
    """YAML reads the zero sequence as the number 0."""
    return "0" if value == 0 and not isinstance(value, bool) else value


class ChannelMeaning(BaseModel):
    """What the columns under one glob of the `channels:` section mean.

    A value of the file becomes `value * scale + offset`, in `unit`; prefixed units and radians are then
    converted, so that channels carry V, A, Hz, ohm, W and deg.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantity: str = Field(
        "",
        pattern="^([a-z][a-z0-9_]*)?$",
        description="voltage, current, frequency, rocof, impedance, power, status, log, time, label, "
        "or a word of your own in lower case",
    )
    unit: str = Field(
        "", description="V, kV, A, kA, Hz, mHz, deg, rad, ohm, pu, %, ...; of a time: s, ms, us, ns or iso"
    )
    scale: float = Field(1.0, description="multiplies the value in the file", allow_inf_nan=False)
    offset: float = Field(0.0, description="is added after scaling", allow_inf_nan=False)
    invalid: tuple[float, ...] = Field(
        (), description="numbers in the file, before scaling, that stand for an error: [-327.68]"
    )
    terminal: str = Field("", description="the measuring point, such as R1")
    phase: Annotated[Phase, BeforeValidator(_phase)] = Field(
        "", description="A, B, C, AB, BC, CA, or a sequence component +, -, 0"
    )
    part: Part | None = Field(
        None, description="magnitude, angle, value or status; worked out when left away"
    )
    reference: Reference = Field("", description="of a voltage: line_to_line or line_to_neutral")
    order: int = Field(0, ge=0, le=200, description="of a harmonic: 5 is the fifth")
    ignore: bool = Field(False, description="leave the column out")

    @model_validator(mode="after")
    def _agree(self) -> ChannelMeaning:
        if self.ignore:
            return self
        if not self.quantity:
            raise ValueError("say which quantity it is, or ignore: true")
        if self.quantity == "time":
            if self.unit and self.unit not in get_args(TimeUnit):
                raise ValueError(f"a time is in s, ms, us, ns or iso, not {self.unit!r}")
        elif (allowed := _UNITS.get(self.quantity)) and base_unit(self.unit)[0] not in (*allowed, *_ANYWHERE):
            raise ValueError(f"{self.quantity} is in {', '.join(allowed)}, pu or %, not {self.unit!r}")
        if self.quantity in _HARMONICS and self.order < 2:
            raise ValueError("order: say which harmonic it is, 2 or more")
        if self.order and self.quantity not in _HARMONICS:
            raise ValueError("order: only a voltage_harmonic or a current_harmonic has one")
        if self.reference and self.quantity != "voltage":
            raise ValueError("only a voltage has a reference")
        return self

    def channel(self, name: str) -> Channel:
        """The channel that a column called `name` becomes."""
        unit, _ = base_unit(self.unit)
        part = self.part or self._usual_part(unit)
        if not unit and self.quantity in _UNITS:
            unit = "deg" if part == "angle" else _UNITS[self.quantity][0]
        reference = self.reference
        if not reference and self.quantity == "voltage" and self.phase in ("AB", "BC", "CA"):
            reference = "line_to_line"
        return Channel(
            name, self.quantity, unit, self.terminal, self.phase, part, reference, order=self.order
        )

    def _usual_part(self, unit: str) -> Part:
        if unit == "deg":
            return "angle"
        if self.quantity in ("status", "log"):
            return "status"
        return "magnitude" if self.quantity in ("voltage", "current", "impedance", *_HARMONICS) else "value"


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """Which column of the file holds the time, and in what unit; None is found out from the first cell."""

    position: int
    unit: TimeUnit | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """What becomes of the columns of one file.

    names      every column's name, cleaned, in the order of the file
    channels   k channels, and for each its column in `positions`, and (k,) `scales` and `offsets`:
               a channel's value is the file's value * scale + offset
    labels     label name to column
    time       the time column, or None when the rows carry no time
    invalid    for each channel the numbers of the file that stand for an error; empty when there are none
    """

    names: tuple[str, ...]
    channels: tuple[Channel, ...]
    positions: tuple[int, ...]
    scales: Floats
    offsets: Floats
    labels: dict[str, int]
    time: TimeColumn | None
    invalid: tuple[tuple[float, ...], ...] = ()


class ChannelMap:
    """The `channels:` section: glob on the column name to meaning, the first match wins.

    What no glob matches is left to the built-in schemes: the PMU naming of the public attack data
    (docs/recordings.md) and the usual names of a time column. The rest become channels of quantity `other`.
    """

    def __init__(self, meanings: Mapping[str, ChannelMeaning] | None = None) -> None:
        self._meanings = dict(meanings or {})

    def resolve(self, columns: Sequence[str]) -> Columns:
        """What the columns with these names become.

        Raises ValueError with the reason when two used columns share a name, two are mapped to time, or no
        channel is left.
        """
        names = column_names(columns)
        mapped = [self.meaning(name) for name in names]
        time = _time_column(names, mapped)
        labels: dict[str, int] = {}
        truth = "marker" in names
        channels: list[tuple[int, ChannelMeaning]] = []
        seen: dict[str, int] = {}
        for position, (name, given) in enumerate(zip(names, mapped, strict=True)):
            meaning = given or (_LABEL if truth and name in _GROUND_TRUTH else built_in(name))
            if meaning.ignore or (time is not None and position == time.position):
                continue
            if (first := seen.setdefault(name, position)) != position:
                raise ValueError(f"two columns are called {name!r} (columns {first + 1} and {position + 1})")
            if meaning.quantity == "label":
                labels[name] = position
            else:
                channels.append((position, meaning))
        if not channels:
            raise ValueError("no column is a channel: all are time, labels or ignored")
        factors = np.array([base_unit(meaning.unit)[1] for _, meaning in channels])
        return Columns(
            names=names,
            channels=tuple(meaning.channel(names[position]) for position, meaning in channels),
            positions=tuple(position for position, _ in channels),
            scales=factors * [meaning.scale for _, meaning in channels],
            offsets=factors * [meaning.offset for _, meaning in channels],
            invalid=tuple(meaning.invalid for _, meaning in channels),
            labels=labels,
            time=time,
        )

    def meaning(self, name: str) -> ChannelMeaning | None:
        """What the section says of a column; None when no glob matches it."""
        for pattern, meaning in self._meanings.items():
            if name == pattern or fnmatchcase(name, pattern):
                return meaning
        return None


def column_names(columns: Sequence[str]) -> tuple[str, ...]:
    """Harmless names for the columns of a header; a blank one becomes `column 5`, counted from 1."""
    tidy = (clean(" ".join(column.split())) for column in columns)
    return tuple(name or f"column {number}" for number, name in enumerate(tidy, start=1))


def _time_column(names: Sequence[str], mapped: Sequence[ChannelMeaning | None]) -> TimeColumn | None:
    given = [
        i for i, meaning in enumerate(mapped) if meaning and not meaning.ignore and meaning.quantity == "time"
    ]
    if len(given) > 1:
        raise ValueError(f"{names[given[0]]!r} and {names[given[1]]!r} are both mapped to time; keep one")
    if given:
        meaning = mapped[given[0]]
        unit = next((unit for unit in get_args(TimeUnit) if meaning and unit == meaning.unit), None)
        return TimeColumn(given[0], unit)
    usual = (i for i, name in enumerate(names) if mapped[i] is None and name.lower() in _TIME_NAMES)
    return next((TimeColumn(position) for position in usual), None)


# The PMU naming of the public power-system attack data of Mississippi State University and Oak Ridge: per
# relay the phasors PA1..PA12 (angle) and PM1..PM12 (magnitude), frequency, its slope, apparent impedance and
# a status word; the feature list that comes with it writes VH and V for currents too, and `R1-F`.
_TIME_NAMES = frozenset(
    {"time", "timestamp", "datetime", "date_time", "date time", "time_utc", "utc", "epoch"}
)
_PHASOR = re.compile(r"(?P<terminal>.+)-P(?P<kind>[AM])(?P<number>[1-9]|1[0-2]):[VI]H?")
_PHASES: tuple[Phase, ...] = ("A", "B", "C", "A", "B", "C", "+", "-", "0", "+", "-", "0")
_SINGLE = re.compile(r"(?P<terminal>.+?)(?P<what>[-:](?:DF|F|S)|-PA:ZH?)")
_SINGLES: dict[str, tuple[str, str]] = {
    "F": ("frequency", "Hz"),
    "DF": ("rocof", "Hz/s"),
    "S": ("status", ""),
    "PA:Z": ("impedance", "ohm"),
    "PA:ZH": ("impedance", "rad"),
}
_LABEL = ChannelMeaning(quantity="label")
_GROUND_TRUTH = frozenset({"phase", "spoofed"})
"""Beside a `marker`, as `gridtop simulate --labels full` writes them, these are labels too."""
_LOG = re.compile(r"(?:control_panel_log|snort_log|relay(?=\d+_log))(?P<number>\d+)(?:_log)?")


def built_in(name: str) -> ChannelMeaning:
    """What a column means by its name alone: `other` when no scheme knows it."""
    if match := _PHASOR.fullmatch(name):
        number = int(match["number"])
        voltage = number <= 3 or 7 <= number <= 9
        return ChannelMeaning(
            quantity="voltage" if voltage else "current",
            unit="deg" if match["kind"] == "A" else ("V" if voltage else "A"),
            terminal=match["terminal"],
            phase=_PHASES[number - 1],
            reference="line_to_neutral" if voltage else "",
        )
    if match := _SINGLE.fullmatch(name):
        quantity, unit = _SINGLES[match["what"][1:]]
        return ChannelMeaning(quantity=quantity, unit=unit, terminal=match["terminal"])
    if match := _LOG.fullmatch(name):
        return ChannelMeaning(quantity="log", terminal=f"R{match['number']}")
    return ChannelMeaning(quantity="label" if name == "marker" else "other")
