"""Event windows of recordings, labelled from their lists of events, and the forest that tells them apart.

The trigger opens the windows; the list of events only says what a window that opened was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Floats
from gridtop.errors import GridtopError
from gridtop.evaluation.event_lists import read_event_list
from gridtop.learning.card import ModelCard, Output, Recipe, Windows
from gridtop.learning.features import NO_LOG, UNKNOWN_RATE, Feature, Place
from gridtop.learning.folder import MODEL, TREES
from gridtop.learning.recipes import Chosen
from gridtop.learning.windows import MEASURES, Columns, Reading, WindowStream
from gridtop.simulation.recording import events_path
from gridtop.text import clean
from gridtop.training.calibration import calibrate
from gridtop.training.datasets import FeatureReader, choose_features, class_names
from gridtop.training.forests import FittedForest, fit_random_forest
from gridtop.training.lessons import Lesson
from gridtop.training.operator_classes import CLASSES, OUTPUTS, View, class_of, event_at
from gridtop.training.plots import drawn, plot_confusion
from gridtop.training.window_scores import out_of_fold, scores_of
from gridtop.training.window_triggers import set_trigger

Integers = npt.NDArray[np.int64]
Progress = Callable[[str, float], None]

LOG_FEATURES = (
    Feature(channel="near:breaker", optional=True),
    Feature(channel="far:breaker", optional=True),
    Feature(channel="any:control_panel_log*", optional=True),
    Feature(channel="any:snort_log*", optional=True),
)
"""Recordings may have none of them; the model is trained to do without."""
PILOTS = 4
"""Recordings that the trigger is set on: more would not change the quantiles, only take their time."""
FOLDS = 4
PARITY_ROWS = 20_000
TREE_COUNT, LEAVES = 80, 160


@dataclass(frozen=True, slots=True)
class WindowRows:
    """Windows measured at their ages.

    numbers  (m, w) see `Columns`; missing last values are NaN
    classes  (m,) numbers of the operator's classes
    groups   (m,) the number of the recording
    episodes (m,) the number of the event of its recording, -1 for none; across recordings not unique
    ages     (m,) seconds
    """

    numbers: Floats
    classes: Integers
    groups: Integers
    episodes: Integers
    ages: Floats

    @staticmethod
    def joined(parts: Sequence[WindowRows]) -> WindowRows:
        """All rows of several."""
        return WindowRows(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in WindowRows.__dataclass_fields__
            )
        )


def event_features(chosen: Chosen) -> tuple[Feature, ...]:
    """What windows are measured of: the values of a recipe, and logs where lines are judged."""
    values = tuple(f for f in chosen.features if f.statistic == "value" and f not in LOG_FEATURES)
    return (*values, *LOG_FEATURES) if chosen.scope == "line" else values


def collect(
    lesson: Lesson,
    number: int,
    features: Sequence[Feature],
    chosen: Chosen,
    windows: Windows,
    classes: Sequence[str] | None = None,
) -> WindowRows:
    """The windows that open in a recording, each line seen from both of its ends, with their classes.

    `number` is what the recording is called in the rows. The classes are the operator's, told from the list
    of events beside the recording; with `classes` they are the kinds of event that its truth names.
    """
    reader = FeatureReader(lesson, features, chosen, both_ways=True)
    stream = WindowStream(windows, features, len(reader.places), lesson.channels.rate)
    readings: list[Reading] = []
    for rows, x in reader:
        if len(rows):
            found = stream(x, int(rows[0]))
            readings += [change.reading for change in found if change.reading is not None]
    namer = _Operator(lesson) if classes is None else _Labels(lesson, classes)
    named = [namer(reading, reader.places[reading.place]) for reading in readings]
    labels = np.array(named, dtype=np.int64).reshape(-1, 2)
    return WindowRows(
        numbers=np.array([r.numbers for r in readings]).reshape(-1, stream.columns.width),
        classes=labels[:, 0],
        groups=np.full(len(labels), number, dtype=np.int64),
        episodes=labels[:, 1],
        ages=np.array([r.age for r in readings], dtype=np.float64),
    )


class _Operator:
    """Names windows after the list of events: the operator's class, and the number of the event."""

    def __init__(self, lesson: Lesson) -> None:
        listed = events_path(lesson.path)
        document = read_event_list(listed)
        if document is None:
            raise GridtopError(
                f"{clean(listed.name)} cannot be read: the operator's classes are taught by the list of "
                "events beside a recording (docs/simulation.md)"
            )
        self._events: list[dict[str, Any]] = document["events"]
        self._seconds = lesson.seconds - lesson.seconds[0]
        self._site = lesson.site

    def __call__(self, reading: Reading, place: Place) -> tuple[int, int]:
        opened = float(self._seconds[reading.opened])
        i = event_at(self._events, opened)
        event = None if i is None else self._events[i]
        view = View(place.name, place.near, place.far)
        class_ = class_of(event, view, self._site, opened, reading.age)
        return CLASSES.index(class_), -1 if i is None else i


