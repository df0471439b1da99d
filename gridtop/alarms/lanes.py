"""Which alarm looks at which column: rules bound to channels, and the lanes that the engine runs over.

A lane is one alarm: one rule, in one direction, on one channel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter

import numpy as np

from gridtop.alarms.rules import (
    DIRECTIONS,
    LEVELS,
    AlarmDefaults,
    AlarmSettings,
    Consecutive,
    Delays,
    Direction,
    Gate,
    LimitSettings,
    check_inhibition,
)
from gridtop.alarms.timing import Integers, Lanes
from gridtop.blocks import Floats
from gridtop.channels import Channel, ChannelSet
from gridtop.errors import ConfigurationError
from gridtop.events import Kind, Priority
from gridtop.problems import did_you_mean
from gridtop.site import Site

EVERYWHERE = ("", "system")
"""The terminals of channels that speak of the whole system."""


@dataclass(frozen=True)
class BoundRule:
    """A rule and the columns it looks at.

    `settings` have the defaults merged in; `overrides` go by the subject. `subjects` are the channels the
    columns speak of: the columns' own for a limit, the scored channels for a detector.
    """

    name: str
    settings: AlarmSettings
    columns: tuple[int, ...]
    subjects: tuple[Channel, ...]


def bind_limits(
    limits: Mapping[str, LimitSettings], defaults: AlarmDefaults, channels: ChannelSet
) -> tuple[BoundRule, ...]:
    """The rules under `limits:` on the channels they choose; a switched-off rule is on none.

    Raises ConfigurationError, naming all of them, for rules and overrides that match no channel.
    """
    rules, problems = [], []
    for name, settings in limits.items():
        columns = channels.select(settings.patterns) if settings.enabled else ()
        if settings.enabled and not columns:
            chosen = ", ".join(settings.patterns)
            near = _near_pattern(settings.patterns[0], channels)
            problems.append(f"limits.{name}.on: no channel matches {chosen!r}{near}")
            continue
        try:
            rules.append(bind_scores(name, settings, defaults, columns, [channels[i] for i in columns]))
        except ConfigurationError as error:
            problems.append(f"limits.{error}")
    if problems:
        raise ConfigurationError("\n".join(problems))
    return tuple(rules)


def bind_scores(
    name: str,
    alarm: AlarmSettings,
    defaults: AlarmDefaults,
    columns: Sequence[int],
    subjects: Sequence[Channel],
) -> BoundRule:
    """The rule of a detector on the columns of its scores, each speaking of one of `subjects`.

    Raises ConfigurationError for overrides that match no subject or contradict each other.
    """
    if not alarm.enabled:
        return BoundRule(name, alarm.with_defaults(defaults), (), ())
    names = ChannelSet(tuple(dict.fromkeys(subjects)))
    problems = [
        f"{name}.overrides: no channel of this rule matches {pattern!r}{_near_pattern(pattern, names)}"
        for pattern in alarm.overrides
        if not names.select([pattern])
    ]
    settings = alarm.with_defaults(defaults)
    watched = []
    for column, subject in zip(columns, subjects, strict=True):
        try:
            if settings.for_channel(subject).enabled:
                watched.append((column, subject))
        except ValueError as error:
            problems.append(f"{name}.overrides: on {subject.name}: {error}")
    if problems:
        raise ConfigurationError("\n".join(problems))
    return BoundRule(
        name, settings, tuple(column for column, _ in watched), tuple(subject for _, subject in watched)
    )


def _near_pattern(pattern: str, channels: ChannelSet) -> str:
    """A hint which glob was meant: the same one with a quantity that exists, or a channel's name."""
    known: dict[str, None] = {}
    place, colon, _ = pattern.rpartition(":")
    for channel in channels:
        known[channel.base_name] = None
        if colon:
            known[f"{place}:{channel.base_name.rpartition(':')[2]}"] = None
    return did_you_mean(pattern, known)


