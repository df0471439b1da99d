"""Recordings to learn from: what they measure, and what was true in each of their frames."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.baseline import Baseline
from gridtop.blocks import Floats, Labels, Times
from gridtop.channels import ChannelSet
from gridtop.config import Configuration, load
from gridtop.errors import GridtopError, SourceError
from gridtop.evaluation.event_lists import read_event_list, truths_of
from gridtop.evaluation.labels import is_quiet, quiet_labels
from gridtop.evaluation.splits import segments
from gridtop.evaluation.truth_sources import LabelColumn
from gridtop.learning.card import TrainedOn
from gridtop.naming import ChannelMap
from gridtop.problems import did_you_mean
from gridtop.quality.settings import QualitySettings
from gridtop.recordings import Recording, open_recording
from gridtop.site import Site
from gridtop.text import clean

MARGIN_S = 5.0
"""So long after an event frames are still not ordinary: the grid comes to rest."""
EVENT_LIST = "events"
"""What `--labels` says for the list of events beside a recording."""
SUFFIXES = (".csv", ".csv.gz", ".parquet", ".cfg", ".cff", ".gridtop")

Marks = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Span:
    """Frames `first` to `stop` (left out) that were an event of a kind; no places means everywhere."""

    kind: str
    first: int
    stop: int
    places: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Lesson:
    """A recording of n frames with its truth.

    seconds   (n,) of the frames since 1970, or since the first frame of a recording without a clock
    group     (n,) number of the event, or of the stretch between events
    ordinary  (n,) whether nothing happens, and has not for some seconds
    """

    name: str
    path: Path
    sha256: str
    open: Callable[[], Recording]
    channels: ChannelSet
    site: Site
    quality: QualitySettings
    baseline: Baseline | None
    source: str
    spans: tuple[Span, ...]
    seconds: Floats
    group: Whole
    ordinary: Marks
    remarks: tuple[str, ...] = ()

    @property
    def trained_on(self) -> TrainedOn:
        """The recording as a model's card names it."""
        return TrainedOn(
            name=self.name,
            sha256=self.sha256,
            frames=len(self.seconds),
            seconds=round(float(self.seconds[-1] - self.seconds[0]), 3),
            clock=self.channels.clock,
        )

    def kinds(self, places: Iterable[str], known: Mapping[str, int]) -> Whole:
        """(n,) the number of the kind of event that is on at one of some places, by `known`; 0 for none."""
        wanted = {place for place in places if place}
        marked = np.zeros(len(self.seconds), dtype=np.int64)
        for span in self.spans:
            if not wanted or not span.places or wanted & span.places:
                marked[span.first : span.stop] = known.get(span.kind, len(known))
        return marked


@dataclass(frozen=True, slots=True)
class _Surveyed:
    """A recording before its truth is known."""

    path: Path
    sha256: str
    open: Callable[[], Recording]
    recording: Recording
    site: Site
    quality: QualitySettings
    baseline: Baseline | None
    document: Mapping[str, Any] | None
    time: Times
    labels: Mapping[str, Labels]
    remarks: tuple[str, ...]


def recordings_in(data: Sequence[Path]) -> list[Path]:
    """The recordings that are named, and those in folders that are, by name.

    Raises SourceError for what is not there, and for a folder without a recording.
    """
    found: list[Path] = []
    for path in data:
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.name.lower().endswith(SUFFIXES))
            if not inside:
                raise SourceError(f"{clean(str(path))}: there is no recording in this folder")
            found += inside
        elif path.exists():
            found.append(path)
        else:
            raise SourceError(f"{clean(str(path))}: there is no such file")
    return list(dict.fromkeys(found))


