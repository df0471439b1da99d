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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.instruments import COLUMNS, NUMERIC_COLUMNS, SAMPLES_PER_CYCLE, Instruments
from gridtop.scenarios import (
    QUIET,
    Action,
    ApplyFault,
    Event,
    LoadStep,
    Maintenance,
    SetLabel,
    SetLoad,
    ShortCircuit,
    Switch,
    TripCommand,
    plan,
    timetable,
    tour,
)
from gridtop.testbed import ALL_CLOSED, RELAYS, Complexes, Fault, Floats, GridParameters, Machines, Network

__all__ = [
    "COLUMNS",
    "NUMERIC_COLUMNS",
    "Fault",
    "Frames",
    "GridParameters",
    "LoadStep",
    "Maintenance",
    "ShortCircuit",
    "Simulation",
    "TripCommand",
    "timetable",
    "tour",
]

LOG_PULSE = 0.2
"""Seconds that a log entry stays 1; never shorter than a frame."""
WARM_UP = 10
"""Seconds of simulation that are thrown away, so that filters are full and the governors have settled."""
_LOG_ROW = {"control_panel": 0, "relay": 4, "snort": 8}


@dataclass(frozen=True, slots=True)
class Frames:
    """n consecutive frames.

    row      number of the first frame, from 0
    time     (n,) timedelta64[us] since the first frame of all, rounded to the microsecond
    phasors  (n, 4, 2, 3) exact rms phasors of R1 to R4: V (line to neutral) and I (into the line) of A, B, C
    values   (n, 128) what the relays report, in the order of `NUMERIC_COLUMNS`
    labels   (n,) the scenario: `NoEvents`, `Natural` or `Attack`, the last of `COLUMNS`
    """

    row: int
    time: npt.NDArray[np.timedelta64]
    phasors: Complexes
    values: Floats
    labels: npt.NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    def slice(self, start: int, stop: int) -> Frames:
        """Frames start to stop (exclusive, counted from the first one here) as views."""
        cut = slice(start, stop)
        return Frames(self.row + start, self.time[cut], self.phasors[cut], self.values[cut], self.labels[cut])


