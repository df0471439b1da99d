"""An engine that cannot be reached, in words: how long it is gone, what comes next, what it last said."""

from __future__ import annotations

from collections.abc import Sequence

from gridtop.client import Link

from .rows import Row, Span, fit, spread

_PATIENCE = 1.0
"""Seconds that an engine may take to start without a word."""


def span(seconds: float) -> str:
    """`12 s`, `3 min`, `2 h`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 3600 else f"{whole // 3600} h"


def problem(link: Link, now: float, can_restart: bool) -> str:
    """One line while the engine is not there, else nothing."""
    gone = span(now - link.since)
    detail = f": {link.detail}" if link.detail else ""
    if link.state == "connecting" and detail and now - link.since > _PATIENCE:
        return f"no source yet, {gone}{detail}"
    if link.state == "lost":
        return f"ENGINE GONE {gone}, reconnecting{detail}"
    if link.state == "ended":
        return f"ENGINE ENDED {gone} ago{', R restarts it' if can_restart else ''}{detail}"
    return ""


def log_rows(lines: Sequence[str], width: int, height: int) -> tuple[Row, ...]:
    """The end of the engine's own log as `height` rows with a heading."""
    room = max(0, height - 1)
    shown = lines[len(lines) - min(room, len(lines)) :]
    heading = spread((Span(" LAST WORDS OF THE ENGINE", "strong"),), (Span("R restart ", "dim"),), width)
    rows: list[Row] = [heading, *((Span(f" {line}"),) for line in shown)]
    rows += [()] * (height - len(rows))
    return tuple(fit(row, width) for row in rows[:height])
