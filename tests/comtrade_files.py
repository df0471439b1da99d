"""Small COMTRADE records for tests, written as text and bytes by hand."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

ANALOG = "{number},{name},{phase},{place},{unit},1,0,0,-32767,32767,1,1,P"
START = "02/01/2026,03:04:05.000000"


def analog(number: int, name: str, phase: str = "", unit: str = "V", place: str = "Bay") -> str:
    """The line of an analog channel whose values are written as they are."""
    return ANALOG.format(number=number, name=name, phase=phase, unit=unit, place=place)


def cfg(
    analogs: Sequence[str],
    digitals: Sequence[str] = (),
    *,
    first: str = "Station,Relay,1999",
    frequency: str = "50",
    rates: Sequence[str] = ("1", "1000,3"),
    start: str = START,
    encoding: str = "ASCII",
    rest: Sequence[str] = ("1",),
) -> str:
    """A CFG, one line for each line of the standard."""
    counts = f"{len(analogs) + len(digitals)},{len(analogs)}A,{len(digitals)}D"
    lines = [first, counts, *analogs, *digitals, frequency, *rates, start, START, encoding, *rest]
    return "\r\n".join(lines) + "\r\n"


def put(folder: Path, configuration: str | bytes, data: str | bytes, name: str = "r") -> Path:
    """Write both files of a record; the path of its CFG."""
    path = folder / f"{name}.cfg"
    path.write_bytes(configuration if isinstance(configuration, bytes) else configuration.encode())
    (folder / f"{name}.dat").write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def packed(kind: str, rows: Sequence[Sequence[float]], words: Sequence[Sequence[int]] | None = None) -> bytes:
    """Binary samples: `kind` is h, i or f; `words` are the status words of each sample."""
    statuses = words or [()] * len(rows)
    return b"".join(
        struct.pack(f"<II{len(row)}{kind}{len(bits)}H", number, number * 1000, *row, *bits)
        for number, (row, bits) in enumerate(zip(rows, statuses, strict=True), start=1)
    )


def wave_record(
    folder: Path, waves: dict[str, np.ndarray], rate: float, frequency: str = "50", **settings: object
) -> Path:
    """A FLOAT32-free, exact record of waves: ASCII with all digits; names give phase and unit (VA, IB)."""
    lines = [
        analog(i, name, name[-1], "A" if name.startswith("I") else "V")
        for i, name in enumerate(waves, start=1)
    ]
    columns = np.column_stack(list(waves.values()))
    data = "".join(f"{i},{i},{','.join(map(repr, row))}\n" for i, row in enumerate(columns.tolist(), start=1))
    rates = ("1", f"{rate!r},{len(columns)}")
    return put(folder, cfg(lines, frequency=frequency, rates=rates, **settings), data)  # type: ignore[arg-type]
