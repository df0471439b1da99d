"""Events that are no part of a recording: what the engine says of itself, and what other programs report."""

from __future__ import annotations

import secrets
from dataclasses import replace

from gridtop.client import Transport
from gridtop.events import Detail, Event, Kind, Severity, event_id
from gridtop.text import clean

LONGEST_TYPE, LONGEST_MESSAGE = 64, 2048
"""Characters kept of an alert that another program reports, and of what the engine says of itself."""


def noticed(rule: str, severity: Severity, text: str) -> Event:
    """What is known before the first frame: at each start it is the same event again."""
    return Event(
        id=event_id("", 0, rule, text, "noticed", 0),
        kind="plugin",
        transition="noticed",
        severity=severity,
        rule=rule,
        message=text,
        row=0,
    )


def said(rule: str, severity: Severity, text: str, where: Transport) -> Event:
    """What the engine says of itself while it runs."""
    return _now("system", rule, severity, text, where)


def alert(type: str, count: int, message: str, by: str, where: Transport) -> Event:
    """What another program noticed, as a warning of kind `alert` named by its type; texts are cut."""
    kind = clean(type, LONGEST_TYPE)
    details: dict[str, Detail] = {"type": kind, "count": count, "by": clean(by)}
    return replace(_now("alert", kind, "warning", message, where), details=details)


def _now(kind: Kind, rule: str, severity: Severity, text: str, where: Transport) -> Event:
    """Something that no recording will ever give again."""
    return Event(
        id=secrets.token_hex(8),
        kind=kind,
        transition="noticed",
        severity=severity,
        rule=rule,
        message=clean(text, LONGEST_MESSAGE),
        row=where.row,
        time=where.time,
        pass_number=where.pass_number,
    )
