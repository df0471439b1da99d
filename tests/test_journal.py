"""The journal: numbering, duplicates, one transaction for all, who may have the file, age and size."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from gridtop.errors import GridtopError
from gridtop.events import Contribution
from gridtop.journal import Journal, Saved
from gridtop.journal.letters import letters
from gridtop.journal_settings import JournalSettings
from gridtop.subscriptions import Subscription
from tests.journals import NOW, event, events, journal, stored


async def test_numbers_go_on_where_the_last_run_stopped(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, restored):
        assert (restored.last, restored.saved, restored.notices) == (0, None, ())
        assert [one.seq for one in await kept.commit(events(1, 2, 3))] == [1, 2, 3]
        assert (kept.newest, kept.oldest) == (3, 1)
        instance = kept.instance
    async with journal(path) as (kept, restored):
        assert (restored.last, restored.instance) == (3, instance)
        assert [one.seq for one in await kept.commit(events(4))] == [4]


@pytest.mark.parametrize("where", ["file", "memory"])
async def test_an_event_that_is_there_already_is_neither_written_nor_published_again(
    where: str, tmp_path: Path
) -> None:
    async with journal(tmp_path / "j.db" if where == "file" else None) as (kept, _):
        await kept.commit(events(1, 2))
        again = await kept.commit(events(2, 3, 1, 3))
        assert [(one.row, one.seq) for one in again] == [(3, 3)]
        assert [one.row for one in await kept.events()] == [1, 2, 3]
        assert (kept.tally.committed, kept.tally.duplicates) == (3, 3)
        assert (await kept.backlog("hook")).waiting == 3


async def test_what_is_read_equals_what_was_published(tmp_path: Path) -> None:
    rich = event(
        1,
        incident="a" * 16,
        time=np.datetime64("2026-01-01T00:00:25.123456789", "ns"),
        since=np.datetime64("2026-01-01T00:00:25", "ns"),
        since_row=0,
        value=0.712,
        limit=0.9,
        channel="Gerät 1:V\u202e",
        details={"type": "AG", "km": 1.5, "sure": True, "what": None},
        cause=(Contribution("R1:V", 0.75),),
    )
    async with journal(tmp_path / "j.db", wall=lambda: NOW + 0.123456) as (kept, _):
        (published,) = await kept.commit([rich])
        (read,) = await kept.events()
    assert read == published.__class__.from_dict(published.to_dict() | {"channel": "Gerät 1:V\ufffd"})
    assert (read.wall, read.seq) == (NOW + 0.123, 1)


async def test_text_that_no_database_can_hold_does_not_stop_the_journal(tmp_path: Path) -> None:
    async with journal(tmp_path / "j.db") as (kept, _):
        await kept.commit([event(1, channel="\ud800half", rule="a\udfffb", message="nul \x00")])
        (read,) = await kept.events()
    assert (read.channel, read.rule) == ("\ufffdhalf", "a\ufffdb")


async def test_a_page_of_events_begins_after_a_number(tmp_path: Path) -> None:
    for path in (tmp_path / "j.db", None):
        async with journal(path) as (kept, _):
            await kept.commit(events(*range(1, 11)))
            assert [one.seq for one in await kept.events(3, 4)] == [4, 5, 6, 7]
            assert await kept.events(10) == []


async def test_what_was_saved_comes_back_for_its_source(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    first = Saved("a", 2, 700, alarms={"voltage": [1, None, "x"]}, extra={"n": 1.5})
    second = Saved("b", 1, 5, finished=True)
    async with journal(path) as (kept, _):
        await kept.commit([], first)
        await kept.commit([], Saved("b", 1, 4))
    async with journal(path, wall=lambda: NOW + 1) as (kept, _):
        await kept.commit(events(1), second)
    async with journal(path) as (kept, restored):
        assert restored.saved == Saved("b", 1, 5, finished=True, wall=NOW + 1)
        assert await kept.saved("a") == Saved("a", 2, 700, alarms=first.alarms, extra=first.extra, wall=NOW)
        assert await kept.saved("c") is None


async def test_events_state_and_debts_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit(events(1), Saved("a", 1, 1))
        with pytest.raises(TypeError):
            await kept.commit(events(2), Saved("a", 1, 2, extra={"what": object()}))
        assert (kept.newest, kept.tally.committed, (await kept.backlog("hook")).waiting) == (1, 1, 1)
        assert [one.seq for one in await kept.commit(events(3))] == [2]
        saved = await kept.saved("a")
        assert saved is not None
        assert saved.row == 1


async def test_what_waits_together_is_committed_in_order_and_one_that_fails_harms_no_other(
    tmp_path: Path,
) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        bad = Saved("a", 1, 2, extra={"what": object()})
        done = await asyncio.gather(
            *(kept.commit(events(i), bad if i % 10 == 5 else None) for i in range(100)),
            return_exceptions=True,
        )
        good = [one for one in done if not isinstance(one, BaseException)]
        assert [one.row for (one,) in good] == [i for i in range(100) if i % 10 != 5]
        assert [one.seq for (one,) in good] == list(range(1, 91))
    assert stored(path) == list(range(1, 91))


async def test_a_caller_that_stops_waiting_does_not_stop_the_commit(tmp_path: Path) -> None:
    async with journal(tmp_path / "j.db") as (kept, _):
        task = asyncio.create_task(kept.commit(events(1)))
        await asyncio.sleep(0)
        task.cancel()
        assert [one.seq for one in await kept.commit(events(2))] == [2]
        assert len(await kept.events()) == 2


async def test_each_sink_is_owed_what_it_wants(tmp_path: Path) -> None:
    wanted = {"all": Subscription(), "critical": Subscription(severity="critical")}
    async with journal(tmp_path / "j.db", wanted) as (kept, _):
        await kept.commit([event(1), event(2, severity="critical")])
        assert [owed.event.row for owed in await kept.due("all", NOW)] == [1, 2]
        assert [owed.event.row for owed in await kept.due("critical", NOW)] == [2]
        kept.subscribe({"late": Subscription()})
        await kept.commit(events(3))
        assert [owed.event.row for owed in await kept.due("late", NOW)] == [3]
        assert (await kept.backlog("all")).waiting == 2


# Who may have the file


async def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    async with journal(tmp_path / "j.db") as (kept, _):
        await kept.commit(events(1))
        files = sorted(tmp_path.iterdir())
        assert {file.name for file in files} >= {"j.db", "j.db-wal", "j.db.ballast", "j.db.lock"}
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


async def test_a_second_engine_is_refused_and_touches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        second = Journal(path, JournalSettings())
        with pytest.raises(
            GridtopError, match=rf"another engine \(process {os.getpid()}\) keeps this journal"
        ):
            await second.open({})
        await second.close()
        assert (tmp_path / "j.db.ballast").exists()
        await kept.commit(events(1))
    async with journal(path) as (_, restored):
        assert restored.last == 1


async def test_another_name_of_the_same_file_is_the_same_journal(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "j.db")
    async with journal(tmp_path / "j.db"):
        with pytest.raises(GridtopError, match="another engine"):
            async with journal(tmp_path / "link.db"):
                pass


def foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (n)")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()


async def test_a_file_of_another_program_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("my notes, which matter a lot to me\n" * 100)
    foreign(tmp_path / "theirs.db")
    for path in (tmp_path / "notes.db", tmp_path / "theirs.db"):
        before = path.read_bytes()
        for _ in range(2):  # the first attempt leaves nothing that misleads the second
            with pytest.raises(GridtopError, match="is no journal of gridtop"):
                async with journal(path):
                    pass
        assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2


async def test_a_file_of_a_newer_gridtop_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(path):
        pass
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(GridtopError, match="newer gridtop"):
        async with journal(path):
            pass


async def test_places_where_no_journal_can_be_are_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path, words in {
        tmp_path / "none" / "j.db": "there is no folder",
        tmp_path: "is no file",
        tmp_path / "dangling": "link to nowhere",
    }.items():
        with pytest.raises(GridtopError, match=words):
            async with journal(path):
                pass
    assert not (tmp_path / "nowhere").exists()


async def test_no_link_is_followed_for_the_files_beside_the_journal(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "j.db.lock").symlink_to(precious)
    with pytest.raises(GridtopError, match="cannot be opened"):
        async with journal(tmp_path / "j.db"):
            pass
    (tmp_path / "j.db.lock").unlink()
    (tmp_path / "j.db.ballast").symlink_to(precious)
    async with journal(tmp_path / "j.db") as (kept, _):
        await kept.commit(events(1))
    assert precious.read_text() == "mine"


async def test_close_is_legal_without_open_and_twice(tmp_path: Path) -> None:
    kept = Journal(tmp_path / "j.db", JournalSettings())
    await kept.close()
    await kept.close()
    assert list(tmp_path.iterdir()) == []


# Age and size


async def test_old_events_go_unless_a_sink_still_waits_for_them(tmp_path: Path) -> None:
    now = NOW
    async with journal(tmp_path / "j.db", wall=lambda: now, keep=timedelta(hours=1)) as (kept, _):
        await kept.commit(events(*range(1, 1301)))
        kept.subscribe({"hook": Subscription(), "gone": Subscription()})
        await kept.commit(events(1301, 1302, 1303))
        kept.subscribe({"hook": Subscription()})
        await kept.delivered("hook", [*range(1, 1000), *range(1001, 1302)])
        await kept.buried("hook", [1302], "never")
        now += 3601
        await kept.commit(events(1400))
        await kept.tend()
        assert [one.row for one in await kept.events()] == [1000, 1303, 1400]
        assert kept.oldest == 1000
        tally = kept.tally
        assert tally.pruned == 1301
        assert tally.expired == {"gone": 2, "hook": 1}
        (told,) = kept.notices()
        assert (told.kind, told.rule, told.details["what"]) == ("system", "journal", "expired")


async def test_the_file_stays_within_its_size_and_the_oldest_events_go(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(path, {}, size=4) as (kept, _):
        for start in range(1, 20_001, 200):
            await kept.commit(
                [event(i, message=f"{i} " + "x" * 180) for i in range(start, start + 200)],
                Saved("a", 1, start + 200),
            )
        assert path.stat().st_size <= 4_000_000
        assert kept.status.state == "ok"
        assert kept.tally.lost == 0
        assert kept.oldest > 10_000
        left = stored(path)
        assert left == list(range(kept.oldest, 20_001))
        assert len(left) > 1000
        saved = await kept.saved("a")
        assert saved is not None
        assert saved.row == 20_001
        assert [event.details["what"] for event in kept.notices()] == []


async def test_when_only_owed_events_are_left_the_oldest_that_are_not_critical_go_first(
    tmp_path: Path,
) -> None:
    path = tmp_path / "j.db"
    async with journal(path, size=4) as (kept, _):
        for start in range(1, 10_001, 100):
            await kept.commit(
                [
                    event(i, "b" * 16, message="x" * 150, severity="critical" if i % 100 == 0 else "warning")
                    for i in range(start, start + 100)
                ]
            )
        assert kept.status.state == "ok"
        assert stored(path, "SELECT seq FROM event WHERE severity = 'critical'") == list(
            range(100, 10_001, 100)
        )
        waiting = (await kept.backlog("hook")).waiting
        assert waiting == len(stored(path))
        assert kept.tally.expired["hook"] == 10_000 - waiting
        # What is left of the incident goes on with its oldest.
        assert [owed.event.seq for owed in await kept.due("hook", NOW)] == [100]
        await kept.tend()
        assert "expired" in {event.details["what"] for event in kept.notices()}


async def test_a_lower_quota_makes_the_file_smaller(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(path, {}, size=64) as (kept, _):
        await kept.commit([event(i, message="x" * 190) for i in range(12_000)])
    before = path.stat().st_size
    async with journal(path, {}, size=4) as (kept, _):
        for _ in range(12):
            await kept.tend()
    assert before > 6_000_000
    assert path.stat().st_size <= 4_000_000


async def test_in_memory_the_oldest_events_go_as_well() -> None:
    async with journal(None, {}, size=4) as (kept, _):
        for start in range(1, 20_001, 1000):
            await kept.commit([event(i, message="x" * 190) for i in range(start, start + 1000)])
        assert kept.status.state == "memory"
        assert 1 < kept.oldest < kept.newest == 20_000


async def test_letters_name_what_waits_and_what_is_dead(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit(events(1, 2))
        await kept.buried("hook", [1], "404 \x1b[2J")
        dead, waiting = letters(path)
        assert (dead.dead, dead.event.row, dead.reason) == (True, 1, "404 \ufffd[2J")
        assert (waiting.dead, waiting.event.row) == (False, 2)
