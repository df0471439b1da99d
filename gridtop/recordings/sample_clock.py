"""When each sample of a COMTRADE record was taken: by its sections of constant rate, or by time stamps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats, Times
from gridtop.errors import SourceError
from gridtop.recordings.comtrade_header import Header
from gridtop.recordings.comtrade_samples import Data, Rows
from gridtop.recordings.timestamps import frames_per_second

_TOLERANCE = 1e-6
"""Of a sampling interval: what rounding may shift."""
_NO_CLOCK = np.datetime64("1970-01-01T00:00:00", "ns")
_LAST_TIME = np.datetime64("2262-01-01", "ns")
_PERIOD = 1000 * 10**9
"""Nanoseconds in 1,000 s, in which a frequency of whole mHz turns a whole number of times."""


class SampleClock:
    """The times of the samples of a record.

    `count` is how many samples have a time; `problem` says why the others have none. `start` is the time of
    the first sample, `has_clock` whether it is a real one: a record without a start, or whose clock stands at
    the beginning of 1970, counts from there. `rate` is the highest number of samples per second.
    """

    def __init__(self, header: Header, data: Data) -> None:
        self.has_clock = header.start is not None and header.start != _NO_CLOCK
        self.start = header.start if header.start is not None and self.has_clock else _NO_CLOCK
        self.count, self.problem = data.count, data.problem
        self._stamps: npt.NDArray[np.int64] | None = None
        if header.sections:
            self._rates = np.array([section.rate for section in header.sections])
            lasts = np.array([section.last for section in header.sections], dtype=np.int64)
            # A section reaches up to the first sample of the next; the last one to the end, whatever it says.
            self._firsts = np.concatenate(([0], lasts[:-1]))
            spans = np.diff(self._firsts) / self._rates[:-1]
            self._begins = np.concatenate(([0.0], np.cumsum(spans)))
            used = self._firsts < self.count
            self._rates, self._firsts, self._begins = (
                self._rates[used],
                self._firsts[used],
                self._begins[used],
            )
            self.rate = float(self._rates.max())
        else:
            self._use_stamps(header, data)
        if float(self.seconds(np.array([self.count - 1]))[0]) > 1e9 or self._end() > _LAST_TIME:
            raise SourceError(f"{header.shown}: the record ends beyond the year 2262; are its rates right?")

    def seconds(self, rows: Rows) -> Floats:
        """(n,) seconds from the first sample to samples."""
        if self._stamps is not None:
            since: Floats = self._stamps[rows] / 1e9
            return since
        section = self.sections(rows)
        elapsed: Floats = self._begins[section] + (rows - self._firsts[section]) / self._rates[section]
        return elapsed

    def times(self, rows: Rows) -> Times:
        """(n,) times of samples, to the nanosecond."""
        if self._stamps is not None:
            stamped: Times = self.start + self._stamps[rows].astype("timedelta64[ns]")
            return stamped
        section = self.sections(rows)
        begins = np.round(self._begins[section] * 1e9)
        within = np.round((rows - self._firsts[section]) / self._rates[section] * 1e9)
        times: Times = self.start + (begins + within).astype("timedelta64[ns]")
        return times

    def cycles(self, rows: Rows, frequency: float) -> Floats:
        """(n,) cycles of a nominal frequency since the beginning of 1970 UTC, without whole cycles.

        `frequency` in Hz counts in whole mHz.
        """
        millihertz = round(frequency * 1000)
        turned = int(self.start.astype(np.int64)) % _PERIOD * millihertz % _PERIOD
        cycles: Floats = np.mod(turned / _PERIOD + self.seconds(rows) * frequency, 1.0)
        return cycles

    def sections(self, rows: Rows) -> Rows:
        """(n,) the section of each sample; -1 where the time is stamped."""
        if self._stamps is not None:
            return np.full(len(rows), -1, dtype=np.int64)
        section: Rows = np.searchsorted(self._firsts, rows, side="right") - 1
        return section

    def section_rate(self, section: int) -> float:
        """Samples per second of a section."""
        return float(self._rates[section])

    def rate_at(self, row: int) -> float:
        """Samples per second around a sample; of stamped ones, the usual rate."""
        section = int(self.sections(np.array([row]))[0])
        return self.rate if section < 0 else self.section_rate(section)

    def last_at(self, seconds: Floats) -> Rows:
        """(n,) the last sample at or before each moment, in seconds from the first sample; -1 before it."""
        if self._stamps is not None:
            moments = np.round(seconds * 1e9) + _TOLERANCE * 1e9 / self.rate
            stamped: Rows = np.searchsorted(self._stamps, moments, side="right") - 1
            return stamped
        section = np.searchsorted(self._begins - _TOLERANCE / self.rate, seconds, side="right") - 1
        section = np.maximum(section, 0)
        within = np.floor((seconds - self._begins[section]) * self._rates[section] + _TOLERANCE)
        ends = np.append(self._firsts[1:], self.count)[section] - 1
        last: Rows = np.minimum(self._firsts[section] + within.astype(np.int64), ends)
        return last

    def _end(self) -> np.datetime64:
        last: np.datetime64 = self.times(np.array([self.count - 1]))[0]
        return last

    def _use_stamps(self, header: Header, data: Data) -> None:
        stamps, problem = data.stamps()
        if problem is not None:
            self.count, self.problem = len(stamps), problem
        if not len(stamps):
            raise problem or SourceError(f"{header.shown}: there is no sample")
        since = np.round((stamps - stamps[0]) * header.stamp_nanoseconds)
        if since.max() > 9e18:
            raise SourceError(
                f"{header.shown}: the record ends beyond the year 2262; is its time factor right?"
            )
        wrong = np.flatnonzero(np.diff(since) <= 0)
        if wrong.size:
            at = int(wrong[0])
            self.count = at + 1
            self.problem = SourceError(
                f"{data.shown}: sample {at + 2}: time stamp {stamps[at + 1]} does not come after "
                f"{stamps[at]}; put it right, or give the sampling rate in {header.shown}"
            )
        self._stamps = since[: self.count].astype(np.int64)
        self.rate = frames_per_second(np.diff(self._stamps).view("timedelta64[ns]")) or 1.0
