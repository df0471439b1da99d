"""What a configuration is worth on labelled recordings: rules judged by event, detectors by frame, too."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gridtop.errors import GridtopError
from gridtop.evaluation.frame_metrics import Marks
from gridtop.evaluation.frame_scores import (
    UNTESTED,
    FoldFigures,
    FrameFigures,
    FrameScores,
    figures,
    fold_figures,
)
from gridtop.evaluation.judging import Judged
from gridtop.evaluation.learned import Learning
from gridtop.evaluation.matching import Task, free_hours, judge, merged
from gridtop.evaluation.observing import DetectorTrace
from gridtop.evaluation.report import TOGETHER, Rate, Recall, recall_of
from gridtop.evaluation.resampling import DRAWS
from gridtop.evaluation.speakers import Spoke, spoke
from gridtop.evaluation.splits import Fold, Rows, Split, by_event, by_file, by_rows, by_time
from gridtop.evaluation.truth_sources import Labelled


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """What one rule's alarms were worth, by event.

    recalls     a line for each kind of event that ought to be found; `recall` is all of them together
    false       alarms while none of them was on, merged within 5 s, over the time of that
    elsewhere   raises during an event that named a place where it was not: neither found nor false
    repeats     raises that named an event again
    in_normal, in_events   share of the frames of each sort in which the rule had an alarm on; NaN without any
    speaks      False of one that never raised anything
    """

    name: str
    is_detector: bool
    recalls: tuple[Recall, ...]
    recall: Recall
    false: Rate
    elsewhere: int
    repeats: int
    in_normal: float
    in_events: float
    speaks: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one recording, or of several together. `frames` are those of detectors, by frame."""

    name: str
    hours: float
    frame_count: int
    events: int
    ordinary: int
    source: str
    rules: tuple[RuleFigures, ...]
    together: RuleFigures
    frames: tuple[FrameFigures, ...]


@dataclass(frozen=True, slots=True)
class Assessment:
    """Everything the report says.

    recordings    what was judged
    together      of all recordings; `files` are they one by one, empty when there is but one
    folds         for each detector its figures part by part, when a split was asked for
    learning      of models that were taught and tested here; None without any
    remarks       what to know before believing any figure: about whom, and what
    """

    recordings: tuple[Judged, ...]
    together: Figures
    files: tuple[Figures, ...]
    spoke: Spoke
    split: Split | None
    folds: Mapping[str, tuple[FoldFigures, ...]]
    learning: Learning | None
    remarks: tuple[tuple[str, str], ...]


def assess(
    recordings: Sequence[Judged],
    chosen: Sequence[str] = (),
    split: Split | None = None,
    learning: Learning | None = None,
    draws: int = DRAWS,
) -> Assessment:
    """All figures of some recordings: of the `chosen` detectors and rules, or of all.

    `split` is one that may stand alone; `learning` are models that were taught and tested on these frames.
    Raises GridtopError when the recordings cannot be split so.
    """
    from gridtop.evaluation.remarks import remarks_on

    rules = rules_of(recordings, chosen)
    together = figures_of("all", recordings, rules, draws)
    files = [figures_of(one.labelled.name, [one], rules, 0) for one in recordings]
    return Assessment(
        tuple(recordings),
        together,
        tuple(files) if len(files) > 1 else (),
        spoke(recordings, rules),
        split,
        folds_of(recordings, rules, split) if split else {},
        learning,
        (*remarks_on(recordings, together), *(learning.remarks if learning is not None else ())),
    )


def rules_of(recordings: Sequence[Judged], chosen: Sequence[str] = ()) -> list[str]:
    """Everything that is judged: rules that watch something, and what else spoke; or only those chosen."""
    names = dict.fromkeys(rule for one in recordings for rule in one.observation.rules)
    names |= dict.fromkeys(claim.rule for one in recordings for claim in one.run.claims)
    return [name for name in names if not chosen or name in chosen]


def figures_of(name: str, recordings: Sequence[Judged], rules: Sequence[str], draws: int) -> Figures:
    """The figures of some recordings together."""
    kinds = sorted({truth.kind for one in recordings for truth in one.labelled.truths})
    detectors = {trace.name for one in recordings for trace in one.observation.detectors}
    lines = [_rule(rule, (rule,), rule in detectors, recordings, kinds) for rule in rules]
    sources = dict.fromkeys(one.labelled.source for one in recordings)
    return Figures(
        name,
        math.fsum(one.run.end - one.run.start for one in recordings) / 3600,
        sum(len(one.labelled.seconds) for one in recordings),
        sum(len(one.labelled.truths) for one in recordings),
        sum(len(one.labelled.ordinary) for one in recordings),
        ", ".join(sources) if len(sources) < 3 else f"{len(sources)} lists of events or columns",
        tuple(lines),
        _rule(TOGETHER, rules, False, recordings, kinds),
        tuple(figures(scores, draws) for scores in frame_scores(recordings, rules)),
    )


