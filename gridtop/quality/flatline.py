"""Flat lines: channels whose value stands still while their neighbours move.

The stream is cut into slots of a quarter of a second at fixed row numbers, so that blocks do not matter. A
channel stands still in a slot when no frame differs from the one before. Slots are what is counted; that a
value moves again is seen in the frame itself.
"""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from gridtop.blocks import Floats
from gridtop.channels import Channel, ChannelSet
from gridtop.quality.status_words import MESSENGERS

Bools = npt.NDArray[np.bool_]
Columns = npt.NDArray[np.intp]
Counts = npt.NDArray[np.int64]

_BEFORE = -1
"""The index of a slot or frame that came before this block."""

SLOT_S = 0.25
UNKNOWN_RATE = 30.0
"""Frames per second of a stream that does not say."""
STEPS = 4
"""A neighbour moves when it covers so many of its smallest steps: a flickering last digit is no motion."""
RESTLESS = 0.75
"""And it differs from one slot to the next in this share of them: a switched feeder is a step, not motion."""
DEAD_SHARE = 1e-3
"""A magnitude below this share of its largest neighbour's is as good as zero: the rest of a dead circuit."""
PATIENCE = 3
"""A channel that has paused before must stand still so many times longer than that."""


class Flatline:
    """Watches every channel that has neighbours: others of the same quantity, part and kind of phase.

    A channel is flat-lined when all of this holds at the end of a slot, until its value changes:

    - it has stood still for `after`, and for three times its longest earlier pause shorter than that;
    - its value is not zero, which is what an open line or a balanced system shows: exactly, or for a
      magnitude below a thousandth of its largest neighbour's;
    - of its neighbours that have a value other than zero, at least half have moved in the meantime.

    What has no value stands for a change.
    """

    def __init__(self, channels: ChannelSet, after: timedelta) -> None:
        rate = channels.rate or UNKNOWN_RATE
        self._slot = max(1, round(SLOT_S * rate))
        self._enough = max(2, math.ceil(after.total_seconds() * rate / self._slot))
        kinds = [_kind(channel) for channel in channels]
        watched = [i for i, kind in enumerate(kinds) if kind is not None and kinds.count(kind) > 1]
        self._watched = np.array(watched if after else [], dtype=np.intp)
        names = sorted({str(kinds[i]) for i in watched})
        group = [names.index(str(kinds[i])) for i in self._watched]
        self._group = np.array(group, dtype=np.intp)
        self._has_size = np.array([channels[i].part == "magnitude" for i in self._watched], dtype=bool)
        width = len(self._watched)
        self._last = np.full(len(channels), np.nan)
        self._moved = np.zeros(width, dtype=bool)  # so far in the slot that is not complete
        self._still = np.zeros(width, dtype=np.int64)
        self._pause = np.zeros(width, dtype=np.int64)
        self._smallest = np.full(width, np.inf)
        self._flat = np.zeros(width, dtype=bool)
        self._samples = np.full((self._enough, width), np.nan)

    def find(self, row: int, values: Floats) -> tuple[Columns, Bools] | None:
        """Of (n, c) values, the first in row `row`: the flat columns (k,), and where they are flat (n, k)."""
        n = len(values)
        if not n or not len(self._watched):
            return None
        changed = np.empty(values.shape, dtype=bool)
        np.not_equal(values[1:], values[:-1], out=changed[1:])
        np.not_equal(values[0], self._last, out=changed[0])
        self._last = values[-1].copy()

        starts = np.concatenate(([0], np.arange(self._slot - row % self._slot, n, self._slot)))
        moved = self._any_per_slot(changed, starts)[:, self._watched]
        moved_before, moved[0] = self._moved, moved[0] | self._moved
        flat_before = [self._flat]
        whole = len(starts) - (1 if (row + n) % self._slot else 0)
        if whole:
            ends = np.append(starts, n)[1 : whole + 1] - 1
            flat = self._judge(moved[:whole], values[np.ix_(ends, self._watched)])
            flat_before.append(flat[: len(starts) - 1])
        self._moved = moved[-1] if whole < len(starts) else np.zeros_like(self._moved)
        return self._frames(np.vstack(flat_before), moved_before, changed, starts)

    def _any_per_slot(self, changed: Bools, starts: Columns) -> Bools:
        """(m, c) of (n, c): whether something changed in each slot; six times as fast as `reduceat`."""
        moved = np.empty((len(starts), changed.shape[1]), dtype=bool)
        moved[0] = changed[: starts[1] if len(starts) > 1 else None].any(axis=0)
        whole = len(starts) - 2
        if whole > 0:
            inner = changed[starts[1] : starts[-1]].reshape(whole, self._slot, -1)
            inner.any(axis=1, out=moved[1:-1])
        if len(starts) > 1:
            moved[-1] = changed[starts[-1] :].any(axis=0)
        return moved

    def _judge(self, moved: Bools, samples: Floats) -> Bools:
        """(m, w) which columns are flat at the end of m complete slots.

        `moved` (m, w) says whether they did in a slot, `samples` (m, w) are the values it ends with.
        """
        history = np.vstack((self._samples, samples))
        steps = np.abs(np.diff(history[-len(moved) - 1 :], axis=0))
        steps[~(steps > 0)] = np.inf
        flat = np.zeros_like(moved)
        # Nearly every column moves in every slot and needs no closer look.
        quiet = np.flatnonzero(~moved.all(axis=0))
        still, self._still = self._still, np.zeros_like(self._still)
        ended = moved[0] & (still < self._enough)
        self._pause = np.where(ended, np.maximum(self._pause, still), self._pause)
        if len(quiet):
            last_moved, runs, pause = self._pauses(moved[:, quiet], still[quiet], self._pause[quiet])
            own = samples[:, quiet]
            long = (runs >= self._enough) & (runs >= PATIENCE * pause) & np.isfinite(own) & (own != 0)
            if long.any():
                long &= self._neighbours_move(quiet, long.any(axis=0), history, samples, steps)
            index = np.arange(len(moved))[:, np.newaxis]
            last_long = np.maximum.accumulate(np.where(long, index, _BEFORE), axis=0)
            flat[:, quiet] = (last_long > last_moved) | (self._flat[quiet] & (last_moved == _BEFORE))
            self._still[quiet], self._pause[quiet] = runs[-1], pause[-1]
        self._smallest = np.minimum(self._smallest, steps.min(axis=0))
        self._flat, self._samples = flat[-1], history[-self._enough :]
        return flat

    def _pauses(self, moved: Bools, still: Counts, pause: Counts) -> tuple[Counts, Counts, Counts]:
        """Three of (m, q) of some columns: the last slot in which they moved, how many slots they have stood
        still at the end of each, and their longest pause so far."""
        index = np.arange(len(moved))[:, np.newaxis]
        last_moved = np.maximum.accumulate(np.where(moved, index, _BEFORE), axis=0)
        runs = index - last_moved + np.where(last_moved == _BEFORE, still, 0)
        before = np.vstack((still, runs[:-1]))
        ended = np.where(moved & (before < self._enough), before, 0)
        return last_moved, runs, np.maximum.accumulate(np.vstack((pause, ended)), axis=0)[1:]

    def _neighbours_move(
        self, quiet: Columns, in_question: Bools, history: Floats, samples: Floats, steps: Floats
    ) -> Bools:
        """(m, q) where at least half of the neighbours of the quiet columns have moved."""
        move = np.zeros((len(samples), len(quiet)), dtype=bool)
        for group in np.unique(self._group[quiet[in_question]]):
            members = np.flatnonzero(self._group == group)
            windows = sliding_window_view(history[1:, members], self._enough, axis=0)
            spans = np.ptp(windows, axis=-1)
            restless = np.mean(windows[..., 1:] != windows[..., :-1], axis=-1) >= RESTLESS
            smallest = np.minimum.accumulate(np.vstack((self._smallest[members], steps[:, members])), axis=0)[
                1:
            ]
            # A hair less than so many steps: differences of decimals are not exact.
            lively = np.count_nonzero(restless & (spans >= 0.999 * STEPS * smallest), axis=1)
            own = samples[:, members]
            others = np.count_nonzero(np.isfinite(own) & (own != 0), axis=1) - 1
            enough = (lively > 0) & (2 * lively >= others)
            concerned = np.flatnonzero(self._group[quiet] == group)
            columns = quiet[concerned]
            dead = DEAD_SHARE * np.fmax.reduce(np.abs(own), axis=1)[:, np.newaxis]
            alive = ~self._has_size[columns] | (np.abs(samples[:, columns]) >= dead)
            move[:, concerned] = enough[:, np.newaxis] & alive
        return move

    def _frames(
        self, flat: Bools, moved_before: Bools, changed: Bools, starts: Columns
    ) -> tuple[Columns, Bools] | None:
        """The columns that were `flat` before some slot (m, w), and where they have not changed since."""
        if not flat.any():
            return None
        chosen = np.flatnonzero(flat.any(axis=0))
        columns, n = self._watched[chosen], len(changed)
        slot = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, n)))
        index = np.arange(n)[:, np.newaxis]
        last = np.maximum.accumulate(np.where(changed[:, columns], index, _BEFORE), axis=0)
        same = last < starts[slot][:, np.newaxis]
        same &= (slot[:, np.newaxis] > 0) | ~moved_before[chosen]
        return columns, flat[slot][:, chosen] & same


def _kind(channel: Channel) -> str | None:
    """What makes channels neighbours; None of those that may stand still or mean nobody knows what."""
    if channel.quantity in (*MESSENGERS, "other", "") or channel.part == "status":
        return None
    sequence = channel.phase if channel.phase in ("-", "0") else ""
    return "/".join((channel.quantity, channel.part, channel.unit, sequence))
