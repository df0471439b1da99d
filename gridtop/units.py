"""Numbers with units as people write them in a configuration: `100ms`, `230 kV`, `60 Hz`."""

from __future__ import annotations

import cmath
import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000, "m": 60_000_000, "min": 60_000_000, "h": 3_600_000_000}
_MICROSECONDS["d"] = 24 * _MICROSECONDS["h"]
_PREFIXES = {"": 1.0, "u": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_DURATION = re.compile(rf"({_NUMBER})\s*(us|ms|s|min|m|h|d)")
_WITH_UNIT = re.compile(rf"({_NUMBER})\s*([a-zA-Z%/]*)")


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
    """A number in `unit` from `230 kV`, `230000` or `0.4kA`; metric prefixes u, m, k, M, G.

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


def parse_impedance(value: Any) -> complex:
    """A complex number of ohm from `3.7+37j`, `3.7 + j37 ohm`, a number, or a list of two.

    Raises ValueError when it is none, or not finite.
    """
    if isinstance(value, (list, tuple)) and len(value) == 2:
        value = complex(*value)
    if isinstance(value, str):
        text = re.sub(r"\s+|ohms?$", "", value.strip()).replace("i", "j")
        text = re.sub(r"j([0-9.]+(?:[eE][+-]?[0-9]+)?)$", r"\1j", text)
        try:
            value = complex(text)
        except ValueError:
            raise ValueError(f"{value!r} is not an impedance; write it in ohm like 3.7+37j") from None
    if isinstance(value, bool) or not isinstance(value, (int, float, complex)) or not cmath.isfinite(value):
        raise ValueError(f"{value!r} is not an impedance; write it in ohm like 3.7+37j")
    return complex(value)


def format_impedance(value: complex) -> str:
    """The form `parse_impedance` reads: `3.7+37j`."""
    return f"{value.real:.12g}{value.imag:+.12g}j"


_volts, _amperes, _hertz = _in_unit("V"), _in_unit("A"), _in_unit("Hz")
_volt_amperes, _siemens, _metres, _beta = _in_unit("VA"), _in_unit("S"), _in_unit("m"), _in_unit("W/Hz")
Volts = Annotated[float, _volts[0], _volts[1]]
Amperes = Annotated[float, _amperes[0], _amperes[1]]
Hertz = Annotated[float, _hertz[0], _hertz[1]]
VoltAmperes = Annotated[float, _volt_amperes[0], _volt_amperes[1]]
Siemens = Annotated[float, _siemens[0], _siemens[1]]
Metres = Annotated[float, _metres[0], _metres[1]]
WattsPerHertz = Annotated[float, _beta[0], _beta[1]]
Ohms = Annotated[
    complex,
    BeforeValidator(parse_impedance),
    PlainSerializer(format_impedance, when_used="json"),
    WithJsonSchema({"type": ["string", "number"], "description": "an impedance in ohm, such as 3.7+37j"}),
]
"""A complex impedance."""
