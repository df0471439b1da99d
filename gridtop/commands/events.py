"""`gridtop events`: what the journal holds, while an engine writes it or afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from gridtop.errors import ConfigurationError
from gridtop.text import clean

if TYPE_CHECKING:
    from gridtop.events import Event
    from gridtop.journal.reading import Choice, Reader

_USUAL = Path("gridtop.db")

_GLANCE = 0.5
"""Seconds between looks at a journal that is followed."""

_TAIL = 10
"""Events shown before those that are to come."""

_LONGEST_LINE = 1000


def _moment(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Seconds since 1970 from a time, or from how long ago it was."""
    import numpy as np

    from gridtop.recordings.timestamps import times_from_text
    from gridtop.units import parse_duration

    if value is None:
        return None
    try:
        return time.time() - parse_duration(value).total_seconds()
    except ValueError:
        moment = times_from_text([value], "iso")[0]
    if np.isnat(moment):
        raise click.BadParameter(
            f"{value!r} is no time; write 2026-11-22T10:00Z (UTC), or how long ago: 1h"
        ) from None
    return float(moment.astype("datetime64[us]").astype(np.int64)) / 1e6


def _kind(context: click.Context, parameter: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    from gridtop.events import Kind

    for kind in value:
        if kind not in get_args(Kind):
            raise click.BadParameter(f"{kind!r} is no kind of event: {', '.join(get_args(Kind))}")
    return tuple(value)


@click.command("events")
@click.option(
    "--journal", type=click.Path(path_type=Path), help="This file [journal.path, else ./gridtop.db]."
)
@click.option(
    "-c",
    "--config",
    type=click.Path(path_type=Path),
    help="The journal of this configuration [./config.yaml, else the shipped one].",
)
@click.option(
    "--since", metavar="TIME", callback=_moment, help="Published at 2026-11-22T10:00Z or later, or 1h ago."
)
@click.option("--until", metavar="TIME", callback=_moment, help="Published before then.")
@click.option("--severity", type=click.Choice(["info", "warning", "critical"]), help="At least this severe.")
@click.option("--alarm", "rules", metavar="GLOB", multiple=True, help="Of rules like this; may be repeated.")
@click.option(
    "--kind", "kinds", metavar="KIND", multiple=True, callback=_kind, help="Of this kind; may be repeated."
)
@click.option("-n", "--limit", type=click.IntRange(min=0), metavar="N", help="The newest N of them.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until interrupted.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines (docs/events.md).")
def command(
    journal: Path | None,
    config: Path | None,
    since: float | None,
    until: float | None,
    severity: str | None,
    rules: tuple[str, ...],
    kinds: tuple[str, ...],
    limit: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Show what is in the journal, the oldest event first; an engine may be writing it.

    --since and --until go by when events were published: in a replay that is not when they were measured.
    With --follow alone it begins with the last ten.
    """
    from gridtop.journal.reading import Choice, Reader

    if follow and until is not None:
        raise click.UsageError("--follow has no end, --until is one")
    if since is not None and until is not None and until <= since:
        raise click.UsageError("--until is not after --since")
    path = journal if journal is not None else configured_journal(config)
    choice = Choice(since, until, severity or "info", rules, kinds)  # type: ignore[arg-type]
    show = _as_json if as_json else _as_line
    with Reader(path) as reader:
        if limit is None and follow and since is None:
            limit = _TAIL
        after = 0 if limit is None else reader.start_of_last(limit, choice)
        after = _print(reader, after, choice, show)
    if follow:
        _follow(path, after, choice, show)


def _follow(path: Path, after: int, choice: Choice, show: Callable[[Event], str]) -> None:
    """Print what comes, also when the engine begins another file in the place of a damaged one."""
    from gridtop.journal.reading import Reader

    reader = Reader(path)
    try:
        while True:
            after = _print(reader, after, choice, show)
            time.sleep(_GLANCE)
            if reader.replaced:
                reader.close()
                reader = Reader(path)
                after = min(after, reader.newest)
    finally:
        reader.close()


def _print(reader: Reader, after: int, choice: Choice, show: Callable[[Event], str]) -> int:
    """Print all chosen ones; the number of the last."""
    for seq, event in reader.all_events(after, choice):
        if event is None:
            click.echo(f"gridtop: event {seq} is damaged and cannot be read", err=True)
        else:
            click.echo(show(event))
        after = seq
    return after


def _as_json(event: Event) -> str:
    # Whatever the file holds: on a terminal one line stays one line, and says nothing to the terminal.
    line = event.to_json()
    return clean(line, len(line))


def _as_line(event: Event) -> str:
    from gridtop.events import iso_time

    wall = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event.wall))
    measured = iso_time(event.time)
    where = f"{measured}, row {event.row}" if measured else f"row {event.row}"
    line = f"{wall}  {event.severity:<8}  {event.transition:<12}  {event.rule}: {event.message}  [{where}]"
    return clean(line, _LONGEST_LINE)


def configured_journal(config: Path | None) -> Path:
    """The journal that a configuration names; of the rest nothing is looked at, and no plugin is loaded."""
    from pydantic import ValidationError

    from gridtop import documents
    from gridtop.config import default_path
    from gridtop.journal_settings import JournalSettings

    path = default_path() if config is None else config
    section = documents.read(path, os.environ).get(("journal",))
    try:
        settings = JournalSettings.model_validate(section or {})
    except ValidationError as error:
        raise ConfigurationError(
            f"{clean(str(path))}: something is wrong with journal: {error.errors()[0]['msg']}; see gridtop "
            "config check"
        ) from None
    return settings.path or _USUAL
