"""One short circuit on one line, followed frame by frame until it is known how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.short_circuits_location import Complexes

HELD_NS = 1_000_000_000
"""So long must a reclosed line stay closed before reclosing has succeeded."""
OPEN_NS = 5_000_000_000
"""So long must it be open before it has stayed open."""
LONGEST_NS = 10_000_000_000
"""No protection leaves a short circuit for longer: what lasts so long is something else."""
GAP_NS = 1_000_000_000
"""Frames missing for longer leave what happened meanwhile unknown."""
_QUIET = 3
"""Frames without the fault's current after which it is over."""
_OPEN = 2
"""Frames without current after which an end is open."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What the line and the terminals around it show at one instant.

    voltage, current  (T, 3) phasors of all T terminals, V and A, currents into their lines
    fault_current     (3,) magnitude in each phase of the current that enters the line and does not leave it,
                      A; of a line with one measured end, that end's current
    ends              (2,) the largest phase current at each end, A; NaN where it is not measured
    unsynchronised    (T,) whose clocks are not locked
    """

    row: int
    time: int
    voltage: Complexes
    current: Complexes
    fault_current: Floats
    ends: Floats
    unsynchronised: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """In amperes: a fault's current beyond the `usual` one (3,) of each phase, and what is no current."""

    usual: Floats
    fault: float
    open: float


class _Stage(Enum):
    FAULT = "the short circuit is on"
    AFTER = "it is over; does the line come back, and stay?"
    AGAIN = "it has struck again"


@dataclass(slots=True)
class Episode:
    """A short circuit from its first frame on: what has been seen of it so far.

    before   the frames before it, oldest first
    frames   those of the short circuit itself, the first included
    tracks   time and largest current at each end, of every frame since just before
    """

    before: list[Frame]
    thresholds: Thresholds
    end: int = -1
    """The end that alone is measured, 0 or 1; -1 where both are."""
    frames: list[Frame] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    tracks: list[Floats] = field(default_factory=list)
    fault_currents: list[Floats] = field(default_factory=list)
    over: int | None = None
    """When the fault's current was gone, ns."""
    reclosed: int | None = None
    """When both ends carried current again for the first time after that, ns."""
    struck_again: bool = False
    lost: bool = False
    """Whether frames were missing for so long that its end is not known."""
    held: bool = False
    """Whether the line was closed at both ends at the end, for as long as it takes."""
    _stage: _Stage = _Stage.FAULT
    _quiet: int = 0
    _closed_since: int | None = None
    _quiet_since: int = 0

    def __post_init__(self) -> None:
        for frame in self.before[-3:]:
            self._note(frame)

    @property
    def start(self) -> Frame:
        """The first frame that shows it."""
        return self.frames[0]

    @property
    def is_short_circuit(self) -> bool:
        """Whether it ended as short circuits do, within seconds."""
        return self.over is not None

    def step(self, frame: Frame) -> bool:
        """Take the next frame; whether all there is to know is known now."""
        if self.times and self.frames and frame.time - self.times[-1] > GAP_NS:
            self.lost = True
            return True
        self._note(frame)
        beyond = frame.fault_current - self.thresholds.usual
        known = bool(np.isfinite(beyond).all())
        level = self.thresholds.fault * (0.5 if self._stage is not _Stage.AFTER else 1.0)
        on = known and bool((beyond > level).any())
        match self._stage:
            case _Stage.FAULT:
                return self._during(frame, on, known)
            case _Stage.AFTER:
                return self._after(frame, on)
            case _Stage.AGAIN:
                return self._until_quiet(frame, on, known) or frame.time - self._quiet_since > LONGEST_NS

    def _during(self, frame: Frame, on: bool, known: bool) -> bool:
        self.frames.append(frame)
        if self._until_quiet(frame, on, known):
            self.over = self._quiet_since
            self._stage = _Stage.AFTER
            del self.frames[-_QUIET:]
        return frame.time - self.start.time > LONGEST_NS

    def _after(self, frame: Frame, on: bool) -> bool:
        assert self.over is not None
        ends = frame.ends[np.isfinite(frame.ends)]
        if on:
            self.struck_again, self._stage = True, _Stage.AGAIN
            self._quiet, self._quiet_since = 0, frame.time
            return False
        if len(ends) and bool((ends > self.thresholds.open).all()):
            if self._closed_since is None:
                self._closed_since = frame.time
            self.reclosed = self._closed_since
            self.held = frame.time - self._closed_since >= HELD_NS
            return self.held
        if len(ends):
            self._closed_since = None
        return frame.time - self.over >= OPEN_NS

    def _until_quiet(self, frame: Frame, on: bool, known: bool) -> bool:
        if on:
            self._quiet = 0
        elif known:
            if self._quiet == 0:
                self._quiet_since = frame.time
            self._quiet += 1
        return self._quiet >= _QUIET

    def _note(self, frame: Frame) -> None:
        self.times.append(frame.time)
        self.tracks.append(frame.ends)
        self.fault_currents.append(frame.fault_current)

    def began(self) -> float:
        """When the fault's current was half of its first level, ns: between frames, by interpolation.

        The halves of rise and fall lag by the same filter, so their difference is free of it.
        """
        beyond = np.array(self.fault_currents) - self.thresholds.usual
        size = np.fmax.reduce(np.nan_to_num(beyond), axis=1)
        first = self.times.index(self.start.time)
        half = float(size[first : first + 3].max()) / 2
        for i in range(first, min(first + 3, len(size))):
            if size[i] >= half:
                return _crossing(self.times[i - 1 : i + 1], size[i - 1 : i + 1], half) if i else self.times[i]
        return float(self.start.time)

    def opened(self, end: int) -> float | None:
        """When an end's current had fallen to half on its way to nothing, ns; None when that was not seen.

        Only what happens during the short circuit or right after it counts.
        """
        if self.over is None:
            return None
        track = np.array([ends[end] for ends in self.tracks])
        first, last = self.times.index(self.start.time), self.over + HELD_NS // 2
        run = 0
        for i in range(first, len(track)):
            run = run + 1 if track[i] < self.thresholds.open else 0
            if run >= _OPEN:
                begin = i - run + 1
                if self.times[begin] > last:
                    return None
                return self._half_before(track, begin)
        return None

    def _half_before(self, track: Floats, begin: int) -> float | None:
        earlier = track[max(0, begin - 3) : begin]
        if not len(earlier) or not np.nanmax(np.nan_to_num(earlier)) > self.thresholds.open:
            return None
        half = float(np.nanmax(np.nan_to_num(earlier))) / 2
        for i in range(begin, 0, -1):
            if track[i - 1] >= half:
                return _crossing(self.times[i - 1 : i + 1], track[i - 1 : i + 1], half)
        return None


def _crossing(times: list[int], values: Floats, level: float) -> float:
    """The instant between two frames at which a straight line passes the level."""
    low, high = float(values[0]), float(values[1])
    share = (level - low) / (high - low) if high != low and np.isfinite(low) else 1.0
    return times[0] + min(max(share, 0.0), 1.0) * (times[1] - times[0])
