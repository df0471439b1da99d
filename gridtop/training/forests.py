"""Fits forests with scikit-learn and exports them: an ONNX graph to run, the trees as arrays to explain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gridtop.errors import GridtopError
from gridtop.learning.inference import Session
from gridtop.learning.runtimes import runtimes_at_hand
from gridtop.learning.trees import LEAF, Trees
from gridtop.training.onnx_graphs import boosting_graph, float32_down, isolation_graph, probabilities_graph
from gridtop.training.parity import Parity, check, threshold_rows, worst

Floats = npt.NDArray[np.float64]
ForestKind = Literal["random_forest", "extra_trees", "gradient_boosting", "isolation_forest"]

ROWS_AT_A_TIME = 65536
THRESHOLD_ROWS = 6000
LEAVES_OF_TWO_CLASSES, LEAVES_OF_MORE = 256, 128
"""Leaves per tree that keep 100 trees near 2 MB even where the classes cannot be told apart."""


@dataclass
class FittedForest:
    """A forest that was fitted, and its exported form.

    `classes` names the outputs of a classifier in order, and is empty for an isolation forest. `parities` is
    filled by `verify`.
    """

    kind: ForestKind
    classes: tuple[str, ...]
    onnx: bytes
    trees: Trees
    parities: list[Parity] = field(default_factory=list)
    _answers: Callable[[npt.NDArray[np.float32]], Floats] = field(repr=False, kw_only=True)

    def predict(self, x: npt.ArrayLike) -> Floats:
        """(n, k) what the export says of rows (n, f): probabilities, or (n, 1) strangeness, 0 to 1."""
        return self._session.run(x)

    def reference(self, x: npt.ArrayLike) -> Floats:
        """(n, k) what scikit-learn says of the same rows, cast to float32 as the exported graph has them."""
        rows = np.asarray(x).astype(np.float32, copy=False)
        parts = [
            self._answers(rows[start : start + ROWS_AT_A_TIME])
            for start in range(0, len(rows), ROWS_AT_A_TIME)
        ]
        return np.concatenate(parts) if parts else np.empty((0, len(self.classes) or 1))

    def verify(
        self,
        x_train: npt.ArrayLike,
        x_held_out: npt.ArrayLike,
        *,
        threshold: float | None = None,
        seed: int = 0,
    ) -> list[Parity]:
        """Compare the export with scikit-learn on training rows, held-out rows and rows at thresholds.

        All rows are cast to float32 for both, and the largest difference of all runtimes at hand is given.
        `threshold` is the strangeness that an alarm would use, if known. The result is kept in `parities`.
        Raises ParityError when the export must not be used.
        """
        at_thresholds = threshold_rows(self.trees, np.random.default_rng(seed), THRESHOLD_ROWS)
        sets = {"training rows": x_train, "held-out rows": x_held_out, "rows at thresholds": at_thresholds}
        sessions = [Session(self.onnx, trees=self.trees, runtime=name) for name in runtimes_at_hand()]
        self.parities = []
        for name, rows in sets.items():
            reference = self.reference(rows)
            found = [check(name, reference, session.run(rows), threshold) for session in sessions]
            self.parities.append(worst(found))
        return self.parities

    @cached_property
    def _session(self) -> Session:
        return Session(self.onnx, trees=self.trees)


def fit_random_forest(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    classes: Sequence[str],
    seed: int,
    trees: int = 100,
    max_depth: int = 12,
    min_leaf: int = 5,
    max_leaf_nodes: int | None = None,
    class_weight: Literal["balanced_subsample"] | None = "balanced_subsample",
    kind: Literal["random_forest", "extra_trees"] = "random_forest",
    jobs: int = 1,
) -> FittedForest:
    """Fit a classifier of rows x (n, f), cast to float32, with classes y (n,), numbers of `classes` from 0.

    A class that no row has keeps its output, which is always 0. `max_leaf_nodes` is by default 256 per tree
    with two classes and 128 with more. The same seed gives the same bytes whatever `jobs` is. Raises
    GridtopError when a feature is not finite, fewer than two classes have rows, or y does not fit.
    """
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    rows = _training_rows(x)
    numbers, present = _training_classes(y, len(rows), classes)
    maker = RandomForestClassifier if kind == "random_forest" else ExtraTreesClassifier
    estimator = maker(
        n_estimators=trees,
        max_depth=max_depth,
        min_samples_leaf=min_leaf,
        max_leaf_nodes=max_leaf_nodes or (LEAVES_OF_TWO_CLASSES if len(classes) == 2 else LEAVES_OF_MORE),
        class_weight=class_weight,
        bootstrap=True,
        random_state=seed,
        n_jobs=jobs,
    ).fit(rows, numbers)
    estimator.n_jobs = 1

    def answers(rows: npt.NDArray[np.float32]) -> Floats:
        return _spread(estimator.predict_proba(rows), present, len(classes))

    grown = [e.tree_ for e in estimator.estimators_]
    values = [_spread(tree.value[:, 0, :], present, len(classes)) for tree in grown]
    arrays = _joined(grown, values, rows.shape[1])
    return FittedForest(kind, tuple(classes), probabilities_graph(arrays), arrays, _answers=answers)


def fit_gradient_boosting(
    x: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    classes: Sequence[str],
    seed: int,
    rounds: int = 100,
    learning_rate: float = 0.1,
    max_leaf_nodes: int = 31,
    min_leaf: int = 20,
    class_weight: Literal["balanced"] | None = "balanced",
    jobs: int = 1,
) -> FittedForest:
    """Fit boosted trees (scikit-learn's HistGradientBoostingClassifier) to x, y as a random forest.

    Contributions are in log-odds: with two classes of the second (the only output of `trees`), with more of
    each class. Every class needs rows; raises GridtopError as `fit_random_forest`, and when a class has none.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    rows = _training_rows(x)
    numbers, present = _training_classes(y, len(rows), classes)
    if len(present) < len(classes):
        (missing, *_) = sorted(set(range(len(classes))) - set(present.tolist()))
        raise GridtopError(f"gradient boosting needs rows of every class, and {classes[missing]!r} has none")
    estimator = HistGradientBoostingClassifier(
        max_iter=rounds,
        learning_rate=learning_rate,
        max_leaf_nodes=max_leaf_nodes,
        min_samples_leaf=min_leaf,
        class_weight=class_weight,
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(limits=jobs, user_api="openmp"):
        estimator.fit(rows, numbers)

    def answers(rows: npt.NDArray[np.float32]) -> Floats:
        with threadpool_limits(limits=1, user_api="openmp"):
            return np.asarray(estimator.predict_proba(rows), np.float64)

    # The trees of scikit-learn are private here: the parity gate tells when they change.
    columns = len(classes) if len(classes) > 2 else 1
    grown = [
        _Boosted(tree.nodes, column) for part in estimator._predictors for column, tree in enumerate(part)
    ]
    values = [tree.values(columns) * len(grown) for tree in grown]
    arrays = _joined(grown, values, rows.shape[1])
    onnx = boosting_graph(arrays, np.asarray(estimator._baseline_prediction, np.float64).reshape(1, -1))
    return FittedForest("gradient_boosting", tuple(classes), onnx, arrays, _answers=answers)


def fit_isolation_forest(
    x: npt.ArrayLike, *, seed: int, trees: int = 100, sample: int = 256, jobs: int = 1
) -> FittedForest:
    """Fit an isolation forest to rows x (n, f), cast to float32, each tree on `sample` of them or all.

    Its one output is strangeness, 0 to 1: scikit-learn's `score_samples` with the sign turned. The same seed
    gives the same bytes. Raises GridtopError when a feature is not finite or there are fewer than two rows to
    sample.
    """
    from sklearn.ensemble import IsolationForest

    rows = _training_rows(x)
    sample = min(sample, len(rows))
    if sample < 2:
        raise GridtopError("an isolation forest needs at least two rows for each tree")
    estimator = IsolationForest(n_estimators=trees, max_samples=sample, random_state=seed, n_jobs=jobs).fit(
        rows
    )
    estimator.n_jobs = 1

    def answers(rows: npt.NDArray[np.float32]) -> Floats:
        return np.asarray(-estimator.score_samples(rows)[:, None], np.float64)

    grown = [e.tree_ for e in estimator.estimators_]
    average = float(average_path_length(np.array([sample]))[0])
    values = [-_expected_path_length(tree)[:, None] / average for tree in grown]
    arrays = _joined(grown, values, rows.shape[1])
    return FittedForest("isolation_forest", (), isolation_graph(arrays), arrays, _answers=answers)


def average_path_length(rows: npt.NDArray[np.int64]) -> Floats:
    """The mean depth at which one of so many rows is isolated (Liu, Ting and Zhou 2008, equation 1).

    As in scikit-learn: 0 for up to one row, 1 for two, the logarithm for the harmonic number.
    """
    more = np.maximum(rows, 3).astype(np.float64)
    length = 2.0 * (np.log(more - 1.0) + np.euler_gamma) - 2.0 * (more - 1.0) / more
    return np.where(rows <= 1, 0.0, np.where(rows == 2, 1.0, length))


class _Boosted:
    """One boosted tree under the names that scikit-learn gives the arrays of its other trees."""

    def __init__(self, nodes: npt.NDArray[Any], column: int) -> None:
        leaf = nodes["is_leaf"].astype(bool)
        self.node_count = len(nodes)
        self.children_left = np.where(leaf, LEAF, nodes["left"].astype(np.int64))
        self.children_right = np.where(leaf, LEAF, nodes["right"].astype(np.int64))
        self.feature = nodes["feature_idx"].astype(np.int64)
        self.threshold = np.where(leaf, 0.0, nodes["num_threshold"])
        self.n_node_samples = nodes["count"].astype(np.int64)
        self._leaf_value = np.where(leaf, nodes["value"], 0.0)
        self._column = column

    def values(self, columns: int) -> Floats:
        """(m, columns) what the leaves add to each output, and their mean over the training rows above."""
        result = np.zeros((self.node_count, columns))
        result[:, self._column] = _mean_of_leaves(self, self._leaf_value)
        return result


def _expected_path_length(tree: Any) -> Floats:
    """(m,) for each node, the path length from the root that the training rows in it have on average."""
    left, right = tree.children_left, tree.children_right
    depth = np.zeros(tree.node_count, np.int64)
    inner = np.flatnonzero(left >= 0)
    for node in inner:  # a parent comes before its children
        depth[left[node]] = depth[right[node]] = depth[node] + 1
    return _mean_of_leaves(tree, depth + average_path_length(tree.n_node_samples))


def _mean_of_leaves(tree: Any, value: Floats) -> Floats:
    """(m,) the values of the leaves, and at every other node their mean over its training rows."""
    left, right, rows = tree.children_left, tree.children_right, tree.n_node_samples
    result = value.copy()
    for node in np.flatnonzero(left >= 0)[::-1]:  # children come after their parent
        a, b = left[node], right[node]
        result[node] = (rows[a] * result[a] + rows[b] * result[b]) / rows[node]
    return result


def _joined(grown: Sequence[Any], values: Sequence[Floats], features: int) -> Trees:
    """The trees of scikit-learn, one after the other in one numbering, with (nodes, k) values."""
    roots = np.cumsum([0, *(tree.node_count for tree in grown)])[:-1]
    leaf = np.concatenate([tree.children_left < 0 for tree in grown])

    def joined(parts: Sequence[npt.NDArray[Any]], of_leaf: float, dtype: type) -> npt.NDArray[Any]:
        return np.where(leaf, of_leaf, np.concatenate(parts)).astype(dtype)

    return Trees(
        features=features,
        roots=roots.astype(np.int32),
        feature=joined([tree.feature for tree in grown], LEAF, np.int32),
        threshold=joined([float32_down(tree.threshold) for tree in grown], 0.0, np.float32),
        left=joined([t.children_left + r for t, r in zip(grown, roots, strict=True)], LEAF, np.int32),
        right=joined([t.children_right + r for t, r in zip(grown, roots, strict=True)], LEAF, np.int32),
        value=np.concatenate(values).astype(np.float32),
    )


def _spread(columns: Floats, present: npt.NDArray[Any], classes: int) -> Floats:
    """Columns of the classes that have rows, put where they belong among all classes."""
    result = np.zeros((len(columns), classes))
    result[:, present] = columns
    return result


def _training_classes(
    y: npt.ArrayLike, rows: int, classes: Sequence[str]
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The class of each row, and the classes that have rows."""
    numbers = np.asarray(y)
    if len(classes) < 2:
        raise GridtopError(f"a forest needs at least two classes to tell apart, not {len(classes)}")
    if numbers.shape != (rows,) or numbers.dtype.kind not in "iu":
        raise GridtopError(
            f"the classes must be one whole number per row, not {numbers.dtype} {numbers.shape}"
        )
    if numbers.min() < 0 or numbers.max() >= len(classes):
        raise GridtopError(f"a row has a class outside 0 to {len(classes) - 1}")
    present = np.unique(numbers)
    if len(present) < 2:
        raise GridtopError(f"all rows have the class {classes[present[0]]!r}: there is nothing to tell apart")
    return numbers, present


def _training_rows(x: npt.ArrayLike) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        rows = np.asarray(x).astype(np.float32, copy=False)
    if rows.ndim != 2 or not rows.size:
        raise GridtopError(f"there is nothing to train on: the rows have shape {rows.shape}")
    finite = np.isfinite(rows)
    if not finite.all():
        row, feature = np.argwhere(~finite)[0]
        raise GridtopError(
            f"{int((~finite).any(axis=1).sum())} of {len(rows)} training rows have a feature that is no "
            f"finite number, the first is row {row}, feature {feature}: leave such rows out"
        )
    return rows
