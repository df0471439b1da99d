"""Writes the simulated microgrid: the readings as CSV, and beside them the events as JSON."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gridtop.errors import GridtopError
from gridtop.recordings.writing import replacing
from gridtop.simulation.microgrid import COLUMNS, STEP_S, Happening, Readings, readings
from gridtop.simulation.recording import events_path

START = "2026-06-01T00:00:00"
"""The time of the first row, UTC: midnight at the site, whose sun rises at six."""


def write_microgrid(path: Path, rows: int, happenings: Sequence[Happening] = (), seed: int = 1) -> None:
    """Write a recording (.csv or .csv.gz) and beside it the list of what happens (`events_path`).

    Raises GridtopError for another format, OSError when a file cannot be written.
    """
    if not path.name.endswith((".csv", ".csv.gz")):
        raise GridtopError(f"cannot write {path}: the name of a microgrid recording ends in .csv or .csv.gz")
    text = _csv(readings(rows, happenings, seed)).encode("ascii")
    with replacing(path) as file:
        # Compressed without name and date, so that the same text gives the same bytes.
        file.write(gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)
    with replacing(events_path(path)) as file:
        file.write(_event_list(happenings).encode("ascii"))


def _csv(recorded: Readings) -> str:
    times = np.datetime64(START, "s") + recorded.seconds.astype("timedelta64[s]")
    # Rounded here, so that nothing reads -0.0.
    rounded = np.column_stack(
        [recorded.values[:, i].round(decimals) + 0.0 for i, decimals in enumerate(COLUMNS.values())]
    )
    form = ",".join(f"%.{decimals}f" for decimals in COLUMNS.values())
    lines = [",".join(("Timestamp", *COLUMNS, "marker"))]
    for time, values, marker in zip(times.astype(str), rounded.tolist(), recorded.markers, strict=True):
        lines.append(f"{time}Z,{form % tuple(values)},{marker}")
    return "\n".join(lines) + "\n"


def _event_list(happenings: Sequence[Happening]) -> str:
    head = json.dumps({"start": f"{START}Z", "rate": 1 / STEP_S, "conditions": {}})
    lines = ",\n".join(json.dumps(happening.as_json()) for happening in happenings)
    return f'{head[:-1]}, "events": [\n{lines}\n]}}\n'
