"""`gridtop train`: teaches models from labelled recordings, and says honestly what they are worth."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from gridtop.commands.outputs import progress_bar
from gridtop.errors import Exit, GridtopError

if TYPE_CHECKING:
    from gridtop.evaluation.splits import Split
    from gridtop.learning.card import ModelCard, ModelKind, Recipe
    from gridtop.training.datasets import Classes, Dataset
    from gridtop.training.lessons import Lesson

_KINDS = ("random_forest", "extra_trees", "gradient_boosting", "isolation_forest", "autoencoder")
_SHORT = {"forest": "random_forest", "isolation": "isolation_forest"}
_DEFAULT = ("forest", "isolation", "autoencoder")
_LIBRARIES = ("sklearn", "onnx", "matplotlib")
_MOST_NAMED = 3


@dataclass(frozen=True)
class _Wanted:
    """What the options ask for."""

    models: dict[str, ModelKind]
    data: tuple[Path, ...]
    test: tuple[Path, ...]
    config: Path | None
    recipe: Recipe
    labels: str | None
    normal: tuple[str, ...]
    classes: Classes | Literal["operator"]
    split: Split | None
    channels: tuple[str, ...]
    quantities: tuple[str, ...]
    rows: int
    seed: int
    output: Path

    def command(self, name: str) -> str:
        """How to train the model again; of paths only the last part, which is all that others can use."""
        words = ["gridtop", "train", name, "--kind", self.models[name], "--data"]
        words += [path.name or "." for path in self.data[:_MOST_NAMED]]
        for option, value in (
            ("--features", self.recipe),
            ("--labels", self.labels),
            ("--classes", self.classes),
            ("--split", self.split),
            ("--config", self.config.name if self.config else None),
            ("--rows", str(self.rows)),
            ("--seed", str(self.seed)),
        ):
            words += [option, value] if value is not None else []
        for option, values in (
            ("--normal", self.normal),
            ("--channels", () if self.channels == ("*",) else self.channels),
            ("--quantities", self.quantities),
        ):
            words += [word for value in values for word in (option, value)]
        more = len(self.data) - _MOST_NAMED
        return shlex.join(words) + (f"  # and {more} recordings more" if more > 0 else "")


class _Many(click.Command):
    """Lets `--data A B C` take several values, as shells expand `hours/*.parquet`."""

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each further value."""
        spread: list[str] = []
        open_option = ""
        for word in args:
            if word in ("--data", "--test"):
                open_option = word
                continue
            if word.startswith("-"):
                open_option = ""
            spread += [open_option, word] if open_option else [word]
        return super().parse_args(context, spread)


