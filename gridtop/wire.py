"""The client's face as JSON: how hello, snapshot, telemetry and events travel over HTTP.

Missing and infinite numbers are null on the way, except a speed of `max`, which is the word. Readers
ignore fields they do not know, so that an engine and a screen of neighbouring versions understand each
other.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.channels import Channel, ChannelSet
from gridtop.client import (
    ActiveAlarm,
    Counts,
    Flood,
    Hello,
    JournalStatus,
    LimitLine,
    RecordingStatus,
    ScreenWishes,
    SinkStatus,
    Snapshot,
    Telemetry,
    Transport,
)
from gridtop.errors import ConfigurationError, GridtopError, SourceError
from gridtop.events import Contribution, iso_time, time_from_iso
from gridtop.source_statistics import Statistics

Json = dict[str, Any]


def hello_to_json(hello: Hello) -> Json:
    """The channels are a list in column order."""
    channels = hello.channels
    return {
        "version": hello.version,
        "instance": hello.instance,
        "source": hello.source,
        "live": hello.live,
        "rate": channels.rate,
        "clock": channels.clock,
        "channels": [dataclasses.asdict(channel) for channel in channels],
        "limits": [_plain(line) for line in hello.limits],
        "offered": [dataclasses.asdict(channel) for channel in hello.offered],
        "screen": dataclasses.asdict(hello.screen),
    }


def hello_from_json(data: Json) -> Hello:
    """The inverse of `hello_to_json`; KeyError or TypeError when a field is missing."""
    channels = ChannelSet(
        tuple(_record(Channel, channel) for channel in data["channels"]), data["rate"], data["clock"]
    )
    limits = tuple(_record(LimitLine, line) for line in data.get("limits", ()))
    wishes = dict(data.get("screen", {}))
    wishes["keys"] = {id: tuple(keys) for id, keys in wishes.get("keys", {}).items()}
    wishes["panels"] = tuple(wishes.get("panels", ()))
    return Hello(
        data["version"],
        data["source"],
        data["live"],
        channels,
        data["instance"],
        limits,
        _record(ScreenWishes, wishes),
        tuple(_record(Channel, channel) for channel in data.get("offered", ())),
    )


def snapshot_to_json(snapshot: Snapshot) -> Json:
    """Nested objects named like the fields of Snapshot."""
    return {
        "transport": _plain(snapshot.transport) | {"speed": _speed(snapshot.transport.speed)},
        "alarms": [
            _plain(alarm) | {"cause": [_plain(part) for part in alarm.cause]} for alarm in snapshot.alarms
        ],
        "counts": _plain(snapshot.counts),
        "seq": snapshot.seq,
        "problems": list(snapshot.problems),
        "flood": None if snapshot.flood is None else _plain(snapshot.flood),
        "sinks": [_plain(sink) for sink in snapshot.sinks],
        "journal": _plain(snapshot.journal),
        "recording": None if snapshot.recording is None else _plain(snapshot.recording),
        "revision": snapshot.revision,
    }


def snapshot_from_json(data: Json) -> Snapshot:
    """The inverse of `snapshot_to_json`."""
    transport = dict(data["transport"])
    transport["speed"] = math.inf if transport["speed"] == "max" else transport["speed"]
    return Snapshot(
        _record(Transport, transport, floats=("reached",), times=("time", "first", "last")),
        tuple(_alarm(alarm) for alarm in data["alarms"]),
        _record(Counts, data["counts"]),
        data["seq"],
        tuple(data["problems"]),
        None if (flood := data.get("flood")) is None else _record(Flood, flood, times=("since",)),
        tuple(_record(SinkStatus, sink) for sink in data.get("sinks", ())),
        _record(JournalStatus, data.get("journal", {})),
        None if (recording := data.get("recording")) is None else _record(RecordingStatus, recording),
        data.get("revision", 0),
    )


def statistics_to_json(statistics: Statistics | None) -> Json | None:
    """Figures that are not known are null."""
    if statistics is None:
        return None
    return {
        "stream": _figures(statistics.stream),
        "devices": {name: _figures(figures) for name, figures in statistics.devices.items()},
        "words": dict(statistics.words),
    }


def statistics_from_json(data: Json | None) -> Statistics | None:
    """The inverse of `statistics_to_json`."""
    if data is None:
        return None

    def figures(named: Json) -> dict[str, float]:
        return {name: math.nan if value is None else value for name, value in named.items()}

    devices = {name: figures(named) for name, named in data["devices"].items()}
    return Statistics(figures(data["stream"]), devices, dict(data["words"]))


def telemetry_to_json(telemetry: Telemetry) -> Json:
    """Arrays as nested lists, NaN as null."""
    return {
        "channels": list(telemetry.channels),
        "window": telemetry.window,
        "buckets": telemetry.minimum.shape[1],
        "end": iso_time(telemetry.end),
        **{name: _list(getattr(telemetry, name)) for name in _ARRAYS},
        "stale": telemetry.stale.tolist(),
        "doubtful": telemetry.doubtful.tolist(),
    }


def telemetry_from_json(data: Json) -> Telemetry:
    """The inverse of `telemetry_to_json`."""
    arrays = {name: _array(data[name]) for name in _ARRAYS}
    for name in ("minimum", "maximum"):
        arrays[name] = arrays[name].reshape(len(data["channels"]), data["buckets"])
    return Telemetry(
        tuple(data["channels"]),
        data["window"],
        time_from_iso(data["end"]),
        stale=np.array(data["stale"], dtype=np.bool_),
        doubtful=np.array(data.get("doubtful", [False] * len(data["channels"])), dtype=np.bool_),
        **arrays,
    )


def _alarm(data: Json) -> ActiveAlarm:
    alarm = dict(data) | {"cause": _cause(data)}
    read: ActiveAlarm = _record(ActiveAlarm, alarm, floats=("value", "peak"), times=_ALARM_TIMES)
    return read


def _cause(data: Json) -> tuple[Contribution, ...]:
    """None from an engine that does not know of causes."""
    return tuple(_record(Contribution, part) for part in data.get("cause", ()))


def failure_of(exit_code: int | None, sentence: str) -> GridtopError:
    """The error whose exit code an engine gave, in its words."""
    kinds: dict[int | None, type[GridtopError]] = {
        kind.code: kind for kind in (SourceError, ConfigurationError)
    }
    return kinds.get(exit_code, GridtopError)(sentence)


_ALARM_TIMES = ("time", "since", "ended", "until")
_ARRAYS = ("minimum", "maximum", "latest", "lowest", "highest")


def _plain(record: Any) -> Json:
    """A flat dataclass as JSON: times as text, numbers that are not finite as null."""
    return {field.name: _value(getattr(record, field.name)) for field in dataclasses.fields(record)}


def _figures(named: Mapping[str, float]) -> Json:
    return {name: _value(value) for name, value in named.items()}


def _value(value: Any) -> Any:
    if isinstance(value, np.datetime64):
        return iso_time(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _record(
    kind: type[Any], data: Mapping[str, Any], floats: tuple[str, ...] = (), times: tuple[str, ...] = ()
) -> Any:
    known = {field.name for field in dataclasses.fields(kind)}
    values = {name: value for name, value in data.items() if name in known}
    values |= {name: math.nan for name in floats if values.get(name) is None}
    values |= {name: time_from_iso(values.get(name)) for name in times}
    return kind(**values)


def _speed(speed: float) -> float | str:
    return "max" if speed == math.inf else speed


def _list(array: npt.NDArray[np.float64]) -> list[Any]:
    listed: list[Any] = np.where(np.isfinite(array), array, None).tolist()  # type: ignore[call-overload]
    return listed


def _array(values: list[Any]) -> npt.NDArray[np.float64]:
    return np.array(values, dtype=np.float64)  # None becomes NaN
