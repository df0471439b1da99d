"""Where the truth about a recording is: in the list of events beside it, or in one of its columns."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gridtop.blocks import Floats
from gridtop.config import Configuration
from gridtop.errors import GridtopError, SourceError
from gridtop.evaluation.event_lists import read_event_list, truths_of
from gridtop.evaluation.frame_metrics import Marks
from gridtop.evaluation.labels import described, is_quiet, quiet_labels, runs
from gridtop.evaluation.matching import Truth
from gridtop.evaluation.observing import Survey
from gridtop.evaluation.splits import Rows, segments
from gridtop.naming import ChannelMap, ChannelMeaning
from gridtop.problems import did_you_mean
from gridtop.text import clean

_Recording = tuple[str, Configuration, Survey]
_Listed = tuple[Path, Mapping[str, Any]]

ANYWHERE = frozenset({"", "system"})
"""What alarms name that name no place: they may find an event wherever it is."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A recording with its truth. Times are in seconds from `origin`.

    truths     the events that ought to be found
    ordinary   what happens but is normal operation: an alarm during it is false
    source     where the truth is from, in words
    seconds    (n,) of the frames
    inside     (n,) whether a frame is in an event that ought to be found
    group      (n,) number of the event, or of the stretch between events
    """

    name: str
    configuration: Configuration
    survey: Survey
    origin: np.datetime64
    truths: tuple[Truth, ...]
    ordinary: tuple[Truth, ...]
    source: str
    seconds: Floats
    inside: Marks
    group: Rows


class LabelColumn(ChannelMap):
    """A `channels:` section in which one column is labels, whatever it is otherwise."""

    def __init__(self, below: ChannelMap, column: str) -> None:
        self._below = below
        self._column = column

    def meaning(self, name: str) -> ChannelMeaning | None:
        """What the column called `name` is."""
        return ChannelMeaning(quantity="label") if name == self._column else self._below.meaning(name)


def labelled(recordings: Sequence[_Recording], column: str | None, normal: Sequence[str]) -> list[Labelled]:
    """The recordings with their truths, from lists of events unless a `column` is named.

    `normal` are the values of labels, or the markers or kinds of listed events, that are normal operation.
    Raises GridtopError when there is no truth to be had, saying where it was looked for.
    """
    lists = [None if column is not None else _event_list(one) for _, one, _ in recordings]
    columns = [
        "" if listed is not None else _column(name, configuration, known, column)
        for (name, configuration, known), listed in zip(recordings, lists, strict=True)
    ]
    _check_normal(normal, [*lists], [*zip(recordings, columns, strict=True)])
    quiet = _quiet(recordings, columns, normal)
    return [
        _from_list(name, configuration, known, *listed, normal)
        if listed is not None
        else _from_column(name, configuration, known, used, quiet[used])
        for (name, configuration, known), listed, used in zip(recordings, lists, columns, strict=True)
    ]


def _event_list(configuration: Configuration) -> _Listed | None:
    path = event_list_path(configuration)
    document = None if path is None else read_event_list(path)
    return None if path is None or document is None else (path, document)


def event_list_path(configuration: Configuration) -> Path | None:
    """Where the list of events of a replayed recording would be: NAME.events.json beside it."""
    from gridtop.simulation.recording import events_path

    path = getattr(configuration.source.config, "path", None)
    if not isinstance(path, str):
        return None
    return events_path(configuration.directory / Path(os.path.expanduser(path)))


def _column(name: str, configuration: Configuration, known: Survey, column: str | None) -> str:
    """The column of labels to use; GridtopError when it is not there or nobody said which of several."""
    there = tuple(known.labels)
    if column is not None and column in there:
        return column
    if column is not None:
        hint = did_you_mean(column, (*there, *known.channels.names))
        raise GridtopError(f"{clean(name)} has no column {clean(column)!r}{hint}; {_label_columns(there)}")
    if len(there) == 1:
        return there[0]
    path = event_list_path(configuration)
    beside = f"there is no list of events beside it ({clean(path.name)})" if path else "it has no file"
    raise GridtopError(
        f"{clean(name)}: what is true is not known: {beside}, and {_label_columns(there)}. "
        "Say with --labels COLUMN which column tells what happened"
    )


def _label_columns(there: Sequence[str]) -> str:
    if not there:
        return "no column is known to be a label"
    return f"its columns of labels are {', '.join(clean(name, 60) for name in there)}"


def _quiet(
    recordings: Sequence[_Recording], columns: Sequence[str], normal: Sequence[str]
) -> dict[str, frozenset[str]]:
    """For each column in use, the values during which nothing happens, of all recordings together."""
    texts: dict[str, list[Any]] = {}
    for (_, _, known), column in zip(recordings, columns, strict=True):
        if column:
            texts.setdefault(column, []).append(known.labels[column])
    return {column: quiet_labels(column, np.concatenate(parts), normal) for column, parts in texts.items()}


def _from_list(
    name: str,
    configuration: Configuration,
    known: Survey,
    path: Path,
    document: Mapping[str, Any],
    normal: Sequence[str],
) -> Labelled:
    origin = np.datetime64(str(document["start"]).removesuffix("Z"), "ns")
    if known.clock == "row":
        origin = known.time[0]
    seconds = _seconds(known, origin)
    try:
        # Seconds from the same origin as the claims; what lies outside of the frames cannot be found.
        pairs = [
            (_placed(truth), str(event.get("marker", "")))
            for truth, event in zip(truths_of(document, configuration.site), document["events"], strict=True)
            if truth.start <= seconds[-1] and truth.end >= seconds[0]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"{clean(path.name)}: an event lacks something or is wrong: {clean(str(error), 80)}"
        ) from None
    usual = [_is_ordinary(truth, marker, normal) for truth, marker in pairs]
    truths = tuple(truth for (truth, _), is_usual in zip(pairs, usual, strict=True) if not is_usual)
    ordinary = tuple(truth for (truth, _), is_usual in zip(pairs, usual, strict=True) if is_usual)
    inside = np.zeros(len(seconds), dtype=bool)
    for truth in truths:
        start = int(np.searchsorted(seconds, truth.start))
        inside[start : int(np.searchsorted(seconds, truth.end, side="right"))] = True
    group = segments(inside.astype(np.int64))
    source = f"event list {clean(path.name)}"
    return Labelled(name, configuration, known, origin, truths, ordinary, source, seconds, inside, group)


def _is_ordinary(truth: Truth, marker: str, normal: Sequence[str]) -> bool:
    if marker in normal or truth.kind in normal:
        return True
    return bool(marker) and is_quiet(marker)


def _placed(truth: Truth) -> Truth:
    """An event at a place may be found by alarms that name none."""
    return replace(
        truth, kind=clean(truth.kind, 60), places=truth.places | ANYWHERE if truth.places else truth.places
    )


def _from_column(
    name: str, configuration: Configuration, known: Survey, column: str, quiet: frozenset[str]
) -> Labelled:
    seconds = _seconds(known, known.time[0])
    labels = known.labels[column]
    truths, inside = runs(labels, seconds, quiet)
    _, numbers = np.unique(np.where(inside, labels, ""), return_inverse=True)
    return Labelled(
        name,
        configuration,
        known,
        known.time[0],
        tuple(truths),
        (),
        f"column {clean(column, 60)}",
        seconds,
        inside,
        segments(numbers.astype(np.int64)),
    )


def _seconds(known: Survey, origin: np.datetime64) -> Floats:
    since: Floats = (known.time.astype("datetime64[ns]") - origin).astype(np.int64) / 1e9
    return since


def _check_normal(
    normal: Sequence[str], lists: Sequence[_Listed | None], columns: Sequence[tuple[_Recording, str]]
) -> None:
    """GridtopError for a --normal that is nowhere: a slip of the finger would turn the figures around."""
    known: Counter[str] = Counter()
    for (_, _, survey), column in columns:
        if column:
            values, counts = np.unique(survey.labels[column], return_counts=True)
            known.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
    named = {
        str(event.get(key, ""))
        for listed in lists
        if listed is not None
        for event in listed[1]["events"]
        for key in ("kind", "marker")
    }
    for value in normal:
        if value not in known and value not in named:
            frames = f"labels {described(known)}" if known else ""
            kinds = f"events of {', '.join(clean(name, 40) for name in sorted(named))}" if named else ""
            raise GridtopError(
                f"--normal {clean(value)}: nothing has this name{did_you_mean(value, (*known, *named))}; "
                f"there are {' and '.join(filter(None, (frames, kinds)))}"
            )
