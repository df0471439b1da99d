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
from .rows import Role, Row, Span, column, fit, shorten, spread, width_of
from .why import why_words

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
    why: str = ""
    """The channels that its score rests on, where they are known."""

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
        why_words(alarm.cause, alarm.cause_approximate, alarm.channel, glyphs),
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


def alarm_rows(
    alarms: Sequence[Alarm], problems: Sequence[str], width: int, height: int, glyphs: Glyphs
) -> tuple[Row, ...]:
    """The active alarms with a heading as `height` rows, and below them what does not work.

    An alarm takes two rows while there is room: what and since when, and what it says. Where there is
    room for that of all, a third one says which channels it rests on.
    """
    below = _problem_rows(problems, width, glyphs)[: max(0, height // 3)]
    room = max(0, height - 1 - len(below))
    rows: list[Row] = []
    if 2 * len(alarms) <= room:
        for alarm in alarms:
            rows += _two_rows(alarm, width, glyphs)
            if alarm.why and 2 * len(alarms) + sum(bool(other.why) for other in alarms) <= room:
                rows.append((Span("    " + shorten(alarm.why, width - 5, glyphs.ellipsis), "dim"),))
    else:
        shown = alarms[: on_view(len(alarms), room)]
        rows += [_one_row(alarm, width, glyphs) for alarm in shown]
        if len(shown) < len(alarms) and room:
            rows.append((Span(f"    and {len(alarms) - len(shown)} more", "dim"),))
    if not alarms:
        rows = [(Span(" none", "dim"),)]
    heading = spread((Span(" ALARMS", "dim"),), (*counts(alarms), Span(" ")), width)
    above = [heading, *rows[:room]]
    above += [()] * (height - len(above) - len(below))
    return tuple(fit(row, width) for row in (*above, *below))[:height]


def on_view(count: int, room: int) -> int:
    """How many of so many alarms a list of so many rows shows: all, or as many as fit above `and 3 more`."""
    return count if count <= room else max(0, room - 1)


def _one_row(alarm: Alarm, width: int, glyphs: Glyphs) -> Row:
    mark = Span(f" {alarm.mark:<2} ", alarm.role)
    words = Span(shorten(alarm.message, width - 5, glyphs.ellipsis), _faint(alarm))
    return (mark, words)


def _two_rows(alarm: Alarm, width: int, glyphs: Glyphs) -> tuple[Row, Row]:
    state = "latched" if alarm.latched else "seen" if alarm.acknowledged else "new"
    right = (Span(f" {state} ", "dim" if alarm.acknowledged else "strong"),)
    left: Row = (Span(f" {alarm.mark:<2} ", alarm.role), Span(f"{alarm.since}  ", "dim"))
    room = width - width_of(left) - width_of(right)
    name = Span(column(f"{alarm.rule}  {alarm.channel}", room, glyphs.ellipsis), _faint(alarm))
    words = Span("    " + shorten(alarm.message, width - 5, glyphs.ellipsis), _faint(alarm))
    return (*left, name, *right), (words,)


def _faint(alarm: Alarm) -> Role:
    return "dim" if alarm.acknowledged else "plain"


def _problem_rows(problems: Sequence[str], width: int, glyphs: Glyphs) -> list[Row]:
    if not problems:
        return []
    lines = [Span("  ! " + shorten(text, width - 5, glyphs.ellipsis), "warning") for text in problems]
    return [(), (Span(" PROBLEMS", "dim"),), *((line,) for line in lines)]
