"""The two rows at the top: where the replay stands, and the alarm that matters most."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gridtop.client import AlarmState, Counts, Flood, Snapshot, Transport
from gridtop.tui.glyphs import Glyphs

from . import alarms, numbers, times
from .alarms import ROOMY, Alarm
from .health import health_words
from .recording import recording_row
from .rows import Role, Row, Span, fit, shorten, spread, width_of

_NOTICEABLE = 0.05
"""The speed reached is shown when it is off by more than this share of what was asked for."""
_LEAST_SOURCE = 10
_WORDY = 64
"""Cells from which on the banner has room for more than the glyph and the message."""
_STATES: dict[AlarmState, str] = {
    "latched": " latched",
    "returned": " gone",
    "acknowledged": " acknowledged",
    "latched_acknowledged": " latched, acknowledged",
}
"""What the banner says of an alarm that is not new."""
_WORDS = {
    "starting": "STARTING",
    "live": "LIVE",
    "playing": "REPLAY",
    "paused": "PAUSED",
    "ended": "ENDED",
    "failed": "FAILED",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the status line; the piece with the smallest weight gives way first."""

    row: Row
    weight: int
    instead: Piece | None = None
    """What takes its place when it gives way."""


@dataclass(frozen=True, slots=True)
class About:
    """What the status line says besides the transport; its text is harmless already."""

    source: str
    by_row: bool = False
    """The recording has no clock."""
    frozen: bool = False
    """The picture stands still, the monitor does not."""
    age: str = ""
    """How long ago the monitor answered, when it no longer does."""
    silence: str = ""
    """How long a live source has given nothing, when that is too long."""
    profile: str = ""
    """How the screen suits its terminal: `ssh 4 Hz`."""
    read_only: bool = False
    """The screen may look and not touch."""


def state_badge(transport: Transport, about: About) -> Row:
    """The state as a word; what a person must not overlook is in reverse video."""
    role: Role = "strong"
    if about.age:
        return (Span(f" {about.age} OLD ", "alert"),)
    if about.silence or about.frozen:
        # A picture that stands still does not hide that nothing comes, nor the other way round.
        silent = (Span(f" NO DATA {about.silence} ", "alert"),) if about.silence else ()
        return (*silent, Span(" FROZEN ", "badge")) if about.frozen else silent
    if transport.state in ("paused", "ended"):
        role = "badge"
    elif transport.state == "failed":
        role = "alert"
    return (Span(f" {_WORDS.get(transport.state, '?')} ", role),)


def speed_words(transport: Transport) -> str:
    """`x4`, `x4 (x3.9 reached)` in short form when it falls behind, `max (x812)`."""
    asked, reached = transport.speed, transport.reached
    if not math.isfinite(asked):
        return f"max (x{reached:.3g})" if math.isfinite(reached) else "max"
    words = f"x{asked:g}"
    if transport.state == "playing" and math.isfinite(reached) and abs(reached - asked) > _NOTICEABLE * asked:
        words += f" (x{reached:.2g})" if reached < 100 else f" (x{reached:.0f})"
    return words


def position_words(transport: Transport) -> str:
    """`00:41/05:00`, or `row 812/9000` for a recording without times."""
    time, first, last = map(times.instant, (transport.time, transport.first, transport.last))
    if time is None or first is None:
        return f"row {transport.row}" + (f"/{transport.frames}" if transport.frames else "")
    played = times.nanoseconds(time) - times.nanoseconds(first)
    if last is None:
        return times.elapsed(played, played)
    length = times.whole_seconds(times.nanoseconds(last) - times.nanoseconds(first))
    return f"{times.elapsed(played, length)}/{times.elapsed(length, length)}"


def count_words(counts: Counts) -> Row:
    """What was lost or unusable, in words and only when there is some."""
    named = (("missing", counts.missing), ("bad", counts.unreadable), ("dropped", counts.dropped))
    return tuple(
        Span(f"{word} {numbers.short(number)} ", "warning" if word == "dropped" else "dim")
        for word, number in named
        if number
    )


def connecting_row(width: int) -> Row:
    """The status line before the monitor has said anything."""
    return fit((Span(" gridtop ", "title"), Span(" connecting to the monitor", "dim")), width)


