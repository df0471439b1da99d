"""What is known of each PMU of a stream: counts, how its data come now, and what it says of itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Times
from gridtop.synchrophasor.data import Readings
from gridtop.synchrophasor.pmus import PLAUSIBLE_DEVIATION_HZ, Configuration
from gridtop.synchrophasor.status import BY_ARRIVAL, CHANGE, TRIGGER, UNSYNCHRONISED, describe_trouble

COUNTS = (
    "frames",
    "device_errors",
    "no_information",
    "time_errors",
    "by_arrival",
    "triggers",
    "changes_announced",
    "measurements_expected",
    "measurements_missing",
)
"""What is counted of each PMU, in frames; `triggers` and `changes_announced` are rising edges of the bit."""

WINDOW = 60
"""Seconds of the pace that is kept."""

_NANOSECONDS = 1_000_000_000

Counts = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint16]


class Pace:
    """In how many frames of the last minute something came, column by column.

    Seconds are whole ones of the device's clock, so that a stream without losses has just its rate.
    """

    def __init__(self) -> None:
        self._seen = np.zeros((WINDOW, 1), dtype=np.int64)  # second % WINDOW, column; the first is the stream
        self._first = self._newest = 0  # the first whole second, and the one that is under way

    def widen(self, columns: int) -> None:
        """There are so many columns from now on: no fewer than before."""
        self._seen = np.pad(self._seen, ((0, 0), (0, columns - self._seen.shape[1])))

    def add(self, time: Times, came: npt.NDArray[np.bool_]) -> None:
        """Frames of (n,) ascending instants, in which (n, k) columns had something."""
        seconds = time.astype(np.int64) // _NANOSECONDS
        edges = np.flatnonzero(np.diff(seconds)) + 1
        for part in np.split(np.arange(len(seconds)), edges):
            second = int(seconds[part[0]])
            if not self._first or second < self._newest - WINDOW:
                self._first, self._newest = second + 1, second
                self._seen[:] = 0
            self._begin(second)
            if second > self._newest - WINDOW:
                self._seen[second % WINDOW] += np.count_nonzero(came[part], axis=0)

    def last_minute(self, now: int) -> tuple[Counts, int]:
        """(k,) frames of so many whole seconds before `now` (nanoseconds of the device's clock)."""
        self._begin(now // _NANOSECONDS)
        whole = min(self._newest - self._first, WINDOW - 1) if self._first else 0
        past = np.arange(self._newest - max(0, whole), self._newest) % WINDOW
        counts: Counts = self._seen[past].sum(axis=0)
        return counts, max(0, whole)

    def _begin(self, second: int) -> None:
        """Make room for the seconds up to this one."""
        if self._first and second > self._newest:
            fresh = np.arange(max(self._newest + 1, second - WINDOW + 1), second + 1) % WINDOW
            self._seen[fresh] = 0
            self._newest = second


class Devices:
    """Figures and words by device; the names come from whoever maps the configuration's stations to them."""

    def __init__(self) -> None:
        self._rows: dict[str, int] = {}
        self._counts = np.zeros((0, len(COUNTS)), dtype=np.int64)
        self._status = np.zeros(0, dtype=np.uint16)
        self._time_quality = 0
        self._frequency = np.zeros(0)
        self._nominal = np.zeros(0)
        self._arrival = np.zeros(0)  # of the last frame in which something came
        self._heard = -np.inf  # of the last frame
        self._pace = Pace()
        self._of: Configuration | None = None
        self._here = np.zeros(0, dtype=np.intp)  # rows of the PMUs of the present configuration

    def add(
        self,
        names: Sequence[str],
        configuration: Configuration,
        readings: Readings,
        arrivals: Sequence[float],
        used: npt.NDArray[np.intp],
    ) -> None:
        """Count some readings of a configuration, whose PMUs are called `names`.

        `arrivals` (n,) are seconds; `used` (k,) are the readings that count for completeness, in the order of
        time, each instant once.
        """
        if not len(readings):
            return
        if configuration is not self._of:
            self._begin(names, configuration)
        status, here = readings.status, self._here
        there = ~np.isnan(readings.magnitude)
        sums = np.zeros((len(readings), there.shape[1] + 1), dtype=np.int64)
        np.cumsum(there, axis=1, out=sums[:, 1:])
        values = sums[:, self._ends] - sums[:, self._begins]
        values += ~np.isnan(readings.frequency)
        values += ~np.isnan(readings.rocof)
        health, n = status >> 14, len(readings)
        columns = (
            n,
            np.count_nonzero(health >= 2, axis=0),
            np.count_nonzero(health == 1, axis=0),
            np.count_nonzero(status & UNSYNCHRONISED, axis=0),
            np.count_nonzero(status & BY_ARRIVAL, axis=0),
            _rises(status, self._status[here], TRIGGER),
            _rises(status, self._status[here], CHANGE),
            n * self._wanted,
            n * self._wanted - values.sum(axis=0),
        )
        for i, column in enumerate(columns):
            self._counts[here, i] += column
        came = (values > 0) & (health < 2)
        whole = np.zeros((len(used), 1 + len(self._rows)), dtype=np.bool_)
        whole[:, 0] = True
        whole[:, 1 + here] = came[used]
        if len(used):
            self._pace.add(readings.time[used], whole)
        latest = np.where(came, np.asarray(arrivals)[:, np.newaxis], -np.inf).max(axis=0)
        self._arrival[here] = np.fmax(self._arrival[here], np.where(np.isinf(latest), np.nan, latest))
        self._status[here], self._frequency[here] = status[-1], readings.frequency[-1]
        self._time_quality, self._heard = int(readings.time_quality[-1]), arrivals[-1]

    def figures(
        self, now: float, time: int, rate: float | None
    ) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Rate and completeness of the stream, and the figures of each device (docs/live.md).

        `now` is in seconds on the clock of arrivals, `time` in nanoseconds on that of the device.
        Completeness is the share of the frames due in the last minute that came; of a device, with a value
        that may be used.
        """
        came, seconds = self._pace.last_minute(time)
        due = math.floor(seconds * (rate or 0.0))
        shares = np.minimum(came / due, 1.0).tolist() if due else [math.nan] * (1 + len(self._rows))
        devices: dict[str, dict[str, float]] = {}
        for name, counts, share, quiet in zip(
            self._rows, self._counts.tolist(), shares[1:], (now - self._arrival).tolist(), strict=True
        ):
            devices[name] = dict(zip(COUNTS, counts, strict=True))
            devices[name]["completeness"] = share
            devices[name]["seconds_since_data"] = quiet
        seen = int(came[0]) / seconds if seconds else math.nan
        return {"rate": seen, "completeness": shares[0]}, devices

    def words(self, now: float, patience: float) -> dict[str, str]:
        """What is wrong with each device that is in trouble, the gravest first; the others have none.

        When the stream has been silent for `patience` seconds they have no data, whatever they said last.
        """
        if now - self._heard >= patience:
            return dict.fromkeys(self._rows, "no data")
        quiet = ~(now - self._arrival < patience)  # never heard is quiet, too
        with np.errstate(invalid="ignore"):
            odd = np.abs(self._frequency - self._nominal) > PLAUSIBLE_DEVIATION_HZ
        gone = np.ones(len(self._rows), dtype=np.bool_)
        gone[self._here] = False
        doubtful = quiet | odd | gone | (self._status != 0) | (self._time_quality != 0)
        names = tuple(self._rows) if doubtful.any() else ()
        words: dict[str, str] = {}
        for i in np.flatnonzero(doubtful).tolist():
            said = list(describe_trouble(int(self._status[i]), self._time_quality))
            if gone[i]:
                said = ["not in the configuration any more"]
            elif odd[i] and not said:
                said = [f"the frequency is {self._frequency[i]:.3f} Hz: is the PMU absent?"]
            elif quiet[i] and not said:
                said = ["no data"]
            if said:
                words[names[i]] = "; ".join(said)
        return words

    def _begin(self, names: Sequence[str], configuration: Configuration) -> None:
        """Rows for the PMUs of another configuration."""
        for name in names:
            self._rows.setdefault(name, len(self._rows))
        self._pace.widen(1 + len(self._rows))
        more = len(self._rows) - len(self._counts)
        self._counts = np.pad(self._counts, ((0, more), (0, 0)))
        self._status = np.pad(self._status, (0, more))
        self._frequency, self._nominal, self._arrival = (
            np.pad(old, (0, more), constant_values=np.nan)
            for old in (self._frequency, self._nominal, self._arrival)
        )
        self._of = configuration
        self._here = np.array([self._rows[name] for name in names], dtype=np.intp)
        self._nominal[self._here] = [pmu.nominal_frequency for pmu in configuration.pmus]
        phasors = np.array([len(pmu.phasors) for pmu in configuration.pmus], dtype=np.int64)
        self._wanted = phasors + 2
        self._ends = np.cumsum(phasors)
        self._begins = self._ends - phasors


def _rises(words: Words, before: Words, bit: int) -> Counts:
    """(m,) how often a bit of (n, m) words goes from 0 to 1, the (m,) words before them included."""
    on = (words & bit) != 0
    if not on.any():
        return np.zeros(words.shape[1], dtype=np.int64)
    was = np.vstack(((before & bit) != 0, on[:-1]))
    rises: Counts = np.count_nonzero(on & ~was, axis=0).astype(np.int64)
    return rises