class _Labels:
    """Names windows after the truth of the frame in which they were measured: the kind, and its span."""

    def __init__(self, lesson: Lesson, classes: Sequence[str]) -> None:
        self._spans = lesson.spans
        self._number = {name: i for i, name in enumerate(classes)}

    def __call__(self, reading: Reading, place: Place) -> tuple[int, int]:
        here = {place.name, place.near, place.far} - {""}
        for i, span in enumerate(self._spans):
            if span.first <= reading.row < span.stop and (not span.places or here & span.places):
                return self._number[span.kind], i
        return 0, -1


def log_columns(features: Sequence[Feature]) -> Integers:
    """Which numbers of a row are about logs."""
    columns = Columns(features)
    is_log = np.array([features[i] in LOG_FEATURES for i in columns.optional], dtype=np.bool_)
    return np.asarray(columns.optional_columns[:, is_log].ravel(), dtype=np.int64)


def without_logs(rows: WindowRows, logs: Integers, rng: np.random.Generator) -> WindowRows:
    """The rows with all logs unknown in half of the events and in half of the windows of no event."""
    # Windows of no event are each on their own.
    alone = np.where(rows.episodes < 0, np.arange(len(rows.ages)), -1)
    keys = np.column_stack([rows.groups, rows.episodes, alone])
    _, index = np.unique(keys, axis=0, return_inverse=True)
    dropped = rng.random(index.max(initial=0) + 1)[index] < 0.5
    numbers = rows.numbers.copy()
    numbers[np.ix_(dropped, logs)] = NO_LOG
    return replace(rows, numbers=numbers)


def train_events(
    taught: Sequence[Lesson],
    *,
    seed: int,
    name: str = "events",
    recipe: Recipe = "transfer",
    by_kind: bool = False,
    progress: Progress = lambda what, share: None,
    trees: int = TREE_COUNT,
    leaves: int = LEAVES,
) -> tuple[ModelCard, dict[str, bytes]]:
    """A forest that tells what is going on from event windows: its card and files, for `write_folder`.

    Its classes are the operator's, which needs a list of events beside each recording; with `by_kind` they
    are the kinds of event that the truth names (the scenarios of a column of labels), for research.
    `progress` is told what is being done and the share of it that is done. Raises GridtopError when a list is
    missing, the recordings lack the features, or there is too little to learn from.
    """
    if not taught:
        raise GridtopError("there is no recording to learn event windows from")
    chosen = choose_features(taught, recipe)
    if not by_kind and chosen.scope != "line":
        raise GridtopError(
            "the operator's classes are about lines, and the recordings' site describes none that is measured"
        )
    features = event_features(chosen)
    windows = _trigger(taught, features, chosen, progress)
    classes = class_names(taught, "multi") if by_kind else None
    parts = []
    for i, lesson in enumerate(taught):
        progress("event windows", i / len(taught))
        parts.append(collect(lesson, i, features, chosen, windows, classes))
    card, files = teach(
        WindowRows.joined(parts),
        features,
        windows,
        seed=seed,
        name=name,
        chosen=chosen,
        classes=classes or CLASSES,
        outputs=_outputs_of(classes) if classes else OUTPUTS,
        progress=progress,
        trees=trees,
        leaves=leaves,
    )
    recordings = tuple(lesson.trained_on for lesson in taught)
    labels = "events" if classes is None else taught[0].source
    rate = taught[0].channels.rate
    return card.model_copy(update={"recordings": recordings, "rate": rate, "labels": labels}), files


def _outputs_of(classes: Sequence[str]) -> tuple[Output, ...]:
    return tuple(Output(name=re.sub(r"\W+", "_", name), classes=(name,)) for name in classes[1:])


