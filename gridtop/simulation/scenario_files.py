"""Scenario files: what shall happen and within which ranges, in YAML, with every mistake at its place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import Field

from gridtop import documents
from gridtop.problems import InvalidConfiguration, KeyPath, did_you_mean
from gridtop.simulation.events import KINDS, Event, Switching
from gridtop.simulation.network import Fault
from gridtop.simulation.occurrences import AFTERMATH
from gridtop.simulation.ranges import Ranges
from gridtop.units import Duration
from gridtop.validation import Findings, describe

MOST_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class Scenario:
    """What a scenario file says; None is left open.

    events  in order of their start; without a list of them, events are drawn from the ranges
    ranges  from which conditions (and events) are drawn; None is the plain grid of the bundled recording
    """

    events: tuple[Event, ...] | None = None
    ranges: Ranges | None = None
    duration: timedelta | None = None
    rate: int | None = None
    seed: int | None = None


_SETTINGS: dict[str, Any] = {
    "duration": Duration,
    "rate": Annotated[int, Field(ge=10, le=120)],
    "seed": Annotated[int, Field(ge=0)],
}


def read_scenario(path: Path, environment: Mapping[str, str]) -> Scenario:
    """The scenario in a file; raises InvalidConfiguration with every mistake in it."""
    document = documents.read(path, environment)
    findings = Findings(document)
    content = document.value
    scenario = Scenario()
    if not isinstance(content, dict):
        findings.add((), f"should be a map with events: or ranges:, not {describe(content)}")
    else:
        scenario = _scenario(content, findings)
    if problems := findings.problems():
        raise InvalidConfiguration(*problems)
    return scenario


def _scenario(content: dict[str, Any], findings: Findings) -> Scenario:
    known = (*_SETTINGS, "ranges", "events")
    for name in content:
        if name not in known:
            findings.add((name,), f"unknown setting{did_you_mean(name, known)}", at_key=True)
    values = {
        name: findings.check(kind, content[name], (name,))
        for name, kind in _SETTINGS.items()
        if name in content
    }
    if values.get("duration") == timedelta(0):
        findings.add(("duration",), "a recording of no length has no frames")
    ranges = None
    if "ranges" in content:
        # `ranges:` with nothing behind it means all the usual ones.
        given = {} if content["ranges"] is None else content["ranges"]
        if isinstance(given, dict):
            given = _known(Ranges, given, ("ranges",), findings)
        ranges = findings.check(Ranges, given, ("ranges",))
    events = None
    if "events" in content:
        events = tuple(sorted(_events(content["events"], findings), key=lambda event: event.start))
    elif "ranges" not in content:
        findings.add((), "nothing happens: events: or ranges: is missing")
    return Scenario(events, ranges, **values)


def _events(content: Any, findings: Findings) -> Iterator[Event]:
    if not isinstance(content, list):
        findings.add(("events",), f"should be a list, not {describe(content)}")
        return
    if len(content) > MOST_EVENTS:
        findings.add(("events",), f"should have at most {MOST_EVENTS} items, not {len(content)}")
        return
    moving: list[tuple[float, float, int]] = []
    for i, item in enumerate(content):
        event = _event(item, i, findings)
        if event is not None:
            yield event
        if isinstance(event, get_args(Switching)):
            moving.append((event.start, event.end + AFTERMATH, i))
    busy_until, before = 0.0, 0
    for start, end, i in sorted(moving):
        if start < busy_until:
            until = f"event {before + 1} may move breakers until {busy_until:g} s"
            findings.add(("events", i), f"{until}, so this one cannot start at {start:g} s")
        if end > busy_until:
            busy_until, before = end, i


def _event(item: Any, number: int, findings: Findings) -> Event | None:
    path = ("events", number)
    if not isinstance(item, dict):
        findings.add(path, f"should be a map with kind: and start:, not {describe(item)}")
        return None
    kind = item.get("kind")
    if "kind" not in item:
        findings.add(path, "required setting is missing: which kind of event is it?")
        return None
    if not isinstance(kind, str) or kind not in KINDS:
        message = f"there is no such kind of event as {describe(kind)}{did_you_mean(str(kind), KINDS)}"
        findings.add((*path, "kind"), message)
        return None
    own = _known(KINDS[kind], {key: value for key, value in item.items() if key != "kind"}, path, findings)
    if isinstance(own.get("fault"), dict):
        own["fault"] = _known(Fault, own["fault"], (*path, "fault"), findings)
    event: Event | None = findings.check(KINDS[kind], own, path)
    return event


def _known(kind: Any, given: dict[str, Any], path: KeyPath, findings: Findings) -> dict[str, Any]:
    """What of `given` is a field of the dataclass `kind`; the rest is noted."""
    names = [field.name for field in dataclasses.fields(kind)]
    for name in given:
        if name not in names:
            findings.add((*path, name), f"unknown setting{did_you_mean(name, names)}", at_key=True)
    return {name: value for name, value in given.items() if name in names}
