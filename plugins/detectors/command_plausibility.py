"""Plausible breaker commands: a line that opens without a fault before it and without an operator."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from gridtop.api import Block, ChannelSet, Duration, Scores, Settings, Site

from .breaker_evidence import BACK_S, lines_of, terminals_of

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

UNKNOWN_RATE = 30.0
"""Frames per second assumed of a stream that does not say."""

ALIVE = 0.5
"""Per unit: a bus with less is dead, so that a current of nothing says nothing about a breaker."""
_FALL = 3
"""Frames within which the current of an opening breaker falls: a PMU's filter spreads it over two cycles."""
_CHAIN_NS = 2_000_000_000
"""Openings so close after one another have one cause: the first end, the far end, backup protection."""
_FAR_END_NS = 1_500_000_000
"""Within this an operator's entry at the other end of the line explains this end too."""


class CommandPlausibility:
    """Scores each terminal's breaker: 1 is an opening that nothing explains, 0 is that all is well.

    A breaker opens when the current falls within three frames from above `carried` to below `open` of the
    rated one and stays there for `settle` while the bus is alive. What is left at a closed end is the line's
    charging current. Where `site.terminals.*.breaker` names a status channel, its fall to 0 says the same.

    What explains it: a short circuit up to `before` before the opening, or before the first of several
    openings within two seconds (the far end, backup protection); or an entry in the operator's log within
    `tolerance`, or at the other end of the line within 1.5 s. The verdict comes when `wait` is over, for
    logs are late, and stands for `hold`.
    """

    wants: ClassVar[tuple[str, ...]] = ("*", "*:fault")

    class Config(Settings):
        """Settings of the command check."""

        carried: float = Field(0.15, gt=0, lt=1, description="current before, as a share of the rated one")
        open: float = Field(
            0.03, gt=0, lt=1, description="current of an open breaker, as a share of the rated"
        )
        settle: Duration = Field("200ms", validate_default=True, description="how long it must stay open")
        before: Duration = Field(
            "500ms", validate_default=True, description="how long a fault explains an opening"
        )
        tolerance: Duration = Field(
            "500ms", validate_default=True, description="how wrong the clocks of logs are"
        )
        wait: Duration = Field("1s", validate_default=True, description="from the opening to the verdict")
        hold: Duration = Field("2s", validate_default=True, description="how long the score stands")
        operator_logs: tuple[str, ...] = Field(("control_panel*",), description="log channels of operators")
        command_logs: tuple[str, ...] = Field(
            ("snort*",), description="log channels that see commands on the network"
        )

    def __init__(self, config: Config, channels: ChannelSet, site: Site) -> None:
        self._config = config
        self._rate = channels.rate or UNKNOWN_RATE
        self._clock = channels.clock
        self._terminals = terminals_of(
            channels, site, config.carried, config.open, config.operator_logs, config.command_logs
        )
        if not self._terminals:
            raise ValueError(
                "no terminal has phase currents and a rated current "
                "(site.lines.*.rating or site.nominal.current)"
            )
        self.outputs = tuple(f"{terminal.name}:command" for terminal in self._terminals)
        self._lines = lines_of(channels, site)
        self._fault_columns = [i for i, channel in enumerate(channels) if channel.quantity == "fault"]
        self._history = round(max(BACK_S) * self._rate) + _FALL
        self._kept: Floats | None = None
        self._entries: dict[int, deque[int]] = {
            column: deque(maxlen=64) for terminal in self._terminals for column in terminal.logs
        }
        self._faults: deque[tuple[int, str]] = deque(maxlen=4096)
        self._openings: deque[tuple[int, int]] = deque(maxlen=256)
        self._pending: list[_Opening | None] = [None] * len(self._terminals)
        self._verdicts: list[_Verdict | None] = [None] * len(self._terminals)

    def score(self, block: Block) -> Scores:
        """(n, T) scores, one for each terminal with phase currents."""
        time = block.time.astype("datetime64[ns]", copy=False).view(np.int64)
        joined = self._join(block.values)
        self._note_logs(joined, time)
        self._note_faults(joined, time)
        current = np.stack([terminal.current(joined) for terminal in self._terminals])
        voltage = np.stack([terminal.voltage(joined) for terminal in self._terminals])
        score = np.where(np.isnan(current[:, self._history :]), np.nan, 0.0).T
        notes: dict[int, dict[int, str]] = {}
        starts = self._starts(current, voltage, joined)
        # Openings of all terminals in order of time, so that the first of a chain is known to the others.
        busy = [t for t in range(len(self._terminals)) if self._pending[t] or self._verdicts[t]]
        for frame in self._busy_frames(starts, busy, len(block)):
            self._step(frame, int(time[frame]), block.row + frame, current, starts, score, notes)
        texts = {
            self.outputs[t]: [said.get(frame, "") for frame in range(len(block))] for t, said in notes.items()
        }
        return Scores(score, note=texts or None)

    def _busy_frames(self, starts: Bools, busy: Sequence[int], n: int) -> Iterable[int]:
        """The frames at which anything may have to be done: all of them once something is going on."""
        if busy:
            yield from range(n)
            return
        first = np.flatnonzero(starts.any(axis=0))
        if len(first):
            yield from range(int(first[0]), n)

    def _step(
        self,
        frame: int,
        now: int,
        row: int,
        current: Floats,
        starts: Bools,
        score: Floats,
        notes: dict[int, dict[int, str]],
    ) -> None:
        for t, terminal in enumerate(self._terminals):
            opening = self._pending[t]
            if opening is None and starts[t, frame]:
                opening = self._pending[t] = _Opening(now, row)
            if opening is None:
                continue
            level = current[t, self._history + frame]
            if level >= terminal.open_level and now - opening.time <= _ns(self._config.settle):
                self._pending[t] = None  # the current only swung through nothing
                continue
            if not opening.settled and now - opening.time >= _ns(self._config.settle):
                opening.settled = True
                self._openings.append((opening.time, t))
            if now - opening.time >= _ns(self._config.wait):
                self._pending[t] = None
                self._verdicts[t] = self._judge(t, opening, now)
        for t, verdict in enumerate(self._verdicts):
            if verdict is None:
                continue
            if now > verdict.until:
                self._verdicts[t] = None
                continue
            score[frame, t] = verdict.score
            if verdict.score > 0:
                notes.setdefault(t, {})[frame] = verdict.note

    def _judge(self, t: int, opening: _Opening, now: int) -> _Verdict:
        terminal = self._terminals[t]
        said = f"{terminal.name} opened {self._instant(opening)}"
        until = now + _ns(self._config.hold)
        origin = self._origin(opening.time)
        if fault := self._fault_before(origin, opening.time):
            return _Verdict(0.0, until, f"{said} after a fault ({fault})")
        tolerance = _ns(self._config.tolerance)
        if self._entered(terminal.operator, opening.time, tolerance, now):
            return _Verdict(0.0, until, f"{said} by the operator")
        if self._entered(terminal.far_operator, opening.time, _FAR_END_NS, now):
            return _Verdict(0.0, until, f"{said}, as did the operator at the other end")
        by_command = self._entered(terminal.command, opening.time, tolerance, now)
        if not terminal.operator:
            seen = "a command to it was seen" if by_command else "no logs to consult"
            return _Verdict(1.0 if by_command else 0.5, until, f"{said} without a fault before it; {seen}")
        reason = f"{said} without a fault before it and without an entry in the operator's log"
        if by_command:
            return _Verdict(1.0, until, f"{reason}; a command to it was seen on the network")
        if self._entered(terminal.relay, opening.time, tolerance, now):
            return _Verdict(0.9, until, f"{reason}; its relay noted the trip")
        return _Verdict(0.7, until, f"{reason}, or in any other")

    def _origin(self, time: int) -> int:
        """When the first opening of the chain that this one belongs to came."""
        first = time
        for earlier, _ in sorted(self._openings, reverse=True):
            if earlier <= first and first - earlier <= _CHAIN_NS:
                first = earlier
        return first

    def _fault_before(self, origin: int, opening: int) -> str:
        first = origin - _ns(self._config.before)
        return next((where for time, where in self._faults if first <= time <= opening), "")

    def _entered(self, columns: Iterable[int], time: int, tolerance: int, now: int) -> bool:
        return any(abs(at - time) <= tolerance and at <= now for c in columns for at in self._entries[c])

    def _instant(self, opening: _Opening) -> str:
        if self._clock != "utc":
            return f"at row {opening.row}"
        return str(np.datetime64(opening.time // 1_000_000, "ms"))[11:21]

    def _join(self, values: Floats) -> Floats:
        """(history + n, c) the values behind those of the frames before."""
        if self._kept is None:
            self._kept = np.full((self._history, values.shape[1]), np.nan)
        joined = np.concatenate((self._kept, values))
        self._kept = joined[len(joined) - self._history :].copy()
        return joined

    def _note_logs(self, joined: Floats, time: npt.NDArray[np.int64]) -> None:
        """Remember when a log began to have an entry."""
        for column, entries in self._entries.items():
            series = joined[self._history - 1 :, column]
            edges = (series[1:] > 0.5) & ~(series[:-1] > 0.5)
            entries.extend(int(time[frame]) for frame in np.flatnonzero(edges))

    def _note_faults(self, joined: Floats, time: npt.NDArray[np.int64]) -> None:
        """Remember when something looked like a short circuit."""
        seen = [(line.name, line.fault(joined, self._history, self._rate)) for line in self._lines]
        in_lines = {end for line in self._lines for end in line.ends}
        seen += [
            (terminal.name, terminal.fault(joined, self._history, self._rate))
            for terminal in self._terminals
            if terminal.name not in in_lines
        ]
        for name, frames in seen:
            self._faults.extend((int(time[frame]), name) for frame in np.flatnonzero(frames))
        # The quantity may follow the opening itself, by the outage of a neighbour: it counts two frames late.
        shift = joined[self._history - 2 : len(joined) - 2, self._fault_columns] > 0.5
        self._faults.extend((int(time[frame]), "seen before") for frame in np.flatnonzero(shift.any(axis=1)))

    def _starts(self, current: Floats, voltage: Floats, joined: Floats) -> Bools:
        """(T, n) where the current has just fallen to nothing, or the breaker's status to 0."""
        n = current.shape[1] - self._history
        starts = np.zeros((len(self._terminals), n), dtype=np.bool_)
        for t, terminal in enumerate(self._terminals):
            now, before = current[t, self._history :], current[t, self._history - 1 : -1]
            carried = np.full(n, -np.inf)
            for lag in range(1, _FALL + 1):
                carried = np.fmax(carried, current[t, self._history - lag : current.shape[1] - lag])
            alive = voltage[t, self._history :] > ALIVE
            alive |= np.isnan(voltage[t, self._history :])
            starts[t] = (now < terminal.open_level) & ~(before < terminal.open_level)
            starts[t] &= (carried > terminal.carried_level) & alive
            if terminal.status >= 0:
                status = joined[self._history - 1 :, terminal.status]
                starts[t] |= (status[1:] == 0) & (status[:-1] > 0.5) & (now < terminal.carried_level)
        return starts


@dataclass(slots=True)
class _Opening:
    time: int
    row: int
    settled: bool = False


@dataclass(frozen=True, slots=True)
class _Verdict:
    score: float
    until: int
    note: str


def _ns(duration: timedelta) -> int:
    """A duration in whole nanoseconds."""
    return duration // timedelta(microseconds=1) * 1000
