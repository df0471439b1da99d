"""`gridtop config`: check a configuration, show what is in force, print its schema."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gridtop.config import Configuration, default_path, load
from gridtop.errors import Exit
from gridtop.problems import InvalidConfiguration, Problem, dotted


def _which_configuration(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which configuration is meant."""
    file = click.option(
        "-c",
        "--config",
        "path",
        type=click.Path(path_type=Path),
        help="The configuration; without it ./config.yaml, else the one that comes with gridtop.",
    )
    overrides = click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="PATH=VALUE",
        help="Override one setting; may be repeated.",
    )
    return file(overrides(command))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look at the configuration."""


@command.command()
@_which_configuration
@click.option(
    "--format", "style", type=click.Choice(["text", "json", "github"]), default="text", show_default=True
)
def check(path: Path | None, overrides: tuple[str, ...], style: str) -> int:
    """Report every mistake as file:line:column. Nothing is opened, no network is used.

    Exit status 0 when there is none, 78 otherwise.
    """
    path = path or default_path()
    try:
        configuration = load(path, overrides=overrides, environment=os.environ)
    except InvalidConfiguration as error:
        _report(error, style)
        return Exit.CONFIGURATION
    click.echo("[]" if style == "json" else f"{path}: fine ({_summary(configuration)})")
    return Exit.OK


@command.command()
@_which_configuration
def show(path: Path | None, overrides: tuple[str, ...]) -> None:
    """Print the settings in force as YAML: defaults filled in, secrets and environment variables as ***."""
    from gridtop.resolved import as_yaml

    click.echo(as_yaml(load(path, overrides=overrides, environment=os.environ)), nl=False)


@command.command()
def schema() -> None:
    """Print the JSON Schema of config.yaml, with the settings of every installed plugin."""
    from gridtop.registry import discover
    from gridtop.schema import json_schema

    whole = json_schema(discover(), leave_out=lambda problem: click.echo(f"left out: {problem}", err=True))
    click.echo(json.dumps(whole, indent=2, ensure_ascii=False))


def _summary(configuration: Configuration) -> str:
    counts = {
        "limit": sum(limit.enabled for limit in configuration.limits.values()),
        "detector": len(configuration.detectors),
        "sink": len(configuration.sinks),
    }
    return ", ".join(f"{count} {noun}{'s' * (count != 1)}" for noun, count in counts.items())


def _report(error: InvalidConfiguration, style: str) -> None:
    match style:
        case "json":
            click.echo(
                json.dumps([_as_dict(problem) for problem in error.problems], indent=2, ensure_ascii=False)
            )
        case "github":
            for problem in error.problems:
                click.echo(_github(problem))
        case _:
            click.echo(error.listing())


def _as_dict(problem: Problem) -> dict[str, str | int]:
    place = problem.place
    return {
        "file": place.text.name,
        "line": place.line,
        "column": place.column,
        "path": dotted(problem.keys),
        "message": problem.words,
    }


def _github(problem: Problem) -> str:
    """A workflow command of GitHub Actions, which marks the line in the pull request."""
    place = problem.place
    file = place.text.name.replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    message = ": ".join(part for part in (dotted(problem.keys), problem.words) if part).replace("%", "%25")
    where = f",line={place.line},col={place.column}" if place.line else ""
    return f"::error file={file}{where}::{message}"
