"""How readings of one configuration become the columns that a stream began with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridtop.api import Quality
from gridtop.plugins.sources.c37118.channels import KINDS, Column, columns_of

if TYPE_CHECKING:
    from gridtop.naming import Columns
    from gridtop.synchrophasor.data import Readings
    from gridtop.synchrophasor.pmus import Configuration

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.uint16]


class Table:
    """The columns that one configuration has, out of those wanted.

    terminals   of its PMUs
    absent      how many of the columns in use it does not have
    rocofs      which columns are ROCOF
    layout      what the table was made for
    """

    layout: object = None

    def __init__(
        self,
        configuration: Configuration,
        terminals: tuple[str, ...],
        wanted: tuple[Column, ...],
        columns: Columns,
    ) -> None:
        self.terminals = terminals
        here = {column.key: column for column in columns_of(configuration, terminals)}
        found = [here.get(column.key) for column in wanted]
        used = set(columns.positions)
        self.absent = sum(column is None for i, column in enumerate(found) if i in used)
        self._width = len(wanted)
        self._parts = []
        for kind in KINDS:
            places = [(i, c.at, c.pmu) for i, c in enumerate(found) if c is not None and c.kind == kind]
            table = np.array(places, dtype=np.intp).reshape(-1, 3)
            self._parts.append((kind, table[:, 0], table[:, 1], table[:, 2]))
        self.rocofs = next(to for kind, to, _, _ in self._parts if kind == "rocof")

    def fill(self, readings: Readings) -> tuple[Floats, Flags]:
        """(n, c) values and flags of n readings."""
        from gridtop.synchrophasor.status import status_flags, time_flags

        shape = (len(readings), self._width)
        values, flags = np.full(shape, np.nan), np.zeros(shape, dtype=np.uint16)
        of_values, of_angles = status_flags(readings.status)
        of_angles |= time_flags(readings.time_quality)[:, np.newaxis]
        doubtful, unlocked = of_values.any(), of_angles.any()
        for kind, to, at, pmu in self._parts:
            if kind == "digital":
                words = readings.digital[:, at // 16]
                values[:, to] = words >> (at % 16).astype(np.uint16) & np.uint16(1)
                continue
            values[:, to] = getattr(readings, kind)[:, at]
            if kind == "status":
                continue
            if doubtful:
                flags[:, to] = of_values[:, pmu]
            if unlocked and kind == "angle":
                flags[:, to] |= of_angles[:, pmu]
        infinite = np.isinf(values)
        if infinite.any():
            values[infinite] = np.nan
            flags[infinite] |= np.uint16(Quality.INFINITE)
        missing = np.isnan(values) & ~infinite
        if missing.any():
            flags[missing] |= np.uint16(Quality.MISSING)
        if doubtful:
            values[(flags & np.uint16(Quality.BAD)) != 0] = np.nan
        return values, flags
