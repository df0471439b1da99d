"""`gridtop simulate`: makes recordings of the simulated two-line testbed, or of the simulated microgrid."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from gridtop.commands.options import duration
from gridtop.commands.outputs import progress_bar, spare
from gridtop.errors import GridtopError

if TYPE_CHECKING:
    from gridtop.simulation import Simulation
    from gridtop.simulation.recording import Labels
    from gridtop.simulation.scenario_files import Scenario
    from gridtop.simulation.shards import Batch

T = TypeVar("T")

_DURATION = timedelta(minutes=5)
_MICROGRID_DURATION = timedelta(days=3)
_RATE = 30
_SEED = 1
_SCENARIO_START = 5.0
"""Seconds of quiet before a numbered scenario."""


def _duration(context: click.Context, parameter: click.Parameter, value: str | None) -> timedelta | None:
    chosen = duration(context, parameter, value)
    if chosen == timedelta(0):
        raise click.BadParameter("a recording of no length has no frames")
    return chosen


@click.command()
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="The file to write: .csv, .csv.gz or .parquet; with --hours, a folder.",
)
@click.option("--duration", callback=_duration, help="How long: 90s, 5m, 1h.  [default: 5m]")
@click.option("--hours", type=click.IntRange(1, 87_600), help="That many hours instead, one file each.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), help="Processes that make hours.  [default: one a processor]"
)
@click.option("--rate", type=click.IntRange(10, 120), help="Frames per second.  [default: 30]")
@click.option("--seed", type=click.IntRange(min=0), help="The same seed, the same recording.  [default: 1]")
@click.option(
    "--events/--no-events",
    default=True,
    show_default=True,
    help="Faults, trips, outages and load steps, repeated every five minutes; or a quiet grid.",
)
@click.option("--scenario", help="A scenario file (.yaml), or one of the public data's: 1 to 30, 35 to 41.")
@click.option(
    "--labels",
    type=click.Choice(["marker", "full"]),
    help="The columns of the public data, or phase and spoofed besides.  [default: full with --hours]",
)
@click.option(
    "--format", "form", type=click.Choice(["parquet", "csv.gz"]), help="With --hours: the kind of the files."
)
@click.option(
    "--microgrid",
    is_flag=True,
    help="A 480 V microgrid instead, a row every ten seconds.  [default: 3d of it]",
)
@click.option("--force", is_flag=True, help="Overwrite the file if there is one.")
def command(
    output: Path,
    duration: timedelta | None,
    hours: int | None,
    jobs: int | None,
    rate: int | None,
    seed: int | None,
    events: bool,
    scenario: str | None,
    labels: Labels | None,
    form: str | None,
    microgrid: bool,
    force: bool,
) -> None:
    """Make a recording of a simulated grid: two lines, four relays, and what can happen to them.

    The columns are those of the public power-system attack data behind a time column (data/README.md);
    a list of the events is written beside the recording. With --hours everything is drawn from ranges,
    anew for each hour; the same command again goes on where it was interrupted (docs/simulation.md).
    """
    if microgrid:
        others = {"--hours": hours, "--jobs": jobs, "--rate": rate, "--scenario": scenario}
        for name, value in {**others, "--labels": labels, "--format": form}.items():
            if value is not None:
                raise click.UsageError(f"{name} is of the two-line grid and cannot go with --microgrid")
        _write_microgrid(output, duration or _MICROGRID_DURATION, events, _first(seed, _SEED), force)
        return
    if not events and (scenario or hours):
        raise click.UsageError("--no-events is a quiet grid: --scenario and --hours cannot go with it")
    plot = _read(scenario, seed)
    seed = _first(seed, plot.seed, _SEED)
    rate = _first(rate, plot.rate, _RATE)
    if hours is None:
        for name, value in (("--jobs", jobs), ("--format", form)):
            if value is not None:
                raise click.UsageError(f"{name} goes with --hours only")
        frames = max(1, round(_first(duration, plot.duration, _DURATION).total_seconds() * rate))
        simulation = _simulation(plot, scenario, events, seed, rate)
        _write_file(output, simulation, frames, labels or "marker", force)
        return
    if duration is not None:
        raise click.UsageError("--duration and --hours cannot go together")
    if plot.events is not None:
        raise click.UsageError("--hours draws its events: the scenario may hold ranges:, but no events")
    batch = _batch(plot, seed, rate, labels or "full", form)
    _write_hours(output, batch, hours, jobs or os.cpu_count() or 1)


def _read(scenario: str | None, seed: int | None) -> Scenario:
    """What the scenario file says; of a numbered scenario the events, and the usual ranges."""
    import numpy as np

    from gridtop import simulation
    from gridtop.simulation.scenario_files import Scenario, read_scenario

    if scenario is None:
        return Scenario()
    if not scenario.isdecimal():
        return read_scenario(Path(scenario), os.environ)
    try:
        random = np.random.default_rng(_first(seed, _SEED))
        events = simulation.scenario(int(scenario), random, _SCENARIO_START)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--scenario") from None
    return Scenario(events, simulation.Ranges())


def _simulation(plot: Scenario, scenario: str | None, events: bool, seed: int, rate: int) -> Simulation:
    from gridtop import simulation

    if scenario is None:
        return simulation.Simulation(events=simulation.tour() if events else (), seed=seed, rate=rate)
    draw = simulation.Draw(plot.ranges, seed) if plot.ranges else None
    happening = plot.events if plot.events is not None else draw.events() if draw else ()
    conditions = draw.conditions() if draw else None
    return simulation.Simulation(events=happening, seed=seed, rate=rate, conditions=conditions)


def _write_file(output: Path, simulation: Simulation, frames: int, labels: Labels, force: bool) -> None:
    from gridtop.simulation.recording import check_format, events_path, write_recording

    check_format(output)
    try:
        spare(force, output, events_path(output))
        with progress_bar("simulating", frames) as progress:
            write_recording(output, simulation, frames, labels=labels, progress=progress)
        size = output.stat().st_size / 1e6
    except OSError as error:
        raise GridtopError(f"cannot write {output}: {error.strerror or error}") from None
    click.echo(f"{output}: {frames} frames, {frames / simulation.rate:g} s, {size:.2f} MB", err=True)


def _write_microgrid(output: Path, duration: timedelta, events: bool, seed: int, force: bool) -> None:
    from gridtop.simulation.microgrid import STEP_S, tour
    from gridtop.simulation.microgrid_recording import write_microgrid
    from gridtop.simulation.recording import events_path

    seconds = duration.total_seconds()
    rows = max(1, round(seconds / STEP_S))
    try:
        spare(force, output, events_path(output))
        write_microgrid(output, rows, tour(seconds) if events else (), seed)
        size = output.stat().st_size / 1e6
    except OSError as error:
        raise GridtopError(f"cannot write {output}: {error.strerror or error}") from None
    click.echo(f"{output}: {rows} rows, {rows * STEP_S / 3600:g} h, {size:.2f} MB", err=True)


def _batch(plot: Scenario, seed: int, rate: int, labels: Labels, form: str | None) -> Batch:
    from gridtop.simulation import Ranges
    from gridtop.simulation.recording import parquet_installed
    from gridtop.simulation.shards import Batch

    suffix = f".{form}" if form else ".parquet" if parquet_installed() else ".csv.gz"
    return Batch(seed, rate, labels, suffix, plot.ranges or Ranges())


def _write_hours(folder: Path, batch: Batch, hours: int, jobs: int) -> None:
    from gridtop.simulation.shards import make_hours

    try:
        with progress_bar("simulating", hours * batch.frames) as progress:
            made = make_hours(folder, batch, hours, jobs, progress)
    except OSError as error:
        raise GridtopError(f"cannot write to {folder}: {error.strerror or error}") from None
    click.echo(f"{folder}: {hours} hours, {made} of them new", err=True)


def _first(*values: T | None) -> T:
    """The first that is given."""
    return next(value for value in values if value is not None)
