"""Everything that is counted of a device or of a stream, by name, with what there is to say of it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from gridtop.tui.glyphs import Glyphs

from .card import wrapped
from .figures import figure_words, name_words
from .rows import Row, Span, column

_GAP = 4
"""Cells between two columns of figures."""
_LONGEST_NAME = 40


def card_rows(
    words: str, figures: Sequence[tuple[str, float]], width: int, glyphs: Glyphs
) -> tuple[Row, ...]:
    """The words in full, and below them the figures in as many columns as fit into `width` cells."""
    rows: list[Row] = []
    if words:
        rows = [*((Span(line, "warning"),) for line in wrapped(words, width)), ()]
    told = [(name_words(name), figure_words(name, value), bool(value)) for name, value in figures]
    if not told:
        return (*rows, (Span("nothing is counted of it", "dim"),))
    name = min(max(cell_len(name) for name, _, _ in told), _LONGEST_NAME)
    value = max(len(value) for _, value, _ in told)
    columns = max(1, (width + _GAP) // (name + 2 + value + _GAP))
    height = -(-len(told) // columns)
    for y in range(height):
        row: Row = ()
        for what, number, some in told[y::height]:
            gap = Span(" " * _GAP if row else "")
            words = column(what, name, glyphs.ellipsis) + "  "
            row = (*row, gap, Span(words, "dim"), Span(f"{number:>{value}}", "strong" if some else "dim"))
        rows.append(row)
    return tuple(rows)
