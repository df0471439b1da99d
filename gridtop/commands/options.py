"""The options that the screen and the headless monitor share, and the configuration they choose."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from gridtop.config import Configuration

Command = TypeVar("Command", bound=Callable[..., Any])

_SHARED = (
    click.option(
        "-c",
        "--config",
        "config",
        type=click.Path(path_type=Path),
        help="Configuration file [./config.yaml, else the shipped one].",
    ),
    click.option(
        "--source",
        "recording",
        type=click.Path(path_type=Path),
        help="Replay this recording instead of the configured source.",
    ),
    click.option("--speed", metavar="FACTOR", help="Times real time: 0.1 to 1000, or max."),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="PATH=VALUE",
        help="Override one setting; may be repeated.",
    ),
    click.option(
        "-p",
        "--plugin",
        "plugins",
        multiple=True,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Load a plugin from this file; may be repeated.",
    ),
    click.option("--no-plugins", is_flag=True, help="Built-in plugins only."),
)


def monitor_options(command: Command) -> Command:
    """Add the shared options to a command."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


def as_arguments(
    config: Path | None,
    recording: Path | None,
    speed: str | None,
    overrides: Sequence[str],
    plugins: Sequence[Path],
    no_plugins: bool,
) -> list[str]:
    """The options again as arguments, for an engine that is started with them."""
    arguments = ["--no-plugins"] if no_plugins else []
    for option, value in (("--config", config), ("--source", recording), ("--speed", speed)):
        if value is not None:
            arguments += [option, str(value)]
    for override in overrides:
        arguments += ["--set", override]
    for plugin in plugins:
        arguments += ["--plugin", str(plugin)]
    return arguments


def chosen_configuration(
    config: Path | None,
    recording: Path | None,
    speed: str | None,
    overrides: Sequence[str],
    plugins: Sequence[Path],
    no_plugins: bool,
) -> Configuration:
    """The configuration that the options ask for; ConfigurationError with every mistake in it."""
    from gridtop.config import load

    if no_plugins:
        os.environ["GRIDTOP_NO_PLUGINS"] = "1"
    if speed is not None:
        overrides = (*overrides, f"source.speed={speed}")
    return load(
        config, overrides=overrides, recording=recording, plugin_files=plugins, environment=os.environ
    )