def lessons(
    paths: Sequence[Path],
    *,
    config: Path | None = None,
    column: str | None = None,
    normal: Sequence[str] = (),
    overrides: Sequence[str] = (),
    plugins: Sequence[Path] = (),
    progress: Callable[[int], object] = lambda recordings: None,
) -> list[Lesson]:
    """The recordings with their truth, in order of time.

    With a `config` channels and site are what it says; without, a simulated recording is told what an
    engineer would know of its grid, and any other what the default configuration says. `column` names a
    column of labels, or is `events` for the list beside; by default the list if there is one. `normal` are
    labels, markers or kinds that are normal operation. `overrides` and `plugins` belong to the configuration.
    Raises GridtopError when there is no truth to be had.
    """
    loaded = partial(load, config, overrides=overrides, plugin_files=plugins, environment=os.environ)
    surveyed = [_surveyed(path, loaded, config is None, column, progress) for path in paths]
    used = [_truth_of(one, column) for one in surveyed]
    quiet = _quiet(surveyed, used, normal)
    found = [_lesson(one, label, quiet, normal) for one, label in zip(surveyed, used, strict=True)]
    return sorted(found, key=lambda one: float(one.seconds[0]))


def _surveyed(
    path: Path,
    loaded: Callable[..., Configuration],
    is_plain: bool,
    column: str | None,
    progress: Callable[[int], object],
) -> _Surveyed:
    from gridtop.commands.options import open_configured
    from gridtop.simulation.recording import events_path

    document = read_event_list(events_path(path))
    grid = (document or {}).get("conditions", {}).get("grid") if is_plain else None
    wanted = None if column in (None, EVENT_LIST) else column
    baseline: Baseline | None = None
    quality = QualitySettings()
    remarks: tuple[str, ...] = ()

    def named(below: ChannelMap) -> ChannelMap:
        return below if wanted is None else LabelColumn(below, wanted)

    if document is not None and grid is not None:
        site, baseline, remarks = _simulated_site(path, document, grid)

        def opened() -> Recording:
            return open_recording(path, named(ChannelMap()))
    else:
        configuration = loaded(recording=path)
        mapped = replace(configuration, channels=named(configuration.channels))
        site, quality = configuration.site, configuration.quality
        if site.baselines is not None:
            baseline = Baseline.read(configuration.directory / site.baselines.from_)

        def opened() -> Recording:
            return open_configured(path, mapped)

    recording = opened()
    times: list[Times] = []
    labels: dict[str, list[Labels]] = {}
    for block in recording.blocks():
        times.append(block.time)
        for name, texts in block.labels.items():
            labels.setdefault(name, []).append(texts)
    progress(1)
    if not times:
        raise SourceError(f"{clean(path.name)}: there are no frames to learn from")
    return _Surveyed(
        path,
        _hash(path),
        opened,
        recording,
        site,
        quality,
        baseline,
        document,
        np.concatenate(times),
        {name: np.concatenate(parts) for name, parts in labels.items()},
        remarks,
    )


def _simulated_site(
    path: Path, document: Mapping[str, Any], grid: Mapping[str, Any]
) -> tuple[Site, Baseline | None, tuple[str, ...]]:
    from gridtop.simulation.sites import quiet_baseline, quiet_seconds, site_of

    section = site_of(grid, logs=True)
    try:
        baseline = quiet_baseline(path, section, quiet_seconds(document))
    except ValueError as error:
        return Site.model_validate(section), None, (f"{clean(path.name)}: no baseline: {clean(str(error))}",)
    return Site.model_validate(section), baseline, ()


def _truth_of(one: _Surveyed, column: str | None) -> str:
    """The column of labels to use, or "" for the list of events; GridtopError when there is neither."""
    there = ", ".join(clean(name, 60) for name in one.labels) or "none"
    name = clean(one.path.name)
    if column not in (None, EVENT_LIST):
        if column in one.labels:
            return str(column)
        hint = did_you_mean(str(column), (*one.labels, *one.recording.channels.names))
        raise GridtopError(f"{name} has no column {clean(str(column))!r}{hint}; its labels are: {there}")
    if one.document is not None:
        return ""
    if column is None and len(one.labels) == 1:
        return next(iter(one.labels))
    raise GridtopError(
        f"{name}: what is true is not known: there is no list of events beside it, and its columns of labels "
        f"are: {there}. Say with --labels COLUMN which column tells what happened"
    )


