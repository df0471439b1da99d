"""Trained models in the monitor, against the same models alone, and against other ways to run such models.

    python -m benchmarks.models      # needs the extra `train`; river and PyOD are compared when installed

Three models (random forest, isolation forest, autoencoder) are trained on the 128 columns of the bundled
recording and run with a z-score beside them: in blocks by themselves, one after the other on one thread and
each on a thread of its own, and in a replay at full speed with reading, quality checks, alarms and events.
All figures of one table are from one run: the three take turns, and the best of each counts, wall time and
processor time for itself. Prints rows/s, microseconds of processor time a row, and ratios.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Block
from gridtop.config import Configuration, assignment, load
from gridtop.learning.card import ModelCard, Output
from gridtop.learning.features import Feature
from gridtop.learning.folder import MODEL, TREES, write_folder
from gridtop.learning.inference import Session
from gridtop.learning.model import Model
from gridtop.learning.nines import Nines, QuantileTable
from gridtop.learning.runtimes import runtimes_at_hand
from gridtop.monitor import Monitor
from gridtop.naming import ChannelMap
from gridtop.pipeline import Pipeline
from gridtop.plugins.detectors.zscore import ZScore
from gridtop.recordings import open_recording

Floats = npt.NDArray[np.float64]
REPEATS = 5
COPIES = 12
BLOCK = 4096
SIZES = (1, 4, 256, BLOCK)
SECONDS_LIVE = 8
BUNDLED = Path(__file__).parent.parent / "data" / "two-line.csv.gz"
KINDS = ("random_forest", "isolation_forest", "autoencoder")
TYPES = {"zscore": "zscore", **{kind: kind for kind in KINDS}}


def main() -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        blocks, names = _measured()
        kinds = [kind for kind in KINDS if kind != "autoencoder" or importlib.util.find_spec("tensorflow")]
        fitted = {kind: _train(folder / kind, kind, blocks, names) for kind in kinds}
        config = _configuration(folder, kinds)
        print(f"{len(kinds) + 1} detectors, {len(names)} channels, {len(blocks) * COPIES:,} rows\n")
        _full_speed(folder, kinds, blocks, config)
        trained = max(_alone(folder, kinds, blocks, zscore=False).rows for _ in range(REPEATS))
        print(f"\nthe trained models alone, in blocks {trained:10,.0f} rows/s")
        _others(fitted, blocks, trained)
        _runtimes(folder, fitted, blocks)
        for rate in (60, 120):
            p50, p99 = asyncio.run(_live(config, rate))
            print(f"live, {rate:3} frames/s: arrival to alarms   p50 {p50:.2f} ms   p99 {p99:.2f} ms")
        _start(folder / "config.yaml", kinds)


def _measured() -> tuple[Floats, tuple[str, ...]]:
    recording = open_recording(BUNDLED, ChannelMap())
    blocks = [block.values for block in recording.blocks()]
    return np.concatenate(blocks), recording.channels.names


def _train(folder: Path, kind: str, rows: Floats, names: Sequence[str]) -> Any:
    """Fit on the columns as they are: speed does not care. The folder is written, the reference given."""
    from gridtop.training.forests import fit_isolation_forest, fit_random_forest

    finite = np.nan_to_num(rows)
    event = np.zeros(len(rows), dtype=int)
    event[::7] = 1
    changes: dict[str, Any] = {}
    files: dict[str, bytes]
    if kind == "autoencoder":
        from gridtop.training.autoencoders import fit_autoencoder

        network = fit_autoencoder(finite, seed=1, layers=(128, 64, 128), epochs=2)
        files = {MODEL: network.onnx}
        changes = {
            "centre": tuple(network.centre.tolist()),
            "spread": tuple(network.spread.tolist()),
            "nines": Nines.fit(np.linspace(0.1, 3, 1000)),
        }
        reference: Any = network.reference
    elif kind == "random_forest":
        forest = fit_random_forest(finite, event, classes=("normal", "event"), seed=1)
        files = {MODEL: forest.onnx, TREES: forest.trees.to_bytes()}
        changes = {
            "classes": ("normal", "event"),
            "outputs": (Output(name="event", classes=("event",)),),
            "quantiles": QuantileTable.fit(np.linspace(0, 0.9, 1000)),
        }
        reference = forest.reference
    else:
        forest = fit_isolation_forest(finite, seed=1)
        files = {MODEL: forest.onnx, TREES: forest.trees.to_bytes()}
        changes = {"nines": Nines.fit(forest.predict(finite)[:, 0])}
        reference = forest.reference
    card = ModelCard(
        **{
            "name": kind,
            "kind": kind,
            "recipe": "raw",
            "scope": "site",
            "features": tuple(Feature(channel=name) for name in names),
            "fill": (0.0,) * len(names),
            "outputs": (Output(name="strange"),),
            "seed": 1,
            **changes,
        }
    )
    write_folder(folder, card, files)
    return reference


def _configuration(folder: Path, kinds: Sequence[str]) -> Configuration:
    """A replay of the bundled recording several times over, with every detector and its rule."""
    import pandas as pd

    table = pd.read_csv(BUNDLED).drop(columns=["time", "marker"], errors="ignore")
    pd.concat([table] * COPIES, ignore_index=True).to_parquet(folder / "long.parquet")
    detectors: dict[str, Any] = {
        "zscore": {"type": "zscore", "channels": ["*"], "alarm": {"high": {"warning": 1e8}}}
    }
    for kind in kinds:
        detectors[kind] = {"type": kind, "model": kind, "alarm": {"high": {"warning": "q99.9"}}}
    sections = {
        "source": {"type": "replay", "path": "long.parquet", "speed": "max"},
        "site": {"nominal": {"voltage_ll": "230 kV", "frequency": "60 Hz"}},
        "detectors": detectors,
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(sections))
    return load(path, environment=os.environ)


class Speed(NamedTuple):
    """Rows a second, and seconds of processor time a row, of all threads together."""

    rows: float
    cost: float


def _full_speed(folder: Path, kinds: Sequence[str], rows: Floats, configuration: Configuration) -> None:
    """Print the replay's speed and that of its models alone, taken in turns."""
    ways: dict[str, Callable[[], Speed]] = {
        "the models alone, on one thread": lambda: _alone(folder, kinds, rows),
        "the models alone, a thread each": lambda: _alone(folder, kinds, rows, threads=True),
        "replay with alarms": lambda: asyncio.run(_replay(configuration)),
    }
    turns = [{way: measure() for way, measure in ways.items()} for _ in range(REPEATS)]
    best = {
        way: Speed(max(turn[way].rows for turn in turns), min(turn[way].cost for turn in turns))
        for way in ways
    }
    for way, speed in best.items():
        print(f"{way:35} {speed.rows:10,.0f} rows/s   {speed.cost * 1e6:5.1f} us of processor time a row")
    one, each, replay = best.values()
    print(
        f"replay against one thread {replay.rows / one.rows:.2f}, against a thread each "
        f"{replay.rows / each.rows:.2f}, by processor time {one.cost / replay.cost:.2f}"
    )


