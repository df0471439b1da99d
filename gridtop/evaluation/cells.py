"""The rows of the report's tables as text, the same for the terminal and for HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gridtop.evaluation.assessment import Assessment, Figures, RuleFigures
from gridtop.evaluation.frame_metrics import Confusion
from gridtop.evaluation.frame_scores import FrameFigures
from gridtop.evaluation.learned import Learned, Learning
from gridtop.evaluation.resampling import Interval

UNKNOWN = "–"
LEAKING = "leaking: rows of one event on both sides"
"""The heading of what a random split shows, wherever it is shown."""


@dataclass(frozen=True, slots=True)
class Section:
    """A table: its heading, what to know to read it, the heads of its columns, and its rows."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def by_event(one: Figures) -> Section:
    """A line for each rule that ever spoke and each detector, and one for all rules."""
    shown = [rule for rule in one.rules if rule.speaks or rule.is_detector]
    silent = [rule.name for rule in one.rules if rule not in shown]
    note = f"{one.events} event{'s' * (one.events != 1)} to be found"
    if one.ordinary:
        note += f"; {one.ordinary} more are normal operation, and alarms in them are false"
    if silent:
        note += f". Never spoke: {', '.join(silent)}"
    head = (
        "rule",
        "found",
        "recall (95 %)",
        "p50",
        "p95",
        "false",
        "a day",
        "at most",
        "on: normal",
        "events",
    )
    rows = [_event_row(rule) for rule in (*shown, one.together)]
    return Section("By event", note + ".", head, tuple(rows))


def _event_row(rule: RuleFigures) -> tuple[str, ...]:
    recall, false = rule.recall, rule.false
    return (
        rule.name,
        f"{recall.hits}/{recall.events}",
        share(recall.share, recall.interval) if recall.events else UNKNOWN,
        delay(recall.delay(0.5)),
        delay(recall.delay(0.95)),
        str(false.count),
        number(false.per_day),
        number(false.at_most_per_day),
        percent(rule.in_normal),
        percent(rule.in_events),
    )


def by_kind(assessment: Assessment) -> Section:
    """A line for each kind of event: how many were found, and by which rules."""
    one = assessment.together
    rows = []
    for recall in one.together.recalls:
        found = [
            (mine.hits, rule.name)
            for rule in one.rules
            for mine in rule.recalls
            if mine.kind == recall.kind and mine.hits
        ]
        who = ", ".join(
            f"{name} {hits}" for hits, name in sorted(found, key=lambda pair: (-pair[0], pair[1]))
        )
        rows.append(
            (
                recall.kind,
                f"{recall.hits}/{recall.events}",
                share(recall.share, recall.interval),
                delay(recall.delay(0.5)),
                who or UNKNOWN,
            )
        )
    head = ("kind", "found", "recall (95 %)", "p50", "found by (events)")
    return Section("By kind of event", "", head, tuple(rows))


def by_frame(frames: Sequence[FrameFigures]) -> Section:
    """A line for each detector."""
    rows = []
    for one in frames:
        precision, recall, f1 = one.at_level()
        rows.append(
            (
                one.name,
                share(one.roc_auc, one.intervals.roc_auc),
                share(one.average_precision, one.intervals.average_precision),
                short(one.prevalence),
                UNKNOWN if one.level is None else f"{one.level:g}",
                short(one.mcc),
                short(precision),
                short(recall),
                short(f1),
                percent(one.scored),
            )
        )
    head = (
        "detector",
        "ROC AUC (95 %)",
        "PR AUC (95 %)",
        "of",
        "level",
        "MCC",
        "prec",
        "rec",
        "F1",
        "scored",
    )
    note = (
        "The largest output of each frame; PR AUC is to be read against the share of frames in events (of). "
        "MCC to F1 at the alarm's level. Intervals by drawing events."
    )
    return Section("By frame", note, head, tuple(rows))