@dataclass(frozen=True, slots=True)
class Lane:
    """One alarm: what it compares with what.

    `channel` is the column's, `subject` the one it speaks of. `rank` is 0 when nothing inhibits the rule,
    else above that of every rule that does. `gate_columns` must all be within the gate's bounds.
    """

    rule: str
    direction: Direction
    column: int
    channel: Channel
    subject: Channel
    settings: AlarmSettings
    rank: int
    gate_columns: tuple[int, ...]

    @property
    def unit(self) -> str:
        """The unit of its values."""
        return self.channel.unit

    @property
    def is_score(self) -> bool:
        """Whether the value is a detector's opinion of the subject, not the subject itself."""
        return self.subject != self.channel

    def limit(self, level: int) -> float:
        """The threshold of a level (0 warning, 1 critical) as written; NaN when there is no such level."""
        limit: float | None = getattr(self.settings.levels(self.direction), LEVELS[level])
        return math.nan if limit is None else limit

    def priority(self, level: int) -> Priority:
        """How soon somebody must respond at a level; low where the defaults were not merged in."""
        return getattr(self.settings.priority, LEVELS[level], None) or "low"

    @property
    def gate_bounds(self) -> tuple[float, float]:
        """Lowest and highest value that leaves the gate open."""
        gate = self.settings.gate
        if gate is None:
            return -math.inf, math.inf
        return -math.inf if gate.min is None else gate.min, math.inf if gate.max is None else gate.max

    @property
    def kind(self) -> Kind:
        """The kind of its events."""
        return "data" if self.settings.class_ == "data_quality" else "alarm"

    @property
    def order(self) -> tuple[str, str, str]:
        """How simultaneous events are sorted: by rule, channel and direction."""
        return self.rule, self.subject.name, self.direction


