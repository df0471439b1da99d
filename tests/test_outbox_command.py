"""`gridtop outbox`: what is owed, what is dead, and what can be done about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gridtop.cli import main
from gridtop.subscriptions import Subscription
from tests.journals import NOW, event, journal

SINKS = {"mail": Subscription(), "pager": Subscription(severity="critical")}


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A journal with four events: 1 is dead for mail, 2 is put off, 3 and 4 wait; pager is owed 4."""
    async with journal(tmp_path / "gridtop.db", SINKS) as (kept, _):
        await kept.commit([event(i, str(i)) for i in (1, 2, 3)])
        await kept.commit([event(4, "4", severity="critical", channel="R1\x1b[2J")])
        await kept.buried("mail", [1], "550 no such \x1b[2J user")
        await kept.postponed("mail", [2], NOW + 100, "timed out")
    return tmp_path / "gridtop.db"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    try:
        main(["outbox", *arguments])
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def listed(capsys: pytest.CaptureFixture[str], path: Path, *more: str) -> list[tuple[str, int, str, int]]:
    _, out, _ = run(capsys, "ls", "--json", "--journal", str(path), *more)
    rows = [json.loads(line) for line in out.splitlines()]
    return [(row["sink"], row["seq"], row["state"], row["tries"]) for row in rows]


def test_ls_shows_what_is_owed_to_whom_and_why_not_yet(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "ls", "--journal", str(path))
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["SEQ", "SINK", "STATE", "TRIES", "DUE", "EVENT", "REASON"]
    assert lines[1].split()[:5] == ["1", "mail", "dead", "1", "-"]
    assert "550 no such" in lines[1]
    assert lines[2].split()[:4] == ["2", "mail", "waiting", "1"]
    assert "timed out" in lines[2]
    assert lines[-2].startswith("mail: 3 waiting, 1 dead letter; the oldest is from 2026-")
    assert lines[-1].startswith("pager: 1 waiting, 0 dead letters; ")
    assert "\x1b" not in out


def test_ls_chooses_by_sink_by_number_and_dead_ones(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everything = [("mail", 1, "dead", 1), ("mail", 2, "waiting", 1), ("mail", 3, "waiting", 0)]
    assert listed(capsys, path) == [*everything, ("mail", 4, "waiting", 0), ("pager", 4, "waiting", 0)]
    assert listed(capsys, path, "--sink", "pager") == [("pager", 4, "waiting", 0)]
    assert listed(capsys, path, "--dead") == everything[:1]
    assert listed(capsys, path, "2", "4", "--sink", "mail") == [
        ("mail", 2, "waiting", 1),
        ("mail", 4, "waiting", 0),
    ]


def test_the_json_lines_hold_the_event_and_nothing_that_a_terminal_obeys(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(capsys, "ls", "--json", "--journal", str(path), "4", "--sink", "pager")
    assert json.loads(out)["event"]["severity"] == "critical"
    assert out.isascii()
    assert out.strip().isprintable()


def test_retry_revives_dead_letters_and_leaves_waiting_ones(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "retry", "--journal", str(path), "--sink", "mail")
    assert (code, out) == (0, "due now: 1 dead letter, 0 that waited for the next attempt\n")
    assert listed(capsys, path, "1", "2") == [("mail", 1, "waiting", 0), ("mail", 2, "waiting", 1)]
    assert "  now  " in run(capsys, "ls", "--journal", str(path), "1")[1]


def test_retry_makes_what_waits_due_now_when_it_is_named_or_all_is_meant(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(capsys, "retry", "--journal", str(path), "2")[1].startswith("due now: 0 dead letters, 1 that")
    assert "  now  " in run(capsys, "ls", "--journal", str(path), "2")[1]
    assert run(capsys, "retry", "--all", "--journal", str(path))[1].startswith(
        "due now: 1 dead letter, 1 that"
    )
    assert run(capsys, "retry", "--dead", "--journal", str(path), "2")[1].startswith("due now: 0 dead")


def test_drop_wants_to_know_what(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "drop", "--journal", str(path))
    assert code == 2
    assert "--dead, --all, or the numbers" in err
    assert run(capsys, "drop", "--dead", "--all", "--journal", str(path))[0] == 2
    assert len(listed(capsys, path)) == 5


@pytest.mark.parametrize(
    ("arguments", "said", "left"),
    [
        (["--dead"], "dropped: 1 dead letter, 0 that were to be delivered\n", 4),
        (["4"], "dropped: 0 dead letters, 2 that were to be delivered\n", 3),
        (["1", "4", "--sink", "mail"], "dropped: 1 dead letter, 1 that were to be delivered\n", 3),
        (["1", "2", "--dead"], "dropped: 1 dead letter, 0 that were to be delivered\n", 4),
        (["--all"], "dropped: 1 dead letter, 4 that were to be delivered\n", 0),
    ],
)
def test_drop_says_what_it_did(
    path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str, left: int
) -> None:
    assert run(capsys, "drop", "--journal", str(path), *arguments)[:2] == (0, said)
    assert len(listed(capsys, path)) == left


def test_an_empty_outbox_is_told_in_words(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "drop", "--all", "--journal", str(path))
    assert run(capsys, "ls", "--journal", str(path))[1] == "nothing is owed\n"
    assert run(capsys, "ls", "--dead", "--journal", str(path))[1] == "no dead letters\n"


def test_the_journal_is_that_of_the_configuration(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path.rename(tmp_path / "other.db")
    (tmp_path / "config.yaml").write_text("journal: {path: other.db}\n")
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "ls")[1].startswith("SEQ")
    assert run(capsys, "ls", "-c", "config.yaml")[1].startswith("SEQ")
    code, _, err = run(capsys, "ls", "--journal", "none.db")
    assert code == 2
    assert "there is no journal none.db" in err
