"""What an operator would call an event, seen from one line: the classes that event windows are taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gridtop.learning.card import Output
from gridtop.learning.event_scoring import DATA, FAULT, INSTRUMENT, SUSPICIOUS
from gridtop.site import Site

FAULT_KINDS = ("AG", "BG", "CG", "AB", "BC", "CA", "ABC")
FAULTS = tuple(FAULT + kind for kind in FAULT_KINDS)
CLASSES = (
    "normal",
    "elsewhere",
    "load_change",
    *FAULTS,
    "protection_failure",
    "needless_trip",
    "line_open",
    "line_open_unexplained",
    *(kind + end for kind in (SUSPICIOUS, INSTRUMENT, DATA) for end in ("near", "far")),
    SUSPICIOUS + "both",
    "oscillation",
)
"""`normal` is also what follows an event; `elsewhere` an event on another line."""
OUTPUTS = (
    Output(name="fault", classes=(*FAULTS, "protection_failure")),
    Output(name="protection_failure", classes=("protection_failure", "needless_trip")),
    Output(name="line_open", classes=("line_open",)),
    Output(name="line_open_unexplained", classes=("line_open_unexplained",)),
    Output(name="suspicious", at="near", classes=(SUSPICIOUS + "near", SUSPICIOUS + "both")),
    Output(name="suspicious", at="far", classes=(SUSPICIOUS + "far", SUSPICIOUS + "both")),
    Output(name="instrument_failure", at="near", classes=(INSTRUMENT + "near",)),
    Output(name="instrument_failure", at="far", classes=(INSTRUMENT + "far",)),
    Output(name="oscillation", classes=("oscillation",)),
)
"""What is scored; load changes and data problems are told apart so that they raise none of these."""

EARLY_S, LATE_S = 0.05, 0.1
"""A window may open this long before an event's start; one in its last moments shows its end."""
SHORTEST_S = 0.5
"""A sudden change lasts no time at all, but filters and the trigger need some."""
RINGING_S = 5.0
"""An oscillation rings this long after its cause."""
UNCLEARED_S = 0.5
"""Until zone 2 has had its time, a fault that its protection fails to clear looks like any other."""
AFTER_FAULT_S = 3.0
"""A window that opens later than this in the open phase of a fault sees no fault any more."""

_LOADS = ("load_step", "inrush")
_OSCILLATIONS = ("forced_oscillation", "natural_oscillation", "power_swing")
_INSTRUMENTS = ("vt_fuse", "open_ct", "instrument_drift")
_DATA = ("missing_frames", "repeated_frames", "reordered_frames", "late_frames")
_FAULTED = ("short_circuit", "breaker_failure", "relay_settings")


@dataclass(frozen=True, slots=True)
class View:
    """A line as a model sees it: its name, the end at hand and the other end."""

    line: str
    near: str
    far: str


def event_at(events: Sequence[Mapping[str, Any]], opened: float) -> int | None:
    """Which event of a list (docs/simulation.md) a window shows that opened `opened` seconds after its start.

    The latest to have begun, when several overlap; None when none was going on.
    """
    going_on = [
        (event["start_ms"], i)
        for i, event in enumerate(events)
        if event["start_ms"] / 1000 - EARLY_S <= opened <= _last(event)
    ]
    return max(going_on)[1] if going_on else None


def class_of(event: Mapping[str, Any] | None, view: View, site: Site, opened: float, age: float) -> str:
    """The class of a window that opened `opened` seconds after the start, at an age in seconds."""
    if event is None:
        return "normal"
    kind, parameters = event["kind"], event.get("parameters", {})
    if kind in _LOADS:
        return "load_change"
    if kind in _OSCILLATIONS:
        return "oscillation"
    if kind in _FAULTED:
        return _of_fault(event, parameters, view, opened, age)
    named = set(str(event["place"]).replace("-", " ").replace(":", " ").split())
    if kind in ("maintenance", "energisation"):
        return "line_open" if parameters["line"] == view.line else "elsewhere"
    if kind == "trip_command":
        return "line_open_unexplained" if named & {view.near, view.far} else "elsewhere"
    if kind in _DATA or (kind == "gps_drift" and parameters.get("flagged")):
        if not parameters.get("relays", True):
            return DATA + "near"  # rows are missing altogether
        return _at_end(DATA, named, view)
    if kind in _INSTRUMENTS:
        return _at_end(INSTRUMENT, named, view)
    if kind == "injection" and parameters.get("mode") == "bus":
        buses = [set(terminals) for terminals in site.terminals_of_buses.values()]
        named = named.union(*(bus for bus in buses if bus & named))
    return _at_end(SUSPICIOUS, named, view)


def _of_fault(
    event: Mapping[str, Any], parameters: Mapping[str, Any], view: View, opened: float, age: float
) -> str:
    fault = parameters["fault"]
    if fault["line"] != view.line:
        needless = set(parameters.get("overreaching", ())) & {view.near, view.far}
        return "needless_trip" if needless else "elsewhere"
    shown = [(p["start_ms"] / 1000, p["end_ms"] / 1000) for p in event["phases"] if p["phase"] == "fault"]
    # The window of a fault's clearing or of the line's return is no window of the fault.
    if not any(start - EARLY_S <= opened <= max(end, start + AFTER_FAULT_S) for start, end in shown):
        return "normal"
    failed = event["kind"] == "breaker_failure" or parameters.get("disabled")
    return "protection_failure" if failed and age > UNCLEARED_S else FAULT + str(fault["kind"])


def _at_end(what: str, named: set[str], view: View) -> str:
    near, far = view.near in named, view.far in named
    if near and far and what == SUSPICIOUS:
        return what + "both"
    return what + "near" if near else what + "far" if far else "elsewhere"


def _last(event: Mapping[str, Any]) -> float:
    """Seconds until which a window that opens shows the event."""
    last = max(event["end_ms"] / 1000 - LATE_S, event["start_ms"] / 1000 + SHORTEST_S)
    return float(last + RINGING_S if event["kind"] == "power_swing" else last)