def by_file(files: Sequence[Figures]) -> Section:
    """A line for each recording: any rule by event, and each detector's ROC AUC."""
    detectors = list(dict.fromkeys(frames.name for one in files for frames in one.frames))
    rows = []
    for one in files:
        auc = {frames.name: frames.roc_auc for frames in one.frames}
        together = one.together
        rows.append(
            (
                one.name,
                f"{one.hours:.2f}",
                f"{together.recall.hits}/{together.recall.events}",
                str(together.false.count),
                *(short(auc.get(name, math.nan)) for name in detectors),
            )
        )
    head = ("recording", "hours", "found", "false", *detectors)
    return Section(
        "By recording", "Any rule by event; of each detector the ROC AUC by frame.", head, tuple(rows)
    )


def by_fold(assessment: Assessment) -> Section:
    """A line for each detector: its ROC AUC on each part."""
    folds = assessment.folds
    names = [fold.name for fold in next(iter(folds.values()), ())]
    rows = [(name, *(short(fold.roc_auc) for fold in parts)) for name, parts in folds.items()]
    note = "ROC AUC by frame on each part by itself. These detectors learned from none of the parts."
    return Section(f"Split by {assessment.split}", note, ("detector", *names), tuple(rows))


def of_learning(learning: Learning) -> Iterator[Section]:
    """What models taught here are worth: on held-out parts, on other recordings, on simulated ones."""
    level = "F1 and MCC at the likeliest class, of anomaly models at what 99.9 % of ordinary rows stay below."
    if learning.split is not None:
        parts = "recordings" if learning.split == "file" else "events"
        note = (
            f"{learning.features}; a row is {learning.rows}. Taught on all parts but one and tested on that "
            f"one, all round: scaling and thresholds too. {level} Intervals by drawing {parts}."
        )
        rows = [
            _model_row(one.name, None if one.cross is None else one.cross.honest) for one in learning.learned
        ]
        yield _models(f"Taught here, tested by {learning.split}", note, rows, learning.learned)
        yield from by_part(learning)
    if learning.tests:
        note = (
            f"Tested on {', '.join(learning.tests)}, which nothing was learned from. {learning.features}; a "
            f"row is {learning.rows}. {level} Intervals by drawing events."
        )
        rows = [_model_row(one.name, one.test) for one in learning.learned]
        beside = () if learning.split is not None else learning.learned
        yield _models("Taught here, tested on other recordings", note, rows, beside)
    if learning.control is not None:
        rows = [_model_row(one.name, one.test) for one in learning.control.learned]
        yield _models("Positive control: simulated", f"{learning.control.note}.", rows, ())
    for one in learning.learned:
        for what, frames in (
            (f"held out by {learning.split}", None if one.cross is None else one.cross.honest),
            ("other recordings", one.test),
        ):
            if frames is not None and frames.classes is not None:
                yield classes(f"{one.name}, {what}", frames.classes)


def _models(title: str, note: str, rows: Sequence[tuple[str, ...]], beside: Sequence[Learned]) -> Section:
    """A line for each model, with the leaking figures of those that have some in the last column."""
    head: tuple[str, ...] = ("model", "ROC AUC (95 %)", "PR AUC (95 %)", "of", "MCC (95 %)", "F1 (95 %)")
    if any(one.leaking is not None for one in beside):
        head = (*head, LEAKING)
        rows = [(*row, _leaking(one.leaking)) for row, one in zip(rows, beside, strict=True)]
    return Section(title, note, head, tuple(rows))


def _model_row(name: str, one: FrameFigures | None) -> tuple[str, ...]:
    if one is None:
        return (name, *[UNKNOWN] * 5)
    return (
        name,
        share(one.roc_auc, one.intervals.roc_auc),
        share(one.average_precision, one.intervals.average_precision),
        short(one.prevalence),
        share(one.mcc, one.intervals.mcc),
        share(one.at_level()[2], one.intervals.f1),
    )


