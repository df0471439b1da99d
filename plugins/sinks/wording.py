"""Events in words for people: a subject, lines to read, and text that can do no harm where it is put."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from gridtop.api import Event

_HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Unicode categories of characters that control, hide or reorder what is around them."""

_SEVERITIES = ("info", "warning", "critical")


def one_line(text: str, longest: int = 1000) -> str:
    """`text` on one line, each control character shown as U+FFFD, cut to `longest` characters."""
    shown = text if len(text) <= longest else text[: longest - 1] + "…"
    if shown.isprintable():
        return shown
    return "".join("\ufffd" if unicodedata.category(letter) in _HARMFUL else letter for letter in shown)


def where(event: Event) -> str:
    """The channel or the terminal that an event is about; empty when it is about neither."""
    return event.channel or event.terminal


def readable(event: Event) -> str:
    """An event as one line to read: when, how bad, what happened, who says so, where, in words."""
    when = event.to_dict()["time"] or f"row {event.row}"
    place = f" {event.channel}" if event.channel else ""
    return f"{when}  {event.severity:<8}  {event.transition:<12}  {event.rule}{place}: {event.message}"


def worst(events: Sequence[Event]) -> str:
    """The highest severity among the events."""
    return max((event.severity for event in events), key=_SEVERITIES.index)


def subject(events: Sequence[Event]) -> str:
    """One line for the head of a message about one event or several: how bad, what, where."""
    first = events[0]
    what = " ".join(part for part in (first.rule, where(first)) if part)
    head = f"{worst(events).upper()} {what}: {first.transition.replace('_', ' ')}"
    if len(events) > 1:
        head += f", and {len(events) - 1} more"
    return one_line(head, 150)


def letter(events: Sequence[Event]) -> str:
    """The events as lines of text: each with what it rests on and the incident it belongs to."""
    lines = []
    for event in events:
        lines.append(one_line(readable(event)))
        if event.cause:
            parts = ", ".join(f"{part.channel} {100 * part.share:.0f} %" for part in event.cause)
            lines.append(one_line(f"    rests on {parts}"))
        if event.incident:
            lines.append(one_line(f"    incident {event.incident}, event {event.id}"))
    return "\n".join(lines) + "\n"
