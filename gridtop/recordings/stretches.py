"""A stretch of a recording: the frames that somebody means, by row, by time, or by both."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gridtop.blocks import Block
from gridtop.recordings.recording import Recording


@dataclass(frozen=True, slots=True)
class Stretch:
    """The rows from `start` up to `stop`, at times from `begin` up to `end`; None means no limit."""

    start: int = 0
    stop: int | None = None
    begin: np.datetime64 | None = None
    end: np.datetime64 | None = None

    def blocks(self, recording: Recording) -> Iterator[Block]:
        """The frames of the stretch; SourceError behind the last good one when the file goes wrong in it."""
        first = self._first(recording)
        for block in recording.blocks(first):
            stop = len(block) if self.stop is None else min(len(block), self.stop - block.row)
            if self.end is not None:
                stop = min(stop, int(np.searchsorted(block.time, self.end)))
            # `row_at` gives the last row for a time beyond the end.
            begin = 0 if self.begin is None else int(np.searchsorted(block.time, self.begin))
            if stop > begin:
                yield block.slice(begin, stop)
            if stop < len(block):
                return

    def frames(self, recording: Recording) -> int | None:
        """How many frames that are, None as long as nobody knows how far the recording reaches."""
        extent = recording.extent
        if extent is None:
            return None
        first, stop = self._first(recording), extent.frames
        if self.stop is not None:
            stop = min(stop, self.stop)
        if self.begin is not None and self.begin > extent.last:
            return 0
        if self.end is not None and self.end <= extent.last:
            stop = min(stop, recording.row_at(self.end))
        return max(0, stop - first)

    def _first(self, recording: Recording) -> int:
        return self.start if self.begin is None else max(self.start, recording.row_at(self.begin))
