"""What the screen brings to gridtop: the commands `tui` and `attach`."""

from __future__ import annotations

from collections.abc import Iterable

from gridtop.api import CommandSpec, hookimpl


@hookimpl
def gridtop_commands() -> Iterable[CommandSpec]:
    """The commands that open the screen."""
    return [
        CommandSpec("tui", "gridtop.tui.command:command", "the monitor on the screen"),
        CommandSpec("attach", "gridtop.tui.command:attach", "the screen of an engine that runs"),
    ]
