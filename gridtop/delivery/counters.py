"""What the delivery to one sink counts, for /metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal, get_args

Counted = Literal[
    "delivered",  # events that the receiver took
    "failed",  # attempts that failed
    "retried",  # events put off to be tried again
    "dead",  # events that became dead letters
    "suppressed",  # events that came only in a digest, or were about the sink itself
    "dropped",  # events that a stream will never get
]
COUNTED: tuple[Counted, ...] = get_args(Counted)


class Counters:
    """Numbers by reason; the reasons are a few fixed words, so that a time series each is no burden."""

    def __init__(self) -> None:
        self._numbers: dict[Counted, Counter[str]] = {counted: Counter() for counted in COUNTED}

    def add(self, counted: Counted, reason: str, number: int = 1) -> None:
        """Count some more."""
        self._numbers[counted][reason] += number

    def total(self, counted: Counted) -> int:
        """All of one kind, whatever the reason."""
        return self._numbers[counted].total()

    def by_reason(self, counted: Counted) -> Mapping[str, int]:
        """A copy of the numbers of one kind."""
        return dict(self._numbers[counted])
