"""Splits: nothing that belongs together is on both sides, and every frame is tested once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.evaluation.splits import by_event, by_file, by_rows, by_time, segments

inside = st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 12)), min_size=2, max_size=20).map(
    lambda runs: np.concatenate([np.full(length, what) for what, length in runs])
)


def each_once(folds: list, frames: int) -> bool:
    return sorted(np.concatenate([fold.test for fold in folds]).tolist()) == list(range(frames))


def test_stretches_change_where_the_event_does() -> None:
    assert segments(np.array([-1, -1, 4, 4, -1, 5, 5])).tolist() == [0, 0, 1, 1, 2, 3, 3]
    assert not len(segments(np.empty(0, dtype=np.int64)))


@given(inside, st.integers(2, 6))
def test_by_event_no_group_is_on_both_sides_and_every_frame_is_each_once(
    what: np.ndarray, folds: int
) -> None:
    group, truth = segments(what), what >= 0
    parts = by_event(group, truth, folds)
    assert each_once(parts, len(what))
    for part in parts:
        assert not set(group[part.train].tolist()) & set(group[part.test].tolist())
        assert len(part.train) + len(part.test) == len(what)
    again = by_event(group, truth, folds)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(parts, again, strict=True))


def test_events_are_spread_over_the_folds() -> None:
    what = np.concatenate([np.full(10, x) for x in (-1, 0, -1, 1, -1, 2, -1, 3, -1, 4)])
    parts = by_event(segments(what), what >= 0)
    assert [int(np.count_nonzero(what[part.test] >= 0)) for part in parts] == [10] * 5


@given(st.lists(st.integers(0, 3), min_size=2, max_size=50).filter(lambda files: len(set(files)) > 1))
def test_by_file_leaves_one_file_out_at_a_time(files: list[int]) -> None:
    file = np.array(files)
    parts = by_file(file, ("a", "b", "c", "d"))
    assert each_once(parts, len(file))
    for part in parts:
        (number,) = set(file[part.test].tolist())
        assert part.name == "abcd"[number]
        assert number not in file[part.train]


def test_one_file_cannot_be_split_by_file() -> None:
    with pytest.raises(ValueError, match="two recordings"):
        by_file(np.zeros(5, dtype=np.int64))


@given(inside, st.floats(0.1, 0.9), st.floats(0, 5))
def test_by_time_tests_only_what_comes_later_by_the_gap(what: np.ndarray, share: float, gap: float) -> None:
    group, time = segments(what), np.arange(len(what), dtype=np.float64)
    try:
        (part,) = by_time(time, group, share, gap)
    except ValueError:
        return
    assert time[part.train].max() <= time[part.test].min() - gap
    assert not set(group[part.train].tolist()) & set(group[part.test].tolist())
    assert part.test.tolist() == list(range(int(part.test[0]), len(what)))


def test_by_time_says_why_it_cannot_be() -> None:
    with pytest.raises(ValueError, match="overlap in time"):
        by_time(np.array([0.0, 1.0, 0.5]), np.array([0, 1, 2]))
    with pytest.raises(ValueError, match="nothing to split"):
        by_time(np.arange(5.0), np.zeros(5, dtype=np.int64))
    with pytest.raises(ValueError, match="nothing comes 10 s before"):
        by_time(np.arange(5.0), np.array([0, 0, 1, 1, 1]))


@given(st.integers(2, 200))
def test_rows_are_dealt_out_the_same_way_each_time(n: int) -> None:
    parts = by_rows(n)
    assert each_once(parts, n)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(parts, by_rows(n), strict=True))
