"""The alarm rules again, slow and obvious: one plain loop over rows, rules, channels and directions.

Written from docs/alarms.md alone and sharing no code with the engine; the property tests hold it against it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

SECOND = 1_000_000_000


@dataclass(frozen=True)
class ReferenceRule:
    """A rule with everything spelt out: limits {direction: {level: limit}}, delays in nanoseconds."""

    name: str
    columns: tuple[int, ...]
    limits: dict[str, dict[str, float]]
    deadband: float = 0.0
    on_delay: dict[str, int] = field(default_factory=lambda: {"warning": 0, "critical": 0})
    off_delay: dict[str, int] = field(default_factory=lambda: {"warning": 0, "critical": 0})
    consecutive: dict[str, int] = field(default_factory=lambda: {"warning": 1, "critical": 1})
    gate: tuple[dict[int, tuple[int, ...]], float, float] | None = None
    """For each column the columns of its gate, and the bounds between which it is open."""
    inhibit_if: tuple[str, ...] = ()
    latch: bool = False
    quality: str = "good"
    """good: doubtful values are missing; any: they are values like others."""


@dataclass
class Timer:
    since: int | None = None
    since_row: int | None = None
    samples: int = 0

    def stop(self) -> None:
        self.since, self.since_row, self.samples = None, None, 0

    def go_on(self, time: int, row: int) -> None:
        if self.since is None:
            self.since, self.since_row = time, row
        self.samples += 1

    def lasted(self, time: int) -> int:
        return -1 if self.since is None else time - self.since


@dataclass
class LevelState:
    active: bool = False
    on: Timer = field(default_factory=Timer)
    off: Timer = field(default_factory=Timer)


@dataclass
class AlarmState:
    levels: dict[str, LevelState]
    last_good: int | None = None
    severity: str = ""
    since_row: int | None = None
    held: str = ""
    """latched or returned: the condition is gone, and nobody has seen it."""
    exceeded: dict[str, bool] = field(default_factory=dict)
    """Whether the latest good sample exceeds the limit of a level."""
    inhibited: bool = False

    def shown(self) -> tuple[str, str] | None:
        """Severity and state in the list of alarms; None when it is normal."""
        if self.severity:
            return self.severity, self.held or "unacknowledged"
        worst = next((name for name in ("critical", "warning") if self.exceeded.get(name)), "")
        return (worst, "suppressed") if worst and self.inhibited else None


Line = tuple[int, str, str, str, str, str, float, float, int | None]
"""row, rule, channel, direction, transition, severity, value, limit, since_row"""


def reference(
    rules: Sequence[ReferenceRule],
    names: Sequence[str],
    places: Sequence[set[str]],
    times: Sequence[int],
    rows: Sequence[Sequence[float]],
    rate: float | None,
    doubtful: Sequence[Sequence[bool]] | None = None,
) -> tuple[list[Line], dict[tuple[str, str, str], tuple[str, str]]]:
    """All events, and what is not normal at the end: (rule, channel, direction) to (severity, state).

    `doubtful` says of each value whether it is; None: none is.
    `names` and `places` (terminals covered, None inside for everything) describe the columns; `rules` come
    in an order in which a rule stands behind those that inhibit it.
    """
    silence = SECOND if rate is None else max(SECOND, round(3 * SECOND / rate))
    states = {
        (rule.name, column, direction): AlarmState({level: LevelState() for level in levels})
        for rule in rules
        for column in rule.columns
        for direction, levels in rule.limits.items()
    }
    events: list[Line] = []
    for row, (time, values) in enumerate(zip(times, rows, strict=True)):
        here: list[Line] = []
        for rule in rules:
            judged = list(values)
            if doubtful is not None and rule.quality == "good":
                judged = [
                    math.nan if bad else value for value, bad in zip(values, doubtful[row], strict=True)
                ]
            for column in rule.columns:
                inhibited = any(
                    any(level.active for level in state.levels.values())
                    for (name, other, _), state in states.items()
                    if name in rule.inhibit_if and overlap(places[column], places[other])
                )
                for direction, limits in rule.limits.items():
                    state = states[rule.name, column, direction]
                    judge(rule, direction, limits, state, column, time, row, judged, inhibited, silence)
                    line = transition(rule, direction, limits, state, row)
                    if line is not None:
                        kind, severity, limit, since_row = line
                        here.append(
                            (
                                row,
                                rule.name,
                                names[column],
                                direction,
                                kind,
                                severity,
                                values[column],
                                limit,
                                since_row,
                            )
                        )
        events += sorted(here, key=lambda line: line[:4])
    active = {
        (name, names[column], direction): shown
        for (name, column, direction), state in states.items()
        if (shown := state.shown()) is not None
    }
    return events, active


def overlap(one: set[str], other: set[str]) -> bool:
    return "everywhere" in one or "everywhere" in other or bool(one & other)


def judge(
    rule: ReferenceRule,
    direction: str,
    limits: dict[str, float],
    state: AlarmState,
    column: int,
    time: int,
    row: int,
    values: Sequence[float],
    inhibited: bool,
    silence: int,
) -> None:
    """Bring the levels of one alarm up to date with one row."""
    state.inhibited = inhibited
    if inhibited:
        for level in state.levels.values():
            level.on.stop()
    value = values[column]
    gate = "open"
    if rule.gate is not None:
        columns, lowest, highest = rule.gate
        gates = [values[other] for other in columns[column]]
        if any(other < lowest or other > highest for other in gates):
            gate = "closed"
        elif any(math.isnan(other) for other in gates):
            return
    if gate == "open" and math.isnan(value):
        return

    if state.last_good is not None and time - state.last_good > silence:
        for level in state.levels.values():
            level.on.stop()
            level.off.stop()
    state.last_good = time

    for name, limit in limits.items():
        level = state.levels[name]
        if gate == "closed":
            exceeds, clear = False, True
        elif direction == "low":
            exceeds, clear = value <= limit, value > limit + rule.deadband
        elif direction == "high":
            exceeds, clear = value >= limit, value < limit - rule.deadband
        else:
            exceeds, clear = abs(value) >= limit, abs(value) < limit - rule.deadband

        state.exceeded[name] = exceeds
        if not exceeds:
            level.on.stop()
        elif not inhibited:
            level.on.go_on(time, row)
            if level.on.lasted(time) >= rule.on_delay[name] and level.on.samples >= rule.consecutive[name]:
                level.active = True
                if name == "critical" and "warning" in state.levels:
                    state.levels["warning"].active = True
        if not clear:
            level.off.stop()
        else:
            level.off.go_on(time, row)
            if level.off.lasted(time) >= rule.off_delay[name]:
                level.active = False


def transition(
    rule: ReferenceRule, direction: str, limits: dict[str, float], state: AlarmState, row: int
) -> tuple[str, str, float, int | None] | None:
    """What the combined severity did in this row: transition, severity, limit, since_row."""
    now = next((name for name in ("critical", "warning") if name in limits and state.levels[name].active), "")
    was = "" if state.held else state.severity
    if now == was:
        return None
    if now and (not was or now == "critical"):
        since_row = state.levels[now].on.since_row
        if not was:
            state.since_row = since_row
        state.severity, state.held = now, ""
        return "escalated" if was else "raised", now, limits[now], since_row
    if now:
        state.severity = now
        return "eased", now, limits[was], state.since_row
    state.held = "latched" if rule.latch else "returned"
    return "latched" if rule.latch else "cleared", was, limits[was], state.since_row
