"""Events and journals that the tests of the journal share."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from gridtop.events import Event
from gridtop.journal import Journal, Restored
from gridtop.journal_settings import JournalSettings
from gridtop.subscriptions import Subscription

NOW = 1_795_000_000.0
ALL = {"hook": Subscription()}


def event(number: int, incident: str = "", **fields: Any) -> Event:
    """One event; its number makes it what it is."""
    values: dict[str, Any] = {
        "kind": "alarm",
        "transition": "raised",
        "severity": "warning",
        "rule": "voltage",
        "message": f"event {number}",
    }
    return Event(id=f"{number:016x}", row=number, incident=incident, **(values | fields))


def events(*numbers: int, **fields: Any) -> list[Event]:
    """Several events."""
    return [event(number, **fields) for number in numbers]


@asynccontextmanager
async def journal(
    path: Path | None,
    subscriptions: Mapping[str, Subscription] = ALL,
    *,
    wall: Callable[[], float] = lambda: NOW,
    size: int = 64,
    keep: timedelta = timedelta(days=90),
) -> AsyncIterator[tuple[Journal, Restored]]:
    """An open journal and what it found."""
    kept = Journal(path, JournalSettings(size=size, keep=keep), wall=wall, clock=lambda: 0.0)
    try:
        yield kept, await kept.open(subscriptions)
    finally:
        await kept.close()


def stored(path: Path, statement: str = "SELECT seq FROM event ORDER BY seq") -> list[Any]:
    """What is in the file, read without gridtop: the first column of each row."""
    connection = sqlite3.connect(path)
    try:
        return [row[0] for row in connection.execute(statement)]
    finally:
        connection.close()
