"""The description of the API as an OpenAPI 3.1 document; docs/openapi.json is the same.

https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import functools
from typing import Any

from gridtop import __version__
from gridtop.orders import ACTIONS, LONGEST_SHELVE, LONGEST_TEXT
from gridtop.server.schemas import SPEED, TEXT, TIME, WHOLE, Schema, nullable, record, reference, schemas

_DESCRIPTION = (
    "A running gridtop engine: what it sees, what happened, and what it can be told. Over its Unix socket it "
    "needs no token; over TCP it does, unless it was configured otherwise. In words: docs/http-api.md."
)

_REASONS = {
    "400": "A value is missing or out of bounds.",
    "401": "Over TCP: no token, or one that is not known.",
    "403": "This caller, host name or web page may not do that.",
    "408": "The body took too long.",
    "413": "The body is larger than 64 KiB.",
    "415": "The body is not application/json.",
    "429": "Too many; Retry-After says in how many seconds the next one is accepted.",
    "503": "Not now: the source is not open yet, or too many streams are.",
}

_READING = ("401", "403")
_CHANGING = ("400", "401", "403", "408", "413", "415", "503")


@functools.cache
def document() -> Schema:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "gridtop", "version": __version__, "description": _DESCRIPTION},
        "security": [{"token": []}],
        "paths": {
            "/healthz": {"get": _alive()},
            "/readyz": {"get": _ready()},
            "/metrics": {"get": _metrics()},
            "/events": {"get": _alert_stream()},
            "/alert": {"post": _alert()},
            "/v1/openapi.json": {"get": _document()},
            "/v1/hello": {"get": _hello()},
            "/v1/snapshot": {"get": _snapshot()},
            "/v1/events": {"get": _events()},
            "/v1/ticket": {"post": _ticket()},
            "/v1/telemetry": {"get": _telemetry()},
            "/v1/statistics": {"get": _statistics()},
            "/v1/recording": {"post": _recording()},
            "/v1/replay/pause": {"post": _order("Stop the clock of a replay.")},
            "/v1/replay/resume": {"post": _order("Let the clock run on; at the end, start it again.")},
            "/v1/replay/step": {"post": _step()},
            "/v1/replay/speed": {"post": _speed()},
            "/v1/replay/seek": {"post": _seek()},
            "/v1/alarms/{id}/{action}": {"post": _operate()},
        },
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "ticket": {"type": "apiKey", "in": "query", "name": "ticket"},
            },
            "responses": {
                status: {"description": text, "content": _json(reference("Error"))}
                for status, text in _REASONS.items()
            },
            "schemas": schemas(),
        },
    }


def _alive() -> Schema:
    body = record({"status": {"const": "ok"}})
    return _asked("Whether the process answers; needs no token.", _json(body), ("403",)) | {"security": []}


def _ready() -> Schema:
    said = _json(reference("Ready"))
    operation = _asked("Whether the engine does its work, and how its sinks are.", said)
    operation["responses"]["503"] = {"description": "It does not, for these reasons.", "content": said}
    return operation


def _metrics() -> Schema:
    return _asked("Every counter in the text form of Prometheus, 0.0.4.", {"text/plain": {"schema": TEXT}})


def _document() -> Schema:
    return _asked("This document.", _json({"type": "object", "required": ["openapi", "paths"]}))


def _hello() -> Schema:
    summary = "What does not change while the engine runs: its channels, and what is derived."
    return _asked(summary, _json(reference("Hello")), (*_READING, "503"))


def _snapshot() -> Schema:
    return _asked("The monitor now.", _json(reference("Snapshot")))


def _events() -> Schema:
    summary = "Events after a number: a page of them, or with Accept: text/event-stream a stream."
    operation = _asked(
        summary,
        {**_json(reference("Page")), "text/event-stream": {"schema": TEXT}},
        (*_READING, "400", "503"),
        _query(
            "after", {"type": "integer", "minimum": 0, "default": 0}, "the number of the last event known"
        ),
        _query("limit", {"type": "integer", "minimum": 1, "maximum": 5000, "default": 500}, "of a page"),
        _LAST,
    )
    return operation | {"security": [{"token": []}, {"ticket": []}]}


def _alert_stream() -> Schema:
    operation = _asked(
        "A stream of alerts (type, count, message): raised and escalated alarms, and what others reported.",
        {"text/event-stream": {"schema": TEXT}},
        (*_READING, "400", "503"),
        _query("after", {"type": "integer", "minimum": 0}, "the last event known; if not given, the newest"),
        _LAST,
    )
    return operation | {"security": [{"token": []}, {"ticket": []}]}


def _alert() -> Schema:
    answer = _json(record({"status": {"const": "success"}, "id": TEXT}))
    return _asked("Report an alert, which becomes an event.", answer, (*_CHANGING, "429")) | {
        "requestBody": {"required": True, "content": _json(reference("Alert"))}
    }


def _ticket() -> Schema:
    answer = _json(record({"ticket": TEXT, "seconds": {"type": "number"}}))
    return _asked("A word that opens one stream, once and soon.", answer, (*_READING, "415"))


def _telemetry() -> Schema:
    return _asked(
        "The envelope of some channels over the newest seconds.",
        _json(reference("Telemetry")),
        (*_READING, "400", "503"),
        _query("channel", {"type": "array", "items": TEXT, "maxItems": 1024}, "once for each channel"),
        _query(
            "window", {"type": "number", "minimum": 0.001, "maximum": 2_678_400, "default": 60}, "seconds"
        ),
        _query("buckets", {"type": "integer", "minimum": 1, "maximum": 8192, "default": 160}, "equal parts"),
    )


def _statistics() -> Schema:
    summary = "How the data come: figures of the stream and of each device; null when the source counts none."
    return _asked(summary, _json(nullable(reference("Statistics"))), (*_READING, "503"))


def _recording() -> Schema:
    return _order(
        "Begin a recording of live data, or end it; the engine chooses the file.",
        record({"on": {"type": "boolean"}}),
    )


def _step() -> Schema:
    body = record({"frames": {**WHOLE, "default": 1}}, optional=("frames",))
    return _order("While paused: some frames on, or back when negative.", body)


def _speed() -> Schema:
    return _order("Play at so many times real time.", record({"factor": SPEED}))


def _seek() -> Schema:
    to = {"anyOf": [record({"row": WHOLE}), record({"time": TIME})]}
    return _order("Go to a frame; begins a new pass.", to)


def _operate() -> Schema:
    body = record(
        {
            "reason": {"type": "string", "description": f"{LONGEST_TEXT} characters are kept"},
            "seconds": {"type": "number", "description": f"for shelve: at most {LONGEST_SHELVE:g}"},
        },
        optional=("reason", "seconds"),
    )
    operation = _order("Tell an alarm something; one that is normal needs nothing.", body)
    operation["parameters"] = [
        _path("id", TEXT, "the id of the event that raised the alarm"),
        _path("action", {"enum": list(ACTIONS)}, "what to tell it"),
    ]
    return operation


def _asked(summary: str, content: Schema, reasons: tuple[str, ...] = _READING, *parameters: Schema) -> Schema:
    operation: Schema = {
        "summary": summary,
        "responses": {"200": {"description": "The answer.", "content": content}} | _refused(reasons),
    }
    return operation | ({"parameters": list(parameters)} if parameters else {})


def _order(summary: str, body: Schema | None = None) -> Schema:
    operation: Schema = {
        "summary": summary,
        "responses": {"204": {"description": "It was obeyed."}} | _refused(_CHANGING),
    }
    return operation | ({"requestBody": {"content": _json(body)}} if body is not None else {})


def _refused(reasons: tuple[str, ...]) -> Schema:
    return {status: {"$ref": f"#/components/responses/{status}"} for status in sorted(reasons)}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _query(name: str, schema: Schema, text: str) -> Schema:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _path(name: str, schema: Schema, text: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "description": text, "schema": schema}


_LAST: dict[str, Any] = {
    "name": "Last-Event-ID",
    "in": "header",
    "description": "the number of the event that a returning reader saw last",
    "schema": {"type": "integer", "minimum": 0},
}
