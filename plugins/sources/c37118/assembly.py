"""From data frames to blocks: values with their quality, in order of time, and silence made visible."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridtop.api import Block, ChannelSet, Quality, SourceError, Statistics
from gridtop.plugins.sources.c37118.channels import Column, columns_of, resolve, terminals_of
from gridtop.plugins.sources.c37118.clock_troubles import ClockTroubles
from gridtop.plugins.sources.c37118.ordering import Frames, Stretch, TimeOrder
from gridtop.plugins.sources.c37118.table import Table

if TYPE_CHECKING:
    from gridtop.naming import ChannelMap, Columns
    from gridtop.synchrophasor.pmus import Configuration
    from gridtop.synchrophasor.stream import Batch, Stream

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.uint16]
Times = npt.NDArray[np.datetime64]

LARGEST = 256
"""Frames in one block at most."""
SETTLING = np.timedelta64(1, "s")
"""How long after a connection a device's ROCOF is not believed: its filter has not filled yet."""
LONGEST_FILL = np.timedelta64(60, "s")
"""A longer leap of a device's clock is left as it is: nothing says that frames are missing there."""

_NANOSECONDS = 1_000_000_000
_DISTRACTED = 0.5
"""Seconds between two looks at the stream after which the second one cannot tell silence from a queue."""
_SLOWEST_PERIODS = 2.5
"""A stream slower than that in the time of silence is not silent between two frames."""


