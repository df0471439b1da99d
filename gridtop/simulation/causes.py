"""What every kind of event has in common: a start, a place, a class, limits on its numbers.

An event is a cause: when, where, how much. What follows from it is worked out elsewhere: by the
protection (protection.py), the machines (disturbances.py), an attacker (tampering.py), the instrument
transformers (transducers.py), the logs (logs.py) and the way of the data (transmission.py). Times are
seconds from the first frame; in a scenario file they may be written with a unit.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import BeforeValidator

from gridtop.units import parse_duration

QUIET, NATURAL, ATTACK = "NoEvents", "Natural", "Attack"
"""The labels of the public data's three classes; load steps count as `NoEvents` there, and here."""

Phase = Literal["normal", "recovered", "reclosed", "active", "open", "fault"]
"""What a frame shows of its event; where two events overlap, the later in this list is said."""
PHASES: tuple[Phase, ...] = get_args(Phase)


def _seconds(value: Any) -> Any:
    """A plain number is of seconds, text needs a unit."""
    return parse_duration(value).total_seconds() if isinstance(value, str) else value


Seconds = Annotated[float, BeforeValidator(_seconds)]


@dataclass(frozen=True, slots=True)
class Event:
    """The start of them all. Raises ValueError, as every kind does, for values outside of its limits."""

    start: Seconds

    kind: ClassVar[str] = ""
    limits: ClassVar[dict[str, tuple[float, float]]] = {}
    """Lowest and highest value of the numbers that a kind has."""
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        if not 0 <= self.start < float("inf"):
            raise ValueError(f"start: an event starts at 0 s or later, not at {self.start}")
        for name, (low, high) in self.limits.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name}: lies between {low:g} and {high:g}, not at {value:g}")

    @property
    def marker(self) -> str:
        """The class it belongs to: `NoEvents`, `Natural` or `Attack`."""
        return NATURAL

    @property
    def place(self) -> str:
        """The line, relays, machine or column it happens to; `grid` for the whole."""
        return "grid"

    @property
    def end(self) -> float:
        """When its cause is over; for events with a timing that is drawn, the latest this can be."""
        return self.start + float(getattr(self, "duration", 0.0))

    @property
    def parameters(self) -> dict[str, Any]:
        """All else that there is to say about it, as plain values."""
        values = dataclasses.asdict(self)
        del values["start"]
        return values

    def at(self, start: float) -> Self:
        """The same event at another time."""
        return dataclasses.replace(self, start=start)


LONGEST = 86_400.0
"""Seconds that anything may last."""
LASTING = {"duration": (0.02, LONGEST)}
"""The limits of a duration."""
