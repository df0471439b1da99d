"""Rows of features with what was true of them, drawn from recordings so that they fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from gridtop.blocks import Block, Floats
from gridtop.errors import GridtopError
from gridtop.evaluation.frame_metrics import EVENT, NORMAL
from gridtop.learning.card import Recipe
from gridtop.learning.features import Binding, Feature, FeatureStream, Place, bind, fill, wanted
from gridtop.learning.recipes import Chosen, choose
from gridtop.quality import QualityChecks
from gridtop.quantities import Quantities
from gridtop.text import clean
from gridtop.training.lessons import Lesson, Marks, Whole

ROWS = 200_000
"""Rows of all recordings together: half of them of events, if there are so many."""
MOSTLY_MISSING = 0.5
"""A feature that more of the rows lack than this is left out."""
BLOCK = 4096
"""Frames taken at a time, so that features of long blocks do not fill the memory."""

Classes = Literal["binary", "multi"]
Progress = Callable[[int], object]


@dataclass(frozen=True)
class Dataset:
    """n rows of f features, in order of recording, frame and place.

    x         (n, f) features; those that were missing are taken from `fills`
    y         (n,) number of the class, 0 when nothing happens at that place
    classes   their names; the first is `normal`
    group     (n,) number of the event or of the stretch between events, over all recordings
    file      (n,) number of the recording
    seconds   (n,) time of the frame
    ordinary  (n,) whether nothing happens anywhere, and has not for some seconds
    """

    chosen: Chosen
    x: Floats
    y: Whole
    classes: tuple[str, ...]
    group: Whole
    file: Whole
    seconds: Floats
    ordinary: Marks
    fills: Floats
    places: int
    rate: float | None
    remarks: tuple[str, ...]

    @property
    def truth(self) -> Marks:
        """(n,) whether an event is on at the place."""
        mask: Marks = self.y > 0
        return mask

    def part(self, rows: Whole | Marks) -> Dataset:
        """Some of the rows."""
        names = ("x", "y", "group", "file", "seconds", "ordinary")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})


def choose_features(
    taught: Sequence[Lesson],
    recipe: Recipe,
    channels: Sequence[str] = ("*",),
    quantities: Sequence[str] = (),
) -> Chosen:
    """What all the recordings can supply of a recipe; GridtopError when that is nothing."""
    chosen: Chosen | None = None
    for lesson in taught:
        extended = lesson.channels
        patterns = tuple(channels)
        if quantities:
            extended = Quantities(lesson.channels, lesson.site, quantities, lesson.baseline).channels
            patterns = (*channels, *quantities)
        try:
            one = choose(recipe, extended, lesson.site, patterns)
        except GridtopError as error:
            raise GridtopError(f"{lesson.name}: {error}") from None
        if chosen is None:
            chosen = one
        elif one.scope != chosen.scope:
            raise GridtopError(f"{lesson.name} describes lines, or none, unlike the recordings before it")
        else:
            there = set(one.features)
            chosen = replace(chosen, features=tuple(f for f in chosen.features if f in there))
    if chosen is None or not chosen.features:
        raise GridtopError("the recordings have no feature in common: give them the same channel names")
    return chosen


def class_names(taught: Sequence[Lesson], classes: Classes) -> tuple[str, ...]:
    """Normal first, then `event`, or each kind of event by name."""
    if classes == "binary":
        return NORMAL, EVENT
    kinds = sorted({span.kind for lesson in taught for span in lesson.spans} - {NORMAL})
    return NORMAL, *kinds


class FeatureReader:
    """The features of one recording, block after block, as the monitor will compute them."""

    def __init__(self, lesson: Lesson, features: Sequence[Feature], chosen: Chosen, both_ways: bool) -> None:
        self.lesson = lesson
        self._quantities = Quantities(lesson.channels, lesson.site, wanted(features), lesson.baseline)
        self._checks = QualityChecks(lesson.channels, lesson.site, lesson.quality)
        binding: Binding = bind(
            features,
            chosen.scope,
            self._quantities.channels,
            lesson.site,
            both_ways=both_ways,
            absolute_angles=chosen.recipe == "raw",
        )
        if not binding.places:
            reasons = "; ".join(clean(line, 200) for line in binding.missing[:3])
            raise GridtopError(f"{lesson.name} cannot supply the features: {reasons}")
        self.places: tuple[Place, ...] = binding.places
        self._stream = FeatureStream(features, self.places, lesson.channels.rate)

    def __iter__(self) -> Iterator[tuple[Whole, Floats]]:
        """Row numbers (m,) and features (p, m, f) of consecutive frames."""
        at = 0
        for whole in self.lesson.open().blocks():
            for block in _cut(whole):
                extended = self._quantities.extend(self._checks.check(block))
                yield np.arange(at, at + len(block)), self._stream(extended)
                at += len(block)


def dataset(
    taught: Sequence[Lesson],
    chosen: Chosen,
    classes: tuple[str, ...],
    *,
    rows: int = ROWS,
    fills: Floats | None = None,
    progress: Progress = lambda frames: None,
) -> Dataset:
    """Rows of all recordings, about `rows` at most: as many of each event, of other frames every k-th.

    With `fills` (f,) the rows are for a test: the features are used as they are, and lines are looked at from
    their first end only. Raises GridtopError when a recording cannot supply the features, or nothing is left.
    """
    testing = fills is not None
    readers = [FeatureReader(lesson, chosen.features, chosen, not testing) for lesson in taught]
    places = max(len(reader.places) for reader in readers)
    kept = _picked([reader.lesson for reader in readers], rows // places)
    number = {name: i for i, name in enumerate(classes)}
    known = number if EVENT not in number else {s.kind: 1 for one in taught for s in one.spans}
    parts: list[tuple[Floats, Whole, Whole, Whole, Floats, Marks]] = []
    first_group = 0
    for k, (reader, keep) in enumerate(zip(readers, kept, strict=True)):
        lesson = reader.lesson
        kinds = np.stack([lesson.kinds(_names(place), known) for place in reader.places])
        for frames, features in reader:
            picked = np.flatnonzero(keep[frames])
            at = frames[picked]
            p = len(reader.places)
            parts.append(
                (
                    features[:, picked].transpose(1, 0, 2).reshape(len(picked) * p, -1),
                    kinds[:, at].T.ravel(),
                    np.repeat(first_group + lesson.group[at], p),
                    np.full(len(picked) * p, k, dtype=np.int64),
                    np.repeat(lesson.seconds[at], p),
                    np.repeat(lesson.ordinary[at], p),
                )
            )
            progress(len(frames))
        first_group += int(lesson.group[-1]) + 1
    x, y, group, file, seconds, ordinary = (np.concatenate(column) for column in zip(*parts, strict=True))
    remarks = [remark for lesson in taught for remark in lesson.remarks]
    if fills is None:
        x, chosen, fills = _without_missing(x, chosen, ordinary, remarks)
    filled = fill(x, fills)
    complete: Marks = np.asarray(np.isfinite(filled).all(axis=1), dtype=np.bool_)
    if not complete.all():
        remarks.append(f"{np.count_nonzero(~complete):,} of {len(x):,} rows lack too much and were left out")
    rates = {lesson.channels.rate for lesson in taught}
    made = Dataset(
        chosen,
        filled,
        y,
        classes,
        group,
        file,
        seconds,
        ordinary,
        fills,
        places,
        rates.pop() if len(rates) == 1 else None,
        (*chosen.remarks, *remarks),
    )
    if not complete.any():
        raise GridtopError("every row lacks too many of its features: there is nothing to learn from")
    return made if complete.all() else made.part(complete)


def _without_missing(
    x: Floats, chosen: Chosen, ordinary: Marks, remarks: list[str]
) -> tuple[Floats, Chosen, Floats]:
    """The features that are there often enough, and what stands in for missing ones: their medians."""
    there = np.isnan(x).mean(axis=0) <= MOSTLY_MISSING
    if not there.any():
        raise GridtopError("every feature is missing in most frames: there is nothing to learn from")
    if not there.all():
        lost = [chosen.features[i].name for i in np.flatnonzero(~there).tolist()]
        more = f" and {len(lost) - 4} more" if len(lost) > 4 else ""
        remarks.append(
            f"left out, because most frames lack it: {', '.join(clean(n, 60) for n in lost[:4])}{more}"
        )
        chosen = replace(
            chosen, features=tuple(f for f, is_there in zip(chosen.features, there, strict=True) if is_there)
        )
        x = x[:, there]
    usual = x[ordinary] if np.count_nonzero(ordinary) else x
    medians = np.array([_median(column) for column in usual.T])
    return x, chosen, medians


def _median(column: Floats) -> float:
    known = column[np.isfinite(column)]
    return float(np.median(known)) if len(known) else 0.0


def _picked(taught: Sequence[Lesson], frames: int) -> list[Marks]:
    """For each recording, (n,) which frames to take, about so many in all; by row number, never by chance."""
    inside = [_inside(lesson) for lesson in taught]
    lengths = np.array(
        [
            count
            for lesson, mask in zip(taught, inside, strict=True)
            for count in np.unique(lesson.group[mask], return_counts=True)[1].tolist()
        ],
        dtype=np.int64,
    )
    quiet = sum(int(np.count_nonzero(~mask)) for mask in inside)
    of_events = min(int(lengths.sum()), max(frames // 2, frames - quiet))
    most = _most_each(lengths, of_events)
    every = max(1, -(-quiet // max(1, frames - of_events)))
    return [_take(lesson, mask, most, every) for lesson, mask in zip(taught, inside, strict=True)]


def _take(lesson: Lesson, inside: Marks, most: int, every: int) -> Marks:
    take: Marks = ~inside & (np.arange(len(inside)) % every == 0)
    for group in np.unique(lesson.group[inside]).tolist():
        at = np.flatnonzero((lesson.group == group) & inside)
        take[at if len(at) <= most else at[np.arange(most) * len(at) // most]] = True
    return take


def _most_each(lengths: Whole, frames: int) -> int:
    """How many frames of each event may be taken so that all together are about so many."""
    low, high = 1, int(lengths.max(initial=1))
    while low < high:
        middle = (low + high + 1) // 2
        if int(np.minimum(lengths, middle).sum()) <= frames:
            low = middle
        else:
            high = middle - 1
    return low


def _inside(lesson: Lesson) -> Marks:
    inside = np.zeros(len(lesson.seconds), dtype=bool)
    for span in lesson.spans:
        inside[span.first : span.stop] = True
    return inside


def _names(place: Place) -> tuple[str, ...]:
    """What an event's place is compared with; nothing for a model of the whole site."""
    return (place.name, place.near, place.far) if place.near else ()


def _cut(block: Block) -> Iterator[Block]:
    for start in range(0, len(block), BLOCK):
        yield block.slice(start, start + BLOCK)
