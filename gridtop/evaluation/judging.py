"""A recording with its truth beside what was said of it, ready to be counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from gridtop.evaluation.event_lists import claims_of
from gridtop.evaluation.frame_metrics import Marks
from gridtop.evaluation.matching import Claim, Run
from gridtop.evaluation.observing import Observation
from gridtop.evaluation.truth_sources import Labelled
from gridtop.events import Event

_ENDS = ("cleared", "latched", "reset")


@dataclass(frozen=True, slots=True)
class Judged:
    """A recording with its truth and what became of it.

    claims   what was said, by whom and when
    active   for each rule (n,) whether any alarm of it was on; a latched one
             counts until its condition is gone
    """

    labelled: Labelled
    observation: Observation
    run: Run
    active: Mapping[str, Marks]


def judged(labelled: Labelled, observation: Observation) -> Judged:
    """Lay beside each other what was true and what was said."""
    claims = [claim for event in observation.events for claim in _claims(event, labelled)]
    seconds = labelled.seconds
    # What is ordinary is no event to be found: whatever is said during it is false.
    run = Run(labelled.truths, claims, float(seconds[0]), float(seconds[-1]), labelled.name)
    return Judged(labelled, observation, run, _active(observation.events, len(seconds)))


def _claims(event: Event, labelled: Labelled) -> list[Claim]:
    """What an event claims; one that names no place gets none, and rows stand for times that nobody knows."""
    if event.time is None:
        event = replace(event, time=labelled.survey.time[event.row])
    placed = bool(event.terminal or event.details.get("line"))
    return [claim if placed else replace(claim, place="") for claim in claims_of([event], labelled.origin)]


def _active(events: Iterable[Event], frames: int) -> dict[str, Marks]:
    begun: dict[tuple[str, str, str], int] = {}
    active: dict[str, Marks] = defaultdict(lambda: np.zeros(frames, dtype=bool))
    for event in events:
        key = event.rule, event.channel, event.direction
        if event.transition == "raised":
            begun[key] = event.row
        elif event.transition in _ENDS and key in begun:
            active[event.rule][begun.pop(key) : event.row] = True
    for (rule, _, _), row in begun.items():
        active[rule][row:] = True
    return dict(active)
