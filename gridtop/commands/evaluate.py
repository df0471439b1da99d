"""`gridtop evaluate`: what a configuration's detectors and limits are worth on labelled recordings."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gridtop.commands.options import chosen_configuration, configuration_options
from gridtop.commands.outputs import progress_bar, spare
from gridtop.errors import Exit, GridtopError
from gridtop.text import clean

if TYPE_CHECKING:
    from gridtop.config import Configuration
    from gridtop.evaluation.assessment import Assessment
    from gridtop.evaluation.judging import Judged
    from gridtop.evaluation.learned import Learning
    from gridtop.evaluation.learners import Plan
    from gridtop.evaluation.splits import Split
    from gridtop.evaluation.truth_sources import Labelled
    from gridtop.learning.card import ModelKind, Recipe
    from gridtop.training.datasets import Classes

_KINDS = ("random_forest", "extra_trees", "gradient_boosting", "isolation_forest", "autoencoder")


def _splits(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """The splits, the honest one first."""
    honest = [split for split in value if split != "rows"]
    if len(set(honest)) > 1:
        raise click.BadParameter(f"{' and '.join(dict.fromkeys(honest))} exclude each other: take one")
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
@click.option(
    "--train",
    "kinds",
    multiple=True,
    type=click.Choice(_KINDS),
    help="Teach such a model on some parts and judge it on the others; may be repeated.",
)
@click.option(
    "--features",
    "recipe",
    type=click.Choice(["transfer", "channels", "raw"]),
    help="What models that are taught look at.  [default: transfer]",
)
@click.option(
    "--classes",
    type=click.Choice(["binary", "multi"]),
    help="What they tell: whether there is an event, or which.  [default: binary]",
)
@click.option("--seed", type=click.IntRange(0), help="Same seed, same models.  [default: 1]")
@click.option(
    "--test",
    "tests",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="A recording that nothing is learned from, to test models on; may be repeated.",
)
@click.option(
    "--control/--no-control",
    default=None,
    help="Show the same models on simulated recordings, where they do transfer.  [default: with --test]",
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
    kinds: tuple[ModelKind, ...],
    recipe: Recipe | None,
    classes: Classes | None,
    seed: int | None,
    tests: tuple[Path, ...],
    control: bool | None,
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
    labels. Without RECORDING the configured one is judged. With --train also models are that learn from the
    recordings, each on parts of them that it was not taught.
    """
    _check_together(
        splits,
        kinds,
        {"features": recipe, "classes": classes, "seed": seed, "test": tests or None, "control": control},
    )
    written = [Path(json_file)] if json_file not in (None, "-") else []
    for path in [*written, *([html] if html else [])]:
        spare(force, path)
        if not path.parent.is_dir():
            raise GridtopError(f"there is no folder {path.parent}")
    if html is not None:
        from gridtop.evaluation.plots import require_matplotlib

        require_matplotlib()
    plan = None
    if kinds:
        from gridtop.evaluation.learners import Plan, require

        require(kinds)
        honest = splits[0] if splits and splits[0] != "rows" else None
        plan = Plan(
            tuple(dict.fromkeys(kinds)),
            recipe or "transfer",
            classes or "binary",
            1 if seed is None else seed,
            honest,
            "rows" in splits,
        )
    chosen = [name.strip() for name in (detectors or "").split(",") if name.strip()]
    quiet = [value.strip() for one in normal for value in one.split(",")]
    configurations, apart = (
        [
            _configured(
                chosen_configuration(config, recording, None, overrides, plugins, no_plugins), column, chosen
            )
            for recording in several
        ]
        for several in (recordings or (None,), tests)
    )
    both = {_path(one).resolve() for _, one in configurations} & {_path(one).resolve() for _, one in apart}
    if both:
        raise GridtopError(f"{clean(sorted(both)[0].name)} cannot be both learned from and tested on")
    for path in [*written, *([html] if html else [])]:
        if path.resolve() in {_path(one).resolve() for _, one in (*configurations, *apart)}:
            raise GridtopError(f"{path} is the recording itself; write to another name")
    truths = asyncio.run(_labelled([*configurations, *apart], column, quiet))[: len(configurations)]
    split = splits[0] if splits and splits[0] != "rows" else None
    if split:
        from gridtop.evaluation.assessment import folds_for

        folds_for(truths, split)  # what cannot be split is refused before the long work
    learning = None
    if plan is not None:
        data, test = ([_path(one) for _, one in several] for several in (configurations, apart))
        settings = {
            "config": config,
            "column": column,
            "normal": quiet,
            "overrides": overrides,
            "plugins": plugins,
        }
        learning = _learning(plan, data, test, bool(tests) if control is None else control, settings)
    assessment = asyncio.run(_assessed(truths, chosen, split, learning))
    _show(assessment, json_file, html)
    if "rows" in splits and not kinds:
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


