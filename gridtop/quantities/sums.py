"""Sums over sliding windows that neither drift nor depend on how a stream is cut into blocks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats

Counts = npt.NDArray[np.int64]


def sliding_sums(values: Floats, frames: int, number: Counts | None = None) -> Floats:
    """(..., n) the sum of the last `frames` of the values (..., frames - 1 + n) at each of n frames.

    `number` (n,) says how many of those frames count, the newest ones; without it all of them do. Sums of
    1, 2, 4, 8... frames are added up, always the same ones in the same order for one frame: nothing is
    ever subtracted, so a large value that has left the window has left the sum.
    """
    n = values.shape[-1] - frames + 1
    doubled = [values]  # doubled[j][..., i] is the sum of the 2**j values that begin at i
    while 2 << (len(doubled) - 1) <= frames:
        half = 1 << (len(doubled) - 1)
        doubled.append(doubled[-1][..., half:] + doubled[-1][..., :-half])
    sums: Floats = np.zeros((*values.shape[:-1], n))
    end = frames  # beyond the newest frame that is not in the sum of the first of the n frames yet
    for j in reversed(range(len(doubled))):
        if frames >> j & 1:
            end -= 1 << j
            sums += doubled[j][..., end : end + n]
    if number is not None and (short := np.flatnonzero(number < frames)).size:
        sums[..., short] = _short_sums(doubled, short + frames, number[short])
    return sums


def _short_sums(doubled: list[Floats], end: Counts, number: Counts) -> Floats:
    """(..., k) sums of `number` (k,) values each, before `end` (k,)."""
    sums: Floats = np.zeros((*doubled[0].shape[:-1], len(end)))
    for j in reversed(range(len(doubled))):
        taken = np.flatnonzero(number >> j & 1)
        end[taken] -= 1 << j
        sums[..., taken] += doubled[j][..., end[taken]]
    return sums


def added(terms: Floats) -> Floats:
    """The sum over the first axis, in one order whatever the other axes are."""
    total: Floats = terms[0].copy()
    for term in terms[1:]:
        total += term
    return total


def frames_within(span_ns: int, time: Counts, frames: int) -> Counts:
    """(n,) how many of the last `frames` frames are at most `span_ns` old; `time` is (frames - 1 + n,)."""
    newest = np.arange(frames - 1, len(time))
    oldest = np.searchsorted(time, time[frames - 1 :] - span_ns)
    number: Counts = np.minimum(newest + 1 - oldest, frames)
    return number
