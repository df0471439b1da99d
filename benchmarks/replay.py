"""Headless replay with limits on all voltage, current and frequency channels, as a share of reading alone,
and what a journal on disk costs it.

Both run over the same recording in the same process: first the recording is only read, then it is replayed
at full speed through quantities and alarm rules, by turns with events in memory and with a journal and a
sink that is owed each of them. Prints rows/s and the ratios.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from gridtop.config import assignment, load
from gridtop.monitor import Monitor
from gridtop.naming import ChannelMap
from gridtop.recordings import open_recording

REPEATS = 3
COPIES = 16

LIMITS = """\
source: {type: replay, path: unset, speed: max}
site: {nominal: {voltage_ll: 230 kV, frequency: 60 Hz}}
limits:
  voltage: {on: "*:voltage_pu", low: {warning: 0.95, critical: 0.9}, high: {warning: 1.05, critical: 1.1}}
  current: {on: ["R*-PM4:I", "R*-PM5:I", "R*-PM6:I"], high: {warning: 700, critical: 1000}, deadband: 40}
  frequency: {on: "*:frequency_deviation", abs: {warning: 0.05, critical: 0.5}, deadband: 0.02}
"""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        recording = _longer_recording(Path(folder))
        config = Path(folder) / "config.yaml"
        config.write_text(LIMITS)
        reading = max(_read(recording) for _ in range(REPEATS))
        replaying = kept = 0.0
        for turn in range(REPEATS):
            replaying = max(replaying, asyncio.run(_replay(config, recording)))
            journal = [assignment("journal.path", f"{folder}/{turn}.db")]
            journal += [f"sinks.log={{type: jsonl, path: {folder}/log}}"]
            kept = max(kept, asyncio.run(_replay(config, recording, journal)))
    print(f"reading alone           {reading:10,.0f} rows/s")
    print(f"replay with 28 limits   {replaying:10,.0f} rows/s")
    print(f"share                   {replaying / reading:10.2f}")
    print(f"with journal and sink   {kept:10,.0f} rows/s   {kept / replaying:.2f} of without")


def _longer_recording(folder: Path) -> Path:
    """The bundled recording several times over, without its times (they would repeat), as plain CSV."""
    bundled = Path(__file__).parent.parent / "data" / "two-line.csv.gz"
    with gzip.open(bundled, "rt") as file:
        header, *rows = (line.partition(",")[2] for line in file)
    path = folder / "long.csv"
    with path.open("w") as out:
        out.write(header)
        for _ in range(COPIES):
            out.writelines(rows)
    return path


def _read(path: Path) -> float:
    started = time.perf_counter()
    rows = sum(len(block) for block in open_recording(path, ChannelMap({}), 30.0).blocks())
    return rows / (time.perf_counter() - started)


async def _replay(config: Path, recording: Path, overrides: Sequence[str] = ()) -> float:
    overrides = [assignment("source.path", str(recording)), *overrides]
    configuration = load(config, overrides=overrides, environment=os.environ)
    monitor = Monitor(configuration, stop_at_end=True, keep_history=False)
    started = time.perf_counter()
    await monitor.run()
    return monitor.snapshot().counts.frames / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
