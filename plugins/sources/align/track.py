"""The frames of one source on their way to the instants they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gridtop.api import Block, Quality

from .grid import SECOND, Grid, Integers

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.uint16]
Bools = npt.NDArray[np.bool_]
Labels = Mapping[str, npt.NDArray[np.str_]]

_SAME_RATE = 0.01
"""Rates that differ by a smaller share are one."""
_GOOD_PERIODS, _HELD_PERIODS = 1.5, 3.0
_LATE_SHOWN = 1.0
"""Seconds for which a frame that came too late is shown where nothing newer comes."""
_LATE = np.uint16(Quality.LATE)


class _Part(NamedTuple):
    """m frames: `instants` and `times` (m,), `values` and `quality` (m, c); quality may be None."""

    instants: Integers
    times: Integers
    values: Floats
    quality: Flags | None
    labels: Labels

    def cut(self, start: int, stop: int | None = None) -> _Part:
        part = slice(start, stop)
        return _Part(
            self.instants[part],
            self.times[part],
            self.values[part],
            None if self.quality is None else self.quality[part],
            {name: texts[part] for name, texts in self.labels.items()},
        )

    def chosen(self, rows: npt.NDArray[np.intp]) -> _Part:
        return _Part(
            self.instants[rows],
            self.times[rows],
            self.values[rows],
            None if self.quality is None else self.quality[rows],
            {name: texts[rows] for name, texts in self.labels.items()},
        )


class Track:
    """What has come of one source of `rate` frames a second, by the numbers of the instants of a grid.

    An instant takes the frame nearest to it, within half a period of the grid. A source slower than the grid
    is held: its newest value is good for one and a half of its periods, then late, and gone after `hold`
    seconds, or three of its periods if that is longer. With `certain`, nothing is concluded from the rate
    about frames that have not come.
    """

    def __init__(self, grid: Grid, rate: float, hold: float, certain: bool) -> None:
        self._grid, self._certain = grid, certain
        self._period = SECOND / rate
        ratio = rate / float(grid.rate)
        self.held = ratio < 1 - _SAME_RATE
        self._faster = ratio > 1 + _SAME_RATE
        self._good = round(_GOOD_PERIODS * self._period)
        self._gone = round(max(hold * SECOND, _HELD_PERIODS * self._period))
        self._oldest_late = round(hold * SECOND)
        self._shown = max(1, round(_LATE_SHOWN * float(grid.rate)))
        self._parts: list[_Part] = []
        self._tidy = True  # the parts are one, with one frame an instant
        self._late: tuple[int, _Part] | None = None  # up to which instant, and the frame
        self.newest: int | None = None
        """The instant of its last frame; None before the first."""
        self.reach: int | None = None
        """The last instant for which nothing more is to come; None when nothing is known."""
        self.labels: tuple[str, ...] = ()

    def put(self, instants: Integers, block: Block, following: int | None) -> tuple[int, int]:
        """Take in frames; `following` is the next instant that is given out.

        Returns how many came too late, and for how many instants the last of them was late (0: it was not).
        """
        part = _Part(instants, block.time.astype(np.int64), block.values, block.quality, block.labels)
        first, last = int(instants[0]), int(instants[-1])
        if self.newest is not None and first < self.newest:
            self._put_back(first)
        self.labels = self.labels or tuple(block.labels)
        self.newest, self.reach = last, self._reached(last, int(part.times[-1]))
        late = 0 if following is None else int(np.searchsorted(instants, following))
        self._tidy = False
        if not late or following is None:
            self._parts.append(part)
            return 0, 0
        # Frames without values that a silent source makes up are no late ones.
        count = int(np.count_nonzero(~np.isnan(part.values[:late]).all(axis=1)))
        if self.held:
            self._parts.append(part.cut(late - 1))
        else:
            age = (following - int(instants[late - 1])) * self._grid.period
            if count and age <= self._oldest_late:
                self._late = (following + self._shown, part.cut(late - 1, late))
            if late < len(instants):
                self._parts.append(part.cut(late))
        return count, following - last if late == len(instants) and count else 0

    def forget(self) -> None:
        """Nothing of what came counts any more."""
        self._parts.clear()
        self._late = self.newest = self.reach = None

    def forget_held(self) -> None:
        """From its last frame on there is nothing."""
        self.held, self._late = False, None

    def first_from(self, number: int) -> int | None:
        """The first instant from this one on for which there is something."""
        part = self._joined()
        at = 0 if part is None else int(np.searchsorted(part.instants, number))
        if part is not None and at < len(part.instants) and part.instants[at] == number:
            return number
        if self.held and part is not None and at > 0:
            time = int(self._grid.times(np.array([number], dtype=np.int64))[0])
            if time - int(part.times[at - 1]) <= self._gone:
                return number
        if self._late is not None and number <= self._late[0]:
            return number
        return int(part.instants[at]) if part is not None and at < len(part.instants) else None

    def place(self, numbers: Integers, times: Integers, values: Floats, flags: Flags) -> tuple[Bools, Bools]:
        """Fill in (n, c) values and flags for instants that follow each other, where there is something.

        Returns (n,) where there is something, and (n,) where it is good.
        """
        n = len(numbers)
        part = self._joined()
        if part is None:
            good = np.zeros(n, dtype=np.bool_)
            return self._place_late(numbers, n, good, values, flags), good
        rows = np.searchsorted(part.instants, numbers, side="right") - 1
        known = rows >= 0
        if not self.held:
            good = known & (part.instants[rows] == numbers)
            self._copy(part, rows, good, values, flags)
            # A frame that came too late is shown until there is a newer one.
            return self._place_late(
                numbers, int(known.argmax()) if known.any() else n, good, values, flags
            ), good
        age = times - part.times[rows]
        there = known & (age <= self._gone)
        good = there & (age <= self._good)
        self._copy(part, rows, there, values, flags)
        late = there & ~good
        if late.any():
            flags[late] |= np.where(np.isnan(values[late]), np.uint16(0), _LATE)
        return there, good

    def label(self, name: str, numbers: Integers) -> npt.NDArray[np.str_]:
        """(n,) the text of a label at those instants that have a frame of their own, else empty."""
        part = self._joined()
        if part is None or name not in part.labels:
            return np.zeros(len(numbers), dtype="U1")
        rows = np.searchsorted(part.instants, numbers, side="right") - 1
        own = (rows >= 0) & (part.instants[rows] == numbers)
        texts: npt.NDArray[np.str_] = np.where(own, part.labels[name][rows], "")
        return texts

    def passed(self, number: int) -> None:
        """Instants before this one have been given out."""
        part = self._joined()
        newer = False
        if part is not None:
            at = int(np.searchsorted(part.instants, number))
            newer = at > 0
            keep = max(0, at - 1) if self.held else at
            self._parts = [part.cut(keep)] if keep < len(part.instants) else []
        if self._late is not None and (newer or number > self._late[0]):
            self._late = None

    def _reached(self, last: int, time: int) -> int:
        if self._certain or self._faster:
            return last - 1
        if self.held:
            return max(last, self._grid.number_at(time + round(self._period)) - 1)
        return last

    def _put_back(self, first: int) -> None:
        """Its clock was put back: what is there from then on was by the clock that was wrong."""
        part = self._joined()
        if part is not None:
            at = int(np.searchsorted(part.instants, first))
            self._parts = [part.cut(0, at)] if at else []

    def _joined(self) -> _Part | None:
        """All frames that wait, in one piece, one an instant."""
        parts = self._parts
        if not parts:
            return None
        part = parts[0]
        if self._tidy:
            return part
        if len(parts) > 1:
            quality = None
            if any(each.quality is not None for each in parts):
                quality = np.concatenate([_flags(each) for each in parts])
            part = _Part(
                np.concatenate([each.instants for each in parts]),
                np.concatenate([each.times for each in parts]),
                np.concatenate([each.values for each in parts]),
                quality,
                {name: np.concatenate([_texts(each, name) for each in parts]) for name in self.labels},
            )
        elif part.labels.keys() != set(self.labels):
            part = part._replace(labels={name: _texts(part, name) for name in self.labels})
        part = self._nearest(part)
        self._parts, self._tidy = [part], True
        return part

    def _nearest(self, part: _Part) -> _Part:
        """Of several frames for one instant the one nearest to it, the first of two as near."""
        new = np.diff(part.instants, prepend=part.instants[0] - 1) != 0
        if new.all():
            return part
        starts = np.flatnonzero(new)
        apart = np.abs(part.times - self._grid.times(part.instants))
        least = np.repeat(np.minimum.reduceat(apart, starts), np.diff(starts, append=len(new)))
        rows = np.flatnonzero(apart == least)
        return part.chosen(rows[np.diff(part.instants[rows], prepend=part.instants[0] - 1) != 0])

    def _copy(
        self, part: _Part, rows: npt.NDArray[np.intp], where: Bools, values: Floats, flags: Flags
    ) -> None:
        first, n = int(rows[0]), len(rows)
        if where.all() and int(rows[-1]) - first == n - 1 and (np.diff(rows) == 1).all():
            values[:] = part.values[first : first + n]
            flags[:] = 0 if part.quality is None else part.quality[first : first + n]
        elif where.any():
            chosen = rows[where]
            values[where] = part.values[chosen]
            flags[where] = 0 if part.quality is None else part.quality[chosen]

    def _place_late(self, numbers: Integers, before: int, good: Bools, values: Floats, flags: Flags) -> Bools:
        """Show a late frame at the first `before` instants; returns (n,) where there is something now."""
        if self._late is None or not before:
            return good
        until, part = self._late
        late = np.arange(len(numbers)) < before
        late &= numbers <= until
        values[late] = part.values[0]
        flags[late] = _flags(part)[0] | np.where(np.isnan(part.values[0]), np.uint16(0), _LATE)
        return good | late


def _flags(part: _Part) -> Flags:
    return np.zeros(part.values.shape, np.uint16) if part.quality is None else part.quality


def _texts(part: _Part, name: str) -> npt.NDArray[np.str_]:
    texts = part.labels.get(name)
    return np.zeros(len(part.instants), dtype="U1") if texts is None else texts
