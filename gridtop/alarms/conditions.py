"""Which alarm conditions hold in which row: limits, gates, inhibition and delays, on arrays.

Nearly always nothing exceeds anything, and a block costs two comparisons. Only lanes in trouble (a limit
exceeded, a delay running, an alarm active) are looked at closer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.alarms.lanes import LaneTable
from gridtop.alarms.saved import from_number, number
from gridtop.alarms.timing import BEFORE, Bools, Integers, Lanes, Progress, Runs, Samples, held
from gridtop.blocks import Floats

Severities = npt.NDArray[np.int8]
"""0 normal, 1 warning, 2 critical."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Some lanes that are active, or were, in some of n rows.

    lanes     (k,)        which
    severity  (n + 1, k)  in the row before the block, then in each of its rows
    rise      (n, 2, k)   since when the limits are exceeded
    turned    (n, k)      values as the thresholds see them, larger is worse; NaN where a rule does not look
    closed    (n, k)      where the gate is closed
    silenced  (n, k)      0, 1 or 2: of a normal lane, the level that is exceeded while another rule's alarm
                          inhibits it; None where that was so of no lane, now or before
    """

    lanes: Lanes
    severity: Severities
    rise: Progress
    turned: Floats
    closed: Bools
    silenced: Severities | None = None

    @property
    def changed(self) -> Bools:
        """(n, k) where the severity is not that of the row before."""
        changed: Bools = self.severity[1:] != self.severity[:-1]
        return changed


class Conditions:
    """The state of every lane, from one block to the next.

    `inhibitors` are, for each lane, the lanes that silence it while they are active; `silence` is the
    longest time between two good samples that a delay survives, in nanoseconds.
    """

    def __init__(self, table: LaneTable, inhibitors: Sequence[Lanes], channels: int, silence: int) -> None:
        self._table, self._inhibitors, self._silence = table, inhibitors, silence
        lower, upper = table.bounds(channels)
        first, last = table.columns.min(initial=channels), table.columns.max(initial=-1)
        self._watched = slice(first, last + 1)
        self._position = table.columns - first
        self._lower, self._upper = lower[self._watched], upper[self._watched]
        ranks = np.array([lane.rank for lane in table.lanes], dtype=np.intp)
        self._ranks = [np.flatnonzero(ranks == rank) for rank in range(ranks.max(initial=-1) + 1)]
        self._gated = np.array([bool(lane.gate_columns) for lane in table.lanes], dtype=bool)
        self._inhibits = np.zeros(len(table), dtype=bool)
        for others in inhibitors:
            self._inhibits[others] = True

        self._above, self._back = Runs(len(table)), Runs(len(table))
        self._set = np.zeros((2, len(table)), dtype=bool)
        self._last_good = np.zeros(len(table), dtype=np.int64)
        self._carried = np.zeros(len(table), dtype=bool)
        # Of lanes that are or were silenced: which limits the latest good sample exceeds, and its value.
        self._over = np.zeros((2, len(table)), dtype=bool)
        self._inhibitable = np.array([len(others) > 0 for others in inhibitors], dtype=bool)
        self.newest = np.full(len(table), np.nan)
        """(k,) the latest good sample of lanes that others may inhibit, while they exceed a limit."""

    def judge(
        self, row: int, time: Integers, values: Floats, good_values: Floats | None = None
    ) -> Iterator[Verdict]:
        """What happened in a block: its first row's number, time (n,) in nanoseconds, values (n, c).

        `good_values` are the same without the doubtful ones, which are NaN; None when none is doubtful.
        Lanes in which nothing is or was active are left out.
        """
        good_values = values if good_values is None else good_values
        busy = self._busy(values)
        if busy is None:
            return
        active_rows: dict[int, Bools] = {}
        for rank in self._ranks:
            lanes = rank[busy[rank]]
            if len(lanes):
                verdict = self._judge(lanes, row, time, values, good_values, active_rows)
                if verdict is not None:
                    active = verdict.severity[1:] > 0
                    for i in np.flatnonzero(self._inhibits[lanes]):
                        active_rows[int(lanes[i])] = active[:, i]
                    yield verdict
        self._carried = np.any(self._above.running | self._set | self._over, axis=0)

    @property
    def carried(self) -> Lanes:
        """The lanes whose future depends on what was seen: a run, an active level, a limit exceeded."""
        return np.flatnonzero(self._carried)

    def is_carried(self, lane: int) -> bool:
        """Whether a lane is among them."""
        return bool(self._carried[lane])

    def saved(self, lane: int) -> dict[str, Any]:
        """What is known of a lane, for JSON."""
        return {
            "above": self._above.saved(lane),
            "back": self._back.saved(lane) if self._set[:, lane].any() else [None, None],
            "set": self._set[:, lane].tolist(),
            "over": self._over[:, lane].tolist(),
            "good": int(self._last_good[lane]),
            "newest": number(self.newest[lane]),
        }

    def restore(self, lane: int, state: Mapping[str, Any]) -> None:
        """Go on with what `saved` said."""
        self._above.restore(lane, state["above"])
        self._back.restore(lane, state["back"])
        self._set[:, lane] = state["set"]
        self._over[:, lane] = state["over"]
        self._last_good[lane] = state["good"]
        self.newest[lane] = from_number(state["newest"])
        self._carried[lane] = True

    def _busy(self, values: Floats) -> Bools | None:
        """(k,) lanes that may exceed a limit here or carry something from before, None for none."""
        values = values[:, self._watched]
        too_high, too_low = values >= self._upper, values <= self._lower
        if too_high.any() or too_low.any():
            columns: Bools = np.any(too_high | too_low, axis=0)
            busy: Bools = columns[self._position] | self._carried
            return busy
        return self._carried if self._carried.any() else None

    def _judge(
        self,
        lanes: Lanes,
        row: int,
        time: Integers,
        values: Floats,
        good_values: Floats,
        active_rows: dict[int, Bools],
    ) -> Verdict | None:
        """Some lanes of one rank. `active_rows` (n,) say when lanes of lower ranks are active."""
        table = self._table
        raw = values[:, table.columns[lanes]]
        if good_values is not values:
            raw = np.where(table.needs_good[lanes], good_values[:, table.columns[lanes]], raw)
        turned = table.turned(raw, lanes)
        closed, unknown = self._gates(lanes, values, good_values)
        turned[closed | unknown | ~np.isfinite(turned)] = np.nan
        exceeds = turned[:, None] >= table.limits[:, lanes]
        back = (turned[:, None] < table.clears[:, lanes]) | closed[:, None]
        inhibited = self._inhibited(lanes, len(time), active_rows)[:, None]

        good = closed | ~np.isnan(turned)
        samples = Samples.of(time, row, good, self._last_good[lanes], self._silence)
        latest = samples.latest[0]
        self._last_good[lanes] = np.where(latest == BEFORE, self._last_good[lanes], time[latest])
        silenced = self._silenced(lanes, raw, samples, exceeds, inhibited)
        rise = self._above.extend(
            lanes,
            samples,
            inside=exceeds & ~inhibited,
            ends=(samples.good & ~exceeds) | inhibited,
            delay=table.on_delay[:, lanes],
            count=table.consecutive[:, lanes],
        )
        before = self._set[:, lanes]
        if not (before.any() or rise.ready.any()):
            # Being back inside only matters to lanes that are active, and what makes a lane active
            # ends its run of being back.
            if silenced is None:
                return None
            calm = np.zeros((len(time) + 1, len(lanes)), dtype=np.int8)
            return Verdict(lanes, calm, rise, turned, closed, silenced)
        fall = self._back.extend(
            lanes, samples, inside=back, ends=samples.good & ~back, delay=table.off_delay[:, lanes]
        )
        sets = rise.ready.copy()
        sets[:, 0] |= sets[:, 1] & table.has_warning[lanes]
        after = held(sets, fall.ready, before)
        self._set[:, lanes] = after[-1]
        severity = _severity(np.concatenate((before[None], after)))
        if silenced is not None:
            silenced[severity[1:] > 0] = 0
        return Verdict(lanes, severity, rise, turned, closed, silenced)

    def _silenced(
        self, lanes: Lanes, raw: Floats, samples: Samples, exceeds: Bools, inhibited: Bools
    ) -> Severities | None:
        """(n, k) the level that the latest good sample exceeds while a lane is inhibited; None for nowhere.

        To be called before the runs are extended: they know what was exceeded when the block began.
        """
        may = self._inhibitable[lanes]
        if not may.any():
            return None
        latest = samples.latest[0]
        newest = np.take_along_axis(raw, np.maximum(latest, 0)[None], axis=0)[0]
        self.newest[lanes] = np.where(latest == BEFORE, self.newest[lanes], newest)
        if not (inhibited.any() or self._over[:, lanes].any()):
            return None
        before = (self._above.running[:, lanes] | self._over[:, lanes]) & may
        over = held(exceeds & may, samples.good & ~exceeds, before)
        self._over[:, lanes] = over[-1]
        silenced = _severity(over)
        silenced[~inhibited[:, 0]] = 0
        return silenced

    def _gates(self, lanes: Lanes, values: Floats, good_values: Floats) -> tuple[Bools, Bools]:
        """(n, k) where the gate is closed, and where nobody knows whether it is."""
        closed = np.zeros((len(values), len(lanes)), dtype=bool)
        unknown = np.zeros_like(closed)
        for i in np.flatnonzero(self._gated[lanes]):
            lane = self._table.lanes[lanes[i]]
            judged = good_values if self._table.needs_good[lanes[i]] else values
            gate = judged[:, list(lane.gate_columns)]
            lowest, highest = lane.gate_bounds
            closed[:, i] = ((gate < lowest) | (gate > highest)).any(axis=1)
            unknown[:, i] = np.isnan(gate).any(axis=1) & ~closed[:, i]
        return closed, unknown

    def _inhibited(self, lanes: Lanes, rows: int, active_rows: dict[int, Bools]) -> Bools:
        """(n, k) where an active alarm of another rule silences a lane."""
        inhibited = np.zeros((rows, len(lanes)), dtype=bool)
        if active_rows:
            for i, lane in enumerate(lanes):
                for other in self._inhibitors[lane]:
                    if other in active_rows:
                        inhibited[:, i] |= active_rows[other]
        return inhibited


def _severity(levels: Bools) -> Severities:
    """(n, k) the worse of the two levels of (n, 2, k)."""
    severity: Severities = np.where(levels[:, 1], 2, levels[:, 0]).astype(np.int8)
    return severity
