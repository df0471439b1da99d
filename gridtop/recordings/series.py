"""The files of one recording: `x.gridtop`, and where time went back `x-2.gridtop` and so on beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from gridtop.blocks import Block
from gridtop.errors import GridtopError
from gridtop.recordings.native_writing import RecordingWriter

MOST_FILES = 20
"""Of one series, so that a clock that leaps for ever does not fill the disk."""

_FEWEST = 3
_SECOND = np.timedelta64(1, "s")

OpenWriter = Callable[[Path, np.datetime64 | None], RecordingWriter]
"""Makes or reopens a file; with a time, only one whose frames are all older."""


class NoFileError(Exception):
    """There is no file left in which a recording could go on; the text says why."""


class RecordingSeries:
    """Which file is written to."""

    def __init__(self, path: Path, open_writer: OpenWriter) -> None:
        self.path = self._first = path
        self._open = open_writer

    def reopen(self) -> RecordingWriter:
        """The file that is being written, made anew if it is gone."""
        return self._open(self.path, None)

    def go_on(self, time: np.datetime64) -> RecordingWriter:
        """The first file in which frames from `time` on can follow, which is made if there is none.

        NoFileError when there are too many; GridtopError when it cannot be made.
        """
        for number in range(1, MOST_FILES + 1):
            path = self._first
            if number > 1:
                path = path.with_name(f"{path.stem}-{number}{path.suffix}")
            if path == self.path:
                continue
            try:
                writer = self._open(path, time)
            except GridtopError:
                if _is_free(path):
                    raise
                continue
            self.path = path
            return writer
        raise NoFileError(f"there are {MOST_FILES} files of this recording, and none ends before")


Verdict = Literal["on time", "late", "back", "undecided"]


def judged(
    blocks: Sequence[Block], last: np.datetime64 | None, most_bytes: int, size: Callable[[Block], int]
) -> tuple[Verdict, Sequence[Block]]:
    """The first blocks of those that wait, as many as are alike, and about `most_bytes` of them at most.

    on time     they follow the frame recorded last, or some of their frames do
    late        they do not, and what comes behind them does
    back        they do not, but follow each other for a second or more: the clock was put back
    undecided   they do not, and too few have come yet to tell
    """
    chosen: list[Block] = []
    used, newest = 0, last
    for block in blocks:
        if used >= most_bytes or _is_late(block, newest):
            break
        newest = block.time.max()
        chosen.append(block)
        used += size(block)
    if chosen:
        return "on time", chosen
    for block in blocks:
        if not _is_late(block, last) or (chosen and block.time[0] <= chosen[-1].time[-1]):
            return "late", chosen
        chosen.append(block)
        used += size(block)
        if used >= most_bytes or _is_a_second(chosen):
            return "back", chosen
    return "undecided", chosen


def _is_late(block: Block, last: np.datetime64 | None) -> bool:
    return last is not None and bool(block.time.max() <= last)


def _is_a_second(blocks: Sequence[Block]) -> bool:
    frames = sum(map(len, blocks))
    rate = blocks[0].channels.rate
    if frames < _FEWEST:
        return False
    return frames >= rate if rate else bool(blocks[-1].time[-1] - blocks[0].time[0] >= _SECOND)


def _is_free(path: Path) -> bool:
    """Whether nothing is there that somebody may want to keep."""
    try:
        return not path.lstat().st_size
    except OSError:
        return True
