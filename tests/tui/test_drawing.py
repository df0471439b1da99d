"""Envelopes as text, without an app."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.tui.braille import ascii_art, braille
from gridtop.tui.view.axis import Axis

ANY = st.floats(allow_nan=True, allow_infinity=True)
DRAWINGS = pytest.mark.parametrize("draw", [braille, ascii_art])


def envelope(*values: float) -> tuple[np.ndarray, np.ndarray]:
    return np.array(values), np.array(values)


def test_a_rising_line_is_joined_from_dot_to_dot() -> None:
    assert braille(*envelope(0, 1, 2, 3), 1, 0, 3) == ["⡠⠊"]


def test_a_spike_of_one_bucket_reaches_the_top_row() -> None:
    low = np.zeros(10)
    high = low.copy()
    high[5] = 1.0
    assert braille(low, high, 3, 0, 1) == ["  ⢸  ", "  ⢸  ", "⣀⣀⣸⣀⣀"]


def test_a_gap_is_an_empty_column_with_a_dot_at_the_bottom() -> None:
    assert braille(*envelope(1, 1, math.nan, math.nan, 1, 1), 2, 0, 2) == ["⣀ ⣀", " . "]


def test_infinity_is_a_gap() -> None:
    assert braille(*envelope(1, 1, math.inf, -math.inf, 1, 1), 2, 0, 2) == ["⣀ ⣀", " . "]


def test_half_a_cell_of_gap_is_marked_too() -> None:
    assert braille(*envelope(2, 2, math.nan, 2, 2, 2), 2, 0, 2) == ["⠉⠈⠉", " . "]


def test_a_window_that_is_not_full_yet_is_no_gap() -> None:
    assert braille(*envelope(math.nan, math.nan, 1, 1), 1, 0, 2) == [" ⠒"]


def test_nothing_at_all_is_one_long_gap() -> None:
    assert braille(*envelope(*[math.nan] * 6), 2, 0, 1) == ["   ", "..."]


def test_ascii_tells_three_heights_apart_in_a_row() -> None:
    assert ascii_art(*envelope(0, 0, 1, 1, 2, 2), 1, 0, 2) == ["_-'"]


def test_ascii_draws_the_same_spike_and_gap() -> None:
    low = np.array([0, 0, 0, 0, math.nan, math.nan, 0, 0])
    high = np.array([0, 0, 0, 9, math.nan, math.nan, 0, 0])
    assert ascii_art(low, high, 2, 0, 9) == [" |  ", "_|._"]


@DRAWINGS
@given(st.lists(st.tuples(ANY, ANY), min_size=1, max_size=12), ANY, ANY, st.integers(1, 5))
def test_any_numbers_give_rows_of_the_right_size(draw, pairs, bottom, top, rows) -> None:  # type: ignore[no-untyped-def]
    low, high = np.array([*pairs, *pairs]).T
    axis = Axis().fit(bottom, top, 1.0)
    text = draw(low, high, rows, *axis)
    assert [len(line) for line in text] == [len(pairs)] * rows


@DRAWINGS
@given(st.integers(0, 39), st.floats(1e-3, 1e9), st.floats(-1e9, 1e9), st.sampled_from([-1.0, 1.0]))
def test_a_spike_shows_wherever_it_is(draw, at, size, base, sign) -> None:  # type: ignore[no-untyped-def]
    low = np.full(40, base)
    high = low.copy()
    (high if sign > 0 else low)[at] = base + sign * max(size, abs(base) * 1e-3)
    axis = Axis().fit(low.min(), high.max(), 1e-9)
    with_spike = draw(low, high, 3, *axis)
    without = draw(np.full(40, base), np.full(40, base), 3, *axis)
    edge = 0 if sign > 0 else -1
    assert with_spike[edge][at // 2] != " "
    assert with_spike != without


def test_a_constant_lies_in_the_middle() -> None:
    bottom, top = Axis().fit(60.0, 60.0, 0.05)
    assert (bottom + top) / 2 == pytest.approx(60.0)
    assert top - bottom == pytest.approx(0.05)
    assert braille(*envelope(*[60.0] * 4), 3, bottom, top) == ["  ", "⠒⠒", "  "]


def test_noise_shorter_than_the_least_span_does_not_fill_the_height() -> None:
    bottom, top = Axis().fit(59.9995, 60.0005, 0.05)
    assert top - bottom == pytest.approx(0.05)


def test_the_axis_stands_still_while_the_data_stays_inside() -> None:
    axis = Axis()
    before = axis.fit(0, 100, 1)
    assert axis.fit(10, 95, 1) == before
    assert axis.fit(0, 100, 1) == before


def test_the_axis_widens_for_data_that_leaves_it() -> None:
    axis = Axis()
    axis.fit(0, 100, 1)
    bottom, top = axis.fit(0, 200, 1)
    assert bottom <= 0
    assert top >= 200


def test_the_axis_closes_in_when_the_data_calms_down() -> None:
    axis = Axis()
    axis.fit(0, 1000, 1)
    bottom, top = axis.fit(490, 510, 1)
    assert top - bottom < 50


@given(st.lists(st.tuples(ANY, ANY), max_size=10), st.floats(1e-9, 1e9))
def test_the_axis_always_covers_finite_data(ranges, least) -> None:  # type: ignore[no-untyped-def]
    axis = Axis()
    for pair in ranges:
        low, high = sorted(pair) if not any(map(math.isnan, pair)) else pair
        bottom, top = axis.fit(low, high, least)
        assert math.isfinite(bottom)
        assert math.isfinite(top)
        if math.isfinite(low) and math.isfinite(high):
            assert bottom <= low
            assert high <= top
