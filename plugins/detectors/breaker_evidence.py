"""What tells of a breaker: a terminal's current, voltage and logs, and what looks like a short circuit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import numpy.typing as npt

from gridtop.api import ChannelSet, Site

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FAULT_SHARE = 0.25
"""Of the rated current: what enters a line and does not leave it, beyond the usual, in a short circuit."""
FAULT_DIP = 0.02
"""Per unit: what a voltage loses in it at least."""
UNBALANCE = 0.03
"""Per unit of voltage between the phases, and `RISE` of the rated current: a fault seen from one end."""
RISE = 0.2
BACK_S = (2.5, 5.0)
"""Seconds before a frame at which things were as usual: backup protection may take nearly two."""


@dataclass(frozen=True, slots=True)
class Terminal:
    """A terminal's columns, and its levels in A and V."""

    name: str
    currents: tuple[int, ...]
    voltages: tuple[int, ...]
    rated: float
    nominal: float
    carried_level: float
    open_level: float
    status: int
    operator: tuple[int, ...]
    far_operator: tuple[int, ...]
    relay: tuple[int, ...]
    command: tuple[int, ...]

    @property
    def logs(self) -> tuple[int, ...]:
        """The columns of all its logs."""
        return (*self.operator, *self.far_operator, *self.relay, *self.command)

    def current(self, values: Floats) -> Floats:
        """(m,) the largest phase current."""
        return _largest(values, self.currents)

    def voltage(self, values: Floats) -> Floats:
        """(m,) the highest phase voltage, per unit."""
        return _largest(values, self.voltages) / self.nominal

    def fault(self, values: Floats, history: int, rate: float) -> Bools:
        """(n,) whether current rises and the phases' voltages part, seen from here alone."""
        spread = self.voltage(values) - _smallest(values, self.voltages) / self.nominal
        risen = _beyond(self.current(values), history, rate) > RISE * self.rated
        result: Bools = risen & (_beyond(spread, history, rate) > UNBALANCE)
        return result


@dataclass(frozen=True, slots=True)
class Line:
    """The columns (3 phases) of a line's currents and voltages at both ends."""

    name: str
    ends: tuple[str, str]
    magnitudes: tuple[tuple[int, ...], tuple[int, ...]]
    angles: tuple[tuple[int, ...], tuple[int, ...]]
    signs: tuple[float, float]
    voltages: tuple[int, ...]
    rated: float
    nominal: float

    def fault(self, values: Floats, history: int, rate: float) -> Bools:
        """(n,) whether current enters the line and does not leave it while a voltage dips."""
        re = im = np.zeros((len(values), 3))
        for magnitudes, angles, sign in zip(self.magnitudes, self.angles, self.signs, strict=True):
            size, angle = values[:, magnitudes] * sign, np.radians(values[:, angles])
            re, im = re + size * np.cos(angle), im + size * np.sin(angle)
        both = np.sqrt(re * re + im * im)
        entering = np.fmax(np.fmax(both[:, 0], both[:, 1]), both[:, 2])
        dip = _beyond(-_smallest(values, self.voltages) / self.nominal, history, rate)
        result: Bools = (_beyond(entering, history, rate) > FAULT_SHARE * self.rated) & (dip > FAULT_DIP)
        return result


def _beyond(series: Floats, history: int, rate: float) -> Floats:
    """(n,) how far a series (history + n,) is above the lesser of what it was seconds before."""
    usual = np.full(len(series) - history, np.nan)
    for seconds in BACK_S:
        lag = round(seconds * rate)
        usual = np.fmin(usual, series[history - lag : len(series) - lag])
    beyond: Floats = series[history:] - usual
    return beyond


def _largest(values: Floats, columns: Sequence[int]) -> Floats:
    result = np.full(len(values), np.nan)
    for column in columns:
        result = np.fmax(result, values[:, column])
    return result


def _smallest(values: Floats, columns: Sequence[int]) -> Floats:
    result = np.full(len(values), np.nan)
    for column in columns:
        result = np.fmin(result, values[:, column])
    return result


def terminals_of(
    channels: ChannelSet,
    site: Site,
    carried: float,
    opened: float,
    operator_logs: Sequence[str],
    command_logs: Sequence[str],
) -> tuple[Terminal, ...]:
    """The terminals with phase currents and a rated current; levels are shares of it, logs are globs."""
    found = []
    for name in dict.fromkeys(channel.terminal for channel in channels if channel.terminal):
        currents, voltages = _columns(channels, name, "current"), _columns(channels, name, "voltage")
        rated = site.rated_current(name)
        if not currents or rated is None:
            continue
        line = site.lines.get(site.line_of(name) or "")
        far = next((end for end in line.ends if end != name), "") if line is not None else ""
        breaker = site.terminal(name).breaker
        column = channels.position(breaker) if breaker in channels.names and breaker else -1
        is_status = column >= 0 and channels[column].quantity != "log"
        relay = _logs(channels, name, ("*",), (*operator_logs, *command_logs))
        if column >= 0 and not is_status and column not in relay:
            relay = (*relay, column)
        found.append(
            Terminal(
                name,
                currents,
                voltages,
                rated,
                site.line_to_neutral(name) or 1.0,
                carried * rated,
                opened * rated,
                column if is_status else -1,
                _logs(channels, name, operator_logs),
                _logs(channels, far, operator_logs) if far else (),
                relay,
                _logs(channels, name, command_logs),
            )
        )
    return tuple(found)


def lines_of(channels: ChannelSet, site: Site) -> tuple[Line, ...]:
    """The lines with three phase currents with angles at both ends, and the bases of per unit."""
    found = []
    for name, line in site.lines.items():
        one, other = (_columns(channels, end, "current") for end in line.ends)
        angles = tuple(_columns(channels, end, "current", "angle") for end in line.ends)
        rated, nominal = site.rated_current(line.ends[0]), site.line_to_neutral(line.ends[0])
        if rated is None or nominal is None or any(len(c) != 3 for c in (one, other, *angles)):
            continue
        signs = [-1.0 if site.terminal(end).ct_direction == "out_of_line" else 1.0 for end in line.ends]
        voltages = tuple(column for end in line.ends for column in _columns(channels, end, "voltage"))
        found.append(
            Line(
                name,
                line.ends,
                (one, other),
                (angles[0], angles[1]),
                (signs[0], signs[1]),
                voltages,
                rated,
                nominal,
            )
        )
    return tuple(found)


def _columns(channels: ChannelSet, terminal: str, quantity: str, part: str = "magnitude") -> tuple[int, ...]:
    """The columns of the phases A, B, C at a terminal, in this order; of voltages line to neutral only."""
    found = {
        channel.phase: column
        for column, channel in enumerate(channels)
        if (channel.terminal, channel.quantity, channel.part) == (terminal, quantity, part)
        and channel.phase in ("A", "B", "C")
        and channel.reference != "line_to_line"
        and channel.unit != "pu"
    }
    return tuple(found[phase] for phase in "ABC" if phase in found)


def _logs(
    channels: ChannelSet, terminal: str, globs: Iterable[str], apart: Iterable[str] = ()
) -> tuple[int, ...]:
    """The columns of a terminal's logs whose names match a glob and none of those apart."""

    def matches(name: str, patterns: Iterable[str]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    return tuple(
        column
        for column, channel in enumerate(channels)
        if channel.quantity == "log"
        and channel.terminal == terminal
        and matches(channel.name, globs)
        and not matches(channel.name, apart)
    )
