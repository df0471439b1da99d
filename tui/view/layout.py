"""How the rows of a terminal are shared out, from 40x10 to as large as it gets."""

from __future__ import annotations

from dataclasses import dataclass

_TWO_COLUMNS = 72
"""Below this width a panel has no room for graph and numbers beside a second one."""
_WIDE = 132
"""From this width on the active alarms stand beside the panels."""
_SIDE = (40, 64)
_FIXED = 3
"""Rows that are always there: status line, alarm banner, keys."""
_WITH_TIMELINE = 16
"""Rows of the terminal from which on there is a timeline."""
_LEAST_LOG = 5
_TALLEST_GRAPH = 18


@dataclass(frozen=True, slots=True)
class Layout:
    """Columns of panels, rows of each panel (1 is the title alone), rows of timeline and event log, and
    columns of the list of alarms beside the panels."""

    columns: int
    panel: int
    log: int
    timeline: int
    side: int

    @property
    def panels(self) -> int:
        """Rows of all panels."""
        return self.panel * 4 // self.columns


def layout(width: int, height: int) -> Layout:
    """The best use of a terminal of this size; never negative, whatever the size."""
    timeline = int(height >= _WITH_TIMELINE)
    rows = max(0, height - _FIXED - timeline)
    columns = 2 if width >= _TWO_COLUMNS else 1
    wide = width >= _WIDE
    panel = (rows - max(_LEAST_LOG, height // (4 if wide else 3))) // (4 // columns)
    if panel < 3:
        columns, panel, wide = 1, 1, False
    panel = min(panel, 1 + _TALLEST_GRAPH)
    side = min(max(width * 52 // 160, _SIDE[0]), _SIDE[1]) if wide else 0
    return Layout(columns, panel, max(0, rows - panel * 4 // columns), timeline, side)
