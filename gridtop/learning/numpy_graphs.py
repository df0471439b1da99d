"""Runs the graphs of trained models in numpy, row by row to the bit: what plays where onnxruntime is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from gridtop.errors import GridtopError
from gridtop.learning.graph_files import TREES, WIDEST, Graph, Node, read_graph
from gridtop.learning.trees import Trees

Floats = npt.NDArray[np.float64]

ROWS_AT_A_TIME = 512
"""Keeps what passes between two layers in the processor's cache."""


def _layer(x: Floats, kernel: Floats, bias: Floats) -> Floats:
    """x @ kernel + bias. A kernel is stored (outputs, inputs).

    Not with a matrix product: how that groups its sums depends on how many rows it is given, and the last
    bits with it. `einsum` without `optimize` adds up each output of each row by itself, along its inputs.
    """
    return np.asarray(np.einsum("nk,ok->no", x, kernel, optimize=False) + bias)


def _softmax(x: Floats) -> Floats:
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _logistic(x: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * x))


_OPERATORS: dict[str, Callable[..., Floats]] = {
    "Add": lambda x, y: x + y,
    "Cast": lambda x: x,
    "Clip": lambda x, low, high: np.clip(x, low, high),
    "Concat": lambda *parts: np.concatenate(parts, axis=1),
    "Gemm": _layer,
    "Mul": lambda x, y: x * y,
    "Pow": lambda x, y: x**y,
    "Relu": lambda x: np.maximum(x, 0.0),
    "Sigmoid": _logistic,
    "Softmax": _softmax,
    "Sub": lambda x, y: x - y,
    "Tanh": lambda x: np.tanh(x),
}


class NumpyGraph:
    """A graph of ours on rows (n, f), in float64; forests look their trees up in `trees`.

    Raises GridtopError when the bytes hold no graph of ours, or the trees do not belong to it.
    """

    name = "numpy"

    def __init__(self, onnx: bytes, trees: Trees | None) -> None:
        self._graph = read_graph(onnx)
        self._trees = trees
        self.features = self._graph.features
        try:
            self._constants = _prepared(self._graph)
            with np.errstate(all="ignore"):
                outcome = self._run(np.zeros((2, self.features)))
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise GridtopError("the model cannot be loaded: the parts of its graph do not fit") from error
        self.outputs = outcome.shape[1]

    @property
    def weights(self) -> Floats | None:
        """(f,) what the squared errors of an autoencoder are multiplied by, where they are."""
        return self._graph.constants.get("weights")

    def run(self, rows: npt.NDArray[np.float32]) -> Floats:
        """(n, k) the outputs for finite rows (n, f). No row's depend on the rows beside it, to the bit."""
        result = np.empty((len(rows), self.outputs))
        with np.errstate(all="ignore"):
            for first in range(0, len(rows), ROWS_AT_A_TIME):
                part = rows[first : first + ROWS_AT_A_TIME].astype(np.float64)
                result[first : first + len(part)] = self._run(part)
        return result

    def _run(self, rows: Floats) -> Floats:
        signals = {self._graph.input: rows}
        for node in self._graph.nodes:
            given = [signals[name] if name in signals else self._constants[name] for name in node.inputs]
            if node.operator == TREES:
                signal = self._looked_up(node, *given)
            else:
                signal = _OPERATORS[node.operator](*given)
            if signal.ndim != 2 or len(signal) != len(rows) or signal.shape[1] > WIDEST:
                raise ValueError("a part of the graph does not give one row for each row")
            signals[node.output] = signal
        return signals[self._graph.output]

    def _looked_up(self, node: Node, rows: Floats) -> Floats:
        """The outputs that the trees give."""
        if self._trees is None:
            raise GridtopError(
                "the model cannot be loaded: it is a forest without trees.npz, which only onnxruntime runs "
                "(pip install 'gridtop[onnx]')"
            )
        if node.targets == self._trees.outputs:
            return self._trees.predict(rows)
        if (node.targets, self._trees.outputs) == (1, 2):  # of two classes the second says it all
            return np.ascontiguousarray(self._trees.predict(rows)[:, 1:])
        raise ValueError("the trees have other outputs than the graph")


def _prepared(graph: Graph) -> dict[str, Floats]:
    """The kernels of layers as `_layer` takes them, and all other constants without rows of their own.

    Raises ValueError for a constant that is both, or has rows.
    """
    kernels, others = set[str](), set[str]()
    for node in graph.nodes:
        for place, name in enumerate(node.inputs):
            (kernels if node.operator == "Gemm" and place == 1 else others).add(name)
    if kernels & others:
        raise ValueError("a kernel is something else, too")
    return {
        name: np.ascontiguousarray(numbers.T) if name in kernels else numbers.reshape(numbers.shape[-1:])
        for name, numbers in graph.constants.items()
    }
