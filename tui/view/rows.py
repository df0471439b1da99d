"""Rows of text with roles: what every widget is handed, and how a row is fitted to a width."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from rich.cells import cell_len, set_cell_size

Role = Literal["plain", "dim", "strong", "title", "accent", "graph", "warning", "critical", "badge", "alert"]
"""What a piece of text means; the style sheet says how that looks.

`badge` is a state in reverse video, `alert` one that nobody may overlook.
"""
ROLES: tuple[Role, ...] = get_args(Role)


class Span(NamedTuple):
    """Text without control characters, and its role."""

    text: str
    role: Role = "plain"


Row = tuple[Span, ...]


def width_of(row: Row) -> int:
    """Terminal cells that a row takes: wide characters take two, combining ones none."""
    return sum(cell_len(span.text) for span in row)


def fit(row: Row, width: int) -> Row:
    """The row cut or padded to exactly `width` cells."""
    fitted: list[Span] = []
    left = max(0, width)
    for span in row:
        cells = cell_len(span.text)
        if cells > left:
            fitted.append(Span(set_cell_size(span.text, left), span.role))
            left = 0
            break
        fitted.append(span)
        left -= cells
    if left:
        fitted.append(Span(" " * left))
    return tuple(span for span in fitted if span.text)


def spread(left: Row, right: Row, width: int) -> Row:
    """`left` and `right` at the two ends of a row; when both do not fit, the left one is cut."""
    room = max(0, width - width_of(right))
    return fit((*fit(left, room), *right), width)


def shorten(text: str, width: int, ellipsis: str) -> str:
    """`text` in at most `width` cells, with the ellipsis where something was left out."""
    if cell_len(text) <= width:
        return text
    room = width - cell_len(ellipsis)
    return set_cell_size(text, room).rstrip() + ellipsis if room > 0 else set_cell_size(text, max(0, width))


def column(text: str, width: int, ellipsis: str) -> str:
    """`text` shortened and padded to exactly `width` cells."""
    return set_cell_size(shorten(text, width, ellipsis), max(0, width))
