"""Options that several commands share, and what they choose: a configuration, a stretch of a recording."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    import numpy as np

    from gridtop.config import Configuration
    from gridtop.recordings import Recording
    from gridtop.recordings.stretches import Stretch

Command = TypeVar("Command", bound=Callable[..., Any])
Rows = tuple[int, int | None]
"""The first row, and the first one left out: None for all to the end."""
ALL_ROWS: Rows = (0, None)
STANDARD_INPUT = Path("-")
READING_LINES = 'source={type: lines, path: "-"}'
"""The setting that has CSV or JSON lines read from standard input as they come."""


def duration(context: click.Context, parameter: click.Parameter, value: str | None) -> timedelta | None:
    """The callback of an option that takes a duration: `90s`, `5m`, `1h`."""
    from gridtop.units import parse_duration

    try:
        return None if value is None else parse_duration(value)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error)) from None


_CONFIG = click.option(
    "-c",
    "--config",
    "config",
    type=click.Path(path_type=Path),
    help="Configuration file [./config.yaml, else the shipped one].",
)
_SOURCE = (
    click.option(
        "--source",
        "recording",
        type=click.Path(path_type=Path),
        help="Replay this recording instead of the configured source; - reads lines from standard input.",
    ),
    click.option("--speed", metavar="FACTOR", help="Times real time: 0.1 to 1000, or max."),
)
_SETTINGS = (
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
    return _with(command, (_CONFIG, *_SOURCE, *_SETTINGS))


def configuration_options(command: Command) -> Command:
    """The same without those that say what is replayed, for commands that are given recordings."""
    return _with(command, (_CONFIG, *_SETTINGS))


def _with(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    for option in reversed(options):
        command = option(command)
    return command


def _rows(context: click.Context, parameter: click.Parameter, value: str | None) -> Rows:
    if value is None:
        return ALL_ROWS
    first, colon, last = value.partition(":")
    if not colon or not all(part == "" or part.isdecimal() for part in (first, last)):
        raise click.BadParameter(f"{value!r} is no range of rows; write 100:200, 100: or :200")
    start, stop = int(first or 0), int(last) if last else None
    if stop is not None and stop <= start:
        raise click.BadParameter(f"{value!r} holds no row: the second number is the first row left out")
    return start, stop


_STRETCH = (
    click.option("--from", "begin", metavar="TIME", help="ISO 8601 in UTC, or since the start: 12s."),
    click.option("--to", "end", metavar="TIME", help="The same; frames from here on are left out."),
    click.option(
        "--rows", metavar="A:B", callback=_rows, help="Rows A to B - 1, counted from 0 as in events."
    ),
)


def stretch_options(command: Command) -> Command:
    """Add the options that choose frames of a recording; `chosen_stretch` reads them."""
    for option in reversed(_STRETCH):
        command = option(command)
    return command


def chosen_stretch(recording: Recording, begin: str | None, end: str | None, rows: Rows) -> Stretch:
    """The frames that the options ask for; click's errors say what is wrong with them."""
    from gridtop.recordings.stretches import Stretch

    first = _moment("--from", begin, recording) if begin is not None else None
    stop = _moment("--to", end, recording) if end is not None else None
    if first is not None and stop is not None and stop <= first:
        raise click.UsageError("--to is not after --from")
    return Stretch(*rows, first, stop)


def _moment(option: str, text: str, recording: Recording) -> np.datetime64:
    """A moment from ISO 8601, or so long after the first frame."""
    import numpy as np

    from gridtop.recordings.timestamps import times_from_text
    from gridtop.units import parse_duration

    try:
        since = parse_duration(text)
    except ValueError:
        moment: np.datetime64 = times_from_text([text], "iso")[0]
        if np.isnat(moment):
            raise click.BadParameter(
                f"{text!r} is no time; write 2026-01-01T12:00:00 (UTC), or 12s since the start",
                param_hint=option,
            ) from None
        if recording.channels.clock == "row":
            raise click.BadParameter(
                "the recording has no times; use --rows, or a time since the start such as 12s",
                param_hint=option,
            ) from None
        return moment
    first = recording.extent.first if recording.extent is not None else next(recording.blocks()).time[0]
    since_first: np.datetime64 = first + np.timedelta64(round(since.total_seconds() * 1e9), "ns")
    return since_first


def open_configured(recording: Path, configuration: Configuration) -> Recording:
    """A recording, read as a configuration that replays it says; SourceError when it cannot be."""
    from gridtop.recordings import open_recording

    settings: Any = configuration.source.config
    return open_recording(
        recording,
        configuration.channels,
        settings.rate,
        phasor_rate=settings.phasor_rate,
        waveform=settings.waveform,
        columns=settings.columns,
    )


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


def reads_standard_input(
    config: Path | None, recording: Path | None, overrides: Sequence[str] = (), **_: Any
) -> bool:
    """Whether the options, or the configuration they choose, make standard input the source.

    ConfigurationError when the file cannot be read; other mistakes in it are not looked for.
    """
    if recording is not None:
        return recording == STANDARD_INPUT
    from gridtop import documents
    from gridtop.config import default_path

    document = documents.read(config or default_path(), os.environ)
    for override in overrides:
        document = document.overridden(override, os.environ)
    joined = document.get(("source", "sources"))
    sources = [document.get(("source",)), *(joined.values() if isinstance(joined, dict) else ())]
    return any(
        isinstance(source, dict) and source.get("type") == "lines" and source.get("path", "-") == "-"
        for source in sources
    )


def standard_input_is_source(arguments: Sequence[str]) -> bool:
    """The same for arguments of which the command is not known yet; options of others are not looked at.

    Raises what `reads_standard_input` raises, and click's errors.
    """

    @click.command(
        add_help_option=False,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    @monitor_options
    def command(**_: Any) -> None:
        pass

    return reads_standard_input(**command.make_context("gridtop", list(arguments)).params)


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
    piped = recording == STANDARD_INPUT
    if piped:
        recording, overrides = None, (READING_LINES, *overrides)
    return load(
        config,
        overrides=overrides,
        recording=recording,
        plugin_files=plugins,
        environment=os.environ,
        other_source=piped,
    )