def _leaking(one: FrameFigures | None) -> str:
    if one is None:
        return UNKNOWN
    return f"ROC AUC {short(one.roc_auc)}, MCC {short(one.mcc)}, F1 {short(one.at_level()[2])}"


def by_part(learning: Learning) -> Iterator[Section]:
    """A line for each part that was held out: the ROC AUC of each model on it."""
    several = {one.name: one.cross.folds for one in learning.learned if one.cross is not None}
    if not several:
        return
    rows = [
        (
            parts[0].name,
            f"{parts[0].frames:,}",
            short(parts[0].prevalence),
            *(short(p.roc_auc) for p in parts),
        )
        for parts in zip(*several.values(), strict=True)
    ]
    note = "ROC AUC on each part by itself, of models that were not taught it."
    yield Section("Taught here, part by part", note, ("part", "rows", "of", *several), tuple(rows))


def confusion(assessment: Assessment) -> Section:
    """A row for each kind of event, a column for whoever spoke: in how many of them it did."""
    spoke = assessment.spoke
    used = [i for i in range(len(spoke.speakers)) if spoke.false[i] or any(row[i] for row in spoke.counts)]
    rows = [
        (kind, str(events), *(str(row[i]) if row[i] else "" for i in used))
        for kind, events, row in zip(spoke.kinds, spoke.events, spoke.counts, strict=True)
    ]
    rows.append(("(nothing)", "", *(str(spoke.false[i]) if spoke.false[i] else "" for i in used)))
    head = ("kind", "events", *(spoke.speakers[i] for i in used))
    note = "In how many events of each kind who spoke, rightly placed or not."
    return Section("Who spoke when", note, head, tuple(rows))


def classes(name: str, matrix: Confusion) -> Section:
    """Precision, recall and F1 of each class, and the matrix beside them."""
    rows = [
        (f.name, str(f.frames), short(f.precision), short(f.recall), short(f.f1), *map(str, counts.tolist()))
        for f, counts in zip(matrix.figures, matrix.counts, strict=True)
    ]
    head = ("class", "frames", "precision", "recall", "F1", *(f"as {c}" for c in matrix.classes))
    return Section(f"Classes of {name}", f"Macro F1 {short(matrix.macro_f1)}.", head, tuple(rows))


def sections(assessment: Assessment) -> Iterable[Section]:
    """The tables of the report that have anything to say, in order."""
    one = assessment.together
    # Without detectors and limits there is nothing but what was taught here.
    if one.rules or assessment.learning is None:
        yield by_event(one)
        if one.events:
            yield by_kind(assessment)
    if one.frames:
        yield by_frame(one.frames)
    for frames in one.frames:
        if frames.classes is not None:
            yield classes(frames.name, frames.classes)
    if assessment.learning is not None:
        yield from of_learning(assessment.learning)
    if assessment.folds:
        yield by_fold(assessment)
    if assessment.files and (one.rules or one.frames):
        yield by_file(assessment.files)


def share(value: float, interval: Interval) -> str:
    """A share with its interval: `0.75 0.35–0.97`."""
    if math.isnan(value):
        return UNKNOWN
    low, high = interval
    return f"{value:.2f}" if math.isnan(low) else f"{value:.2f} {low:.2f}–{high:.2f}"


def short(value: float) -> str:
    """Two decimals."""
    return UNKNOWN if math.isnan(value) else f"{value:.2f}"


def percent(value: float) -> str:
    """A share in percent; what is little is not shown as none."""
    if math.isnan(value):
        return UNKNOWN
    if 0 < value < 0.001:
        return "<0.1 %"
    return f"{100 * value:.1f} %" if value < 0.0995 else f"{100 * value:.0f} %"


def number(value: float) -> str:
    """Three digits."""
    if not math.isfinite(value):
        return UNKNOWN
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def delay(milliseconds: float) -> str:
    """In ms below ten seconds, else in s."""
    if math.isnan(milliseconds):
        return UNKNOWN
    if math.isinf(milliseconds):
        return "∞"
    return f"{milliseconds:.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.0f} s"
