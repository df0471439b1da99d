"""How fast recordings are read: rows a second of a 129-column CSV, as a share of pandas reading it bare.

    python benchmarks/reading.py [rows]

The share is what counts; the figures themselves depend on the machine. Each is the best of five runs in
processor time, taken in turns, so that a busy machine disturbs them little.
"""

from __future__ import annotations

import gzip
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from gridtop.naming import ChannelMap
from gridtop.recordings import open_recording

RUNS = 5
TARGET = 0.7


def write_recording(path: Path, rows: int) -> None:
    """Four relays with 29 channels each, twelve logs and the marker, as in the public attack data."""
    random = np.random.default_rng(1)
    columns: dict[str, list[str]] = {}
    for relay in ("R1", "R2", "R3", "R4"):
        for number in range(1, 13):
            voltage = number <= 3 or 7 <= number <= 9
            letter, size, spread = ("V", 131_000.0, 500.0) if voltage else ("I", 390.0, 20.0)
            angles, magnitudes = random.uniform(-180, 180, rows), random.normal(size, spread, rows)
            columns[f"{relay}-PA{number}:{letter}H"] = [f"{angle:.6f}" for angle in angles]
            columns[f"{relay}-PM{number}:{letter}"] = [f"{magnitude:.4f}" for magnitude in magnitudes]
        for name, size in (("F", 60.0), ("DF", 0.0)):
            columns[f"{relay}:{name}"] = [f"{value:.3f}" for value in random.normal(size, 0.01, rows)]
        for name, size in (("Z", 10.0), ("ZH", 0.05)):
            columns[f"{relay}-PA:{name}"] = [f"{value:.8f}" for value in random.normal(size, 0.01, rows)]
        columns[f"{relay}:S"] = ["0"] * rows
    for log in ("control_panel_log{}", "relay{}_log", "snort_log{}"):
        columns |= {log.format(number): ["0"] * rows for number in range(1, 5)}
    columns["marker"] = [("Natural", "Attack")[k] for k in random.integers(0, 2, rows)]
    with path.open("w") as file:
        file.write(",".join(columns) + "\n")
        file.writelines(",".join(row) + "\n" for row in zip(*columns.values(), strict=True))


def read_with_pandas(path: Path) -> int:
    """Nothing but pandas, in chunks of about the same size."""
    with pd.read_csv(path, chunksize=4000) as chunks:
        return sum(len(chunk) for chunk in chunks)


def seconds(readers: dict[str, Callable[[], int]], rows: int) -> dict[str, float]:
    """The best time of each reader."""
    best = dict.fromkeys(readers, float("inf"))
    for _ in range(RUNS):
        for name, reader in readers.items():
            started = time.process_time()
            if reader() != rows:
                raise SystemExit(f"{name}: rows were lost")
            best[name] = min(best[name], time.process_time() - started)
    return best


def main() -> None:
    """Write the files, read them, print the figures."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 30_000
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "recording.csv"
        write_recording(plain, rows)
        packed = Path(folder) / "recording.csv.gz"
        packed.write_bytes(gzip.compress(plain.read_bytes(), compresslevel=6))
        recording = open_recording(plain, ChannelMap())
        packed_recording = open_recording(packed, ChannelMap())
        best = seconds(
            {
                "pandas alone": lambda: read_with_pandas(plain),
                "recording": lambda: sum(map(len, recording.blocks())),
                "recording, opened": lambda: sum(map(len, open_recording(plain, ChannelMap()).blocks())),
                "recording, gzip": lambda: sum(map(len, packed_recording.blocks())),
            },
            rows,
        )
    for name, duration in best.items():
        print(f"{name:<20} {rows / duration:>10,.0f} rows/s   {best['pandas alone'] / duration:.2f}")
    print(
        f"target: a recording at {TARGET} of pandas alone or better; opened = with header, checks and extent"
    )


if __name__ == "__main__":
    main()