def _alone(
    folder: Path, kinds: Sequence[str], rows: Floats, *, zscore: bool = True, threads: bool = False
) -> Speed:
    """The same models in blocks without anything around them, one after the other or at the same time."""
    channels = open_recording(BUNDLED, ChannelMap()).channels
    models = [Model.load(folder / kind) for kind in kinds]
    start = np.datetime64("2026-01-01", "ns")
    blocks = []
    for first in range(0, len(rows), BLOCK):
        values = rows[first : first + BLOCK]
        stamps = start + np.arange(first, first + len(values)) * np.timedelta64(33_333_333, "ns")
        blocks.append(Block(channels, stamps, values, row=first))
    of_model: list[Callable[[Block], object]] = [
        lambda block, model=model: model.score(model.filled(block.values))  # type: ignore[misc]
        for model in models
    ]
    scores = [*([ZScore(ZScore.Config(), channels).score] if zscore else []), *of_model]

    def run(those: Sequence[Callable[[Block], object]]) -> None:
        for _ in range(COPIES):
            for block in blocks:
                for score in those:
                    score(block)

    started, used = time.perf_counter(), time.process_time()
    if threads:
        with ThreadPoolExecutor(len(scores)) as pool:
            list(pool.map(run, [[score] for score in scores]))
    else:
        run(scores)
    done = len(rows) * COPIES
    return Speed(done / (time.perf_counter() - started), (time.process_time() - used) / done)


async def _replay(configuration: Configuration) -> Speed:
    """From the moment when everything is open."""
    monitor = Monitor(configuration, stop_at_end=True, keep_history=False)
    running = asyncio.create_task(monitor.run())
    await monitor.opened()
    started, used = time.perf_counter(), time.process_time()
    await running
    if problems := monitor.snapshot().problems:
        raise SystemExit(f"models: {problems[0]}")
    done = monitor.snapshot().counts.frames
    return Speed(done / (time.perf_counter() - started), (time.process_time() - used) / done)


