"""`gridtop evaluate`: what a configuration's detectors and limits are worth on labelled recordings."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridtop.commands.options import chosen_configuration, configuration_options
from gridtop.commands.outputs import progress_bar, spare
from gridtop.errors import Exit, GridtopError

if TYPE_CHECKING:
    from gridtop.config import Configuration
    from gridtop.evaluation.assessment import Assessment
    from gridtop.evaluation.judging import Judged
    from gridtop.evaluation.splits import Split
    from gridtop.evaluation.truth_sources import Labelled


def _splits(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """The splits, the honest one first; rows alone are refused."""
    honest = [split for split in value if split != "rows"]
    if len(set(honest)) > 1:
        raise click.BadParameter(f"{' and '.join(dict.fromkeys(honest))} exclude each other: take one")
    if value and not honest:
        raise click.BadParameter(
            "rows alone flatters: with rows of one event on both sides, a detector recognises what it was "
            "taught. Ask for it beside an honest split: --split event --split rows"
        )
    return (*dict.fromkeys(honest), *(("rows",) if "rows" in value else ()))


@click.command("evaluate")
@click.argument("recordings", metavar="[RECORDING]...", nargs=-1, type=click.Path(path_type=Path))
@configuration_options
@click.option(
    "--labels", "column", metavar="COLUMN", help="Take the truth from this column of the recording."
)
@click.option(
    "--normal",
    multiple=True,
    metavar="VALUE[,VALUE]",
    help="Labels, or markers or kinds of listed events, that are normal operation; may be repeated.",
)
@click.option("--detectors", metavar="NAME[,NAME]", help="Judge only these detectors and limits.")
@click.option(
    "--split",
    "splits",
    multiple=True,
    callback=_splits,
    type=click.Choice(["event", "file", "time", "rows"]),
    help="Give the figures part by part; rows only beside another one.",
)
@click.option("--json", "json_file", metavar="FILE", help="Write everything as JSON; - is standard output.")
@click.option("--html", type=click.Path(path_type=Path), help="Write a report with plots, one file.")
@click.option("--list", "name_all", is_flag=True, help="Name every miss and every false alarm.")
@click.option("--force", is_flag=True, help="Overwrite what is there.")
def command(
    recordings: tuple[Path, ...],
    config: Path | None,
    column: str | None,
    normal: tuple[str, ...],
    detectors: str | None,
    splits: tuple[Split, ...],
    overrides: tuple[str, ...],
    plugins: tuple[Path, ...],
    no_plugins: bool,
    json_file: str | None,
    html: Path | None,
    name_all: bool,
    force: bool,
) -> int:
    """Say what detectors and limits are worth on recordings whose events are known (docs/evaluate.md).

    What is true is taken from the list of events beside a recording (NAME.events.json), or from a column of
    labels. Without RECORDING the configured one is judged.
    """
    written = [Path(json_file)] if json_file not in (None, "-") else []
    for path in [*written, *([html] if html else [])]:
        spare(force, path)
        if not path.parent.is_dir():
            raise GridtopError(f"there is no folder {path.parent}")
    if html is not None:
        from gridtop.evaluation.plots import require_matplotlib

        require_matplotlib()
    chosen = [name.strip() for name in (detectors or "").split(",") if name.strip()]
    quiet = [value.strip() for one in normal for value in one.split(",")]
    configurations = [
        _configured(
            chosen_configuration(config, recording, None, overrides, plugins, no_plugins), column, chosen
        )
        for recording in recordings or (None,)
    ]
    for path in [*written, *([html] if html else [])]:
        if path.resolve() in {_path(one).resolve() for _, one in configurations}:
            raise GridtopError(f"{path} is the recording itself; write to another name")
    assessment = asyncio.run(_assessed(configurations, column, quiet, chosen, splits))
    _show(assessment, json_file, html)
    if "rows" in splits and not assessment.cross:
        click.echo(
            "note: nothing was taught here, so that a split by rows has nothing to leak: it is left out",
            err=True,
        )
    if name_all:
        from gridtop.evaluation.listing import misses_and_false

        # With JSON on standard output, nothing else may be there.
        for line in misses_and_false(assessment):
            click.echo(line, err=json_file == "-")
    return Exit.OK


def _configured(
    configuration: Configuration, column: str | None, chosen: Sequence[str]
) -> tuple[str, Configuration]:
    """The name of the recording, and the configuration with only the chosen detectors and limits."""
    from dataclasses import replace

    from gridtop.evaluation.observing import only
    from gridtop.evaluation.truth_sources import LabelColumn
    from gridtop.text import clean

    if chosen:
        configuration = only(configuration, chosen)
    if column is not None:
        configuration = replace(configuration, channels=LabelColumn(configuration.channels, column))
    return clean(_path(configuration).name), configuration


def _path(configuration: Configuration) -> Path:
    return configuration.directory / str(
        getattr(configuration.source.config, "path", configuration.source.type)
    )


async def _assessed(
    configurations: Sequence[tuple[str, Configuration]],
    column: str | None,
    normal: Sequence[str],
    chosen: Sequence[str],
    splits: Sequence[Split],
) -> Assessment:
    from gridtop.evaluation.assessment import assess, folds_for
    from gridtop.evaluation.observing import survey
    from gridtop.evaluation.truth_sources import labelled

    surveyed = [(name, one, await survey(one)) for name, one in configurations]
    truths = labelled(surveyed, column, normal)
    if splits:
        folds_for(truths, splits[0])  # what cannot be split is refused before the long work
    frames = sum(len(one.seconds) for one in truths)
    with progress_bar("frames", frames) as progress:
        watched = [await _watched(one, progress) for one in truths]
    return assess(watched, chosen, splits[0] if splits else None)


async def _watched(one: Labelled, progress: Callable[[int], object]) -> Judged:
    from gridtop.evaluation.judging import judged
    from gridtop.evaluation.observing import observe

    return judged(one, await observe(one.configuration, one.name, one.survey, progress))


def _show(assessment: Assessment, json_file: str | None, html: Path | None) -> None:
    from gridtop.evaluation.document import as_dict
    from gridtop.evaluation.terminal import text

    if json_file is not None:
        document = json.dumps(as_dict(assessment), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        if json_file == "-":
            sys.stdout.write(document)
        else:
            _write(Path(json_file), document)
    if html is not None:
        from gridtop.evaluation.html import page

        _write(html, page(assessment))
    if json_file != "-":
        click.echo(text(assessment), nl=False)


def _write(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise GridtopError(f"{path}: {(error.strerror or str(error)).lower()}") from None
