"""Where to go: relative to now, to a position, to an instant or to a row, as a person types it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from gridtop.channels import ChannelSet
from gridtop.client import Transport

from . import times

Target = int | np.datetime64
"""A row or a time."""

EXAMPLES = "+90   -10   01:30   row 500   14:30:41Z   2026-01-01T14:30"

_RELATIVE = re.compile(r"([+-])\s*(\d+(?:\.\d+)?)\s*s?")
_POSITION = re.compile(r"(?:(\d{1,4}):)?(\d{1,4}):(\d{1,2}(?:\.\d{1,9})?)")
_OF_DAY = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}(?:\.\d{1,9})?))?\s*[zZ]")
_ROW = re.compile(r"(?:row\s*)?(\d{1,18})", re.IGNORECASE)
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?\s*[zZ]?")
_LONGEST = 1e9
"""Seconds that one jump may span: 30 years, well inside what a 64-bit time in nanoseconds holds."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where the replay stands, with what is needed to turn seconds into a row or a time."""

    row: int
    time: np.datetime64 | None
    first: np.datetime64 | None
    rate: float | None

    @classmethod
    def of(cls, transport: Transport, channels: ChannelSet | None) -> Position:
        """The position of a transport; a recording without a clock has rows only."""
        by_row = channels is not None and channels.clock == "row"
        time = None if by_row else times.instant(transport.time)
        first = None if by_row else times.instant(transport.first)
        return cls(transport.row, time, first, channels.rate if channels is not None else None)

    def moved(self, seconds: float) -> Target:
        """The place `seconds` later, or earlier when negative. Raises ValueError when nobody can tell."""
        return self._after(self.time, self.row, seconds)

    def since_start(self, seconds: float) -> Target:
        """The place `seconds` after the first frame. Raises ValueError when nobody can tell."""
        return self._after(self.first, 0, seconds)

    def _after(self, time: np.datetime64 | None, row: int, seconds: float) -> Target:
        if abs(seconds) > _LONGEST:
            raise ValueError("that is too far away")
        if time is not None:
            there: np.datetime64 = time.astype("datetime64[ns]") + np.timedelta64(round(seconds * 1e9), "ns")
            return there
        if self.rate:
            return max(0, row + round(seconds * self.rate))
        raise ValueError("this recording has neither times nor a rate: go to a row, such as row 500")


def parse(text: str, position: Position) -> Target:
    """The place a person means.

    `+90`, `-10`: seconds from here. `01:30`, `0:01:30`: since the start. `row 500` or `500`.
    `14:30:41Z`: that time of the day on show. `2026-01-01T14:30:41`: UTC.
    Raises ValueError that says what may be written.
    """
    text = text.strip()
    if match := _RELATIVE.fullmatch(text):
        return position.moved(float(match[1] + match[2]))
    if match := _POSITION.fullmatch(text):
        hours, minutes, seconds = int(match[1] or 0), int(match[2]), float(match[3])
        return position.since_start(hours * 3600 + minutes * 60 + seconds)
    if match := _ROW.fullmatch(text):
        return int(match[1])
    if match := _OF_DAY.fullmatch(text):
        return _instant(f"{_day(position)}T{int(match[1]):02}:{match[2]}:{match[3] or '00'}")
    if _ISO.fullmatch(text):
        return _instant(text.rstrip("zZ ").replace(" ", "T"))
    raise ValueError(f"write one of: {EXAMPLES}")


def _day(position: Position) -> str:
    if position.time is None:
        raise ValueError("this recording has no clock: go to a row, such as row 500")
    return times.date_of(position.time)


def _instant(text: str) -> np.datetime64:
    try:
        return np.datetime64(text, "ns")
    except ValueError:
        raise ValueError(f"there is no such time: {text}") from None
