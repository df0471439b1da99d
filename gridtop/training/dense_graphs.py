"""ONNX graphs of dense networks, built by hand: what a trained autoencoder becomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Singles = npt.NDArray[np.float32]
Activation = Literal["relu", "tanh"]
_NODES = {"relu": "Relu", "tanh": "Tanh"}
_OPSET = 18
_IR_VERSION = 9


def reconstruction_graph(
    layers: Sequence[tuple[Singles, Singles]],
    activation: Activation,
    *,
    limit: float,
    weights: npt.ArrayLike | None = None,
) -> bytes:
    """The graph from scaled features to the squared error of each, as the bytes of an .onnx file.

    Input `x` (n, f) float32, in spreads from the centre; it is clipped to plus or minus `limit` first. Each
    layer is a kernel (inputs, outputs) and a bias (outputs,); all but the last are followed by `activation`.
    Output `errors` (n, f) float32 is (reconstruction - x) squared, times `weights` (f,) where given. Raises
    ValueError when the layers do not fit together or do not give back as many features as they take.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    features = _checked(layers)
    constants = {"low": np.array(-limit, np.float32), "high": np.array(limit, np.float32)}
    nodes = [helper.make_node("Clip", ["x", "low", "high"], ["clipped"])]
    signal = "clipped"
    for number, (kernel, bias) in enumerate(layers, start=1):
        constants[f"kernel_{number}"], constants[f"bias_{number}"] = kernel, bias
        inner = number < len(layers)
        outcome = f"sum_{number}" if inner else "reconstruction"
        inputs = [signal, f"kernel_{number}", f"bias_{number}"]
        nodes.append(helper.make_node("Gemm", inputs, [outcome]))
        if inner:
            nodes.append(helper.make_node(_NODES[activation], [outcome], [f"hidden_{number}"]))
        signal = f"hidden_{number}"
    nodes.append(helper.make_node("Sub", ["reconstruction", "clipped"], ["departure"]))
    squared = "errors" if weights is None else "squared"
    nodes.append(helper.make_node("Mul", ["departure", "departure"], [squared]))
    if weights is not None:
        constants["weights"] = np.asarray(weights, dtype=np.float32)
        nodes.append(helper.make_node("Mul", [squared, "weights"], ["errors"]))
    graph = helper.make_graph(
        nodes,
        "reconstruction",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info("errors", TensorProto.FLOAT, [None, features])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(
        graph,
        producer_name="gridtop",
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR_VERSION,
    )
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _checked(layers: Sequence[tuple[Singles, Singles]]) -> int:
    """How many features go in and come out."""
    if not layers:
        raise ValueError("a network has at least one layer")
    for (kernel, bias), following in zip(layers, [kernel for kernel, _ in layers[1:]] + [None], strict=True):
        if kernel.ndim != 2 or bias.shape != (kernel.shape[1],):
            raise ValueError(f"a layer's kernel {kernel.shape} and bias {bias.shape} do not belong together")
        if following is not None and following.shape[0] != kernel.shape[1]:
            raise ValueError(
                f"a layer gives {kernel.shape[1]} values and the next takes {following.shape[0]}"
            )
    features: int = layers[0][0].shape[0]
    if layers[-1][0].shape[1] != features:
        raise ValueError(f"{features} features go in and {layers[-1][0].shape[1]} come out")
    return features
