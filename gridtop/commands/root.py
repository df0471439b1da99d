"""The root of the command line: finds the subcommand, and turns failures into messages and exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import click

from gridtop import __version__
from gridtop.errors import Exit, GridtopError

_COMMANDS = {
    "config": "look at the configuration: check, show, schema",
    "evaluate": "what detectors and limits are worth on labelled recordings",
    "events": "what the journal holds: past alarms, and what happens now",
    "export": "write a recording, or part of it, as CSV, Parquet or COMTRADE",
    "inspect": "what a recording is, and the configuration that fits it",
    "models": "trained models: list, show, verify",
    "outbox": "what sinks are owed and dead letters: ls, retry, drop",
    "plugins": "what is installed and what went wrong with it",
    "probe": "look at a PMU: what it sends, how well, and what is wrong",
    "record": "record live data into a file",
    "run": "the monitor without a screen: JSON lines of events",
    "serve-pmu": "be a PMU: the simulated grid or a recording over C37.118, with faults on demand",
    "simulate": "make a recording of a simulated grid",
    "train": "teach models from labelled recordings, and say what they are worth",
}
"""The built-in commands: each is `command` in the module of its name, with _ for -, in gridtop.commands."""


class _Commands(click.Group):
    """Finds built-in commands by name, and asks plugins only for names that are not built in."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({*_COMMANDS, *_from_plugins()})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name in _COMMANDS:
            command: click.Command = importlib.import_module(
                f"gridtop.commands.{name.replace('-', '_')}"
            ).command
            return command
        load = _from_plugins().get(name)
        return load() if load else None

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        from gridtop.registry import discover

        rows = {spec.name: spec.summary for spec in discover().commands()} | _COMMANDS
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows.items()))


def _from_plugins() -> dict[str, Any]:
    from gridtop.registry import discover

    registry = discover()
    return {spec.name: (lambda name=spec.name: registry.load_command(name)) for spec in registry.commands()}


@click.group(
    cls=_Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, "-V", "--version")
@click.pass_context
def root(context: click.Context) -> None:
    """top for the power grid: watch voltage, current, impedance and frequency, and what is wrong with them.

    Without a command: the screen when there is a terminal, else one headless pass over the configured
    recording.
    """


def _without_command(arguments: list[str]) -> list[str]:
    """What `gridtop` alone means: the screen, or where there is none, one quick headless pass."""
    # Standard error too: that is where the screen is written to.
    terminal = all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))
    if terminal and os.environ.get("TERM", "dumb") != "dumb" and _has_keys(arguments):
        return ["tui", *arguments]
    click.echo(
        "gridtop: no terminal here; running headless, once, as fast as possible (see gridtop run)", err=True
    )
    return ["run", "--until-end", "--no-serve", "--speed", "max", *arguments]


def _has_keys(arguments: list[str]) -> bool:
    """Whether keys can be read: from standard input or, where that is the data, from the terminal itself."""
    if sys.stdin is None:
        return False
    if sys.stdin.isatty():
        return True
    from gridtop import keyboard
    from gridtop.commands.options import standard_input_is_source

    try:
        return keyboard.reachable() and standard_input_is_source(arguments)
    except (click.ClickException, GridtopError):
        return False  # the headless pass says what is wrong


def run(arguments: list[str]) -> int:
    """Run the command line and give its exit status; a failure people can mend is one message."""
    if not arguments or (arguments[0].startswith("-") and arguments[0] not in ("-h", "--help")):
        arguments = _without_command(arguments)
    try:
        result = root.main(arguments, prog_name="gridtop", standalone_mode=False)
        return int(result) if isinstance(result, int) else Exit.OK
    except GridtopError as error:
        click.echo(f"gridtop: {error}", err=True)
        return error.code
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except (click.Abort, KeyboardInterrupt):
        return Exit.INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
