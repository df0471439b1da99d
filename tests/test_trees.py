"""The trees of a forest as arrays: files, validation, and what each feature adds to a score."""

from __future__ import annotations

import contextlib
import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.errors import GridtopError
from gridtop.learning.trees import Trees, shares

STUMP: dict[str, Any] = {
    "features": 2,
    "roots": [0],
    "feature": [1, -1, -1],
    "threshold": [0.5, 0.0, 0.0],
    "left": [1, -1, -1],
    "right": [2, -1, -1],
    "value": [[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]],
}


def trees(**changes: Any) -> Trees:
    """One tree with one split on feature 1, but for the changes."""
    given = {**STUMP, **changes}
    types = {"threshold": np.float32, "value": np.float32}
    arrays: dict[str, Any] = {
        name: np.array(numbers, types.get(name, np.int32))
        for name, numbers in given.items()
        if name != "features"
    }
    return Trees(features=given["features"], **arrays)


def grown(seed: int, count: int, features: int, outputs: int, depth: int) -> Trees:
    """Random trees of random shape; children are numbered after their parents."""
    rng = np.random.default_rng(seed)
    roots: list[int] = []
    feature: list[int] = []
    threshold: list[float] = []
    left: list[int] = []
    right: list[int] = []
    for _ in range(count):
        roots.append(len(feature))
        waiting = [(-1, False, 0)]
        while waiting:
            parent, is_left, level = waiting.pop(0)
            here = len(feature)
            if parent >= 0:
                (left if is_left else right)[parent] = here
            split = level < depth and rng.random() < 0.8
            feature.append(int(rng.integers(features)) if split else -1)
            threshold.append(rng.normal() if split else 0.0)
            left.append(-1)
            right.append(-1)
            if split:
                waiting += [(here, True, level + 1), (here, False, level + 1)]
    value = rng.normal(size=(len(feature), outputs))
    return trees(
        features=features,
        roots=roots,
        feature=feature,
        threshold=threshold,
        left=left,
        right=right,
        value=value,
    )


def test_a_row_exactly_at_the_threshold_goes_left_and_the_next_float32_goes_right() -> None:
    above = np.nextafter(np.float32(0.5), np.float32(1.0))
    assert trees().predict([[9.0, 0.5], [9.0, above]]).tolist() == [[1.0, 0.0], [0.25, 0.75]]


def test_the_feature_of_the_split_gets_the_change_of_the_value() -> None:
    assert trees().contributions([9.0, 2.0], 1).tolist() == [0.0, 0.25]
    assert trees().contributions([9.0, 0.0], 1).tolist() == [0.0, -0.5]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 5), st.integers(1, 3), st.integers(0, 7))
def test_contributions_add_up_to_the_prediction_minus_the_bias(
    seed: int, count: int, features: int, outputs: int, depth: int
) -> None:
    forest = grown(seed, count, features, outputs, depth)
    x = np.random.default_rng(seed + 1).normal(size=(4, features))
    gain = forest.predict(x) - forest.bias()
    for row in range(len(x)):
        for output in range(outputs):
            parts = forest.contributions(x[row], output)
            assert parts.shape == (features,)
            assert parts.sum() == pytest.approx(gain[row, output], abs=1e-9)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(0, 6))
def test_a_file_gives_back_the_same_trees_and_the_same_bytes(seed: int, count: int, depth: int) -> None:
    forest = grown(seed, count, 3, 2, depth)
    stored = forest.to_bytes()
    again = Trees.from_bytes(stored)
    for name in STUMP:
        assert np.array_equal(getattr(again, name), getattr(forest, name)), name
    assert again.to_bytes() == stored


def test_a_large_forest_keeps_its_node_numbers() -> None:
    wide = grown(5, 300, 3, 1, 9)
    assert len(wide.feature) > 40_000
    x = np.random.default_rng(6).normal(size=(50, 3))
    assert np.array_equal(Trees.from_bytes(wide.to_bytes()).predict(x), wide.predict(x))


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 40),
    outputs=st.integers(1, 5),
    depth=st.integers(0, 7),
    cuts=st.lists(st.integers(1, 1199), max_size=5),
)
@settings(max_examples=30, deadline=None)
def test_a_prediction_is_the_mean_of_the_leaves_however_the_rows_are_cut(
    seed: int, count: int, outputs: int, depth: int, cuts: list[int]
) -> None:
    forest = grown(seed, count, 3, outputs, depth)
    x = np.random.default_rng(seed).normal(size=(1200, 3)).astype(np.float32)
    whole = forest.predict(x)
    bounds = [0, *sorted(set(cuts)), len(x)]
    pieces = [forest.predict(x[a:b]) for a, b in pairwise(bounds)]
    assert np.array_equal(np.concatenate(pieces), whole)
    assert np.array_equal(forest.predict(x[7][np.newaxis]), whole[7:8])

    leaves = []
    for node in forest.roots.tolist():
        while forest.feature[node] >= 0:
            is_less = x[7, forest.feature[node]] <= forest.threshold[node]
            node = int((forest.left if is_less else forest.right)[node])
        leaves.append(forest.value[node].astype(np.float64))
    assert whole[7] == pytest.approx(np.mean(leaves, axis=0), rel=1e-12, abs=1e-15)