def _quiet(
    surveyed: Sequence[_Surveyed], used: Sequence[str], normal: Sequence[str]
) -> dict[str, frozenset[str]]:
    texts: dict[str, list[Labels]] = {}
    known: set[str] = set()
    for one, column in zip(surveyed, used, strict=True):
        if column:
            texts.setdefault(column, []).append(one.labels[column])
            known.update(np.unique(one.labels[column]).tolist())
        elif one.document is not None:
            known |= {
                str(event.get(key, "")) for event in one.document["events"] for key in ("kind", "marker")
            }
    for value in normal:
        if value not in known:
            shown = ", ".join(clean(name, 40) for name in sorted(known)[:12])
            raise GridtopError(f"--normal {clean(value)}: nothing has this name; there are {shown}")
    return {column: quiet_labels(column, np.concatenate(parts), normal) for column, parts in texts.items()}


def _lesson(
    one: _Surveyed, column: str, quiet: Mapping[str, frozenset[str]], normal: Sequence[str]
) -> Lesson:
    clock = one.recording.channels.clock
    origin = np.datetime64("1970-01-01", "ns") if clock == "utc" else one.time[0].astype("datetime64[ns]")
    seconds: Floats = (one.time.astype("datetime64[ns]") - origin).astype(np.int64) / 1e9
    if column:
        spans, inside = _from_column(one.labels[column], quiet[column])
        source = f"column {clean(column, 60)}"
    else:
        spans, inside = _from_list(one, seconds, normal)
        source = "list of events"
    return Lesson(
        name=clean(one.path.name),
        path=one.path,
        sha256=one.sha256,
        open=one.open,
        channels=one.recording.channels,
        site=one.site,
        quality=one.quality,
        baseline=one.baseline,
        source=source,
        spans=spans,
        seconds=seconds,
        group=segments(inside),
        ordinary=_ordinary(inside > 0, seconds),
        remarks=one.remarks,
    )


def _from_column(labels: Labels, quiet: frozenset[str]) -> tuple[tuple[Span, ...], Whole]:
    values, codes = np.unique(labels, return_inverse=True)
    eventful = np.array([value not in quiet for value in values.tolist()], dtype=bool)
    inside = np.where(eventful[codes], codes + 1, 0).astype(np.int64)
    borders = np.concatenate(([0], np.flatnonzero(np.diff(inside) != 0) + 1, [len(inside)])).tolist()
    spans = tuple(
        Span(clean(str(labels[first]), 60), first, stop) for first, stop in pairwise(borders) if inside[first]
    )
    return spans, inside


def _from_list(one: _Surveyed, seconds: Floats, normal: Sequence[str]) -> tuple[tuple[Span, ...], Whole]:
    document = one.document
    assert document is not None
    start = np.datetime64(str(document["start"]).removesuffix("Z"), "ns")
    # A recording without a clock begins where its list does.
    first = 0.0
    if one.recording.channels.clock == "utc":
        first = int((start - np.datetime64("1970-01-01", "ns")).astype(np.int64)) / 1e9
    spans: list[Span] = []
    inside = np.zeros(len(seconds), dtype=np.int64)
    try:
        for truth, event in zip(truths_of(document, one.site), document["events"], strict=True):
            marker = str(event.get("marker", ""))
            if marker in normal or truth.kind in normal or (marker and is_quiet(marker)):
                continue
            end = max(truth.end, float(event.get("label_end_ms", 0)) / 1000)
            begin = int(np.searchsorted(seconds, first + truth.start))
            stop = int(np.searchsorted(seconds, first + end, side="right"))
            if stop > begin:
                spans.append(Span(clean(truth.kind, 60), begin, stop, truth.places))
                inside[begin:stop] = 1
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"{clean(one.path.name)}: an event in its list is wrong or lacks something: "
            f"{clean(str(error), 80)}"
        ) from None
    return tuple(spans), inside


def _ordinary(inside: Marks, seconds: Floats) -> Marks:
    last = np.maximum.accumulate(np.where(inside, seconds, -np.inf))
    calm: Marks = ~inside & (seconds - last > MARGIN_S)
    return calm


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
