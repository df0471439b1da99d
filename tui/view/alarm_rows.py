"""The list of alarms beside the panels, with what does not work below it."""

from __future__ import annotations

from collections.abc import Sequence

from gridtop.tui.glyphs import Glyphs

from .alarms import Alarm, counts
from .families import Family, families
from .rows import Row, Span, column, fit, shorten, spread, width_of


def alarm_rows(
    alarms: Sequence[Alarm], problems: Sequence[str], width: int, height: int, glyphs: Glyphs
) -> tuple[Row, ...]:
    """The alarms with a heading as `height` rows, and below them what does not work.

    An alarm takes two rows while there is room: what and since when, and what it says. Where there is
    room for that of all, a third one says which channels it rests on. What stands behind another in a
    flood is only counted.
    """
    listed = families(alarms)
    below = problem_rows(problems, width, height, glyphs)
    room = max(0, height - 1 - len(below))
    rows: list[Row] = []
    if 2 * len(listed) <= room:
        for family in listed:
            rows += _two_rows(family, width, glyphs)
            why = family.head.why
            if why and 2 * len(listed) + sum(bool(other.head.why) for other in listed) <= room:
                rows.append((Span("    " + shorten(why, width - 5, glyphs.ellipsis), "dim"),))
    else:
        shown = listed[: on_view(len(listed), room)]
        rows += [_one_row(family, width, glyphs) for family in shown]
        if len(shown) < len(listed) and room:
            rows.append((Span(f"    and {len(listed) - len(shown)} more", "dim"),))
    if not listed:
        rows = [(Span(" none", "dim"),)]
    heading = spread((Span(" ALARMS", "dim"),), (*counts(alarms), Span(" ")), width)
    above = [heading, *rows[:room]]
    above += [()] * (height - len(above) - len(below))
    return tuple(fit(row, width) for row in (*above, *below))[:height]


def alarms_on_view(
    alarms: Sequence[Alarm], problems: Sequence[str], height: int, glyphs: Glyphs
) -> list[Alarm]:
    """The alarms that a list of so many rows shows."""
    listed = families(alarms)
    below = len(problem_rows(problems, 0, height, glyphs))
    shown = on_view(len(listed), height - 1 - below)
    return [family.head for family in listed[:shown]]


def on_view(count: int, room: int) -> int:
    """How many of so many alarms a list of so many rows shows: all, or as many as fit above `and 3 more`."""
    return count if count <= room else max(0, room - 1)


def problem_rows(problems: Sequence[str], width: int, height: int, glyphs: Glyphs) -> list[Row]:
    """What does not work, below a heading, in a third of `height` rows at most; nothing when all works."""
    room = height // 3 - 2
    if not problems or room < 1:
        return []
    lines = [Span("  ! " + shorten(text, width - 5, glyphs.ellipsis), "warning") for text in problems[:room]]
    return [(), (Span(" PROBLEMS", "dim"),), *((line,) for line in lines)]


def _one_row(family: Family, width: int, glyphs: Glyphs) -> Row:
    alarm = family.head
    left: Row = (Span(f" {alarm.mark:<2}", alarm.role), Span(alarm.standing.mark, alarm.standing.role))
    flags = f" {family.flags} " if family.flags else ""
    room = width - width_of(left) - len(flags) - 2
    words = Span(" " + column(alarm.message, room, glyphs.ellipsis), alarm.standing.text)
    return (*left, words, Span(flags, "strong"))


def _two_rows(family: Family, width: int, glyphs: Glyphs) -> tuple[Row, Row]:
    alarm, standing = family.head, family.head.standing
    right: Row = (Span(f" {alarm.state_words} ", standing.role),)
    if family.flags:
        right = (Span(f" {family.flags}", "strong"), *right)
    left: Row = (
        Span(f" {alarm.mark:<2}", alarm.role),
        Span(f"{standing.mark} ", standing.role),
        Span(f"{alarm.since}  ", "dim"),
    )
    room = width - width_of(left) - width_of(right)
    name = Span(column(f"{alarm.rule}  {alarm.channel}", room, glyphs.ellipsis), standing.text)
    words = Span("     " + shorten(alarm.message, width - 6, glyphs.ellipsis), standing.text)
    return (*left, name, *right), (words,)
