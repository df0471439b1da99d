"""How what the alarm engine knows is written down as JSON, and which rule an entry belongs to."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

from gridtop.alarms.lanes import Lane

VERSION = 1
"""Of the form of the state; one of another version is not read."""

LaneKey = tuple[str, str, str, str]
"""Rule, direction, the channel it speaks of, the channel of its values."""

_NOT_DECISIVE = {"on", "overrides", "priority", "enabled"}
"""Settings that may change while an alarm goes on; overrides have been laid over the others."""


def number(value: float) -> float | str | None:
    """A number that may be missing or infinite, for strict JSON."""
    if math.isnan(value):
        return None
    return float(value) if math.isfinite(value) else str(float(value))


def from_number(value: float | str | None) -> float:
    """The inverse of `number`."""
    return math.nan if value is None else float(value)


def lane_key(lane: Lane) -> LaneKey:
    """Which alarm a lane is."""
    return lane.rule, lane.direction, lane.subject.name, lane.channel.name


def fingerprints(lanes: Iterable[Lane]) -> list[str]:
    """Of each lane, a hash of the settings that decide when it is an alarm."""
    written: dict[int, str] = {}
    found = []
    for lane in lanes:
        # Most lanes of a rule share their settings.
        text = written.get(id(lane.settings))
        if text is None:
            text = written[id(lane.settings)] = lane.settings.model_dump_json(exclude=_NOT_DECISIVE)
        whole = "\x1f".join((text, lane.unit, *map(str, lane.gate_bounds)))
        found.append(hashlib.blake2b(whole.encode(), digest_size=8).hexdigest())
    return found
