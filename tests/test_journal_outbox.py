"""What the journal owes to sinks: order within an incident, retries, dead letters, with or without a disk."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.errors import GridtopError
from gridtop.journal import Journal, tables
from gridtop.journal.letters import accounts, drop, letters, retry
from tests.journals import NOW, event, events, journal, stored


async def due(kept: Journal, now: float = NOW, sink: str = "hook") -> list[int]:
    return [owed.event.seq for owed in await kept.due(sink, now)]


async def test_an_event_waits_for_the_older_ones_of_its_incident_and_for_no_other(tmp_path: Path) -> None:
    async with journal(tmp_path / "j.db") as (kept, _):
        await kept.commit([event(1, "a"), event(2, "b"), event(3, "a"), event(4), event(5), event(6, "a")])
        assert await due(kept) == [1, 2, 4, 5]
        await kept.postponed("hook", [1, 4], NOW + 60, "refused")
        assert await due(kept) == [2, 5]
        await kept.delivered("hook", [2, 5])
        assert await due(kept) == []
        assert await kept.next_due("hook") == NOW + 60
        again = await kept.due("hook", NOW + 60)
        assert [(owed.event.seq, owed.tries, owed.due) for owed in again] == [
            (1, 1, NOW + 60),
            (4, 1, NOW + 60),
        ]
        await kept.delivered("hook", [1])
        assert await due(kept) == [3]
        await kept.buried("hook", [3], "never")
        assert await due(kept) == [6]
        await kept.digested("hook", [4, 6], "storm")
        assert await kept.next_due("hook") is None
        backlog = await kept.backlog("hook")
        assert (backlog.waiting, backlog.dead, backlog.oldest) == (0, 1, 0.0)
        assert kept.tally.suppressed == {"hook": 2}


async def test_the_oldest_of_the_backlog_says_since_when(tmp_path: Path) -> None:
    now = NOW
    async with journal(tmp_path / "j.db", wall=lambda: now) as (kept, _):
        await kept.commit([event(1, "a"), event(2, "a")])
        now += 5
        await kept.commit([event(3, "a")])
        await kept.delivered("hook", [1])
        backlog = await kept.backlog("hook")
        assert (backlog.waiting, backlog.oldest) == (2, NOW)
        await kept.delivered("hook", [2])
        assert (await kept.backlog("hook")).oldest == NOW + 5


async def test_debts_survive_a_restart_and_the_loss_of_their_sink(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit([event(1, "a"), event(2, "a"), event(3)])
        await kept.postponed("hook", [1], NOW + 9, "refused")
    async with journal(path, {}) as (kept, _):
        assert await due(kept) == [3]
        assert await due(kept, NOW + 9) == [1, 3]
        await kept.commit(events(4))
    assert [(one.sink, one.waiting, one.dead) for one in accounts(path)] == [("hook", 3, 0)]


async def test_dead_letters_can_be_tried_again_while_the_engine_runs_and_keep_their_order(
    tmp_path: Path,
) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit([event(1, "a"), event(2, "a"), event(3), event(4, "b")])
        await kept.buried("hook", [1, 3], "410")
        assert await due(kept) == [2, 4]
        assert retry(path, "elsewhere") == 0
        assert retry(path, "hook", [1, 2]) == 1
        assert await due(kept) == [1, 4]
        assert [owed.tries for owed in await kept.due("hook", NOW)] == [0, 0]
        assert [letter.event.seq for letter in letters(path, "hook", dead=True)] == [3]
        assert [letter.event.seq for letter in letters(path, dead=False)] == [1, 2, 4]
        assert drop(path, "hook") == 1
        assert drop(path, seqs=[1], waiting=True) == 1
        assert await due(kept) == [2, 4]
        assert len(await kept.events()) == 4
    assert drop(path, waiting=True) == 2
    assert accounts(path) == []


def test_letters_of_no_journal_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"not a database, but long enough to be looked at" * 10)
    for path in (tmp_path / "none.db", tmp_path / "x.db"):
        for work in (accounts, letters, retry, drop):
            with pytest.raises(GridtopError, match="no journal"):
                work(path)


async def test_an_event_that_is_damaged_in_the_file_becomes_a_dead_letter_and_holds_up_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit([event(1, "a"), event(2, "a")])
        connection = sqlite3.connect(path)
        connection.execute("UPDATE event SET body = '{\"id\":' WHERE seq = 1")
        connection.commit()
        connection.close()
        assert await due(kept) == []
        assert await due(kept) == [2]
        assert (await kept.backlog("hook")).dead == 1
        assert [one.seq for one in await kept.events()] == [2]


async def test_a_long_backlog_is_paged(tmp_path: Path) -> None:
    async with journal(tmp_path / "j.db") as (kept, _):
        await kept.commit(events(*range(1, 301)))
        seen: list[int] = []
        while page := await due(kept):
            assert len(page) <= 64
            seen += page
            await kept.delivered("hook", page)
        assert seen == list(range(1, 301))


# A disk that cannot be written for a while: somebody else has the file locked.


@dataclass
class Locked:
    """Another program that holds the file, so that nothing can be written."""

    path: Path
    connection: sqlite3.Connection = field(init=False)

    def __enter__(self) -> Locked:
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        self.connection.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "BUSY_SECONDS", 0.0)


@pytest.mark.usefixtures("impatient")
async def test_events_and_deliveries_go_on_in_memory_and_are_written_when_the_disk_is_back(
    tmp_path: Path,
) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit([event(1, "a"), event(2), event(3, "b")])
        await kept.buried("hook", [3], "never")
        with Locked(path):
            assert [one.seq for one in await kept.commit([event(4, "a"), event(2), event(5)])] == [4, 5]
            assert kept.status.state == "degraded"
            assert "locked" in kept.status.problem
            assert (kept.tally.unsaved, kept.tally.duplicates) == (2, 1)
            assert await due(kept) == [1, 2, 5]
            await kept.delivered("hook", [1, 5])
            assert await due(kept) == [2, 4]
            await kept.postponed("hook", [2], NOW + 30, "refused")
            assert (await due(kept), await kept.next_due("hook")) == ([4], NOW)
            backlog = await kept.backlog("hook")
            assert (backlog.waiting, backlog.dead, backlog.oldest) == (2, 1, NOW)
            assert [one.seq for one in await kept.events()] == [1, 2, 3, 4, 5]
            await kept.tend()
            assert kept.status.state == "degraded"
            assert stored(path) == [1, 2, 3]
        await kept.tend()
        assert (kept.status.state, kept.tally.unsaved) == ("ok", 0)
        assert [told.details["what"] for told in kept.notices()] == ["degraded", "recovered"]
        assert stored(path) == [1, 2, 3, 4, 5]
        assert await due(kept) == [4]
        again = await kept.due("hook", NOW + 30)
        assert [(owed.event.seq, owed.tries) for owed in again] == [(2, 1), (4, 0)]
        assert [one.seq for one in await kept.commit(events(6))] == [6]
        instance = kept.instance
    async with journal(path) as (_, restored):
        assert (restored.instance, restored.last) == (instance, 6)


@pytest.mark.usefixtures("impatient")
async def test_memory_keeps_so_many_events_and_the_critical_ones_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gridtop.journal import ledger

    monkeypatch.setattr(ledger, "MOST_UNSAVED", 10)
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        with Locked(path):
            for i in range(1, 31):
                await kept.commit([event(i, "a", severity="critical" if i % 6 == 0 else "warning")])
            assert (kept.tally.unsaved, kept.tally.lost) == (10, 20)
            assert await due(kept) == [6]
        await kept.tend()
        left = [6, 12, 18, 24, 26, 27, 28, 29, 30]
        assert set(stored(path)) >= set(left)
        assert len(stored(path)) == 10
        assert kept.newest == 30


@pytest.mark.usefixtures("impatient")
async def test_with_another_instance_after_numbers_were_lost_clients_know_that_they_must_begin_anew(
    tmp_path: Path,
) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit(events(1))
        before = kept.instance
        with Locked(path):
            await kept.commit(events(2))
            await kept.close()  # the last chance to write is gone as well
    async with journal(path) as (_, restored):
        assert restored.last == 1
        assert restored.instance != before
        instance = restored.instance
    async with journal(path) as (_, restored):
        assert restored.instance == instance


# Any order of events


@dataclass
class Model:
    """What should be owed: by sequence number the incident, the tries, when it is due, whether it is dead."""

    rows: dict[int, tuple[str, int, float, bool]] = field(default_factory=dict)

    def due(self, now: float) -> list[int]:
        waiting = {seq: row for seq, row in self.rows.items() if not row[3]}
        return [
            seq
            for seq, (incident, _, when, _) in sorted(waiting.items())
            if when <= now
            and not (incident and any(s < seq and r[0] == incident for s, r in waiting.items()))
        ][:64]


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.lists(st.sampled_from(["", "a", "b"]), min_size=1, max_size=4)),
        st.tuples(st.sampled_from(["deliver", "postpone", "bury", "digest"]), st.integers(0, 7)),
        st.tuples(st.sampled_from(["restart", "lock", "unlock"]), st.just(0)),
    ),
    max_size=25,
)


@pytest.mark.usefixtures("impatient")
@settings(max_examples=40)
@given(_STEPS)
def test_whatever_happens_what_is_owed_is_exact(steps: list[tuple[str, object]]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(_check(Path(folder, "j.db"), steps))


async def _check(path: Path, steps: list[tuple[str, object]]) -> None:
    model, locked, number = Model(), None, 0
    context = journal(path)
    kept, _ = await context.__aenter__()
    for step, argument in [*steps, ("unlock", 0), ("restart", 0)]:
        chosen = [seq for i, seq in enumerate(model.due(NOW)) if i == argument]
        if step == "commit":
            assert isinstance(argument, list)
            new = [event(number + i, incident) for i, incident in enumerate(argument)]
            number += len(new)
            for one in await kept.commit(new):
                model.rows[one.seq] = (one.incident, 0, NOW, False)
        elif step == "deliver":
            await kept.delivered("hook", chosen)
            model.rows = {seq: row for seq, row in model.rows.items() if seq not in chosen}
        elif step == "digest":
            await kept.digested("hook", chosen, "storm")
            model.rows = {seq: row for seq, row in model.rows.items() if seq not in chosen}
        elif step == "postpone":
            await kept.postponed("hook", chosen, NOW + 10, "refused")
            for seq in chosen:
                model.rows[seq] = (model.rows[seq][0], model.rows[seq][1] + 1, NOW + 10, False)
        elif step == "bury":
            await kept.buried("hook", chosen, "never")
            for seq in chosen:
                model.rows[seq] = (model.rows[seq][0], model.rows[seq][1] + 1, NOW, True)
        elif step == "lock" and locked is None:
            locked = Locked(path).__enter__()
        elif step == "unlock" and locked is not None:
            locked.__exit__()
            locked = None
            await kept.tend()
            assert kept.status.state == "ok"
        elif step == "restart" and locked is None:
            await context.__aexit__(None, None, None)
            context = journal(path)
            kept, restored = await context.__aenter__()
            assert restored.last == number
        for now in (NOW, NOW + 10):
            owed = await kept.due("hook", now)
            assert [one.event.seq for one in owed] == model.due(now)
            assert [one.tries for one in owed] == [model.rows[seq][1] for seq in model.due(now)]
        backlog = await kept.backlog("hook")
        dead = sum(row[3] for row in model.rows.values())
        assert (backlog.waiting, backlog.dead) == (len(model.rows) - dead, dead)
        assert [one.seq for one in await kept.events(0, 1000)] == list(range(1, number + 1))
    await context.__aexit__(None, None, None)
