"""One alarm in a few lines, for below the list, and in full, for a card of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gridtop.tui.glyphs import Glyphs

from . import numbers, times
from .alarms import Alarm
from .card import beside, moment, named, wrapped
from .log import Line
from .rows import Row, Span, fit, shorten, spread
from .why import says_more, why_rows

CHATTERS = "chatters: s shelves it"
_STALE = "old: it has held for more than a day"
_SIDES = {"low": "low ", "high": "high ", "abs": "either way "}
_NAME_CELLS = 19
_LONGEST_HISTORY = 40
"""Lines of what happened to it; the newest are kept."""


def standing_words(alarm: Alarm, glyphs: Glyphs) -> str:
    """Where an alarm stands and what can be done, with who did it and why."""
    by = f" by {alarm.user}" if alarm.user else ""
    why = f": {alarm.reason}" if alarm.reason else ""
    gone = "gone"
    ended = times.instant(alarm.about.ended)
    if ended is not None:
        gone += f" since {times.time_of_day(ended, 1)}"
    elif alarm.about.ended_row is not None:
        gone += f" since row {alarm.about.ended_row}"
    match alarm.state:
        case "unacknowledged":
            return "nobody has acknowledged it"
        case "acknowledged":
            return f"acknowledged{by}"
        case "returned":
            return f"{gone}, and nobody has acknowledged it"
        case "latched":
            return f"{gone}, held until L unlatches it; nobody has acknowledged it"
        case "latched_acknowledged":
            return f"{gone}, held until L unlatches it; acknowledged{by}"
        case "shelved":
            return f"shelved{f' until {alarm.until}' if alarm.until else ''}{by}{why}; S takes it back"
        case "suppressed":
            return "suppressed: another alarm in the same place silences it"
        case "out_of_service":
            return f"out of service{by}{why}; o puts it back"


def detail_rows(
    alarm: Alarm | None, head: Alarm | None, width: int, height: int, glyphs: Glyphs
) -> list[Row]:
    """The alarm as `height` rows below a list; `head` stands for it in a flood."""
    if alarm is None:
        return [fit((), width)] * height
    level = f"{alarm.severity}{f', {alarm.priority} priority' if alarm.priority else ''}"
    title = (Span(f" {alarm.rule}  {alarm.channel}", "title"),)
    lines = [spread(title, (Span(f" {level} ", alarm.role),), width)]
    say = [(alarm.message, alarm.standing.text), (standing_words(alarm, glyphs), "plain")]
    if alarm.chattering:
        say.append((CHATTERS, "warning"))
    if head is not None:
        say.append((f"stands behind: {head.message}", "dim"))
    if alarm.children:
        say.append((f"{alarm.children} stand behind it: + lists them, - hides them", "dim"))
    say.append((_value_words(alarm, glyphs), "dim"))
    if alarm.why:
        say.append((alarm.why, "dim"))
    if alarm.stale:
        say.append((_STALE, "dim"))
    lines += [(Span(" " + shorten(text, width - 2, glyphs.ellipsis), role),) for text, role in say]
    lines += [()] * (height - len(lines))
    return [fit(row, width) for row in lines[:height]]


def card_rows(
    alarm: Alarm,
    head: Alarm | None,
    behind: Sequence[Alarm],
    history: Sequence[Line],
    width: int,
    glyphs: Glyphs,
) -> tuple[Row, ...]:
    """Everything that is known of an alarm, wrapped to `width` cells, with what happened to it."""
    rows: list[Row] = [(Span(line, alarm.role),) for line in wrapped(alarm.message, width)]
    rows.append(())
    for name, value in _facts(alarm, head, glyphs):
        rows += named(name, glyphs.plain(value), width)
    cause = alarm.about.cause
    if says_more(cause, alarm.about.channel):
        rows += beside(why_rows(cause, alarm.about.cause_approximate, width - _NAME_CELLS, glyphs), "why")
    for name, lines in (
        (
            "behind it",
            [(f"{a.mark:<2} {a.standing.mark} {a.since}", a.message, a.standing.text) for a in behind],
        ),
        ("history", [(line.time, f"{line.mark:<2} {line.message}", "plain") for line in history]),
    ):
        if lines:
            rows += [(), (Span(name, "title"),)]
        for time, text, role in lines[-_LONGEST_HISTORY:]:
            words = shorten(text, width - len(time) - 2, glyphs.ellipsis)
            rows.append((Span(f"{time}  ", "dim"), Span(words, role)))
    rows.append(())
    rows += named("incident", glyphs.plain(alarm.id), width)
    return tuple(rows)


def _facts(alarm: Alarm, head: Alarm | None, glyphs: Glyphs) -> Iterator[tuple[str, str]]:
    about, source = alarm.about, alarm.source
    yield "state", standing_words(alarm, glyphs)
    yield "severity", f"{alarm.severity}{f', {alarm.priority} priority' if alarm.priority else ''}"
    if alarm.chattering:
        yield "mark ~", CHATTERS
    if alarm.stale:
        yield "mark old", _STALE.removeprefix("old: ")
    if head is not None:
        yield "stands behind", head.message
    yield "since", moment(about.since, about.since_row)
    if about.row != about.since_row:
        yield "raised", moment(about.time, about.row)
    if about.ended is not None or about.ended_row is not None:
        yield "gone", moment(about.ended, about.row if about.ended_row is None else about.ended_row)
    yield "rule", about.rule
    place = f"{source.terminal} {source.phase}".strip() if source is not None else ""
    if place:
        yield "where", place
    yield "channel", about.channel
    yield "value", numbers.with_unit(about.value, about.unit, 5)
    yield "worst", numbers.with_unit(about.peak, about.unit, 5)
    yield "limit", _SIDES.get(about.direction, "") + numbers.with_unit(about.limit, about.unit, 5)


def _value_words(alarm: Alarm, glyphs: Glyphs) -> str:
    about = alarm.about
    side = _SIDES.get(about.direction, "")
    values = [numbers.with_unit(value, about.unit, 5) for value in (about.value, about.peak, about.limit)]
    return glyphs.plain(
        f"since {alarm.since}   now {values[0]}   worst {values[1]}   limit {side}{values[2]}"
    )
