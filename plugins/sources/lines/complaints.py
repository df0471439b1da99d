"""Counts what is wrong with a live stream, and tells it in the log at a bearable rate."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from time import monotonic

INTERVAL = 10.0
"""Seconds between two log lines about the same kind of trouble."""


class Complaints:
    """What went wrong so far: `counts` by kind. The log gets one line a kind in ten seconds."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float] = monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._log = log
        self._clock = clock
        self._told: dict[str, float] = {}
        self._untold: Counter[str] = Counter()

    def tell(self, kind: str, text: str, count: int = 1) -> None:
        """Count trouble of a kind and say it, unless that kind was spoken of just now."""
        self.counts[kind] += count
        now = self._clock()
        if now - self._told.get(kind, -INTERVAL) < INTERVAL:
            self._untold[kind] += count
            return
        self._told[kind] = now
        more = self._untold.pop(kind, 0)
        self._log.warning("%s%s", text, f" (and {more:,} more since the last word of it)" if more else "")
