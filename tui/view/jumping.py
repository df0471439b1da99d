"""Where the events of the log are: the row to go to for the next one, or the one before."""

from __future__ import annotations

from collections.abc import Iterable

from gridtop.client import Transport

from .log import Line

LEAD = 1.0
"""Seconds before an event to which one goes, to see it happen."""
_RATE = 30.0
"""Frames a second of a stream that does not say."""


def near_event(lines: Iterable[Line], transport: Transport, rate: float | None, steps: int) -> int | None:
    """The row a little before the next event (positive) or the one before; None when there is none.

    What ended or was acknowledged is not gone to, only what began.
    """
    lead = round(LEAD * (rate or _RATE))
    landings = {max(0, line.row - lead) for line in lines if line.begins}
    if steps > 0:
        return min((row for row in landings if row > transport.row), default=None)
    # While it plays, the event one has just gone to is not the one before.
    passed = transport.row - (lead if transport.state == "playing" else 0)
    return max((row for row in landings if row < passed), default=None)