def _others(fitted: dict[str, Any], rows: Floats, alone: float) -> None:
    """The same trained models in scikit-learn and Keras, and two other libraries, on the same rows."""
    rows = np.nan_to_num(rows[:BLOCK])

    def all_of_them(block: Floats) -> None:
        for reference in fitted.values():
            reference(block)

    _row("scikit-learn and Keras, in blocks", _speed(all_of_them, rows, len(rows)), alone)
    _row("scikit-learn and Keras, row by row", _speed(all_of_them, rows[:20], 1), alone)
    if importlib.util.find_spec("river"):
        from river.anomaly import HalfSpaceTrees

        trees = HalfSpaceTrees(n_trees=25, seed=1)
        names = [str(i) for i in range(rows.shape[1])]

        def one(block: Floats) -> None:
            for row in block:
                sample = dict(zip(names, row.tolist(), strict=True))
                trees.score_one(sample)
                trees.learn_one(sample)

        _row("river HalfSpaceTrees alone", _speed(one, rows[:500], 1), alone)
    if importlib.util.find_spec("pyod"):
        from pyod.models.iforest import IForest

        forest = IForest(n_estimators=100, random_state=1).fit(rows)
        _row("PyOD IForest alone, in blocks", _speed(forest.decision_function, rows, len(rows)), alone)
        _row("PyOD IForest alone, row by row", _speed(forest.decision_function, rows[:20], 1), alone)


def _runtimes(folder: Path, fitted: dict[str, Any], rows: Floats) -> None:
    """Each model in numpy, in onnxruntime and in what it was trained with, by rows at a time."""
    rows = np.nan_to_num(rows[:BLOCK])
    print("\nrows/s by rows at a time" + " " * 24 + "".join(f"{size:>11,}" for size in SIZES))
    for kind, reference in fitted.items():
        content = (folder / kind / MODEL).read_bytes()
        trees = Model.load(folder / kind).trees
        runs: dict[str, Callable[[Floats], object]] = {
            name: Session(content, trees=trees, runtime=name).run for name in runtimes_at_hand()
        }
        for name, run in {**runs, "scikit-learn or Keras": reference}.items():
            speeds = [
                max(_speed(run, rows[: size * max(1, 32 // size)], size) for _ in range(REPEATS))
                for size in SIZES
            ]
            print(f"{kind + ', ' + name:48}" + "".join(f"{speed:11,.0f}" for speed in speeds))
    print()


def _speed(score: Callable[[Floats], object], rows: Floats, block: int) -> float:
    score(rows[:block])
    started = time.perf_counter()
    for first in range(0, len(rows), block):
        score(rows[first : first + block])
    return len(rows) / (time.perf_counter() - started)


def _row(what: str, speed: float, alone: float) -> None:
    print(f"{what:35} {speed:10,.0f} rows/s   {speed / alone:.4f} of the trained models alone")


async def _live(configuration: Configuration, rate: int) -> tuple[float, float]:
    """Milliseconds from a frame's arrival to the end of its judgement, frame by frame at a live pace."""
    recording = open_recording(BUNDLED, ChannelMap())
    whole = next(iter(recording.blocks()))
    pipeline = Pipeline(configuration, recording.channels, "live", True)
    spent: list[float] = []
    begun = time.perf_counter()
    try:
        for k in range(min(rate * SECONDS_LIVE, len(whole))):
            await asyncio.sleep(max(0.0, begun + k / rate - time.perf_counter()))
            arrived = time.perf_counter()
            await pipeline.process(whole.slice(k, k + 1))
            spent.append((time.perf_counter() - arrived) * 1000)
    finally:
        pipeline.close()
    return float(np.percentile(spent[rate:], 50)), float(np.percentile(spent[rate:], 99))


def _start(config: Path, kinds: Sequence[str]) -> None:
    """Time and memory of a monitor that runs the models over one second of a recording."""
    head = config.with_name("head.csv")
    table = open_recording(BUNDLED, ChannelMap())
    values = next(iter(table.blocks())).values[:30]
    head.write_text("\n".join([",".join(table.channels.names), *(",".join(map(str, row)) for row in values)]))
    code = (
        "import sys\n"
        "from gridtop.commands.root import run\n"
        "run(sys.argv[1:])\n"
        "heavy = [n for n in ('sklearn', 'tensorflow', 'onnx') if n in sys.modules]\n"
        # Not getrusage: a child's largest size there begins with its parent's.
        "size = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(int(size) // 1024, heavy, file=sys.stderr)\n"
    )
    arguments = ["run", "-c", str(config), "--until-end", "--no-serve"]
    arguments += ["--set", assignment("source.path", str(head))]
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    last = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "?"
    print(
        f"start, 30 frames and end with {len(kinds)} models: {seconds:.2f} s; MiB and heavy imports: {last}"
    )


if __name__ == "__main__":
    main()
