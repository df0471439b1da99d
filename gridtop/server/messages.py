"""Events as the messages of streams, in both forms that there are (docs/http-api.md)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal, NamedTuple

from gridtop.events import Event
from gridtop.server.answers import encoded

Form = Literal["event", "alert"]
"""Everything there is to know, or type, count and message of what is an alert."""


class Rendered(NamedTuple):
    """One event as the bytes of both streams; what the stream of alerts leaves out is empty there."""

    seq: int
    event: bytes
    alert: bytes


def as_event(event: Event) -> bytes:
    """The message of `/v1/events`: the very bytes of the log, named by the kind."""
    return encoded(f"id: {event.seq}\nevent: {event.kind}\ndata: {event.to_json()}\n\n")


def as_alert(event: Event) -> bytes:
    """The message of `/events`, without a name; empty for what is no alert."""
    told = event.kind == "alert" or (event.kind == "alarm" and event.transition in ("raised", "escalated"))
    if not told:
        return b""
    data = json.dumps(event.as_alert(), ensure_ascii=False, allow_nan=False)
    return encoded(f"id: {event.seq}\ndata: {data}\n\n")


RENDER: dict[Form, Callable[[Event], bytes]] = {"event": as_event, "alert": as_alert}
"""How an event is written in each form."""
