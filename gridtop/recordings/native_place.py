"""Where a gridtop recording is written: its file made or found, and locked against a second writer."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from pathlib import Path

from gridtop.errors import GridtopError
from gridtop.recordings.native_tables import HEADER_BYTES, is_recording
from gridtop.text import clean

_ELSEWHERE = "give another name"


class Place:
    """The file of one recording, locked from `claim` to `release`; `NAME.lock` beside it is there so long."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.shown = clean(str(path), longest=1000)
        self._lock: int | None = None
        self._inode = (0, 0)

    def claim(self) -> None:
        """Lock the file, which is made if need be, through no link; GridtopError says why that cannot be."""
        try:
            # First: to close a file lets go of all that this process has locked of it.
            self._take_lock()
            self._refuse_others()
            self._make()
        except FileNotFoundError:
            self.release()
            raise GridtopError(f"there is no folder {clean(str(self.path.parent))} to record into") from None
        except OSError as error:
            self.release()
            raise GridtopError(f"cannot record to {self.shown}: {error.strerror or error}") from None
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let go of the lock, which leaves nothing behind."""
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self._beside(".lock").unlink()
            os.close(self._lock)
            self._lock = None

    @property
    def vanished(self) -> bool:
        """Whether the file was removed or replaced while it was open."""
        try:
            return self._identity() != self._inode
        except FileNotFoundError:
            return True
        except OSError:
            return False  # nobody knows

    @property
    def bytes(self) -> int:
        """What the recording takes on disk, with its log."""
        return self._size("") + self.log_bytes

    @property
    def log_bytes(self) -> int:
        """What its log takes."""
        return self._size("-wal")

    def _refuse_others(self) -> None:
        """Never write into what is no recording."""
        try:
            mode = self.path.lstat().st_mode
        except FileNotFoundError:
            return
        if stat.S_ISLNK(mode):
            raise GridtopError(f"{self.shown} is a link: name the file itself, or {_ELSEWHERE}")
        if not stat.S_ISREG(mode):
            raise GridtopError(f"{self.shown} is no file; {_ELSEWHERE}")
        with self.path.open("rb") as file:
            header = file.read(HEADER_BYTES)
        if header and not is_recording(header):
            raise GridtopError(f"{self.shown} is no recording of gridtop, and stays as it is; {_ELSEWHERE}")

    def _take_lock(self) -> None:
        path = self._beside(".lock")
        while True:
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                text = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip()
                who = f"process {text}" if text.isdecimal() else "another process"
                os.close(self._lock)
                self._lock = None  # it is not ours to remove
                raise GridtopError(f"{who} is recording to {self.shown} already; {_ELSEWHERE}") from None
            # Whoever had it may have removed it in the meantime.
            with contextlib.suppress(FileNotFoundError):
                mine, there = os.fstat(self._lock), os.lstat(path)
                if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
                    break
            os.close(self._lock)
        os.ftruncate(self._lock, 0)
        with contextlib.suppress(OSError):  # a full disk is told of when something is written
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _make(self) -> None:
        with contextlib.suppress(FileExistsError):
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            os.close(handle)
        self._inode = self._identity()

    def _identity(self) -> tuple[int, int]:
        status = self.path.lstat()
        return status.st_dev, status.st_ino

    def _size(self, end: str) -> int:
        try:
            return self._beside(end).stat().st_size
        except OSError:
            return 0

    def _beside(self, end: str) -> Path:
        return self.path.with_name(self.path.name + end)