@click.command("train", cls=_Many)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="FILE...",
    type=click.Path(path_type=Path),
    help="Recordings to learn from, or folders of them.",
)
@click.option("-c", "--config", type=click.Path(path_type=Path), help="What channels and site mean.")
@click.option("--kind", type=click.Choice(_KINDS), help="Kind of model, where the name does not say it.")
@click.option(
    "--features",
    "recipe",
    type=click.Choice(["transfer", "channels", "raw"]),
    default="transfer",
    show_default=True,
    help="What it looks at.",
)
@click.option(
    "--labels", metavar="COLUMN", help="Column that tells what happened, or events: the list beside."
)
@click.option("--normal", multiple=True, metavar="VALUE[,VALUE]", help="Labels or kinds that are no event.")
@click.option(
    "--classes",
    type=click.Choice(["operator", "binary", "multi"]),
    help="operator: what is going on, from event windows; binary: whether; multi: the labels.  "
    "[default: operator for the model forest where lists of events lie beside, else binary]",
)
@click.option(
    "--split",
    type=click.Choice(["event", "file", "time"]),
    help="What is held out to judge it.  [default: file, of one recording event]",
)
@click.option("--channels", multiple=True, metavar="GLOB", help="Only these channels (channels, raw).")
@click.option(
    "--quantities", multiple=True, metavar="GLOB", help="Derived quantities besides (channels, raw)."
)
@click.option(
    "--test",
    multiple=True,
    metavar="FILE...",
    type=click.Path(path_type=Path),
    help="Recordings that are only for testing the finished model.",
)
@click.option("--rows", type=click.IntRange(100), default=200_000, show_default=True, help="To learn from.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Same seed, same model.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("models"),
    show_default=True,
    help="Folder for the folders of models.",
)
@click.option("--force", is_flag=True, help="Replace models of the same names.")
def command(
    names: tuple[str, ...],
    data: tuple[Path, ...],
    config: Path | None,
    kind: str | None,
    recipe: Recipe,
    labels: str | None,
    normal: tuple[str, ...],
    classes: Classes | Literal["operator"] | None,
    split: Split | None,
    channels: tuple[str, ...],
    quantities: tuple[str, ...],
    test: tuple[Path, ...],
    rows: int,
    seed: int,
    output: Path,
    force: bool,
) -> int:
    """Teach models from labelled recordings and write them as folders (docs/training.md).

    A NAME of forest, isolation or autoencoder, or that of a kind, says what to make; any other needs --kind.
    Without names it is those three. What is held out to judge a model is whole recordings or events, never
    random rows; what those would pretend stands beside it.
    """
    models = _models(names, kind)
    _check_libraries(models.values())
    for name in models:
        if (output / name / "card.json").exists() and not force:
            raise GridtopError(f"{output / name} holds a model already; add --force to replace it")
    wanted = _Wanted(
        models=models,
        data=data,
        test=test,
        config=config,
        recipe=recipe,
        labels=labels,
        normal=tuple(value.strip() for one in normal for value in one.split(",")),
        classes=classes or _usual_classes(models, data, recipe, labels),
        split=split,
        channels=channels or ("*",),
        quantities=quantities,
        rows=rows,
        seed=seed,
        output=output,
    )
    _train(wanted)
    return Exit.OK


def _models(names: Sequence[str], kind: str | None) -> dict[str, Any]:
    """The kind of each model by name."""
    import re

    from gridtop.learning.card import NAME

    found: dict[str, str] = {}
    for name in names or ((kind,) if kind else _DEFAULT):
        known = _SHORT.get(name, name if name in _KINDS else None)
        if kind is None and known is None:
            raise click.UsageError(
                f"which kind of model is {name!r}? Say so with --kind {'|'.join(_KINDS)}, or name it forest, "
                "isolation or autoencoder"
            )
        if not re.fullmatch(NAME, name):
            raise click.UsageError(
                f"{name!r} is no name of a model: letters, digits, - and _, a letter first"
            )
        found[name] = kind or str(known)
    return found


def _check_libraries(kinds: Any) -> None:
    needed = [*_LIBRARIES, *(["tensorflow"] if "autoencoder" in kinds else [])]
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        raise GridtopError(f"training needs {', '.join(missing)}: pip install 'gridtop[train]'")


def _usual_classes(
    models: Mapping[str, str], data: Sequence[Path], recipe: str, labels: str | None
) -> Literal["operator", "binary"]:
    """Event windows where the lists of events say what happened on which line."""
    from gridtop.simulation.recording import events_path
    from gridtop.training.lessons import recordings_in

    if models.get("forest") != "random_forest" or recipe != "transfer" or labels not in (None, "events"):
        return "binary"
    return "operator" if all(events_path(path).is_file() for path in recordings_in(data)) else "binary"


def _train(wanted: _Wanted) -> None:
    recordings, test = _read(wanted)
    rest = dict(wanted.models)
    if wanted.classes == "operator":
        for name, kind in wanted.models.items():
            if kind == "random_forest":
                _train_windows(wanted, name, recordings)
                del rest[name]
    if rest:
        classes: Classes = "binary" if wanted.classes == "operator" else wanted.classes
        _train_frames(replace(wanted, models=rest, classes=classes), recordings, test)


