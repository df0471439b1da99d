"""How the rows of a terminal are shared out, from 40x10 to as large as it gets."""

from __future__ import annotations

from dataclasses import dataclass

_TWO_COLUMNS = 72
"""Below this width a panel has no room for graph and numbers beside a second one."""
_FIXED = 3
"""Rows that are always there: status line, alarm banner, keys."""
_LEAST_LOG = 5
_TALLEST_GRAPH = 14


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of panels, rows of each panel (1 is the title alone), rows of the event log."""

    columns: int
    panel: int
    log: int


def layout(width: int, height: int) -> Layout:
    """The best use of a terminal of this size; never negative, whatever the size."""
    rows = max(0, height - _FIXED)
    columns = 2 if width >= _TWO_COLUMNS else 1
    stacked = 4 // columns
    panel = (rows - max(_LEAST_LOG, height // 3)) // stacked
    if panel < 3:
        columns, stacked, panel = 1, 4, 1
    panel = min(panel, 1 + _TALLEST_GRAPH)
    return Layout(columns, panel, max(0, rows - stacked * panel))
