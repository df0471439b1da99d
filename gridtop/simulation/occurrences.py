"""What happened, physically: every event with its instants, and the labels of frames that follow from it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.simulation.events import ATTACK, NATURAL, PHASES, QUIET, Event, Phase
from gridtop.simulation.network import RELAYS, Relay
from gridtop.simulation.protection import Action, ApplyFault, Switch

AFTERMATH = 2.0
"""Seconds after the end that still carry the event's label."""

MARKERS = (QUIET, NATURAL, ATTACK)
"""Where two events overlap, the label is the later in this list."""

Texts = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """An event as it went: from when to when (s from the first frame), and its phases in between."""

    event: Event
    start: float
    end: float
    phases: tuple[tuple[Phase, float, float], ...]

    @property
    def label_end(self) -> float:
        """When frames stop to carry its label."""
        return self.end + AFTERMATH

    def as_json(self) -> dict[str, Any]:
        """Its line in the event list, with times in milliseconds."""
        return {
            "kind": self.event.kind,
            "marker": self.event.marker,
            "place": self.event.place,
            "start_ms": _milliseconds(self.start),
            "end_ms": _milliseconds(self.end),
            "label_end_ms": _milliseconds(self.label_end),
            "phases": [
                {"phase": phase, "start_ms": _milliseconds(start), "end_ms": _milliseconds(end)}
                for phase, start, end in self.phases
            ],
            "parameters": self.event.parameters,
        }


def occurrence(event: Event, actions: Sequence[Action]) -> Occurrence:
    """What becomes of an event; `actions` are those of the breakers, none for events that move none."""
    if not actions:
        phases: list[tuple[Phase, float, float]] = [("active", event.start, event.end)]
        phases.append(("recovered", event.end, event.end + AFTERMATH))
        return Occurrence(event, event.start, event.end, tuple(phases))
    end = actions[-1].time
    phases = _switching_phases(actions)
    phases.append(("reclosed", end, end + AFTERMATH))
    return Occurrence(event, event.start, end, tuple(phases))


def _switching_phases(actions: Sequence[Action]) -> list[tuple[Phase, float, float]]:
    """`fault` while there is one, else `open` while a breaker is, else `reclosed`."""
    phases: list[tuple[Phase, float, float]] = []
    fault, is_open = False, set[Relay]()
    for action, following in itertools.pairwise(actions):
        match action:
            case ApplyFault():
                fault = action.fault is not None
            case Switch():
                (is_open.discard if action.closed else is_open.add)(action.relay)
        phase: Phase = "fault" if fault else "open" if is_open else "reclosed"
        if following.time == action.time:
            continue
        if phases and phases[-1][0] == phase and phases[-1][2] == action.time:
            phases[-1] = (phase, phases[-1][1], following.time)
        else:
            phases.append((phase, action.time, following.time))
    return phases


class Labels:
    """The labels of a stretch of n samples, on which occurrences leave their marks."""

    def __init__(self, first: int, count: int, samples_per_second: int) -> None:
        self._first = first
        self._samples_per_second = samples_per_second
        self._markers = np.zeros(count, dtype=np.intp)
        self._phases = np.zeros(count, dtype=np.intp)

    def mark(self, occurrences: Iterable[Occurrence]) -> None:
        """Take account of occurrences, in any order."""
        for happened in occurrences:
            window = self._samples(happened.start, happened.label_end)
            _raise(self._markers[window], MARKERS.index(happened.event.marker))
            for phase, start, end in happened.phases:
                _raise(self._phases[self._samples(start, end)], PHASES.index(phase))

    def markers(self, every: int) -> Texts:
        """The class at every so many samples: `NoEvents`, `Natural` or `Attack`."""
        return np.array(MARKERS)[self._markers[::every]]

    def phases(self, every: int) -> Texts:
        """The phase at every so many samples."""
        return np.array(PHASES)[self._phases[::every]]

    def _samples(self, start: float, end: float) -> slice:
        first = due(start, self._samples_per_second) - self._first
        stop = due(end, self._samples_per_second) - self._first
        return slice(max(first, 0), max(stop, 0))


def due(time: float, samples_per_second: int) -> int:
    """The first sample at or after a time; the slack is for times that are samples but for rounding."""
    return int(np.ceil(time * samples_per_second - 1e-6))


def spoofed_relays(spoofed: npt.NDArray[np.bool_]) -> Texts:
    """(n,) text from (n, 4), whose measurements are false: `R1+R2`, or `none`."""
    codes = range(1 << len(RELAYS))
    names = ["+".join(relay for bit, relay in enumerate(RELAYS) if code >> bit & 1) for code in codes]
    names[0] = "none"
    return np.array(names)[spoofed @ (1 << np.arange(len(RELAYS)))]


def _raise(values: npt.NDArray[np.intp], least: int) -> None:
    np.maximum(values, least, out=values)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)
