"""Records live blocks into a file on a thread of its own: whoever hands them over never waits."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.client import RecordingStatus
from gridtop.errors import GridtopError
from gridtop.recording_settings import RecordingSettings
from gridtop.recordings.native_chunks import frame_bytes
from gridtop.recordings.native_writing import SUFFIX, RecordingWriter
from gridtop.recordings.series import NoFileError, RecordingSeries, Verdict, judged
from gridtop.text import clean

_log = logging.getLogger("gridtop")

MOST_WAITING = 32 << 20
"""Bytes of frames that wait for the disk; what comes beyond is dropped."""

COMMIT_SECONDS = 1.0
"""Seconds between commits, and between attempts to write when the disk refuses."""

BETWEEN_FILES = 60.0
"""Seconds from one file of a series to the next, at least."""

_PORTION = 4 << 20
"""Bytes of frames in one commit, about; as many are not left to wait for their second."""

_REFUSALS = (sqlite3.Error, GridtopError, OSError)
_LOST = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
"""What SQLite says when the same connection will not work later either."""

_LONGEST_SOURCE = 60


class Recorder:
    """One recording of live data, from `begin` to `close`.

    A disk that is full, slow or broken does not stop anything: what cannot be kept is counted, and writing is
    tried again. Where time goes back by a second of frames or more, it goes on in another file of the series.
    `every` is how often is committed, `clock` in monotonic seconds.
    """

    def __init__(
        self,
        series: RecordingSeries,
        *,
        every: float = COMMIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._series, self._every, self._clock = series, every, clock
        self._writer = series.reopen()
        self._moved = -math.inf
        self._broken = False
        self._waiting: deque[Block] = deque()
        self._waiting_bytes = 0
        self._changed = threading.Condition()  # held for moments only, never while something is written
        self._closing = False
        self._overflow = self._unwritten = self._repeated = 0
        self._problem = ""
        self._thread = threading.Thread(target=self._serve, name="recorder", daemon=True)
        self._thread.start()

    @classmethod
    async def begin(
        cls, path: Path, channels: ChannelSet, settings: RecordingSettings, source: str
    ) -> Recorder:
        """Record into a new file, or behind the end of a recording of the same stream.

        `source` says in words what is recorded. GridtopError when the file cannot be made or gone on with.
        """

        def open_writer(path: Path, before: np.datetime64 | None) -> RecordingWriter:
            return RecordingWriter(
                path, channels, size_mb=settings.size, keep=settings.keep, source=source, before=before
            )

        return await asyncio.to_thread(cls, RecordingSeries(path, open_writer))

    def add(self, block: Block) -> None:
        """Hand over the next frames. It returns at once; they are written within a second."""
        size = len(block) * frame_bytes(block)
        with self._changed:
            if self._closing or self._waiting_bytes + size > MOST_WAITING:
                self._overflow += len(block)
                return
            if len(block):
                self._waiting.append(block)
                self._waiting_bytes += size
            if self._waiting_bytes >= _PORTION:
                self._changed.notify_all()

    def status(self) -> RecordingStatus:
        """How the recording stands."""
        return RecordingStatus(
            str(self._series.path),
            self._writer.frames,
            self._writer.bytes,
            sum(self.losses.values()),
            self._problem,
        )

    @property
    def losses(self) -> dict[str, int]:
        """Frames that were dropped, by the reason in words."""
        found = {
            "came faster than the disk could take them": self._overflow,
            "could not be written at the end": self._unwritten,
            "were not later than the frame before": self._repeated + self._writer.dropped,
        }
        return {reason: frames for reason, frames in found.items() if frames}

    async def close(self) -> None:
        """Write what waits, and close the file. Legal twice."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        await asyncio.to_thread(self._thread.join)

    # The thread

    def _serve(self) -> None:
        try:
            while not self._closing:
                with self._changed:
                    self._changed.wait_for(self._has_work, self._every)
                self._write_all()
            self._write_all()  # what came in the meantime, or what was refused once more
            with self._changed:
                self._unwritten = sum(map(len, self._waiting))
                self._waiting.clear()
            self._writer.close()
        except Exception:
            _log.exception("recording %s: it ends here", clean(str(self._series.path)))
            self._problem = "the recorder failed; see the log"
            with self._changed:
                self._closing = True  # frames that come now are counted
                self._unwritten = sum(map(len, self._waiting))
                self._waiting.clear()

    def _has_work(self) -> bool:
        return self._closing or (self._waiting_bytes >= _PORTION and not self._problem)

    def _write_all(self) -> None:
        """Write portion after portion, until nothing waits, it cannot be judged yet, or the disk refuses."""
        while self._waiting:
            try:
                self._mend()
                verdict, portion = self._portion()
                if verdict == "undecided" and not self._closing:
                    return
                refusal = self._go_on_elsewhere(portion[0].time[0]) if verdict == "back" else ""
                left_out = self._all_late(refusal)
                dropped = self._writer.dropped
                self._writer.write(portion)
            except _REFUSALS as error:
                self._refused(error)
                return
            with self._changed:
                for block in portion:
                    self._waiting.popleft()
                    self._waiting_bytes -= len(block) * frame_bytes(block)
            if verdict != "late":  # a few late frames are only counted
                late = self._writer.dropped - dropped
                self._told(left_out if late == sum(map(len, portion)) else "")

    def _portion(self) -> tuple[Verdict, Sequence[Block]]:
        """The blocks to be written next; they stay where they are until that is done."""
        with self._changed:
            waiting = list(self._waiting)
        return judged(waiting, self._writer.last, _PORTION, lambda block: len(block) * frame_bytes(block))

    def _go_on_elsewhere(self, time: np.datetime64) -> str:
        """Take another file, for frames from `time` on; why that cannot be, or nothing."""
        now, before = self._clock(), clean(str(self._series.path))
        if now - self._moved < BETWEEN_FILES:
            return f"; another file is begun {BETWEEN_FILES:g} s after the last one"
        self._moved = now
        try:
            writer = self._series.go_on(time)
        except NoFileError as error:
            return f": {error}"
        except GridtopError:
            self._moved = -math.inf  # a disk that is full: it is tried again with the same frames
            raise
        self._repeated += self._writer.dropped
        self._writer.close()
        self._writer = writer
        told = clean(str(self._series.path))
        second = time.astype("datetime64[s]")
        _log.warning("recording %s: time went back to %sZ; it goes on in %s", before, second, told)
        return ""

    def _mend(self) -> None:
        """When the file is gone or cannot be used, begin a new one, or go on with the one there is."""
        if self._broken:
            self._writer.close()
            writer = self._series.reopen()
            self._repeated += self._writer.dropped
            self._writer, self._broken = writer, False

    def _refused(self, error: Exception) -> None:
        code = (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF
        self._broken = code in _LOST or self._writer.vanished
        if code == sqlite3.SQLITE_FULL:
            self._told("the disk is full")
        else:
            self._told(clean(str(error)) or type(error).__name__)

    def _all_late(self, why: str) -> str:
        return f"frames are not later than the last one recorded, {self._writer.last}Z, and are left out{why}"

    def _told(self, problem: str) -> None:
        """The problem there is now, told to the log when it is a new one."""
        if problem and problem != self._problem:
            _log.warning("recording %s: %s", clean(str(self._series.path)), problem)
        self._problem = problem


def fresh_path(settings: RecordingSettings, source: str, wall: float) -> Path:
    """A name that no file has yet, in the settings' folder, which is made if need be.

    `source` is what is recorded in words, `wall` the time in seconds since 1970:
    `pmu-20260101T120000Z.gridtop`. GridtopError when there can be no such folder.
    """
    folder = settings.folder.expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GridtopError(
            f"there can be no folder {clean(str(folder))} for recordings ({error.strerror}); "
            "set recording.folder"
        ) from None
    words = re.sub(r"[^A-Za-z0-9_-]+", "-", source)[:_LONGEST_SOURCE].strip("-") or "recording"
    stem = f"{words}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(wall))}"
    path, number = folder / f"{stem}{SUFFIX}", 1
    while path.exists() or path.is_symlink():
        number += 1
        path = folder / f"{stem}-{number}{SUFFIX}"
    return path