class Simulation:
    """One run of the testbed: endless, in bounded memory, the same for the same arguments.

    `events` come in order of their start, and may be endless; all but load steps come one at a time,
    after what the one before has set in motion is over, else reading raises ValueError. `seed` decides
    all that is random: load, protection timing, noise, and the angle everything starts from. `rate` is
    in frames per second, 10 to 120 (ValueError).
    """

    def __init__(
        self,
        grid: GridParameters | None = None,
        events: Iterable[Event] = (),
        *,
        seed: int = 1,
        rate: int = 30,
    ) -> None:
        if not 10 <= rate <= 120:
            raise ValueError(f"the rate is 10 to 120 frames per second, not {rate}")
        self.grid = grid = grid or GridParameters()
        self.rate = rate
        self._samples_per_frame = math.ceil(SAMPLES_PER_CYCLE * grid.frequency / rate)
        self._samples_per_second = rate * self._samples_per_frame
        # A stream of its own for each purpose: more of one does not shift the others.
        start, self._load_random, self._timing_random, noise = np.random.default_rng(seed).spawn(4)

        self._events = iter(events)
        self._next_event = next(self._events, None)
        self._busy_until = 0.0
        self._actions: list[tuple[int, int, Action]] = []
        self._order = itertools.count()
        self._sample = -WARM_UP * self._samples_per_second
        self._closed = dict.fromkeys(RELAYS, True)
        self._fault: Fault | None = None
        self._level = 1.0
        self._label = QUIET
        self._log_until = np.full(12, self._sample)
        self._load_change = grid.load_sigma * self._load_random.standard_normal()

        self._network = functools.lru_cache(maxsize=32)(functools.partial(Network, grid))
        _, coupling = self._network(ALL_CLOSED, None).response(self._load_admittance(np.ones(1)))
        angle = start.uniform(-math.pi, math.pi)
        self._machines = Machines(grid, coupling[0], 1 / self._samples_per_second, angle)
        self._instruments = Instruments(grid, rate, self._samples_per_frame, noise)
        self._ready = self._advance()
        while self._ready.row < 0:
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
        return Frames(
            parts[0].row,
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.phasors for part in parts]),
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.labels for part in parts]),
        )

    def blocks(self, frames: int = 256) -> Iterator[Frames]:
        """`frames` after `frames`, for ever."""
        while True:
            yield self.read(frames)

    def _advance(self) -> Frames:
        """The next second: always a second, so that the portions a reader asks for cannot change a bit."""
        first, count = self._sample, self._samples_per_second
        self._sample += count
        self._plan_until(self._sample)
        load_change = np.repeat(self._next_load_changes(), self._samples_per_frame)
        phasors = np.empty((count, 4, 2, 3), dtype=np.complex128)
        logs = np.empty((count, 12))
        labels = np.empty(count, dtype=f"<U{len(QUIET)}")
        begin = first
        while begin < self._sample:
            while self._actions and self._actions[0][0] <= begin:
                self._apply(heapq.heappop(self._actions)[2], begin)
            end = min(self._actions[0][0], self._sample) if self._actions else self._sample
            part = slice(begin - first, end - first)
            phasors[part] = self._solve(self._level * (1 + load_change[part]))
            logs[part] = np.arange(begin, end)[:, None] < self._log_until
            labels[part] = self._label
            begin = end
        frames = slice(None, None, self._samples_per_frame)
        values = self._instruments.read(phasors, logs[frames])
        row = first // self._samples_per_frame
        microseconds = (2_000_000 * np.arange(row, row + self.rate) + self.rate) // (2 * self.rate)
        time = microseconds.astype("timedelta64[us]")
        return Frames(row, time, phasors[frames], values, labels[frames])

    def _solve(self, load_level: Floats) -> Complexes:
        """(n, 4, 2, 3) exact phasors while nothing but the load changes."""
        response, coupling = self._network(tuple(self._closed.values()), self._fault).response(
            self._load_admittance(load_level)
        )
        angles = self._machines.run(coupling)
        sources = self.grid.source_voltage * self.grid.phase_voltage * np.exp(1j * angles)
        phasors: Complexes = (response @ sources[:, :, None]).reshape(-1, 4, 2, 3)
        return phasors

    def _load_admittance(self, level: Floats) -> Complexes:
        """(n,) siemens per phase: the load is a constant impedance."""
        admittance: Complexes = level * self.grid.load.conjugate() / (3 * self.grid.phase_voltage**2)
        return admittance

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
        """Put the actions of every event that starts before `sample` into the queue."""
        while self._next_event is not None and self._due(self._next_event.start) < sample:
            event = self._next_event
            actions = plan(event, self._timing_random)
            if not isinstance(event, LoadStep):
                if event.start < self._busy_until:
                    raise ValueError(f"the event before it lasts until {self._busy_until:g} s: {event}")
                self._busy_until = actions[-1].time
            for action in actions:
                heapq.heappush(self._actions, (self._due(action.time), next(self._order), action))
            self._next_event = next(self._events, None)
            if self._next_event is not None and self._next_event.start < event.start:
                raise ValueError(
                    f"events are in order of their start, but behind {event}: {self._next_event}"
                )

    def _due(self, time: float) -> int:
        """The first sample at or after a time; the slack is for times that are samples but for rounding."""
        return math.ceil(time * self._samples_per_second - 1e-6)

    def _apply(self, action: Action, sample: int) -> None:
        match action:
            case Switch(_, relay, closed, logs):
                self._closed[relay] = closed
                pulse = max(round(LOG_PULSE * self._samples_per_second), self._samples_per_frame)
                for log in logs:
                    self._log_until[_LOG_ROW[log] + RELAYS.index(relay)] = sample + pulse
            case ApplyFault(_, fault):
                self._fault = fault
            case SetLoad(_, level):
                self._level = level
            case SetLabel(_, label):
                self._label = label
