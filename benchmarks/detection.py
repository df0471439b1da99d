"""Judges detection on simulated hours that nothing was tuned on, and prints the tables of docs/detection.md.

    python -m benchmarks.detection --hours 168 --data week     # the unit: a week, load cycles and bad data
    python -m benchmarks.detection --hours 1                   # a small one, in about a minute
    python -m benchmarks.detection --data week --without-logs  # what is left when nobody logs anything

The recordings are drawn from benchmarks/held_out.yaml, what is judged stands in benchmarks/detection.yaml.
Each hour is a grid of its own. The monitor is told of it what an engineer would know: nominal values, which
terminal ends which line, the lines' data, and the baseline of the quiet seconds before the first event.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from gridtop import documents
from gridtop.baseline import Baseline
from gridtop.client import Snapshot
from gridtop.config import Configuration, load
from gridtop.contracts import Settings
from gridtop.errors import GridtopError
from gridtop.evaluation import Run, Task, claims_of, evaluate, judge, markdown, truths_of
from gridtop.events import Event
from gridtop.monitor import Monitor
from gridtop.simulation import Ranges
from gridtop.simulation.recording import events_path, parquet_installed
from gridtop.simulation.scenario_files import read_scenario
from gridtop.simulation.shards import Batch, make_hours
from gridtop.simulation.sites import quiet_baseline, quiet_seconds, site_of
from gridtop.units import parse_duration

HERE = Path(__file__).parent
LOGS = ("control_panel_log*", "snort_log*", "relay*_log")
"""The columns that `--without-logs` takes away."""
SEED = 2026
UNIT_HOURS = 168


def main() -> None:
    """Make what is missing of the hours, run the monitor over them, judge, print."""
    options = _options()
    started = time.monotonic()
    with _folder(options.data) as folder:
        batch = _batch(options.ranges, options.seed)
        made = make_hours(folder, batch, options.hours, options.jobs)
        _say(f"{options.hours} hours in {folder}, {made} of them new, {time.monotonic() - started:.0f} s")
        plan = Plan(folder, batch, options.configuration, options.without_logs)
        runs = _watch_all(plan, options.hours, options.jobs)
    tasks = read_tasks(options.configuration)
    if options.list:
        _list(tasks, runs)
    report = evaluate(tasks, runs)
    seconds = time.monotonic() - started
    shortfall = "" if report.hours >= UNIT_HOURS else f" The unit is {UNIT_HOURS} hours: these are fewer."
    logs = "without" if options.without_logs else "with"
    print(f"Held-out ranges, seed {options.seed}, {logs} logs.{shortfall}\n")
    print(markdown(report))
    _say(f"{seconds:.0f} s altogether")
    if options.json:
        what = {"seed": options.seed, "without_logs": options.without_logs, "seconds": round(seconds, 1)}
        options.json.write_text(json.dumps({**what, **report.to_dict()}, indent=1, allow_nan=False) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--hours", type=int, default=UNIT_HOURS, help="how many simulated hours [%(default)s]"
    )
    parser.add_argument("--data", type=Path, help="a folder of hours to make or go on with [a temporary one]")
    parser.add_argument("--seed", type=int, default=SEED, help="of the hours [%(default)s]")
    parser.add_argument(
        "--jobs", type=int, default=min(2, os.cpu_count() or 1), help="processes [%(default)s]"
    )
    parser.add_argument("--without-logs", action="store_true", help="leave out the columns of logs")
    parser.add_argument(
        "--ranges", type=Path, default=HERE / "held_out.yaml", help="a scenario file with ranges"
    )
    parser.add_argument("--configuration", type=Path, default=HERE / "detection.yaml", help="what is judged")
    parser.add_argument("--list", action="store_true", help="name every miss and every false alarm")
    parser.add_argument("--json", type=Path, help="write the report there, too")
    return parser.parse_args()


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _batch(ranges: Path, seed: int) -> Batch:
    suffix = ".parquet" if parquet_installed() else ".csv.gz"
    return Batch(seed, suffix=suffix, ranges=read_scenario(ranges, os.environ).ranges or Ranges())


def read_tasks(path: Path) -> list[Task]:
    """The `tasks:` of a file; GridtopError when one says what no task can."""
    tasks = []
    for name, settings in documents.read(path, os.environ).value["tasks"].items():
        known = {field.name for field in dataclasses.fields(Task)} - {"name"}
        if unknown := sorted(settings.keys() - known):
            raise GridtopError(
                f"{path}: tasks.{name}: there is no {unknown[0]}; there is {', '.join(sorted(known))}"
            )
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()
        }
        if "aftermath" in values:
            values["aftermath"] = parse_duration(values["aftermath"]).total_seconds()
        tasks.append(Task(name, **values))
    return tasks


# One hour -----------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Plan:
    """What all hours have in common."""

    folder: Path
    batch: Batch
    configuration: Path
    without_logs: bool

    def watch(self, hour: int) -> tuple[Run, tuple[str, ...]]:
        """Run the monitor over an hour as fast as it goes: what happened, what it said, what did not work."""
        recording = self.batch.path(self.folder, hour)
        document = json.loads(events_path(recording).read_text(encoding="ascii"))
        start = np.datetime64(document["start"].removesuffix("Z"), "ns")
        with tempfile.TemporaryDirectory() as folder:
            configuration = self._configured(Path(folder), recording, document)
            events, snapshot = asyncio.run(_watched(configuration))
        end = snapshot.transport.time
        site = configuration.site
        # Rows that got lost are made up for at the end, so the last frame tells how long the hour was.
        seconds = self.batch.minutes * 60 if end is None else _seconds(end - start)
        run = Run(truths_of(document, site), claims_of(events, start), 0.0, seconds, recording.name)
        return run, snapshot.problems

    def _configured(self, folder: Path, recording: Path, document: dict[str, Any]) -> Configuration:
        sections = documents.read(self.configuration, os.environ).value["monitor"]
        for detector in sections.get("detectors", {}).values():
            if "model" in detector:  # what is written beside the recording lies elsewhere
                detector["model"] = str((self.configuration.parent / detector["model"]).absolute())
        sections["source"] = {"type": "replay", "path": str(recording.absolute()), "speed": "max"}
        sections["site"] = site = site_of(document["conditions"]["grid"], not self.without_logs)
        if (baseline := _baseline(recording, site, quiet_seconds(document))) is not None:
            baseline.write(folder / "baseline.json")
            site["baselines"] = {"from": "baseline.json"}
        if self.without_logs:
            sections["channels"] = {glob: {"ignore": True} for glob in LOGS} | sections.get("channels", {})
        path = folder / "config.yaml"
        path.write_text(json.dumps(sections, indent=1), encoding="utf-8")  # JSON is YAML, too
        return load(path, environment=os.environ)


def _baseline(recording: Path, site: dict[str, Any], seconds: float) -> Baseline | None:
    """What a commissioning engineer would learn from the first seconds; None when nothing can be learned."""
    try:
        return quiet_baseline(recording, site, seconds)
    except ValueError as error:
        _say(f"{recording.name}: no baseline: {error}")
        return None


def _seconds(span: np.timedelta64) -> float:
    return float(span / np.timedelta64(1, "ns")) / 1e9


class _Collector:
    """A sink that keeps what it is sent."""

    Config = Settings

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def open(self) -> None: ...

    async def send(self, events: Sequence[Event]) -> None:
        self.events += events

    async def close(self) -> None: ...


async def _watched(configuration: Configuration) -> tuple[list[Event], Snapshot]:
    collector: Any = _Collector()
    sinks = {"collector": collector}
    monitor = Monitor(configuration, streams=sinks, stop_at_end=True, keep_history=False)
    await monitor.run()
    return collector.events, monitor.snapshot()


def _watch_all(plan: Plan, hours: int, jobs: int) -> list[Run]:
    runs: list[Run] = []
    told: set[str] = set()
    # Spawned: a forked process may inherit a lock that nobody will release.
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        for run, problems in pool.map(plan.watch, range(hours)):
            runs.append(run)
            _say(f"{run.name}: {len(run.truths)} events, {len(run.claims)} raises")
            for problem in problems:
                if problem not in told:
                    _say(problem)
            told.update(problems)
    return runs


def _list(tasks: Sequence[Task], runs: Sequence[Run]) -> None:
    """Every miss and every false raise with its second, to look it up in the recording."""
    for task in tasks:
        for run in runs:
            judged = judge(task, run)
            missed = [run.truths[i] for i, delay in judged.hits.items() if math.isinf(delay)]
            for truth in sorted(missed, key=lambda truth: truth.start):
                places = " ".join(sorted(truth.places)) or "anywhere"
                _say(f"{run.name} {truth.start:9.3f} s  {task.name} missed {truth.kind} at {places}")
            for claim in judged.false:
                what = " ".join((claim.rule, claim.place, claim.class_))
                _say(f"{run.name} {claim.time:9.3f} s  {task.name} false: {what}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except GridtopError as error:
        sys.exit(f"detection: {error}")
