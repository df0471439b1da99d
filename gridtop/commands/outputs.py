"""What commands that write files have in common: nothing is overwritten unasked, and a bar shows progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from gridtop.errors import GridtopError

_OF_COMTRADE = (".cfg", ".dat")


def spare(force: bool, *written: Path, recording: Path | None = None) -> None:
    """Overwrite nothing unasked, and never the `recording` that is read; GridtopError says so."""
    read = set(_files_of(recording)) if recording is not None else set()
    for path in written:
        if path.resolve() in read:
            raise GridtopError(f"{path} is the recording itself; write to another name")
        if path.exists() and not force:
            raise GridtopError(f"{path} exists already; add --force to overwrite it")


def _files_of(recording: Path) -> Iterable[Path]:
    """The file, and of a COMTRADE record the one beside it."""
    yield recording.resolve()
    if recording.suffix.lower() in _OF_COMTRADE:
        for end in _OF_COMTRADE:
            yield recording.with_suffix(end).resolve()
            yield recording.with_suffix(end.upper()).resolve()


@contextmanager
def progress_bar(label: str, length: int | None) -> Iterator[Callable[[int], object]]:
    """What is to be told of every few more that are done, of `length`; None: nobody knows how many.

    Nobody wants a progress bar in a log file.
    """
    if not length or not sys.stderr.isatty():
        yield lambda done: None
        return
    with click.progressbar(length=length, label=label, file=sys.stderr) as bar:
        yield bar.update
