"""The journal when things break: full disks, read-only ones, damaged and vanished files, kill -9."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridtop.errors import GridtopError
from gridtop.journal import Saved
from gridtop.journal.reading import Reader
from tests.journals import NOW, event, events, journal, stored

MEGABYTE = 1_000_000


def mounted(folder: Path, options: str) -> None:
    """A small file system of its own; the test is skipped where that is not allowed."""
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None or sys.platform != "linux":
        pytest.skip("only root can mount a small disk")
    folder.mkdir(exist_ok=True)
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting a small disk is not allowed here")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 20 MB."""
    folder = tmp_path / "disk"
    mounted(folder, "size=20m")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Somebody else takes all the space there is."""
    file = folder / "filler"
    with file.open("ab", buffering=0) as filler:
        for size in (65536, 4096, 512):
            try:
                while True:
                    filler.write(b"x" * size)
            except OSError:
                pass
    return file


def wide(start: int, number: int, **fields: str) -> list:
    return [event(i, message="x" * 190, **fields) for i in range(start, start + number)]


def sound(path: Path) -> bool:
    return stored(path, "PRAGMA integrity_check") == ["ok"]


# A full disk


async def test_on_a_full_disk_the_ballast_and_the_oldest_events_make_room(small_disk: Path) -> None:
    path = small_disk / "j.db"
    async with journal(path, {}) as (kept, _):
        for start in range(0, 4000, 500):
            await kept.commit(wide(start, 500))
        fill(small_disk)
        published = [one for i in range(40) for one in await kept.commit(wide(4000 + 100 * i, 100))]
        assert [one.seq for one in published] == list(range(4001, 8001))
        assert kept.status.state == "ok"
        assert kept.status.problem.startswith("only") or not (small_disk / "j.db.ballast").exists()
        assert (kept.tally.lost, kept.tally.unsaved) == (0, 0)
        assert kept.tally.pruned > 0
    assert sound(path)
    assert stored(path)[-1] == 8000


async def test_what_a_full_disk_cannot_take_stays_in_memory_until_there_is_space(small_disk: Path) -> None:
    path = small_disk / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit(wide(0, 100), Saved("a", 1, 100))
        fill(small_disk)
        (small_disk / "j.db.ballast").unlink()
        fill(small_disk)
        published = [one for i in range(30) for one in await kept.commit(wide(100 + 200 * i, 200))]
        await kept.commit([], Saved("a", 1, 6100))
        assert [one.seq for one in published] == list(range(101, 6101))
        assert kept.status.state == "degraded"
        assert "full" in kept.status.problem
        assert kept.tally.unsaved > 0
        before = kept.tally.unsaved
        await kept.tend()
        assert kept.tally.unsaved <= before
        assert len(await kept.due("hook", NOW)) == 64
        (small_disk / "filler").unlink()
        await kept.tend()
        assert (kept.status.state, kept.tally.unsaved, kept.tally.lost) == ("ok", 0, 0)
        assert (small_disk / "j.db.ballast").exists()
        saved = await kept.saved("a")
        assert saved is not None
        assert saved.row == 6100
        assert {one.details["what"] for one in kept.notices()} >= {"degraded", "recovered"}
    assert sound(path)
    assert stored(path)[-1] == 6100


async def test_an_engine_starts_on_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit(wide(0, 100))
    fill(small_disk)
    async with journal(path) as (kept, restored):
        assert restored.last == 100
        assert [one.seq for one in await kept.commit(wide(100, 10))] == list(range(101, 111))
    assert sound(path)


async def test_a_quota_that_is_used_up_by_one_commit_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(path, size=4) as (kept, _):
        await kept.commit(wide(0, 1000))
        assert len(await kept.commit(wide(1000, 8000))) == 8000  # more than 4 MB
        assert kept.status.state == "degraded"
        assert kept.tally.unsaved == 8000
        for _ in range(5):
            await kept.tend()
        assert kept.status.state == "ok"
        assert kept.newest == 9000
        assert kept.tally.lost == 0
    assert sound(path)
    assert stored(path)[-1] == 9000


# A disk that cannot be written


async def test_a_read_only_disk_is_refused_at_the_start(small_disk: Path) -> None:
    path = small_disk / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit(events(1, 2))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(GridtopError, match="cannot be written"):
        async with journal(path):
            pass
    with pytest.raises(GridtopError, match="nothing can be written to"):
        async with journal(small_disk / "new.db"):
            pass
    assert [seq for seq, _ in Reader(path).events(0)] == [1, 2]


async def test_a_file_or_folder_that_is_not_ours_to_write_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(path):
        pass
    path.chmod(0o400)
    if os.access(path, os.W_OK):
        pytest.skip("root may write everywhere")
    with pytest.raises(GridtopError, match="cannot be written"):
        async with journal(path):
            pass
    path.chmod(0o600)
    tmp_path.chmod(0o500)
    with pytest.raises(GridtopError, match="nothing can be written to"):
        async with journal(path):
            pass
    tmp_path.chmod(0o700)


# Damage


def overwrite(path: Path, place: int, number: int) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\xa5" * number)


@pytest.mark.parametrize("part", ["header", "middle", "end"])
async def test_a_damaged_file_is_put_aside_at_the_start_and_loudly_replaced(
    part: str, tmp_path: Path
) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit(wide(0, 3000))
        instance = kept.instance
    size = path.stat().st_size
    if part == "end":
        os.truncate(path, size // 2)
    else:
        overwrite(path, 0 if part == "header" else size // 2 // 4096 * 4096, 200)
    damaged = path.read_bytes()
    async with journal(path) as (kept, restored):
        assert (restored.last, kept.status.state) == (0, "ok")
        assert restored.instance != instance
        (told,) = restored.notices
        assert (told.severity, told.kind, told.rule) == ("critical", "system", "journal")
        (aside,) = tmp_path.glob("j.db.corrupt-*")
        assert aside.name in told.message
        assert aside.name.endswith("Z")
        assert aside.read_bytes() == damaged
        assert len(await kept.commit([*restored.notices, event(1)])) == 2
    async with journal(path) as (_, restored):
        assert (restored.last, restored.notices) == (2, ())


async def test_damage_that_shows_while_the_engine_runs_costs_the_past_and_not_the_present(
    tmp_path: Path,
) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit(wide(0, 3000))
        instance = kept.instance
    async with journal(path) as (kept, _):
        size = path.stat().st_size
        overwrite(path, 4096, size - 4096)
        published = [one.seq for i in range(20) for one in await kept.commit(wide(5000 + i, 1))]
        assert published == list(range(3001, 3021))
        assert kept.status.state == "ok"
        assert kept.instance == instance
        (told,) = kept.notices()
        assert told.details["what"] == "replaced"
        assert [one.seq for one in await kept.events(3000)] == published
        assert kept.oldest == 3001
        assert len(list(tmp_path.glob("j.db.corrupt-*"))) >= 1
    async with journal(path) as (_, restored):
        assert (restored.instance, restored.last) == (instance, 3020)


async def test_a_file_that_somebody_removes_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit(events(1, 2))
        path.unlink()
        await kept.tend()
        assert [one.seq for one in await kept.commit(events(3))] == [3]
        (told,) = kept.notices()
        assert (told.severity, told.details["what"]) == ("critical", "replaced")
        assert [one.seq for one in await kept.events()] == [3]
    assert stored(path) == [3]
    assert sound(path)


async def test_a_file_that_somebody_exchanges_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(tmp_path / "other.db") as (kept, _):
        await kept.commit(events(7))
    async with journal(path) as (kept, _):
        await kept.commit(events(1, 2))
        before = (tmp_path / "other.db").read_bytes()
        (tmp_path / "other.db").replace(path)
        await kept.tend()
        assert kept.status.state == "degraded"
        assert "another file" in kept.status.problem
        assert [one.seq for one in await kept.commit(events(3))] == [3]
    assert path.read_bytes() == before


# kill -9

LOOP = """
import asyncio, sys
from pathlib import Path
from gridtop.journal import Saved
from gridtop.journal.reading import Reader
from tests.journals import event, journal

