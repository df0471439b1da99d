"""Event: one immutable line of the log, and its JSON form (docs/events.md)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np

Kind = Literal[
    "alarm",
    "data",  # a problem of the data, not of the grid
    "plugin",
    "source",
    "operator",
    "fault",  # a short circuit, told when it is over
    "alert",  # what another program reported over the API
    "system",  # gridtop itself: floods, chattering and stale alarms, delivery, the journal
]
Severity = Literal["info", "warning", "critical"]
Transition = Literal[
    "raised",  # normal to active
    "escalated",  # warning to critical
    "eased",  # critical to warning
    "cleared",  # active to normal
    "latched",  # the condition is gone, the alarm is held until someone unlatches it
    "reset",  # the pass ended (loop, seek, end of the recording) while the alarm was active
    "acknowledged",  # an operator has seen it
    "unlatched",  # an operator let go of an alarm that was held
    "shelved",  # an operator put it aside for a while
    "unshelved",  # it is back, by an operator or because its time is over
    "out_of_service",  # an operator took it out of service, until further notice
    "in_service",  # it is back in service
    "noticed",  # everything that is not an alarm: it happened, once
]
Detail = str | float | int | bool | None
Priority = Literal["", "low", "medium", "high"]
"""How soon somebody must respond, by consequence; empty for what is not an alarm."""
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Contribution:
    """One of the channels that a detector's alarm rests on, and its share of the score, 0 to 1."""

    channel: str
    share: float


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, with everything a reader needs to understand it.

    `time` is measurement time (UTC), None when the recording has no clock; `row` counts frames from 0.
    `since` is when the condition was first seen and `since_row` its row: the raise comes an on-delay later.
    `rule` is the name of the limit, the detector, the source or the plugin that spoke.
    `value` is the value at this frame in `unit`, `limit` the threshold that decided.
    `id` is the same for the same run of the same recording; `seq` counts what one engine published,
    from 1, and `wall` is when (seconds since 1970): both are 0 until the monitor publishes the event.
    `details` holds what a kind has besides, such as type and place of a short circuit: numbers, texts or
    None by name.
    `incident` is the id of the event that raised the alarm: all that happens to one alarm from its raise to
    its end has the same; empty for what is not an alarm. `parent` is the incident that came first in a flood
    and stands for this one.
    `cause` are the channels that contributed most to a detector's score, the largest share first;
    `cause_approximate` is true when the host had to find out by trial which they are.
    """

    id: str
    kind: Kind
    transition: Transition
    severity: Severity
    rule: str
    message: str
    row: int
    time: np.datetime64 | None = None
    since: np.datetime64 | None = None
    since_row: int | None = None
    channel: str = ""
    quantity: str = ""
    terminal: str = ""
    phase: str = ""
    direction: Literal["", "low", "high", "abs"] = ""
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    pass_number: int = 1
    seq: int = 0
    wall: float = 0.0
    priority: Priority = ""
    incident: str = ""
    parent: str = ""
    details: Mapping[str, Detail] = field(default_factory=dict)
    cause: tuple[Contribution, ...] = ()
    cause_approximate: bool = False

    @property
    def order(self) -> tuple[int, str, str, str]:
        """What events are sorted by: row, rule, channel and direction."""
        return self.row, self.rule, self.channel, self.direction

    def published(self, seq: int, wall: float) -> Event:
        """This event with its place in the log: what a monitor does exactly once to each event."""
        event = object.__new__(Event)
        for name in _FIELDS:  # `replace` takes five times as long, and floods have thousands of events
            object.__setattr__(event, name, getattr(self, name))
        object.__setattr__(event, "seq", seq)
        object.__setattr__(event, "wall", wall)
        return event

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON form: times as ISO 8601 UTC, missing and infinite numbers as None."""
        return {
            "id": self.id,
            "seq": self.seq,
            "time": iso_time(self.time),
            "row": self.row,
            "kind": self.kind,
            "transition": self.transition,
            "severity": self.severity,
            "rule": self.rule,
            "channel": self.channel,
            "quantity": self.quantity,
            "terminal": self.terminal,
            "phase": self.phase,
            "direction": self.direction,
            "value": _finite(self.value),
            "limit": _finite(self.limit),
            "unit": self.unit,
            "since": iso_time(self.since),
            "since_row": self.since_row,
            "pass": self.pass_number,
            "priority": self.priority,
            "incident": self.incident,
            "parent": self.parent,
            "message": self.message,
            "details": {name: _plain(value) for name, value in self.details.items()},
            "cause": [{"channel": part.channel, "share": part.share} for part in self.cause],
            "cause_approximate": self.cause_approximate,
            "wall": iso_time(np.datetime64(round(self.wall * 1000), "ms")) if self.wall else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Event:
        """The inverse of `to_dict`, which ignores fields it does not know.

        KeyError, TypeError or ValueError when a field is missing or is something else.
        """
        known = {one.name for one in fields(cls)}
        values = {name: value for name, value in data.items() if name in known}
        wall = time_from_iso(data["wall"])
        values["pass_number"] = data["pass"]
        values["time"], values["since"] = time_from_iso(data["time"]), time_from_iso(data["since"])
        values["wall"] = 0.0 if wall is None else float(wall.astype("datetime64[ms]").astype(np.int64)) / 1000
        values["cause"] = tuple(
            Contribution(part["channel"], part["share"]) for part in data.get("cause", ())
        )
        return cls(**values)

    def as_alert(self) -> dict[str, Any]:
        """`{type, count, message}`: what a receiver of plain alerts gets.

        `type` is the rule, `count` how many frames in a row the condition has held (1 when it has no
        duration); an alert that another program reported keeps what it said, and a digest has the number of
        events that it stands for.
        """
        if self.kind == "alert":
            return {"type": self.details["type"], "count": self.details["count"], "message": self.message}
        if self.kind == "system" and self.rule == "digest":
            return {"type": self.rule, "count": self.details["count"], "message": self.message}
        count = self.row - self.since_row + 1 if self.since_row is not None else 1
        return {"type": self.rule, "count": max(1, count), "message": self.message}

    def to_json(self) -> str:
        """One line of JSON, without the line's end."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))


_FIELDS = tuple(one.name for one in fields(Event))


def event_id(identity: str, pass_number: int, rule: str, channel: str, transition: str, row: int) -> str:
    """16 hex digits that are the same whenever the same thing happens in the same recording."""
    text = "\x1f".join((identity, str(pass_number), rule, channel, transition, str(row)))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def iso_time(time: np.datetime64 | None) -> str | None:
    """ISO 8601 in UTC with as many decimals as it takes and a Z: 2026-01-01T00:00:12.5Z."""
    if time is None or np.isnat(time):
        return None
    text = str(np.datetime_as_string(time.astype("datetime64[ns]")))
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "Z"


def time_from_iso(text: str | None) -> np.datetime64 | None:
    """The inverse of `iso_time`."""
    return None if text is None else np.datetime64(text.removesuffix("Z"), "ns")


def _plain(value: Detail) -> Detail:
    return _finite(value) if isinstance(value, float) else value


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
