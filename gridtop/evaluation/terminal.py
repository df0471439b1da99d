"""The report for the terminal: plain tables within a width, and what to know before believing them."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from gridtop.evaluation.assessment import Assessment
from gridtop.evaluation.cells import Section, sections
from gridtop.text import clean

WIDTH = 100
_GAP = 2
_NARROWEST = 16


def text(assessment: Assessment, width: int = WIDTH) -> str:
    """The whole report, its lines at most `width` wide where words allow it."""
    one = assessment.together
    several = len(assessment.recordings)
    what = clean(assessment.recordings[0].labelled.name) if several == 1 else f"{several} recordings"
    lines = [f"{what}: {one.frame_count:,} frames, {_duration(one.hours)}; truth from {one.source}"]
    for section in sections(assessment):
        lines += ["", *_section(section, width)]
    if assessment.remarks:
        lines += ["", "Before you believe it"]
        for about, remark in assessment.remarks:
            lines += textwrap.wrap(
                f"{clean(about)}: {remark}", width, initial_indent="  ", subsequent_indent="    "
            )
    return "\n".join(lines) + "\n"


def _duration(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{hours * 60:.1f} min" if hours * 60 >= 1 else f"{hours * 3600:.0f} s"


def _section(section: Section, width: int) -> Iterator[str]:
    yield section.title
    yield from textwrap.wrap(section.note, width)
    table = [section.head, *section.rows]
    cells = [[clean(cell, 400) for cell in row] for row in table]
    widths = [max(len(row[i]) for row in cells) for i in range(len(section.head))]
    for columns in _pages(widths, width):
        room = width - sum(widths[i] + _GAP for i in columns[:-1]) - _GAP
        words = any(" " in row[columns[-1]] and row[columns[-1]][:1].isalpha() for row in cells[1:])
        for row in cells:
            yield from _row([row[i] for i in columns], [widths[i] for i in columns], room, words)


def _pages(widths: Sequence[int], width: int) -> list[list[int]]:
    """Which columns stand side by side: all if the last can be folded; the first is on each page."""
    pages, used = [[0]], widths[0] + _GAP
    for i in range(1, len(widths)):
        last = i == len(widths) - 1
        needed = min(widths[i], _NARROWEST) if last else widths[i]
        if used + _GAP + needed > width and len(pages[-1]) > 1:
            pages.append([0])
            used = widths[0] + _GAP
        pages[-1].append(i)
        used += widths[i] + _GAP
    return pages


def _row(cells: Sequence[str], widths: Sequence[int], room: int, words: bool) -> Iterator[str]:
    """A row: names to the left, and `words` in the last column, which is folded where it is too long."""
    first = f"  {cells[0]:<{widths[0]}}"
    between = [f"{cell:>{wide}}" for cell, wide in zip(cells[1:-1], widths[1:-1], strict=True)]
    start = (" " * _GAP).join([first, *between]) + " " * _GAP
    if len(cells) == 1:
        yield first.rstrip()
        return
    if widths[-1] <= room - _GAP:
        yield (start + (cells[-1] if words else f"{cells[-1]:>{widths[-1]}}")).rstrip()
        return
    folded = textwrap.wrap(cells[-1], max(room - _GAP, _NARROWEST)) or [""]
    yield (start + folded[0]).rstrip()
    for line in folded[1:]:
        yield " " * len(start) + line
