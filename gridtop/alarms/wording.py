"""What an alarm says to people: which place, which value, which limit, for how long."""

from __future__ import annotations

import math

from gridtop.alarms.lanes import Lane
from gridtop.alarms.rules import LEVELS
from gridtop.alarms.timing import SECOND
from gridtop.channels import Channel
from gridtop.events import Transition
from gridtop.text import clean

_SEQUENCES = {"+": "positive-sequence", "-": "negative-sequence", "0": "zero-sequence"}
_SIDES = {"low": "below", "high": "above", "abs": "beyond"}


def message(
    lane: Lane,
    transition: Transition,
    level: int,
    value: float,
    worst: float = math.nan,
    lasted: str = "",
    gate_closed: bool = False,
) -> str:
    """One line for one event: `R3 A voltage 0.71 pu below 0.9 pu (critical)`.

    The most important words stand first, because a screen of 80 columns shows no more than fifty letters.
    `level` is the one concerned (0 warning, 1 critical); `worst` and `lasted` speak of the alarm so far.
    """
    what = subject(lane)
    at = "" if math.isnan(value) else f" at {amount(value, lane.unit)}"
    if gate_closed and lane.settings.gate is not None:
        at = f", {clean(lane.settings.gate.on)} left its gate"
    past = f"after {lasted}, worst {amount(worst, lane.unit)}"
    match transition:
        case "raised" | "escalated":
            side = "at" if value == lane.limit(level) else _SIDES[lane.direction]
            before = ", was warning" if transition == "escalated" else ""
            limit = f"{_threshold(lane, level)} ({LEVELS[level]}{before})"
            return f"{what} {amount(value, lane.unit)} {side} {limit}"
        case "eased":
            return (
                f"{what} eased to warning{at}, no longer {_SIDES[lane.direction]} {_threshold(lane, level)}"
            )
        case "latched":
            return f"{what} back{at} {past}; held until unlatched"
        case "reset":
            return f"{what} still {LEVELS[level]}{at} when the pass ended, {past}"
        case _:
            return f"{what} cleared{at} {past}"


def order_message(
    lane: Lane, transition: Transition, level: int, value: float, user: str, reason: str, lasts: str = ""
) -> str:
    """What an operator did: `R3 A voltage critical alarm shelved for 30 min by ada: crew on site`.

    An alarm that comes back says in `lasts` what has become of it.
    """
    at = "" if math.isnan(value) else f" at {amount(value, lane.unit)}"
    who = f" by {user}" if user else ""
    why = f": {reason}" if reason else ""
    done = {
        "acknowledged": f"acknowledged{who}{at}{why}",
        "unlatched": f"unlatched{who}{at}{why}",
        "shelved": f"shelved for {lasts}{who}{why}",
        "unshelved": f"no longer shelved{who}{why}; {lasts}",
        "out_of_service": f"taken out of service{who}{why}",
        "in_service": f"back in service{who}{why}; {lasts}",
    }
    return f"{subject(lane)} {LEVELS[level]} alarm {done[transition]}"


def returned_message(lane: Lane, level: int, value: float, lasted: str) -> str:
    """An alarm whose condition came while it was set aside, or before, and still holds."""
    now = "" if math.isnan(value) else f" {amount(value, lane.unit)}"
    limit = f"limit {_threshold(lane, level)}"
    return f"{subject(lane)}{now} ({LEVELS[level]} for {lasted}, {limit}), announced again"


def silenced_message(lane: Lane, level: int, value: float) -> str:
    """An alarm that another one inhibits."""
    by = ", ".join(clean(rule) for rule in lane.settings.inhibit_if)
    return (
        f"{subject(lane)} {amount(value, lane.unit)} {_SIDES[lane.direction]} {_threshold(lane, level)}, "
        f"silenced by {by}"
    )


def with_note(note: str, lane: Lane, level: int, value: float, escalated: bool) -> str:
    """A detector's reason as a message: `R4 VT fuse failure, phase A (physics 14.1 above 2, critical)`.

    The reason comes first, because it says more than a score. About data it is all there is to say.
    """
    words = f"{LEVELS[level]}{', was warning' if escalated else ''}"
    if lane.kind == "data":
        return f"{note} ({words})"
    place = clean(lane.subject.terminal or lane.subject.name)
    reason = note if place in note else f"{place} {note}"
    side = "at" if value == lane.limit(level) else _SIDES[lane.direction]
    return (
        f"{reason} ({clean(lane.rule)} {amount(value, lane.unit)} {side} {_threshold(lane, level)}, {words})"
    )


def subject(lane: Lane) -> str:
    """What an alarm is about: `R3 A voltage`; of a score `zscore of R3 A voltage`, or `physics at R3`."""
    channel = lane.subject
    name = clean(_place(channel))
    if not lane.is_score or lane.kind == "data":
        return name
    of_place = channel.terminal and channel.name == f"{channel.terminal}:{channel.quantity}"
    return f"{clean(lane.rule)} at {clean(channel.terminal)}" if of_place else f"{clean(lane.rule)} of {name}"


def _place(channel: Channel) -> str:
    if not channel.terminal or channel.quantity == "other":
        return channel.name
    phase = _SEQUENCES.get(channel.phase, channel.phase)
    # The unit says that it is per unit.
    quantity = channel.quantity.removesuffix("_pu").replace("_", " ")
    angle = "angle" if channel.part == "angle" else ""
    return " ".join(part for part in (channel.terminal, phase, quantity, angle) if part)


def amount(value: float, unit: str) -> str:
    """A number of four significant digits with its unit: `0.7134 pu`, `131000 V`, `0.71` for a ratio."""
    digits = f"{value:.0f}" if 1e4 <= abs(value) < 1e7 else f"{value:.4g}"
    return digits if unit in ("", "1") else f"{digits} {clean(unit)}"


def span(nanoseconds: int) -> str:
    """A length of time: `0.5 s`, `2 min 5 s`, `3 h 4 min`."""
    seconds = nanoseconds / SECOND
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _threshold(lane: Lane, level: int) -> str:
    limit = amount(lane.limit(level), lane.unit)
    return f"±{limit}" if lane.direction == "abs" else limit
