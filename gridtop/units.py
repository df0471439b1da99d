"""Numbers with units as people write them in a configuration: `100ms`, `230 kV`, `60 Hz`."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "min": 60_000_000, "h": 3_600_000_000}
_MICROSECONDS["d"] = 24 * _MICROSECONDS["h"]
_PREFIXES = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_DURATION = re.compile(rf"({_NUMBER})\s*(us|ms|s|min|m|h|d)")
_WITH_UNIT = re.compile(rf"({_NUMBER})\s*([a-zA-Z%]*)")


def parse_duration(value: Any) -> timedelta:
    """A duration from `100ms`, `10s`, `1.5 h`; 0 needs no unit.

    Raises ValueError for anything else, a number without a unit included: 10 of what?
    """
    if isinstance(value, timedelta):
        return value
    if value in (0, "0") and not isinstance(value, bool):
        return timedelta(0)
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise ValueError(
            f"{value!r} is not a duration; write a number with us, ms, s, m, h or d, such as 100ms"
        )
    try:
        duration = timedelta(microseconds=float(match[1]) * _MICROSECONDS[match[2]])
    except OverflowError:
        raise ValueError(f"{value!r} is longer than anyone will wait") from None
    if duration < timedelta(0):
        raise ValueError(f"a duration cannot be negative: {value!r}")
    return duration


def format_duration(duration: timedelta) -> str:
    """The shortest exact form that `parse_duration` reads: `100ms`, `10s`, `2h`."""
    microseconds = duration // timedelta(microseconds=1)
    for unit in ("d", "h", "m", "s", "ms"):
        if microseconds and microseconds % _MICROSECONDS[unit] == 0:
            return f"{microseconds // _MICROSECONDS[unit]}{unit}"
    return f"{microseconds}us" if microseconds else "0s"


def parse_quantity(value: Any, unit: str) -> float:
    """A number in `unit` from `230 kV`, `230000` or `0.4kA`; metric prefixes m, k, M, G.

    Raises ValueError when the text is no number or carries another unit.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    match = _WITH_UNIT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is not None:
        prefix = match[2].removesuffix(unit) if match[2].endswith(unit) else (match[2] or None)
        if prefix is None:
            return float(match[1])
        if prefix in _PREFIXES and match[2].endswith(unit):
            return float(match[1]) * _PREFIXES[prefix]
    raise ValueError(f"{value!r} is not a number of {unit}; write it like 1 k{unit} or 1000")


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, when_used="json"),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["100ms", "10s", "2h"]}),
]
"""A duration written with its unit: `100ms`."""


def _in_unit(unit: str) -> tuple[BeforeValidator, WithJsonSchema]:
    schema = {"type": ["string", "number"], "description": f"a number of {unit}, with or without its unit"}
    return BeforeValidator(lambda value: parse_quantity(value, unit)), WithJsonSchema(schema)


_volts, _amperes, _hertz = _in_unit("V"), _in_unit("A"), _in_unit("Hz")
Volts = Annotated[float, _volts[0], _volts[1]]
Amperes = Annotated[float, _amperes[0], _amperes[1]]
Hertz = Annotated[float, _hertz[0], _hertz[1]]
