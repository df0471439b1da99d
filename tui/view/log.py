"""The event log: a bounded list of lines, and the window of it that is on the screen."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from rich.cells import cell_len

from gridtop.events import Event, Severity, Transition
from gridtop.tui.glyphs import Glyphs

from . import times
from .alarms import SEVERITY_MARKS
from .filtering import Filter
from .rows import Role, Row, Span, column, fit, spread

LONGEST = 5000
"""Lines kept in the view; the journal has the rest."""
_TIME, _MARK = 12, 2
_NO_RULE, _NO_CHANNEL = 60, 100
"""Below these widths the columns give their room to the message, which nearly always names the place."""
_ENDINGS: dict[Transition, str] = {
    "cleared": "ok",
    "reset": "--",
    "acknowledged": "ak",
    "unlatched": "ul",
    "shelved": "sh",
    "unshelved": "us",
    "out_of_service": "os",
    "in_service": "is",
}
"""What ended, and what operators did, has its own mark instead of its severity."""


@dataclass(frozen=True, slots=True)
class Line:
    """One event; its text is harmless already."""

    time: str
    mark: str
    role: Role
    rule: str
    channel: str
    message: str
    event: Event
    severity: Severity = "info"
    terminal: str = ""
    row: int = 0
    """Where what it tells of began."""
    begins: bool = True
    """Whether something began, so that it is worth going there."""

    def passes(self, filter: Filter) -> bool:
        """Whether a filter lets it through."""
        words = f"{self.rule} {self.channel} {self.message}"
        return filter.matches(
            self.severity, self.terminal, words, (self.event.kind, self.event.transition.replace("_", "-"))
        )


def line_of(event: Event, glyphs: Glyphs) -> Line:
    """An event in words that may be shown."""
    time = times.instant(event.time)
    mark = _ENDINGS.get(event.transition) or SEVERITY_MARKS.get(event.severity, "?")
    role: Role = "plain"
    if event.transition in _ENDINGS or event.severity == "info":
        role = "dim"
    elif event.severity in ("warning", "critical"):
        role = event.severity
    return Line(
        times.time_of_day(time, 3) if time is not None else f"row {event.row}",
        mark,
        role,
        glyphs.plain(event.rule),
        glyphs.plain(event.channel),
        glyphs.plain(event.message),
        event,
        event.severity,
        glyphs.plain(event.terminal or re.split("[:-]", event.channel)[0]),
        event.row if event.since_row is None else event.since_row,
        event.transition not in _ENDINGS and event.transition != "eased",
    )


class EventLog:
    """Follows the newest line until someone scrolls up; then stands still and counts what is new."""

    def __init__(self) -> None:
        self._all: deque[Line] = deque(maxlen=LONGEST)
        self._lines: deque[Line] = deque(maxlen=LONGEST)
        """Those that match the filter."""
        self._total = 0
        self._bottom = 0
        """Number of matching lines, since the start, up to and including the lowest one shown."""
        self._seen = 0
        self._marked: int | None = None
        """Number of the line that `n` and `N` went to."""
        self.filter = Filter()
        self.following = True
        self.revision = 0
        """Counts up whenever a window on the log may look different."""
        self._widths = [8, 8]
        """Of the columns rule and channel: they grow with what comes and never shrink, so lines stay put."""

    def add(self, lines: Iterable[Line]) -> None:
        """Put lines at the end; the oldest give way."""
        for line in lines:
            self._all.append(line)
            if line.passes(self.filter):
                self._lines.append(line)
                self._total += 1
            self._widths = [
                max(pair) for pair in zip(self._widths, map(cell_len, (line.rule, line.channel)), strict=True)
            ]
        self.revision += 1
        if self.following:
            self._bottom = self._seen = self._total

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def lines(self) -> Sequence[Line]:
        """The lines that match the filter, oldest first."""
        return self._lines

    def about(self, incident: str) -> list[Line]:
        """What happened to one alarm, oldest first, whether a filter lets it through or not."""
        return [line for line in self._all if line.event.incident == incident]

    @property
    def hidden(self) -> int:
        """Lines that the filter keeps back."""
        return max(0, len(self._all) - len(self._lines))

    @property
    def new(self) -> int:
        """Lines that came since it stopped following and are still out of sight."""
        return min(self._total - self._seen, self._total - self._bottom)

    def choose(self, filter: Filter) -> None:
        """Show only the lines that match, from the newest on."""
        self.filter = filter
        self._lines = deque((line for line in self._all if line.passes(filter)), maxlen=LONGEST)
        self._total = len(self._lines)
        self.follow()

    def follow(self) -> None:
        """Go to the newest line and stay there."""
        self.following = True
        self.revision += 1
        self._marked = None
        self._bottom = self._seen = self._total

    def scroll(self, lines: int, height: int) -> None:
        """Move the window, up for negative; reaching the end follows again."""
        self.revision += 1
        oldest = self._total - len(self._lines)
        self._bottom = max(min(self._bottom + lines, self._total), min(oldest + height, self._total))
        if self._bottom == self._total and self._marked is None:
            self.follow()
        else:
            self.following = False

    def mark(self, steps: int, height: int) -> None:
        """Mark the next line (positive) or the one before, and bring it into the window."""
        if not self._lines:
            return
        oldest = self._total - len(self._lines)
        at = self._bottom - 1 if self._marked is None else self._marked + steps
        self._marked = max(oldest, min(at, self._total - 1))
        self.following = False
        self.revision += 1
        if self._marked >= self._bottom or self._marked < self._bottom - height:
            above = 1 if self._marked >= self._bottom else height
            self._bottom = max(min(self._marked + above, self._total), min(oldest + height, self._total))

    @property
    def spoken_of(self) -> Line | None:
        """The line that was marked, else the newest one."""
        if not self._lines:
            return None
        oldest = self._total - len(self._lines)
        return self._lines[-1 if self._marked is None else max(0, self._marked - oldest)]

    def number_of(self, line: Line) -> int:
        """Which of the lines that match it is, from 1."""
        return next(i for i, other in enumerate(self._lines, start=1) if other is line)

    def is_marked(self, line: Line) -> bool:
        """Whether this is the line that was marked."""
        at = -1 if self._marked is None else self._marked - (self._total - len(self._lines))
        return 0 <= at < len(self._lines) and self._lines[at] is line

    def window(self, height: int) -> Sequence[Line]:
        """At most `height` lines, oldest first."""
        oldest = self._total - len(self._lines)
        self._bottom = max(self._bottom, min(oldest + height, self._total))
        stop = self._bottom - oldest
        return list(islice(self._lines, max(0, stop - height), stop))

    def columns(self, width: int) -> tuple[int, int]:
        """Widths of rule and channel on a screen of this width; 0 where there is no room for them."""
        rule, channel = self._widths
        return (
            min(rule, width // 7) if width >= _NO_RULE else 0,
            min(channel, width // 5) if width >= _NO_CHANNEL else 0,
        )


def has_heading(height: int) -> bool:
    """Whether a log of so many rows spends one on the names of the columns."""
    return height >= 4


def log_rows(
    log: EventLog, width: int, height: int, glyphs: Glyphs, clock: str = "TIME UTC"
) -> tuple[Row, ...]:
    """The log with its heading as `height` rows."""
    heading = has_heading(height)
    rule, channel = log.columns(width)
    lines = log.window(height - heading)
    rows = [_row(line, width, rule, channel, log.is_marked(line), glyphs) for line in lines]
    rows += [fit((), width)] * (height - heading - len(rows))
    return tuple([_heading(log, clock, width, rule, channel), *rows] if heading else rows)


def _row(line: Line, width: int, rule: int, channel: int, marked: bool, glyphs: Glyphs) -> Row:
    faint: Role = "strong" if marked else "dim" if line.role == "dim" else "plain"
    bar = Span(glyphs.selected if marked else " ", "accent")
    row: Row = (bar, Span(f"{line.time:<{_TIME}} ", "dim"), Span(f"{line.mark:<{_MARK}} ", line.role))
    for text, cells in ((line.rule, rule), (line.channel, channel)):
        if cells:
            row = (*row, Span(column(text, cells, glyphs.ellipsis) + " ", faint))
    room = width - 1 - sum(cell_len(span.text) for span in row)
    return fit((*row, Span(column(line.message, room, glyphs.ellipsis), faint)), width)


def _heading(log: EventLog, clock: str, width: int, rule: int, channel: int) -> Row:
    words = f" {clock:<{_TIME}} {'':<{_MARK}} "
    for word, cells in (("RULE", rule), ("CHANNEL", channel)):
        if cells:
            words += column(word, cells, "") + " "
    state: Row = (Span("FOLLOW ", "dim"),)
    if not log.following:
        state = (Span(f"+{log.new} new ", "badge" if log.new else "strong"),)
    if log.filter:
        state = (Span(f"/{log.filter} ", "badge"), Span(f" {log.hidden} hidden  ", "dim"), *state)
    return spread((Span(words + "MESSAGE", "dim"),), state, width)
