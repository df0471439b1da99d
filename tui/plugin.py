"""What the screen brings to gridtop: the `tui` command."""

from __future__ import annotations

from collections.abc import Iterable

from gridtop.api import CommandSpec, hookimpl


@hookimpl
def gridtop_commands() -> Iterable[CommandSpec]:
    """The command that opens the screen."""
    return [CommandSpec("tui", "gridtop.tui.command:command", "the monitor on the screen")]
