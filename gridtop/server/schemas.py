"""JSON Schemas of what the API answers, made from the records that it answers with."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from gridtop.channels import Channel
from gridtop.client import (
    FASTEST,
    SLOWEST,
    ActiveAlarm,
    Counts,
    Flood,
    JournalStatus,
    LimitLine,
    RecordingStatus,
    ScreenWishes,
    SinkStatus,
    Transport,
)
from gridtop.events import Contribution, Event

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
TIME: Schema = {"type": "string", "format": "date-time"}
YES_OR_NO: Schema = {"type": "boolean"}

_RECORDS: tuple[type[Any], ...] = (
    ActiveAlarm,
    Channel,
    Contribution,
    Counts,
    Flood,
    JournalStatus,
    LimitLine,
    RecordingStatus,
    ScreenWishes,
    SinkStatus,
    Transport,
)


def reference(name: str) -> Schema:
    """Where another schema of the document stands."""
    return {"$ref": f"#/components/schemas/{name}"}


def record(properties: Mapping[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """An object with these fields, and whatever else a newer engine may add."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": dict(properties), "required": required}


def listed(item: Schema) -> Schema:
    """A list of things of one kind."""
    return {"type": "array", "items": item}


def nullable(schema: Schema) -> Schema:
    """The same, or null."""
    if isinstance(schema.get("type"), str):
        return schema | {"type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def schemas() -> dict[str, Schema]:
    """Every schema of the document by its name."""
    found = {kind.__name__: _of_record(kind) for kind in _RECORDS}
    found["Transport"]["properties"]["speed"] = SPEED
    return found | {
        "Event": _event(),
        "Alert": ALERT,
        "Hello": _hello(),
        "Snapshot": _snapshot(),
        "Statistics": _statistics(),
        "Telemetry": _telemetry(),
        "Page": _page(),
        "Ready": _ready(),
        "Error": record({"error": TEXT, "exit": WHOLE}, optional=("exit",)),
    }


SPEED: Schema = {"anyOf": [{"type": "number", "minimum": SLOWEST, "maximum": FASTEST}, {"const": "max"}]}

ALERT: Schema = record(
    {
        "type": {"type": "string", "minLength": 1, "maxLength": 64},
        "count": {"type": "integer", "minimum": 0, "maximum": 1_000_000_000},
        "message": {"type": "string", "maxLength": 2048, "description": "at most 2048 bytes of UTF-8"},
    }
)


def _hello() -> Schema:
    return record(
        {
            "version": TEXT,
            "instance": TEXT,
            "source": TEXT,
            "live": YES_OR_NO,
            "rate": nullable(NUMBER),
            "clock": {"enum": ["utc", "row"]},
            "channels": listed(reference("Channel")),
            "limits": listed(reference("LimitLine")),
            "offered": listed(reference("Channel")),
            "screen": reference("ScreenWishes"),
        }
    )


def _snapshot() -> Schema:
    return record(
        {
            "transport": reference("Transport"),
            "alarms": listed(reference("ActiveAlarm")),
            "counts": reference("Counts"),
            "seq": WHOLE,
            "problems": listed(TEXT),
            "flood": nullable(reference("Flood")),
            "sinks": listed(reference("SinkStatus")),
            "journal": reference("JournalStatus"),
            "recording": nullable(reference("RecordingStatus")),
            "revision": WHOLE,
        }
    )


def _statistics() -> Schema:
    figures: Schema = {"type": "object", "additionalProperties": nullable(NUMBER)}
    return record(
        {
            "stream": figures,
            "devices": {"type": "object", "additionalProperties": figures},
            "words": {"type": "object", "additionalProperties": TEXT},
        }
    )


def _telemetry() -> Schema:
    numbers = listed(nullable(NUMBER))
    return record(
        {
            "channels": listed(TEXT),
            "window": NUMBER,
            "buckets": WHOLE,
            "end": nullable(TIME),
            "minimum": listed(numbers),
            "maximum": listed(numbers),
            "latest": numbers,
            "lowest": numbers,
            "highest": numbers,
            "stale": listed(YES_OR_NO),
            "doubtful": listed(YES_OR_NO),
        }
    )


def _page() -> Schema:
    return record(
        {"instance": TEXT, "journal": TEXT, "seq": WHOLE, "oldest": WHOLE}
        | {"events": listed(reference("Event"))}
    )


def _ready() -> Schema:
    sink = record({"state": TEXT, "waiting": WHOLE, "dead": WHOLE, "problem": TEXT})
    return record(
        {
            "status": {"enum": ["ready", "not ready"]},
            "reasons": listed(TEXT),
            "state": TEXT,
            "seq": WHOLE,
            "journal": record({"state": TEXT, "problem": TEXT}),
            "sinks": {"type": "object", "additionalProperties": sink},
            "problems": listed(TEXT),
        }
    )


def _event() -> Schema:
    """Its JSON form is not quite its fields: see `Event.to_dict`."""
    properties = _of_record(Event)["properties"]
    properties["pass"] = properties.pop("pass_number")
    return record(properties | {"wall": nullable(TIME)})


def _of_record(kind: type[Any]) -> Schema:
    hints = get_type_hints(kind)
    return record({field.name: _of(hints[field.name]) for field in dataclasses.fields(kind)})


def _of(annotation: Any) -> Schema:
    """The schema of a field. Numbers may be null, for those that are not finite have no JSON."""
    simple = {str: TEXT, int: WHOLE, float: nullable(NUMBER), bool: YES_OR_NO, np.datetime64: TIME}
    if annotation in simple:
        return dict(simple[annotation])
    if dataclasses.is_dataclass(annotation):
        return reference(annotation.__name__)  # type: ignore[union-attr]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return listed(_of(arguments[0]))
    if origin is not None and _is_mapping(origin):
        return {"type": "object", "additionalProperties": _of(arguments[1])}
    if origin in (Union, types.UnionType):
        others = [_of(one) for one in arguments if one is not type(None)]
        found = others[0] if len(others) == 1 else {"anyOf": others}
        return nullable(found) if type(None) in arguments else found
    raise TypeError(f"no schema is known for {annotation}")


def _is_mapping(origin: Any) -> bool:
    return isinstance(origin, type) and issubclass(origin, Mapping)
