"""Reads the ONNX files that gridtop writes, and no others: without the onnx package, and bounded.

An ONNX file is a protocol buffer: fields with a number and a kind, of which we know the few that our graphs
have (onnx.proto of ONNX 1.17). What a forest looks up in its trees is not read: `trees.npz` holds the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import prod

import numpy as np
import numpy.typing as npt

from gridtop.errors import GridtopError
from gridtop.text import clean

Floats = npt.NDArray[np.float64]
Field = int | memoryview

PRODUCER = "gridtop"
TREES = "TreeEnsembleRegressor"
ATTRIBUTES: dict[str, dict[str, int | str]] = {
    "Add": {},
    "Cast": {"to": 11},
    "Clip": {},
    "Concat": {"axis": 1},
    "Gemm": {},
    "Mul": {},
    "Pow": {},
    "Relu": {},
    "Sigmoid": {},
    "Softmax": {"axis": 1},
    "Sub": {},
    "Tanh": {},
    TREES: {"aggregate_function": "SUM", "post_transform": "NONE"},
}
"""The operators, with the only attributes that they may have; 11 is float64."""
MOST_FIELDS = 4096
"""Of one message; our graphs have a few dozen."""
WIDEST = 1 << 16
"""Numbers in a row, anywhere in a graph; ours have hundreds."""
_VARINT, _BYTES, _FIXED = 0, 2, {1: 8, 5: 4}
_FLOAT32 = 1


class _NotOurs(ValueError):
    """Says what gridtop would have written otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One operator: the names of what it takes, of what it gives, and of trees the number of outputs."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    targets: int


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """The nodes in the order in which they run, and the numbers they need.

    features  how many columns f the rows have that go in as `input`
    constants  by name: scalars, (k,), (1, k), and the kernels (inputs, outputs) of layers; float32 values
    """

    features: int
    input: str
    output: str
    nodes: tuple[Node, ...]
    constants: dict[str, Floats]


def read_graph(onnx: bytes) -> Graph:
    """The graph in the bytes of an .onnx file; GridtopError when it is damaged or not one of ours."""
    try:
        return _graph(memoryview(onnx))
    except (ValueError, IndexError, KeyError, TypeError) as error:
        reason = clean(str(error), 160) if isinstance(error, _NotOurs) else "it is damaged"
        raise GridtopError(
            f"the model cannot be loaded: {reason}; without onnxruntime only models that gridtop trained "
            "run (pip install 'gridtop[onnx]' for others)"
        ) from None


def _graph(data: memoryview) -> Graph:
    model = _message(data)
    if [_text(name) for name in model.get(2, [])] != [PRODUCER]:
        raise _NotOurs("it was not written by gridtop")
    graph = _message(_inner(model[7]))
    (name,), features = _named(graph[11]), _width(_inner(graph[11]))
    (output,) = _named(graph[12])
    constants = dict(_constant(_bytes(tensor)) for tensor in graph.get(5, []))
    return Graph(features, name, output, tuple(_node(_bytes(node)) for node in graph[1]), constants)


def _node(data: memoryview) -> Node:
    fields = _message(data)
    operator = _text(_inner(fields[4]))
    if operator not in ATTRIBUTES:
        raise _NotOurs(f"it has an operator {operator}, which gridtop does not write")
    attributes = dict(_attribute(_bytes(attribute)) for attribute in fields.get(5, []))
    targets = attributes.pop("n_targets", 0) if operator == TREES else 0
    if operator == TREES:  # its other attributes are the trees
        attributes = {key: value for key, value in attributes.items() if value is not None}
    if attributes != ATTRIBUTES[operator] or not isinstance(targets, int):
        raise _NotOurs(f"its operator {operator} is not as gridtop writes it")
    return Node(operator, tuple(map(_text, fields[1])), _text(_inner(fields[2])), targets)


def _attribute(data: memoryview) -> tuple[str, int | str | None]:
    """Its name, and its value when that is one whole number or text."""
    name = ""
    value: int | str | None = None
    for number, field in islice(_fields(data), MOST_FIELDS):
        if number == 1:
            name = _text(field)
        elif number == 3 and isinstance(field, int):
            value = field
        elif number == 4:
            value = _text(field)
        elif number > 4:  # fields are written in order: lists of numbers come after what is read here
            break
    return name, value


def _constant(data: memoryview) -> tuple[str, Floats]:
    fields = _message(data)
    if fields.keys() - {1, 2, 8, 9} or fields.get(2) != [_FLOAT32]:
        raise _NotOurs("it has a constant that is not made of float32")
    shape = tuple(size for size in fields.get(1, []) if isinstance(size, int))
    content = _inner(fields[9])
    if len(shape) > 2 or prod(shape) * 4 != len(content) or not len(content):
        raise _NotOurs("it has a constant whose shape is not its own")
    numbers = np.frombuffer(content, "<f4").astype(np.float64).reshape(shape)
    if not np.isfinite(numbers).all():
        raise _NotOurs("it has a constant that is not finite")
    return _text(_inner(fields[8])), numbers


def _named(values: list[Field]) -> tuple[str, ...]:
    return tuple(_text(_inner(_message(_bytes(value))[1])) for value in values)


def _width(value: memoryview) -> int:
    """The second dimension of an input that is (rows, columns)."""
    tensor = _message(_inner(_message(_inner(_message(value)[2]))[1]))
    _, columns = _message(_inner(tensor[2]))[1]
    (width,) = _message(_bytes(columns))[1]
    if tensor[1] != [_FLOAT32] or not isinstance(width, int) or not 0 < width <= WIDEST:
        raise _NotOurs("it does not take float32 rows of a stated width")
    return width


def _message(data: memoryview) -> dict[int, list[Field]]:
    """The fields of a message by number."""
    fields: dict[int, list[Field]] = {}
    for count, (number, value) in enumerate(_fields(data)):
        if count >= MOST_FIELDS:
            raise _NotOurs("it has more parts than a model of gridtop")
        fields.setdefault(number, []).append(value)
    return fields


def _fields(data: memoryview) -> Iterator[tuple[int, Field]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        size = _FIXED.get(kind, 0)
        if kind == _BYTES:
            size, at = _varint(data, at)
        if (kind != _BYTES and kind not in _FIXED) or at + size > len(data):
            raise IndexError
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A whole number of at most 64 bits, seven a byte, and where the next field is."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError


def _bytes(field: Field) -> memoryview:
    if isinstance(field, int):
        raise TypeError
    return field


def _inner(fields: list[Field]) -> memoryview:
    """The only field of its number."""
    (field,) = fields
    return _bytes(field)


def _text(field: Field) -> str:
    return str(_bytes(field), "utf-8")
