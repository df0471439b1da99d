"""What is owed to sinks, in the tables of the journal: the statements behind the outbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from gridtop.journal.entries import parsed
from gridtop.journal.sheet import Sheet
from gridtop.journal.tables import BEHIND, DEAD, DONE, READY, numbers
from gridtop.outbox import Backlog, Owed
from gridtop.text import clean

_LONGEST_REASON = 300
_CHOSEN = "sink = ? AND seq IN (SELECT value FROM json_each(?))"


def due(sheet: Sheet, sink: str, now: float, limit: int) -> list[Owed]:
    """The oldest that are ready and due. One that cannot be read any more becomes a dead letter."""
    rows = sheet.connection.execute(
        f"SELECT seq, tries, due, {sheet.of_event('body', 'd.seq')} FROM {sheet.deliveries} AS d "
        f"WHERE sink = ? AND state = {READY} AND due <= ? ORDER BY seq LIMIT ?",
        (sink, now, limit),
    ).fetchall()
    owed, unreadable = [], []
    for seq, tries, when, body in rows:
        event = parsed(body or "")
        if event is None:
            unreadable.append(seq)
        else:
            owed.append(Owed(event, tries, when))
    if unreadable:
        buried(sheet, sink, unreadable, "the event cannot be read from the journal any more")
    return owed


def next_due(sheet: Sheet, sink: str, now: float) -> float | None:
    """When the next one is due. Exact when it lies ahead; any that is due now when there is one."""
    ready = f"FROM {sheet.deliveries} WHERE sink = ? AND state = {READY}"
    row = sheet.connection.execute(
        f"SELECT due {ready} AND due <= ? ORDER BY seq LIMIT 1", (sink, now)
    ).fetchone()
    if row is None:
        row = sheet.connection.execute(f"SELECT MIN(due) {ready}", (sink,)).fetchone()
    found: float | None = row[0]
    return found


def delivered(sheet: Sheet, sink: str, seqs: Sequence[int]) -> int:
    """They are no longer owed; how many were."""
    incidents = _incidents(sheet, sink, seqs)
    chosen = (sink, numbers(seqs))
    if sheet.degraded:
        _touch(sheet, sink, seqs)
        done = sheet.connection.execute(
            f"UPDATE main.delivery SET state = {DONE} WHERE {_CHOSEN} AND state < {DONE}", chosen
        )
    else:
        done = sheet.connection.execute(f"DELETE FROM disk.delivery WHERE {_CHOSEN}", chosen)
    promote(sheet, sink, incidents)
    return done.rowcount


def postponed(sheet: Sheet, sink: str, seqs: Sequence[int], when: float, reason: str) -> None:
    """One more try to their account; due again then."""
    _touch(sheet, sink, seqs)
    sheet.connection.execute(
        f"UPDATE {sheet.target}.delivery SET tries = tries + 1, due = ?, reason = ? "
        f"WHERE {_CHOSEN} AND state < {DEAD}",
        (when, clean(reason, _LONGEST_REASON), sink, numbers(seqs)),
    )


def buried(sheet: Sheet, sink: str, seqs: Sequence[int], reason: str) -> None:
    """They are dead letters; the next ones of their incidents are ready."""
    incidents = _incidents(sheet, sink, seqs)
    _touch(sheet, sink, seqs)
    dead = sheet.connection.execute(
        f"UPDATE {sheet.target}.delivery SET state = {DEAD}, tries = tries + 1, reason = ? "
        f"WHERE {_CHOSEN} AND state < {DEAD}",
        (clean(reason, _LONGEST_REASON), sink, numbers(seqs)),
    )
    sheet.count("buried", dead.rowcount, sink)
    promote(sheet, sink, incidents)


def digested(sheet: Sheet, sink: str, seqs: Sequence[int]) -> None:
    """They are no longer owed, and counted as suppressed."""
    sheet.count("suppressed", delivered(sheet, sink, seqs), sink)


def backlog(sheet: Sheet, sink: str) -> Backlog:
    """How much is owed to a sink. The oldest of all is never behind another one."""
    ready, first = sheet.connection.execute(
        f"SELECT COUNT(*), MIN(seq) FROM {sheet.deliveries} WHERE sink = ? AND state = {READY}", (sink,)
    ).fetchone()
    behind = sheet.connection.execute(
        f"SELECT COUNT(*) FROM {sheet.deliveries} WHERE sink = ? AND state < 2 AND incident <> '' "
        f"AND state = {BEHIND}",
        (sink,),
    ).fetchone()[0]
    dead = sheet.connection.execute(
        f"SELECT COUNT(*) FROM {sheet.deliveries} WHERE sink = ? AND state = {DEAD}", (sink,)
    ).fetchone()[0]
    oldest = None
    if first is not None:
        oldest = sheet.connection.execute(f"SELECT {sheet.of_event('wall', '?1')}", (first,)).fetchone()[0]
    return Backlog(ready + behind, dead, oldest or 0.0)


def promote(sheet: Sheet, sink: str, incidents: Iterable[str]) -> None:
    """Make the oldest waiting delivery of each incident ready."""
    for incident in incidents:
        row = sheet.connection.execute(
            f"SELECT seq, state FROM {sheet.deliveries} WHERE sink = ? AND incident = ? AND incident <> '' "
            "AND state < 2 ORDER BY seq LIMIT 1",
            (sink, incident),
        ).fetchone()
        if row is not None and row[1] == BEHIND:
            _touch(sheet, sink, [row[0]])
            sheet.connection.execute(
                f"UPDATE {sheet.target}.delivery SET state = {READY} WHERE sink = ? AND seq = ?",
                (sink, row[0]),
            )


def put_in_order(connection: sqlite3.Connection, schema: str) -> None:
    """Say anew which deliveries are ready and which are behind, as after dead ones came back to life."""
    connection.execute(
        f"UPDATE {schema}.delivery SET state = EXISTS (SELECT 1 FROM {schema}.delivery AS older "
        "WHERE older.sink = delivery.sink AND older.incident = delivery.incident AND older.incident <> '' "
        f"AND older.state < 2 AND older.seq < delivery.seq) WHERE state < 2 AND incident <> ''"
    )


def _incidents(sheet: Sheet, sink: str, seqs: Sequence[int]) -> list[str]:
    rows = sheet.connection.execute(
        f"SELECT DISTINCT incident FROM {sheet.deliveries} WHERE {_CHOSEN} AND incident <> ''",
        (sink, numbers(seqs)),
    )
    return [row[0] for row in rows.fetchall()]


def _touch(sheet: Sheet, sink: str, seqs: Sequence[int]) -> None:
    """Have the deliveries in memory where they can be changed, if the disk cannot be written."""
    if sheet.degraded and sheet.readable:
        sheet.connection.execute(
            f"INSERT OR IGNORE INTO main.delivery SELECT * FROM disk.delivery WHERE {_CHOSEN}",
            (sink, numbers(seqs)),
        )
