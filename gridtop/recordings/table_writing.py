"""Writes frames as CSV, plain or gzip, or as Parquet, so that they read back to the digit."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from gridtop.blocks import Block, Quality, Times
from gridtop.channels import ChannelSet
from gridtop.errors import GridtopError
from gridtop.recordings.writing import FrameWriter, replacing

_TIME_NAMES = ("time", "timestamp", "datetime", "time_utc", "utc")
_GROUP_FRAMES = 16_384


def time_name(channels: ChannelSet, labels: Sequence[str]) -> str | None:
    """What the time column is called, None for frames without a clock."""
    if channels.clock == "row":
        return None
    taken = {name.lower() for name in (*channels.names, *labels)}
    return next((name for name in _TIME_NAMES if name not in taken), "epoch")


@contextmanager
def csv_writer(path: Path, channels: ChannelSet, labels: Sequence[str]) -> Iterator[FrameWriter]:
    """A CSV file, packed when the name ends in .gz; the same frames give the same bytes."""
    with replacing(path) as raw:
        packed: Any = raw
        if path.name.lower().endswith(".gz"):
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6)
        with packed, io.TextIOWrapper(packed, encoding="utf-8", newline="") as text:
            yield _Csv(text, channels, labels)


class _Csv:
    """Numbers in the shortest form that reads back as the same; an empty cell has no value."""

    def __init__(self, file: io.TextIOBase, channels: ChannelSet, labels: Sequence[str]) -> None:
        self._labels = labels
        self._time = time_name(channels, labels)
        self._rows = csv.writer(file, lineterminator="\n")
        self._rows.writerow([*([self._time] if self._time else []), *channels.names, *labels])

    def write(self, block: Block) -> None:
        """Append the frames of a block."""
        cells = block.values.astype(object)
        cells[np.isnan(block.values)] = ""
        if block.quality is not None:
            cells[(block.quality & np.uint16(Quality.INFINITE)) != 0] = "inf"
        columns: list[Sequence[object]] = [_texts(block.time)] if self._time else []
        columns += list(cells.T)
        columns += [block.labels[name].tolist() for name in self._labels]
        self._rows.writerows(zip(*columns, strict=True))


@contextmanager
def parquet_writer(path: Path, channels: ChannelSet, labels: Sequence[str]) -> Iterator[FrameWriter]:
    """A Parquet file; GridtopError when pyarrow is not installed."""
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise GridtopError(
            f'cannot write {path}: Parquet needs pyarrow: pip install "gridtop[parquet]"'
        ) from None
    with replacing(path) as raw:
        table = _Parquet(arrow, parquet, raw, channels, labels)
        yield table
        table.close()


class _Parquet:
    def __init__(
        self, arrow: Any, parquet: Any, file: IO[bytes], channels: ChannelSet, labels: Sequence[str]
    ) -> None:
        self._arrow, self._labels = arrow, labels
        self._time = time_name(channels, labels)
        fields = [(self._time, arrow.timestamp("ns", tz="UTC"))] if self._time else []
        fields += [(name, arrow.float64()) for name in channels.names]
        fields += [(name, arrow.string()) for name in labels]
        self._schema = arrow.schema(fields)
        self._file = parquet.ParquetWriter(file, self._schema)
        self._waiting: list[Any] = []
        self._frames = 0

    def write(self, block: Block) -> None:
        """Append the frames of a block; a row group is written when it is full."""
        arrow = self._arrow
        arrays = [arrow.array(block.time, self._schema.field(0).type)] if self._time else []
        values = block.values
        if block.quality is not None:
            values = np.where(block.quality & np.uint16(Quality.INFINITE), np.inf, values)
        arrays += [arrow.array(column, from_pandas=True) for column in values.T]
        arrays += [arrow.array(block.labels[name].tolist(), arrow.string()) for name in self._labels]
        self._waiting.append(arrow.record_batch(arrays, schema=self._schema))
        self._frames += len(block)
        if self._frames >= _GROUP_FRAMES:
            self._flush()

    def close(self) -> None:
        """Write what is left and the end of the file."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._waiting:
            table = self._arrow.Table.from_batches(self._waiting, self._schema)
            self._file.write_table(table, row_group_size=_GROUP_FRAMES)
        self._waiting, self._frames = [], 0


def _texts(times: Times) -> list[str]:
    """ISO 8601, to the nanosecond where that says something."""
    texts = np.datetime_as_string(times, unit="ns").tolist()
    return [f"{text.rstrip('0').rstrip('.')}Z" for text in texts]