async def main():
    async with journal(Path(sys.argv[1])) as (kept, restored):
        number = restored.saved.row if restored.saved else 0
        print(restored.instance, flush=True)
        while True:
            new = [event(number + i, "a" * (i % 2)) for i in range(1 + number % 7)]
            number += len(new)
            for one in await kept.commit(new, Saved("loop", 1, number)):
                print(one.seq, one.id, flush=True)

asyncio.run(main())
"""


def test_after_kill_9_everything_that_was_acknowledged_is_there(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    acknowledged: dict[int, str] = {}
    instances: set[str] = set()
    for kill in range(4):
        child = subprocess.Popen(
            [sys.executable, "-c", LOOP, str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert child.stdout is not None
        instances.add(child.stdout.readline())
        lines = [child.stdout.readline() for _ in range(100 + 57 * kill)]
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.read().splitlines(keepends=True)
        child.wait()
        for line in lines:
            if line.endswith("\n"):
                seq, name = line.split()
                assert int(seq) not in acknowledged
                acknowledged[int(seq)] = name
    connection = sqlite3.connect(path)
    there = dict(connection.execute("SELECT seq, id FROM event").fetchall())
    row = connection.execute("SELECT position FROM saved").fetchone()[0]
    owed = connection.execute("SELECT COUNT(*) FROM delivery").fetchone()[0]
    connection.close()
    assert sound(path)
    assert len(acknowledged) > 700
    assert len(instances) == 1
    assert {seq: there.get(seq) for seq in acknowledged} == acknowledged
    # One transaction: events, what is owed for them and the position agree to the last one.
    assert sorted(there) == list(range(1, len(there) + 1))
    assert [int(name, 16) for _, name in sorted(there.items())] == list(range(len(there)))
    assert row == owed == len(there)
