"""The configuration of a COMTRADE record (CFG), vendors' deviations included.

IEEE C37.111-1991, -1999 and -2013 (IEC 60255-24). Every mistake names file, line and field.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date
from typing import Literal, NoReturn, get_args

import numpy as np

from gridtop.errors import SourceError
from gridtop.text import clean

Encoding = Literal["ASCII", "BINARY", "BINARY32", "FLOAT32"]

FASTEST = 1e8
"""Samples per second beyond which a rate is a mistake: times are kept in nanoseconds."""
_LONGEST_SECONDS = 1e9
_LINE_END = re.compile(r"\r\n|\r|\n")
_PADDING = "\x1a\x00 \t\r\n"
"""What vendors fill the end of a file with: Ctrl-Z above all."""
_COUNT = re.compile(r"(\d{1,6})\s*([AaDd])")
_DATE = re.compile(r"(\d{1,4})[/.-](\d{1,2})[/.-](\d{1,4})")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.:](\d{1,12}))?")
_ZONE = re.compile(r"([+-]?)(\d{1,2})(?:[hH:](\d{1,2})?)?")
_ANALOG_FIELDS = 10
_MICROSECOND, _NANOSECOND = 1_000, 1
_FIRST_TWO_DIGIT_YEAR = 70
"""92 is 1992, 07 is 2007."""


@dataclass(frozen=True, slots=True)
class AnalogChannel:
    """One analog channel as the CFG describes it.

    A value of the DAT becomes (value * `scale` + `offset`) * `ratio`, in `unit` of the primary side; `ratio`
    is primary / secondary where the values are secondary (PS is S) and both are given, else 1. `skew` is how
    many seconds after the sample's time the channel was sampled. `low` and `high` bound the raw values.
    """

    name: str
    phase: str
    component: str
    unit: str
    scale: float
    offset: float
    ratio: float
    skew: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class DigitalChannel:
    """One status channel."""

    name: str
    phase: str
    component: str


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of samples at one rate per second, up to sample number `last` (from 1)."""

    rate: float
    last: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a CFG says.

    `frequency` is the nominal one in Hz, None when the file gives none. `sections` is empty when the time of
    each sample is its stamp; then a stamp counts `stamp_nanoseconds`. `samples` is the number of samples that
    the file claims, None when it does not say. `start` is UTC, None for a record without a clock.
    """

    shown: str
    station: str
    device: str
    revision: int
    analogs: tuple[AnalogChannel, ...]
    digitals: tuple[DigitalChannel, ...]
    frequency: float | None
    sections: tuple[Section, ...]
    samples: int | None
    start: np.datetime64 | None
    encoding: Encoding
    stamp_nanoseconds: float


def decoded(data: bytes) -> str:
    """Text in UTF-8, with or without byte order mark, or else Latin-1, which relays like."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def read_header(data: bytes, shown: str, first_line: int = 1, encoding: str = "") -> Header:
    """The header in the bytes of a CFG.

    `shown` is what messages call the file, `first_line` the number of its first line there, `encoding` what
    the head of a .cff says, for a CFG that does not. Raises SourceError with line and field.
    """
    return _Reader(_LINE_END.split(decoded(data).rstrip(_PADDING)), shown, first_line).header(encoding)