def status_row(about: About, snapshot: Snapshot, active: Sequence[Alarm], width: int, glyphs: Glyphs) -> Row:
    """The status line. When it gets narrow, the less important pieces give way one after another."""
    transport = snapshot.transport
    time = None if about.by_row else times.instant(transport.time)
    pieces = [Piece((Span("gridtop", "title"),), 3), Piece(state_badge(transport, about), 9)]
    named = Piece((Span(shorten(about.source, _LEAST_SOURCE, glyphs.ellipsis)),), 4)
    pieces.append(named)
    if time is not None:
        pieces.append(Piece((Span(times.date_of(time), "dim"),), 1))
        pieces.append(Piece((Span(times.time_of_day(time, 1) + "Z", "strong"),), 6))
    if transport.first is not None or time is None:
        pieces.append(Piece((Span(position_words(transport)),), 7))
    if transport.state not in ("live", "failed"):
        pieces.append(Piece((Span(speed_words(transport)),), 5))
    if transport.pass_number > 1:
        pieces.append(Piece((Span(f"pass {transport.pass_number}", "dim"),), 2))
    if health := health_words(snapshot.journal, snapshot.sinks, width >= ROOMY):
        pieces.append(Piece(health, 8))
    if snapshot.recording is not None:
        words, short = recording_row(snapshot.recording, glyphs)
        pieces.append(Piece(words, 5, Piece(short, 8)))
    if about.read_only:
        pieces.append(Piece((Span("read only", "dim"),), 6))
    if lost := count_words(snapshot.counts):
        pieces.append(Piece((*lost[:-1], Span(lost[-1].text.rstrip(), lost[-1].role)), 2))
    if about.profile:
        pieces.append(Piece((Span(about.profile, "dim"),), 1))
    right = (*alarms.counts(active, width >= ROOMY), Span(" "))
    room = width - width_of(right) - 1
    while _total(pieces) > room and len(pieces) > 1:
        lightest = min(pieces, key=lambda piece: piece.weight)
        at = pieces.index(lightest)
        pieces[at : at + 1] = [lightest.instead] if lightest.instead is not None else []
    if named in pieces:
        most = width_of(named.row) + room - _total(pieces)
        pieces[pieces.index(named)] = Piece((Span(shorten(about.source, most, glyphs.ellipsis)),), 4)
    left: Row = (Span(" "),)
    for piece in pieces:
        left = (*left, *piece.row, Span("  "))
    return spread(left, right, width)


def empty_row(width: int) -> Row:
    """Nothing to say."""
    return fit((Span(" "),), width)


def banner_row(
    active: Sequence[Alarm], problem: str, notice: str, flood: Flood | None, width: int, glyphs: Glyphs
) -> Row:
    """What matters most just now: a failure, an answer to the person, the first alarm, or calm."""
    if problem:
        return fit((Span(" "), Span(" ! ", "alert"), Span(f" {problem}", "critical")), width)
    if notice:
        return fit((Span(" " + shorten(notice, width - 2, glyphs.ellipsis), "strong"),), width)
    active = alarms.announced(active)
    left = _flood_words(flood, width) if flood is not None else ()
    if not active:
        return fit(left or (Span(" no alarms", "dim"),), width)
    alarm = active[0]
    badge: Role = "alert" if alarm.severity == "critical" and alarm.unseen and alarm.holds else alarm.role
    left = (*left, Span(" "))
    if width >= _WORDY and flood is None:
        left = (*left, Span(f" {alarm.mark} {alarm.severity.upper()} ", badge))
        left = (*left, Span(f"{_STATES.get(alarm.state, '')} since {alarm.since}  "))
    else:
        left = (*left, Span(f" {alarm.mark} ", badge), Span(" "))
    count = (Span(f" {alarm.flags} ", "strong"),) if alarm.flags else ()
    count = (*count, Span(f" 1/{len(active)} ", "dim"))
    room = width - width_of(left) - width_of(count)
    # The message usually names the place itself, so the channel's name is the first to go.
    channel = Span(f"{alarm.channel}  ", "strong")
    if width_of((channel, Span(alarm.message))) <= room:
        left, room = (*left, channel), room - width_of((channel,))
    return spread((*left, Span(shorten(alarm.message, room, glyphs.ellipsis))), count, width)


def _flood_words(flood: Flood, width: int) -> Row:
    """`FLOOD 23 alarms in 10 min, 15 collapsed`, in short where the first alarm needs the room."""
    words = f" {flood.recent} alarms in 10 min, {flood.collapsed} collapsed "
    return (Span(" "), Span(" FLOOD ", "badge"), Span(words if width >= _WORDY else f" {flood.recent}"))


def _total(pieces: Sequence[Piece]) -> int:
    return 1 + sum(width_of(piece.row) + 2 for piece in pieces)
