"""Picking one of many names: which of them match what was typed, and how the list is shown."""

from __future__ import annotations

from collections.abc import Sequence

from .rows import Row, Span, fit

ROWS = 8
"""Names shown at once."""


def matching(names: Sequence[str], typed: str) -> tuple[str, ...]:
    """The names that hold every word typed, those that begin with the first one before the others."""
    words = typed.lower().replace("_", " ").split()
    found = [name for name in names if all(word in name.replace("_", " ") for word in words)]
    return tuple(sorted(found, key=lambda name: bool(words) and not name.startswith(words[0])))


def picking_rows(names: Sequence[str], chosen: int, width: int) -> tuple[Row, ...]:
    """`ROWS` rows of names around the one that is chosen; the last says how many more there are."""
    if not names:
        return (fit((Span("no quantity is called that", "warning"),), width), *[()] * (ROWS - 1))
    first = max(0, min(chosen - ROWS // 2, len(names) - ROWS))
    shown = names[first : first + ROWS]
    rows: list[Row] = [
        fit(
            (
                Span("> " if first + i == chosen else "  ", "accent"),
                Span(name.replace("_", " "), "strong" if first + i == chosen else "plain"),
            ),
            width,
        )
        for i, name in enumerate(shown)
    ]
    return (*rows, *[()] * (ROWS - len(rows)))
