"""The page of devices: the figures of the stream, a table of its devices, and which of them is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from gridtop.tui.glyphs import Glyphs

from . import figures
from .device_list import Device, DeviceList
from .figures import figure_words, name_words
from .rows import Role, Row, Span, column, fit, shorten, spread, width_of

NO_FIGURES = "this source does not count how its data come"
_NO_DEVICES = "it tells nothing of single devices; Enter shows all its figures"
_ASKING = "asking the monitor"

_LEAST_NAME, _LEAST_WORDS = 6, 24
_STREAM_ROWS = ((30, 4), (10, 2), (0, 1))
"""From how many rows of the page on there are so many for the figures of the stream."""
_NEARLY = 0.99
"""A device that gave less than this share of its measurements stands out."""
_MARK = 3
"""Cells at the left: the bar of the chosen one, and the mark of trouble."""
_FIRST = (
    *("frames", "rows", "rate", "completeness", "missing_frames", "missing", "latency", "seconds_since_data"),
    *("reconnects", "dropped", "dropped_frames", "late_frames"),
)
"""What is told of a stream first; other figures follow where they are not zero and there is room."""
_PARTS = {"latency_mean", "latency_last", "latency_min", "latency_max", "defined_rate"}
"""What is told in the words of another figure, or is no news."""


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table; it stands there only when a device has such a figure."""

    title: str
    width: int
    weight: int
    """The column with the smallest weight gives way first where there is little room."""
    value: Callable[[Device], float | None]
    words: Callable[[float], str]
    look: Callable[[Device], Role]

    def cell(self, device: Device) -> Span:
        """Its figure of a device, at the right of the column."""
        value = self.value(device)
        words = "" if value is None else self.words(value)
        return Span(f" {words:>{self.width}}", self.look(device))


def _count(value: float) -> str:
    return figure_words("", value) if value < 1e7 else f"{value / 1e6:.1f}M"


def _of_share(share: float | None) -> Role:
    return "plain" if share is None or share >= _NEARLY else "strong"


def _of_count(count: float | None, now: bool = False) -> Role:
    return "warning" if now else "plain" if count else "dim"


def _of_age(age: float | None) -> Role:
    return "dim" if age is None or age < 1 else "plain"


_COLUMNS = (
    _Column("FRAMES", 8, 1, lambda d: d.frames, _count, lambda d: _of_count(d.frames)),
    _Column("COMPLETE", 8, 6, lambda d: d.completeness, figures.share, lambda d: _of_share(d.completeness)),
    _Column("ERRORS", 8, 5, lambda d: d.errors, _count, lambda d: _of_count(d.errors, d.errors_now)),
    _Column(
        "TIME ERRS",
        9,
        4,
        lambda d: d.time_errors,
        _count,
        lambda d: _of_count(d.time_errors, d.time_errors_now),
    ),
    _Column("LATE", 8, 3, lambda d: d.late, _count, lambda d: _of_count(d.late)),
    _Column("AGE", 6, 2, lambda d: d.age, figures.age, lambda d: _of_age(d.age)),
)


