"""The rows of the report's tables as text, the same for the terminal and for HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gridtop.evaluation.assessment import Assessment, Figures, RuleFigures
from gridtop.evaluation.frame_metrics import Confusion
from gridtop.evaluation.frame_scores import CrossValidation, FrameFigures
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


def cross_validated(cross: Sequence[CrossValidation]) -> Section:
    """A line for each detector that was taught and tested here; the leaking figure beside the honest one."""
    rows = [
        (
            one.honest.name,
            one.split,
            share(one.honest.roc_auc, one.honest.intervals.roc_auc),
            share(one.honest.average_precision, one.honest.intervals.average_precision),
            short(one.honest.mcc),
            UNKNOWN if one.leaking is None else f"{short(one.leaking.roc_auc)}, MCC {short(one.leaking.mcc)}",
        )
        for one in cross
    ]
    head = ("detector", "split by", "ROC AUC (95 %)", "PR AUC (95 %)", "MCC", LEAKING)
    note = "Taught on some parts and tested on the others."
    return Section("Taught and tested here", note, head, tuple(rows))


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
    yield by_event(one)
    if one.events:
        yield by_kind(assessment)
    if one.frames:
        yield by_frame(one.frames)
    if assessment.cross:
        yield cross_validated(assessment.cross)
    for frames in (*one.frames, *(c.honest for c in assessment.cross)):
        if frames.classes is not None:
            yield classes(frames.name, frames.classes)
    if assessment.folds:
        yield by_fold(assessment)
    if assessment.files:
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
