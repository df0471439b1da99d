"""How the journal stays within its age and its size: what is removed, in which order, in small portions."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from gridtop.journal.debts import promote
from gridtop.journal.sheet import Sheet
from gridtop.journal.tables import DEAD, numbers, pragma

PORTION = 500
"""Events removed in one transaction: one large one would grow the log that there is no room for."""

_FULL, _ENOUGH = 0.9, 0.85
"""Parts of the quota: above the first the oldest events go, until the second is reached."""

_SPARE_PAGES = 256
"""Pages (1 MiB) that are to be free within the file before writing is tried again on a full disk."""

LARGEST_ROUND = 20
"""Portions removed for one commit at most: when that is no help, nothing is."""

_OWED = (
    "SELECT 1 FROM disk.delivery AS d WHERE d.seq = e.seq AND d.state < 2 "
    "AND d.sink IN (SELECT value FROM json_each(:sinks))"
)
_OLDEST_FIRST = (
    "NOT EXISTS (SELECT 1 FROM disk.delivery AS d WHERE d.seq = e.seq)",
    f"NOT EXISTS ({_OWED})",
    "severity <> 'critical'",
    "TRUE",
)
"""What goes first when there is no room: what is owed to nobody; what is only a dead letter or owed to a
sink that is no longer there; what is not critical; all the rest."""


def expire(sheet: Sheet, before: float) -> int:
    """Remove a portion of the events published before a time (seconds since 1970); how many.

    Those that a sink is still waiting for stay. Dead letters, and what is owed to sinks that are no longer
    configured, go with their events.
    """
    return _remove(sheet, f"wall < :before AND NOT EXISTS ({_OWED})", before)


def shrink(sheet: Sheet) -> int:
    """Remove a portion of the oldest events, those that are missed least first; how many."""
    for condition in _OLDEST_FIRST:
        if number := _remove(sheet, condition, 0.0):
            return number
    return 0


def crowded(sheet: Sheet, *, enough: float = _FULL) -> bool:
    """Whether what the file holds is more than this part of its quota."""
    connection = sheet.connection
    used: int = pragma(connection, "page_count") - pragma(connection, "freelist_count")
    return used > enough * sheet.quota


def make_room(sheet: Sheet, portions: int) -> int:
    """When the quota is nearly used up: remove up to so many portions; how many events went."""
    removed = 0
    if crowded(sheet):
        for _ in range(portions):
            number = in_one_transaction(sheet)
            removed += number
            if not number or not crowded(sheet, enough=_ENOUGH):
                break
    return removed


def make_spare_pages(sheet: Sheet, events: int = 0) -> int:
    """On a full disk: remove events until there is room within the file for so many new ones, and some more.

    The file does not grow then, so that the log can always be brought into it. sqlite3.Error if that fails.
    Returns how many events went.
    """
    removed = 0
    for number in range(LARGEST_ROUND):
        if pragma(sheet.connection, "freelist_count") >= _SPARE_PAGES + events // 2:
            break
        portion = in_one_transaction(sheet)
        removed += portion
        if not portion:
            break
        if number % 4 == 3:
            checkpoint(sheet.connection)
    return removed


def in_one_transaction(sheet: Sheet, before: float | None = None) -> int:
    """`shrink`, or `expire` when there is a time, all by itself."""
    sheet.begin()
    try:
        number = shrink(sheet) if before is None else expire(sheet, before)
        sheet.keep()
    except BaseException:
        sheet.abandon()
        raise
    return number


def give_back(sheet: Sheet) -> None:
    """Make a file that is larger than its quota (which was lowered) smaller, a little at a time.

    Otherwise free pages stay: what a full disk has given us, others would take.
    """
    if pragma(sheet.connection, "page_count") > sheet.quota:
        # Of a statement without columns `execute` takes one step, which is one page.
        sheet.connection.executescript("PRAGMA disk.incremental_vacuum(2000)")


def checkpoint(connection: sqlite3.Connection) -> None:
    """Bring the log into the file and begin it again, in its space: on a full disk others would take that."""
    connection.execute("PRAGMA disk.wal_checkpoint(RESTART)").fetchall()


def trim_memory(sheet: Sheet, most: int) -> int:
    """Of the events that only memory holds keep this many, critical ones first of all; how many went."""
    connection = sheet.connection
    number: int = connection.execute("SELECT COUNT(*) FROM main.event").fetchone()[0] - most
    if number <= 0:
        return 0
    connection.execute(
        "CREATE TEMP TABLE gone AS SELECT seq FROM main.event ORDER BY severity = 'critical', seq LIMIT ?",
        (number,),
    )
    incidents = connection.execute(
        "SELECT DISTINCT sink, incident FROM main.delivery WHERE incident <> '' "
        "AND seq IN (SELECT seq FROM gone)"
    ).fetchall()
    connection.execute("DELETE FROM main.delivery WHERE seq IN (SELECT seq FROM gone)")
    connection.execute("DELETE FROM main.event WHERE seq IN (SELECT seq FROM gone)")
    for sink, incident in incidents:
        promote(sheet, sink, (incident,))
    connection.execute("DROP TABLE temp.gone")
    return number


def merge_portion(sheet: Sheet) -> bool:
    """Write a portion of what only memory holds to the disk; False when there is nothing left.

    sqlite3.Error when the disk cannot be written yet: then nothing has changed.
    """
    connection = sheet.connection
    seqs = [
        row[0]
        for row in connection.execute(
            "SELECT seq FROM main.event ORDER BY seq LIMIT ?", (PORTION,)
        ).fetchall()
    ]
    if seqs:
        chosen = "seq IN (SELECT value FROM json_each(?))"
        parameters: tuple[str, ...] = (numbers(seqs),)
    else:  # what changed of older events, and states
        chosen, parameters = "TRUE", ()
    within = f"{chosen} AND seq IN (SELECT seq FROM disk.event)"
    connection.execute("BEGIN IMMEDIATE")
    try:
        if seqs:
            connection.execute(
                f"INSERT OR IGNORE INTO disk.event SELECT * FROM main.event WHERE {chosen}", parameters
            )
        connection.execute(
            f"INSERT OR REPLACE INTO disk.delivery SELECT * FROM main.delivery "
            f"WHERE {within} AND state <= {DEAD}",
            parameters,
        )
        connection.execute(
            f"DELETE FROM disk.delivery WHERE (seq, sink) IN (SELECT seq, sink FROM main.delivery "
            f"WHERE {chosen} AND state > {DEAD})",
            parameters,
        )
        if not seqs:
            connection.execute("INSERT OR REPLACE INTO disk.saved SELECT * FROM main.saved")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    # Only now: had it gone before, a power cut in between would have taken it.
    connection.execute(f"DELETE FROM main.delivery WHERE {chosen}", parameters)
    connection.execute(f"DELETE FROM main.event WHERE {chosen}", parameters)
    if not seqs:
        connection.execute("DELETE FROM main.saved")
    return bool(seqs)


def _remove(sheet: Sheet, condition: str, before: float) -> int:
    connection = sheet.connection
    seqs = _seqs(
        connection.execute(
            f"SELECT seq FROM disk.event AS e WHERE {condition} ORDER BY seq LIMIT {PORTION}",
            {"sinks": json.dumps(list(sheet.subscriptions)), "before": before},
        ).fetchall()
    )
    if not seqs:
        return 0
    chosen = (numbers(seqs),)
    owed = "FROM disk.delivery WHERE seq IN (SELECT value FROM json_each(?))"
    for sink, number in connection.execute(f"SELECT sink, COUNT(*) {owed} GROUP BY sink", chosen).fetchall():
        sheet.count("expired", number, sink)
    incidents = connection.execute(
        f"SELECT DISTINCT sink, incident {owed} AND incident <> ''", chosen
    ).fetchall()
    connection.execute(f"DELETE {owed}", chosen)
    connection.execute("DELETE FROM disk.event WHERE seq IN (SELECT value FROM json_each(?))", chosen)
    for sink, incident in incidents:
        promote(sheet, sink, (incident,))
    sheet.count("pruned", len(seqs))
    return len(seqs)


def _seqs(rows: Iterable[tuple[int]]) -> list[int]:
    return [row[0] for row in rows]
