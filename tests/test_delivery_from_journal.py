"""Delivery from a real journal: a SQLite file, its writer thread, and restarts in between."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from gridtop.api import Event, Undeliverable
from gridtop.delivery import Delivery
from gridtop.journal import Journal
from gridtop.journal_settings import JournalSettings
from gridtop.subscriptions import Subscription
from tests.outboxes import EPOCH, Recorder, event, events

_FASTER = 1000
"""A second here is a millisecond outside: pauses are short, and what happens is the same."""


def _clock() -> float:
    return time.monotonic() * _FASTER


def _wall() -> float:
    return EPOCH + _clock()


async def _sleep(seconds: float) -> None:
    await asyncio.sleep(seconds / _FASTER)


@asynccontextmanager
async def running(
    path: Path, sinks: Mapping[str, Recorder], *, deadline: float = 1000.0, rate: int | None = None
) -> AsyncIterator[tuple[Journal, Delivery]]:
    """An engine's journal and delivery, from start to end."""
    wanted = Subscription(rate=rate)
    journal = Journal(path, JournalSettings(size=64), wall=_wall, clock=_clock)
    await journal.open(dict.fromkeys(sinks, wanted))
    try:
        delivery = Delivery(
            journal,
            {name: (sink, wanted) for name, sink in sinks.items()},
            wall=_wall,
            clock=_clock,
            sleep=_sleep,
        )
        await delivery.open()
        try:
            yield journal, delivery
        finally:
            await delivery.close(deadline)
    finally:
        await journal.close()


async def send(journal: Journal, delivery: Delivery, new: Sequence[Event]) -> None:
    await delivery.send(await journal.commit(new))


async def until(reached: Callable[[], bool]) -> None:
    while not reached():
        await asyncio.sleep(0.001)


async def owed(journal: Journal, sink: str) -> tuple[int, int]:
    backlog = await journal.backlog(sink)
    return backlog.waiting, backlog.dead


async def test_events_of_the_journal_reach_every_sink_in_order_despite_failures(tmp_path: Path) -> None:
    class Parallel(Recorder):
        batch, at_once = 1, 4

    flaky, parallel = Recorder(OSError("down"), TimeoutError(), None, OSError("down")), Parallel()
    async with running(tmp_path / "j.db", {"flaky": flaky, "parallel": parallel}) as (journal, delivery):
        for i in range(60):
            await send(journal, delivery, [event(f"{i} {step}", str(i)) for step in ("raised", "cleared")])
        await until(lambda: len(flaky.got) == len(parallel.got) == 120)
        for sink in (flaky, parallel):
            assert len(set(sink.ids)) == 120
            assert all(sink.ids.index(f"{i} raised") < sink.ids.index(f"{i} cleared") for i in range(60))
    assert flaky.closed
    assert parallel.closed


async def test_what_was_not_delivered_is_owed_after_a_restart_and_what_was_is_not(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    dead, well = Recorder(*[OSError("down")] * 10_000), Recorder()
    async with running(path, {"a": dead, "b": well}, deadline=0.0) as (journal, delivery):
        await send(journal, delivery, events(200))
        await until(lambda: len(well.got) == 200 and delivery.status()[0].state == "resting")
        await asyncio.sleep(0.01)
    back, well_again = Recorder(), Recorder()
    async with running(path, {"a": back, "b": well_again}) as (journal, delivery):
        await until(lambda: len(back.got) == 200)
        assert sorted(map(int, back.ids)) == list(range(200))
        await send(journal, delivery, events(1, first=200))
        await until(lambda: bool(well_again.got))
        assert len(well_again.got) <= 2, "at most what was under way when the engine ended comes again"
    async with running(path, {"a": Recorder(), "b": Recorder()}) as (journal, _):
        assert await owed(journal, "a") == await owed(journal, "b") == (0, 0)


async def test_twenty_abrupt_ends_lose_nothing_and_keep_the_order(tmp_path: Path) -> None:
    path = tmp_path / "j.db"

    class Unreliable(Recorder):
        batch = 5
        attempts = 0

        async def send(self, events: Sequence[Event]) -> None:
            self.attempts += 1
            if self.attempts % 10 == 3:
                raise OSError("status 503")
            await super().send(events)
            if self.attempts % 10 == 7:
                raise ConnectionResetError("after it was accepted")

    sink = Unreliable()
    for run in range(20):
        async with running(path, {"a": sink}, deadline=0.0) as (journal, delivery):
            for i in range(5):
                number = 5 * run + i
                steps = [event(f"{number} {step}", str(number)) for step in ("raised", "cleared")]
                await send(journal, delivery, steps)
                await asyncio.sleep(0.001)
    async with running(path, {"a": sink}) as (journal, delivery):
        while await owed(journal, "a") != (0, 0):
            await asyncio.sleep(0.002)
    assert set(sink.ids) == {f"{i} {step}" for i in range(100) for step in ("raised", "cleared")}
    first = {name: sink.ids.index(name) for name in sink.ids}
    assert all(first[f"{i} raised"] < first[f"{i} cleared"] for i in range(100))


async def test_dead_letters_and_digests_are_kept_as_such(tmp_path: Path) -> None:
    sink = Recorder(refuse=lambda one: Undeliverable("no") if one.id == "3" else None)
    async with running(tmp_path / "j.db", {"a": sink}, rate=10) as (journal, delivery):
        await send(journal, delivery, events(100))
        await until(lambda: sink.got[-1:] != [] and sink.got[-1].rule == "digest")
        while (await owed(journal, "a"))[0]:
            await asyncio.sleep(0.002)
        assert await owed(journal, "a") == (0, 1)
        told = sum(int(str(one.details["count"])) for one in sink.got if one.rule == "digest")
        assert journal.tally.suppressed == {"a": told}
        assert told + sum(one.rule != "digest" for one in sink.got) + 1 == 100
