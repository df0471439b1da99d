"""What an MQTT message says: patterns of topics, paths into JSON, plain numbers, and times."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from gridtop.naming import TimeUnit
from gridtop.recordings.tables import number
from gridtop.recordings.timestamps import guess_unit, times_from_text
from gridtop.text import clean

LARGEST = 1 << 20
"""Bytes of a payload at most."""
_PLACE = re.compile(r"\{([A-Za-z_]\w*)\}")
_STEP = re.compile(r'\.?([^.\[\]"]+)|\[(\d{1,6})\]|\["((?:[^"\\]|\\.)*)"\]')
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Path = tuple[str | int, ...]


class Unusable(ValueError):
    """A message, or a value in it, that cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class TopicPattern:
    """A topic with places: `site/{device}/power`. `subscription` is what the broker is asked for."""

    text: str
    subscription: str
    places: tuple[str, ...]
    expression: re.Pattern[str]

    def match(self, topic: str) -> dict[str, str] | None:
        """What stands in the places of a topic; None when it is another one."""
        found = self.expression.fullmatch(topic)
        return None if found is None else found.groupdict()

    def filled(self, values: dict[str, str]) -> str:
        """The topic with values in its places."""
        return fill(self.text, values)


def topic_pattern(text: str) -> TopicPattern:
    """A topic whose levels are text, `{name}`, `+`, or at its end `#`; ValueError when it is none."""
    levels = text.split("/")
    parts, places = [], []
    for i, level in enumerate(levels):
        if place := _PLACE.fullmatch(level):
            if place[1] in places:
                raise ValueError(f"{{{place[1]}}} stands in the topic twice")
            places.append(place[1])
            parts.append(f"(?P<{place[1]}>[^/]+)")
        elif level == "+":
            parts.append("[^/]+")
        elif level == "#" and i == len(levels) - 1:
            parts.append(".*")
        elif re.search(r"[+#{}\x00-\x1f\x7f]", level):
            raise ValueError(f"{level!r}: + and {{name}} fill a whole level, # only the last one")
        else:
            parts.append(re.escape(level))
    if not text or len(text.encode("utf-8", "replace")) > 1000:
        raise ValueError("a topic has 1 to 1000 bytes")
    return TopicPattern(text, _PLACE.sub("+", text), tuple(places), re.compile("/".join(parts), re.DOTALL))


def places_in(template: str) -> set[str]:
    """The names of the places in a template."""
    return set(_PLACE.findall(template))


def fill(template: str, values: dict[str, str]) -> str:
    """A template with values in its places."""
    return _PLACE.sub(lambda place: values[place[1]], template)


def path_of(text: str) -> Path:
    """The steps of `phases[0].u`, `["key.with dots"].value` or of nothing; ValueError when it is no path."""
    rest = text.removeprefix("$")
    steps: list[str | int] = []
    position = 0
    while position < len(rest):
        found = _STEP.match(rest, position)
        if found is None or (found[1] and position and rest[position] != "."):
            raise ValueError(f"{text!r} is no path at {rest[position:]!r}; write it like phases[0].voltage")
        if found[2] is not None:
            steps.append(int(found[2]))
        elif found[3] is not None:
            steps.append(json.loads(f'"{found[3]}"'))
        else:
            steps.append(found[1])
        position = found.end()
    return tuple(steps)


def value_at(document: object, path: Path, text: str) -> Any:
    """What stands at the end of a path into JSON; Unusable when there is nothing."""
    for step in path:
        try:
            if isinstance(step, int) != isinstance(document, list):
                raise LookupError
            document = document[step]  # type: ignore[index]  # TypeError is caught
        except (LookupError, TypeError):
            raise Unusable(f"there is no {clean(text, longest=60)}") from None
    return document


def json_of(payload: bytes) -> object:
    """The JSON of a payload; Unusable when it is none."""
    try:
        return json.loads(payload)
    except json.JSONDecodeError as error:
        raise Unusable(f"column {error.colno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError):
        raise Unusable("not JSON in UTF-8, or a nest beyond all measure") from None


def number_of(cell: object) -> float:
    """The number in a payload or in a place of it, NaN for no value; Unusable when it is something else."""
    read = None if isinstance(cell, (list, dict)) else number(cell)
    if read is None:
        shown = "a list" if isinstance(cell, list) else "an object" if isinstance(cell, dict) else None
        raise Unusable(f"{shown or repr(clean(str(cell), longest=40))} is no number")
    return read


def time_of(cell: object, unit: TimeUnit | None) -> int:
    """Nanoseconds since 1970 of a time in a payload; Unusable when it is none."""
    text = cell if isinstance(cell, str) else "" if isinstance(cell, (list, dict)) else repr(cell)
    unit = unit or guess_unit(text)
    if unit != "iso":
        time = times_from_text([text], unit)[0]
        if not np.isnat(time):
            return int(time.astype(np.int64))
    elif text[:1].isdigit():
        # To the microsecond; a thousand times as fast as what reads columns of times.
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            pass
        else:
            since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
            return ((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds) * 1000
    raise Unusable(f"{clean(str(cell), longest=40)!r} is not a time")
