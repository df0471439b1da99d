"""Alarms that are not normal as the screen words them: their states, and which of them comes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gridtop.channels import Channel, ChannelSet
from gridtop.client import ActiveAlarm, AlarmState
from gridtop.events import SEVERITIES
from gridtop.tui.glyphs import Glyphs

from . import times
from .rows import Role, Row, Span
from .why import why_words

SEVERITY_MARKS = {"critical": "!!", "warning": "!", "info": "i"}
ROOMY = 100
"""Cells of a row from which on counts are said in words."""
_ROLES: dict[str, Role] = {"critical": "critical", "warning": "warning"}
_DIRECTIONS = {"low": "LOW", "high": "HIGH", "abs": "OFF"}
_PRIORITIES = ("high", "medium", "low")


class Standing(NamedTuple):
    """A state as it is shown: its word, a mark that needs no colour, the looks of word and message, and
    which come before it."""

    word: str
    mark: str
    role: Role
    text: Role
    rank: int


STANDINGS: dict[AlarmState, Standing] = {
    "unacknowledged": Standing("new", "*", "strong", "strong", 0),
    "latched": Standing("latched", "*", "strong", "plain", 0),
    "returned": Standing("gone", "*", "dim", "dim", 0),
    "acknowledged": Standing("seen", " ", "plain", "plain", 1),
    "latched_acknowledged": Standing("latched, seen", " ", "plain", "dim", 2),
    "shelved": Standing("shelved", "z", "dim", "dim", 3),
    "suppressed": Standing("suppressed", "-", "dim", "dim", 4),
    "out_of_service": Standing("out of service", "x", "dim", "dim", 5),
}
_STATES = tuple(STANDINGS)
ASIDE: tuple[AlarmState, ...] = ("shelved", "suppressed", "out_of_service")
"""Alarms that are counted and listed last, because nobody wants to hear of them now."""
_HOLDING: tuple[AlarmState, ...] = ("unacknowledged", "acknowledged")


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm that is not normal; its text is harmless already."""

    id: str
    severity: str
    channel: str
    direction: str
    since: str
    rule: str
    message: str
    state: AlarmState
    source: Channel | None
    """The channel it is about, None when it speaks of something else (a detector's output)."""
    why: str = ""
    """The channels that its score rests on, where they are known."""
    priority: str = ""
    until: str = ""
    """Until when it is shelved."""
    user: str = ""
    reason: str = ""
    parent: str = ""
    """The id of another one in the list that stands for it."""
    children: int = 0
    chattering: bool = False
    stale: bool = False
    about: ActiveAlarm = field(kw_only=True, compare=False)
    """Everything, as it came; its numbers change all the time."""

    @property
    def mark(self) -> str:
        """The severity as a glyph that needs no colour."""
        return SEVERITY_MARKS.get(self.severity, "?")

    @property
    def role(self) -> Role:
        """How the severity looks: colour is for what is so now, or is held."""
        return "dim" if self.state == "returned" or not self.announced else _ROLES.get(self.severity, "plain")

    @property
    def standing(self) -> Standing:
        """How its state is shown."""
        return STANDINGS[self.state]

    @property
    def state_words(self) -> str:
        """`new`, `shelved 15:45`."""
        return f"{self.standing.word} {self.until}".rstrip()

    @property
    def announced(self) -> bool:
        """Whether it is not put aside."""
        return self.state not in ASIDE

    @property
    def unseen(self) -> bool:
        """Whether somebody should acknowledge it."""
        return self.standing.mark == "*"

    @property
    def holds(self) -> bool:
        """Whether it is so now, as far as anybody wants to hear of it."""
        return self.state in _HOLDING

    @property
    def flags(self) -> str:
        """`~ old`: what is odd about it."""
        return " ".join(word for word, odd in (("~", self.chattering), ("old", self.stale)) if odd)


def in_order(alarms: Iterable[ActiveAlarm], channels: ChannelSet | None, glyphs: Glyphs) -> tuple[Alarm, ...]:
    """The alarms, those nobody has acknowledged first, then the worst, by priority, then the oldest.

    An alarm whose parent is not in the list, or has a parent itself, stands for itself.
    """
    alarms = list(alarms)
    ids = {alarm.id for alarm in alarms}
    heads = {alarm.id for alarm in alarms if alarm.parent not in ids}
    sources = {channel.name: channel for channel in channels or ()}

    def rank(alarm: ActiveAlarm) -> tuple[object, ...]:
        return (
            STANDINGS[alarm.state].rank,
            -SEVERITIES.index(alarm.severity),
            alarm.parent in heads,
            _PRIORITIES.index(alarm.priority) if alarm.priority in _PRIORITIES else len(_PRIORITIES),
            _STATES.index(alarm.state),
            alarm.since_row,
            alarm.rule,
            alarm.channel,
            alarm.id,
        )

    return tuple(
        _worded(alarm, alarm.parent if alarm.parent in heads else "", sources.get(alarm.channel), glyphs)
        for alarm in sorted(alarms, key=rank)
    )


def _worded(alarm: ActiveAlarm, parent: str, source: Channel | None, glyphs: Glyphs) -> Alarm:
    since, until = times.instant(alarm.since), times.instant(alarm.until)
    return Alarm(
        alarm.id,
        alarm.severity,
        glyphs.plain(alarm.channel),
        _DIRECTIONS.get(alarm.direction, "ALARM"),
        times.time_of_day(since, 1) if since is not None else f"row {alarm.since_row}",
        glyphs.plain(alarm.rule),
        glyphs.plain(alarm.message),
        alarm.state,
        source,
        why_words(alarm.cause, alarm.cause_approximate, alarm.channel, glyphs),
        glyphs.plain(alarm.priority),
        times.time_of_day(until, 0)[:5] if until is not None else "",
        glyphs.plain(alarm.user),
        glyphs.plain(alarm.reason),
        parent,
        alarm.children,
        alarm.chattering,
        alarm.stale,
        about=alarm,
    )


def announced(alarms: Iterable[Alarm]) -> list[Alarm]:
    """Those that are not put aside."""
    return [alarm for alarm in alarms if alarm.announced]


def counts(alarms: Sequence[Alarm], roomy: bool = False) -> Row:
    """`ALM 1!! 2! 2* (4)`: by severity, how many nobody has acknowledged, how many are put aside.

    In words where there is room for them: `ALM 1!! 2!  2 unack  4 aside`; `ALM 0` when all is well.
    """
    shown = announced(alarms)
    number = Counter(alarm.severity for alarm in shown)
    row: Row = (Span("ALM"),) if shown else (Span("ALM 0", "dim"),)
    for severity in reversed(SEVERITIES):
        if number[severity]:
            mark = Span(f"{number[severity]}{SEVERITY_MARKS[severity]}", _ROLES.get(severity, "plain"))
            row = (*row, Span(" "), mark)
    unseen = sum(alarm.unseen for alarm in shown)
    if shown:
        words = f"  {unseen} unack" if roomy else f" {unseen}*"
        row = (*row, Span(words, "strong" if unseen else "dim"))
    aside = len(alarms) - len(shown)
    if aside:
        row = (*row, Span(f"  {aside} aside" if roomy else f" ({aside})", "dim"))
    return row


def aside_words(alarms: Iterable[Alarm]) -> str:
    """`2 shelved, 1 suppressed`, or nothing."""
    number = Counter(alarm.state for alarm in alarms)
    return ", ".join(f"{number[state]} {STANDINGS[state].word}" for state in ASIDE if number[state])
