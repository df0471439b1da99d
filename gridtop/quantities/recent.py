"""Memory of windows: the frames before a block, joined with it."""

from __future__ import annotations

from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

Number = TypeVar("Number", np.float64, np.int64)


class Recent(Generic[Number]):
    """The last `frames` frames before the block at hand, whatever the blocks they came in.

    Arrays have time as their last axis and keep the shape of their other axes. Before the first frame
    there is `nothing` (NaN; for times a time long ago).
    """

    def __init__(self, frames: int, nothing: Number) -> None:
        self._frames = frames
        self._nothing: Number = nothing
        self._kept: npt.NDArray[Number] | None = None

    def join(self, values: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """(..., frames + n) the values (..., n) behind those of the frames before."""
        if self._kept is None:
            self._kept = np.full((*values.shape[:-1], self._frames), self._nothing)
        joined: npt.NDArray[Number] = np.concatenate((self._kept, values), axis=-1)
        self._kept = joined[..., joined.shape[-1] - self._frames :].copy()
        return joined
