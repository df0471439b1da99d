"""The trees of a forest as arrays: what they predict, and what each feature adds to the score of one row."""

from __future__ import annotations

import io
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gridtop.errors import GridtopError
from gridtop.learning.tree_paths import TreePaths

LEAF = -1
LARGEST_UNPACKED = 1 << 29
"""Bytes: a file that unpacks to more is no forest of ours."""
_UNREADABLE = (
    ValueError,
    KeyError,
    OSError,
    EOFError,
    MemoryError,
    OverflowError,
    TypeError,
    RuntimeError,
    zipfile.BadZipFile,
    zlib.error,
)

Int32s = npt.NDArray[np.int32]
Float32s = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trees:
    """All trees of a forest in one numbering of m nodes; a node's children come after it, in the same tree.

    features   number of columns a row has
    roots      (t,)   the first node of each tree, ascending from 0
    feature    (m,)   the column that is compared, -1 at a leaf
    threshold  (m,)   goes left when the column, as float32, is at most this (0 at a leaf)
    left       (m,)   the node for "at most", -1 at a leaf
    right      (m,)   the node for "more", -1 at a leaf
    value      (m, k) what the training rows in this node say of each of the k outputs: shares of the classes,
                      or minus the expected path length in units of the average one (isolation forest).
                      Bigger is always more of that output.

    Raises GridtopError when the arrays do not describe a forest.
    """

    features: int
    roots: Int32s
    feature: Int32s
    threshold: Float32s
    left: Int32s
    right: Int32s
    value: Float32s

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise GridtopError(f"these are not the trees of a forest: {problem}")

    @property
    def outputs(self) -> int:
        """The number of outputs k."""
        return int(self.value.shape[1])

    def bias(self) -> Floats:
        """(k,) the prediction before any feature is looked at: the mean value of the roots."""
        return np.asarray(self.value[self.roots].astype(np.float64).mean(axis=0))

    def predict(self, x: npt.ArrayLike) -> Floats:
        """(n, k) the mean value of the leaves that each row of x (n, f) falls into; NaN where not finite.

        The rows around a row do not change what it gets, to the bit.
        """
        rows = _as_float32(x)
        if rows.ndim != 2 or rows.shape[1] != self.features:
            raise GridtopError(f"the forest has {self.features} features, the rows have shape {rows.shape}")
        result = self._paths.mean_of_leaves(np.ascontiguousarray(rows))
        result[~np.isfinite(rows).all(axis=1)] = np.nan
        return result

    def contributions(self, x: npt.ArrayLike, output: int) -> Floats:
        """(f,) how much each feature of one row x (f,) raised (or, below 0, lowered) one output.

        Along the path of the row through every tree, the change of the node's value is credited to the
        feature that was compared (A. Saabas, "Interpreting random forests", 2014). The sum is the prediction
        minus the bias. All 0 when the row has a non-finite feature.
        """
        row = _as_float32(x)
        if row.shape != (self.features,):
            raise GridtopError(f"the forest has {self.features} features, the row has shape {row.shape}")
        if not np.isfinite(row).all():
            return np.zeros(self.features)
        value = self.value[:, output]
        node = self.roots[self.feature[self.roots] != LEAF]
        credited: list[Int32s] = []
        changes: list[Floats] = []
        while len(node):
            feature = self.feature[node]
            child = np.where(row[feature] <= self.threshold[node], self.left[node], self.right[node])
            credited.append(feature)
            changes.append(value[child].astype(np.float64) - value[node])
            node = child[self.feature[child] != LEAF]
        if not credited:
            return np.zeros(self.features)
        total = np.bincount(np.concatenate(credited), np.concatenate(changes), self.features)
        return np.asarray(total / len(self.roots))

    @cached_property
    def _paths(self) -> TreePaths:
        return TreePaths(self.roots, self.feature, self.threshold, self.left, self.right, self.value)

    def to_bytes(self) -> bytes:
        """A .npz file of the arrays; the same trees give the same bytes."""
        own = np.arange(len(self.feature), dtype=np.int32)
        inner = self.feature != LEAF
        arrays = {
            "features": np.array(self.features, np.int32),
            "roots": self.roots,
            "feature": _narrow(self.feature),
            "threshold": self.threshold,
            # Children as steps from their parent: small numbers that repeat, so they pack well.
            "left": _narrow(np.where(inner, self.left - own, LEAF)),
            "right": _narrow(np.where(inner, self.right - own, LEAF)),
            "value": self.value,
        }
        stored = io.BytesIO()
        with zipfile.ZipFile(stored, "w") as archive:
            for name, array in arrays.items():
                member = io.BytesIO()
                np.lib.format.write_array(member, array, allow_pickle=False)
                entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
                archive.writestr(entry, member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
        return stored.getvalue()

    @classmethod
    def from_bytes(cls, stored: bytes) -> Trees:
        """Read what `to_bytes` wrote; raises GridtopError when it is damaged or something else."""
        try:
            with zipfile.ZipFile(io.BytesIO(stored)) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > LARGEST_UNPACKED:
                    raise ValueError("it unpacks to more than 512 MB")
            with np.load(io.BytesIO(stored), allow_pickle=False) as arrays:
                feature = _integers(arrays["feature"])
                own = np.arange(len(feature), dtype=np.int64)
                inner = feature != LEAF
                return cls(
                    features=int(arrays["features"]),
                    roots=_integers(arrays["roots"]),
                    feature=feature,
                    threshold=_floats(arrays["threshold"]),
                    left=_integers(np.where(inner, arrays["left"] + own, LEAF)),
                    right=_integers(np.where(inner, arrays["right"] + own, LEAF)),
                    value=_floats(arrays["value"]),
                )
        except _UNREADABLE as error:
            reason = str(error) or type(error).__name__
            raise GridtopError(f"the file of the trees cannot be read: {reason}") from error


def shares(contributions: npt.ArrayLike) -> Floats:
    """The part of each contribution in the sum of the positive ones: 0 or more, adding up to 1, or all 0."""
    positive = np.maximum(np.nan_to_num(np.asarray(contributions, np.float64), posinf=0.0, neginf=0.0), 0.0)
    largest = positive.max(initial=0.0)
    if largest == 0:
        return positive
    positive /= largest
    return np.asarray(positive / positive.sum())


def _as_float32(x: npt.ArrayLike) -> Float32s:
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(x).astype(np.float32, copy=False)


def _narrow(whole: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.signedinteger]:
    return (
        whole.astype(np.int16) if whole.max(initial=0) <= np.iinfo(np.int16).max else whole.astype(np.int32)
    )


def _integers(array: npt.NDArray[np.generic]) -> Int32s:
    if array.ndim != 1 or array.dtype.kind != "i":
        raise ValueError("an array of node numbers is not made of whole numbers in a row")
    bounds = np.iinfo(np.int32)
    if len(array) and (array.min() < bounds.min or array.max() > bounds.max):
        raise ValueError("a node number is too large")
    return array.astype(np.int32)


def _floats(array: npt.NDArray[np.generic]) -> Float32s:
    if array.dtype != np.float32:
        raise ValueError(f"thresholds and values must be float32, not {array.dtype}")
    return array.astype(np.float32)


def _problem(trees: Trees) -> str:
    """What is wrong with the arrays, or nothing."""
    nodes = len(trees.feature)
    per_node = (trees.feature, trees.threshold, trees.left, trees.right)
    if trees.features < 1 or nodes < 1:
        return "there are no features or no nodes"
    if any(array.shape != (nodes,) for array in per_node) or trees.value.shape[:1] != (nodes,):
        return "the arrays differ in length"
    if trees.value.ndim != 2 or trees.value.shape[1] < 1:
        return "the values do not have one column per output"
    if not np.isfinite(trees.threshold).all() or not np.isfinite(trees.value).all():
        return "a threshold or a value is not a finite number"
    roots = trees.roots
    if roots.ndim != 1 or not len(roots) or roots[0] != 0 or roots[-1] >= nodes or (np.diff(roots) < 1).any():
        return "the roots are not ascending node numbers that begin with 0"
    if trees.feature.min() < LEAF or trees.feature.max() >= trees.features:
        return f"a node compares a column outside 0 to {trees.features - 1}"
    leaf = trees.feature == LEAF
    if (trees.left[leaf] != LEAF).any() or (trees.right[leaf] != LEAF).any():
        return "a leaf has children"
    inner = np.flatnonzero(~leaf)
    tree = np.searchsorted(roots, np.arange(nodes), side="right")
    parents = np.zeros(nodes, np.int64)
    parents[roots] = 1
    for children in (trees.left[inner], trees.right[inner]):
        if (children <= inner).any() or (children >= nodes).any():
            return "a child does not come after its parent"
        if (tree[children] != tree[inner]).any():
            return "a child belongs to another tree"
        parents += np.bincount(children, minlength=nodes)
    if (parents != 1).any():
        return "a node has no parent, or two"
    return ""
