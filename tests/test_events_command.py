"""`gridtop events`: what it shows of a journal, and how it fails."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gridtop.cli import main
from gridtop.errors import Exit
from tests.journals import NOW, event, events, journal


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str], str]:
    try:
        main(["events", *arguments])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    printed = capsys.readouterr()
    return code, printed.out.splitlines(), printed.err


def shown(capsys: pytest.CaptureFixture[str], path: Path, *arguments: str) -> list[int]:
    """The rows of the events that are shown."""
    code, lines, error = run(capsys, "--journal", str(path), "--json", *arguments)
    assert (code, error) == (0, "")
    return [json.loads(line)["row"] for line in lines]


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A journal with events of three hours."""
    now = NOW
    file = tmp_path / "j.db"
    async with journal(file, wall=lambda: now) as (kept, _):
        await kept.commit([event(1), event(2, severity="critical"), event(3, severity="info")])
        now += 3600
        await kept.commit([event(4, rule="frequency"), event(5, kind="data", transition="noticed")])
        now += 3600
        await kept.commit([event(6, rule="voltage_low", time=np.datetime64("2026-01-01T00:00:25.5", "ns"))])
    return file


async def test_a_line_has_both_times_and_what_happened(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, lines, _ = run(capsys, "--journal", str(path))
    assert code == 0
    assert lines[1] == "2026-11-18T11:06:40Z  critical  raised        voltage: event 2  [row 2]"
    assert lines[5].endswith("voltage_low: event 6  [2026-01-01T00:00:25.5Z, row 6]")
    assert len(lines) == 6


async def test_json_lines_are_the_events_as_they_were_published(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with journal(path) as (kept, _):
        published = [one.to_dict() for one in await kept.events()]
        # While the engine runs.
        _, lines, _ = run(capsys, "--journal", str(path), "--json")
    assert [json.loads(line) for line in lines] == published


async def test_options_choose(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    choices: dict[tuple[str, ...], list[int]] = {
        (): [1, 2, 3, 4, 5, 6],
        ("--severity", "critical"): [2],
        ("--severity", "warning"): [1, 2, 4, 5, 6],
        ("--alarm", "volt*"): [1, 2, 3, 5, 6],
        ("--alarm", "voltage", "--alarm", "freq*"): [1, 2, 3, 4, 5],
        ("--kind", "data"): [5],
        ("--kind", "data", "--kind", "alarm", "--severity", "critical"): [2],
        ("--since", "2026-11-18T12:06:40Z"): [4, 5, 6],
        ("--since", "2026-11-18T12:06Z", "--until", "2026-11-18T13:00"): [4, 5],
        ("--until", "2026-11-18T12:06:40Z"): [1, 2, 3],
        ("--limit", "2"): [5, 6],
        ("--limit", "0"): [],
        ("-n", "1", "--severity", "critical"): [2],
        ("--alarm", "VOLT*"): [],
    }
    for arguments, rows in choices.items():
        assert shown(capsys, path, *arguments) == rows, arguments


async def test_since_may_say_how_long_ago(
    path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gridtop.commands import events as command

    monkeypatch.setattr(command.time, "time", lambda: NOW + 7300)
    assert shown(capsys, path, "--since", "90m") == [4, 5, 6]
    assert shown(capsys, path, "--since", "2h", "--until", "30m") == [4, 5]


async def test_more_events_than_a_page_are_all_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with journal(tmp_path / "j.db") as (kept, _):
        await kept.commit(events(*range(1234)))
    assert shown(capsys, tmp_path / "j.db") == list(range(1234))


async def test_what_is_in_the_file_cannot_speak_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit(events(1, 2))
    connection = sqlite3.connect(path)
    evil = event(1, message="\x1b]0;owned\x07\nline\u202e", rule="\x1b[2J").to_dict() | {"wall": None}
    for seq, text in ((1, json.dumps(evil, ensure_ascii=False)), (2, "{")):
        connection.execute("UPDATE event SET body = ? WHERE seq = ?", (text, seq))
    connection.commit()
    connection.close()
    for arguments in ((), ("--json",)):
        code, lines, error = run(capsys, "--journal", str(path), *arguments)
        (line,) = lines
        assert code == 0
        assert not {"\x1b", "\x07", "\u202e"} & set(line)
        assert "event 2 is damaged" in error


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--journal", "none.db"], Exit.USAGE, "there is no journal none.db"),
        (["--journal", "notes.txt"], Exit.USAGE, "no journal of gridtop"),
        (["--since", "yesterday"], Exit.USAGE, "is no time"),
        (["--kind", "alarms"], Exit.USAGE, "is no kind of event"),
        (["--since", "1m", "--until", "1h"], Exit.USAGE, "not after --since"),
        (["--follow", "--until", "1h"], Exit.USAGE, "has no end"),
        (["-c", "none.yaml"], Exit.CONFIGURATION, "there is no such file"),
        (["-c", "bad.yaml"], Exit.CONFIGURATION, "something is wrong with journal"),
    ],
)
def test_mistakes_are_told_in_words(
    arguments: list[str],
    code: Exit,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("my notes " * 100)
    Path("bad.yaml").write_text("journal: {size: big}\n")
    got, lines, error = run(capsys, *arguments)
    assert (got, lines) == (code, [])
    assert words in error
    assert "Traceback" not in error


async def test_the_journal_is_that_of_the_configuration_else_the_usual_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("gridtop.db", "mine.db")):
        async with journal(tmp_path / name) as (kept, _):
            await kept.commit(events(number))
    Path("other.yaml").write_text("journal: {path: mine.db}\nsource: {type: nothing like that}\n")
    rows = [
        json.loads(run(capsys, "--json", *arguments)[1][0])["row"] for arguments in ([], ["-c", "other.yaml"])
    ]
    assert rows == [0, 1]
    Path("config.yaml").write_text("journal: {path: mine.db}\n")
    assert json.loads(run(capsys, "--json")[1][0])["row"] == 1


async def test_follow_shows_the_last_ten_and_then_what_comes_also_from_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    async with journal(path) as (kept, _):
        await kept.commit(events(*range(1, 21)))
        command = [sys.executable, "-m", "gridtop", "events", "--journal", str(path), "--follow", "--json"]
        reader = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
        )
        assert reader.stdout is not None
        try:
            rows = [json.loads(reader.stdout.readline())["row"] for _ in range(10)]
            assert rows == list(range(11, 21))
            await kept.commit(events(21, 22))
            assert [json.loads(reader.stdout.readline())["row"] for _ in range(2)] == [21, 22]
            path.unlink()
            await kept.tend()
            await kept.commit(events(23))
            assert json.loads(reader.stdout.readline())["row"] == 23
        finally:
            reader.terminate()
            reader.wait()
            reader.stdout.close()


async def test_a_journal_on_a_disk_that_nobody_can_write_is_read_all_the_same(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in path.parent.glob("j.db?*"):
        file.unlink()
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        assert len(shown(capsys, path)) == 6
    finally:
        path.parent.chmod(0o700)
