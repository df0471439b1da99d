"""What does not work besides the grid: sinks that do not deliver, the journal, a recording."""

from __future__ import annotations

from collections.abc import Sequence

from gridtop.client import JournalStatus, SinkStatus, Snapshot

from . import recording
from .rows import Row, Span

_DEGRADED = "journal degraded"


def problems(snapshot: Snapshot) -> tuple[str, ...]:
    """One line for each thing that does not work: those the engine named, and what it only counted."""
    lines = list(snapshot.problems)
    journal = snapshot.journal
    if journal.state == "degraded" and not (journal.problem and journal.problem in " ".join(lines)):
        lines.insert(0, f"{_DEGRADED}: {journal.problem or 'events are kept in memory only'}")
    for sink in snapshot.sinks:
        if sink.state != "working" and not any(line.startswith(f"sink {sink.name}:") for line in lines):
            lines.append(f"sink {sink.name}: {sink.problem or sink.state}; {sink.waiting} waiting")
        if sink.dead:
            lines.append(f"sink {sink.name}: {sink.dead} dead letters; gridtop outbox lists them")
    said = " ".join(lines)
    lines += [line for line in recording.problems(snapshot.recording) if line not in said]
    return tuple(lines)


def health_words(journal: JournalStatus, sinks: Sequence[SinkStatus], roomy: bool) -> Row:
    """`journal degraded  2 sinks down, 34 waiting, 5 dead`, or nothing when all is well.

    In short, `journal!  2 sinks down`, where there is little room.
    """
    row: Row = ()
    if journal.state == "degraded":
        row = (Span(_DEGRADED if roomy else "journal!", "warning"),)
    down = [sink for sink in sinks if sink.state != "working"]
    dead = sum(sink.dead for sink in sinks)
    words = [f"{len(down)} sink{'s' * (len(down) > 1)} down"] if down else []
    if down and roomy:
        words.append(f"{sum(sink.waiting for sink in down)} waiting")
    if dead and (roomy or not down):
        words.append(f"{dead} dead")
    return (*row, Span("  " * bool(row) + ", ".join(words), "warning")) if words else row
