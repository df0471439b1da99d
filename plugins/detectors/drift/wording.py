"""What an operator reads of a drift: which value, since when, how fast, and when it reaches its threshold."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from gridtop.api import Channel

from .trend import Crossing

_MINUTE_S, _HOUR_S, _DAY_S = 60.0, 3600.0, 86_400.0


class Axis(NamedTuple):
    """What positions count: nanoseconds of measurement time, or rows where a stream has no time."""

    has_time: bool

    def moment(self, position: int) -> str:
        """`2026-01-01T10:00:00Z`, or `row 36000`."""
        if not self.has_time:
            return f"row {position}"
        return f"{np.datetime_as_string(np.datetime64(position, 'ns'), unit='s')}Z"

    def slope(self, per_position: float, unit: str, span: float) -> str:
        """`0.02 ohm a day`, `0.02 ohm an hour` for what has lasted less than three, or in 1000 frames."""
        if not self.has_time:
            return f"{_two_figures(per_position * 1000.0)}{_after(unit)} in 1000 frames"
        long, length, word = span / 1e9 >= 3.0 * _HOUR_S, _HOUR_S, "an hour"
        if long:
            length, word = _DAY_S, "a day"
        return f"{_two_figures(per_position * length * 1e9)}{_after(unit)} {word}"

    def wait(self, crossing: Crossing) -> str:
        """`31 days (90 % interval 26 to 39 days)`."""
        length, word = self._unit(crossing.expected)
        earliest, expected, latest = (_amount(part / length) for part in crossing)
        return f"{expected} {word} (90 % interval {earliest} to {latest} {word})"

    def _unit(self, length: float) -> tuple[float, str]:
        if not self.has_time:
            return 1.0, "frames"
        seconds = length / 1e9
        if seconds >= 2.0 * _DAY_S:
            return _DAY_S * 1e9, "days"
        if seconds >= 2.0 * _HOUR_S:
            return _HOUR_S * 1e9, "hours"
        return _MINUTE_S * 1e9, "minutes"


def subject(channel: Channel) -> str:
    """`L1 line resistance`, `R1 A voltage`, or the name of a channel that stands at no place."""
    if not channel.derived or not channel.terminal:
        return channel.name
    words = channel.quantity.removesuffix("_pu").replace("_", " ").replace("vt ", "VT ")
    return " ".join(part for part in (channel.terminal, channel.phase, words) if part)


def change(now: float, usual: float, unit: str) -> str:
    """`3.90 ohm (usually 3.70)`, with as many decimals as the difference takes for two figures."""
    apart = abs(now - usual)
    decimals = min(max(1 - math.floor(math.log10(apart)), 0), 12) if apart > 0 else 3
    return f"{now:.{decimals}f}{_after(unit)} (usually {usual:.{decimals}f})"


def level(value: float, unit: str) -> str:
    """A threshold as it was written: `4.5 ohm`."""
    return f"{value:g}{_after(unit)}"


def _after(unit: str) -> str:
    return "" if unit in ("", "1") else f" {unit}"


def _two_figures(value: float) -> str:
    return str(np.format_float_positional(abs(value), precision=2, fractional=False, trim="-"))


def _amount(value: float) -> str:
    return f"{value:.0f}" if value >= 10 or value == 0 else f"{value:.1f}"
