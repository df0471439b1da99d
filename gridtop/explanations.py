"""Why a score is what it is: the channels that contributed, told by the detector or found out by trial."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block, Floats
from gridtop.contracts import Detector, Explains
from gridtop.errors import PluginError
from gridtop.events import Contribution

DIGITS = 6
"""Decimals kept of a score: model arithmetic differs in the last bits from one block size to another."""

MOST_NAMED = 5
LEAST_SHARE = 0.01
SHARE_DIGITS = 4
"""A cause names so many channels at most, each with more than this share, rounded to so many digits."""

REMEMBERED = 300
"""Frames before an alarm that say what is usual: ten seconds at 30 frames/s."""
MOST_SEARCHED = 256
"""Channels up to which the host tries them one by one."""

_OFF_SUM = 1e-3
"""How far from 1 a detector's shares may add up: single precision, with room to spare."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The channels that a score rests on, the largest share first; none when nothing can be said."""

    contributions: tuple[Contribution, ...] = ()
    approximate: bool = False
    """Whether the host had to find out by trial."""

    def __bool__(self) -> bool:
        return bool(self.contributions)


def cause_of(shares: Floats | None, names: Sequence[str], approximate: bool = False) -> Cause:
    """The largest of the shares (c,), which need not add up to 1; equal ones in the order of the channels.

    They are rounded before they are compared, so that the last bits of some arithmetic decide nothing.
    """
    if shares is None or not shares.sum() > 0:
        return Cause()
    rounded = (shares / shares.sum()).round(SHARE_DIGITS)
    order = np.argsort(-rounded, kind="stable")[:MOST_NAMED]
    named = tuple(
        Contribution(names[i], float(rounded[i])) for i in order.tolist() if rounded[i] > LEAST_SHARE
    )
    return Cause(named, approximate and bool(named))


def checked_parts(parts: object, frames: int, channels: int) -> Floats | None:
    """The shares of a detector's `Scores`, NaN as 0; PluginError when they are not what they should be."""
    if parts is None:
        return None
    shares = _numbers(parts, "parts", (frames, channels))
    if np.isinf(shares).any() or (shares < 0).any():
        raise PluginError("a share in parts is negative or infinite; it is 0 or more, NaN for no opinion")
    shares[np.isnan(shares)] = 0.0
    return shares


def own_shares(detector: Explains, frame: int, output: int, channels: int) -> Floats:
    """(c,) what a detector says itself; PluginError when that is not what it should be."""
    shares = _numbers(detector.explain(frame, output), "shares", (channels,))
    if not np.isfinite(shares).all() or (shares < 0).any():
        raise PluginError("explain() gave a share that is negative or no number")
    total = float(shares.sum())
    if total and abs(total - 1.0) > _OFF_SUM:
        raise PluginError(f"the shares of explain() add up to {total:.4g}, and not to 1 or 0")
    return shares


def _numbers(value: object, what: str, shape: tuple[int, ...]) -> Floats:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        kind = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        raise PluginError(f"{what} must be an array of numbers, not {kind}")
    if value.shape != shape:
        raise PluginError(f"{what} of shape {value.shape}, expected {shape}")
    return value.astype(np.float64)


class Recent:
    """The frames that a detector was given lately: the newest block, and `REMEMBERED` frames before it."""

    def __init__(self) -> None:
        self._blocks: deque[Block] = deque()
        self._earlier = 0
        """Frames before the newest block."""

    def add(self, block: Block) -> None:
        """Learn the next block; what is too old is let go."""
        if self._blocks:
            self._blocks.append(_tail(self._blocks.pop()))
            self._earlier += len(self._blocks[-1])
        while self._blocks and self._earlier - len(self._blocks[0]) >= REMEMBERED:
            self._earlier -= len(self._blocks.popleft())
        self._blocks.append(block)

    def until(self, frame: int) -> Block:
        """Up to `REMEMBERED` frames before a frame of the newest block, and that frame itself.

        Labels are left out. The same frames give the same block however they came.
        """
        newest = self._blocks[-1]
        pieces = [*list(self._blocks)[:-1], newest.slice(max(0, frame - REMEMBERED), frame + 1)]
        wanted = slice(-REMEMBERED - 1, None)
        values = np.concatenate([piece.values for piece in pieces])[wanted]
        time = np.concatenate([piece.time for piece in pieces])[wanted]
        flags = [
            np.zeros(piece.values.shape, np.uint16) if piece.quality is None else piece.quality
            for piece in pieces
        ]
        quality = np.concatenate(flags)[wanted]
        return Block(newest.channels, time, values, quality, row=newest.row + frame + 1 - len(values))


def _tail(block: Block) -> Block:
    """The last frames of a block; of a long one as a copy, so that the rest of it can go."""
    if len(block) <= REMEMBERED:
        return block
    kept = block.slice(len(block) - REMEMBERED, len(block))
    quality = None if kept.quality is None else kept.quality.copy()
    return Block(kept.channels, kept.time.copy(), kept.values.copy(), quality, row=kept.row)


def shares_by_replacement(
    build: Callable[[], Detector],
    frames: Block,
    output: int,
    expired: Callable[[], bool],
    shared: Sequence[object] = (),
) -> Floats | None:
    """(c,) by how much a score falls when one channel at a time is given its median; None when it is NaN.

    The last of the `frames` is the one in question. A new detector plays those before it, and for each
    channel a copy of it scores the last one with that channel replaced. `shared` are objects that copies
    need not have for themselves. Raises TimeoutError once `expired` says so, and what the detector raises.
    """
    detector, (before, last) = build(), _parted(frames)
    memory = {id(thing): thing for thing in shared}

    def score(frame: Block) -> float:
        if expired():
            raise TimeoutError
        result = copy.deepcopy(detector, dict(memory)).score(frame).score[0, output]
        return round(float(result), DIGITS)

    if not len(before):
        return None
    detector.score(before)
    found = score(last)
    if np.isnan(found):
        return None
    usual = _medians(before.values)
    falls = np.zeros(len(usual))
    for column, value in enumerate(usual.tolist()):
        if not np.isnan(value) and value != last.values[0, column]:
            falls[column] = found - score(_replaced(last, column, value))
    return np.where(falls > 0, falls, 0.0)


def _parted(frames: Block) -> tuple[Block, Block]:
    """All frames but the last, and the last."""
    return frames.slice(0, len(frames) - 1), frames.slice(len(frames) - 1, len(frames))


def _replaced(frame: Block, column: int, value: float) -> Block:
    """The frame with a good value in one place."""
    values = frame.values.copy()
    values[0, column] = value
    quality: npt.NDArray[np.uint16] | None = None
    if frame.quality is not None:
        quality = frame.quality.copy()
        quality[0, column] = 0
    return Block(frame.channels, frame.time, values, quality, row=frame.row)


def _medians(values: Floats) -> Floats:
    """(c,) the median of the good values of each column, NaN where there are none."""
    ordered = np.sort(values, axis=0)  # NaN behind everything
    number = np.count_nonzero(~np.isnan(values), axis=0)
    columns = np.arange(values.shape[1])
    lower, upper = ordered[np.maximum(number - 1, 0) // 2, columns], ordered[number // 2, columns]
    medians: Floats = np.where(number > 0, (lower + upper) / 2, np.nan)
    return medians
