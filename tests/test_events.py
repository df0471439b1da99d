"""Events: ids that repeat, and JSON that every reader can parse."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gridtop.events import Event, event_id, iso_time

EVENT = Event(
    id="0",
    kind="alarm",
    transition="raised",
    severity="warning",
    rule="voltage",
    message="m",
    row=3,
    value=0.5,
)


def test_the_same_occurrence_has_the_same_id_and_any_difference_another() -> None:
    base = ("source", 1, "voltage/low", "R1", "raised", 7)
    variants = {
        base,
        *((*base[:i], other, *base[i + 1 :]) for i, other in enumerate(("x", 2, "x", "x", "x", 8))),
    }
    assert len({event_id(*variant) for variant in variants}) == 7  # type: ignore[arg-type]
    assert event_id(*base) == event_id(*base)  # type: ignore[arg-type]


@given(st.text(), st.floats())
def test_any_event_is_one_line_of_strict_json(text: str, value: float) -> None:
    event = Event(
        id="0", kind="alarm", transition="raised", severity="warning", rule=text, message=text, row=1,
        channel=text, value=value, limit=value,
    )  # fmt: skip
    line = event.to_json()
    read = json.loads(line)
    assert "\n" not in line
    assert read["message"] == text or not text.isprintable()
    assert read["value"] is None or read["value"] == value


def test_times_are_utc_without_needless_decimals() -> None:
    assert iso_time(np.datetime64("2026-01-01T00:00:12.500", "ns")) == "2026-01-01T00:00:12.5Z"
    assert iso_time(np.datetime64("2026-01-01", "ns")) == "2026-01-01T00:00:00Z"
    assert iso_time(None) is None
    assert iso_time(np.datetime64("NaT", "ns")) is None


def test_publishing_adds_only_number_and_wall_time() -> None:
    published = EVENT.published(5, 1.5).to_dict()
    changed = {key for key, value in EVENT.to_dict().items() if published[key] != value}
    assert changed == {"seq", "wall"}


def test_every_field_is_documented() -> None:
    documented = set(re.findall(r"`(\w+)`", (Path(__file__).parent.parent / "docs/events.md").read_text()))
    assert set(EVENT.to_dict()) <= documented
