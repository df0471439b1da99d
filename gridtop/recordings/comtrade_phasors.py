"""Point-on-wave records as frames: magnitude, angle, distortion and harmonics of each channel, and frequency.

A frame's time is that of the last sample of its cycle: nothing is shown before it has happened. (A phasor
measurement unit stamps the middle of its window.)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from gridtop.blocks import Flags, Floats, Quality, Times
from gridtop.channels import Channel, ChannelSet
from gridtop.errors import SourceError
from gridtop.naming import ChannelMap
from gridtop.recordings import point_on_wave as wave
from gridtop.recordings.comtrade_channels import Series
from gridtop.recordings.comtrade_columns import columns_of
from gridtop.recordings.comtrade_header import Header
from gridtop.recordings.comtrade_samples import Data
from gridtop.recordings.sample_clock import SampleClock

HARMONICS = (3, 5, 7)
"""Those that have channels of their own."""
FREQUENCY_CYCLES = 3
"""The slope of the angle over so many cycles is the frequency."""
ALIVE = 0.1
"""Of a channel's usual magnitude: below it there is no frequency and no distortion to speak of."""
_LEVEL_SAMPLES = 8_000_000
"""So many values from the beginning show what is usual in a record."""
_MOST_VALUES = 1 << 20
"""Samples times channels held at once."""
_MOST_FRAMES = 128


@dataclass(frozen=True, slots=True)
class _Output:
    """Where a channel of the frames comes from: a `kind` of result of a series (its position)."""

    channel: Channel
    kind: str
    series: int = -1
    members: tuple[int, ...] = ()