def _trigger(
    taught: Sequence[Lesson], features: Sequence[Feature], chosen: Chosen, progress: Progress
) -> Windows:
    pilots = taught[:: -(-len(taught) // PILOTS)]
    parts = []
    for i, lesson in enumerate(pilots):
        progress("setting the trigger", i / len(pilots))
        blocks = [x for _, x in FeatureReader(lesson, features, chosen, both_ways=False)]
        parts.append((np.concatenate(blocks, axis=1), lesson.ordinary))
    return set_trigger(parts, features, pilots[0].channels.rate or UNKNOWN_RATE)


def teach(
    rows: WindowRows,
    features: Sequence[Feature],
    windows: Windows,
    *,
    seed: int,
    name: str,
    chosen: Chosen,
    classes: Sequence[str] = CLASSES,
    outputs: Sequence[Output] = OUTPUTS,
    progress: Progress = lambda what, share: None,
    trees: int = TREE_COUNT,
    leaves: int = LEAVES,
) -> tuple[ModelCard, dict[str, bytes]]:
    """Fit, judge and export the forest of event windows: the card (without recordings) and the files.

    It is judged by leaving out whole recordings (events, where there is one recording only), and the same
    with random rows beside it, which leaks. Its probabilities are calibrated on rows it had not seen.
    """
    columns = Columns(features)
    fill = _usual_values(rows, columns, len(features))
    taught = without_logs(rows, log_columns(features), np.random.default_rng(seed))
    x, y = columns.filled(taught.numbers, fill), taught.classes

    def fit(chosen: npt.NDArray[np.bool_], stage: float) -> FittedForest:
        progress("fitting", stage)
        return fit_random_forest(
            x[chosen],
            y[chosen],
            classes=tuple(classes),
            seed=seed,
            trees=trees,
            max_depth=20,
            min_leaf=2,
            max_leaf_nodes=leaves,
        )

    by_file = len(np.unique(rows.groups)) > 1
    held_out = rows.groups if by_file else rows.episodes
    split = "file" if by_file else "event"
    guesses = out_of_fold(x, held_out, FOLDS, lambda chosen, i: fit(chosen, 0.4 * i / FOLDS))
    rng = np.random.default_rng(seed)
    leaking = out_of_fold(
        x, rng.permutation(len(x)), FOLDS, lambda chosen, i: fit(chosen, 0.4 + 0.4 * i / FOLDS)
    )
    calibration = calibrate(np.clip(guesses, 0.0, 1.0), y)
    said = _calibrated(guesses, y, held_out)
    honest = scores_of(said, y, held_out, classes, split)
    confused = np.bincount(y * len(classes) + said.argmax(axis=1), minlength=len(classes) ** 2)
    flattering = scores_of(
        _calibrated(leaking, y, np.arange(len(y))), y, held_out, classes, "random rows: leaking", leaking=True
    )
    forest = fit(np.ones(len(x), dtype=np.bool_), 0.8)
    progress("checking the export", 0.95)
    # It has learned from all rows: what it has not seen is those same windows with their logs swapped.
    unseen = columns.filled(rows.numbers, fill)
    unseen[:, log_columns(features)] = np.roll(unseen[:, log_columns(features)], 1, axis=0)
    parities = forest.verify(x[:PARITY_ROWS], unseen[:PARITY_ROWS], seed=seed)
    card = ModelCard(
        name=name,
        kind="random_forest",
        mode="events",
        recipe=chosen.recipe,
        scope=chosen.scope,
        features=tuple(features),
        fill=tuple(fill.tolist()),
        windows=windows,
        classes=tuple(classes),
        outputs=tuple(outputs),
        calibration=calibration.to_dict(),
        labels="events",
        split=split,
        seed=seed,
        settings={"trees": trees, "leaves": leaves, "rows": len(x)},
        scores=(*honest, *flattering[:1]),
        parity=tuple(parity.to_dict() for parity in parities),
        intended_use=(
            "says what kind of event is going on once its trigger has opened a window; for review by "
            "people, never for protection"
        ),
        limits=(
            "an event that moves no feature beyond the trigger opens no window and is not seen",
            "an opening by the operator and one by an attacker differ in the logs alone",
            "an event that overlaps another shows only if it opens a window of its own",
        ),
    )
    occur = np.unique(y)  # a row of a class that is not there would say that nothing of it was found
    table = confused.reshape(len(classes), len(classes))
    if np.isin(said.argmax(axis=1), occur).all():
        classes, table = [classes[i] for i in occur], table[np.ix_(occur, occur)]
    plot = drawn(lambda path: plot_confusion(table, classes, path))
    return card, {MODEL: forest.onnx, TREES: forest.trees.to_bytes(), "confusion.svg": plot}


def _calibrated(guesses: Floats, y: Integers, groups: Integers) -> Floats:
    """(m, c) probabilities of each half of the groups, calibrated with the other half."""
    _, index = np.unique(groups, return_inverse=True)
    result = np.clip(guesses, 0.0, 1.0)
    for half in (0, 1):
        other = index % 2 != half
        if other.any():
            result[~other] = calibrate(np.clip(guesses[other], 0.0, 1.0), y[other]).apply(result[~other])
    return result


def _usual_values(rows: WindowRows, columns: Columns, features: int) -> Floats:
    """(f,) the median of each feature over all windows; -1 of logs."""
    fill = np.full(features, NO_LOG)
    count = len(columns.measured)
    last = rows.numbers[:, (len(MEASURES) - 1) * count :][:, :count]
    known = np.isfinite(last).any(axis=0)
    median = np.zeros(count)
    median[known] = np.nanmedian(last[:, known], axis=0)
    fill[columns.measured] = median
    return fill
