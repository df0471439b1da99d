"""The devices of a source and what is counted of them, those with trouble first."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from gridtop.source_statistics import Statistics
from gridtop.tui.glyphs import Glyphs

_GROWING_SECONDS = 10.0
"""For how long an error counts as one of now."""
_BANDS = (0.5, 0.9, 0.99, 0.999, 1.0)
"""Devices are ordered by how complete their data are in steps, so that lines seldom change places."""
_ERRORS = ("device_errors", "no_information")
_TIME_ERRORS = ("time_errors",)
_AGES = ("seconds_since_data", "age")


@dataclass(frozen=True, slots=True)
class Device:
    """One device as it is now; its text is harmless already. A figure that is not counted is None."""

    key: str
    """Its name as it came."""
    name: str
    frames: float | None = None
    completeness: float | None = None
    """Share of the measurements that were there."""
    errors: float | None = None
    time_errors: float | None = None
    late: float | None = None
    """Frames that came too late to be aligned."""
    age: float | None = None
    """Seconds since it was heard of."""
    words: str = ""
    """What there is to say of it now."""
    errors_now: bool = False
    """Whether there are more errors than a moment ago."""
    time_errors_now: bool = False
    figures: tuple[tuple[str, float], ...] = ()
    """Everything that is counted, by harmless names."""

    @property
    def troubled(self) -> bool:
        """Whether somebody should look at it now."""
        return bool(self.words) or self.errors_now or self.time_errors_now

    @property
    def rank(self) -> tuple[object, ...]:
        """Its place in the list."""
        share = 1.0 if self.completeness is None else self.completeness
        band = sum(share >= least for least in _BANDS)
        return not self.words, not self.troubled, band, _by_number(self.name), self.key


class DeviceList:
    """What the source said last of how its data come."""

    def __init__(self, glyphs: Glyphs) -> None:
        self._glyphs = glyphs
        self._grown: dict[tuple[str, str], tuple[float, float]] = {}
        """The value of every count of errors, and when it was last seen to grow."""
        self.asked = False
        """Whether there was an answer."""
        self.counts = False
        """Whether the source counts anything."""
        self.problem = ""
        """Why nothing is known."""
        self.stream: tuple[tuple[str, float], ...] = ()
        self.devices: tuple[Device, ...] = ()
        self.revision = 0
        """Counts up whenever a picture of it may look different."""

    def take(self, statistics: Statistics | None, now: float) -> None:
        """Take in an answer that came at `now` (monotonic seconds)."""
        before = self._picture
        self.asked, self.counts, self.problem = True, statistics is not None, ""
        told = statistics or Statistics({})
        names = dict.fromkeys((*told.devices, *told.words))
        self._grown = {which: count for which, count in self._grown.items() if which[0] in names}
        self.stream = self._figures(told.stream)
        devices = (self._device(name, told, now) for name in names)
        self.devices = tuple(sorted(devices, key=lambda device: device.rank))
        self.revision += self._picture != before

    def refuse(self, reason: str) -> None:
        """The monitor could not say."""
        before = self._picture
        self.problem = self._glyphs.plain(reason)
        self.revision += self._picture != before

    def device(self, key: str) -> Device | None:
        """The device of this name, as long as there is one."""
        return next((device for device in self.devices if device.key == key), None)

    @property
    def _picture(self) -> object:
        return self.asked, self.counts, self.problem, self.stream, self.devices

    def _figures(self, figures: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
        return tuple((self._glyphs.plain(name), value) for name, value in figures.items())

    def _device(self, key: str, statistics: Statistics, now: float) -> Device:
        figures = statistics.devices.get(key, {})
        errors, time_errors = (_sum(figures, names) for names in (_ERRORS, _TIME_ERRORS))
        return Device(
            key,
            self._glyphs.plain(key),
            _sum(figures, ("frames",)),
            _completeness(figures),
            errors,
            time_errors,
            _sum(figures, ("late_frames",)),
            next((figures[name] for name in _AGES if name in figures), None),
            self._glyphs.plain(statistics.words.get(key, "")),
            self._grows(key, "errors", errors, now),
            self._grows(key, "time errors", time_errors, now),
            self._figures(figures),
        )

    def _grows(self, key: str, what: str, value: float | None, now: float) -> bool:
        """Whether a count grew lately. What was counted before the first look is of no time."""
        if value is None or not math.isfinite(value):
            return False
        before, at = self._grown.get((key, what), (value, -math.inf))
        at = now if value > before else at
        self._grown[key, what] = value, at
        return now - at < _GROWING_SECONDS


def _sum(figures: Mapping[str, float], names: tuple[str, ...]) -> float | None:
    found = [figures[name] for name in names if name in figures]
    return sum(found) if found else None


def _completeness(figures: Mapping[str, float]) -> float | None:
    if "completeness" in figures:
        return figures["completeness"]
    expected, missing = figures.get("measurements_expected"), figures.get("measurements_missing")
    if expected is None or missing is None:
        return None
    return 1 - missing / expected if expected > 0 else math.nan


def _by_number(name: str) -> tuple[tuple[int, str], ...]:
    """`R2` before `R10`: numbers within a name are ordered by their size."""
    parts = re.split("([0-9]+)", name)
    digits = [part.lstrip("0") for part in parts]
    return tuple((len(digits[i]), digits[i]) if i % 2 else (0, part) for i, part in enumerate(parts))
