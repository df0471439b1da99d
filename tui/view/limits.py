"""Which of the limits of a channel are drawn."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from gridtop.client import LimitLine

from .graph import Limit


def by_channel(lines: Sequence[LimitLine]) -> dict[str, tuple[Limit, ...]]:
    """The limits to draw: of each severity and direction the one that is met first."""
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for line in lines:
        mark = ("=" if line.severity == "critical" else "-") + ("H" if line.direction == "high" else "L")
        before = found[line.channel].get(mark, line.value)
        found[line.channel][mark] = (min if line.direction == "high" else max)(before, line.value)
    return {
        name: tuple(Limit(mark, value) for mark, value in marks.items() if math.isfinite(value))
        for name, marks in found.items()
    }
