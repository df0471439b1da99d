"""The page of all alarms: which it lists, which of them is chosen, and whose followers are unfolded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from gridtop.tui.glyphs import Glyphs

from .alarm_rows import problem_rows
from .alarms import Alarm, announced, aside_words, counts
from .families import families
from .rows import Row, Span, column, fit, spread, width_of

_STATE = 14
_NARROW_STATE = 8
_WITH_TIME = 60
"""Cells from which on there is a column for when an alarm began; below, its state is cut short too."""
_WITH_RULE, _WITH_CHANNEL = 100, 120
_TIME, _PRIORITY, _RULE, _CHANNEL = 10, 6, 16, 22
_WITH_NAMES = 8
"""Rows from which on one is spent on the names of the columns."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the list."""

    alarm: Alarm
    flags: str
    is_behind: bool = False


class AlarmPage:
    """Keeps to the alarm that was chosen, wherever it moves in the list."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._chosen = ""
        self._at = 0
        self._top = 0
        self._shown: Sequence[Entry] = ()
        self._unfolded: set[str] = set()
        self._behind: dict[str, str] = {}
        """The head of every alarm that stands behind another."""

    def receive(self, alarms: Sequence[Alarm]) -> None:
        """Take in the alarms as they are now."""
        self._entries, self._behind = [], {}
        for family in families(alarms):
            self._entries.append(Entry(family.head, family.flags))
            self._behind |= {alarm.id: family.head.id for alarm in family.behind}
            if family.head.id in self._unfolded:
                self._entries += [Entry(alarm, alarm.flags, is_behind=True) for alarm in family.behind]
        self._unfolded &= {entry.alarm.id for entry in self._entries}
        wanted = [self._chosen, self._behind.get(self._chosen, "")]
        places = {entry.alarm.id: at for at, entry in enumerate(self._entries)}
        at = next((places[id] for id in wanted if id in places), self._at)
        self._go(at)

    @property
    def chosen(self) -> Alarm | None:
        """The alarm that keys speak of."""
        return self._entries[self._at].alarm if self._entries else None

    @property
    def on_view(self) -> list[Alarm]:
        """The alarms that were listed when it was painted last."""
        return [entry.alarm for entry in self._shown]

    def move(self, steps: int) -> None:
        """Choose the next one, or one before."""
        self._go(self._at + steps)

    def go_on(self) -> None:
        """To the next one that nobody has acknowledged, if that is the next line."""
        if self._at + 1 < len(self._entries) and self._entries[self._at + 1].alarm.unseen:
            self.move(1)

    def unfold(self, alarms: Sequence[Alarm]) -> None:
        """List those that stand behind the chosen one."""
        if self.chosen is not None and self.chosen.id in self._behind.values():
            self._unfolded.add(self.chosen.id)
            self.receive(alarms)

    def fold(self, alarms: Sequence[Alarm]) -> None:
        """Hide those that stand behind the chosen one, or beside it."""
        if self.chosen is not None:
            head = self._behind.get(self.chosen.id, self.chosen.id)
            self._unfolded.discard(head)
            self._chosen = head
            self.receive(alarms)

    def rows(
        self, alarms: Sequence[Alarm], problems: Sequence[str], width: int, height: int, glyphs: Glyphs
    ) -> tuple[Row, ...]:
        """The page as `height` rows: a heading with counts, the alarms, and what does not work."""
        names = height >= _WITH_NAMES
        below = problem_rows(problems, width, height, glyphs)
        shown = self._shown = self._window(height - len(below) - 1 - names)
        rows: list[Row] = [self._heading(alarms, shown, width)]
        if names:
            rows.append(_names(width))
        rows += [self._row(entry, width, glyphs) for entry in shown]
        if not self._entries:
            rows.append((Span(" no alarms", "dim"),))
        rows += [()] * (height - len(rows) - len(below))
        return tuple(fit(row, width) for row in (*rows, *below))[:height]

    def _window(self, height: int) -> Sequence[Entry]:
        """At most `height` lines, the chosen one among them."""
        self._top = max(self._at - height + 1, min(self._top, self._at))
        self._top = max(0, min(self._top, len(self._entries) - height))
        return self._entries[self._top : self._top + max(0, height)]

    def _go(self, at: int) -> None:
        self._at = max(0, min(at, len(self._entries) - 1))
        self._chosen = self.chosen.id if self.chosen is not None else ""

    def _heading(self, alarms: Sequence[Alarm], shown: Sequence[Entry], width: int) -> Row:
        left: Row = (Span(" ALARMS", "dim"),)
        if len(shown) < len(self._entries):
            left = (Span(f" ALARMS {self._at + 1}/{len(self._entries)}", "dim"),)
        right: Row = (*counts(announced(alarms), roomy=True), Span(" "))
        words = aside_words(alarms)
        for more in (f"  {words} ", f" ({sum(not alarm.announced for alarm in alarms)}) "):
            if words and width_of((*left, *right)) + len(more) <= width:
                return spread(left, (*right[:-1], Span(more, "dim")), width)
        return spread(left, right, width)

    def _row(self, entry: Entry, width: int, glyphs: Glyphs) -> Row:
        alarm, standing = entry.alarm, entry.alarm.standing
        is_chosen = alarm.id == self._chosen
        row: Row = (
            Span(glyphs.selected if is_chosen else " ", "accent"),
            Span(glyphs.behind if entry.is_behind else " ", "dim"),
            Span(f"{alarm.mark:<2} ", alarm.role),
            Span(f"{standing.mark} ", standing.role),
        )
        state = _STATE if width >= _WITH_TIME else _NARROW_STATE
        row = (*row, Span(column(alarm.state_words, state, glyphs.ellipsis) + " ", standing.role))
        if width >= _WITH_TIME:
            row = (*row, Span(column(alarm.since, _TIME, glyphs.ellipsis) + " ", "dim"))
        if width >= _WITH_RULE:
            row = (*row, Span(column(alarm.priority, _PRIORITY, "") + " ", "dim"))
            row = (*row, Span(column(alarm.rule, _RULE, glyphs.ellipsis) + " ", standing.text))
        if width >= _WITH_CHANNEL:
            row = (*row, Span(column(alarm.channel, _CHANNEL, glyphs.ellipsis) + " ", standing.text))
        flags = f" {entry.flags} " if entry.flags else " "
        room = width - width_of(row) - cell_len(flags)
        words = Span(column(alarm.message, room, glyphs.ellipsis), "strong" if is_chosen else standing.text)
        return (*row, words, Span(flags, "strong"))


def _names(width: int) -> Row:
    """The names of the columns."""
    words = f"       {column('STATE', _STATE if width >= _WITH_TIME else _NARROW_STATE, '')} "
    if width >= _WITH_TIME:
        words += column("SINCE", _TIME, "") + " "
    if width >= _WITH_RULE:
        words += column("PRIO", _PRIORITY, "") + " " + column("RULE", _RULE, "") + " "
    if width >= _WITH_CHANNEL:
        words += column("CHANNEL", _CHANNEL, "") + " "
    return fit((Span(words + "MESSAGE", "dim"),), width)
