"""What kind of file a recording is, by its name and first bytes, and files of rows opened."""

from __future__ import annotations

import difflib
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

from gridtop.errors import SourceError
from gridtop.naming import Columns
from gridtop.recordings.native_tables import HEADER_BYTES, is_recording, is_sqlite
from gridtop.recordings.tables import Span, Table
from gridtop.text import clean

Kind = Literal["COMTRADE", "Parquet", "CSV", "CSV, gzip", "gridtop"]

_PARQUET_MAGIC = b"PAR1"
_GZIP_MAGIC = b"\x1f\x8b"
_COMTRADE_SUFFIXES = (".cfg", ".dat", ".cff")


class TableFile(Protocol):
    """A file of rows. Each method raises SourceError when the file is damaged or is not a table."""

    names: tuple[str, ...]
    """The columns, as the file calls them."""

    def head(self, columns: Columns, size: int) -> Table | None:
        """The first rows, about `size` bytes of them; None when there are none."""

    def tables(self, columns: Columns, row: int = 0) -> Iterator[Table]:
        """All rows from a known place at or before `row` on."""

    def spans(self, columns: Columns, row: int = 0) -> Iterator[Span]:
        """The same rows in stretches, counted but not read."""


def kind_of(path: Path) -> Kind:
    """What kind of file this is; SourceError when there is none, it cannot be read, or its name lies."""
    header = _first_bytes(path)
    if is_recording(header):
        return "gridtop"
    if is_sqlite(header):
        raise SourceError(f"{clean(path.name)}: this is a SQLite database, but no recording of gridtop")
    if path.suffix.lower() in _COMTRADE_SUFFIXES:
        return "COMTRADE"
    if header.startswith(_PARQUET_MAGIC):
        return "Parquet"
    if path.suffix == ".parquet":
        raise SourceError(f"{clean(path.name)}: this is not a Parquet file")
    return "CSV, gzip" if header.startswith(_GZIP_MAGIC) else "CSV"


def open_table(path: Path, kind: Kind, piece_bytes: int, names: Sequence[str] | None = None) -> TableFile:
    """Open a file of rows, text of which is read in pieces; `names` are of a CSV file without a header.

    Raises SourceError when it is damaged or is not a table.
    """
    if kind == "Parquet":
        from gridtop.recordings.parquet import ParquetFile

        return ParquetFile(path)
    from gridtop.recordings.csv_tables import CsvFile

    return CsvFile(path, piece_bytes, names)


def _first_bytes(path: Path) -> bytes:
    """The first 100 bytes of a file; SourceError when there is no such file or it cannot be read."""
    shown = clean(str(path), longest=1000)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise SourceError(f"{shown} is a folder; name a recording in it")
        if not stat.S_ISREG(mode):
            raise SourceError(f"{shown} is not a file")
        with path.open("rb") as file:
            return file.read(HEADER_BYTES)
    except FileNotFoundError:
        raise SourceError(f"{shown}: no such file{_near_names(path)}") from None
    except PermissionError:
        raise SourceError(f"{shown}: no permission to read it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise SourceError(f"{shown}: {getattr(error, 'strerror', None) or error}") from None


def _near_names(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return f" (there is no folder {clean(str(path.parent))})"
    near = difflib.get_close_matches(path.name, names, n=3)
    return f"; did you mean {' or '.join(clean(name) for name in near)}?" if near else ""
