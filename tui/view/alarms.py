"""Active alarms as the screen words them, and which of them comes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gridtop.channels import Channel, ChannelSet
from gridtop.client import ActiveAlarm
from gridtop.events import SEVERITIES
from gridtop.tui.glyphs import Glyphs

from . import times
from .rows import Role, Row, Span

SEVERITY_MARKS = {"critical": "!!", "warning": "!", "info": "i"}
_ROLES: dict[str, Role] = {"critical": "critical", "warning": "warning"}
_DIRECTIONS = {"low": "LOW", "high": "HIGH", "abs": "OFF"}


@dataclass(frozen=True, slots=True)
class Alarm:
    """An active alarm; its text is harmless already."""

    id: str
    severity: str
    channel: str
    direction: str
    since: str
    rule: str
    message: str
    acknowledged: bool
    latched: bool
    source: Channel | None
    """The channel it is about, None when it speaks of something else (a detector's output)."""

    @property
    def mark(self) -> str:
        """The severity as a glyph that needs no colour."""
        return SEVERITY_MARKS.get(self.severity, "?")

    @property
    def role(self) -> Role:
        """How the alarm looks."""
        return _ROLES.get(self.severity, "plain")


def in_order(alarms: Iterable[ActiveAlarm], channels: ChannelSet | None, glyphs: Glyphs) -> tuple[Alarm, ...]:
    """The alarms, those nobody has acknowledged first, then the worst, then the oldest."""
    ranked = sorted(alarms, key=lambda a: (a.acknowledged, -SEVERITIES.index(a.severity), a.since_row, a.id))
    return tuple(_worded(alarm, channels, glyphs) for alarm in ranked)


def _worded(alarm: ActiveAlarm, channels: ChannelSet | None, glyphs: Glyphs) -> Alarm:
    known = channels is not None and alarm.channel in channels.names
    since = times.instant(alarm.since)
    return Alarm(
        alarm.id,
        alarm.severity,
        glyphs.plain(alarm.channel),
        _DIRECTIONS.get(alarm.direction, "ALARM"),
        times.time_of_day(since, 1) if since is not None else f"row {alarm.since_row}",
        glyphs.plain(alarm.rule),
        glyphs.plain(alarm.message),
        alarm.acknowledged,
        alarm.latched,
        channels[channels.position(alarm.channel)] if channels is not None and known else None,
    )


def counts(alarms: Sequence[Alarm]) -> Row:
    """`ALM 1!! 2!`, or `ALM 0` when all is well."""
    if not alarms:
        return (Span("ALM 0", "dim"),)
    number = Counter(alarm.severity for alarm in alarms)
    row: Row = (Span("ALM"),)
    for severity in reversed(SEVERITIES):
        if number[severity]:
            mark = Span(f"{number[severity]}{SEVERITY_MARKS[severity]}", _ROLES.get(severity, "plain"))
            row = (*row, Span(" "), mark)
    return row