class Phasors:
    """The frames of a point-on-wave record.

    Raises SourceError when the record is shorter than one cycle, or too slow for a phasor.
    """

    def __init__(
        self,
        header: Header,
        data: Data,
        clock: SampleClock,
        series: list[Series],
        nominal: float,
        frame_rate: float,
        channel_map: ChannelMap,
    ) -> None:
        per_cycle = clock.rate / nominal
        if per_cycle < wave.FEWEST_SAMPLES:
            raise SourceError(
                f"{header.shown}: {clock.rate:g} samples per second are too few for phasors of {nominal:g} "
                "Hz; replay them as they are with waveform: false"
            )
        self._data, self._clock, self._nominal = data, clock, nominal
        self._analogs = [one for one in series if one.column < len(header.analogs)]
        self._statuses = [one for one in series if one.column >= len(header.analogs)]
        self._skews = np.array([header.analogs[one.column].skew for one in self._analogs])
        frame_rate = min(frame_rate, clock.rate)
        self._windows = wave.windows(clock, nominal, frame_rate)
        self.count = len(self._windows)
        if not self.count:
            raise SourceError(
                f"{header.shown}: {clock.count} samples are less than one cycle of {nominal:g} Hz "
                f"({math.ceil(per_cycle)} samples), so there is no phasor in them; replay them as they are "
                "with waveform: false"
            )
        self._span = max(2, round(FREQUENCY_CYCLES * frame_rate / nominal))
        self._transform = wave.Transform(clock, nominal, max(HARMONICS[-1], wave.harmonics_in(per_cycle)))
        self._outputs = self._layout(channel_map)
        self.channels = ChannelSet(
            tuple(output.channel for output in self._outputs), frame_rate, "utc" if clock.has_clock else "row"
        )
        group = max(1, round(clock.rate / 2))
        held = min(clock.count, max(group, _LEVEL_SAMPLES // max(1, len(self._analogs))))
        self._levels = wave.level(self._values, held, group)

    def times(self, start: int, stop: int) -> Times:
        """The times of frames: of the last sample of each."""
        return self._clock.times(self._windows.last[start:stop])

    def read(self, start: int, stop: int) -> tuple[Floats, Flags | None, SourceError | None]:
        """(n, c) values and flags of frames `start` up to `stop`, fewer when a problem comes first."""
        parts: list[tuple[Floats, Flags]] = []
        problem: SourceError | None = None
        while start < stop and problem is None:
            span = self._windows.last[start] - self._windows.first[start] + 1
            room = max(1, int(_MOST_VALUES // max(1, len(self._analogs)) // max(1, span // 4)))
            end = min(stop, start + min(_MOST_FRAMES, room))
            values, flags, problem = self._read_some(start, end)
            parts.append((values, flags))
            start = end
        values = np.concatenate([part[0] for part in parts])
        flags = np.concatenate([part[1] for part in parts])
        return values, flags if flags.any() else None, problem

    def _read_some(self, start: int, stop: int) -> tuple[Floats, Flags, SourceError | None]:
        early = max(0, start - self._span)  # for the slope of the angle
        frames = self._windows.slice(early, stop)
        begin = int(frames.first.min())
        if early:
            begin = min(begin, int(self._windows.last[early - 1]) + 1)
        samples = self._data.read(begin, int(frames.last[-1]) + 1)
        if len(samples) < int(frames.last[-1]) + 1 - begin:
            frames = frames.slice(0, int(np.searchsorted(frames.last, begin + len(samples))))
        values, _ = columns_of(samples, self._analogs)
        skipped = start - early
        if len(frames) <= skipped:
            empty = np.zeros((0, len(self._outputs)))
            return empty, empty.astype(np.uint16), samples.problem
        found = _Found(self, values, begin, frames)
        statuses, _ = columns_of(samples, self._statuses)
        since = np.append(self._windows.last[early - 1] if early else -1, frames.last[:-1]) + 1 - begin
        # A pulse between two frames counts: the highest of the interval.
        highest = np.fmax.reduceat(statuses, since, axis=0) if self._statuses else statuses[:0]
        columns = [found.of(output, highest)[skipped:] for output in self._outputs]
        result = np.column_stack(columns) + 0.0
        result[np.isinf(result)] = np.nan
        return result, self._flags(result, found, skipped), samples.problem

    def _flags(self, values: Floats, found: _Found, skipped: int) -> Flags:
        """Missing where the samples are, not where a quantity is not defined."""
        flags = np.zeros(values.shape, dtype=np.uint16)
        for i, output in enumerate(self._outputs):
            if output.kind == "frequency":
                continue
            gone = np.isnan(values[:, i])
            if output.kind == "distortion":
                gone &= np.isnan(found.magnitudes[skipped:, output.series])
            flags[gone, i] = Quality.MISSING
        return flags

    def _values(self, start: int, stop: int) -> Floats:
        return columns_of(self._data.read(start, stop), self._analogs)[0]

    def _layout(self, channel_map: ChannelMap) -> list[_Output]:
        outputs: list[_Output] = []
        for at, one in enumerate(self._analogs):
            channel = one.channel
            if channel.part != "magnitude":
                outputs.append(_Output(channel, "offset", at))
                continue
            outputs.append(_Output(channel, "magnitude", at))
            angle = replace(channel, name=f"{channel.name} angle", unit="deg", part="angle")
            outputs.append(_Output(angle, "angle", at))
            distortion = replace(
                channel, name=f"{channel.name} THD", quantity=f"thd_{channel.quantity}", unit="%",
                part="value", reference="",
            )  # fmt: skip
            outputs.append(_Output(distortion, "distortion", at))
            for order in HARMONICS:
                if order <= self._transform.harmonics:
                    harmonic = replace(
                        channel, name=f"{channel.name} harmonic {order}", order=order, reference="",
                        quantity=f"{channel.quantity}_harmonic",
                    )  # fmt: skip
                    outputs.append(_Output(harmonic, "harmonic", at))
        outputs += self._frequencies()
        outputs += [_Output(one.channel, "status", at) for at, one in enumerate(self._statuses)]
        kept: dict[str, _Output] = {}
        for output in outputs:
            given = channel_map.meaning(output.channel.name)
            if not (given and given.ignore and output.kind != "magnitude"):
                kept.setdefault(output.channel.name, output)
        return list(kept.values())

    def _frequencies(self) -> list[_Output]:
        """One frequency for each terminal with a voltage: from three phases, else from the first there is."""
        voltages: dict[str, dict[str, int]] = {}
        for at, one in enumerate(self._analogs):
            channel = one.channel
            if channel.quantity == "voltage" and channel.part == "magnitude" and channel.phase not in "+-0":
                voltages.setdefault(channel.terminal, {}).setdefault(channel.phase, at)
        for at, one in enumerate(self._analogs):
            channel = one.channel
            if channel.quantity == "voltage" and channel.part == "magnitude" and not any(voltages.values()):
                voltages.setdefault(channel.terminal, {"": at})
        outputs = []
        for terminal, phases in voltages.items():
            threes = (("A", "B", "C"), ("AB", "BC", "CA"))
            three = next((t for t in threes if all(phase in phases for phase in t)), ())
            members = tuple(phases[phase] for phase in three) or tuple(phases.values())[:1]
            name = f"{terminal} frequency" if terminal else "frequency"
            outputs.append(_Output(Channel(name, "frequency", "Hz", terminal), "frequency", -1, members))
        return outputs


class _Found:
    """The results of some windows, from which the outputs are taken."""

    def __init__(self, owner: Phasors, values: Floats, row: int, frames: wave.Windows) -> None:
        self._owner = owner
        self._parts = owner._transform.coefficients(values, row, frames)
        self.magnitudes = wave.magnitude(self._parts[1], self._parts[2])
        self._seconds = owner._clock.seconds(frames.last)
        self._turned = owner._clock.cycles(frames.last, owner._nominal) * 360.0

    def of(self, output: _Output, statuses: Floats) -> Floats:
        """(n,) the values of an output."""
        owner, at, parts = self._owner, output.series, self._parts
        if output.kind == "offset":
            offset: Floats = parts[0, :, at]
            return offset
        if output.kind == "magnitude":
            length: Floats = self.magnitudes[:, at]
            return length
        if output.kind == "angle":
            late = self._turned + 360.0 * owner._nominal * owner._skews[at]
            angle = wave.wrapped(wave.angle(parts[1, :, at], parts[2, :, at]) - late)
            # At no magnitude there is no angle; arctan2 would say 0.
            return np.where(self.magnitudes[:, at] > 0, angle, np.where(np.isnan(angle), np.nan, 0.0))
        if output.kind == "harmonic":
            order = output.channel.order
            return wave.magnitude(parts[2 * order - 1, :, at], parts[2 * order, :, at])
        if output.kind == "distortion":
            return self._distortion(at)
        if output.kind == "frequency":
            return self._frequency(output.members)
        status: Floats = statuses[:, at]
        return status

    def _distortion(self, at: int) -> Floats:
        """THD in %: sqrt(sum of X_h^2, h = 2 to 50) / X_1 (IEC 61000-4-7, 3.3.3)."""
        total = np.zeros(len(self.magnitudes))
        for row in range(3, len(self._parts)):
            total += self._parts[row, :, at] * self._parts[row, :, at]
        fundamental = self.magnitudes[:, at]
        alive = fundamental >= max(ALIVE * float(self._owner._levels[at]), 1e-300)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(alive, 100.0 * np.sqrt(total) / fundamental, np.nan)

    def _frequency(self, members: tuple[int, ...]) -> Floats:
        owner = self._owner
        phasors = [(self._parts[1, :, at], self._parts[2, :, at]) for at in members]
        candidates = list(wave.sequences(*phasors)) if len(phasors) == 3 else phasors
        least = ALIVE * float(owner._levels[list(members)].max())
        least = max(least, 1e-300)
        return wave.frequency_of(candidates, self._turned, self._seconds, owner._nominal, owner._span, least)
