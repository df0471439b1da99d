"""The card of a short circuit: what, where, how fast it was cleared, whether the line came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gridtop.blocks import Floats
from gridtop.events import Detail, Severity, iso_time
from gridtop.short_circuits_following import Episode, Frame
from gridtop.short_circuits_location import (
    LineConstants,
    Location,
    Phasors,
    faulted,
    from_one_end,
    from_two_ends,
    sequences,
)
from gridtop.text import clean

MISFIT = 0.10
"""Of the line's length: the two ends agree on a place within this. Instruments of class 0.5 leave 0.03."""
NO_PLACE = 1.0
"""From this misfit on the ends agree on no place at all: it was no short circuit on this line."""
BEYOND = 0.05
"""Of the line's length: so far beyond an end a place may lie and still be on the line."""
CONTRADICTION = 0.05
"""Of the voltage before: by how much measurements that must agree come apart when some are false."""
_DILUTED_FRAMES = 2.5
"""A short circuit of fewer frames may not have one that is wholly its own (a PMU looks back over cycles)."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line, and what the measurements around it must agree with while a short circuit is on it.

    neighbours  pairs of terminals, an end of this line first, that measure one bus, and their names
    others      the ends and the impedance of other lines
    """

    name: str
    ends: tuple[str, str]
    constants: LineConstants
    length: float | None
    voltage: float | None
    neighbours: tuple[tuple[int, int, str], ...] = ()
    others: tuple[tuple[int, int, complex], ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """What is told of a short circuit."""

    message: str
    severity: Severity
    phases: str
    details: Mapping[str, Detail]


def card(line: Line, ends: tuple[int, int], episode: Episode, has_clock: bool, rate: float) -> Card | None:
    """The card of an episode that is over; None when it was no short circuit on this line.

    There are three witnesses: the place, on which both ends agree; breakers that open; and the measurements
    around, which must agree with each other. Without a breaker that opens the other two must be beyond
    doubt: a short circuit hardly ever ends by itself, and false measurements nearly always do.
    """
    began = episode.began()
    opened = {name: episode.opened(i) for i, name in enumerate(line.ends)}
    times = {name: time for name, time in opened.items() if time is not None}
    location = _locate(line, ends, episode, min(times.values(), default=None))
    if location is None:
        return None
    if location.misfit is not None and location.misfit >= NO_PLACE:
        return None
    fits = _fits(location)
    contradiction = _contradiction(line, ends, episode, location)
    if not times and (not fits or contradiction or location.misfit is None):
        return None
    if location.misfit is None and not fits:
        return None  # one end alone saw it, and somewhere else
    sound = fits and not contradiction and bool(times)
    outcome, came_back = _outcome(episode, bool(times))
    clearing = max(times.values()) - began if times else None
    frame_ms = 1000 / rate
    diluted = clearing is not None and clearing / 1e6 < _DILUTED_FRAMES * frame_ms and not location.flat

    details: dict[str, Detail] = {
        "line": line.name,
        "type": location.type,
        "phases": "".join("ABC"[phase] for phase in faulted(location.type)),
        "confidence": "sound" if sound else "doubtful",
        "method": location.method,
        "from": line.ends[0],
        "distance_percent": None,
        "distance_km": None,
        "location_fits": fits,
        "misfit_percent": None if location.misfit is None else round(100 * location.misfit, 2),
        "contradiction": contradiction or None,
        "start": iso_time(np.datetime64(episode.start.time, "ns")) if has_clock else None,
        "start_row": episode.start.row,
        "clearing_ms": _ms(clearing) if has_clock else None,
        "resolution_ms": round(frame_ms) if has_clock else None,
        "diluted": diluted,
        "first_opened": min(times, key=lambda name: times[name]) if times else None,
    }
    if fits and location.distance is not None:
        share = min(max(location.distance, 0.0), 1.0)
        details["distance_percent"] = round(100 * share, 1)
        details["distance_km"] = round(share * line.length / 1000, 2) if line.length else None
    for name in line.ends:
        details[f"opened_ms_{clean(name)}"] = (
            _ms(times[name] - began) if has_clock and name in times else None
        )
    details["reclosed"] = came_back and bool(times) and not episode.struck_again
    details["struck_again"] = episode.struck_again
    dead = episode.reclosed - max(times.values()) if episode.reclosed is not None and times else None
    details["reclose_ms"] = _ms(dead) if has_clock else None
    details |= _extremes(line, ends, episode)
    resistance = location.resistance if sound else None
    details["resistance_ohm"] = None if resistance is None else round(resistance, 1)

    doubt = f"doubtful, since {contradiction}: " if contradiction else ""
    parts = [f"{line.name}: {doubt}{in_words(location.type)} {_where(line, location, details)}"]
    if has_clock and clearing is not None:
        each = ", ".join(
            f"{name} at {_ms(times[name] - began)} ms" for name in sorted(times, key=times.__getitem__)
        )
        parts.append(f"cleared in {_ms(clearing)} ms ({each}, to within {round(frame_ms)} ms)")
    parts.append(outcome if dead is None or not has_clock else f"{outcome} after {dead / 1e9:.2f} s")
    if diluted:
        parts.append("so short that its currents and voltages are seen diluted")
    severity: Severity = "info" if not sound else "warning" if details["reclosed"] else "critical"
    return Card(clean(", ".join(parts)), severity, str(details["phases"]), details)


def in_words(type_: str) -> str:
    """A type of short circuit as people say it: `BCG` is `phases B and C to ground`."""
    phases = ["ABC"[phase] for phase in faulted(type_)]
    if len(phases) == 3:
        return "all three phases"
    named = f"phase {phases[0]}" if len(phases) == 1 else f"phases {phases[0]} and {phases[1]}"
    return f"{named} to ground" if type_.endswith("G") else named


def _where(line: Line, location: Location, details: Mapping[str, Detail]) -> str:
    percent, km = details["distance_percent"], details["distance_km"]
    if percent is None:
        return f"whose location does not fit a fault on {line.name}"
    about = "about " if location.misfit is None else ""
    length = f" ({km:.1f} km)" if isinstance(km, float) else ""
    alone = f", as {line.ends[location.end]} alone sees it" if location.misfit is None else ""
    return f"at {about}{percent:.0f} %{length} from {line.ends[0]}{alone}"


def _outcome(episode: Episode, opened: bool) -> tuple[str, bool]:
    if episode.struck_again:
        return "struck again when reclosed", False
    if not opened:
        return "doubtful: no breaker was seen to open", episode.held
    if episode.held:
        return "reclosed", True
    if episode.lost:
        return "what followed was not measured", False
    return "stayed open", False


def _locate(line: Line, ends: tuple[int, int], episode: Episode, opened: float | None) -> Location | None:
    """From both ends if that can be, else from the end that has more current."""
    frames = _before_opening(episode.frames, opened)
    before, during = _phasors(episode.before[:-3], ends), _phasors(frames, ends)
    if episode.end < 0:
        flags = [frame.unsynchronised[list(ends)].any() for frame in (*episode.before, *frames)]
        found = from_two_ends(line.constants, before, during, any(flags))
        if found is not None:
            return found
    levels = np.nan_to_num(np.abs(during.current)).max(axis=(0, 2))
    return from_one_end(line.constants, before, during, int(np.argmax(levels)))


def _before_opening(frames: Sequence[Frame], opened: float | None) -> Sequence[Frame]:
    """The frames whose filter had not yet seen a breaker open.

    Half of the current is gone half a filter's length after the breaker opened; a filter is a frame long.
    """
    if opened is None or len(frames) < 2:
        return frames
    step = (frames[-1].time - frames[0].time) / (len(frames) - 1)
    clean_ones = [frame for frame in frames if frame.time <= opened - 0.5 * step]
    return clean_ones or [frame for frame in frames if frame.time <= opened] or frames[:1]


def _phasors(frames: Sequence[Frame], ends: tuple[int, int]) -> Phasors:
    index = list(ends)
    return Phasors(
        np.array([frame.voltage[index] for frame in frames]).reshape(-1, 2, 3),
        np.array([frame.current[index] for frame in frames]).reshape(-1, 2, 3),
    )


def _fits(location: Location) -> bool:
    if location.distance is None or not -BEYOND <= location.distance <= 1 + BEYOND:
        return False
    return location.misfit is None or location.misfit <= MISFIT


def _contradiction(line: Line, ends: tuple[int, int], episode: Episode, location: Location) -> str:
    """Which measurements cannot all be true, in words; empty when none is seen.

    Terminals of one bus measure one voltage, and a line without a fault follows Kirchhoff's voltage law.
    """
    frames = [episode.frames[i] for i in location.frames if i < len(episode.frames)]
    before = episode.before[:-3]
    if not frames or not before:
        return ""
    normal = _median(np.array([np.abs(frame.voltage[list(ends)]).ravel() for frame in before]))
    for one, other, names in line.neighbours:
        apart = [_apart(frame, one, other) for frame in frames]
        usual = _median(np.array([_apart(frame, one, other) for frame in before]))
        if min(apart) - usual > CONTRADICTION * normal:
            return f"{names} measure different voltages at one bus"
    for first, second, z1 in line.others:
        kirchhoff = [_kirchhoff(frame, first, second, z1) for frame in frames]
        usual = _median(np.array([_kirchhoff(frame, first, second, z1) for frame in before]))
        if min(kirchhoff) - usual > CONTRADICTION * normal:
            return "the ends of another line contradict each other"
    return ""


def _apart(frame: Frame, one: int, other: int) -> float:
    apart = np.abs(np.abs(frame.voltage[one]) - np.abs(frame.voltage[other]))
    return float(np.max(apart)) if np.isfinite(apart).all() else 0.0


def _kirchhoff(frame: Frame, first: int, second: int, z1: complex) -> float:
    """|V_s - V_r + Z I_r| of a line in V, 0 where it is not closed, not measured, or not in step."""
    current = np.abs(frame.current[[first, second]]).max(axis=1)
    if frame.unsynchronised[[first, second]].any() or not (current > 0.1 * current.max()).all():
        return 0.0
    one, other = sequences(frame.voltage[first])[0], sequences(frame.voltage[second])[0]
    residual = abs(one - other + z1 * sequences(frame.current[second])[0])
    return float(residual) if np.isfinite(residual) else 0.0


def _extremes(line: Line, ends: tuple[int, int], episode: Episode) -> dict[str, Detail]:
    index = list(ends)
    currents = np.array([np.abs(frame.current[index]) for frame in episode.frames])
    voltages = np.array([np.abs(frame.voltage[index]) for frame in episode.frames])
    base = line.voltage or _median(np.array([np.abs(frame.voltage[index]) for frame in episode.before]))
    lowest = float(np.nanmin(voltages)) / base if base and np.isfinite(voltages).any() else None
    peak = float(np.nanmax(currents)) if np.isfinite(currents).any() else None
    return {
        "peak_current_a": None if peak is None else round(peak, 1),
        "lowest_voltage_pu": None if lowest is None else round(lowest, 3),
    }


def _median(values: Floats) -> float:
    good = values[np.isfinite(values)]
    return float(np.median(good)) if len(good) else 0.0


def _ms(nanoseconds: float | None) -> int | None:
    return None if nanoseconds is None else round(nanoseconds / 1e6)
