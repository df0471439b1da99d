"""What runs a trained model here: onnxruntime where it is installed, because it is faster, else numpy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from gridtop.errors import GridtopError
from gridtop.learning.trees import Trees
from gridtop.text import clean

Floats = npt.NDArray[np.float64]
RuntimeName = Literal["onnxruntime", "numpy"]

VARIABLE = "GRIDTOP_RUNTIME"
"""The environment variable that names the runtime to use."""


class Runtime(Protocol):
    """A loaded graph: rows of f features in, rows of k outputs out."""

    features: int
    outputs: int

    @property
    def name(self) -> str:
        """What runs it."""

    def run(self, rows: npt.NDArray[np.float32]) -> Floats:
        """(n, k) the outputs for finite rows (n, f), n at least 1."""


def runtimes_at_hand() -> tuple[RuntimeName, ...]:
    """All that can be used here, the best first."""
    return ("numpy",) if _onnxruntime() is None else ("onnxruntime", "numpy")


def chosen_runtime() -> RuntimeName:
    """What runs models: what GRIDTOP_RUNTIME names, or the best at hand; GridtopError when it is not here."""
    named = os.environ.get(VARIABLE, "")
    if named == "numpy":
        return "numpy"
    best = runtimes_at_hand()[0]
    if named in ("", best):
        return best
    if named == "onnxruntime":
        raise GridtopError(f"{VARIABLE} names onnxruntime: pip install 'gridtop[onnx]'")
    raise GridtopError(f"{VARIABLE} is {clean(named, 40)!r}; it may be onnxruntime or numpy")


def load_graph(onnx: bytes, trees: Trees | None, runtime: RuntimeName | None = None) -> Runtime:
    """A model's graph, ready to run. `trees` are what numpy needs to run a forest.

    Raises GridtopError when the bytes are no model that the runtime can run.
    """
    if (runtime or chosen_runtime()) == "onnxruntime":
        return OnnxruntimeGraph(onnx)
    from gridtop.learning.numpy_graphs import NumpyGraph

    return NumpyGraph(onnx, trees)


class OnnxruntimeGraph:
    """A graph in onnxruntime, on one thread.

    Raises GridtopError when onnxruntime cannot run it, or when it has not one input (n, f) of float32 and a
    first output (n, k).
    """

    name = "onnxruntime"

    def __init__(self, onnx: bytes) -> None:
        onnxruntime = _onnxruntime()
        if onnxruntime is None:
            raise GridtopError("onnxruntime is not installed: pip install 'gridtop[onnx]'")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                onnx, sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own classes have no common base but this
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise GridtopError(f"the model cannot be loaded: {reason}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or not outputs:
            raise GridtopError("the model cannot be used: it must have one input of float32 rows")
        self._input, self._output = inputs[0].name, outputs[0].name
        self.features = _width(inputs[0].shape, "input")
        self.outputs = _width(outputs[0].shape, "output")

    def run(self, rows: npt.NDArray[np.float32]) -> Floats:
        """As `Runtime` says."""
        return np.asarray(self._session.run([self._output], {self._input: rows})[0], np.float64)


def _onnxruntime() -> Any:
    """The package, or None where it is not installed or its libraries do not load."""
    try:
        import onnxruntime
    except ImportError:
        return None
    return onnxruntime


def _width(shape: Sequence[Any], name: str) -> int:
    if len(shape) != 2 or not isinstance(shape[1], int) or shape[1] < 1:
        raise GridtopError(f"the model cannot be used: the width of its {name} is not stated")
    return shape[1]
