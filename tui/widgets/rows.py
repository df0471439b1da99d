"""The base of every widget: rows of text by role, of which only the changed ones are painted again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from gridtop.tui.view.rows import ROLES, Row, fit, width_of

_BADGES = ("badge", "alert")


class Rows(Widget):
    """Shows the rows it is given, one a line, each cut or padded to the widget's width.

    The text is never markup. Rows that stay the same cost nothing: nearly all of the price of a frame
    is the compositor's, per row it has to look at.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"heading", *(f"role--{role}" for role in ROLES)}
    ALLOW_SELECT = False
    can_focus = False
    heading = False
    """Whether the first row stands on a band of its own."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.rows: tuple[Row, ...] = ()

    def show(self, rows: Sequence[Row]) -> None:
        """Paint the rows that differ from what is on the screen."""
        before, self.rows = self.rows, tuple(rows)
        if len(before) != len(self.rows):
            self.refresh()
            return
        changed = [difference(*pair, y) for y, pair in enumerate(zip(before, self.rows, strict=True))]
        if any(changed):
            self.refresh(*filter(None, changed))

    def render_line(self, y: int) -> Strip:
        """The strip of one row; rows that nobody gave are blank."""
        width = self.size.width
        row = fit(self.rows[y] if y < len(self.rows) else (), width)
        styles = self.get_component_rich_style
        band = (
            Style(bgcolor=styles("heading").bgcolor)
            if self.heading and y == 0 and len(self.rows) > 1
            else Style.null()
        )
        return Strip(
            [
                # What stands out has a background of its own, which the band would take away.
                Segment(
                    span.text, styles(f"role--{span.role}") + (Style.null() if span.role in _BADGES else band)
                )
                for span in row
            ],
            width,
        )


def difference(before: Row, after: Row, y: int) -> Region:
    """The cells of row `y` that have to be painted again, down to whole spans; empty when there are none."""
    if before == after:
        return Region()
    start = takewhile(lambda pair: pair[0] == pair[1], zip(before, after, strict=False))
    left = width_of(tuple(old for old, _ in start))
    right = max(width_of(before), width_of(after))
    if width_of(before) == width_of(after):  # else what is equal at the end stands elsewhere now
        end = takewhile(lambda pair: pair[0] == pair[1], zip(reversed(before), reversed(after), strict=False))
        right -= width_of(tuple(old for old, _ in end))
    return Region(left, y, max(1, right - left), 1)
