"""`gridtop tui`: the monitor on the screen; what `gridtop` does when it has a terminal."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from gridtop.commands.options import chosen_configuration, monitor_options
from gridtop.errors import Exit, SourceError

if TYPE_CHECKING:
    from gridtop.client import Client
    from gridtop.config import Configuration


@click.command("tui")
@monitor_options
@click.option("--ascii", "only_ascii", is_flag=True, help="Draw with ASCII characters only.")
@click.option("--mouse/--no-mouse", default=None, help="Use the mouse [not over SSH].")
@click.option("--theme", metavar="NAME", help="gridtop, ansi-dark, ansi-light or another theme of Textual.")
def command(only_ascii: bool, mouse: bool | None, theme: str | None, **chosen: Any) -> int:
    """Watch on the screen: four panels, alarms and the event log. Press ? for the keys.

    Colours and characters suit the terminal; NO_COLOR is respected. Keys and marks: docs/screen.md.
    """
    # Textual writes to standard error and reads standard input.
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError("the screen needs a terminal; `gridtop run` is the monitor without one")
    configuration = chosen_configuration(**chosen)
    # A warning printed by whoever would tear the picture; what matters is an event or a problem line.
    logging.getLogger().addHandler(logging.NullHandler())
    use_mouse = "SSH_CONNECTION" not in os.environ if mouse is None else mouse
    return asyncio.run(_show(configuration, only_ascii, use_mouse, theme))


async def _show(configuration: Configuration, only_ascii: bool, mouse: bool, theme: str | None) -> int:
    from . import glyphs
    from . import theme as themes
    from .app import GridtopApp

    characters = glyphs.ASCII if only_ascii else glyphs.suited(os.environ, sys.stderr.encoding)
    client = _client(configuration)
    try:
        app = GridtopApp(client, glyphs=characters, theme=theme or themes.suited(os.environ))
        await app.run_async(mouse=mouse)
    finally:
        await client.close()
    if app.model.failure:
        raise SourceError(app.model.failure)
    return app.return_code or Exit.OK


def _client(configuration: Configuration) -> Client:
    """The monitor in this process."""
    from gridtop.client import InProcessClient
    from gridtop.monitor import Monitor

    return InProcessClient(Monitor(configuration))
