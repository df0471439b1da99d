"""What a detector's alarm rests on: channels and shares, in one line or as bars."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from gridtop.events import Contribution
from gridtop.tui.glyphs import Glyphs

from .rows import Row, Span, column

_PERCENT = 6
"""Cells of ` 62 % `."""
_LONGEST_BAR = 20
_SHORTEST_BAR = 8
_LONGEST_NAME = 32
_APPROXIMATE = ("approximate, found by trial", "approximate")


def says_more(cause: Sequence[Contribution], channel: str) -> bool:
    """Whether a cause says more than the channel that the alarm is about already."""
    return bool(cause) and [part.channel for part in cause] != [channel]


def why_words(cause: Sequence[Contribution], approximate: bool, channel: str, glyphs: Glyphs) -> str:
    """`why: R3:voltage_pu.A 62 %, R3:current_pu.A 20 % (approximate)`, or nothing."""
    if not says_more(cause, channel):
        return ""
    parts = ", ".join(f"{glyphs.plain(part.channel)} {_percent(part)}" for part in cause)
    return f"why: {parts}{' (approximate)' if approximate else ''}"


def why_rows(cause: Sequence[Contribution], approximate: bool, width: int, glyphs: Glyphs) -> list[Row]:
    """Each channel with its share and a bar, where there is room for one, in `width` cells."""
    names = [glyphs.plain(part.channel) for part in cause]
    longest = max((cell_len(name) for name in names), default=0)
    room = min(longest, _LONGEST_NAME, max(1, width - _PERCENT))
    bar = min(_LONGEST_BAR, width - room - _PERCENT)
    rows: list[Row] = []
    for name, part in zip(names, cause, strict=True):
        row: Row = (Span(column(name, room, glyphs.ellipsis)), Span(f"{_percent(part):>{_PERCENT - 1}} "))
        if bar >= _SHORTEST_BAR:
            row = (*row, Span(glyphs.played * max(1, round(bar * part.share)), "graph"))
        rows.append(row)
    if approximate:
        long, short = _APPROXIMATE
        rows.append((Span(long if len(long) <= width else short, "dim"),))
    return rows


def _percent(part: Contribution) -> str:
    return f"{100 * part.share:.0f} %"
