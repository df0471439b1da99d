"""Writes a whole gridtop recording at once, for an export: it appears only when it is complete."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.recordings.native_writing import RecordingWriter
from gridtop.recordings.writing import FrameWriter, partial_of, remove_partial

_UNBOUNDED = 100_000_000
"""Megabytes that are more than SQLite can have."""


class _Whole:
    """A writer that is given one block after the other."""

    def __init__(self, writer: RecordingWriter) -> None:
        self._writer = writer

    def write(self, block: Block) -> None:
        """Append the frames of a block."""
        try:
            self._writer.write([block])
        except sqlite3.Error as error:
            raise OSError(str(error)) from error


@contextmanager
def recording_writer(path: Path, channels: ChannelSet) -> Iterator[FrameWriter]:
    """A recording without bounds that takes the place of `path` when all went well, and else leaves no trace.

    OSError when it cannot be written.
    """
    partial = partial_of(path)
    remove_partial(path)
    try:
        writer = RecordingWriter(partial, channels, size_mb=_UNBOUNDED)
        try:
            yield _Whole(writer)
        finally:
            writer.close()
        partial.replace(path)
    finally:
        remove_partial(path)
