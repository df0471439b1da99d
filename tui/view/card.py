"""An event in full: everything that is known of it, for a page of its own."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

import numpy as np

from gridtop.events import Detail, Event
from gridtop.tui.glyphs import Glyphs

from . import numbers
from .rows import Role, Row, Span
from .times import date_of, instant, time_of_day
from .why import says_more, why_rows

_NAME = 18
"""Cells of the names at the left."""
_NARROWEST = 20


def card_rows(event: Event, width: int, glyphs: Glyphs) -> tuple[Row, ...]:
    """The event's message, its facts, and the details of its kind, wrapped to `width` cells."""
    role: Role = event.severity if event.severity in ("warning", "critical") else "strong"
    rows: list[Row] = [(Span(line, role),) for line in wrapped(glyphs.plain(event.message), width)]
    rows.append(())
    for name, value in _facts(event):
        rows += named(name, glyphs.plain(value), width)
    if says_more(event.cause, event.channel):
        why = why_rows(event.cause, event.cause_approximate, width - _NAME - 1, glyphs)
        rows += beside(why, "why")
    if event.details:
        rows.append(())
        for name, detail in event.details.items():
            if detail in (None, ""):
                continue
            rows += named(glyphs.plain(name).replace("_", " "), glyphs.plain(_worded(detail)), width)
    rows.append(())
    if event.incident not in ("", event.id):
        rows += named("incident", glyphs.plain(event.incident), width)
    rows += named("id", event.id, width)
    return tuple(rows)


def _facts(event: Event) -> Iterator[tuple[str, str]]:
    """What every event may have, where this one has it."""
    yield "what", f"{event.kind} {event.transition.replace('_', ' ')}, {event.severity}"
    if event.priority:
        yield "priority", event.priority
    yield "when", moment(event.time, event.row)
    if event.since_row is not None and event.since_row != event.row:
        yield "since", moment(event.since, event.since_row)
    yield "rule", event.rule
    place = " ".join(part for part in (event.terminal, event.phase) if part)
    if place:
        yield "where", place
    if event.channel:
        yield "channel", event.channel
    if event.value is not None:
        yield "value", numbers.with_unit(event.value, event.unit, 5)
    if event.limit is not None:
        side = {"low": "low ", "high": "high ", "abs": "either way "}.get(event.direction, "")
        yield "limit", side + numbers.with_unit(event.limit, event.unit, 5)
    if event.parent:
        yield "stands behind", f"incident {event.parent}"
    if event.pass_number > 1:
        yield "pass", str(event.pass_number)


def moment(time: np.datetime64 | None, row: int) -> str:
    """Date and time of day where there is a clock, and the row."""
    at = instant(time)
    return f"row {row}" if at is None else f"{date_of(at)} {time_of_day(at, 3)} UTC, row {row}"


def _worded(detail: Detail) -> str:
    if isinstance(detail, bool):
        return "yes" if detail else "no"
    return f"{detail:.6g}" if isinstance(detail, float) else str(detail)


def named(name: str, value: str, width: int) -> list[Row]:
    """A fact with its name at the left."""
    lines = wrapped(value, width - _NAME - 1)
    return beside([(Span(line),) for line in lines], name)


def beside(rows: list[Row], name: str) -> list[Row]:
    """Rows with a name at the left of the first."""
    heads = [f"{name[:_NAME]:<{_NAME}} "] + [" " * (_NAME + 1)] * (len(rows) - 1)
    return [(Span(head, "dim"), *row) for head, row in zip(heads, rows, strict=True)]


def wrapped(text: str, width: int) -> list[str]:
    """Text as lines of `width` cells; never none."""
    return textwrap.wrap(text, max(_NARROWEST, width), break_on_hyphens=False) or [""]