def _train_windows(wanted: _Wanted, name: str, recordings: Sequence[Lesson]) -> None:
    """A forest of the operator's classes, which looks at windows round events."""
    from gridtop.training.estimators import Estimator
    from gridtop.training.event_windows import train_events
    from gridtop.training.teaching import today, versions

    with progress_bar(f"teaching {name}", 100) as progress:
        seen = 0

        def told(what: str, share: float) -> None:
            nonlocal seen
            steps = min(99, round(100 * share)) - seen
            if steps > 0:
                progress(steps)
                seen += steps

        card, files = train_events(
            recordings, seed=wanted.seed, name=name, recipe=wanted.recipe, progress=told
        )
    own = {
        "versions": versions(Estimator("random_forest", wanted.seed)),
        "trained": today(),
        "command": wanted.command(name),
    }
    _write(wanted.output / name, card.model_copy(update=own), files)


def _write(folder: Path, card: ModelCard, files: Mapping[str, bytes]) -> None:
    """Write a model and say what it is worth."""
    from gridtop.learning.folder import CARD, write_folder
    from gridtop.training.summary import lines

    try:
        written = write_folder(folder, card, files)
        sizes = {file: (folder / file).stat().st_size for file in (*written.files, CARD)}
    except OSError as error:
        raise GridtopError(f"cannot write {folder}: {error.strerror or error}") from None
    for line in lines(written, sizes):
        click.echo(line)


def _train_frames(wanted: _Wanted, recordings: list[Lesson], test: list[Lesson]) -> None:
    from gridtop.training.estimators import ISOLATION_TREES, RAW_LAYERS, TREES, Estimator
    from gridtop.training.held_out import steps
    from gridtop.training.teaching import Task, teach

    data, test_data = _rows(wanted, recordings, test)
    names = tuple(lesson.name for lesson in recordings)
    split, remarks = _split(wanted, data, names)
    for name, kind in wanted.models.items():
        layers = RAW_LAYERS if wanted.recipe == "raw" and kind == "autoencoder" else None
        trees = ISOLATION_TREES if kind == "isolation_forest" else TREES
        estimator = Estimator(kind, wanted.seed, trees, layers)
        task = Task(name, estimator, split, wanted.command(name), remarks)
        with progress_bar(f"teaching {name}", steps(data, estimator, split, names)) as progress:
            taught = teach(task, data, recordings, test_data, partial(progress, 1))
        _write(wanted.output / name, taught.card, taught.files)


def _split(wanted: _Wanted, data: Dataset, names: tuple[str, ...]) -> tuple[Split | None, tuple[str, ...]]:
    """What is held out; nothing, with a remark, where that is impossible but there is a file to test on."""
    from gridtop.training.held_out import folds_of

    split: Split = wanted.split or ("file" if len(names) > 1 else "event")
    try:
        folds_of(data, split, names)
    except GridtopError as error:
        if wanted.split is not None or not wanted.test:
            raise
        return None, (f"it could only be judged on a file of its own: {error}",)
    return split, ()


def _read(wanted: _Wanted) -> tuple[list[Lesson], list[Lesson]]:
    """The recordings to learn from and those to test on."""
    from gridtop.training.lessons import lessons, recordings_in

    data, test = recordings_in(wanted.data), recordings_in(wanted.test)
    both = {path.resolve() for path in data} & {path.resolve() for path in test}
    if both:
        raise GridtopError(f"{sorted(both)[0].name} cannot be both learned from and tested on")
    with progress_bar("reading", len(data) + len(test)) as progress:
        found = lessons(
            [*data, *test],
            config=wanted.config,
            column=wanted.labels,
            normal=wanted.normal,
            progress=progress,
        )
    return [one for one in found if one.path in data], [one for one in found if one.path in test]


def _rows(
    wanted: _Wanted, recordings: Sequence[Lesson], test: Sequence[Lesson]
) -> tuple[Dataset, Dataset | None]:
    from gridtop.training.datasets import choose_features, class_names, dataset

    classes = class_names(recordings, "multi" if wanted.classes == "multi" else "binary")
    chosen = choose_features(recordings, wanted.recipe, wanted.channels, wanted.quantities)
    frames = sum(len(lesson.seconds) for lesson in (*recordings, *test))
    with progress_bar("measuring", frames) as progress:
        data = dataset(recordings, chosen, classes, rows=wanted.rows, progress=progress)
        if not test:
            return data, None
        made = dataset(test, data.chosen, data.classes, rows=wanted.rows, fills=data.fills, progress=progress)
        return data, made
