"""Writes what a simulation reads: the frames as CSV or Parquet, and beside them the events as JSON."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from gridtop.errors import GridtopError
from gridtop.recordings.writing import replacing
from gridtop.simulation.instruments import COLUMNS, DECIMALS, NUMERIC_COLUMNS
from gridtop.simulation.occurrences import Occurrence, spoofed_relays
from gridtop.simulation.testbed import Frames, Simulation

START = "2026-01-01T00:00:00"
"""The time of the first frame, UTC: a simulated recording has no date of its own."""
FORMATS = (".csv", ".csv.gz", ".parquet")
Labels = Literal["marker", "full"]
"""`marker` is the layout of the public data; `full` adds the columns `phase` and `spoofed`."""

_PORTION = 300
"""Frames between two reports of progress."""
_ROW_GROUP = 18_000
"""Frames in a row group of Parquet: ten minutes at 30 frames/s."""


class Table(Protocol):
    """A file of frames that is being written."""

    def write(self, frames: Frames) -> None:
        """Append frames."""


def write_recording(
    path: Path,
    simulation: Simulation,
    frames: int,
    *,
    labels: Labels = "marker",
    start: np.datetime64 | None = None,
    progress: Callable[[int], object] = lambda frames: None,
) -> None:
    """Read `frames` rows from a simulation into a recording, and its events into `events_path(path)`.

    Both take their place when they are complete, the recording last; `start` is the time of the first
    frame. Raises GridtopError for a format there is not, OSError when a file cannot be written.
    """
    first = np.datetime64(START, "us") if start is None else start
    occurrences: list[Occurrence] = []
    with _table(path, labels, first) as table:
        for done in range(0, frames, _PORTION):
            portion = simulation.read(min(_PORTION, frames - done))
            table.write(portion)
            occurrences += portion.occurrences
            progress(len(portion))
        document = event_list(occurrences, simulation, first)
        with replacing(events_path(path)) as raw:
            raw.write(document.encode("ascii"))


def events_path(path: Path) -> Path:
    """Where the events of a recording are listed: `two-line.events.json` for `two-line.csv.gz`."""
    stem = next((path.name.removesuffix(end) for end in FORMATS[::-1] if path.name.endswith(end)), path.name)
    return path.with_name(f"{stem}.events.json")


def event_list(occurrences: Iterable[Occurrence], simulation: Simulation, start: np.datetime64) -> str:
    """The JSON document: when the recording starts, what it was made under, and one line an event."""
    head = json.dumps(
        {"start": f"{start}Z", "rate": simulation.rate, "conditions": conditions_json(simulation)},
        allow_nan=False,
    )
    lines = ",\n".join(json.dumps(happened.as_json(), allow_nan=False) for happened in occurrences)
    return f'{head[:-1]}, "events": [\n{lines}\n]}}\n'


def conditions_json(simulation: Simulation) -> dict[str, Any]:
    """The conditions of a run as plain values: complex numbers as [real, imaginary], infinities as null."""
    conditions = dataclasses.asdict(dataclasses.replace(simulation.conditions, grid=simulation.grid))
    plain: dict[str, Any] = _plain(conditions)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, complex):
        return [value.real, value.imag]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_format(path: Path) -> None:
    """Raises GridtopError unless the name ends in one of `FORMATS` and what that needs is installed."""
    if not path.name.endswith(FORMATS):
        raise GridtopError(f"cannot write {path}: its name must end in .csv, .csv.gz or .parquet")
    if path.suffix == ".parquet" and not parquet_installed():
        raise GridtopError(f'cannot write {path}: Parquet needs pyarrow: pip install "gridtop[parquet]"')


def parquet_installed() -> bool:
    """Whether there is a pyarrow."""
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


def _table(path: Path, labels: Labels, start: np.datetime64) -> AbstractContextManager[Table]:
    check_format(path)
    return (_parquet if path.suffix == ".parquet" else _csv)(path, labels, start)


@contextmanager
def _csv(path: Path, labels: Labels, start: np.datetime64) -> Iterator[Table]:
    with replacing(path) as raw:
        packs = path.suffix == ".gz"
        # Compressed without name and date, so that the same text gives the same bytes.
        packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) if packs else raw
        with packed, io.TextIOWrapper(packed, encoding="ascii", newline="") as text:
            yield _Csv(text, labels, start)


class _Csv:
    """Lines of CSV, at the resolution of the instruments; an empty cell has no value."""

    def __init__(self, file: io.TextIOBase, labels: Labels, start: np.datetime64) -> None:
        self._file = file
        self._labels = labels
        self._start = start
        self._form = ",".join(f"%.{decimals}f" for decimals in DECIMALS.values())
        file.write(",".join(("time", *COLUMNS, *(("phase", "spoofed") if labels == "full" else ()))) + "\n")

    def write(self, frames: Frames) -> None:
        """Append frames."""
        texts = (self._start + frames.time).astype(str), *_label_columns(frames, self._labels).values()
        for values, time, *labels in zip(frames.values.tolist(), *texts, strict=True):
            numbers = (self._form % tuple(values)).replace("nan", "")
            self._file.write(f"{time}Z,{numbers},{','.join(labels)}\n")


@contextmanager
def _parquet(path: Path, labels: Labels, start: np.datetime64) -> Iterator[Table]:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    texts = ("marker", "phase", "spoofed") if labels == "full" else ("marker",)
    schema = arrow.schema(
        [
            ("time", arrow.timestamp("us", tz="UTC")),
            *((name, arrow.float64()) for name in NUMERIC_COLUMNS),
            *((name, arrow.string()) for name in texts),
        ]
    )
    with (
        replacing(path) as raw,
        parquet.ParquetWriter(raw, schema, compression="zstd", compression_level=1) as writer,
    ):
        table = _Parquet(writer, schema, labels, start)
        yield table
        table.flush()


class _Parquet:
    """Row groups of Parquet: columns of doubles, as the instruments report them."""

    def __init__(self, writer: Any, schema: Any, labels: Labels, start: np.datetime64) -> None:
        self._writer = writer
        self._schema = schema
        self._labels = labels
        self._start = start
        self._waiting: list[Frames] = []

    def write(self, frames: Frames) -> None:
        """Append frames."""
        self._waiting.append(frames)
        if sum(map(len, self._waiting)) >= _ROW_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what waits for its row group to be full."""
        import pyarrow as arrow

        if not self._waiting:
            return
        columns: list[Any] = [self._start + np.concatenate([frames.time for frames in self._waiting])]
        # NaN is a missing value, which Parquet calls null.
        values = np.concatenate([frames.values for frames in self._waiting])
        columns += [arrow.array(column, from_pandas=True) for column in values.T]
        labels = [_label_columns(frames, self._labels) for frames in self._waiting]
        columns += [np.concatenate([texts[name] for texts in labels]) for name in labels[0]]
        arrays = [
            arrow.array(column, type=field.type) for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(arrow.Table.from_arrays(arrays, schema=self._schema))
        self._waiting = []


def _label_columns(frames: Frames, labels: Labels) -> dict[str, Any]:
    columns = {"marker": frames.labels}
    if labels == "full":
        columns |= {"phase": frames.phases, "spoofed": spoofed_relays(frames.spoofed)}
    return columns
