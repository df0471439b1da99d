"""The event log: a bounded list of lines, and the window of it that is on the screen."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from rich.cells import cell_len

from gridtop.events import Event
from gridtop.tui.glyphs import Glyphs

from . import times
from .alarms import SEVERITY_MARKS
from .rows import Role, Row, Span, column, fit, spread

LONGEST = 5000
"""Lines kept in the view; the journal has the rest."""
_TIME, _MARK = 12, 2
_NO_RULE, _NO_CHANNEL = 60, 100
"""Below these widths the columns give their room to the message, which nearly always names the place."""
_ENDINGS = {"cleared": "ok", "reset": "--", "acknowledged": "ak"}
"""What ended or was seen has its own mark instead of its severity."""


@dataclass(frozen=True, slots=True)
class Line:
    """One event; its text is harmless already."""

    time: str
    mark: str
    role: Role
    rule: str
    channel: str
    message: str


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
    )


class EventLog:
    """Follows the newest line until someone scrolls up; then stands still and counts what is new."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=LONGEST)
        self._total = 0
        self._bottom = 0
        """Number of lines, since the start, up to and including the lowest one shown."""
        self._seen = 0
        self.following = True
        self.revision = 0
        """Counts up whenever a window on the log may look different."""
        self._widths = [8, 8]
        """Of the columns rule and channel: they grow with what comes and never shrink, so lines stay put."""

    def add(self, lines: Iterable[Line]) -> None:
        """Put lines at the end; the oldest give way."""
        for line in lines:
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
    def new(self) -> int:
        """Lines that came since it stopped following and are still out of sight."""
        return min(self._total - self._seen, self._total - self._bottom)

    def follow(self) -> None:
        """Go to the newest line and stay there."""
        self.following = True
        self.revision += 1
        self._bottom = self._seen = self._total

    def scroll(self, lines: int, height: int) -> None:
        """Move the window, up for negative; reaching the end follows again."""
        self.revision += 1
        oldest = self._total - len(self._lines)
        self._bottom = max(min(self._bottom + lines, self._total), min(oldest + height, self._total))
        if self._bottom == self._total:
            self.follow()
        else:
            self.following = False

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
    rows = [_row(line, width, rule, channel, glyphs) for line in lines]
    rows += [fit((), width)] * (height - heading - len(rows))
    return tuple([_heading(log, clock, width, rule, channel), *rows] if heading else rows)


def _row(line: Line, width: int, rule: int, channel: int, glyphs: Glyphs) -> Row:
    faint: Role = "dim" if line.role == "dim" else "plain"
    row: Row = (Span(f" {line.time:<{_TIME}} ", "dim"), Span(f"{line.mark:<{_MARK}} ", line.role))
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
    state = (
        Span("FOLLOW ", "dim")
        if log.following
        else Span(f"+{log.new} new ", "badge" if log.new else "strong")
    )
    return spread((Span(words + "MESSAGE", "dim"),), (state,), width)
