"""From what is written down to what is judged: lists of events to truths, alarm events to claims."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gridtop.errors import SourceError
from gridtop.evaluation.matching import Claim, Truth
from gridtop.events import Event
from gridtop.site import Site
from gridtop.text import clean

_KINDS = ("alarm", "data", "fault")
_TELLING = ("raised", "escalated", "noticed")


def read_event_list(path: Path) -> Mapping[str, Any] | None:
    """The list of events (docs/simulation.md) in a file; None when there is no such file.

    Raises SourceError when it cannot be read or is something else.
    """
    if not path.is_file():
        return None
    try:
        document: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        document["events"], np.datetime64(str(document["start"]).removesuffix("Z"), "ns")
    except OSError as error:
        raise SourceError(f"{clean(path.name)}: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise SourceError(
            f"{clean(path.name)}: this is no list of events ({clean(str(error), 80)}); docs/simulation.md "
            "says what it holds. --labels COLUMN takes the truth from the recording instead"
        ) from None
    return document


def truths_of(document: Mapping[str, Any], site: Site) -> list[Truth]:
    """The events of an event list (docs/simulation.md), with times in seconds from the first frame.

    What happens to no part of the site (to a machine, the load, the stream) may be found anywhere.
    """
    return [
        Truth(
            kind=str(event["kind"]),
            start=event["start_ms"] / 1000,
            end=event["end_ms"] / 1000,
            places=_places(event, site),
            classes=_classes(event),
        )
        for event in document["events"]
    ]


def _places(event: Mapping[str, Any], site: Site) -> frozenset[str]:
    """Where an event may be found: an injection that deceives a whole bus falsifies every terminal there."""
    place = str(event.get("place", ""))
    if event["kind"] == "injection" and event.get("parameters", {}).get("mode") == "bus":
        buses = [t for t in site.terminals_of_buses.values() if set(place.split()) & set(t)]
        place = " ".join([place, *(terminal for terminals in buses for terminal in terminals)])
    return right_places(place, site)


def right_places(place: str, site: Site) -> frozenset[str]:
    """Where something at `place` may rightly be found.

    `R1 A`, `R1 VB` and `R1-PM1:V` are at the terminal R1: there, on its line, or at its bus, whose terminals
    disagree. A line is found on it or at either end, a bus at it or at any terminal of it.
    """
    found: set[str] = set()
    known = site.places
    for word in place.split():
        stem = word.partition(":")[0]
        named = next((name for name in (word, stem, stem.rpartition("-")[0]) if name in known), None)
        if named is None:
            continue
        found |= {named, *site.scope(named)}
        if line := site.line_of(named):
            found.add(line)
        found |= {bus for bus, terminals in site.terminals_of_buses.items() if named in terminals}
    return frozenset(found)


def _classes(event: Mapping[str, Any]) -> frozenset[str]:
    """What a claim may call it that names a type of short circuit: AG, BC, ..."""
    if event["kind"] not in ("short_circuit", "breaker_failure", "relay_settings"):
        return frozenset()
    fault = event.get("parameters", {}).get("fault") or {}
    return frozenset({fault["kind"]} if "kind" in fault else ())


def claims_of(events: Iterable[Event], start: np.datetime64) -> list[Claim]:
    """What alarms, data problems and fault events said, with times in seconds from `start`.

    An alarm speaks when it is raised and when it escalates, the others once. Events of a stream without
    a clock are left out: nothing can be timed there. The class is the `type` that a fault event gives,
    else the quantity: a detector's output `R1:vt_fuse` claims the class `vt_fuse` at R1.
    """
    origin = start.astype("datetime64[ns]")
    return [
        Claim(
            rule=event.rule,
            place=event.terminal or str(event.details.get("line") or event.channel),
            time=int((event.time.astype("datetime64[ns]") - origin).astype(np.int64)) / 1e9,
            class_=str(event.details.get("type") or event.quantity),
        )
        for event in events
        if event.kind in _KINDS and event.transition in _TELLING and event.time is not None
    ]
