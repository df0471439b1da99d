"""What a sink wants to hear of: the host's settings in each of `sinks:`, and the choice they make."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gridtop.events import SEVERITIES, Event, Kind, Severity, Transition


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Globs = Annotated[
    tuple[str, ...],
    BeforeValidator(_several),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    ),
]
"""One glob, or several."""
_Transitions = Annotated[tuple[Transition, ...], BeforeValidator(_several)]
_Kinds = Annotated[tuple[Kind, ...], BeforeValidator(_several)]


class Subscription(BaseModel):
    """Which events a sink gets, and how many at most. What is held back is counted, never forgotten."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    severity: Severity = Field("info", description="only events of at least this severity")
    rules: Globs = Field(
        ("*",),
        min_length=1,
        description="globs of the rules (limits, detectors, plugins) it hears of; ! takes some away",
    )
    transitions: _Transitions | None = Field(
        None, min_length=1, description="only these, such as [raised, escalated, cleared]; all if not given"
    )
    kinds: _Kinds | None = Field(
        None, min_length=1, description="only these kinds of event, such as [alarm, fault]; all if not given"
    )
    children: bool = Field(
        False, description="in a flood, also the alarms that stand behind the one that came first"
    )
    rate: int | None = Field(
        None, ge=1, le=100_000, description="events a minute at most; what is beyond comes as one digest"
    )

    def wants(self, event: Event) -> bool:
        """Whether this event is for the sink."""
        if SEVERITIES.index(event.severity) < SEVERITIES.index(self.severity):
            return False
        if self.transitions is not None and event.transition not in self.transitions:
            return False
        if self.kinds is not None and event.kind not in self.kinds:
            return False
        if event.parent and not self.children:
            return False
        # With nothing but globs that take away, all the others are meant.
        wanted = self.rules[0].startswith("!")
        for glob in self.rules:
            if fnmatchcase(event.rule, glob.removeprefix("!")):
                wanted = not glob.startswith("!")
        return wanted
