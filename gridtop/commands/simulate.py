"""`gridtop simulate`: makes a recording of the simulated two-line testbed."""

from __future__ import annotations

import gzip
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gridtop.errors import GridtopError

if TYPE_CHECKING:
    from gridtop.simulation import Frames

START = "2026-01-01T00:00:00"
"""The time of the first frame, UTC: a simulated recording has no date of its own."""
_PORTION = 300
"""Frames between two updates of the progress bar."""


def _duration(context: click.Context, parameter: click.Parameter, value: str) -> timedelta:
    from gridtop.units import parse_duration

    try:
        duration = parse_duration(value)
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(str(error)) from None
    if not duration:
        raise click.BadParameter("a recording of no length has no frames")
    return duration


@click.command()
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write: .csv, or .csv.gz for a compressed one.",
)
@click.option(
    "--duration", default="5m", show_default=True, callback=_duration, help="How long: 90s, 5m, 1h."
)
@click.option(
    "--rate", default=30, show_default=True, type=click.IntRange(10, 120), help="Frames per second."
)
@click.option(
    "--seed",
    default=1,
    show_default=True,
    type=click.IntRange(min=0),
    help="The same seed, the same recording.",
)
@click.option(
    "--events/--no-events",
    default=True,
    show_default=True,
    help="Faults, trips, outages and load steps, repeated every five minutes; or a quiet grid.",
)
@click.option("--force", is_flag=True, help="Overwrite the file if there is one.")
def command(output: Path, duration: timedelta, rate: int, seed: int, events: bool, force: bool) -> None:
    """Make a recording of a simulated grid: two lines, four relays, and what can happen to them.

    The columns are those of the public power-system attack data behind a time column; data/README.md
    explains them.
    """
    if not output.name.endswith((".csv", ".csv.gz")):
        raise GridtopError(f"cannot write {output}: its name must end in .csv or .csv.gz")
    frames = max(1, round(duration.total_seconds() * rate))
    try:
        if output.exists() and not force:
            raise GridtopError(f"{output} exists already; add --force to overwrite it")
        with _replacing(output) as file:
            _write(file, frames, rate, seed, events)
    except OSError as error:
        raise GridtopError(f"cannot write {output}: {error.strerror or error}") from None
    size = output.stat().st_size / 1e6
    click.echo(f"{output}: {frames} frames, {frames / rate:g} s, {size:.2f} MB", err=True)


def _write(file: io.TextIOBase, frames: int, rate: int, seed: int, events: bool) -> None:
    from gridtop.simulation import COLUMNS, Simulation, tour

    simulation = Simulation(events=tour() if events else (), seed=seed, rate=rate)
    file.write(",".join(("time", *COLUMNS)) + "\n")
    # Nobody wants a progress bar in a log file.
    progress = click.progressbar(length=frames, label="simulating", file=sys.stderr)
    with progress if sys.stderr.isatty() else nullcontext() as bar:
        for first in range(0, frames, _PORTION):
            portion = simulation.read(min(_PORTION, frames - first))
            file.writelines(_lines(portion))
            if bar:
                bar.update(len(portion))


def _lines(frames: Frames) -> Iterator[str]:
    """The frames as lines of CSV, at the resolution of the instruments; an empty cell has no value."""
    import numpy as np

    from gridtop.simulation.instruments import DECIMALS

    form = ",".join(f"%.{decimals}f" for decimals in DECIMALS.values())
    times = np.datetime64(START, "us") + frames.time
    for time, values, label in zip(times, frames.values.tolist(), frames.labels, strict=True):
        yield f"{time}Z,{(form % tuple(values)).replace('nan', '')},{label}\n"


@contextmanager
def _replacing(path: Path) -> Iterator[io.TextIOBase]:
    """A text file that takes the place of `path` when it is complete, and is gone when it is not.

    Compressed without name and date, so that the same text gives the same bytes.
    """
    partial = path.with_name(f".{path.name}.part")
    try:
        with partial.open("wb") as raw:
            packs = path.suffix == ".gz"
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) if packs else raw
            with packed, io.TextIOWrapper(packed, encoding="ascii", newline="") as text:
                yield text
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
