"""Recordings in Parquet, read with pyarrow batch by batch; needs the extra `parquet`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gridtop.blocks import Times
from gridtop.errors import SourceError
from gridtop.naming import Columns
from gridtop.recordings.tables import Span, Table, TimeCells, table_of
from gridtop.text import clean

_BATCH_ROWS = 4096


class ParquetFile:
    """A Parquet file whose schema has been read: `names` are its columns.

    Raises SourceError when pyarrow is missing, and, here and from every method, when the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow as arrow
            import pyarrow.parquet as parquet
        except ImportError:
            raise SourceError('reading Parquet needs pyarrow: pip install "gridtop[parquet]"') from None
        self._shown = clean(path.name)
        self._arrow: Any = arrow
        self._failures = (arrow.ArrowException, OSError)
        try:
            self._file: Any = parquet.ParquetFile(path)
        except self._failures as error:
            raise self._damaged(error) from None
        self.names = tuple(self._file.schema_arrow.names)
        sizes = [self._file.metadata.row_group(i).num_rows for i in range(self._file.num_row_groups)]
        self._group_rows = np.cumsum([0, *sizes])
        """The number of the first row of each row group, and behind them the number of rows."""

    def head(self, columns: Columns, size: int) -> Table | None:
        """The first batch of rows, whatever its size; None when there are none."""
        return next(self.tables(columns), None)

    def tables(self, columns: Columns, row: int = 0) -> Iterator[Table]:
        """All rows from the row group that holds `row` on."""
        positions = {*columns.positions, *columns.labels.values()}
        positions |= {columns.time.position} if columns.time else set()
        for first, batch in self._batches(positions, row):
            yield table_of(
                first,
                batch.num_rows,
                [self._numeric_cells(batch.column(self.names[position])) for position in columns.positions],
                self._time_cells(batch, columns),
                {name: _texts(batch.column(self.names[p])) for name, p in columns.labels.items()},
            )

    def spans(self, columns: Columns, row: int = 0) -> Iterator[Span]:
        """The same rows, of which no more than the times are read."""
        for first, batch in self._batches({columns.time.position if columns.time else 0}, row):
            cells = self._time_cells(batch, columns)
            if isinstance(cells, np.ndarray):
                cells = cells[[0, -1]]
            elif cells is not None:
                cells = [cells[0], cells[-1]]
            yield Span(first, batch.num_rows, 0, cells)

    def _batches(self, positions: set[int], row: int) -> Iterator[tuple[int, Any]]:
        """Record batches of some columns, and the number of each one's first row."""
        group = max(0, int(np.searchsorted(self._group_rows, row, side="right")) - 1)
        first = int(self._group_rows[group])
        groups = range(group, self._file.num_row_groups)
        names = [self.names[position] for position in sorted(positions or {0})]
        try:
            for batch in self._file.iter_batches(_BATCH_ROWS, row_groups=groups, columns=names):
                if batch.num_rows:
                    yield first, batch
                first += batch.num_rows
        except self._failures as error:
            raise self._damaged(error) from None

    def _numeric_cells(self, cells: Any) -> npt.NDArray[Any] | list[object]:
        types = self._arrow.types
        kind = cells.type
        if types.is_floating(kind) or (types.is_integer(kind) and not cells.null_count):
            # Whoever puts the columns side by side makes them float64 on the way; nulls are NaN.
            numbers: npt.NDArray[Any] = cells.to_numpy(zero_copy_only=False)
            return numbers
        if types.is_boolean(kind) or types.is_integer(kind) or types.is_decimal(kind):
            values: npt.NDArray[np.float64] = cells.cast("float64", safe=False).to_numpy(zero_copy_only=False)
            return values
        return list(cells.to_pylist())

    def _time_cells(self, batch: Any, columns: Columns) -> TimeCells | None:
        if columns.time is None:
            return None
        cells = batch.column(self.names[columns.time.position])
        types = self._arrow.types
        if types.is_integer(cells.type) or types.is_floating(cells.type):
            numbers: npt.NDArray[np.number] = cells.to_numpy(zero_copy_only=False)
            return numbers
        if types.is_timestamp(cells.type) or types.is_date(cells.type):
            times: Times = cells.to_numpy(zero_copy_only=False).astype("datetime64[ns]")
            return times
        return _texts(cells)

    def _damaged(self, error: Exception) -> SourceError:
        return SourceError(f"{self._shown}: the Parquet data is damaged ({clean(str(error))})")


def _texts(cells: Any) -> list[str]:
    return ["" if cell is None else str(cell) for cell in cells.to_pylist()]
