"""STAT words and time quality: in words, and as flags."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gridtop.api import Quality
from gridtop.synchrophasor.status import (
    decode_status,
    describe_status,
    describe_time_quality,
    describe_trouble,
    status_flags,
    time_flags,
)


def flags_of(word: int) -> tuple[int, int]:
    values, angles = status_flags(np.array([[word]], np.uint16))
    return int(values[0, 0]), int(angles[0, 0])


def test_all_well_needs_no_words_and_no_flags() -> None:
    assert describe_status(0) == ()
    assert describe_time_quality(0) == ()
    assert flags_of(0) == (0, 0)


def test_a_clock_that_was_never_synchronised_is_named_and_flags_angles_only() -> None:
    assert describe_status(0x21F0) == (
        "clock not synchronised, for more than 1000 s",
        "time off by more than 10 ms, or nobody knows",
    )
    assert flags_of(0x21F0) == (0, Quality.UNSYNCHRONISED)


def test_a_trigger_is_no_defect() -> None:
    assert describe_status(0x0802) == ("trigger: magnitude high",)
    assert flags_of(0x0800) == (0, 0)


def test_errors_forbid_the_use_of_values() -> None:
    assert flags_of(0x8000)[0] == flags_of(0xC000)[0] == Quality.BAD
    assert flags_of(0x4000)[0] == Quality.SUSPECT
    assert flags_of(0x1000)[0] == Quality.LATE
    assert describe_status(0x8000) == ("test mode or absent data filled in: not to be used",)


@given(st.integers(0, 0xFFFF))
def test_every_word_can_be_said_and_no_bit_but_those_of_defects_flags(word: int) -> None:
    status = decode_status(word)
    assert bool(describe_status(word)) == bool(
        status.health != "good"
        or status.unsynchronised
        or status.time_quality
        or status.by_arrival
        or status.change
        or status.trigger
        or status.modified
    )
    assert flags_of(word) == flags_of(word & 0xF1C0)


def test_time_quality_is_named_and_flags_what_may_be_more_than_a_millisecond_off() -> None:
    assert describe_time_quality(0x0F) == ("clock failed: the time cannot be relied on",)
    assert describe_time_quality(0x03) == ("clock not locked, time within 100 ns",)
    assert describe_time_quality(0x50) == ("a leap second will be deleted",)
    codes = np.arange(16, dtype=np.uint8)
    assert np.flatnonzero(time_flags(codes)).tolist() == list(range(8, 16))


@given(st.integers(0, 255))
def test_every_time_quality_can_be_said(byte: int) -> None:
    assert all(isinstance(text, str) and text for text in describe_time_quality(byte))


def test_trouble_leaves_out_what_is_nothing_wrong() -> None:
    assert describe_trouble(0x0F43, 0x70 | 5) == ()
    assert describe_trouble(0x21F0, 0x0F) == describe_status(0x21F0)
    assert describe_trouble(0x0030) == describe_trouble(0x0140) == ()
    assert describe_trouble(0x01C0) == ("time off by more than 10 ms, or nobody knows",)
    assert describe_trouble(0, 0x0F) == ("clock failed: the time cannot be relied on",)
    assert describe_trouble(0x5000) == (
        "PMU error, nothing is known about the data",
        "sorted by arrival, not by time",
    )
