"""Events and saved states, written to and read from the tables of the journal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gridtop.events import Event
from gridtop.journal.records import Saved
from gridtop.journal.sheet import Sheet
from gridtop.text import clean

_SAVED_SOURCES = 32
"""Sources whose last state is kept."""

_COLUMNS = "source, pass, position, finished, alarms, extra, wall"


def parsed(body: str) -> Event | None:
    """The event that a stored text is; None when it is damaged beyond reading."""
    try:
        return Event.from_dict(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def write_events(sheet: Sheet, events: Sequence[Event], wall: Callable[[], float]) -> tuple[Event, ...]:
    """Number and write the events that are not there yet, and what is owed because of them."""
    first: dict[str, Event] = {}
    for event in events:
        first.setdefault(event.id, event)
    known = _known(sheet, first)
    new = [event for id, event in first.items() if id not in known]
    sheet.count("duplicates", len(events) - len(new))
    if not new:
        return ()
    # As the JSON form has it: what is published now and what is read later are equal.
    now = round(wall() * 1000) / 1000
    published = tuple(event.published(seq, now) for seq, event in enumerate(new, sheet.last + 1))
    sheet.connection.executemany(
        f"INSERT INTO {sheet.target}.event (seq, id, wall, kind, severity, rule, incident, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            (
                event.seq,
                _storable(event.id),
                now,
                event.kind,
                event.severity,
                _storable(event.rule),
                _storable(event.incident),
                _storable(event.to_json()),
            )
            for event in published
        ),
    )
    _owe(sheet, published)
    sheet.last += len(published)
    sheet.count("committed", len(published))
    return published


def _known(sheet: Sheet, ids: Iterable[str]) -> set[str]:
    """Those of the ids that are in the journal."""
    text = json.dumps(list(ids))
    known: set[str] = set()
    for schema in sheet.schemas:
        rows = sheet.connection.execute(
            f"SELECT id FROM {schema}.event WHERE id IN (SELECT value FROM json_each(?))", (text,)
        )
        known.update(row[0] for row in rows.fetchall())
    return known


def _owe(sheet: Sheet, events: Sequence[Event]) -> None:
    """A delivery for each event and each sink that wants it, in the order of the events.

    It is ready at once, or behind an older one of its incident (state 1).
    """
    sheet.connection.executemany(
        f"INSERT INTO {sheet.target}.delivery (seq, sink, incident, state, tries, due, reason) "
        "SELECT ?1, ?2, ?3, ?3 <> '' AND EXISTS (SELECT 1 FROM "
        f"{sheet.deliveries} WHERE sink = ?2 AND incident = ?3 AND incident <> '' AND state < 2), 0, ?4, ''",
        (
            (event.seq, sink, _storable(event.incident), event.wall)
            for event in events
            for sink, subscription in sheet.subscriptions.items()
            if subscription.wants(event)
        ),
    )


def read_events(sheet: Sheet, after: int, limit: int) -> list[Event]:
    """The oldest events above a sequence number."""
    rows = sheet.connection.execute(
        f"SELECT body FROM {sheet.events} WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
    )
    return [event for (body,) in rows.fetchall() if (event := parsed(body)) is not None]


def oldest_event(sheet: Sheet) -> int | None:
    """The sequence number of the oldest event there is."""
    found: int | None = sheet.connection.execute(f"SELECT MIN(seq) FROM {sheet.events}").fetchone()[0]
    return found


def write_saved(sheet: Sheet, saved: Saved) -> None:
    """Note where a source stands; the state is only written again when it changed."""
    alarms, extra = (json.dumps(part, separators=(",", ":")) for part in (saved.alarms, saved.extra))
    place = (saved.pass_number, saved.row, int(saved.finished), saved.wall, saved.source)
    connection, table = sheet.connection, f"{sheet.target}.saved"
    same = connection.execute(
        f"UPDATE {table} SET pass = ?, position = ?, finished = ?, wall = ? "
        "WHERE source = ? AND alarms = ? AND extra = ?",
        (*place, alarms, extra),
    )
    if same.rowcount:
        return
    connection.execute(
        f"INSERT OR REPLACE INTO {table} (pass, position, finished, wall, source, alarms, extra) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*place, alarms, extra),
    )
    connection.execute(
        f"DELETE FROM {table} WHERE source NOT IN (SELECT source FROM {table} ORDER BY wall DESC LIMIT ?)",
        (_SAVED_SOURCES,),
    )


def read_saved(sheet: Sheet, source: str | None = None) -> Saved | None:
    """What was saved last: of one source, or of whichever."""
    for schema in sheet.schemas:
        row = sheet.connection.execute(
            f"SELECT {_COLUMNS} FROM {schema}.saved WHERE ?1 IS NULL OR source = ?1 "
            "ORDER BY wall DESC LIMIT 1",
            (source,),
        ).fetchone()
        if row is not None:
            break
    else:
        return None
    return Saved(row[0], row[1], row[2], bool(row[3]), _object(row[4]), _object(row[5]), row[6])


def _object(text: str) -> dict[str, Any]:
    """A JSON object; an empty one where it is damaged: the position still says what was told."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _storable(text: str) -> str:
    """The text without what a database cannot hold: halves of characters."""
    return text if text.isascii() else clean(text, len(text))
