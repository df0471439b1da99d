"""Short circuits on the site's lines: found, located, followed until they are over, and told in one card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block, Flags, Floats, Quality
from gridtop.channels import ChannelSet
from gridtop.events import Event, event_id
from gridtop.quantities.layout import Layout
from gridtop.quantities.work import Work
from gridtop.short_circuits_card import Line, card
from gridtop.short_circuits_following import Episode, Frame, Thresholds
from gridtop.short_circuits_location import LineConstants
from gridtop.site import Site

RULE = "short_circuit"

FAULT_SHARE = 0.25
"""Of the rated current: what enters a line and does not leave it, beyond the usual, in a short circuit."""
UNRATED_FAULT_A = 100.0
"""The same where no rating is given."""
RESTRAINT = 0.25
"""Of the currents at both ends together: less is the error of saturated transformers while the current of a
fault elsewhere flows through. Percentage restraint, as line differential protection has it (IEEE C37.243)."""
ONE_END_SHARE = 0.5
"""Of the rated current: by how much one end's current rises, where the other end is not measured."""
OPEN_SHARE = 0.02
"""Of the rated current: below it an end is open. Noise is less; the charging current of a line is more."""
LEAST_OPEN_A = 5.0
DIP = 0.02
"""Of the voltage before: one phase at one end loses at least this. An open current transformer costs none."""
ONE_END_DIP = 0.1
"""The same where the other end is not measured: the outage of a neighbour costs less."""
_PIECE = 256
"""Frames looked at together: in few of them nothing happens, and nothing has to be computed."""
_HISTORY, _SKIPPED = 18, 3
"""Frames before a frame that say what is usual; the last few may hold the beginning already."""


@dataclass(frozen=True, slots=True)
class _Watch:
    """One line, the rows of its terminals in the arrays (-1: not measured), and its levels in amperes."""

    line: Line
    ends: tuple[int, int]
    fault: float
    one_end: float
    open: float


class ShortCircuits:
    """Looks for short circuits on every line with a known impedance, and tells each once, when it is over.

    A short circuit begins when, in one phase, more current enters the line than leaves it (beyond what is
    usual there) while a voltage at one of its ends dips. Where one end is not measured, or its clock is
    wrong and nothing before the fault tells by how much, the other end alone has to do.
    """

    def __init__(self, channels: ChannelSet, site: Site, identity: str, pass_number: int) -> None:
        self._site, self._identity, self._pass = site, identity, pass_number
        self._clock, self._rate = channels.clock, channels.rate
        self._layout = Layout(channels, site)
        self._watches = _watches(self._layout, site)
        self._episodes: list[Episode | None] = [None] * len(self._watches)
        self._angles = _angle_columns(self._layout)
        voltages = self._layout.voltage[0].ravel()
        self._voltages = voltages[voltages >= 0]
        self._tail = _Tail(channels)

    @property
    def lines(self) -> tuple[str, ...]:
        """The lines that are watched."""
        return tuple(watch.line.name for watch in self._watches)

    def process(self, block: Block) -> list[Event]:
        """The cards that became known within the next block, in order of row."""
        if not self._watches:
            return []
        events: list[Event] = []
        for start in range(0, len(block), _PIECE):
            events += self._process(block.slice(start, start + _PIECE))
        return sorted(events, key=lambda event: event.order)

    def _process(self, piece: Block) -> list[Event]:
        joined = self._tail.join(piece)
        if not any(episode is not None for episode in self._episodes) and not self._may_dip(
            joined.values[:, self._voltages]
        ):
            return []
        window = self._window(joined)
        events: list[Event] = []
        for number, watch in enumerate(self._watches):
            seen = _Seen(window, watch)
            at = _HISTORY
            while at < window.length:
                episode = self._episodes[number]
                if episode is None:
                    found = seen.first_trigger(at)
                    if found is None:
                        break
                    at, self._episodes[number] = found, seen.begin(found)
                    continue
                frame = seen.frame(at, episode.end)
                if episode.step(frame):
                    self._episodes[number] = None
                    events += self._card(watch, episode, frame)
                at += 1
        return events

    def _may_dip(self, voltages: Floats) -> bool:
        """Whether any voltage (n, k) falls far enough: without that nothing needs to be looked at closer."""
        lowest, highest = np.fmin.reduce(voltages, axis=0), np.fmax.reduce(voltages, axis=0)
        return bool((lowest < (1 - DIP) * highest).any())

    def _window(self, block: Block) -> _Window:
        work = Work(self._layout, block).trusted_locally
        parts = [work.voltage.re, work.voltage.im, work.current.re, work.current.im]
        nowhere = np.full((4, 1, 3, len(block)), np.nan)  # what row -1 finds
        phasors = np.concatenate((np.stack(parts), nowhere), axis=1)
        return _Window(phasors, self._unsynchronised(block), work.time, block.row)

    def _unsynchronised(self, block: Block) -> Floats:
        """(T + 1, n) 1 where a terminal's clock is not locked."""
        flags = np.zeros((len(self._angles) + 1, len(block)))
        if block.quality is not None:
            for row, columns in enumerate(self._angles):
                flags[row] = ((block.quality[:, columns] & Quality.UNSYNCHRONISED) != 0).any(axis=1)
        return flags

    def _card(self, watch: _Watch, episode: Episode, frame: Frame) -> list[Event]:
        if not episode.is_short_circuit:
            return []
        told = card(watch.line, watch.ends, episode, self._clock == "utc", self._rate or 30.0)
        if told is None:
            return []
        start = episode.start
        return [
            Event(
                id=event_id(self._identity, self._pass, RULE, watch.line.name, "noticed", start.row),
                kind="fault",
                transition="noticed",
                severity=told.severity,
                rule=RULE,
                message=told.message,
                row=frame.row,
                time=self._time(frame.time),
                since=self._time(start.time),
                since_row=start.row,
                quantity=RULE,
                terminal=watch.line.name,
                phase=told.phases,
                pass_number=self._pass,
                details=told.details,
            )
        ]

    def _time(self, nanoseconds: int) -> np.datetime64 | None:
        return np.datetime64(nanoseconds, "ns") if self._clock == "utc" else None


