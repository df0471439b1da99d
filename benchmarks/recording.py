"""What recording live data takes: of a core, of the disk, and to read it again, against CSV and Parquet.

    python benchmarks/recording.py [seconds of data]

100 PMUs with 14 channels each (six phasors in polar form, frequency and ROCOF, as C37.118 sends them in
single precision) at 60 frames/s, in blocks of 100 ms with a commit each second. CSV and Parquet are written
from the same blocks in the same run, in the same place. Figures are processor time, the best of three; what
counts are the ratios. The Parquet file is written at once, as it cannot be read before its end is there.
"""

from __future__ import annotations

import csv
import math
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gridtop.blocks import Block
from gridtop.channels import Channel, ChannelSet
from gridtop.naming import ChannelMap
from gridtop.recordings import open_recording
from gridtop.recordings.native_writing import RecordingWriter
from gridtop.recordings.table_writing import csv_writer, parquet_writer

PMUS, RATE, PER_BLOCK, PER_COMMIT = 100, 60, 6, 10
RUNS = 3


def blocks_of(seconds: int) -> list[Block]:
    """Slowly wandering phasors with noise of an instrument's size."""
    random = np.random.default_rng(1)
    n = seconds * RATE
    names = ("VA", "VB", "VC", "IA", "IB", "IC")
    channels, columns = [], []
    for pmu in range(1, PMUS + 1):
        swing = np.cumsum(random.normal(0, 1e-5, n))
        turn = np.cumsum(random.normal(0.36, 0.01, n))
        for k, name in enumerate(names):
            quantity, unit, size = ("voltage", "V", 132e3) if k < 3 else ("current", "A", 400.0)
            channels.append(Channel(f"R{pmu}-{name}:M", quantity, unit, f"R{pmu}", name[1], "magnitude"))
            columns.append(size * (1 + swing + random.normal(0, 2e-5, n)))
            channels.append(Channel(f"R{pmu}-{name}:A", quantity, "deg", f"R{pmu}", name[1], "angle"))
            columns.append((turn - 120 * k + random.normal(0, 0.01, n) + 180) % 360 - 180)
        channels.append(Channel(f"R{pmu}:F", "frequency", "Hz", f"R{pmu}"))
        columns.append(60 + 100 * swing + random.normal(0, 5e-4, n))
        channels.append(Channel(f"R{pmu}:DF", "rocof", "Hz/s", f"R{pmu}"))
        columns.append(random.normal(0, 0.01, n))
    values = np.array(columns).T.astype(np.float32).astype(np.float64, order="C")
    step = np.timedelta64(1_000_000_000 // RATE, "ns")
    times = np.datetime64("2026-01-01", "ns") + np.arange(n) * step
    found = ChannelSet(tuple(channels), float(RATE))
    return [
        Block(found, times[at : at + PER_BLOCK], values[at : at + PER_BLOCK], row=at)
        for at in range(0, n, PER_BLOCK)
    ]


def write_recording(path: Path, blocks: list[Block]) -> None:
    """As the recorder does it: ten blocks a commit."""
    path.unlink(missing_ok=True)
    writer = RecordingWriter(path, blocks[0].channels, size_mb=100_000)
    for at in range(0, len(blocks), PER_COMMIT):
        writer.write(blocks[at : at + PER_COMMIT])
    writer.close()


def write_csv(path: Path, blocks: list[Block]) -> None:
    """The export's writer, for every digit."""
    with csv_writer(path, blocks[0].channels, ()) as writer:
        for block in blocks:
            writer.write(block)


def write_plain_csv(path: Path, blocks: list[Block]) -> None:
    """What a script does: one row after the other."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["time", *blocks[0].channels.names])
        for block in blocks:
            for instant, row in zip(block.time, block.values.tolist(), strict=True):
                rows.writerow([instant, *row])
            file.flush()


def write_parquet(path: Path, blocks: list[Block]) -> None:
    """The export's writer."""
    with parquet_writer(path, blocks[0].channels, ()) as writer:
        for block in blocks:
            writer.write(block)


def frames_in(path: Path) -> int:
    """All frames, read as the replay reads them."""
    return sum(map(len, open_recording(path, ChannelMap()).blocks()))


def seconds_of(work: Callable[[], object]) -> float:
    """The best processor time of some runs."""
    best = math.inf
    for _ in range(RUNS):
        started = time.process_time()
        work()
        best = min(best, time.process_time() - started)
    return best


def main() -> None:
    """Write, compare, read, print."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    blocks = blocks_of(seconds)
    values = sum(block.values.size for block in blocks)
    frames = sum(map(len, blocks))
    print(f"{seconds} s of {PMUS} PMUs x {len(blocks[0].channels) // PMUS} channels at {RATE} frames/s\n")
    print(f"{'':<22}{'share of a core':>16}{'':>8}{'bytes/value':>13}{'':>8}{'read frames/s':>15}{'':>8}")
    ways: dict[str, tuple[str, Callable[[Path, list[Block]], None]]] = {
        "recording": ("x.gridtop", write_recording),
        "CSV, row by row": ("plain.csv", write_plain_csv),
        "CSV, exported": ("x.csv", write_csv),
        "CSV, gzip": ("x.csv.gz", write_csv),
    }
    try:
        import pyarrow  # noqa: F401

        ways["Parquet"] = ("x.parquet", write_parquet)
    except ImportError:
        print("without pyarrow there is no Parquet to compare with")
    first: tuple[float, float, float] | None = None
    with tempfile.TemporaryDirectory() as folder:
        for name, (file, write) in ways.items():
            path = Path(folder) / file
            wrote = seconds_of(lambda path=path, write=write: write(path, blocks))  # type: ignore[misc]
            if frames_in(path) != frames:
                raise SystemExit(f"{name}: frames were lost")
            read = seconds_of(lambda path=path: frames_in(path))  # type: ignore[misc]
            size = path.stat().st_size / values
            first = first or (wrote, size, read)
            print(
                f"{name:<22}{wrote / seconds:>16.2%}{wrote / first[0]:>7.1f}x{size:>13.2f}"
                f"{size / first[1]:>7.1f}x{frames / read:>15,.0f}{read / first[2]:>7.1f}x"
            )
    print("\nx: how many times what the recording takes")


if __name__ == "__main__":
    main()
