"""`gridtop tui` and `gridtop attach`: the screen, with an engine of its own or for one that runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from gridtop.commands.options import (
    STANDARD_INPUT,
    as_arguments,
    monitor_options,
    reads_standard_input,
)
from gridtop.errors import Exit, GridtopError, SourceError

if TYPE_CHECKING:
    from gridtop.engine import Engine
    from gridtop.remote import RemoteClient

    from .app import GridtopApp

Command = TypeVar("Command", bound=Callable[..., Any])

_GLANCE = 0.05
"""Seconds between looks at an engine that is starting."""


def _screen_options(command: Command) -> Command:
    for option in (
        click.option("--theme", metavar="NAME", help="gridtop, ansi-dark, ansi-light or another of Textual."),
        click.option("--mouse/--no-mouse", default=None, help="Use the mouse [not over SSH]."),
        click.option("--ascii", "only_ascii", is_flag=True, help="Draw with ASCII characters only."),
        click.option("--slow", is_flag=True, help="Paint once a second, for a slow line."),
    ):
        command = option(command)
    return command


@click.command("tui")
@monitor_options
@click.option("--keep", is_flag=True, help="Let the engine go on when the screen ends.")
@_screen_options
def command(
    keep: bool, only_ascii: bool, slow: bool, mouse: bool | None, theme: str | None, **chosen: Any
) -> int:
    """Watch on the screen: four panels, alarms and the event log. Press ? for the keys.

    The monitor runs in an engine process of its own, which ends with the screen unless --keep is given.
    With --source - the data come from standard input and the keys from the terminal.
    Colours and characters suit the terminal; NO_COLOR is respected. Keys and marks: docs/screen.md.
    """
    with _piped_in(chosen) as data:
        from gridtop import sockets
        from gridtop.engine import Engine
        from gridtop.remote import RemoteClient

        engine = Engine(as_arguments(**chosen), sockets.fresh(), keep=keep, stdin=data)
        engine.start()  # before Textual is imported: both take their time at once
        client = RemoteClient(engine.path, engine=engine, keep=keep)
        code = asyncio.run(_show(client, engine, only_ascii, slow, mouse, theme))
    if keep and not engine.ending:
        click.echo(f"gridtop: the engine goes on: gridtop attach --socket {engine.path.stem}", err=True)
    return code


@click.command("attach")
@click.option("--socket", "chosen", metavar="PATH", help="Which engine: the path or name of its socket.")
@click.option("--read-only", is_flag=True, help="Look only: no pause, no seek, no orders to alarms.")
@_screen_options
def attach(
    chosen: str | None, read_only: bool, only_ascii: bool, slow: bool, mouse: bool | None, theme: str | None
) -> int:
    """Watch an engine that runs; leaving does not end it (docs/attach.md)."""
    _require_terminal()
    from gridtop.remote import RemoteClient

    client = RemoteClient(chosen_socket(chosen), read_only=read_only)
    return asyncio.run(_show(client, None, only_ascii, slow, mouse, theme))


def chosen_socket(chosen: str | None) -> Path:
    """The socket of the engine that is meant; SourceError when there is none, or too many to choose from."""
    from gridtop import sockets

    if chosen is not None:
        path = sockets.resolved(chosen)
        if not sockets.answers(path):
            raise SourceError(f"no engine answers at {path}; gridtop run --socket {chosen} starts one")
        return path
    running = sockets.running()
    if len(running) == 1:
        return running[0]
    if not running:
        raise SourceError("no engine runs that a screen could attach to; gridtop run starts one")
    lines = "".join(f"\n  {path.stem:<12} {asyncio.run(_source_of(path))}" for path in running)
    raise SourceError(f"several engines run; choose one with --socket NAME:{lines}")


async def _source_of(path: Path) -> str:
    """What an engine watches, in words."""
    from gridtop.remote import RemoteClient
    from gridtop.text import clean

    client = RemoteClient(path)
    try:
        return clean((await asyncio.wait_for(client.hello(), 1.0)).source)
    except (GridtopError, OSError) as error:
        return f"({str(error) or 'starting'})"
    finally:
        await client.close()


@contextlib.contextmanager
def _piped_in(chosen: Mapping[str, Any]) -> Iterator[int | None]:
    """The data on standard input, if they are the source: keys come from the terminal then.

    It is open until the screen ends, for an engine that is started again; then whoever writes into it hears
    that nobody reads any more. UsageError when there is no terminal.
    """
    if _is_terminal(sys.stdin):
        if chosen["recording"] == STANDARD_INPUT:
            raise click.UsageError(
                "--source - reads what another program writes, and nothing is piped in here; "
                "PROGRAM | gridtop --source -"
            )
        _require_terminal()
        yield None
    elif sys.stdin is not None and _is_terminal(sys.stderr) and reads_standard_input(**chosen):
        from gridtop import keyboard

        with keyboard.beside_data() as data:
            yield data
    else:
        _require_terminal()
        yield None


def _require_terminal() -> None:
    # Textual writes to standard error and reads standard input.
    if not (_is_terminal(sys.stdin) and _is_terminal(sys.stderr)):
        raise click.UsageError("the screen needs a terminal; `gridtop run` is the monitor without one")


def _is_terminal(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


async def _show(
    client: RemoteClient,
    engine: Engine | None,
    only_ascii: bool,
    slow: bool,
    mouse: bool | None,
    theme: str | None,
) -> int:
    from . import profile as profiles
    from .app import GridtopApp

    # A warning printed by whoever would tear the picture; what matters is an event or a problem line.
    logging.getLogger().addHandler(logging.NullHandler())
    profile = profiles.suited(
        os.environ, sys.stderr.encoding, only_ascii=only_ascii, theme_name=theme, mouse=mouse, slow=slow
    )
    app = GridtopApp(client, profile)
    watching = asyncio.create_task(_leave_when_it_cannot_start(app, engine))
    try:
        await app.run_async(mouse=profile.mouse)
    finally:
        watching.cancel()
        refused = engine is not None and engine.ending and not engine.ready
        await client.close()
    if engine is not None and refused:
        raise engine.failure()
    if app.model.failure:
        raise SourceError(app.model.failure)
    return app.return_code or Exit.OK


async def _leave_when_it_cannot_start(app: GridtopApp, engine: Engine | None) -> None:
    """Close the screen when its engine refuses to start: there is nothing to show but its words."""
    while engine is not None and not engine.ready:
        if engine.ending:
            app.exit()
            return
        await asyncio.sleep(_GLANCE)
