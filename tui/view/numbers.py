"""Measured values as engineers read them: few digits, a metric prefix, and the unit."""

from __future__ import annotations

import math

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (0.0, ""))
_SCALABLE = frozenset(("V", "A", "W", "VA", "var", "ohm", "S"))
"""Units that take prefixes; Hz, pu, % and degrees are always written in full.

There are no small prefixes: 0.4 A is nothing on a line, and 400 mA looks like much.
"""
_LONGEST_FIXED = 1e7


def value_and_prefix(value: float, unit: str, digits: int) -> tuple[str, str]:
    """The number with `digits` significant digits, and its metric prefix: 131912 V is ("131.9", "k").

    Missing values are "--"; what no prefix brings to a readable length is written with an exponent.
    """
    if not math.isfinite(value):
        return ("--" if math.isnan(value) else f"{value:+}", "")
    rounded = float(f"{value:.{digits - 1}e}")
    if not rounded:
        return "0", ""
    scale, prefix = 1.0, ""
    if unit in _SCALABLE:
        scale, prefix = next(p for p in _PREFIXES if abs(rounded) >= p[0])
    scaled = rounded / (scale or 1.0)
    if abs(scaled) >= _LONGEST_FIXED:
        return f"{scaled:.{digits - 1}e}", prefix
    whole_digits = len(str(int(abs(scaled))))
    return f"{scaled:.{max(0, digits - whole_digits)}f}", prefix


def with_unit(value: float, unit: str, digits: int = 4) -> str:
    """`131.9 kV`, `59.984 Hz`, `0.912 pu`, `0.97` for a plain ratio, `--` when there is no value."""
    number, prefix = value_and_prefix(value, unit, digits)
    shown = "" if unit == "1" else unit
    return number if number == "--" else f"{number} {prefix}{shown}".rstrip()


def compact(value: float, unit: str, digits: int = 4) -> str:
    """The same without the unit, for narrow places: `131.9k`, `59.984`."""
    return "".join(value_and_prefix(value, unit, digits))


def short(number: int) -> str:
    """A count in five cells at most: `9999`, `35k`, `1.2M`."""
    if number < 10_000:
        return str(number)
    return f"{number / 1000:.0f}k" if number < 999_500 else f"{number / 1e6:.1f}M"


def size(count: float) -> str:
    """Bytes: `812 kB`, `12.3 MB`."""
    for scale, unit in ((1e9, "GB"), (1e6, "MB")):
        if count >= 0.9995 * scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1000:.0f} kB"