class DevicePage:
    """Keeps to what was chosen, wherever it moves in the list; at first that is whatever stands first."""

    def __init__(self) -> None:
        self._list: DeviceList | None = None
        self._chosen: str | None = None
        self._at = 0
        """Place among the devices; the stream is before the first one."""
        self._top = 0
        self._page = 1

    def receive(self, devices: DeviceList) -> None:
        """Take in the devices as they are now."""
        self._list = devices
        keys = [device.key for device in devices.devices]
        if self._chosen in keys:
            self._at = keys.index(self._chosen)
        self._at = min(max(self._at, -bool(devices.stream)), len(keys) - 1)
        if not keys and devices.stream:
            self._at = -1

    @property
    def chosen(self) -> Device | None:
        """The device that keys speak of; None when that is the stream, or nothing."""
        devices = self._list.devices if self._list is not None else ()
        return devices[self._at] if 0 <= self._at < len(devices) else None

    @property
    def is_stream_chosen(self) -> bool:
        """Whether keys speak of the stream as a whole."""
        return self._list is not None and bool(self._list.stream) and self._at < 0

    def move(self, steps: int) -> None:
        """Choose the next one, or one before."""
        if self._list is not None:
            self._at += steps
            self._chosen = None
            self.receive(self._list)
            self._chosen = self.chosen.key if self.chosen is not None else None

    def turn(self, pages: int) -> None:
        """Go on by what was visible when it was painted last."""
        self.move(pages * self._page)

    def end(self, side: int) -> None:
        """To the stream, or to the last device."""
        self.move(side * (len(self._list.devices) + 1) if self._list is not None else 0)

    def rows(self, width: int, height: int, old: bool, glyphs: Glyphs) -> tuple[Row, ...]:
        """The page as `height` rows; all of it is faint when the figures are old."""
        listed = self._list
        if listed is None or listed.problem or not listed.counts:
            words = _ASKING if listed is None or not listed.asked else NO_FIGURES
            problem = listed.problem if listed is not None else ""
            said = Span(f" {shorten(problem or words, width - 2, glyphs.ellipsis)}", "strong")
            rows: list[Row] = [(Span(" DEVICES", "dim"),), (), (said,)]
        else:
            rows = list(self._table(listed, width, height, glyphs))
        if old:
            rows = [tuple(Span(span.text, "dim") for span in row) for row in rows]
        rows += [()] * (height - len(rows))
        return tuple(fit(row, width) for row in rows[: max(0, height)])

    def _table(self, listed: DeviceList, width: int, height: int, glyphs: Glyphs) -> Iterator[Row]:
        most = next(rows for least, rows in _STREAM_ROWS if height >= least)
        stream = self._stream(listed, width, most, glyphs)
        shown = self._window(listed.devices, height - 2 - len(stream))
        yield self._heading(listed, len(shown), width)
        yield from stream
        if not listed.devices:
            yield ()
            yield (Span(f" {_NO_DEVICES}", "dim"),)
            return
        columns, name = _layout(listed.devices, width)
        yield _titles(columns, name)
        for device in shown:
            yield self._row(device, columns, name, width, glyphs)

    def _window(self, devices: Sequence[Device], height: int) -> Sequence[Device]:
        """At most `height` devices, the chosen one among them."""
        self._page = max(1, height - 1)
        at = max(0, self._at)
        self._top = max(at - height + 1, min(self._top, at))
        self._top = max(0, min(self._top, len(devices) - height))
        return devices[self._top : self._top + max(0, height)]

    def _heading(self, listed: DeviceList, shown: int, width: int) -> Row:
        count = len(listed.devices)
        words = f" DEVICES {count}" if shown == count else f" DEVICES {max(0, self._at) + 1}/{count}"
        troubled = sum(device.troubled for device in listed.devices)
        right = Span(f"{troubled} with trouble now ", "warning") if troubled else Span("")
        return spread((Span(words, "dim"),), (right,), width)

    def _stream(self, listed: DeviceList, width: int, most: int, glyphs: Glyphs) -> list[Row]:
        """Figures of the stream, as many as fit into `most` rows."""
        if not listed.stream:
            return []
        bar = Span(glyphs.selected if self.is_stream_chosen else " ", "accent")
        head, indent = (bar, Span("  STREAM  ", "dim")), (bar, Span(" " * 10))
        rows: list[Row] = [head]
        for words, role in stream_words(dict(listed.stream)):
            piece = Span(f"{words}  ", role)
            if width_of((*rows[-1], piece)) > width + 1 and width_of(rows[-1]) > width_of(indent):
                if len(rows) == most:
                    break
                rows.append(indent)
            rows[-1] = (*rows[-1], piece)
        return rows

    def _row(self, device: Device, columns: Sequence[_Column], name: int, width: int, glyphs: Glyphs) -> Row:
        is_chosen = self.chosen is not None and device.key == self.chosen.key
        role: Role = "strong" if is_chosen or device.troubled else "plain"
        row: Row = (
            Span(glyphs.selected if is_chosen else " ", "accent"),
            Span("! " if device.troubled else "  ", "warning"),
            Span(column(device.name, name, glyphs.ellipsis), role),
        )
        row = (*row, *(one.cell(device) for one in columns))
        words = shorten(device.words, width - width_of(row) - 2, glyphs.ellipsis)
        return (*row, Span(f"  {words}", "warning"))


def stream_words(known: dict[str, float]) -> Iterator[tuple[str, Role]]:
    """The figures of a stream in words, what matters most first."""
    for name in _FIRST:
        if name == "latency" and "latency_mean" in known:
            last = known.get("latency_last")
            words = f"latency {figures.seconds(known['latency_mean'])}"
            yield words + (f", last {figures.seconds(last)}" if last is not None else ""), "plain"
        elif name == "seconds_since_data" and name in known:
            yield f"data {figures.age(known[name])} ago", "plain"
        elif name in known:
            words = "complete" if name == "completeness" else name_words(name.removesuffix("_frames"))
            yield f"{words} {figure_words(name, known[name])}", _of_stream(name, known[name])
    for name, value in known.items():
        if name not in _FIRST and name not in _PARTS and value:
            yield f"{name_words(name)} {figure_words(name, value)}", "dim"


def _of_stream(name: str, value: float) -> Role:
    """How a figure of the stream looks: what is lost stands out."""
    if name in ("frames", "rows", "rate", "completeness"):
        return _of_share(value) if name == "completeness" else "plain"
    return "strong" if value else "dim"


def _layout(devices: Sequence[Device], width: int) -> tuple[Sequence[_Column], int]:
    """The columns there is room for, and the cells of the names before them."""
    columns = [one for one in _COLUMNS if any(one.value(device) is not None for device in devices)]
    longest = max(_LEAST_NAME, *(cell_len(device.name) for device in devices))
    words = max(cell_len(device.words) for device in devices)

    def left(names: int) -> int:
        return width - _MARK - names - sum(one.width + 1 for one in columns)

    least = min(longest, max(_LEAST_NAME, width // 4))
    while columns and left(least) < min(words + 3, _LEAST_WORDS, width // 3):
        columns.remove(min(columns, key=lambda one: one.weight))
    return columns, max(_LEAST_NAME, min(longest, left(min(words + 3, width // 3))))


def _titles(columns: Sequence[_Column], name: int) -> Row:
    words = f"{' ' * _MARK}{'DEVICE':<{name}}" + "".join(f" {one.title:>{one.width}}" for one in columns)
    return (Span(words, "dim"),)