def frame_scores(recordings: Sequence[Judged], rules: Sequence[str]) -> list[FrameScores]:
    """What each detector thought of the frames of all recordings, in their order."""
    found = []
    inside = np.concatenate([one.labelled.inside for one in recordings])
    group = pooled_groups([one.labelled for one in recordings])
    for name, traces in _traces(recordings).items():
        if (rules and name not in rules and traces[0].said is not None) or len(traces) < len(recordings):
            continue
        said = [trace.said for trace in traces if trace.said is not None]
        levels = {trace.level for trace in traces}
        found.append(
            FrameScores(
                name,
                np.concatenate([trace.score for trace in traces]),
                inside,
                group,
                np.concatenate(said) if len(said) == len(traces) else None,
                level=levels.pop() if len(levels) == 1 else None,
            )
        )
    return found


def pooled_groups(recordings: Sequence[Labelled]) -> Rows:
    """(n,) numbers of events and stretches of several recordings, none shared."""
    groups, first = [], 0
    for one in recordings:
        groups.append(one.group + first)
        first += int(one.group[-1]) + 1
    return np.concatenate(groups)


def _traces(recordings: Sequence[Judged]) -> dict[str, list[DetectorTrace]]:
    traces: dict[str, list[DetectorTrace]] = {}
    for one in recordings:
        for trace in one.observation.detectors:
            traces.setdefault(trace.name, []).append(trace)
    return traces


def _rule(
    name: str, members: Sequence[str], is_detector: bool, recordings: Sequence[Judged], kinds: Sequence[str]
) -> RuleFigures:
    """The figures of one rule, or of several together: an event is found when any of them finds it."""
    # Which events a rule is there for, only people know: it is measured against all of them.
    tasks = [Task(rule, (rule,), ("*",)) for rule in members]
    runs = [one.run for one in recordings]
    judgements = [[judge(task, run) for task in tasks] for run in runs]
    recalls = tuple(recall_of(name, kind, runs, judgements) for kind in kinds)
    every = tuple(sorted(delay for recall in recalls for delay in recall.delays))
    outcomes = Counter(outcome for several in judgements for j in several for _, outcome, _ in j.claims)
    count, hours = 0, []
    in_normal, in_events = _Share(), _Share()
    for one, several in zip(recordings, judgements, strict=True):
        wrong = [claim for j in several for claim, outcome, _ in j.claims if outcome == "false"]
        count += len(merged(wrong))
        hours.append(free_hours(one.run, [(truth.start, truth.latest) for truth in one.labelled.truths]))
        on = np.zeros(len(one.labelled.seconds), dtype=bool)
        for rule in members:
            on |= one.active.get(rule, False)
        # What speaks once and has no alarm that is on or off, such as a card, has no time in alarm.
        if any(rule in one.active or rule in one.observation.rules for rule in members):
            in_normal.add(on[~one.labelled.inside])
            in_events.add(on[one.labelled.inside])
    return RuleFigures(
        name,
        is_detector,
        recalls,
        Recall(name, "", every),
        Rate(count, math.fsum(hours)),
        outcomes["misnamed"],
        outcomes["repeat"],
        in_normal.share,
        in_events.share,
        any(claim.rule in members for one in recordings for claim in one.run.claims),
    )


@dataclass
class _Share:
    """How many of how many."""

    some: int = 0
    all: int = 0

    def add(self, marks: Marks) -> None:
        """Count marks (n,)."""
        self.some += int(np.count_nonzero(marks))
        self.all += len(marks)

    @property
    def share(self) -> float:
        """NaN of none."""
        return self.some / self.all if self.all else math.nan


def folds_of(
    recordings: Sequence[Judged], rules: Sequence[str], split: Split
) -> dict[str, tuple[FoldFigures, ...]]:
    """For each detector its figures on each part; GridtopError when these recordings cannot be split so."""
    folds = folds_for([one.labelled for one in recordings], split)
    n = sum(len(one.labelled.seconds) for one in recordings)
    number = np.full(n, UNTESTED, dtype=np.int64)
    for k, fold in enumerate(folds):
        number[fold.test] = k
    names = tuple(fold.name for fold in folds)
    return {
        scores.name: fold_figures(replace(scores, fold=number, fold_names=names, split=split))
        for scores in frame_scores(recordings, rules)
    }


def folds_for(recordings: Sequence[Labelled], split: Split) -> list[Fold]:
    """How the frames of some recordings, one behind the other, are split; GridtopError if they cannot be."""
    inside = np.concatenate([one.inside for one in recordings])
    group = pooled_groups(recordings)
    try:
        if split == "file":
            numbers = np.repeat(np.arange(len(recordings)), [len(one.seconds) for one in recordings])
            return by_file(numbers, tuple(one.name for one in recordings))
        if split == "time":
            first = recordings[0].survey.time[0].astype("datetime64[ns]")
            since = [
                (one.survey.time.astype("datetime64[ns]") - first).astype(np.int64) for one in recordings
            ]
            return by_time(np.concatenate(since) / 1e9, group)
        return by_event(group, inside) if split == "event" else by_rows(len(group))
    except ValueError as error:
        raise GridtopError(f"--split {split}: {error}") from None
