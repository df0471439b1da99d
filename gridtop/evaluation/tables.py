"""A report as Markdown tables, for documentation and for terminals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from gridtop.evaluation.report import FalseAlarms, Rate, Recall, Report
from gridtop.text import clean

_UNKNOWN = "–"


def markdown(report: Report) -> str:
    """Both tables, each under a line that says what it counts."""
    parts = [
        f"{report.recordings} recordings, {report.hours:.1f} hours.",
        "",
        "Recall by event. Delays are from the physical start; a miss counts as infinite.",
        "",
        *recall_table(report.recalls),
        "",
        "False alarms: raises, those within 5 s counted once, over the hours no event accounts for.",
        "",
        *false_alarm_table(report.false_alarms),
    ]
    if report.unsought:
        kinds = ", ".join(f"{clean(kind)} ({events})" for kind, events in report.unsought)
        parts += ["", f"Looked for by no task, and so there to mislead: {kinds}."]
    if report.unclaimed:
        rules = ", ".join(f"{clean(rule)} ({raises})" for rule, raises in report.unclaimed)
        parts += ["", f"Judged nowhere, because no task speaks of them: {rules}."]
    return "\n".join(parts) + "\n"


def recall_table(recalls: Iterable[Recall]) -> list[str]:
    """A line for each kind of event and each task that looks for it."""
    head = ("kind", "task", "events", "found", "recall", "95 % interval", "delay p50", "delay p95")
    rows = [
        (
            recall.kind,
            recall.task,
            str(recall.events),
            str(recall.hits),
            _share(recall.share),
            f"{recall.interval[0]:.3f}–{recall.interval[1]:.3f}",
            _delay(recall.delay(0.5)),
            _delay(recall.delay(0.95)),
        )
        for recall in recalls
    ]
    return _table(head, rows)


def false_alarm_table(lines: Iterable[FalseAlarms]) -> list[str]:
    """A line for each task."""
    head = (
        "task",
        "false alarms",
        "hours",
        "a day",
        "at most (95 %)",
        "while nothing happened",
        "worst offenders (raises)",
        "raised falsely during",
        "also raised during",
    )
    rows = [
        (
            line.task,
            f"{line.rate.count}" + (f" ({line.misnamed} misnamed)" if line.misnamed else ""),
            f"{line.rate.hours:.1f}",
            _number(line.rate.per_day),
            _number(line.rate.at_most_per_day),
            _quiet(line.quiet),
            _counts(line.offenders),
            _counts((kind or "quiet", raises) for kind, raises in line.during.items()),
            _counts(line.also.items()),
        )
        for line in lines
    ]
    return _table(head, rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(clean(cell).replace("|", "\\|") for cell in line) + " |" for line in lines]


def _quiet(rate: Rate) -> str:
    return f"{rate.count} in {rate.hours:.1f} h, at most {_number(rate.at_most_per_day)} a day"


def _counts(counts: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{name} ({number})" for name, number in counts) or _UNKNOWN


def _share(share: float) -> str:
    return _UNKNOWN if math.isnan(share) else f"{share:.3f}"


def _number(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else _UNKNOWN


def _delay(milliseconds: float) -> str:
    """In ms below ten seconds, else in s."""
    if not math.isfinite(milliseconds):
        return "∞" if math.isinf(milliseconds) else _UNKNOWN
    return f"{milliseconds:.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.0f} s"
