"""Writing recordings: what every format of an export shares, and files that appear only when complete."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol

from gridtop.blocks import Block


class FrameWriter(Protocol):
    """A recording that is being written."""

    def write(self, block: Block) -> None:
        """Append the frames of a block."""


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path` when all went well, and else leaves no trace."""
    partial = partial_of(path)
    partial.unlink(missing_ok=True)  # what a process that was killed has left
    try:
        with partial.open("xb") as file:  # never through a link that somebody has put there
            yield file
        partial.replace(path)
    finally:
        remove_partial(path)


def remove_partial(path: Path) -> None:
    """Remove what a process that was killed has left of a file that it was writing with `replacing`."""
    with suppress(OSError):
        partial_of(path).unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """The file that is written instead of `path` until it is complete."""
    return path.with_name(f".{path.name}.part")
