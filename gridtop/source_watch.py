"""What a source says of its own troubles, told once when it begins and once when it is over."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gridtop.contracts import Counting, Source
from gridtop.events import Severity
from gridtop.source_statistics import Statistics
from gridtop.text import clean

QUIET = 60.0
"""Seconds before the same trouble of a source is told again, so that one that comes and goes is no storm."""

MOST = 20
"""Troubles that are told one by one at most; of more, how many there are."""

_LONGEST = 300


class SourceWatch:
    """Looks at the `problems` and `statistics` of one source; what its code raises is one more problem."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._told: dict[str, float] = {}  # when each trouble was last told
        self._present: dict[str, bool] = {}  # the troubles there are, and whether they were told

    def problems(self) -> tuple[str, ...]:
        """What is wrong with the source now, a line each."""
        try:
            texts = [clean(str(text), _LONGEST) for text in getattr(self._source, "problems", ())]
        except Exception as error:
            return (f"the source cannot say what is wrong: {type(error).__name__}",)
        found = tuple(dict.fromkeys(texts))
        if len(found) > MOST:
            return (*found[:MOST], f"the source has {len(found) - MOST} more problems")
        return found

    def statistics(self) -> Statistics | None:
        """How the data come; None when the source does not count that, or cannot say now."""
        if not isinstance(self._source, Counting):
            return None
        try:
            found = self._source.statistics()
        except Exception:
            return None
        return found if isinstance(found, Statistics) else None

    def news(self, now: float) -> Sequence[tuple[Severity, str]]:
        """What is to be told at `now` (monotonic seconds): troubles that began, and the ends of told ones."""
        found = self.problems()
        told: list[tuple[Severity, str]] = [
            ("info", f"over: {text}")
            for text, was_told in self._present.items()
            if was_told and text not in found
        ]
        present = {}
        for text in found:
            if text in self._present:
                present[text] = self._present[text]
                continue
            present[text] = now - self._told.get(text, -math.inf) >= QUIET
            if present[text]:
                self._told[text] = now
                told.append(("warning", text))
        self._present = present
        self._told = {text: at for text, at in self._told.items() if now - at < QUIET or text in present}
        return told
