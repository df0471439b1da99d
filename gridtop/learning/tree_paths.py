"""Leads rows down the trees of a forest, all trees of many rows one level at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Float32s = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Nodes = npt.NDArray[np.intp]

STEPS_AT_A_TIME = 1 << 14
"""Rows times trees: what a level touches then stays in the processor's cache."""


class TreePaths:
    """The nodes of t trees once more, in the order that is quickest to walk; from the arrays of `Trees`.

    All roots come first, then all nodes one level down, and so on; so the two children of a node lie side by
    side, and "more" is one further than "at most". A leaf leads to itself, and a row that has arrived stays.
    """

    def __init__(
        self,
        roots: Int32s,
        feature: Int32s,
        threshold: Float32s,
        left: Int32s,
        right: Int32s,
        value: Float32s,
    ) -> None:
        levels: list[Nodes] = []
        level = roots.astype(np.intp)
        while len(level):
            levels.append(level)
            inner = level[left[level] >= 0]
            level = np.column_stack([left[inner], right[inner]]).astype(np.intp).ravel()
        order = np.concatenate(levels)
        place = np.empty(len(feature), np.intp)
        place[order] = np.arange(len(order))
        leaf = left < 0
        self._steps = len(levels) - 1
        self._roots = place[roots]
        self._feature = np.where(leaf, 0, feature)[order].astype(np.intp)
        self._threshold = np.where(leaf, np.float32(np.inf), threshold)[order]
        self._left = place[np.where(leaf, np.arange(len(leaf)), left)[order]]
        self._value = value[order].astype(np.float64)

    def mean_of_leaves(self, rows: Float32s) -> Floats:
        """(n, k) the mean value, over the trees, of the leaves that rows (n, f) fall into.

        The sum goes from the first tree to the last, or pairwise where k is 1: for each row by itself, in an
        order that only the number of trees decides.
        """
        result = np.empty((len(rows), self._value.shape[1]))
        size = max(1, STEPS_AT_A_TIME // len(self._roots))
        for first in range(0, len(rows), size):
            part = rows[first : first + size]
            leaves = self._leaves(part).reshape(len(part), -1)
            result[first : first + len(part)] = self._value.take(leaves, axis=0).sum(axis=1)
        result /= len(self._roots)
        return result

    def _leaves(self, rows: Float32s) -> Nodes:
        """(n * t,) the leaf of each row in each tree, row by row."""
        count, width = rows.shape
        numbers = rows.ravel()
        row = np.repeat(np.arange(count) * width, len(self._roots))
        node = np.tile(self._roots, count)
        for _ in range(self._steps):
            at = self._feature.take(node)
            at += row
            is_more = numbers.take(at) > self._threshold.take(node)
            node = self._left.take(node)
            node += is_more
        return node
