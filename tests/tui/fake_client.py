"""A client without a monitor: moving synthetic data with gaps, alarms and hostile names, and a list of
the commands it was given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from gridtop.channels import Channel, ChannelSet
from gridtop.client import (
    ActiveAlarm,
    AlarmState,
    Counts,
    Flood,
    Hello,
    JournalStatus,
    LimitLine,
    RecordingStatus,
    ScreenWishes,
    SinkStatus,
    Snapshot,
    State,
    Telemetry,
    TelemetryRequest,
    Transport,
)
from gridtop.errors import GridtopError
from gridtop.events import Contribution, Event, Severity
from gridtop.orders import Order
from gridtop.source_statistics import Statistics

RATE = 30.0
START = np.datetime64("2026-01-01T14:30:00", "ns")
LENGTH = 9000
HOSTILE = "F\x1b]0;owned\x07eeder\u202e [red]7[/] ⚡\u0301中文"


def _channels() -> tuple[Channel, ...]:
    made: list[Channel] = []
    for terminal in ("R1", "R2", "R3", "R4"):
        for column, phase in enumerate("ABC", start=1):
            voltage, current = f"{terminal}-PM{column}:V", f"{terminal}-PM{column + 3}:I"
            made += (
                Channel(voltage, "voltage", "V", terminal, phase, "magnitude", "line_to_neutral"),
                Channel(f"{terminal}-PA{column}:VH", "voltage", "deg", terminal, phase, "angle"),
                Channel(current, "current", "A", terminal, phase, "magnitude"),
                Channel(f"{terminal}:voltage_pu.{phase}", "voltage_pu", "pu", terminal, phase),
            )
        made += (
            Channel(f"{terminal}-PA:Z", "impedance", "ohm", terminal, "", "magnitude"),
            Channel(f"{terminal}:F", "frequency", "Hz", terminal),
        )
    made.append(Channel(HOSTILE, "voltage", "V", HOSTILE, HOSTILE))
    return tuple(made)


CHANNELS = ChannelSet(_channels(), RATE)


def signal(channel: Channel, seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """What a channel measures at some times: a sag every minute at R3, a gap, a one-frame spike."""
    t = seconds
    noise = np.sin(t * 37.0) * np.sin(t * 91.0)
    unlike = "ABC".find(channel.phase) if channel.phase else 0
    sag = (t % 60 > 37) & (t % 60 < 38.2) & (channel.terminal in ("R1", "R3"))
    sag = sag * (1 - 0.4 * max(0, unlike))
    if channel.quantity == "voltage":
        values = 131_900 - 900 * unlike + 350 * np.sin(t / 7) + 90 * noise - 43_000 * sag
    elif channel.quantity == "voltage_pu":
        values = 0.993 + 0.002 * np.sin(t / 7) - 0.32 * sag
    elif channel.quantity == "current":
        values = 391 - 15 * unlike + 22 * np.sin(t / 11) + 4 * noise + 1650 * sag
        values = np.where(np.abs(t % 60 - 12.0) < 0.5 / RATE, 640.0, values)
        values = np.where((t % 60 > 20) & (t % 60 < 26), np.nan, values)
    elif channel.quantity == "impedance":
        values = 337 + 17 * np.cos(t / 11) - 290 * sag
        values = np.where((t % 60 > 20) & (t % 60 < 26), np.inf, values)
    else:
        values = 60 + 0.012 * np.sin(t / 9) + 0.001 * noise - 0.06 * np.exp(-((t % 60 - 39) ** 2) / 4)
    return values


LIMITS: dict[str, tuple[tuple[Literal["low", "high"], Severity, float], ...]] = {
    "voltage": (("low", "warning", 126e3), ("low", "critical", 119.5e3), ("high", "warning", 139.4e3)),
    "current": (("high", "warning", 700.0), ("high", "critical", 1000.0)),
    "frequency": (("low", "warning", 59.95), ("high", "warning", 60.05)),
}


def limits(channels: ChannelSet) -> tuple[LimitLine, ...]:
    """Thresholds as the rules of a usual configuration have them."""
    return tuple(
        LimitLine(channel.name, *limit)
        for channel in channels
        if channel.part != "angle"
        for limit in LIMITS.get(channel.quantity, ())
    )


@dataclass
class FakeClient:
    """Answers like a monitor that stands at `row`; commands are noted in `calls` and change its state."""

    row: int = 1236
    state: State = "playing"
    channels: ChannelSet = CHANNELS
    source: str = "two-line.csv.gz"
    factor: float = 4.0
    reached: float = 3.97
    pass_number: int = 1
    alarms: tuple[ActiveAlarm, ...] = ()
    log: list[Event] = field(default_factory=list)
    counts: Counts = field(default_factory=Counts)
    problems: tuple[str, ...] = ()
    problem: str = ""
    error: Exception | None = None
    """Raised by every question while it is set."""
    greeting_error: Exception | None = None
    live: bool = False
    wishes: ScreenWishes = field(default_factory=ScreenWishes)
    flood: Flood | None = None
    sinks: tuple[SinkStatus, ...] = ()
    journal: JournalStatus = field(default_factory=JournalStatus)
    recording: RecordingStatus | None = None
    revision: int = 0
    silence: float = 0.0
    figures: Statistics | None = None
    """How the data come; None when the source does not count that."""
    statistics_asked: int = 0
    read_only: bool = False
    refusal: str = ""
    """Why every order is refused, while it is set."""
    orders: list[Order] = field(default_factory=list)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    requests: list[TelemetryRequest] = field(default_factory=list)

    def advance(self, frames: int) -> None:
        """Let time pass."""
        self.row = min(self.row + frames, LENGTH - 1)

    def happened(self, event: Event) -> None:
        """Publish an event."""
        self.log.append(event.published(len(self.log) + 1, 0.0))

    @property
    def transport(self) -> Transport:
        by_row = self.channels.clock == "row"
        return Transport(
            self.state,
            self.row,
            None if by_row else self._time(self.row),
            None if by_row else START,
            None if by_row else self._time(LENGTH - 1),
            LENGTH,
            self.factor,
            self.reached if self.state == "playing" else math.nan,
            self.pass_number,
            problem=self.problem,
            silence=self.silence,
        )

    async def hello(self) -> Hello:
        if self.greeting_error is not None:
            raise self.greeting_error
        return Hello(
            "0.1.0", self.source, self.live, self.channels, limits=limits(self.channels), screen=self.wishes
        )

    async def snapshot(self) -> Snapshot:
        if self.error is not None:
            raise self.error
        return Snapshot(
            self.transport,
            self.alarms,
            self.counts,
            len(self.log),
            self.problems,
            self.flood,
            self.sinks,
            self.journal,
            self.recording,
            self.revision,
        )

    async def events(self, after: int = 0, limit: int = 500) -> Sequence[Event]:
        return self.log[after : after + limit]

    async def telemetry(self, request: TelemetryRequest) -> Telemetry:
        self.requests.append(request)
        width = request.window / request.buckets
        now = self.row / RATE
        newest = math.floor(now / width)
        first_row = max(0, math.ceil((newest - request.buckets + 1) * width * RATE))
        seconds = np.arange(first_row, self.row + 1) / RATE
        index = np.clip(np.floor(seconds / width).astype(int) - newest + request.buckets - 1, 0, None)
        starts = np.flatnonzero(np.r_[True, np.diff(index) > 0])
        shape = len(request.channels), request.buckets
        minimum, maximum = np.full(shape, np.nan), np.full(shape, np.nan)
        latest, stale = np.full(shape[0], np.nan), np.ones(shape[0], dtype=np.bool_)
        for k, name in enumerate(request.channels):
            values = signal(self.channels[self.channels.position(name)], seconds)
            values = np.where(np.isfinite(values), values, np.nan)
            minimum[k, index[starts]] = np.fmin.reduceat(values, starts)
            maximum[k, index[starts]] = np.fmax.reduceat(values, starts)
            good = values[np.isfinite(values)]
            latest[k] = good[-1] if len(good) else np.nan
            stale[k] = not np.isfinite(values[-1])
        lowest, highest = np.fmin.reduce(minimum, axis=1), np.fmax.reduce(maximum, axis=1)
        return Telemetry(
            request.channels,
            request.window,
            self._time(self.row),
            minimum,
            maximum,
            latest,
            lowest,
            highest,
            stale,
            np.zeros(shape[0], dtype=np.bool_),
        )

    async def pause(self) -> None:
        self.calls.append(("pause",))
        self.state = "paused"

    async def resume(self) -> None:
        self.calls.append(("resume",))
        self.state = "playing"

    async def step(self, frames: int = 1) -> None:
        self.calls.append(("step", frames))
        self.advance(frames)

    async def speed(self, factor: float) -> None:
        self.calls.append(("speed", factor))
        self.factor = self.reached = factor

    async def seek(self, row: int) -> None:
        self.calls.append(("seek", row))
        self.row, self.pass_number = max(0, min(row, LENGTH - 1)), self.pass_number + 1

    async def seek_time(self, time: np.datetime64) -> None:
        self.calls.append(("seek_time", time))
        row = math.ceil((time - START) / np.timedelta64(1, "s") * RATE)
        self.row, self.pass_number = max(0, min(row, LENGTH - 1)), self.pass_number + 1

    async def operate(self, order: Order) -> None:
        self.calls.append((order.action, order.alarm))
        self.orders.append(order)
        if self.refusal:
            raise GridtopError(self.refusal)
        self.alarms = tuple(
            after
            for alarm in self.alarms
            if (after := self._obeyed(alarm, order) if alarm.id == order.alarm else alarm) is not None
        )

    def _obeyed(self, alarm: ActiveAlarm, order: Order) -> ActiveAlarm | None:
        """The alarm after an order, None when it is normal then."""
        match order.action:
            case "acknowledge" if alarm.state == "returned":
                return None
            case "acknowledge" if alarm.state in ("unacknowledged", "latched"):
                state: AlarmState = "acknowledged"
                if alarm.state == "latched":
                    state = "latched_acknowledged"
                return replace(alarm, state=state, acknowledged=True, user="anna")
            case "shelve":
                until = self._time(self.row) + np.timedelta64(round(order.seconds), "s")
                return replace(alarm, state="shelved", until=until, user="anna", reason=order.reason)
            case "take-out-of-service":
                return replace(alarm, state="out_of_service", user="anna", reason=order.reason)
            case "unshelve" | "put-in-service":
                return replace(alarm, state="unacknowledged", until=None, user="", reason="")
            case "unlatch" if alarm.state == "latched_acknowledged":
                return None
            case "unlatch":
                return replace(alarm, state="returned", latched=False)
        return alarm

    async def record(self, on: bool) -> None:
        if self.read_only:
            raise GridtopError("this screen only reads (--read-only)")
        self.calls.append(("record", on))
        if self.refusal:
            raise GridtopError(self.refusal)
        self.recording = RecordingStatus("/var/lib/gridtop/recordings/substation-7.csv") if on else None

    async def statistics(self) -> Statistics | None:
        self.statistics_asked += 1
        return self.figures

    async def close(self) -> None:
        self.calls.append(("close",))

    @staticmethod
    def _time(row: int) -> np.datetime64:
        return START + np.timedelta64(round(row / RATE * 1e9), "ns")


def sag_alarm(terminal: str = "R3", phase: str = "A", row: int = 1113) -> ActiveAlarm:
    """A critical undervoltage."""
    since = FakeClient._time(row)
    message = f"{terminal} {phase} voltage 0.673 pu below 0.9 pu (critical)"
    channel = f"{terminal}:voltage_pu.{phase}"
    return ActiveAlarm(
        f"sag-{terminal}-{phase}", "voltage", channel, "critical", "low", 0.673, 0.671, 0.9, "pu", message,
        row + 3, row, since, since,
    )  # fmt: skip


def frequency_alarm(row: int = 1170) -> ActiveAlarm:
    """A warning about the frequency."""
    since = FakeClient._time(row)
    return ActiveAlarm(
        "f-R1", "frequency", "R1:F", "warning", "low", 59.93, 59.93, 59.95, "Hz",
        "R1 frequency 59.93 Hz below warning limit 59.95 Hz", row + 3, row, since, since,
    )  # fmt: skip


def event(
    row: int, transition: str = "raised", severity: str = "critical", message: str = "", **more: object
) -> Event:
    """An event at a row of the fake recording."""
    fields: dict[str, object] = {
        "rule": "voltage",
        "channel": "R3:voltage_pu.A",
        "time": FakeClient._time(row),
        "kind": "alarm",
    } | more
    return Event(f"{row:016x}", transition=transition, severity=severity, row=row, message=message, **fields)  # type: ignore[arg-type]


CAUSE = (
    Contribution("R3:voltage_pu.A", 0.6214),
    Contribution("R3-PM4:I", 0.2032),
    Contribution("R1:voltage_pu.A", 0.0911),
    Contribution(HOSTILE, 0.05),
    Contribution("R3:F", 0.0121),
)
_WORDS = "autoencoder:error 8.21 above 3.07 (critical)"


def explained_event(row: int = 1206) -> Event:
    """The alarm of a detector that the host found the channels of."""
    return event(
        row,
        message=_WORDS,
        rule="autoencoder",
        channel="autoencoder:error",
        direction="high",
        value=8.21,
        limit=3.07,
        since=FakeClient._time(row - 3),
        since_row=row - 3,
        cause=CAUSE,
        cause_approximate=True,
    )


def explained_alarm(row: int = 1206) -> ActiveAlarm:
    """The same, still open."""
    since = FakeClient._time(row)
    return ActiveAlarm(
        "ae", "autoencoder", "autoencoder:error", "critical", "high", 8.3, 9.1, 3.07, "", _WORDS,
        row + 3, row, since, since, cause=CAUSE, cause_approximate=True,
    )  # fmt: skip


def every_state() -> tuple[ActiveAlarm, ...]:
    """An alarm in each of the states, two of them odd besides."""
    gone = {"ended": FakeClient._time(1200), "ended_row": 1200}
    return (
        replace(sag_alarm(), priority="high"),
        replace(frequency_alarm(), chattering=True, priority="medium"),
        replace(sag_alarm("R3", "B"), state="returned", **gone),  # type: ignore[arg-type]
        replace(sag_alarm("R3", "C"), state="acknowledged", acknowledged=True, user="anna", stale=True),
        replace(sag_alarm("R2", "A"), state="latched", latched=True, **gone),  # type: ignore[arg-type]
        replace(
            sag_alarm("R2", "B"),
            state="latched_acknowledged",
            latched=True,
            acknowledged=True,
            user="bert",
            **gone,  # type: ignore[arg-type]
        ),
        replace(
            sag_alarm("R2", "C"),
            state="shelved",
            until=FakeClient._time(27_000),
            user="anna",
            reason="the PMU is being replaced",
        ),
        replace(sag_alarm("R4", "A"), state="suppressed"),
        replace(sag_alarm("R4", "B"), state="out_of_service", user="bert", reason="line L2 is down"),
    )


def flood_of(children: int) -> tuple[ActiveAlarm, ...]:
    """A critical alarm, warnings that stand behind it, and one that stands for itself."""
    first = replace(sag_alarm(), id="first", children=children)
    behind = tuple(
        replace(frequency_alarm(1120 + n), id=f"behind-{n:02}", parent="first", message=f"alarm number {n}")
        for n in range(children)
    )
    return (first, *behind, replace(frequency_alarm(1110), id="alone", message="R1 frequency on its own"))


def busy_client() -> FakeClient:
    """A client in the middle of a disturbance, always the same."""
    client = FakeClient(alarms=(frequency_alarm(), sag_alarm()), counts=Counts(frames=1236, infinite=180))
    client.happened(
        event(
            0,
            "noticed",
            "info",
            "opened two-line.csv.gz: 9000 frames, 57 channels",
            rule="source",
            channel="",
            kind="source",
        )
    )
    client.happened(
        event(
            610,
            "noticed",
            "warning",
            "impedance is infinite since 14:30:20.000",
            rule="data",
            channel="R1-PA:Z",
            kind="data",
        )
    )
    client.happened(event(1116, message="R3 A voltage 0.673 pu below 0.9 pu (critical)"))
    client.happened(
        event(
            1116,
            message="R3 B voltage 0.672 pu below 0.9 pu (critical)",
            channel="R3:voltage_pu.B",
        )
    )
    client.happened(
        event(
            1173,
            "raised",
            "warning",
            "R1 frequency 59.93 Hz below warning limit 59.95 Hz",
            rule="frequency",
            channel="R1:F",
        )
    )
    client.happened(
        event(
            1180,
            "cleared",
            "critical",
            "R3 B voltage cleared at 0.991 pu after 1.2 s, worst 0.671 pu",
            channel="R3:voltage_pu.B",
        )
    )
    client.happened(
        event(
            1200,
            "noticed",
            "info",
            f"relabelled {HOSTILE}",
            rule="operator",
            channel=HOSTILE,
            kind="operator",
        )
    )
    return client


STREAM = {
    "frames": 35_120,
    "bytes": 12_345_678,
    "missing_frames": 12,
    "bad_crc": 3,
    "connections": 2,
    "failures": 1,
    "dropped": 0,
    "latency_min": 0.018,
    "latency_mean": 0.0234,
    "latency_max": 0.31,
    "latency_last": 0.0211,
    "defined_rate": 30.0,
    "seconds_since_data": 0.04,
}


def device(expected: int = 351_200, missing: int = 0, **more: float) -> dict[str, float]:
    """What a source of PMUs counts of one of them."""
    return {
        "frames": 35_120,
        "device_errors": 0,
        "no_information": 0,
        "time_errors": 0,
        "triggers": 2,
        "measurements_expected": expected,
        "measurements_missing": missing,
        "last_status": 0xF000,
    } | more


def four_devices() -> Statistics:
    """A stream with a device that says what is wrong, one whose data lack in parts, and two good ones."""
    devices = {
        "R1": device(),
        "R2": device(missing=4000),
        "R3": device(time_errors=612, no_information=7, device_errors=1),
        "Station West 110 kV": device(),
    }
    return Statistics(STREAM, devices, {"R3": "its clock has not been locked for 20 s"})


def many_devices(count: int) -> Statistics:
    """As many devices, nothing wrong with any of them."""
    return Statistics(STREAM, {f"PMU {n:03}": device() for n in range(count)})
