"""STAT words and time quality, in words and as flags of quality (IEEE C37.118.2-2011, tables 4 and 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Flags, Quality

Health = Literal["good", "no_information", "test", "error"]

HEALTHS: tuple[Health, ...] = ("good", "no_information", "test", "error")
"""By bits 15 and 14."""

UNSYNCHRONISED, BY_ARRIVAL, TRIGGER, CHANGE, MODIFIED = 0x2000, 0x1000, 0x0800, 0x0400, 0x0200
"""Bits of STAT: clock not locked, sorted by arrival, trigger, configuration will change, post-processed."""

TRIGGER_REASONS = {
    0: "by hand",
    1: "magnitude low",
    2: "magnitude high",
    3: "angle difference",
    4: "frequency high or low",
    5: "rate of change of frequency",
    7: "digital input",
}
"""Bits 3 to 0; others are up to the user."""

_DO_NOT_USE, _NO_INFORMATION = 0x8000, 0x4000
_TIME_QUALITY, _UNLOCKED_TIME = 0x01C0, 0x0030
_HEALTH_WORDS = {
    "no_information": "PMU error, nothing is known about the data",
    "test": "test mode or absent data filled in: not to be used",
    "error": "PMU error: data not to be used",
}
_PMU_TIME = (
    "",
    "time within 100 ns",
    "time within 1 us",
    "time within 10 us",
    "time within 100 us",
    "time within 1 ms",
    "time within 10 ms",
    "time off by more than 10 ms, or nobody knows",
)
_UNLOCKED = ("less than 10 s", "10 to 100 s", "100 to 1000 s", "more than 1000 s")
_MESSAGE_TIME = (
    "1 ns",
    "10 ns",
    "100 ns",
    "1 us",
    "10 us",
    "100 us",
    "1 ms",
    "10 ms",
    "100 ms",
    "1 s",
    "10 s",
)
_FAILED = 0xF
_WORSE_THAN_1_MS = 8
"""From this code of the message's time quality on an angle is off by more than 20 degrees, perhaps."""


@dataclass(frozen=True, slots=True)
class StatusWord:
    """What a STAT word says, field by field. `time_quality` and `unlocked` are codes 0 to 7 and 0 to 3."""

    health: Health
    unsynchronised: bool
    by_arrival: bool
    trigger: bool
    change: bool
    modified: bool
    time_quality: int
    unlocked: int
    reason: int


def decode_status(word: int) -> StatusWord:
    """The fields of a STAT word."""
    return StatusWord(
        HEALTHS[word >> 14 & 3],
        bool(word & UNSYNCHRONISED),
        bool(word & BY_ARRIVAL),
        bool(word & TRIGGER),
        bool(word & CHANGE),
        bool(word & MODIFIED),
        word >> 6 & 7,
        word >> 4 & 3,
        word & 15,
    )


def describe_status(word: int) -> tuple[str, ...]:
    """What a STAT word says in words, the gravest first; empty when all is well."""
    status = decode_status(word)
    said = [_HEALTH_WORDS[status.health]] if status.health != "good" else []
    if status.unsynchronised:
        said.append(f"clock not synchronised, for {_UNLOCKED[status.unlocked]}")
    if status.time_quality:
        said.append(_PMU_TIME[status.time_quality])
    if status.by_arrival:
        said.append("sorted by arrival, not by time")
    if status.change:
        said.append("configuration will change within a minute")
    if status.trigger:
        reason = TRIGGER_REASONS.get(status.reason, f"reason {status.reason}")
        said.append(f"trigger: {reason}")
    if status.modified:
        said.append("modified by post-processing")
    return tuple(said)


def describe_trouble(word: int, time_quality: int = 0) -> tuple[str, ...]:
    """What a STAT word and the frame's time quality byte say is wrong, the gravest first.

    Trigger, post-processing and an announced change are nothing wrong.
    """
    if not word and not time_quality:
        return ()
    defects = word & (_DO_NOT_USE | _NO_INFORMATION | UNSYNCHRONISED | _UNLOCKED_TIME | BY_ARRIVAL)
    if word & UNSYNCHRONISED or word & _TIME_QUALITY == _TIME_QUALITY:
        defects |= word & _TIME_QUALITY
    said = describe_status(defects)
    if not defects & UNSYNCHRONISED and time_quality & 15 >= _WORSE_THAN_1_MS:
        said += describe_time_quality(time_quality & 15)
    return said


def describe_time_quality(byte: int) -> tuple[str, ...]:
    """What a frame's time quality byte says in words; empty when the clock is locked and all is well."""
    code = byte & 15
    said = []
    if code == _FAILED:
        said.append("clock failed: the time cannot be relied on")
    elif 1 <= code <= len(_MESSAGE_TIME):
        said.append(f"clock not locked, time within {_MESSAGE_TIME[code - 1]}")
    elif code:
        said.append(f"time quality {code:X}, which has no meaning")
    if byte & 0x10:
        said.append(f"a leap second will be {'deleted' if byte & 0x40 else 'inserted'}")
    if byte & 0x20:
        said.append("a leap second occurred within the last 24 h")
    return tuple(said)


def status_flags(words: npt.NDArray[np.uint16]) -> tuple[Flags, Flags]:
    """Of STAT words of any shape: the quality of all values, and that of angles besides.

    The trigger bit is no defect: some devices have it set for ever.
    """
    unusable = (words & _DO_NOT_USE) != 0
    values = np.where(unusable, Quality.BAD, 0)
    values |= np.where(~unusable & ((words & _NO_INFORMATION) != 0), Quality.SUSPECT, 0)
    values |= np.where((words & BY_ARRIVAL) != 0, Quality.LATE, 0)
    unlocked = ((words & UNSYNCHRONISED) != 0) | ((words & _TIME_QUALITY) == _TIME_QUALITY)
    angles = np.where(unlocked, Quality.UNSYNCHRONISED, 0)
    return values.astype(np.uint16), angles.astype(np.uint16)


def time_flags(bytes_: npt.NDArray[np.uint8]) -> Flags:
    """(n,) the quality of angles by the frames' time quality: bad when it may be more than 1 ms off."""
    flags: Flags = np.where((bytes_ & 15) >= _WORSE_THAN_1_MS, Quality.UNSYNCHRONISED, 0).astype(np.uint16)
    return flags
