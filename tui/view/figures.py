"""The figures that a source counts, in words: a name tells whether it is a span, a share or a number."""

from __future__ import annotations

import math

from . import numbers
from .link_words import span

_SPANS = ("age", "jitter", "offset")
_RATES = ("rate", "defined_rate")
_SPANS_BEGIN, _SPANS_END = ("latency", "seconds"), ("seconds", "age")


def figure_words(name: str, value: float) -> str:
    """`35120`, `23 ms`, `99.98 %`; `--` when it is not known."""
    if not math.isfinite(value):
        return "--"
    if name == "completeness":
        return share(value)
    if name == "bytes":
        return numbers.size(value)
    if name in _RATES:
        return f"{value:.4g}/s"
    if name == "last_status":  # a word of bits, which nobody reads as a number
        return f"0x{int(value):04X}"
    if isinstance(value, float):
        is_span = name in _SPANS or name.startswith(_SPANS_BEGIN) or name.endswith(_SPANS_END)
        return seconds(value) if is_span else f"{value:.6g}"
    return str(value)


def name_words(name: str) -> str:
    """`bad_crc` as `bad crc`."""
    return name.replace("_", " ")


def seconds(value: float) -> str:
    """`23 ms`, `2.3 s`, `12 s`, `3 min`; a clock that is ahead makes them negative."""
    size, sign = abs(value), "-" if value < 0 else ""
    if not math.isfinite(value):
        return "--"
    if size < 0.9995:
        return f"{sign}{size * 1000:.0f} ms"
    return f"{sign}{size:.1f} s" if size < 9.95 else sign + span(size)


def age(value: float) -> str:
    """How long ago something came; what came within the last second is as good as now."""
    return "<1 s" if 0 <= value < 1 else seconds(value)


def share(value: float) -> str:
    """A share as a percentage, which is 100 only when nothing lacks."""
    if not math.isfinite(value):
        return "--"
    return f"{value:.0%}".replace("%", " %") if value in (0, 1) else f"{math.floor(value * 1e4) / 100:.2f} %"
