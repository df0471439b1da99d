"""What happens to the journal while the engine runs is said in the snapshot, to probes and as an event."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import aiohttp
import pytest

from gridtop.journal.ledger import Ledger
from gridtop.monitor import Monitor
from tests.players import Heard, kept, read, rows, story
from tests.serving import served_over_tcp

HEALTHY = rows((600, "132000", "132000"))


async def until_told(monitor: Monitor, what: str) -> str:
    """The message of the journal's own event."""
    while True:
        for event in monitor.events():
            if event.rule == "journal" and event.details["what"] == what:
                return event.message
        await asyncio.sleep(0.01)


async def test_a_journal_that_cannot_be_written_is_a_problem_until_it_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridtop.monitor._SAVE_SECONDS", 0.02)
    heard, moment = Heard(), 0.0
    monitor = Monitor(
        read(story(tmp_path, HEALTHY), "source.speed=1", "source.loop=true"),
        streams={"heard": heard},
        clock=lambda: moment,
    )
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession() as http:
        async with http.get(f"{url}/readyz") as answer:
            assert answer.status == 200
        refusing = sqlite3.OperationalError("attempt to write a readonly database")
        together = Ledger._together

        def refuse(ledger: Ledger, jobs: object) -> None:
            if not ledger.sheet.degraded:
                raise refusing
            together(ledger, jobs)  # type: ignore[arg-type]

        monkeypatch.setattr(Ledger, "_together", refuse)
        event = await monitor.report("door", 1, "open")
        assert event.seq > 0
        assert "cannot be written" in await until_told(monitor, "degraded")
        snapshot = monitor.snapshot()
        assert snapshot.journal.state == "degraded"
        assert any(line.startswith("journal: cannot be written") for line in snapshot.problems)
        async with http.get(f"{url}/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json())["journal"]["state"] == "degraded"
        monkeypatch.setattr(Ledger, "_together", together)
        moment = 60.0  # the next look at the disk is due
        assert "can be written again" in await until_told(monitor, "recovered")
        assert monitor.snapshot().problems == ()
        async with http.get(f"{url}/readyz") as answer:
            assert answer.status == 200
    assert event.id in [event.id for event in heard.events]
    ids = [event.id for event in kept(tmp_path / "j.db")]
    assert ids == [event.id for event in heard.events]


async def test_a_damaged_journal_is_told_first_of_all(tmp_path: Path) -> None:
    config = story(tmp_path, HEALTHY)
    for _ in range(2):
        heard = Heard()
        monitor = Monitor(read(config, "source.speed=max"), streams={"heard": heard}, stop_at_end=True)
        await monitor.run()
        path = tmp_path / "j.db"
        path.write_bytes(path.read_bytes()[:100] + b"\xff" * 4000)
    assert heard.events[0].rule == "journal"
    assert "was damaged" in heard.events[0].message
    assert list(tmp_path.glob("j.db.corrupt-*"))
