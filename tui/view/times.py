"""Times on the screen: UTC of the data, and how far a recording has played."""

from __future__ import annotations

import numpy as np

_SECOND = 1_000_000_000


def nanoseconds(time: np.datetime64) -> int:
    """Nanoseconds since 1970."""
    return int(time.astype("datetime64[ns]").astype(np.int64))


def instant(time: np.datetime64 | None) -> np.datetime64 | None:
    """The time, or None when it is missing or not a time (NaT)."""
    return None if time is None or np.isnat(time) else time


def time_of_day(time: np.datetime64, decimals: int) -> str:
    """UTC time of day, cut (not rounded) to some decimals: 14:30:41.2."""
    text = str(np.datetime_as_string(time.astype("datetime64[ns]")))[11:29]
    return text[: 9 + decimals] if decimals else text[:8]


def date_of(time: np.datetime64) -> str:
    """UTC date: 2026-01-01."""
    return str(np.datetime_as_string(time.astype("datetime64[D]")))


def elapsed(span: int, longest: int) -> str:
    """A span of nanoseconds as 00:41 or, when the longest one is an hour or more, as 0:00:41."""
    sign, seconds = ("-" if span < 0 else ""), abs(span) // _SECOND
    minutes, seconds = divmod(seconds, 60)
    if longest < 3600 * _SECOND:
        return f"{sign}{minutes:02}:{seconds:02}"
    return f"{sign}{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def whole_seconds(span: int) -> int:
    """A span of nanoseconds rounded to seconds: 9000 frames at 30 a second are five minutes, not 4:59.97."""
    return round(span / _SECOND) * _SECOND
