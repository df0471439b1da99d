"""Limit lines: the thresholds of the alarm rules as values on channels, for screens to draw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Literal

from gridtop.alarms.lanes import BoundRule
from gridtop.alarms.rules import DIRECTIONS, LEVELS, Level
from gridtop.channels import Channel, ChannelSet
from gridtop.client import LimitLine
from gridtop.site import Site

_Place = tuple[str, float, float]
"""The name of a channel, and offset and factor that make its unit of that of the rule."""


def limit_lines(rules: Iterable[BoundRule], channels: ChannelSet, site: Site) -> tuple[LimitLine, ...]:
    """One line for each threshold of each channel that a rule looks at; scores of detectors have none.

    A limit in per unit or on the deviation of the frequency also stands, in V, A or Hz, on the channels
    that the quantity is made from: those are what people look at.
    """
    neighbours: defaultdict[tuple[str, str], list[Channel]] = defaultdict(list)
    for channel in channels:
        if channel.part != "angle":
            neighbours[channel.terminal, channel.phase].append(channel)
    found: dict[LimitLine, None] = {}  # in order, without repetition
    for rule in rules:
        for column, subject in zip(rule.columns, rule.subjects, strict=True):
            if column >= len(channels):
                continue
            places = _places(channels[column], neighbours, site)
            for (name, offset, factor), threshold in product(places, _thresholds(rule, subject)):
                direction, level, value = threshold
                found[LimitLine(name, direction, level, offset + factor * value)] = None
    return tuple(found)


def _thresholds(rule: BoundRule, subject: Channel) -> Iterator[tuple[Literal["low", "high"], Level, float]]:
    settings = rule.settings.for_channel(subject)
    for direction, level in product(DIRECTIONS, LEVELS):
        levels = settings.levels(direction) if settings.enabled else None
        value = getattr(levels, level) if levels is not None else None
        if value is not None and direction != "high":
            yield "low", level, -value if direction == "abs" else value
        if value is not None and direction != "low":
            yield "high", level, value


def _places(
    watched: Channel, neighbours: Mapping[tuple[str, str], Sequence[Channel]], site: Site
) -> Iterator[_Place]:
    """The channel that a rule watches, and those it is made from by a mere change of unit."""
    yield watched.name, 0.0, 1.0
    for channel in neighbours.get((watched.terminal, watched.phase), ()):
        base = 1.0 if channel.unit == "pu" else _base(channel, site)
        if (watched.quantity, channel.quantity) == ("frequency_deviation", "frequency"):
            yield channel.name, site.frequency, 1.0
        elif watched.quantity == f"{channel.quantity}_pu" and base is not None:
            yield channel.name, 0.0, base


def _base(channel: Channel, site: Site) -> float | None:
    """What 1 pu is on a channel, in its own unit; None when the site does not say."""
    if channel.quantity == "current":
        return site.nominal.current
    if channel.reference == "line_to_line" or channel.phase in ("AB", "BC", "CA"):
        return site.nominal.line_to_line
    return site.nominal.line_to_neutral
