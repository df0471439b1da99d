"""The line of the drift detector: its interval holds what it promises, and its constants are Student's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from gridtop.plugins.detectors.drift.record import MOST, Record
from gridtop.plugins.detectors.drift.trend import (
    BLOCKS,
    STUDENT_95,
    STUDENT_9995,
    Line,
    line_through,
    means_needed,
)

Floats = npt.NDArray[np.float64]
MINUTE = 60_000_000_000


def autoregressive(number: int, memory: float, random: np.random.Generator) -> Floats:
    values = random.standard_normal(number)
    for i in range(1, number):
        values[i] = memory * values[i - 1] + np.sqrt(1 - memory**2) * values[i]
    return values


def line(values: Floats) -> Line:
    found = line_through(np.arange(len(values), dtype=np.int64) * MINUTE, values)
    assert found is not None
    return found


def test_the_quantiles_are_those_of_the_tables() -> None:
    # Fisher and Yates, Statistical Tables, 18 degrees of freedom: 1.734 and 3.922.
    assert BLOCKS - 2 == 18
    assert (round(STUDENT_95, 3), round(STUDENT_9995, 3)) == (1.734, 3.922)


def test_the_quantiles_are_those_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    assert pytest.approx(stats.t.ppf(0.95, BLOCKS - 2), rel=1e-9) == STUDENT_95
    assert pytest.approx(stats.t.ppf(0.9995, BLOCKS - 2), rel=1e-9) == STUDENT_9995


def test_an_exact_line_crosses_where_it_must() -> None:
    values = 3.0 + 0.01 * np.arange(100)
    found = line(values)
    assert found.slope * MINUTE == pytest.approx(0.01)
    assert found.now == pytest.approx(values[-1])
    crossing = found.reaches(5.0)
    assert crossing is not None
    assert np.array(crossing) / MINUTE == pytest.approx(101.0)


def test_fewer_than_twenty_means_have_no_line() -> None:
    assert line_through(np.arange(19, dtype=np.int64), np.arange(19.0)) is None


def test_the_past_and_what_is_too_far_are_not_reached() -> None:
    values = 3.0 + 0.01 * np.arange(100)
    assert line(values).reaches(3.5) is None
    assert line(values).reaches(3.99 + 0.99 * 49) is not None
    assert line(values).reaches(3.99 + 0.99 * 51) is None


def test_the_interval_of_ninety_percent_covers_the_truth_about_as_often() -> None:
    random = np.random.default_rng(1)
    at, covered, runs = np.arange(600.0), 0, 300
    for _ in range(runs):
        crossing = line(100 - 0.01 * at + autoregressive(600, 0.8, random)).reaches(90.0)
        assert crossing is not None
        covered += crossing.earliest <= 401 * MINUTE <= crossing.latest
    assert 0.83 <= covered / runs <= 0.95


def test_noise_without_a_slope_is_hardly_ever_given_a_date() -> None:
    random = np.random.default_rng(2)
    dates = sum(line(autoregressive(600, 0.8, random)).reaches(5.0) is not None for _ in range(400))
    assert dates <= 4


def test_one_wild_mean_makes_no_slope() -> None:
    values = np.zeros(20)
    values[-1] = 1e6
    assert not line(values).significant


def test_means_that_hang_together_must_be_more() -> None:
    assert means_needed(0.0) == 20
    assert means_needed(0.5) == 180
    assert means_needed(0.9) > means_needed(0.8) > means_needed(0.5)


class TestRecord:
    def test_it_gives_back_what_it_was_given(self) -> None:
        record = Record(2)
        for i in range(200):
            record.add(i, np.array([i, np.nan if i % 2 else -i], dtype=np.float64))
        positions, values = record.since(150, 0)
        assert positions.tolist() == values.tolist() == list(range(150, 200))
        assert record.since(150, 1)[0].tolist() == list(range(150, 200, 2))

    def test_it_stays_bounded_and_keeps_the_shape_of_the_past(self) -> None:
        record = Record(1)
        number = 5 * MOST // 2
        for i in range(number):
            record.add(10 * i, np.array([float(i)]))
            assert len(record) <= MOST
        positions, values = record.since(0, 0)
        assert MOST // 2 <= len(positions) <= MOST
        # Four neighbours to an entry: the mean of their values stands at the mean of their positions.
        assert values == pytest.approx(positions / 10, abs=0.11)
        assert np.diff(values) == pytest.approx(4.0)
        assert (values[0], values[-1]) == (1.5, number - 2.5)