class LaneTable:
    """All lanes as arrays, in which low limits are turned round and abs ones see sizes: everything is "high".

    columns, is_abs (k,); sign (k,) -1 for low; limits, clears (2, k) on the turned values, NaN where there
    is no level; has_warning (k,); on_delay, off_delay (2, k) nanoseconds; consecutive (2, k);
    needs_good (k,) where doubtful values count as missing; watched, the columns that any of these looks at.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = tuple(lanes)
        self.columns = np.array([lane.column for lane in lanes], dtype=np.intp)
        self.is_abs = np.array([lane.direction == "abs" for lane in lanes], dtype=bool)
        self.needs_good = np.array([lane.settings.needs_good_values for lane in lanes], dtype=bool)
        strict = [lane for lane in lanes if lane.settings.needs_good_values]
        watched = {column for lane in strict for column in (lane.column, *lane.gate_columns)}
        self.watched = np.array(sorted(watched), dtype=np.intp)
        self.sign = np.array([-1.0 if lane.direction == "low" else 1.0 for lane in lanes])
        limits = [[lane.limit(level) for lane in lanes] for level in range(2)]
        self.limits = np.array(limits, dtype=np.float64).reshape(2, -1) * self.sign
        self.has_warning = ~np.isnan(self.limits[0])
        self.clears = self.limits - np.array([lane.settings.deadband for lane in lanes])
        self.on_delay = self._per_level([_nanoseconds(lane.settings.on_delay) for lane in lanes])
        self.off_delay = self._per_level([_nanoseconds(lane.settings.off_delay) for lane in lanes])
        self.consecutive = self._per_level([_counts(lane.settings.consecutive) for lane in lanes])

    def __len__(self) -> int:
        return len(self.lanes)

    @staticmethod
    def _per_level(pairs: list[tuple[int, int]]) -> Integers:
        return np.array(pairs, dtype=np.int64).reshape(-1, 2).T.copy()

    def turned(self, raw: Floats, lanes: Lanes) -> Floats:
        """Raw values (n, k) of some lanes as the thresholds see them: larger is worse."""
        turned: Floats = np.where(self.is_abs[lanes], np.abs(raw), raw * self.sign[lanes])
        return turned

    def bounds(self, channels: int) -> tuple[Floats, Floats]:
        """(c,) and (c,): no lane exceeds a limit while each column is above the one and below the other."""
        lower, upper = np.full(channels, -np.inf), np.full(channels, np.inf)
        outer = np.fmin.reduce(self.limits, axis=0)
        looks_up, looks_down = self.sign > 0, self.is_abs | (self.sign < 0)
        np.minimum.at(upper, self.columns[looks_up], outer[looks_up])
        np.maximum.at(lower, self.columns[looks_down], -outer[looks_down])
        return lower, upper


def lay_out(rules: Sequence[BoundRule], channels: ChannelSet, site: Site) -> tuple[LaneTable, list[Lanes]]:
    """The lanes of all rules, and for each lane which others inhibit it.

    A rule in `inhibit_if` that is not among `rules` (a detector that is switched off) is never active.
    Raises ConfigurationError for two rules of one name, for rules that inhibit each other in a ring, and
    for gates on quantities that no channel has in the same place.
    """
    ranks = _ranks(rules)
    lanes: list[Lane] = []
    problems: list[str] = []
    for rule in rules:
        for column, subject in zip(rule.columns, rule.subjects, strict=True):
            own = rule.settings.for_channel(subject)
            gates = gate_columns(own.gate, subject, channels, site) if own.gate else ()
            if own.gate and not gates:
                problems.append(_no_gate(rule.name, own.gate, subject, channels))
            lanes += [
                Lane(rule.name, direction, column, channels[column], subject, own, ranks[rule.name], gates)
                for direction in DIRECTIONS
                if own.levels(direction) is not None
            ]
    if problems:
        raise ConfigurationError("\n".join(problems))
    return LaneTable(lanes), _inhibitors(lanes, site)


def _ranks(rules: Sequence[BoundRule]) -> dict[str, int]:
    """The rank of each rule: 0, or one more than those of the rules that inhibit it."""
    settings = {rule.name: rule.settings for rule in rules}
    if len(settings) < len(rules):
        names = [rule.name for rule in rules]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ConfigurationError(f"two rules are called {', '.join(twice)}; rename the limit or the detector")
    waits_for = {name: sorted(rule.inhibitors & settings.keys()) for name, rule in settings.items()}
    ranks: dict[str, int] = {}
    try:
        for name in TopologicalSorter(waits_for).static_order():
            ranks[name] = 1 + max((ranks[other] for other in waits_for[name]), default=-1)
    except CycleError:
        problems = "\n".join(f"{name}.inhibit_if: {problem}" for name, problem in check_inhibition(settings))
        raise ConfigurationError(problems) from None
    return ranks


def gate_columns(gate: Gate, subject: Channel, channels: ChannelSet, site: Site) -> tuple[int, ...]:
    """The columns a gate looks at for one channel, empty when there are none.

    They are those with the gate's quantity at the subject's own terminal, or else on a line that it ends,
    or at both ends of the line that it is, or else of the whole system. Of several phases, the subject's.
    """
    named = [
        i
        for i, channel in enumerate(channels)
        if fnmatchcase(channel.quantity, gate.on) and channel.part != "angle"
    ]
    scope = site.scope(subject.terminal)
    near = [i for i in named if channels[i].terminal == subject.terminal]
    around = [i for i in named if scope & site.scope(channels[i].terminal)]
    system = [i for i in named if channels[i].terminal in EVERYWHERE]
    found = near or around or system
    same_phase = [i for i in found if channels[i].phase == subject.phase]
    no_phase = [i for i in found if not channels[i].phase]
    return tuple(same_phase or no_phase or found)


def _no_gate(rule: str, gate: Gate, subject: Channel, channels: ChannelSet) -> str:
    place = subject.terminal or subject.name
    hint = did_you_mean(gate.on, {channel.quantity for channel in channels})
    return f"{rule}.gate.on: {place} has no quantity {gate.on!r} to gate {subject.name} with{hint}"


def _inhibitors(lanes: Sequence[Lane], site: Site) -> list[Lanes]:
    """For each lane the lanes of its `inhibit_if` rules in the same place."""
    of_rule: dict[str, list[int]] = {}
    for i, lane in enumerate(lanes):
        of_rule.setdefault(lane.rule, []).append(i)
    inhibitors = []
    for lane in lanes:
        place = site.scope(lane.subject.terminal)
        others = [i for rule in lane.settings.inhibit_if for i in of_rule.get(rule, ())]
        near = [i for i in others if _share(place, site.scope(lanes[i].subject.terminal))]
        inhibitors.append(np.array(near, dtype=np.intp))
    return inhibitors


def _share(one: frozenset[str], other: frozenset[str]) -> bool:
    return bool(one & other) or not (one.isdisjoint(EVERYWHERE) and other.isdisjoint(EVERYWHERE))


def _nanoseconds(delays: Delays | None) -> tuple[int, int]:
    if delays is None or delays.warning is None or delays.critical is None:
        raise ValueError(
            "the defaults are not merged into this rule; bind it with bind_limits or bind_scores"
        )
    microsecond = timedelta(microseconds=1)
    return delays.warning // microsecond * 1000, delays.critical // microsecond * 1000


def _counts(consecutive: Consecutive | None) -> tuple[int, int]:
    if consecutive is None or consecutive.warning is None or consecutive.critical is None:
        raise ValueError(
            "the defaults are not merged into this rule; bind it with bind_limits or bind_scores"
        )
    return consecutive.warning, consecutive.critical
