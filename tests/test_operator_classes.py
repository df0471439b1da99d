"""What an operator would call an event, seen from one line."""

from __future__ import annotations

from typing import Any

import pytest

from gridtop.learning.event_scoring import in_words
from gridtop.site import Site
from gridtop.training.operator_classes import CLASSES, OUTPUTS, View, class_of, event_at

BUSES = {"B1": ("R1",), "B2": ("R2", "R3"), "B3": ("R4",)}
SITE = Site.model_validate(
    {
        "nominal": {"voltage_ll": "230 kV", "frequency": "60 Hz", "current": "400 A"},
        "buses": {name: {"terminals": list(ends)} for name, ends in BUSES.items()},
        "lines": {"L1": {"ends": ["R1", "R2"]}, "L2": {"ends": ["R3", "R4"]}},
    }
)
L1, L1_BACK, L2 = View("L1", "R1", "R2"), View("L1", "R2", "R1"), View("L2", "R3", "R4")


def event(kind: str, place: str, start: float = 10.0, end: float = 12.0, **parameters: Any) -> dict[str, Any]:
    """An event of an event list; its fault, if any, is cleared after 0.1 s."""
    first, last = round(start * 1000), round(end * 1000)
    phases = [{"phase": "fault", "start_ms": first, "end_ms": first + 100}] if "fault" in parameters else []
    return {
        "kind": kind,
        "place": place,
        "start_ms": first,
        "end_ms": last,
        "phases": phases,
        "parameters": parameters,
    }


def named(one: dict[str, Any], view: View, opened: float = 10.0, age: float = 0.3) -> str:
    return class_of(one, view, SITE, opened, age)


FAULT = {"line": "L1", "kind": "AG", "distance": 0.4, "resistance": 10.0}


@pytest.mark.parametrize(
    ("one", "on_l1", "on_l1_back", "on_l2"),
    [
        (event("short_circuit", "L1", fault=FAULT), "fault_AG", "fault_AG", "elsewhere"),
        (event("load_step", "grid"), "load_change", "load_change", "load_change"),
        (event("power_swing", "grid"), "oscillation", "oscillation", "oscillation"),
        (event("maintenance", "L1", line="L1"), "line_open", "line_open", "elsewhere"),
        (event("trip_command", "R2", relays=["R2"]), *["line_open_unexplained"] * 2, "elsewhere"),
        (event("vt_fuse", "R1 A", relay="R1"), "instrument_near", "instrument_far", "elsewhere"),
        (event("stuck_channel", "R4-PM1:V"), "elsewhere", "elsewhere", "suspicious_far"),
        (event("gps_drift", "R1", flagged=False), "suspicious_near", "suspicious_far", "elsewhere"),
        (event("gps_drift", "R1", flagged=True), "data_near", "data_far", "elsewhere"),
        (event("late_frames", "R3", relay="R3"), "elsewhere", "elsewhere", "data_near"),
        (event("missing_frames", "stream", relays=[]), "data_near", "data_near", "data_near"),
        (event("injection", "L1 R1 R2", mode="consistent"), *["suspicious_both"] * 2, "elsewhere"),
        (event("injection", "L1 R2", mode="bus"), "suspicious_far", "suspicious_near", "suspicious_near"),
        (
            event("relay_settings", "L1 R3", fault=FAULT, disabled=[], overreaching=["R3"]),
            *["fault_AG"] * 2,
            "needless_trip",
        ),
    ],
)
def test_each_line_sees_an_event_its_own_way(
    one: dict[str, Any], on_l1: str, on_l1_back: str, on_l2: str
) -> None:
    assert [named(one, view) for view in (L1, L1_BACK, L2)] == [on_l1, on_l1_back, on_l2]


@pytest.mark.parametrize("kind", ["breaker_failure", "relay_settings"])
def test_protection_has_failed_only_once_it_has_had_its_time(kind: str) -> None:
    one = event(kind, "L1 R1", fault=FAULT, disabled=["R1"], stuck="R1")
    assert named(one, L1, age=0.3) == "fault_AG"
    assert named(one, L1, age=0.7) == "protection_failure"


def test_window_of_the_return_long_after_the_fault_is_normal() -> None:
    one = event("short_circuit", "L1", end=40.0, fault=FAULT)
    assert named(one, L1, opened=12.0) == "fault_AG"
    assert named(one, L1, opened=30.0) == "normal"


def test_latest_event_going_on_counts_and_its_last_moments_do_not() -> None:
    events = [event("injection", "R1", 10.0, 30.0), event("vt_fuse", "R4 A", 20.0, 25.0)]
    assert [event_at(events, t) for t in (9.9, 9.96, 19.0, 20.0, 24.95, 29.95)] == [None, 0, 0, 1, 0, None]


def test_sudden_event_lasts_long_enough_to_open_a_window() -> None:
    assert event_at([event("load_step", "grid", 10.0, 10.0)], 10.3) == 0
    assert event_at([event("power_swing", "grid", 10.0, 10.2)], 14.0) == 0


def test_no_event_is_normal() -> None:
    assert class_of(None, L1, SITE, 10.0, 0.3) == "normal"


def test_outputs_speak_of_known_classes_and_all_have_words() -> None:
    assert {name for output in OUTPUTS for name in output.classes} < set(CLASSES)
    assert in_words("fault_AG") == "fault, phase A to ground"
    assert in_words("suspicious_near") == "suspicious data"
    assert in_words("line_open_unexplained") == "line open, unexplained"
    assert not [name for name in CLASSES if "_" in in_words(name)]
