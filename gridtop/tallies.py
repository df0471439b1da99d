"""What a run has counted, by name and labels: the numbers behind /metrics (docs/http-api.md)."""

from __future__ import annotations

from collections.abc import Mapping

from gridtop.client import Counts, RecordingStatus
from gridtop.delivery import Delivery
from gridtop.events import SEVERITIES
from gridtop.journal import Journal
from gridtop.publishing import Publishing
from gridtop.source_statistics import Statistics

Labels = tuple[tuple[str, str], ...]
"""Names and values that tell the parts of one counter apart."""

Tallies = Mapping[str, Mapping[Labels, float]]


def tallies(
    counts: Counts,
    publishing: Publishing,
    delivery: Delivery,
    journal: Journal,
    statistics: Statistics | None,
    recording: RecordingStatus | None,
) -> Tallies:
    """Everything that was counted since the start, each drop with its reason (reliability before speed)."""
    cells = {"missing": counts.missing, "unreadable": counts.unreadable, "infinite": counts.infinite}
    kept = journal.tally
    found: dict[str, dict[Labels, float]] = {
        "frames_total": {(): counts.frames},
        "events_total": {(("severity", name),): publishing.by_severity[name] for name in SEVERITIES},
        "cells_total": {(("kind", name),): number for name, number in cells.items()},
        "dropped_total": {(): counts.dropped},
        "journal_committed_total": {(): kept.committed},
        "journal_duplicates_total": {(): kept.duplicates},
        "journal_pruned_total": {(): kept.pruned},
        "journal_unsaved": {(): kept.unsaved},
        "journal_lost_total": {(): kept.lost},
        "journal_bytes": {(): journal.status.bytes},
        "deliveries_expired_total": _by_sink(kept.expired),
        "deliveries_suppressed_total": _by_sink(kept.suppressed),
    }
    for counted, by_sink in delivery.counters().items():
        found[f"deliveries_{counted}_total"] = {
            (("sink", sink), ("reason", reason)): number
            for sink, reasons in by_sink.items()
            for reason, number in reasons.items()
        }
    if recording is not None:
        found["recording_frames"] = {(): recording.frames}
        found["recording_bytes"] = {(): recording.bytes}
        found["recording_dropped"] = {(): recording.dropped}
    return found | _of_source(statistics) if statistics is not None else found


def _of_source(statistics: Statistics) -> dict[str, dict[Labels, float]]:
    """The figures of the source and of its devices; what they are called is the source's, and a label."""
    found: dict[str, dict[Labels, float]] = {}

    def add(what: str, figures: Mapping[str, float], *labels: tuple[str, str]) -> None:
        for name, value in figures.items():
            metric = f"{what}_total" if isinstance(value, int) else what
            found.setdefault(metric, {})[(*labels, ("what", name))] = value

    add("source", statistics.stream)
    for device, figures in statistics.devices.items():
        add("device", figures, ("device", device))
    return found


def _by_sink(numbers: Mapping[str, int]) -> dict[Labels, float]:
    return {(("sink", sink),): number for sink, number in numbers.items()}
