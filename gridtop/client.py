"""The one face screens and other clients see: what they may ask, and what they are answered.

A screen holds no truth of its own: it asks for a snapshot, for events after a sequence number and for
telemetry at its own resolution, and sends commands. Nothing here knows how the answer travels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from gridtop.channels import Channel, ChannelSet
from gridtop.events import Contribution, Event, Priority, Severity
from gridtop.orders import Order
from gridtop.source_statistics import Statistics

SLOWEST, FASTEST = 0.1, 1000.0
"""Bounds of a finite speed of a replay, in times real time."""

State = Literal["starting", "live", "playing", "paused", "ended", "failed"]

AlarmState = Literal[
    "unacknowledged",  # the condition holds, nobody has seen it
    "acknowledged",  # the condition holds, somebody has seen it
    "returned",  # the condition is gone, nobody has seen it
    "latched",  # the condition is gone, the alarm is held, nobody has seen it
    "latched_acknowledged",  # the condition is gone, the alarm is held until it is unlatched
    "shelved",  # put aside by an operator until a time
    "suppressed",  # the condition holds, but another alarm in the same place silences it (`inhibit_if`)
    "out_of_service",  # taken out of service by an operator, without an end
]
"""The states of an alarm that is not normal, after ISA-18.2 (docs/alarms.md)."""


@dataclass(frozen=True, slots=True)
class LimitLine:
    """A threshold to draw into the graph of a channel: beyond `value` lies an alarm of this severity."""

    channel: str
    direction: Literal["low", "high"]
    """A rule on the size (`abs`) gives one line of each."""
    severity: Severity
    value: float
    """In the unit of the channel."""


@dataclass(frozen=True, slots=True)
class ScreenWishes:
    """What the configuration wants of screens (`screen:`); what it leaves open is `auto` or None."""

    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    theme: str = "auto"
    glyphs: Literal["auto", "unicode", "ascii"] = "auto"
    rate: float | None = None
    """Repaints a second."""
    panels: tuple[str, ...] = ()
    """What the panels show at first, by quantity."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What does not change while an engine runs, but for a reload: who it is and which channels it has."""

    version: str
    source: str
    """The source in words for the status line: `two-line.csv.gz`, `simulate`."""
    live: bool
    channels: ChannelSet
    """The recording's channels and the quantities derived from them."""
    instance: str = ""
    """Names one run of one engine; sequence numbers of different instances are not comparable."""
    limits: tuple[LimitLine, ...] = ()
    """The thresholds of the alarm rules, on quantities and on the channels they are measured as."""
    screen: ScreenWishes = field(default_factory=ScreenWishes)
    offered: tuple[Channel, ...] = ()
    """Quantities that nothing needs so far: they are computed once telemetry asks for them."""


@dataclass(frozen=True, slots=True)
class Link:
    """How well an engine can be reached: what a screen says when its numbers grow old.

    connecting  nothing was heard from the engine yet
    up          the last question was answered
    lost        the last question was not answered; the client tries again by itself
    ended       the engine was this client's own, and its process is gone; `restart()` starts another
    """

    state: Literal["connecting", "up", "lost", "ended"]
    since: float
    """When this began, by the monotonic clock, in seconds."""
    detail: str = ""
    """What is wrong, in words."""
    log: tuple[str, ...] = ()
    """The last lines that an engine of this client's own wrote before it ended."""


@dataclass(frozen=True, slots=True)
class Transport:
    """Where the replay stands. `speed` is what was asked for (inf = as fast as possible), `reached`
    what was measured, in times real time; NaN when nothing moves."""

    state: State
    row: int = 0
    time: np.datetime64 | None = None
    first: np.datetime64 | None = None
    last: np.datetime64 | None = None
    frames: int | None = None
    """Length of the recording, None while unknown or live."""
    speed: float = 1.0
    reached: float = float("nan")
    pass_number: int = 1
    loop: bool = False
    problem: str = ""
    """Why the state is `failed`."""
    silence: float = 0.0
    """Seconds since a live source gave a value last; 0 of a recording."""


@dataclass(frozen=True, slots=True)
class ActiveAlarm:
    """An alarm that is not normal: what, where, since when and why."""

    id: str
    rule: str
    channel: str
    severity: Severity
    direction: str
    value: float
    """The latest good value."""
    peak: float
    """The worst value since the alarm was raised."""
    limit: float
    unit: str
    message: str
    row: int
    since_row: int
    time: np.datetime64 | None
    since: np.datetime64 | None
    latched: bool = False
    acknowledged: bool = False
    cause: tuple[Contribution, ...] = ()
    """The channels that a detector's score rests on, the largest share first."""
    cause_approximate: bool = False
    state: AlarmState = "unacknowledged"
    priority: Priority = ""
    ended: np.datetime64 | None = None
    """When the condition was gone; None while it holds, or without a clock."""
    ended_row: int | None = None
    parent: str = ""
    """The id of the alarm that came first in a flood and stands for this one."""
    children: int = 0
    """How many alarms this one stands for."""
    until: np.datetime64 | None = None
    """Until when it is shelved, in measurement time."""
    user: str = ""
    """Who acknowledged or shelved it, or took it out of service, last."""
    reason: str = ""
    """Why it is shelved or out of service."""
    chattering: bool = False
    """It was raised three times or more within a minute: shelving it is worth a thought."""
    stale: bool = False
    """It has been active for more than a day."""


