"""An assessment as plain values for JSON (docs/evaluate.md): what is infinite or unknown is null."""

from __future__ import annotations

import math
from typing import Any

from gridtop import __version__
from gridtop.evaluation.assessment import Assessment, Figures, RuleFigures
from gridtop.evaluation.frame_metrics import Confusion
from gridtop.evaluation.frame_scores import FoldFigures, FrameFigures
from gridtop.evaluation.learned import Learned, Learning
from gridtop.evaluation.report import Rate, Recall
from gridtop.evaluation.resampling import Interval

SCHEMA = "gridtop.evaluation/1"
"""Changes only when a field is renamed or taken away."""


def as_dict(assessment: Assessment) -> dict[str, Any]:
    """The whole assessment, in the documented form."""
    spoke = assessment.spoke
    return {
        "schema": SCHEMA,
        "gridtop": __version__,
        **_figures(assessment.together),
        "confusion": {
            "kinds": list(spoke.kinds),
            "speakers": list(spoke.speakers),
            "events": list(spoke.events),
            "spoke_in": [list(row) for row in spoke.counts],
            "spoke_without_event": list(spoke.false),
        },
        "split": assessment.split,
        "folds": {name: [_fold(fold) for fold in folds] for name, folds in assessment.folds.items()},
        **_learning(assessment.learning),
        "remarks": [{"about": about, "text": text} for about, text in assessment.remarks],
        "files": [_figures(one) for one in assessment.files],
    }


def _figures(one: Figures) -> dict[str, Any]:
    return {
        "name": one.name,
        "truth": one.source,
        "hours": _finite(one.hours),
        "frames": one.frame_count,
        "events": one.events,
        "ordinary_events": one.ordinary,
        "rules": [_rule(rule) for rule in one.rules],
        "any_rule": _rule(one.together),
        "detectors": [_frame(frames) for frames in one.frames],
    }


def _rule(rule: RuleFigures) -> dict[str, Any]:
    return {
        "rule": rule.name,
        "is_detector": rule.is_detector,
        **_recall(rule.recall),
        "false_alarms": _rate(rule.false),
        "elsewhere": rule.elsewhere,
        "repeats": rule.repeats,
        "in_alarm_normal": _finite(rule.in_normal),
        "in_alarm_events": _finite(rule.in_events),
        "kinds": [{"kind": recall.kind, **_recall(recall)} for recall in rule.recalls],
    }


def _recall(recall: Recall) -> dict[str, Any]:
    return {
        "events": recall.events,
        "found": recall.hits,
        "recall": _finite(recall.share),
        "interval": list(recall.interval),
        "delay_p50_ms": _finite(recall.delay(0.5)),
        "delay_p95_ms": _finite(recall.delay(0.95)),
    }


def _rate(rate: Rate) -> dict[str, Any]:
    return {
        "count": rate.count,
        "hours": _finite(rate.hours),
        "per_day": _finite(rate.per_day),
        "at_most_per_day": _finite(rate.at_most_per_day),
    }


def _frame(one: FrameFigures) -> dict[str, Any]:
    precision, recall, f1 = one.at_level()
    return {
        "detector": one.name,
        "frames": one.frames,
        "scored": _finite(one.scored),
        "prevalence": _finite(one.prevalence),
        "roc_auc": _finite(one.roc_auc),
        "roc_auc_interval": _interval(one.intervals.roc_auc),
        "pr_auc": _finite(one.average_precision),
        "pr_auc_interval": _interval(one.intervals.average_precision),
        "level": one.level,
        "mcc": _finite(one.mcc),
        "mcc_interval": _interval(one.intervals.mcc),
        "precision": _finite(precision),
        "recall": _finite(recall),
        "f1": _finite(f1),
        "f1_interval": _interval(one.intervals.f1),
        "confusion": _confusion(one.confusion),
        "classes": _confusion(one.classes),
    }


def _confusion(confusion: Confusion | None) -> dict[str, Any] | None:
    if confusion is None:
        return None
    return {
        "classes": list(confusion.classes),
        "counts": confusion.counts.tolist(),
        "macro_f1": _finite(confusion.macro_f1),
        "per_class": [
            {
                "class": figure.name,
                "frames": figure.frames,
                "precision": _finite(figure.precision),
                "recall": _finite(figure.recall),
                "f1": _finite(figure.f1),
            }
            for figure in confusion.figures
        ],
    }


def _fold(fold: FoldFigures) -> dict[str, Any]:
    return {
        "fold": fold.name,
        "frames": fold.frames,
        "prevalence": _finite(fold.prevalence),
        "roc_auc": _finite(fold.roc_auc),
        "pr_auc": _finite(fold.average_precision),
        "mcc": _finite(fold.mcc),
    }


def _learning(learning: Learning | None) -> dict[str, Any]:
    if learning is None:
        return {"cross_validation": [], "learning": None}
    return {
        "cross_validation": [_learned(one) for one in learning.learned],
        "learning": {
            "features": learning.features,
            "row": learning.rows,
            "split": learning.split,
            "test_recordings": list(learning.tests),
            "positive_control_simulated": None
            if learning.control is None
            else {
                "note": learning.control.note,
                "detectors": [_learned(one) for one in learning.control.learned],
            },
        },
    }


def _learned(one: Learned) -> dict[str, Any]:
    cross = one.cross
    return {
        "detector": one.name,
        "split": None if cross is None else cross.split,
        "honest": None if cross is None else _frame(cross.honest),
        "leaking_rows_of_one_event_on_both_sides": None if one.leaking is None else _frame(one.leaking),
        "folds": [] if cross is None else [_fold(fold) for fold in cross.folds],
        "test": None if one.test is None else _frame(one.test),
    }


def _interval(interval: Interval) -> list[float] | None:
    return None if any(map(math.isnan, interval)) else list(interval)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
