"""Any number of simulated hours: one file an hour, each a run of its own, made by several processes."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np

from gridtop.errors import GridtopError
from gridtop.recordings.writing import remove_partial, replacing
from gridtop.simulation.drawing import Draw
from gridtop.simulation.ranges import Ranges
from gridtop.simulation.recording import START, Labels, check_format, events_path, write_recording
from gridtop.simulation.testbed import Simulation

MANIFEST = "run.json"
"""The file in the folder that says what its hours were made with."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a folder of hours is made with. Hour k depends on this and on k, on nothing else.

    `suffix` is `.parquet`, `.csv.gz` or `.csv`; `minutes` is the length of each file: an hour, but for tests.
    """

    seed: int = 1
    rate: int = 30
    labels: Labels = "full"
    suffix: str = ".parquet"
    ranges: Ranges = field(default_factory=Ranges)
    minutes: int = 60

    def path(self, folder: Path, hour: int) -> Path:
        """The file of an hour."""
        return folder / f"hour-{hour:05d}{self.suffix}"

    @property
    def frames(self) -> int:
        """Frames in one file; rows that get lost are made up for at its end."""
        return self.minutes * 60 * self.rate

    def simulation(self, hour: int) -> Simulation:
        """The run of an hour: conditions and events drawn for it, at its time of the day."""
        draw = Draw(self.ranges, (self.seed, hour))
        conditions = draw.conditions(start_hour=hour * self.minutes / 60)
        return Simulation(events=draw.events(), seed=(self.seed, hour), rate=self.rate, conditions=conditions)

    def make(self, folder: Path, hour: int) -> int:
        """Write an hour; the number of its frames."""
        start = np.datetime64(START, "us") + np.timedelta64(hour * self.minutes, "m")
        write_recording(
            self.path(folder, hour), self.simulation(hour), self.frames, labels=self.labels, start=start
        )
        return self.frames


def make_hours(
    folder: Path, batch: Batch, hours: int, jobs: int, progress: Callable[[int], object] = lambda frames: None
) -> int:
    """Make hours 0 to `hours` in a folder, those that are not there yet, and say how many were made.

    `jobs` processes share the work; `progress` is told the frames of every hour that is done, those that
    were there before first. Raises GridtopError when the folder holds hours made with something else.
    """
    check_format(batch.path(folder, 0))
    folder.mkdir(parents=True, exist_ok=True)
    _check_manifest(folder, batch)
    missing = [hour for hour in range(hours) if not batch.path(folder, hour).exists()]
    progress((hours - len(missing)) * batch.frames)
    if jobs == 1 or len(missing) < 2:
        for hour in missing:
            progress(batch.make(folder, hour))
        return len(missing)
    _share_out(folder, batch, missing, min(jobs, len(missing)), progress)
    return len(missing)


def _share_out(
    folder: Path, batch: Batch, hours: list[int], jobs: int, progress: Callable[[int], object]
) -> None:
    """Let every process make its share of the hours; whatever ends this ends them too."""
    # Spawned, not forked: a forked process may inherit a lock that nobody will release. And no pool: one
    # that is interrupted while a worker holds the lock of its queue waits for ever.
    context = multiprocessing.get_context("spawn")
    workers: dict[Connection[Any, Any], SpawnProcess] = {}
    try:
        for job in range(jobs):
            receiver, sender = context.Pipe(duplex=False)
            worker = context.Process(
                target=_work, args=(sender, folder, batch, hours[job::jobs]), daemon=True
            )
            worker.start()
            sender.close()
            workers[receiver] = worker
        while workers:
            ready = wait(workers)
            for receiver in [one for one in workers if one in ready]:
                try:
                    told = receiver.recv()
                except EOFError:
                    worker = workers.pop(receiver)
                    worker.join()
                    if worker.exitcode:
                        raise GridtopError(
                            f"a process that made hours for {folder} was killed (out of memory?); "
                            "run the same command again to make the rest, with fewer --jobs"
                        ) from None
                    continue
                if isinstance(told, Exception):
                    raise told
                progress(told)
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.join()
        for hour in hours:
            path = batch.path(folder, hour)
            remove_partial(path)
            remove_partial(events_path(path))


def _work(sender: Connection[Any, Any], folder: Path, batch: Batch, hours: list[int]) -> None:
    """What a process does: make its hours, and tell of each."""
    # Ctrl-C reaches every process of the terminal; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for hour in hours:
            sender.send(batch.make(folder, hour))
    except (OSError, GridtopError) as error:
        with suppress(OSError):  # nobody is left to be told
            sender.send(error)


def _check_manifest(folder: Path, batch: Batch) -> None:
    """Write down what the hours are made with, or find that it is the same as before."""
    path = folder / MANIFEST
    # Through JSON and back, so that tuples and lists do not differ.
    wanted: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(batch)))
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if any(folder.glob("hour-*")):
            raise GridtopError(f"{folder} holds hours, but no {MANIFEST}; choose another folder") from None
        with replacing(path) as file:
            file.write((json.dumps(wanted, indent=1) + "\n").encode("utf-8"))
        return
    except ValueError:
        found = None
    if found != wanted:
        known = found if isinstance(found, dict) else {}
        differing = ", ".join(key for key in wanted if known.get(key) != wanted[key]) or "settings"
        made = f"{folder} holds hours made with other settings ({differing}; see {MANIFEST})"
        raise GridtopError(f"{made}; choose another folder")
