"""Builds the ONNX graphs of forests node by node, from their trees as arrays.

The graphs take float32 rows (n, f) and sum the leaves in float64, so that the order of the trees leaves no
mark on the float32 result. The comparisons are exact: a threshold rounded down to float32 decides alike for
every float32 feature, and float64 holds it unchanged.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.learning.trees import LEAF, Trees

MAIN_OPSET, ML_OPSET, IR_VERSION = 18, 3, 9
"""Old enough for onnxruntime 1.20; the operators have not changed since."""


def float32_down(threshold: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The largest float32 at or below each threshold: `x <= it` then decides alike for every float32 x."""
    rounded = threshold.astype(np.float32)
    above = rounded.astype(np.float64) > threshold
    rounded[above] = np.nextafter(rounded[above], np.float32(-np.inf))
    return rounded


def probabilities_graph(trees: Trees) -> bytes:
    """A graph from rows (n, f) to class shares (n, k), k at least 2: the mean over the trees, no label.

    A regressor gives the shares, because a classifier of two classes goes wrong in onnxruntime where zero
    shares are left out, and zeros are most of the file. Of two classes it gives the second, and the first is
    the rest.
    """
    from onnx import helper, numpy_helper

    if trees.outputs > 2:
        return _model(trees, [_ensemble(trees, np.arange(trees.outputs), "y")], [])
    nodes = [
        _ensemble(trees, np.array([1]), "second"),
        helper.make_node("Sub", ["one", "second"], ["first"]),
        helper.make_node("Concat", ["first", "second"], ["y"], axis=1),
    ]
    return _model(trees, nodes, [numpy_helper.from_array(np.ones(1, np.float32), "one")])


def isolation_graph(trees: Trees) -> bytes:
    """A graph from rows (n, f) to strangeness (n, 1), 0 to 1: 2 to the power of the mean value of the leaves.

    The values are minus the path length in units of the average one (Liu, Ting and Zhou, "Isolation Forest",
    2008, equation 2), so this is scikit-learn's `score_samples` with its sign turned: bigger is stranger.
    """
    from onnx import helper, numpy_helper

    nodes = [_ensemble(trees, np.array([0]), "depth"), helper.make_node("Pow", ["two", "depth"], ["y"])]
    return _model(trees, nodes, [numpy_helper.from_array(np.full(1, 2.0, np.float32), "two")])


def boosting_graph(trees: Trees, baseline: npt.NDArray[np.float64]) -> bytes:
    """A graph from rows (n, f) to probabilities (n, k) of boosted trees, k at least 2.

    The mean value of the leaves plus `baseline` is the log-odds of the second of two classes, which go
    through the logistic function, or one number per class, which go through softmax.
    """
    from onnx import helper, numpy_helper

    outputs = np.arange(trees.outputs)
    nodes = [_ensemble(trees, outputs, "gain"), helper.make_node("Add", ["gain", "baseline"], ["raw"])]
    constants = [numpy_helper.from_array(baseline.astype(np.float32), "baseline")]
    if trees.outputs > 1:
        nodes.append(helper.make_node("Softmax", ["raw"], ["y"], axis=1))
        return _model(trees, nodes, constants)
    nodes += [
        helper.make_node("Sigmoid", ["raw"], ["second"]),
        helper.make_node("Sub", ["one", "second"], ["first"]),
        helper.make_node("Concat", ["first", "second"], ["y"], axis=1),
    ]
    return _model(trees, nodes, [*constants, numpy_helper.from_array(np.ones(1, np.float32), "one")], 2)


def _ensemble(trees: Trees, outputs: npt.NDArray[np.int64], name: str) -> Any:
    """The node that sums, over all trees, the values of the chosen outputs divided by the number of trees."""
    from onnx import helper, numpy_helper

    sizes = np.diff(trees.roots, append=len(trees.feature))
    tree = np.repeat(np.arange(len(trees.roots)), sizes)
    first = trees.roots[tree]
    leaf = trees.feature == LEAF
    leaves = np.flatnonzero(leaf)
    shares = trees.value[leaves][:, outputs].astype(np.float64)
    # Zero shares only make the file larger, but every leaf must have one share.
    written = shares != 0
    written[~written.any(axis=1), 0] = True
    at, column = np.nonzero(written)
    inside = np.arange(len(leaf)) - first
    return helper.make_node(
        "TreeEnsembleRegressor",
        ["wide"],
        [name],
        domain="ai.onnx.ml",
        n_targets=len(outputs),
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=tree.tolist(),
        nodes_nodeids=inside.tolist(),
        nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_featureids=np.where(leaf, 0, trees.feature).tolist(),
        nodes_truenodeids=np.where(leaf, 0, trees.left - first).tolist(),
        nodes_falsenodeids=np.where(leaf, 0, trees.right - first).tolist(),
        nodes_values_as_tensor=numpy_helper.from_array(trees.threshold.astype(np.float64), "thresholds"),
        target_treeids=tree[leaves[at]].tolist(),
        target_nodeids=inside[leaves[at]].tolist(),
        target_ids=column.tolist(),
        target_weights_as_tensor=numpy_helper.from_array(shares[at, column] / len(trees.roots), "shares"),
    )


def _model(trees: Trees, nodes: list[Any], constants: list[Any], width: int = 0) -> bytes:
    from onnx import TensorProto, checker, helper

    widen = helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.DOUBLE)
    graph = helper.make_graph(
        [widen, *nodes],
        "forest",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, trees.features])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, width or trees.outputs])],
        constants,
    )
    opsets = [helper.make_opsetid("", MAIN_OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="gridtop")
    checker.check_model(model)
    return bytes(model.SerializeToString())
