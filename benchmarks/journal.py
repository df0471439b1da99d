"""How many events the journal commits a second, against plain sqlite3 that commits each one by itself.

Run with `python benchmarks/journal.py [FOLDER]`: the file is made in FOLDER (the working directory if not
given), so that it is that disk which is measured. Trust the ratios; the absolute figures are of one machine.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from gridtop.events import Event
from gridtop.journal import Journal, Saved
from gridtop.journal_settings import JournalSettings
from gridtop.subscriptions import Subscription

SINKS = {name: Subscription() for name in ("webhook", "email", "syslog")}
SECONDS = 3.0
BACKLOG = 100_000


def event(number: int) -> Event:
    """An alarm, one of four that happen to the same incident."""
    return Event(
        id=f"{number:016x}",
        kind="alarm",
        transition="raised",
        severity="warning",
        rule="voltage",
        message="R1 A voltage 0.712 pu below 0.9 pu (critical)",
        row=number,
        time=np.datetime64("2026-01-01", "ns") + np.timedelta64(number, "ms"),
        channel="R1:voltage_pu.A",
        value=0.712,
        limit=0.9,
        incident=f"{number // 4:016x}",
    )


def plain(folder: Path) -> float:
    """Events a second with sqlite3 alone: the event and three deliveries, each statement a commit."""
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE event (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, body TEXT)")
    connection.execute("CREATE TABLE delivery (seq, sink, PRIMARY KEY (seq, sink)) WITHOUT ROWID")
    number, start = 0, time.perf_counter()
    while (took := time.perf_counter() - start) < SECONDS:
        one = event(number)
        connection.execute("INSERT INTO event VALUES (?, ?, ?)", (number, one.id, one.to_json()))
        for sink in SINKS:
            connection.execute("INSERT INTO delivery VALUES (?, ?)", (number, sink))
        number += 1
    connection.close()
    return number / took


async def committed(kept: Journal, batch: int, callers: int) -> tuple[float, float]:
    """Events a second with so many in a commit from so many tasks at once, and the slowest 1 % in ms."""
    number, waits, start = 0, list[float](), time.perf_counter()

    async def caller() -> None:
        nonlocal number
        while time.perf_counter() - start < SECONDS:
            new = [event(i) for i in range(number, number + batch)]
            number += batch
            before = time.perf_counter()
            await kept.commit(new, Saved("benchmark", 1, number))
            waits.append(time.perf_counter() - before)

    await asyncio.gather(*(caller() for _ in range(callers)))
    took = time.perf_counter() - start
    return number / took, float(np.quantile(waits, 0.99)) * 1000


async def measure(folder: Path) -> None:
    """Print a line for each size of a batch and number of tasks, and how fast a long backlog is asked."""
    base = plain(folder)
    print(f"{'':>28} {'events/s':>9} {'ratio':>6} {'p99 ms':>7}")
    print(f"{'plain sqlite3, autocommit':>28} {base:>9,.0f} {1:>6.1f}")
    for batch, callers in ((1, 1), (10, 1), (100, 1), (1000, 1), (1, 16), (1, 128)):
        file = folder / f"{batch}-{callers}.db"
        kept = Journal(file, JournalSettings())
        await kept.open(SINKS)
        rate, slowest = await committed(kept, batch, callers)
        await kept.close()
        label = f"batch {batch}, {callers} task{'s' * (callers > 1)}"
        print(f"{label:>28} {rate:>9,.0f} {rate / base:>6.1f} {slowest:>7.1f}")
    kept = Journal(folder / "backlog.db", JournalSettings())
    await kept.open({"webhook": SINKS["webhook"]})
    for start in range(0, BACKLOG, 1000):
        await kept.commit([event(i) for i in range(start, start + 1000)])
    now = time.time() + 1
    questions: dict[str, Callable[[], Awaitable[object]]] = {
        "due": lambda: kept.due("webhook", now),
        "next_due": lambda: kept.next_due("webhook"),
        "backlog": lambda: kept.backlog("webhook"),
    }
    for name, ask in questions.items():
        waits = []
        for _ in range(50):
            before = time.perf_counter()
            await ask()
            waits.append(time.perf_counter() - before)
        print(f"{name} of {BACKLOG:,} owed: {np.median(waits) * 1000:.2f} ms (median of 50)")
    await kept.close()


def main() -> None:
    """Measure in a folder of its own, which is removed afterwards."""
    with TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else ".") as folder:
        asyncio.run(measure(Path(folder)))


if __name__ == "__main__":
    main()
