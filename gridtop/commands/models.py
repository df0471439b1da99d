"""`gridtop models`: which trained models there are, what their cards say, and whether they are whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridtop.errors import Exit, GridtopError
from gridtop.text import clean

if TYPE_CHECKING:
    from gridtop.learning.card import ModelCard, Score

HERE = Path("models")
"""Where models are looked for first."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Look at trained models: what they judge, what they are worth, and whether their files are whole."""


@command.command("list")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def list_models(folder: Path | None) -> None:
    """The models in FOLDER [./models, else the shipped ones], and a ! line for a card that cannot be read."""
    from gridtop.learning.folder import model_names, read_card

    if folder is not None and not folder.is_dir():
        raise GridtopError(f"there is no folder {clean(str(folder))}")
    folder = folder or _usual_folder()
    rows, problems = [("NAME", "KIND", "JUDGES", "OUTPUTS", "KB", "TRAINED")], []
    for name in model_names(folder):
        try:
            card = read_card(folder / name)
        except GridtopError as error:
            problems.append(f"! {error}")
            continue
        outputs = clean(", ".join(output.name for output in card.outputs), 40)
        size = sum(_size(folder / name / file) for file in card.files)
        rows.append(
            (clean(name), card.kind, _judges(card), outputs, f"{size / 1000:.0f}", clean(card.trained))
        )
    if len(rows) > 1:
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            click.echo("  ".join(map(str.ljust, row, widths)).rstrip())
    elif not problems:
        click.echo(f"no models in {clean(str(folder))}; gridtop train makes them")
    for problem in problems:
        click.echo(problem)


@command.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="The card as it is.")
def show(model: str, as_json: bool) -> None:
    """All that the card of MODEL says: a name in ./models or of a shipped model, or a folder."""
    from gridtop.learning.folder import read_card

    card = read_card(_found(model))
    if as_json:
        click.echo(json.dumps(card.model_dump(mode="json"), indent=1))  # ASCII: nothing a terminal obeys
        return
    for line in _lines(card, _runtime()):
        click.echo(line)


@command.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
def verify(models: Sequence[str]) -> int:
    """Check the files of each MODEL against the hashes in its card, load it, and run it.

    Where onnxruntime is installed, it and numpy must give the same answers. Exit status 1: not whole.
    """
    from gridtop.learning.folder import verify as problems_of

    sound = True
    for model in models:
        try:
            folder = _found(model)
            problems = problems_of(folder)
            agreement = "" if problems else _agreement(folder)
        except GridtopError as error:
            problems = [str(error)]
        for problem in problems:
            click.echo(f"! {problem}")
        if not problems:
            click.echo(f"{clean(model)}: whole; {agreement}")
        sound &= not problems
    return Exit.OK if sound else 1


def _shipped() -> Path:
    from importlib import resources

    # In a checkout the configuration is a link to the file at the top, beside which the models lie.
    return Path(str(resources.files("gridtop") / "config.yaml")).resolve().parent / "models"


def _usual_folder() -> Path:
    from gridtop.learning.folder import model_names

    return HERE if model_names(HERE) else _shipped()


def _found(model: str) -> Path:
    """The folder of a model: itself, or one of that name among the usual ones."""
    from gridtop.learning.folder import CARD, model_names

    named = [folder / model for folder in (HERE, _shipped()) if Path(model).name == model]
    for folder in (Path(model), *named):
        if (folder / CARD).is_file():
            return folder
    there = ", ".join(clean(name) for name in model_names(_usual_folder()))
    raise GridtopError(f"there is no model {clean(model)}" + (f"; there is {there}" if there else ""))


def _agreement(folder: Path) -> str:
    """In what a model runs here, and how well that agrees; GridtopError when it does not."""
    from gridtop.learning.folder import MODEL, TREES, read_card, read_files
    from gridtop.learning.trees import Trees
    from gridtop.training.parity import check_runtimes

    files = read_files(folder, read_card(folder))
    parity = check_runtimes(files[MODEL], Trees.from_bytes(files[TREES]) if TREES in files else None)
    if parity is None:
        return "runs in numpy"
    return f"{parity.name} differ by at most {parity.largest_difference:.1e}"


def _runtime() -> str:
    """What runs models here, in words."""
    from gridtop.learning.runtimes import VARIABLE, chosen_runtime, runtimes_at_hand

    name = chosen_runtime()
    if name != "numpy":
        return name
    if "onnxruntime" in runtimes_at_hand():
        return f"numpy, as {VARIABLE} says"
    return "numpy; onnxruntime is faster: pip install 'gridtop[onnx]'"


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _judges(card: ModelCard) -> str:
    place = "each line" if card.scope == "line" else "the site"
    return f"{card.mode} of {place}"


def _lines(card: ModelCard, runtime: str) -> Iterator[str]:
    """The card in words, and what would run the model, each line harmless."""
    yield f"{clean(card.name)}: {card.kind.replace('_', ' ')}, judges {_judges(card)}"
    if card.intended_use:
        yield f"  for       {clean(card.intended_use)}"
    for output in card.outputs:
        classes = clean(", ".join(output.classes), 160)
        at = {"near": " (first end of the line)", "far": " (second end of the line)"}.get(output.at, "")
        yield f"  output    {clean(output.name)}{at}" + (f": {classes}" if classes else "")
    rate = f" at {card.rate:g} frames/s" if card.rate else ""
    when = f" {clean(card.trained)}" if card.trained else ""
    hours = sum(recording.seconds for recording in card.recordings) / 3600
    number = len(card.recordings)
    recordings = f"{number} recording{'s' * (number != 1)}, {hours:.3g} h"
    yield f"  trained{when} on {recordings}{rate}, seed {card.seed}"
    if card.command:
        yield f"  with      {clean(card.command)}"
    labels, split = clean(card.labels) or "none", clean(card.split) or "nothing"
    yield f"  recipe    {card.recipe}; labels {labels}; split {split}"
    if card.versions:
        yield "  versions  " + clean(", ".join(f"{name} {value}" for name, value in card.versions.items()))
    yield f"  runs in   {runtime}"
    yield ""
    yield "SCORES, on what it had not seen"
    if not card.scores:
        yield "  none: nothing is known of what it is worth"
    for score in card.scores:
        yield f"  {_score(score)}"
    for title, texts in (("LIMITS", card.limits), ("REMARKS", card.remarks), ("NOTES", card.notes)):
        if texts:
            yield ""
            yield title
            yield from (f"  {clean(text)}" for text in texts)
    yield ""
    yield f"FEATURES, {len(card.features)}"
    for feature in card.features:
        unit = f" [{clean(feature.unit)}]" if feature.unit else ""
        yield f"  {clean(feature.name)}{unit}" + (", if there" if feature.optional else "")
    if card.recordings:
        yield ""
        yield "RECORDINGS"
    for recording in card.recordings:
        length = f"{recording.frames:,} frames, {recording.seconds:g} s"
        yield f"  {clean(recording.name)}: {length}, SHA-256 {recording.sha256[:16]}..."


def _score(score: Score) -> str:
    text = f"{clean(score.name)} " + ("not known" if score.value is None else f"{score.value:.4g}")
    if score.interval is not None:
        low, high = score.interval
        groups = f" over {score.groups}" if score.groups else ""
        text += f" (95 %: {low:.4g} to {high:.4g}{groups})"
    text += f", split {clean(score.split)}" if score.split else ""
    return f"! {text}: leaking, not honest" if score.leaking else text
