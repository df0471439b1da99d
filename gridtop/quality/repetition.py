"""Repeated frames: a terminal whose values are all those of the frame before, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.channels import ChannelSet
from gridtop.quality.flatline import UNKNOWN_RATE
from gridtop.quality.status_words import MESSENGERS

Bools = npt.NDArray[np.bool_]
Columns = npt.NDArray[np.intp]

FEWEST = 4
"""Channels a terminal must have: noise in so many does not stand still at once."""
MOVING = 3
"""So many of them change from each frame to the next before a repetition counts as one."""
PROOF_S = 10.0
SHORTEST_PROOF = 100
"""A terminal has shown that it moves after so many seconds, and at least so many frames, of motion."""
PRICE = 9
"""A frame that stands still takes away what so many moving ones gave: one in ten is a habit."""
PROBES = 2
"""Columns that are looked at in every frame; the others only where these stand still."""

_NOWHERE = np.empty(0, dtype=np.intp)


class RepeatedFrames:
    """Watches every terminal with four measured values or more, once it has shown that it moves.

    It has when moving frames, those in which at least three values change, have gathered ten seconds of
    credit. A frame in which nothing changes costs nine of them: a source that is slower than the stream
    repeats frames as a habit and never gets there. A frame in which one or two values change costs all: where
    values are that coarse, chance makes all stand still. Frames without a value count for nothing, nor do
    those of a dead terminal: of its magnitudes, most are exactly zero.
    """

    def __init__(self, channels: ChannelSet) -> None:
        of_terminal: dict[str, list[int]] = {}
        for column, channel in enumerate(channels):
            if channel.quantity not in MESSENGERS and channel.part != "status":
                of_terminal.setdefault(channel.terminal, []).append(column)
        frames = max(SHORTEST_PROOF, round(PROOF_S * (channels.rate or UNKNOWN_RATE)))
        self._terminals = [
            _Terminal(channels, columns, frames) for columns in of_terminal.values() if len(columns) >= FEWEST
        ]
        self._proven: list[_Terminal] = []
        self._probes = np.empty(0, dtype=np.intp)
        self._last = np.full((1, len(channels)), np.nan)

    def find(self, values: Floats) -> Iterator[tuple[Columns, Bools]]:
        """Of (n, c) values: the columns of a terminal (k,), and its repeated frames (n,)."""
        if not len(values):
            return
        before, self._last = self._last, values[-1:].copy()
        doubted = self._doubted(values, before)
        for i, terminal in enumerate(self._proven):
            if len(rows := doubted[i]):
                repeated = terminal.repeated(values, before, rows)
                if repeated.any():
                    yield terminal.columns, repeated
        if len(self._proven) == len(self._terminals):
            return
        for terminal in self._terminals:
            if not len(terminal.probes):
                repeated = terminal.prove(values, before)
                if repeated.any():
                    yield terminal.columns, repeated
        self._proven = [terminal for terminal in self._terminals if len(terminal.probes)]
        self._probes = np.array([terminal.probes for terminal in self._proven], dtype=np.intp).reshape(-1)

    def _doubted(self, values: Floats, before: Floats) -> list[Columns]:
        """For each proven terminal the rows in which no probe moved, the repeated ones among them."""
        if not self._proven:
            return []
        probed = np.concatenate((before[:, self._probes], values[:, self._probes]))
        differs = probed[1:] != probed[:-1]
        # A missing value differs from itself: such frames are looked at more closely, too.
        differs &= probed[1:] == probed[1:]
        moved = differs[:, 0::PROBES] | differs[:, 1::PROBES]
        if moved.all():
            return [_NOWHERE] * len(self._proven)
        return [np.flatnonzero(~column) for column in moved.T]


class _Terminal:
    """One terminal: whether it has shown that it moves, and which frames are repeated since."""

    def __init__(self, channels: ChannelSet, columns: list[int], proof: int) -> None:
        self.columns = np.array(columns, dtype=np.intp)
        self._sized = np.array([channels[i].part != "angle" for i in columns])
        self._proof = proof
        self._credit = 0
        self.probes = _NOWHERE
        """The two columns that move most; none before the terminal has shown that it moves."""

    def repeated(self, values: Floats, before: Floats, doubted: Columns) -> Bools:
        """(n,) where a frame of (n, c) values is that of the row before, if at all in the `doubted` rows.

        `before` (1, c) is the row above the first.
        """
        now = values[np.ix_(doubted, self.columns)]
        then = values[np.ix_(doubted - 1, self.columns)]
        if doubted[0] == 0:
            then[0] = before[0, self.columns]
        changes, judged = self._changes(now, then)
        frames = np.zeros(len(values), dtype=bool)
        frames[doubted] = judged & (changes == 0)
        return frames

    def prove(self, values: Floats, before: Floats) -> Bools:
        """Gather credit; (n,) what is repeated after there is enough of it."""
        rows = np.concatenate((before[:, self.columns], values[:, self.columns]))
        changes, judged = self._changes(rows[1:], rows[:-1])
        steps = np.where(changes == 0, -PRICE, np.where(changes < MOVING, -self._proof, 1))
        steps[~judged] = 0
        # The sum of the steps that never falls below zero.
        total = self._credit + np.cumsum(steps)
        credit = total - np.minimum(0, np.minimum.accumulate(total))
        reached = np.flatnonzero(credit >= self._proof)
        if not len(reached):
            self._credit = int(credit[-1])
            return np.zeros(len(values), dtype=bool)
        moved = np.count_nonzero(rows[1:] != rows[:-1], axis=0) * ~np.isnan(rows[-1])
        self.probes = self.columns[np.argsort(-moved, kind="stable")[:PROBES]]
        frames: Bools = judged & (changes == 0)
        frames[: reached[0]] = False
        return frames

    def _changes(self, now: Floats, then: Floats) -> tuple[npt.NDArray[np.int64], Bools]:
        """(n,) how many of (n, k) values changed, and whether the frame can be judged by that."""
        there = ~np.isnan(now)
        changes = np.count_nonzero((now != then) & (there | ~np.isnan(then)), axis=1)
        magnitudes = there & self._sized
        zero = np.count_nonzero(magnitudes & (now == 0), axis=1)
        alive = 2 * zero <= np.count_nonzero(magnitudes, axis=1)
        return changes, alive & (np.count_nonzero(there, axis=1) >= FEWEST)
