"""What a run has counted, by name and labels: the numbers behind /metrics (docs/http-api.md)."""

from __future__ import annotations

from collections.abc import Mapping

from gridtop.client import Counts
from gridtop.delivery import Delivery
from gridtop.events import SEVERITIES
from gridtop.journal import Journal
from gridtop.publishing import Publishing

Labels = tuple[tuple[str, str], ...]
"""Names and values that tell the parts of one counter apart."""

Tallies = Mapping[str, Mapping[Labels, float]]


def tallies(counts: Counts, publishing: Publishing, delivery: Delivery, journal: Journal) -> Tallies:
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
    return found


def _by_sink(numbers: Mapping[str, int]) -> dict[Labels, float]:
    return {(("sink", sink),): number for sink, number in numbers.items()}