def test_a_non_finite_row_has_no_prediction_and_no_contributions() -> None:
    x = np.array([[np.nan, 0.0], [0.0, np.inf], [0.0, 1e300], [0.0, 1.0]])
    assert np.isnan(trees().predict(x)).all(axis=1).tolist() == [True, True, True, False]
    for row in x[:3]:
        assert not trees().contributions(row, 1).any()


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(GridtopError, match="2 features"):
        trees().predict(np.zeros((3, 5)))
    with pytest.raises(GridtopError, match="2 features"):
        trees().contributions(np.zeros(3), 0)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"feature": [2, -1, -1]}, "outside 0 to 1"),
        ({"feature": [-2, -1, -1]}, "outside 0 to 1"),
        ({"left": [0, -1, -1]}, "does not come after its parent"),
        ({"left": [9, -1, -1]}, "does not come after its parent"),
        ({"left": [-1, -1, -1]}, "does not come after its parent"),
        ({"left": [2, -1, -1]}, "no parent, or two"),
        ({"left": [1, 2, -1]}, "a leaf has children"),
        ({"roots": [0, 1]}, "belongs to another tree"),
        ({"roots": [1]}, "roots"),
        ({"roots": [0, 7]}, "roots"),
        ({"roots": []}, "roots"),
        ({"threshold": [np.nan, 0, 0]}, "not a finite number"),
        ({"value": [[0.5], [np.inf], [0.0]]}, "not a finite number"),
        ({"value": [[0.5], [0.0]]}, "differ in length"),
        ({"value": [0.5, 0.5, 0.5]}, "one column per output"),
        ({"threshold": [0.5]}, "differ in length"),
        ({"features": 0}, "no features"),
    ],
)
def test_arrays_that_are_no_forest_are_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(GridtopError, match=problem):
        trees(**changes)


def stored(**changes: Any) -> bytes:
    """The file of the stump, but for the changes, as somebody else would write it."""
    file = io.BytesIO()
    members = {
        "features": np.array(2, np.int32),
        "roots": np.array([0], np.int32),
        "feature": np.array([1, -1, -1], np.int16),
        "threshold": np.zeros(3, np.float32),
        "left": np.array([1, -1, -1], np.int16),
        "right": np.array([2, -1, -1], np.int16),
        "value": np.zeros((3, 1), np.float32),
    }
    np.savez(file, **{name: array for name, array in {**members, **changes}.items() if array is not None})
    return file.getvalue()


def test_a_damaged_or_foreign_file_is_refused_in_words() -> None:
    assert Trees.from_bytes(stored()).outputs == 1
    whole = trees().to_bytes()
    objects = np.array([{"a": 1}, None, None], dtype=object)
    for bad in (
        b"",
        b"PK\x03\x04 nothing",
        whole[: len(whole) // 2],
        stored(value=objects),
        stored(value=None),
        stored(value=np.zeros((3, 1))),
        stored(left=np.array([2**40, -1, -1])),
        stored(feature=np.array([0.5, -1.0, -1.0])),
        stored(features=np.array([1, 2, 3])),
    ):
        with pytest.raises(GridtopError, match="cannot be read|not the trees"):
            Trees.from_bytes(bad)


@pytest.mark.parametrize("at", range(20, 1000, 49))
def test_a_flipped_byte_never_gives_a_traceback(at: int) -> None:
    whole = bytearray(grown(1, 3, 2, 2, 4).to_bytes())
    whole[at % len(whole)] ^= 0x5A
    with contextlib.suppress(GridtopError):
        assert Trees.from_bytes(bytes(whole)).outputs == 2


def test_shares_are_the_positive_part_and_add_up_to_one() -> None:
    assert shares([3.0, -5.0, 1.0, 0.0]).tolist() == [0.75, 0.0, 0.25, 0.0]
    assert shares([-1.0, 0.0, np.nan]).tolist() == [0.0, 0.0, 0.0]
    assert shares([1e-310, 1e-310]).tolist() == [0.5, 0.5]