class _Tail:
    """The last frames before a block, to be joined with it; before the first there is nothing but NaN."""

    def __init__(self, channels: ChannelSet) -> None:
        self._channels = channels
        self._time = np.full(_HISTORY, np.iinfo(np.int64).min // 2).view("datetime64[ns]")
        self._values = np.full((_HISTORY, len(channels)), np.nan)
        self._quality: Flags | None = None

    def join(self, block: Block) -> Block:
        """The block with the frames before it, its row that of the first of them."""
        channels = len(self._channels)
        time = np.concatenate((self._time, block.time.astype("datetime64[ns]", copy=False)))
        values = np.concatenate((self._values, block.values[:, :channels]))
        quality = None
        if self._quality is not None or block.quality is not None:
            own = (self._quality, block.quality)
            shapes = ((_HISTORY, channels), (len(block), channels))
            quality = np.concatenate(
                [
                    np.zeros(shape, dtype=np.uint16) if flags is None else flags[:, :channels]
                    for flags, shape in zip(own, shapes, strict=True)
                ]
            )
        self._time, self._values = time[-_HISTORY:].copy(), values[-_HISTORY:].copy()
        self._quality = None if quality is None else quality[-_HISTORY:].copy()
        return Block(self._channels, time, values, quality, {}, block.row - _HISTORY)


@dataclass(frozen=True, slots=True)
class _Window:
    """A block with the frames before it: phasors (4, T + 1, 3, m), the parts Re V, Im V, Re I, Im I."""

    phasors: Floats
    unsynchronised: Floats
    times: npt.NDArray[np.int64]
    row: int

    @property
    def length(self) -> int:
        return len(self.times)


class _Seen:
    """What a window shows of one line."""

    def __init__(self, window: _Window, watch: _Watch) -> None:
        self._window, self._watch = window, watch
        one, other = watch.ends
        ends = window.phasors[:, [one, other]]
        self._voltage = np.sqrt(ends[0] * ends[0] + ends[1] * ends[1])  # (2, 3, m)
        self._current = np.sqrt(ends[2] * ends[2] + ends[3] * ends[3])
        re, im = ends[2, 0] + ends[2, 1], ends[3, 0] + ends[3, 1]
        self._both = np.sqrt(re * re + im * im)  # (3, m)
        self._triggers: npt.NDArray[np.bool_] | None = None

    def first_trigger(self, at: int) -> int | None:
        """The first frame from `at` on in which a short circuit may begin."""
        if self._triggers is None:
            self._triggers = self._find()
        found = np.flatnonzero(self._triggers[at:])
        return at + int(found[0]) if len(found) else None

    def _find(self) -> npt.NDArray[np.bool_]:
        with np.errstate(divide="ignore", invalid="ignore"):
            dips = np.fmax.reduce(1 - self._voltage / _usual(self._voltage, least=True), axis=(0, 1))
        restrained = self._both > RESTRAINT * (self._current[0] + self._current[1])
        rises = self._both - _usual(self._both, least=True)
        rise = np.fmax.reduce(np.where(restrained, rises, np.nan), axis=0)
        triggers = (rise > self._watch.fault) & (dips > DIP)
        missing = np.isnan(self._both).all(axis=0)
        if missing.any():
            rises = np.fmax.reduce(self._current - _usual(self._current, least=False), axis=(0, 1))
            triggers |= missing & (rises > self._watch.one_end) & (dips > ONE_END_DIP)
        result: npt.NDArray[np.bool_] = triggers
        return result

    def begin(self, at: int) -> Episode:
        """A short circuit that begins at this frame."""
        two_ended = bool(np.isfinite(self._both[:, at]).any())
        end = -1 if two_ended else self._measured_end(at)
        recent = self._series(end)[:, at - _HISTORY : at - _SKIPPED + 1]
        usual = np.nan_to_num(np.fmin.reduce(recent, axis=1))
        level = self._watch.fault if two_ended else self._watch.one_end
        before = [self.frame(i, end) for i in range(at - _HISTORY, at)]
        thresholds = Thresholds(usual, level, self._watch.open)
        return Episode([frame for frame in before if frame.row >= 0], thresholds, end)

    def _series(self, end: int) -> Floats:
        series: Floats = self._both if end < 0 else self._current[end]
        return series

    def _measured_end(self, at: int) -> int:
        levels = np.fmax.reduce(self._current[:, :, at], axis=1)
        return 1 if float(levels[1]) > float(np.nan_to_num(levels[0])) else 0

    def frame(self, at: int, end: int) -> Frame:
        """The frame at a place in the window, copied; `end` is that of the episode."""
        window = self._window
        phasors = window.phasors[:, :, :, at]
        return Frame(
            row=window.row + at,
            time=int(window.times[at]),
            voltage=phasors[0] + 1j * phasors[1],
            current=phasors[2] + 1j * phasors[3],
            fault_current=self._series(end)[:, at].copy(),
            ends=np.fmax.reduce(self._current[:, :, at], axis=1),
            unsynchronised=window.unsynchronised[:, at] > 0,
        )


def _usual(values: Floats, least: bool) -> Floats:
    """(..., m) the least (or greatest) of the frames up to a few before each; NaN where there are none."""
    pick = np.fmin if least else np.fmax
    result = np.full(values.shape, np.nan)
    length = values.shape[-1]
    for lag in range(_SKIPPED, min(_HISTORY, length - 1) + 1):
        result[..., lag:] = pick(result[..., lag:], values[..., : length - lag])
    return result


def _watches(layout: Layout, site: Site) -> tuple[_Watch, ...]:
    """The lines with an impedance of which at least one end has phase voltages and currents with angles."""
    places: Mapping[str, int] = {
        name: row
        for row, name in enumerate(layout.terminals)
        if (layout.voltage[:, row] >= 0).all() and (layout.current[:, row] >= 0).all()
    }
    watches = []
    for name, line in site.lines.items():
        ends = (places.get(line.ends[0], -1), places.get(line.ends[1], -1))
        if line.z1 is None or ends == (-1, -1):
            continue
        rated = site.rated_current(line.ends[0])
        rotation = -1.0 if site.terminal(line.ends[0]).rotation == "ACB" else 1.0
        watches.append(
            _Watch(
                line=Line(
                    name,
                    line.ends,
                    LineConstants(line.z1, line.z0, rotation),
                    line.length,
                    site.line_to_neutral(line.ends[0]),
                    _neighbours(layout, site, line.ends, places),
                    _other_lines(layout, site, name, places),
                ),
                ends=ends,
                fault=FAULT_SHARE * rated if rated else UNRATED_FAULT_A,
                one_end=ONE_END_SHARE * rated if rated else 2 * UNRATED_FAULT_A,
                open=max(OPEN_SHARE * rated, LEAST_OPEN_A) if rated else LEAST_OPEN_A,
            )
        )
    return tuple(watches)


def _neighbours(
    layout: Layout, site: Site, ends: tuple[str, str], places: Mapping[str, int]
) -> tuple[tuple[int, int, str], ...]:
    """Pairs of an end and another terminal that measures the same bus, with their names."""
    pairs = []
    for name, terminals in site.terminals_of_buses.items():
        if site.buses[name].coupler == "closed":
            pairs += [
                (places[end], places[other], f"{end} and {other}")
                for end in ends
                for other in terminals
                if end in terminals and other not in ends and end in places and other in places
            ]
    return tuple(pairs)


def _other_lines(
    layout: Layout, site: Site, name: str, places: Mapping[str, int]
) -> tuple[tuple[int, int, complex], ...]:
    """The ends and impedances of the other lines that are measured at both ends."""
    return tuple(
        (places[line.ends[0]], places[line.ends[1]], line.z1)
        for other, line in site.lines.items()
        if other != name and line.z1 is not None and places.keys() >= set(line.ends)
    )


def _angle_columns(layout: Layout) -> list[npt.NDArray[np.intp]]:
    """For each terminal the columns of its angles."""
    columns = np.concatenate((layout.voltage[1], layout.current[1]), axis=1)
    return [row[row >= 0] for row in columns]