def _check_together(
    splits: Sequence[Split], kinds: Sequence[ModelKind], of_models: Mapping[str, object]
) -> None:
    """Refuse what flatters, and options of models without any model."""
    if not kinds:
        for option, value in of_models.items():
            if value is not None:
                raise click.UsageError(
                    f"--{option} is for models that are taught here: say which with --train KIND"
                )
    if splits == ("rows",) and not (kinds and of_models["test"]):
        raise click.BadParameter(
            "rows alone flatters: with rows of one event on both sides, a detector recognises what it was "
            "taught. Ask for it beside an honest split: --split event --split rows",
            param_hint="--split",
        )


def _configured(
    configuration: Configuration, column: str | None, chosen: Sequence[str]
) -> tuple[str, Configuration]:
    """The name of the recording, and the configuration with only the chosen detectors and limits."""
    from dataclasses import replace

    from gridtop.evaluation.observing import only
    from gridtop.evaluation.truth_sources import LabelColumn

    if chosen:
        configuration = only(configuration, chosen)
    if column is not None:
        configuration = replace(configuration, channels=LabelColumn(configuration.channels, column))
    return clean(_path(configuration).name), configuration


def _path(configuration: Configuration) -> Path:
    return configuration.directory / str(
        getattr(configuration.source.config, "path", configuration.source.type)
    )


async def _labelled(
    configurations: Sequence[tuple[str, Configuration]], column: str | None, normal: Sequence[str]
) -> list[Labelled]:
    """All recordings with their truth."""
    from gridtop.evaluation.observing import survey
    from gridtop.evaluation.truth_sources import labelled

    return labelled([(name, one, await survey(one)) for name, one in configurations], column, normal)


async def _assessed(
    truths: Sequence[Labelled], chosen: Sequence[str], split: Split | None, learning: Learning | None
) -> Assessment:
    """The figures of everything that is configured, with those of what was taught."""
    from gridtop.evaluation.assessment import assess

    frames = sum(len(one.seconds) for one in truths)
    with progress_bar("frames", frames) as progress:
        watched = [await _watched(one, progress) for one in truths]
    return assess(watched, chosen, split, learning)


def _learning(
    plan: Plan, data: Sequence[Path], test: Sequence[Path], with_control: bool, settings: Mapping[str, Any]
) -> Learning:
    """Teach the models and judge them; GridtopError when none of them can be taught."""
    from gridtop.evaluation.learned import Learning
    from gridtop.evaluation.learners import learned, material, steps
    from gridtop.training.lessons import lessons

    with progress_bar("reading", len(data) + len(test)) as progress:
        read = lessons([*data, *test], **settings, progress=progress)
    taught, apart = ([one for one in read if one.path in paths] for paths in (data, test))
    with progress_bar("measuring", sum(len(one.seconds) for one in read)) as progress:
        found = material(plan, taught, apart, progress)
    several = []
    for kind in plan.kinds:
        with progress_bar(f"teaching {kind}", steps(plan, found)) as progress:
            several.append(learned(plan, kind, found, partial(progress, 1)))
    if not any(one.cross or one.test for one in several):
        raise GridtopError(f"{several[0].name}: {several[0].remarks[0]}")
    control = None
    if with_control:
        from gridtop.evaluation.controls import positive_control

        with progress_bar("positive control", len(plan.kinds)) as progress:
            control = positive_control(plan, found, partial(progress, 1))
    about = [("models taught here", text) for text in found.remarks]
    about += [(one.name, text) for one in several for text in one.remarks]
    about += [
        (f"{one.name}, control", text) for one in (control.learned if control else ()) for text in one.remarks
    ]
    return Learning(
        found.features,
        "a frame at a line" if found.data.chosen.scope == "line" else "a frame",
        found.split,
        tuple(several),
        tuple(one.name for one in apart),
        control,
        tuple(about),
    )


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