@dataclass(frozen=True, slots=True)
class Flood:
    """More alarms than anybody can follow: since when, how many in the last ten minutes, how many of them
    stand behind another one."""

    since: np.datetime64 | None
    since_row: int
    recent: int
    collapsed: int


@dataclass(frozen=True, slots=True)
class SinkStatus:
    """How the delivery to one sink goes.

    working   it gets what is owed to it
    retrying  the last attempt failed
    resting   several attempts in a row failed; it is tried now and then
    gone      the receiver wants no more
    """

    name: str
    state: Literal["working", "retrying", "resting", "gone"]
    waiting: int = 0
    """Events that are owed to it."""
    dead: int = 0
    """Dead letters: events it will never take; see `gridtop outbox`."""
    delivered: int = 0
    """Since the engine started."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """Where events are kept: `memory` (nothing survives a crash), `ok`, or `degraded` with the problem."""

    state: Literal["memory", "ok", "degraded"] = "memory"
    path: str = ""
    bytes: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RecordingStatus:
    """A recording of live data that is being made."""

    path: str
    """The file, as the engine sees it."""
    frames: int = 0
    """That it holds."""
    bytes: int = 0
    dropped: int = 0
    """Frames that could not be kept: the disk was too slow or full, or their times were not new."""
    problem: str = ""
    """Why frames are not being kept now."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What went through and what was lost, since the start."""

    frames: int = 0
    events: int = 0
    missing: int = 0
    unreadable: int = 0
    infinite: int = 0
    dropped: int = 0
    """Events a sink never got because its queue was full."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The monitor at one moment. `seq` is that of the newest event."""

    transport: Transport
    alarms: tuple[ActiveAlarm, ...] = ()
    counts: Counts = field(default_factory=Counts)
    seq: int = 0
    problems: tuple[str, ...] = ()
    """Plugins that failed, sinks that cannot deliver: one line each."""
    flood: Flood | None = None
    sinks: tuple[SinkStatus, ...] = ()
    journal: JournalStatus = field(default_factory=JournalStatus)
    recording: RecordingStatus | None = None
    """None while nothing is recorded."""
    revision: int = 0
    """Grows when the configuration was reloaded: `hello` says something else then."""


@dataclass(frozen=True, slots=True)
class TelemetryRequest:
    """Which channels, how far back (seconds of measurement time, up to now), in how many buckets."""

    channels: tuple[str, ...]
    window: float
    buckets: int


@dataclass(frozen=True, slots=True)
class Telemetry:
    """An envelope that loses no spike: k channels in b buckets of equal time, oldest first.

    minimum, maximum (k, b): of the good values in the bucket, NaN in an empty one.
    latest (k,): the newest value that is there, or NaN. lowest, highest (k,): of the whole window.
    `end` is the measurement time of the newest frame, `window` seconds before it the first bucket starts.
    `stale` (k,): True where the newest frame has no value. `doubtful` (k,): where it has one, which carries a
    flag that makes it doubtful (docs/quality.md); it is the latest all the same.
    """

    channels: tuple[str, ...]
    window: float
    end: np.datetime64 | None
    minimum: npt.NDArray[np.float64]
    maximum: npt.NDArray[np.float64]
    latest: npt.NDArray[np.float64]
    lowest: npt.NDArray[np.float64]
    highest: npt.NDArray[np.float64]
    stale: npt.NDArray[np.bool_]
    doubtful: npt.NDArray[np.bool_]


class Client(Protocol):
    """The monitor as a screen sees it, in the same process or far away."""

    async def hello(self) -> Hello:
        """Who is there; waits until the source is open. Raises SourceError when it cannot open."""
        ...

    async def snapshot(self) -> Snapshot:
        """The monitor now."""
        ...

    async def events(self, after: int = 0, limit: int = 500) -> Sequence[Event]:
        """The oldest `limit` events with a sequence number above `after`, oldest first."""
        ...

    async def telemetry(self, request: TelemetryRequest) -> Telemetry:
        """The envelope of some channels; unknown names give empty (NaN) rows."""
        ...

    async def pause(self) -> None:
        """Stop the clock of a replay."""
        ...

    async def resume(self) -> None:
        """Let the clock run on; at the end of a recording, start it again."""
        ...

    async def step(self, frames: int = 1) -> None:
        """While paused: go on by some frames; negative frames go back, which begins a new pass."""
        ...

    async def speed(self, factor: float) -> None:
        """Play at `factor` times real time, 0.1 to 1000, or inf for as fast as possible."""
        ...

    async def seek(self, row: int) -> None:
        """Go to a row (clipped to the recording); begins a new pass."""
        ...

    async def seek_time(self, time: np.datetime64) -> None:
        """Go to the first row at or after a time; begins a new pass."""
        ...

    async def operate(self, order: Order) -> None:
        """Tell an alarm something: acknowledge, shelve, and so on; an alarm that is normal needs nothing.

        GridtopError when the alarm is in no state for it. `order.user` is only looked at where the client
        and the monitor are one process; elsewhere the engine knows who asks.
        """
        ...

    async def record(self, on: bool) -> None:
        """Begin a recording of live data, or end the one that is being made; `Snapshot.recording` tells.

        The engine chooses the file. GridtopError when there is nothing live, or the file cannot be made.
        """
        ...

    async def statistics(self) -> Statistics | None:
        """How the data come, by device; None when the source does not count that."""
        ...

    async def close(self) -> None:
        """Leave; the engine goes on if it is not this client's own."""
        ...