class _Reader:
    """Goes through the lines of a CFG once."""

    def __init__(self, lines: list[str], shown: str, first_line: int) -> None:
        self._lines = lines
        self._shown = shown
        self._first = first_line
        self._next = 0
        self._fields: list[str] = []

    def header(self, encoding: str) -> Header:
        self._advance("station, device and revision")
        station, device, revision = self._station()
        self._advance("the numbers of channels")
        analog_count, digital_count = self._counts()
        analogs = tuple(self._analog(analog_count) for _ in range(analog_count))
        digitals = tuple(self._digital(digital_count) for _ in range(digital_count))
        self._advance("the nominal frequency")
        frequency = self._number(0, "frequency", 0.0)
        if not 0 <= frequency <= 1000:
            self._wrong("frequency", f"{frequency:g} Hz is no nominal frequency; write 50 or 60")
        self._advance("the number of sampling rates")
        sections, samples = self._sections()
        start, unit = self._instant("time of the first sample", revision)
        if self._is_date():
            _, trigger_unit = self._instant("time of the trigger", revision)
            unit = min(unit, trigger_unit)
        encoded = self._encoding(encoding)
        factor = 1.0
        if self._more():
            self._advance("the time factor")
            factor = self._number(0, "time factor", 1.0)
            if not 0 < factor < 1e12:
                self._wrong("time factor", f"{factor:g} is not a factor for time stamps; write 1")
        if start is not None and revision >= 2013 and self._more():
            start -= self._offset_from_utc()
        return Header(
            self._shown, station, device, revision, analogs, digitals, frequency or None, sections, samples,
            start, encoded, factor * unit,
        )  # fmt: skip

    def _station(self) -> tuple[str, str, int]:
        fields = self._fields
        revision = 1991
        if len(fields) > 2 and fields[-1]:
            text = fields[-1]
            if not re.fullmatch(r"[0-9]{4}", text):
                self._wrong("revision", f"{clean(text)!r} is not a year; write 1991, 1999 or 2013")
            revision = 2013 if int(text) >= 2013 else 1999 if int(text) > 1991 else 1991
        return fields[0], fields[1] if len(fields) > 1 else "", revision

    def _counts(self) -> tuple[int, int]:
        counts = {"a": 0, "d": 0}
        for field in self._fields:
            if match := _COUNT.fullmatch(field):
                counts[match[2].lower()] = int(match[1])
        if not (counts["a"] or counts["d"]):
            told = clean(",".join(self._fields))
            self._wrong("channels", f"{told!r} counts no channels; write total,#A,#D such as 8,6A,2D")
        lines = len(self._lines) - self._next
        if counts["a"] + counts["d"] > lines:
            self._wrong(
                "channels",
                f"{counts['a']} analog and {counts['d']} digital channels, but only {lines} lines follow",
            )
        return counts["a"], counts["d"]

    def _analog(self, count: int) -> AnalogChannel:
        self._advance("an analog channel")
        fields = self._fields
        if len(fields) < 7:
            self._wrong(
                "a",
                f"an analog channel has at least {_ANALOG_FIELDS} fields, this line has {len(fields)}; "
                f"line {self._first + 1} counts {count} analog channels",
            )
        scale = self._number(5, "a", None)
        ratio = 1.0
        if self._text(12).lower() == "s":
            primary, secondary = self._number(10, "primary", 0.0), self._number(11, "secondary", 0.0)
            if primary > 0 and secondary > 0:
                ratio = primary / secondary
        return AnalogChannel(
            self._text(1), self._text(2), self._text(3), self._text(4), scale,
            self._number(6, "b", 0.0), ratio, self._number(7, "skew", 0.0) * 1e-6,
            self._number(8, "min", -math.inf), self._number(9, "max", math.inf),
        )  # fmt: skip

    def _digital(self, count: int) -> DigitalChannel:
        self._advance("a status channel")
        if len(self._fields) >= _ANALOG_FIELDS - 1 or len(self._fields) < 2:
            self._wrong(
                "name",
                f"this is no status channel; line {self._first + 1} counts {count} of them behind the analog",
            )
        old = len(self._fields) <= 3  # 1991: number, name, normal state
        return DigitalChannel(self._text(1), "" if old else self._text(2), "" if old else self._text(3))

    def _sections(self) -> tuple[tuple[Section, ...], int | None]:
        """The rates, none when stamps decide, and the number of samples that the file claims."""
        count = self._whole(0, "number of sampling rates")
        if count > 999:
            self._wrong("number of sampling rates", f"{count} is more than the 999 that the standard allows")
        sections: list[Section] = []
        last = 0
        for _ in range(max(1, count)):
            if count == 0 and self._is_date():
                break
            self._advance("a sampling rate")
            rate = self._number(0, "rate", 0.0)
            if not 0 <= rate <= FASTEST:
                self._wrong("rate", f"{rate:g} samples per second cannot be")
            before, last = last, self._whole(1, "last sample")
            if last < before:
                self._wrong("last sample", f"{last} comes after {before}; sample numbers rise")
            if rate and (last - before) / rate > _LONGEST_SECONDS:
                self._wrong("rate", f"{last - before} samples at {rate:g} per second last over 30 years")
            sections.append(Section(rate, last))
        stamped = count == 0 or any(section.rate == 0 for section in sections)
        return () if stamped else tuple(sections), last or None

    def _instant(self, what: str, revision: int) -> tuple[np.datetime64 | None, int]:
        """A date and time, None for a blank one, and the nanoseconds that a stamp counts beside it."""
        self._advance(what)
        day, clock = self._text(0), ".".join(self._fields[1:])
        if not re.search("[1-9A-Za-z]", day):
            return None, _MICROSECOND
        found, time = _DATE.fullmatch(day), _TIME.fullmatch(clock) if clock else None
        if found is None or (clock and time is None):
            told = clean(",".join(self._fields))
            self._wrong(
                what,
                f"{told!r} is not a time; write dd/mm/yyyy,hh:mm:ss.ssssss, or leave the line "
                "blank to replay without a clock",
            )
        first, second, third = (int(part) for part in found.groups())
        if len(found[1]) == 4:
            year, month, day_of_month = first, second, third
        else:
            year, month, day_of_month = third, second, first
            if revision == 1991 or (month > 12 and day_of_month <= 12):
                month, day_of_month = day_of_month, month
                if month > 12 and day_of_month <= 12:  # a file of 1991 that already writes dd/mm
                    month, day_of_month = day_of_month, month
        if year < 100:
            year += 1900 if year >= _FIRST_TWO_DIGIT_YEAR else 2000
        try:
            begin = np.datetime64(date(year, month, day_of_month).isoformat(), "ns")
        except ValueError:
            self._wrong(what, f"there is no day {clean(day)!r}; write dd/mm/yyyy")
        if not 1700 <= year <= 2200:
            self._wrong(what, f"the year {year} is out of reach")
        if time is None:
            return begin, _MICROSECOND
        hour, minute, seconds = (int(part) for part in time.groups()[:3])
        if hour > 24 or minute > 59 or seconds > 60:
            self._wrong(what, f"{clean(clock)!r} is no time of day; write hh:mm:ss.ssssss")
        fraction = time[4] or ""
        nanoseconds = ((hour * 60 + minute) * 60 + seconds) * 10**9 + int(fraction[:9].ljust(9, "0"))
        return begin + np.timedelta64(nanoseconds, "ns"), _NANOSECOND if len(fraction) > 6 else _MICROSECOND

    def _encoding(self, given: str) -> Encoding:
        if self._more():
            self._advance("the type of the data")
        else:
            self._fields = [given]
        told = (self._text(0) or given).upper()
        encoding = next((known for known in get_args(Encoding) if known == told), None)
        if encoding is None:
            self._wrong("file type", f"{clean(told)!r} is not ASCII, BINARY, BINARY32 or FLOAT32")
        return encoding  # type: ignore[no-any-return]  # one of the literals

    def _offset_from_utc(self) -> np.timedelta64:
        """How far the file's clock is ahead of UTC; an unknown code counts as UTC."""
        self._advance("the time code")
        match = _ZONE.fullmatch(self._text(0))
        if match is None:
            return np.timedelta64(0, "ns")
        minutes = int(match[2]) * 60 + int(match[3] or 0)
        return np.timedelta64((-minutes if match[1] == "-" else minutes) * 60 * 10**9, "ns")

    # The lines

    def _more(self) -> bool:
        return self._next < len(self._lines)

    def _is_date(self) -> bool:
        """Whether the next line is a time; a blank one stands for a missing time."""
        if not self._more():
            return False
        line = self._lines[self._next].strip(_PADDING)
        return "/" in line or ":" in line or not line.strip(",")

    def _advance(self, what: str) -> None:
        if not self._more():
            line = self._first + max(0, len(self._lines) - 1)
            raise SourceError(f"{self._shown}: the file ends at line {line}, before {what}; is it complete?")
        self._fields = [field.strip(_PADDING) for field in self._lines[self._next].split(",")]
        self._next += 1

    def _text(self, position: int) -> str:
        return self._fields[position] if position < len(self._fields) else ""

    def _number(self, position: int, field: str, default: float | None) -> float:
        text = self._text(position)
        if not text and default is not None:
            return default
        try:
            number = float(text) if text.isascii() and "_" not in text else math.nan
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self._wrong(field, f"{clean(text, 40)!r} is not a number")
        return number

    def _whole(self, position: int, field: str) -> int:
        number = self._number(position, field, 0.0)
        if number < 0 or number != int(number) or number > 1e15:
            self._wrong(field, f"{clean(self._text(position), 40)!r} is not a number of samples or rates")
        return int(number)

    def _wrong(self, field: str, message: str) -> NoReturn:
        line = self._first + self._next - 1
        raise SourceError(f"{self._shown}, line {line}, field '{field}': {message}")
