"""Run an exported model, from bytes, with scaling before and calibration after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.errors import GridtopError
from gridtop.learning.runtimes import RuntimeName, load_graph
from gridtop.learning.trees import Trees

Floats = npt.NDArray[np.float64]


class Session:
    """A loaded model: rows of f features in, rows of k outputs out.

    With `centre` and `spread`, (f,) each, a row becomes (row - centre) / spread in float64 before it is cast
    to float32, which is what the graph takes. The same row gives the same outputs within 1e-6 whatever rows
    stand around it, and in numpy to the bit. `trees` are what numpy needs to run a forest; `runtime` is what
    runs the model, by default `chosen_runtime()`. Raises GridtopError when the bytes are no model that this
    can run, when the graph has not one input (n, f) and a first output (n, k), or when the scaling does not
    fit.
    """

    def __init__(
        self,
        onnx: bytes,
        centre: npt.ArrayLike | None = None,
        spread: npt.ArrayLike | None = None,
        *,
        trees: Trees | None = None,
        runtime: RuntimeName | None = None,
    ) -> None:
        self._graph = load_graph(onnx, trees, runtime)
        self.features = self._graph.features
        """How many features f a row has."""
        self.outputs = self._graph.outputs
        """How many outputs k a row gives."""
        self._scaling: tuple[Floats, Floats] | None = None
        if centre is not None or spread is not None:
            self._scaling = self._numbers("centre", centre, 0.0), self._numbers("spread", spread, 1.0)
            if not (self._scaling[1] > 0).all():
                raise GridtopError("the model cannot be used: a spread of its scaling is not above 0")

    def run(self, x: npt.ArrayLike) -> Floats:
        """(n, k) the outputs for rows x (n, f); NaN for rows with a feature that is not finite as float32.

        Raises GridtopError when the rows do not have f columns.
        """
        rows = np.asarray(x, np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.features:
            raise GridtopError(f"the model takes rows of {self.features} features, not shape {rows.shape}")
        with np.errstate(over="ignore", invalid="ignore"):
            if self._scaling is not None:
                rows = (rows - self._scaling[0]) / self._scaling[1]
            cast = np.ascontiguousarray(rows, np.float32)
        finite = np.isfinite(cast).all(axis=1)
        if finite.all() and len(cast):
            return self._graph.run(cast)
        result = np.full((len(cast), self.outputs), np.nan)
        if finite.any():
            result[finite] = self._graph.run(cast[finite])
        return result

    def _numbers(self, name: str, given: npt.ArrayLike | None, without: float) -> Floats:
        """(f,) one side of the scaling."""
        numbers = np.full(self.features, without) if given is None else np.asarray(given, np.float64)
        if numbers.shape != (self.features,) or not np.isfinite(numbers).all():
            raise GridtopError(
                f"the model cannot be used: the {name} of its scaling is not {self.features} finite numbers"
            )
        return numbers


@dataclass(frozen=True)
class Calibration:
    """A rising curve per output that turns scores into probabilities: straight lines between a few points.

    `scores` and `probabilities` hold one tuple of points per curve. One curve for two outputs is for the
    second; the first is then the rest to 1. With more, each output has a curve and the rows are made to add
    up to 1. Raises GridtopError when the points are not finite or do not rise.
    """

    scores: tuple[tuple[float, ...], ...]
    probabilities: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        if not self.scores or len(self.scores) != len(self.probabilities):
            raise GridtopError("the calibration has no curves, or curves without points")
        for scores, probabilities in zip(self.scores, self.probabilities, strict=True):
            points = np.array([scores, probabilities]) if len(scores) == len(probabilities) else np.empty(0)
            if points.ndim != 2 or not points.size or not np.isfinite(points).all():
                raise GridtopError("the calibration has a curve without finite points")
            if (np.diff(points[0]) <= 0).any() or (np.diff(points[1]) < 0).any():
                raise GridtopError("the calibration has a curve that does not rise")
            if points[1].min() < 0 or points[1].max() > 1:
                raise GridtopError("the calibration has a probability outside 0 to 1")

    def apply(self, scores: npt.ArrayLike) -> Floats:
        """(n, k) probabilities for scores (n, k); NaN rows stay NaN; beyond the points the last holds."""
        raw = np.asarray(scores, np.float64)
        outputs = 2 if raw.ndim == 2 and raw.shape[1] == 2 and len(self.scores) == 1 else len(self.scores)
        if raw.ndim != 2 or raw.shape[1] != outputs:
            raise GridtopError(f"the calibration is for {outputs} outputs, not for shape {raw.shape}")
        first = outputs - len(self.scores)
        curves = zip(self.scores, self.probabilities, strict=True)
        columns = [np.interp(raw[:, first + i], *curve) for i, curve in enumerate(curves)]
        if first:
            return np.column_stack([1.0 - columns[0], columns[0]])
        result = np.column_stack(columns)
        if outputs == 1:
            return result
        total = result.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(result, total, out=raw.copy(), where=~(total <= 0)))

    def to_dict(self) -> dict[str, Any]:
        """Lists of numbers, for the model card."""
        return {
            "scores": [list(c) for c in self.scores],
            "probabilities": [list(c) for c in self.probabilities],
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Calibration:
        """What `to_dict` gave; raises GridtopError when it is not that."""
        try:
            return cls(_curves(stored["scores"]), _curves(stored["probabilities"]))
        except (KeyError, TypeError, ValueError) as error:
            raise GridtopError("the calibration of the model cannot be read") from error


def _curves(stored: Sequence[Sequence[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(number) for number in curve) for curve in stored)
