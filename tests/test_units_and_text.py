"""Numbers with units as people write them, and foreign text made harmless."""

from __future__ import annotations

import unicodedata
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.text import LONGEST, clean
from gridtop.units import format_duration, parse_duration, parse_quantity


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("100ms", 0.1),
        ("10s", 10),
        ("1.5 h", 5400),
        ("2m", 120),
        ("2min", 120),
        ("1d", 86400),
        ("250us", 250e-6),
    ]
    + [(0, 0), ("0", 0), ("0s", 0)],
)
def test_durations_are_read(text: object, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["10", 10, 1.5, "ten seconds", "-1s", "", None, True, "10 parsecs"])
def test_what_is_no_duration_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="100ms|negative"):
        parse_duration(text)


def test_a_duration_beyond_measure_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than anyone"):
        parse_duration("1e300d")


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=400)))
def test_a_duration_survives_being_written_and_read(duration: timedelta) -> None:
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "value"), [("230 kV", 230e3), ("230000", 230e3), (230e3, 230e3), ("0.4kV", 400), ("500 mV", 0.5)]
)
def test_voltages_are_read(text: object, value: float) -> None:
    assert parse_quantity(text, "V") == pytest.approx(value)


@pytest.mark.parametrize("text", ["230 kA", "230 k", "V", "", None, True, "two", "230 xV"])
def test_other_units_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match="not a number of V"):
        parse_quantity(text, "V")


@given(st.text())
def test_no_control_or_direction_character_survives_cleaning(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= LONGEST
    for character in cleaned:
        assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        assert character not in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f"


def test_cleaning_leaves_ordinary_text_alone() -> None:
    assert clean("Überspannung [bold] 3·I₀ 😀") == "Überspannung [bold] 3·I₀ 😀"
    assert clean("a\x1b]0;title\x07b") == "a\ufffd]0;title\ufffdb"
