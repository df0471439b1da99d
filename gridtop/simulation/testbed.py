"""The two-line testbed running: frames of exact phasors and of what its relays report.

simulation = Simulation(events=tour(), seed=1)
frames = simulation.read(300)          # the next ten seconds at 30 frames/s
frames.values[:, COLUMNS.index("R1-PM1:V")]
"""

from __future__ import annotations

import functools
import heapq
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.simulation.disturbances import Disturbance, daily_load, disturbance
from gridtop.simulation.events import Event, Injection, LoadStep, Switching
from gridtop.simulation.instruments import SAMPLES_PER_CYCLE, Instruments
from gridtop.simulation.logs import MOST_SKEW, LogErrors, WriteLog, entry, false_entries
from gridtop.simulation.machines import Machines
from gridtop.simulation.network import ALL_CLOSED, RELAYS, Complexes, Fault, Floats, GridParameters, Network
from gridtop.simulation.occurrences import Labels, Occurrence, due, occurrence
from gridtop.simulation.protection import Action, ApplyFault, Protection, Switch, plan
from gridtop.simulation.tampering import Tampering
from gridtop.simulation.transducers import InstrumentErrors, Transducers, clock_status
from gridtop.simulation.transmission import Transmission

LOG_PULSE = 0.2
"""Seconds that a log entry stays 1; never shorter than a frame."""
WARM_UP = 10
"""Seconds of simulation that are thrown away, so that filters are full and the governors have settled."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """All that a run is made of but its events: grid, protection, instruments and logs."""

    grid: GridParameters = field(default_factory=GridParameters)
    protection: Protection = field(default_factory=Protection)
    instruments: InstrumentErrors = field(default_factory=InstrumentErrors)
    logs: LogErrors = field(default_factory=LogErrors)


@dataclass(frozen=True, slots=True)
class Frames:
    """n consecutive frames, as they come out of the concentrator.

    row      number of the first frame, from 0
    time     (n,) timedelta64[us] since the first frame of all, rounded to the microsecond
    phasors  (n, 4, 2, 3) exact rms phasors of R1 to R4: V (line to neutral) and I (into the line) of A, B, C
    values   (n, 128) what the relays report, in the order of `NUMERIC_COLUMNS`; NaN is missing
    labels   (n,) the scenario: `NoEvents`, `Natural` or `Attack`, the last of `COLUMNS`
    phases   (n,) what the frame shows of its event: one of `PHASES`
    spoofed  (n, 4) whether an attacker has replaced what R1 to R4 measure at that instant
    occurrences  the events that began in or just before these frames, each in one `Frames` only
    """

    row: int
    time: npt.NDArray[np.timedelta64]
    phasors: Complexes
    values: Floats
    labels: npt.NDArray[np.str_]
    phases: npt.NDArray[np.str_]
    spoofed: npt.NDArray[np.bool_]
    occurrences: tuple[Occurrence, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def arrays(self) -> tuple[Any, ...]:
        """Everything that has a value a frame, in the order above."""
        return self.time, self.phasors, self.values, self.labels, self.phases, self.spoofed

    def slice(self, start: int, stop: int) -> Frames:
        """Frames start to stop (exclusive, counted from the first one here) as views, without occurrences."""
        return Frames(self.row + start, *(array[start:stop] for array in self.arrays))


class Simulation:
    """One run of the testbed: endless, in bounded memory, the same for the same arguments.

    `events` come in order of their start, and may be endless; those that move breakers come one at a
    time, after what the one before has set in motion is over, else reading raises ValueError. `seed`
    decides all that is random: load, protection timing, noise, logs, lost frames, and the angle
    everything starts from. `rate` is in frames per second, 10 to 120 (ValueError). `grid` is a short
    way to say `conditions` that differ in the grid only.
    """

    def __init__(
        self,
        grid: GridParameters | None = None,
        events: Iterable[Event] = (),
        *,
        seed: int | Sequence[int] = 1,
        rate: int = 30,
        conditions: Conditions | None = None,
    ) -> None:
        if not 10 <= rate <= 120:
            raise ValueError(f"the rate is 10 to 120 frames per second, not {rate}")
        self.conditions = conditions = conditions or Conditions()
        self.grid = grid = grid or conditions.grid
        self.rate = rate
        self._samples_per_frame = math.ceil(SAMPLES_PER_CYCLE * grid.frequency / rate)
        self._samples_per_second = rate * self._samples_per_frame
        # A stream of its own for each purpose: more of one does not shift the others.
        streams = np.random.default_rng(seed).spawn(6)
        start, self._load_random, self._timing_random, noise, self._log_random, transmission = streams

        self._events = iter(events)
        self._next_event = next(self._events, None)
        self._busy_until = 0.0
        self._actions: list[tuple[int, int, Action | WriteLog | LoadStep]] = []
        self._order = itertools.count()
        self._sample = -WARM_UP * self._samples_per_second
        self._row = 0
        self._active: list[Occurrence] = []
        self._untold: list[Occurrence] = []
        self._closed = dict.fromkeys(RELAYS, True)
        self._fault: Fault | None = None
        self._level = 1.0
        self._ramp: tuple[int, int, float, float] | None = None
        self._log_until = np.full(12, self._sample)
        self._load_change = grid.load_sigma * self._load_random.standard_normal()

        self._network = functools.lru_cache(maxsize=32)(functools.partial(Network, grid))
        level = daily_load(grid, np.full(1, -float(WARM_UP))) if grid.daily_depth else np.ones(1)
        _, coupling = self._network(ALL_CLOSED, None).response(self._load_admittance(level))
        angle = start.uniform(-math.pi, math.pi)
        self._machines = Machines(grid, coupling[0], 1 / self._samples_per_second, angle)
        self._tampering = Tampering(self._samples_per_second)
        errors = conditions.instruments
        self._transducers = Transducers(errors, self._samples_per_second, grid.frequency)
        self._instruments = Instruments(
            grid, rate, self._samples_per_frame, noise, errors.noise, errors.memory
        )
        self._transmission = Transmission(rate, transmission)
        while self._sample < 0:
            self._advance()
        self._row = 0
        self._ready = self._advance()

    def read(self, count: int) -> Frames:
        """The next `count` frames."""
        parts = []
        while count > len(self._ready):
            parts.append(self._ready)
            count -= len(self._ready)
            self._ready = self._advance()
        parts.append(self._ready.slice(0, count))
        self._ready = self._ready.slice(count, len(self._ready))
        arrays: list[Any] = [
            np.concatenate(several) for several in zip(*(part.arrays for part in parts), strict=True)
        ]
        frames = Frames(parts[0].row, *arrays)
        return self._with_occurrences(frames)

    def blocks(self, frames: int = 256) -> Iterator[Frames]:
        """`frames` after `frames`, for ever."""
        while True:
            yield self.read(frames)

    def _with_occurrences(self, frames: Frames) -> Frames:
        """The frames and, if any, what has begun until the last of them."""
        if not self._untold or not len(frames):
            return frames
        last = frames.time.max() / np.timedelta64(1, "s")
        told = tuple(happened for happened in self._untold if happened.start <= last)
        self._untold = [happened for happened in self._untold if happened.start > last]
        return replace(frames, occurrences=told)

    def _advance(self) -> Frames:
        """The next second: always a second, so that the portions a reader asks for cannot change a bit."""
        first, count = self._sample, self._samples_per_second
        self._sample += count
        # A log's clock may be early: what it writes down has to be known ahead.
        self._plan_until(self._sample + due(MOST_SKEW, count))
        for false in false_entries(first / count, self.conditions.logs, self._log_random):
            self._queue(false)
        time = np.arange(first, self._sample) / count
        begun = [happened for happened in self._active if happened.start * count < self._sample]
        events = [happened.event for happened in begun]
        acting = disturbance(self.grid, events, time)
        load_change = np.repeat(self._next_load_changes(), self._samples_per_frame)
        injections = [event for event in events if isinstance(event, Injection)]
        phantoms = {
            injection: np.zeros((count, 4, 2, 3), dtype=np.complex128)
            for injection in injections
            if injection.mode in ("consistent", "bus")
        }
        phasors = np.empty((count, 4, 2, 3), dtype=np.complex128)
        logs = np.empty((count, 12))
        switchings = []
        begin = first
        while begin < self._sample:
            while self._actions and self._actions[0][0] <= begin:
                action = heapq.heappop(self._actions)[2]
                self._apply(action, begin)
                if isinstance(action, Switch | ApplyFault) and begin - first not in switchings:
                    switchings.append(begin - first)
            end = min(self._actions[0][0], self._sample) if self._actions else self._sample
            part = slice(begin - first, end - first)
            level = self._levels(begin, end) * (1 + load_change[part])
            phasors[part] = self._solve(
                level, acting.part(part), {key: false[part] for key, false in phantoms.items()}
            )
            logs[part] = np.arange(begin, end)[:, None] < self._log_until
            begin = end
        labels = Labels(first, count, count)
        labels.mark(begun)
        self._active = [
            happened for happened in self._active if happened.label_end * count > self._sample - 1
        ]
        measured, spoofed = self._tampering.apply(phasors, injections, time, phantoms)
        measured = self._transducers.apply(measured, events, time, first, switchings)

        every = self._samples_per_frame
        at_frames = slice(None, None, every)
        status = clock_status(events, time[at_frames])
        values = self._instruments.read(measured, logs[at_frames], status)
        values, rows = self._transmission.deliver(values, events, time[at_frames])
        frame = first // every
        microseconds = (2_000_000 * np.arange(frame, frame + self.rate) + self.rate) // (2 * self.rate)
        row, self._row = self._row, self._row + len(rows)
        arrays: tuple[Any, ...] = (
            *(microseconds.astype("timedelta64[us]"), phasors[at_frames], values),
            *(labels.markers(every), labels.phases(every), spoofed[at_frames]),
        )
        return Frames(
            row,
            *(
                array if len(rows) == self.rate and (rows[1:] > rows[:-1]).all() else array[rows]
                for array in arrays
            ),
        )

    def _solve(
        self, load_level: Floats, acting: Disturbance, phantoms: dict[Injection, Complexes]
    ) -> Complexes:
        """(n, 4, 2, 3) exact phasors while no breaker moves; `phantoms` are filled with feigned ones."""
        if acting.load is not None:
            load_level = load_level * acting.load
        load = self._load_admittance(load_level)
        if acting.inrush is not None:
            load = load[:, None] + acting.inrush
        closed = tuple(self._closed.values())
        response, coupling = self._network(closed, self._fault).response(load)
        angles = self._machines.run(coupling, acting.drive, acting.damping)
        sources = self.grid.source_voltage * self.grid.phase_voltage * np.exp(1j * angles)
        phasors: Complexes = (response @ sources[:, :, None]).reshape(-1, 4, 2, 3)
        for injection, false in phantoms.items():
            feigned, _ = self._network(closed, injection.fault).response(load)
            false[:] = (feigned @ sources[:, :, None]).reshape(-1, 4, 2, 3)
        return phasors

    def _load_admittance(self, level: Floats) -> Complexes:
        """(n,) siemens per phase: the load is a constant impedance."""
        admittance: Complexes = level * self.grid.load.conjugate() / (3 * self.grid.phase_voltage**2)
        return admittance

    def _levels(self, begin: int, end: int) -> float | Floats:
        """The load's level from sample `begin` to `end`: one number unless it is on its way to another."""
        if self._ramp is None:
            return self._level
        first, length, before, after = self._ramp
        if begin >= first + length:
            self._ramp = None
            return self._level
        share = np.clip((np.arange(begin, end) - first) / length, 0, 1)
        levels: Floats = before + (after - before) * share
        return levels

    def _next_load_changes(self) -> Floats:
        """A second of the load's random change, one value a frame: an Ornstein-Uhlenbeck process, exactly
        x' = k x + sigma sqrt(1 - k^2) N(0, 1) with k = exp(-dt / load_time)."""
        keep = math.exp(-1 / (self.rate * self.grid.load_time))
        changes = self.grid.load_sigma * math.sqrt(1 - keep**2) * self._load_random.standard_normal(self.rate)
        for frame in range(self.rate):
            changes[frame] += keep * self._load_change
            self._load_change = changes[frame]
        return changes

    def _plan_until(self, sample: int) -> None:
        """Work out what every event that starts before `sample` sets in motion."""
        while self._next_event is not None and self._due(self._next_event.start) < sample:
            event = self._next_event
            actions: list[Action] = []
            if isinstance(event, Switching):
                actions = plan(event, self._timing_random, self.conditions.protection)
                if event.start < self._busy_until:
                    raise ValueError(f"the event before it lasts until {self._busy_until:g} s: {event}")
            happened = occurrence(event, actions)
            self._active.append(happened)
            self._untold.append(happened)
            if actions:
                self._busy_until = happened.label_end
            for action in actions:
                self._queue(action)
                if isinstance(action, Switch):
                    self._write_down(action)
            if isinstance(event, LoadStep):
                self._queue(event)
            self._next_event = next(self._events, None)
            if self._next_event is not None and self._next_event.start < event.start:
                raise ValueError(
                    f"events are in order of their start, but behind {event}: {self._next_event}"
                )

    def _write_down(self, switch: Switch) -> None:
        for log in switch.logs:
            self._queue(entry(switch.time, log, switch.relay, self.conditions.logs, self._log_random))

    def _queue(self, action: Action | WriteLog | LoadStep | None) -> None:
        if action is not None:
            time = action.start if isinstance(action, LoadStep) else action.time
            heapq.heappush(self._actions, (self._due(time), next(self._order), action))

    def _due(self, time: float) -> int:
        return due(time, self._samples_per_second)

    def _apply(self, action: Action | WriteLog | LoadStep, sample: int) -> None:
        match action:
            case Switch(_, relay, closed):
                self._closed[relay] = closed
            case ApplyFault(_, fault):
                self._fault = fault
            case WriteLog(_, column):
                pulse = max(round(LOG_PULSE * self._samples_per_second), self._samples_per_frame)
                self._log_until[column] = sample + pulse
            case LoadStep():
                before = np.ravel(self._levels(sample, sample + 1))[0]
                self._level = action.level
                length = round(action.ramp * self._samples_per_second)
                self._ramp = (sample, length, float(before), action.level) if length else None