class Assembly:
    """Puts blocks together from what a stream gives.

    lacking   which channels are not in the device's configuration any more, in words; empty when all are

    `silence` is after how many seconds without a frame missing frames are made up, `ahead` by how many
    seconds a frame may be ahead of `wall` (nanoseconds since 1970). All instants given are on one clock.
    """

    def __init__(
        self,
        stream: Stream,
        channel_map: ChannelMap,
        terminals: Mapping[str | int, str],
        *,
        silence: float,
        ahead: float,
        wall: Callable[[], int],
        log: logging.Logger,
    ) -> None:
        from gridtop.synchrophasor.device_statistics import Devices
        from gridtop.synchrophasor.statistics import Latency

        self._stream, self._channel_map, self._given = stream, channel_map, terminals
        self._silence, self._ahead, self._wall, self._log = silence, ahead, wall, log
        self._devices, self._latency = Devices(), Latency()
        self._troubles = ClockTroubles(ahead)
        self._order = TimeOrder(stream.counts, self._troubles)
        self._told: tuple[str, ...] = ()
        self._configuration: Configuration | None = None
        self._columns: Columns | None = None
        self._wanted: tuple[Column, ...] = ()
        self._tables: dict[int, Table] = {}
        self._channels = ChannelSet(())
        self.lacking = ""
        self._row = 0
        self._last: np.datetime64 | None = None  # of what was given out
        self._heard: tuple[float, np.datetime64] | None = None  # arrival and time of the last usable frame
        self._silent = False
        self._looked = -np.inf  # when blocks were asked for last
        self._connection = 0
        self._settled: np.datetime64 | None = None
        self._period = _NANOSECONDS

    def open(self, configuration: Configuration) -> ChannelSet:
        """The channels of the stream from here on; SourceError when the `channels:` section leaves none."""
        terminals = terminals_of(configuration, self._given)
        columns = columns_of(configuration, terminals)
        try:
            self._columns = resolve(columns, terminals, self._channel_map)
        except ValueError as error:
            raise SourceError(f"the channels of stream {configuration.idcode}: {error}") from None
        self._wanted = columns
        self._configuration = configuration
        self._channels = ChannelSet(self._columns.channels, configuration.rate, clock="utc")
        self._set_rate(configuration.rate)
        return self._channels

    def begin(self) -> None:
        """Count rows from 0."""
        self._row = 0

    def blocks(self, now: float) -> Iterator[Block]:
        """Everything that has become known by `now`, in order."""
        for batch in self._stream.take():
            yield from self._take(batch, now)
        # Whoever was kept from looking may not have seen yet what came meanwhile.
        awake, self._looked = now - self._looked < _DISTRACTED, now
        silent = self._heard is not None and now - self._heard[0] >= self._patience
        if awake and silent and not self._order.deciding(now):
            yield from self._missing_until(self._presumed(now))
        self._tell()

    @property
    def problems(self) -> tuple[str, ...]:
        """What was wrong when blocks were asked for last: channels that are gone, a clock that leaps."""
        return tuple(filter(None, (self.lacking, *self._told)))

    def statistics(self, now: float) -> Statistics:
        """What has been counted so far."""
        latency, rate = self._latency, self._configuration.rate if self._configuration else None
        stream: dict[str, float] = asdict(self._stream.counts)
        stream |= {
            "latency_min": latency.least,
            "latency_mean": latency.mean,
            "latency_max": latency.most,
            "latency_last": latency.last,
            "defined_rate": rate or np.nan,
            "seconds_since_data": now - self._heard[0] if self._heard else np.nan,
        }
        whole = self._presumed(now) if self._heard else np.datetime64(0, "ns")
        pace, devices = self._devices.figures(now, int(whole.astype(np.int64)), rate)
        return Statistics(stream | pace, devices, self._devices.words(now, self._patience))

    # What came

    def _take(self, batch: Batch, now: float) -> Iterator[Block]:
        readings = batch.readings()
        table = self._table(batch)
        self._stream.look_for_change(readings)
        if batch.connection != self._connection:
            self._connection, self._settled = batch.connection, None
            self._order.connected()
        values, flags = table.fill(readings)
        limit = self._wall() + round(self._ahead * _NANOSECONDS)
        last = None if self._last is None else int(self._last.astype(np.int64))
        stretches, used = self._order.admit(
            Frames(readings.time, np.array(batch.arrivals), values, flags), last, limit
        )
        self._devices.add(table.terminals, batch.layout.configuration, readings, batch.arrivals, used)
        for stretch in stretches:
            yield from self._give(stretch, table, now)

    def _give(self, stretch: Stretch, table: Table, now: float) -> Iterator[Block]:
        """Frames whose times grow, behind those given out before or where the clock has leapt to."""
        time, arrivals, values, flags = stretch.frames
        if stretch.leap:  # nothing is lacking between here and there
            self._last = self._settled = None
        waited = now - arrivals
        self._latency.add((self._wall() - time.astype(np.int64)) / _NANOSECONDS - waited)
        if self._settled is None:
            self._settled = time[0] + SETTLING
        unsettled = int(np.searchsorted(time, self._settled))
        if unsettled:
            flags[:unsettled, table.rocofs] |= np.uint16(Quality.CALCULATED)
        instants: npt.NDArray[np.int64] = time.astype(np.int64)
        gaps = np.flatnonzero(np.diff(instants) >= self._patience * _NANOSECONDS) + 1
        for begin, end in pairwise((0, *gaps.tolist(), len(time))):
            part = slice(begin, end)
            yield from self._fill_gap(time[begin])
            self._count_gaps(time[part])
            self._heard, self._silent = (float(arrivals[end - 1]), time[end - 1]), False
            yield from self._blocks(time[part], values[part], flags[part])

    def _count_gaps(self, time: Times) -> None:
        instants: npt.NDArray[np.int64] = time.astype(np.int64)
        before = int(instants[0]) if self._last is None else int(self._last.astype(np.int64))
        steps = instants - np.concatenate(([before], instants[:-1]))
        lost = np.round(steps / self._period).astype(np.int64) - 1
        longest = int(LONGEST_FILL.astype("timedelta64[ns]").astype(np.int64))
        few = (lost > 0) & (steps <= longest)
        self._stream.counts.missing_frames += int(lost[few].sum())

    def _table(self, batch: Batch) -> Table:
        table = self._tables.get(id(batch.layout))
        if table is None:
            assert self._columns is not None
            terminals = terminals_of(batch.layout.configuration, self._given)
            table = Table(batch.layout.configuration, terminals, self._wanted, self._columns)
            self.lacking = ""
            if table.absent:
                self.lacking = (
                    f"the configuration has changed: {table.absent} of {len(self._channels)} channels are "
                    "not in it any more; start gridtop anew to see what is new"
                )
                self._log.warning("%s", self.lacking)
            # Only the newest: layouts are not kept once their configuration is gone.
            self._tables = {id(batch.layout): table}
            table.layout = batch.layout
            self._order.forget()
            self._set_rate(batch.layout.configuration.rate)
        return table

    def _set_rate(self, rate: float | None) -> None:
        if rate:
            self._order.period = self._period = round(_NANOSECONDS / rate)

    def _tell(self) -> None:
        """Log what is new about the device's clock."""
        words = self._troubles.words(self._looked)
        for text in words:
            if text not in self._told:
                self._log.warning("stream %d: %s", self._stream.idcode, text)
        self._told = words

    def _blocks(self, time: Times, values: Floats, flags: Flags) -> Iterator[Block]:
        for at in range(0, len(time), LARGEST):
            part = slice(at, at + LARGEST)
            quality = flags[part] if flags[part].any() else None
            labels = self._labels(values[part]) if self._columns and self._columns.labels else {}
            assert self._columns is not None
            chosen = values[part][:, self._columns.positions]
            yield Block(
                self._channels,
                time[part],
                chosen * self._columns.scales + self._columns.offsets,
                None if quality is None else quality[:, self._columns.positions],
                labels,
                self._row,
            )
            self._row += len(time[part])
            self._last = time[part][-1]

    def _labels(self, values: Floats) -> dict[str, npt.NDArray[np.str_]]:
        assert self._columns is not None
        return {name: values[:, i].astype(np.str_) for name, i in self._columns.labels.items()}

    # What did not come

    @property
    def _patience(self) -> float:
        return max(self._silence, _SLOWEST_PERIODS * self._period / _NANOSECONDS)

    def _presumed(self, now: float) -> np.datetime64:
        """Up to what time nothing will come any more: the device's time now, less the patience."""
        assert self._heard is not None
        arrival, time = self._heard
        return time + np.timedelta64(round((now - arrival - self._patience) * _NANOSECONDS), "ns")

    def _fill_gap(self, time: np.datetime64) -> Iterator[Block]:
        """Frames for what is missing before the first frame after a silence."""
        if self._last is None:
            return
        gap = time - self._last
        long = gap.astype(np.int64) >= self._patience * _NANOSECONDS
        if (self._silent or long) and gap <= LONGEST_FILL:
            yield from self._missing_until(time - np.timedelta64(self._period // 2, "ns"))

    def _missing_until(self, end: np.datetime64) -> Iterator[Block]:
        """Frames without values at the nominal rate, from the last frame given out to `end`."""
        if self._last is None:
            return
        count = int((end - self._last).astype(np.int64) // self._period)
        if count <= 0:
            return
        if not self._silent:
            self._silent = True
            self._stream.counts.silences += 1
        # Whoever was away for long is shown the last minute.
        skipped = max(0, count - int(LONGEST_FILL / np.timedelta64(self._period, "ns")))
        first = self._last
        for at in range(skipped, count, LARGEST):
            steps = np.arange(at + 1, min(at + LARGEST, count) + 1)
            time = first + (steps * self._period).astype("timedelta64[ns]")
            shape = (len(steps), len(self._wanted))
            yield from self._blocks(
                time, np.full(shape, np.nan), np.full(shape, Quality.MISSING, dtype=np.uint16)
            )
            self._stream.counts.missing_frames += len(steps)
