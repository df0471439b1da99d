"""`gridtop outbox`: what sinks are owed, dead letters, and what to do with them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gridtop.text import clean

if TYPE_CHECKING:
    from gridtop.journal.letters import Letter

_Command = TypeVar("_Command", bound=Callable[..., Any])

_LISTED = 1000
"""Letters that are listed at most, unless some are asked for by number."""

_NO_LIMIT = 2**31


def _choosing(command: _Command) -> _Command:
    """The options that say which journal and which letters."""
    for option in (
        click.argument("seqs", metavar="[SEQ]...", nargs=-1, type=click.IntRange(min=1)),
        click.option("--sink", metavar="NAME", help="Of this sink only."),
        click.option(
            "-c",
            "--config",
            type=click.Path(path_type=Path),
            help="The journal of this configuration [./config.yaml, else the shipped one].",
        ),
        click.option(
            "--journal",
            type=click.Path(path_type=Path),
            help="This file [journal.path, else ./gridtop.db].",
        ),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look at what sinks are owed, try it again, or drop it; an engine may be running.

    An event that a sink never took is a dead letter: it is kept, but not tried any more (docs/delivery.md).
    """


@command.command("ls")
@_choosing
@click.option("--dead", is_flag=True, help="Dead letters only.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines.")
def list_letters(
    journal: Path | None,
    config: Path | None,
    sink: str | None,
    seqs: Sequence[int],
    dead: bool,
    as_json: bool,
) -> None:
    """What is owed and what is dead, the oldest event first: all, or the events with the numbers SEQ."""
    from gridtop.journal.letters import accounts, letters

    path = _journal(journal, config)
    found = letters(path, sink, dead=True if dead else None, limit=_NO_LIMIT if seqs else _LISTED)
    chosen = [letter for letter in found if not seqs or letter.event.seq in seqs]
    if as_json:
        for letter in chosen:
            click.echo(_as_json(letter))
        return
    for line in _table(chosen):
        click.echo(line)
    for account in accounts(path):
        if sink in (None, account.sink):
            click.echo(
                f"{clean(account.sink)}: {account.waiting} waiting, {_dead_letters(account.dead)}; "
                f"the oldest is from {_moment(account.oldest)}"
            )
    if len(found) == _LISTED and not seqs:
        click.echo(f"only the oldest {_LISTED} are listed; --sink and SEQ choose others")
    if not chosen:
        click.echo("no dead letters" if dead else "nothing is owed")


@command.command()
@_choosing
@click.option("--dead", is_flag=True, help="Dead letters only, also of those chosen by SEQ.")
@click.option("--all", "all_of_them", is_flag=True, help="Also what waits for its next attempt.")
def retry(
    journal: Path | None,
    config: Path | None,
    sink: str | None,
    seqs: Sequence[int],
    dead: bool,
    all_of_them: bool,
) -> None:
    """Make all dead letters due now, or the events with the numbers SEQ, dead or waiting.

    A running engine tries them within a few seconds, else the next one does.
    """
    from gridtop.journal.letters import retry as revive

    _one_of(dead, all_of_them)
    path, numbers = _journal(journal, config), seqs or None
    waiting = revive(path, sink, numbers, waiting=True) if all_of_them or (seqs and not dead) else 0
    revived = revive(path, sink, numbers)
    click.echo(f"due now: {_dead_letters(revived)}, {waiting} that waited for the next attempt")


@command.command()
@_choosing
@click.option("--dead", is_flag=True, help="Dead letters only.")
@click.option("--all", "all_of_them", is_flag=True, help="Also what is still to be delivered.")
def drop(
    journal: Path | None,
    config: Path | None,
    sink: str | None,
    seqs: Sequence[int],
    dead: bool,
    all_of_them: bool,
) -> None:
    """Forget that something is owed: --dead letters, --all, or the events with the numbers SEQ.

    The events stay in the journal (gridtop events).
    """
    from gridtop.journal.letters import drop as forget

    _one_of(dead, all_of_them)
    if not (dead or all_of_them or seqs):
        raise click.UsageError("say what to drop: --dead, --all, or the numbers that gridtop outbox ls shows")
    path, numbers = _journal(journal, config), seqs or None
    dropped = forget(path, sink, numbers)
    waiting = 0 if dead else forget(path, sink, numbers, waiting=True)
    click.echo(f"dropped: {_dead_letters(dropped)}, {waiting} that were to be delivered")


def _one_of(dead: bool, all_of_them: bool) -> None:
    if dead and all_of_them:
        raise click.UsageError("--dead and --all contradict each other")


def _journal(journal: Path | None, config: Path | None) -> Path:
    from gridtop.commands.events import configured_journal

    return journal if journal is not None else configured_journal(config)


def _as_json(letter: Letter) -> str:
    """One line of ASCII, so that nothing in it is obeyed by a terminal."""
    return json.dumps(
        {
            "sink": letter.sink,
            "seq": letter.event.seq,
            "state": "dead" if letter.dead else "waiting",
            "tries": letter.tries,
            "due": None if letter.dead else letter.due,
            "reason": letter.reason,
            "event": letter.event.to_dict(),
        }
    )


def _table(letters: Sequence[Letter]) -> Iterator[str]:
    if not letters:
        return
    rows = [("SEQ", "SINK", "STATE", "TRIES", "DUE", "EVENT", "REASON")]
    for letter in letters:
        event = letter.event
        what = f"{event.rule} {event.channel} {event.transition}" if event.channel else event.rule
        rows.append(
            (
                str(event.seq),
                clean(letter.sink),
                "dead" if letter.dead else "waiting",
                str(letter.tries),
                "-" if letter.dead else _moment(letter.due),
                clean(what, 48),
                clean(letter.reason, 80) or "-",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()
    yield ""


def _moment(wall: float) -> str:
    """Seconds since 1970 as a time in UTC; 0 is what was made due by hand."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall)) if wall else "now"


def _dead_letters(number: int) -> str:
    return f"{number} dead letter{'s' * (number != 1)}"
