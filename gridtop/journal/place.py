"""The journal's file and those beside it: who may have it, the lock, the ballast, a damaged one put aside."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path

from gridtop.errors import GridtopError
from gridtop.journal.tables import APPLICATION_ID
from gridtop.text import clean

_MAGIC = b"SQLite format 3\x00"
_ID_AT = 68
"""Where the header of a SQLite file has its application id, four bytes, the highest first."""

BALLAST = 4 * 1024 * 1024
"""Bytes that are kept free for the moment when the disk is full, at most an eighth of the quota."""


class Place:
    """One journal's file, locked against a second engine from `claim` to `release`.

    `NAME.lock` beside it holds the lock and the process id, `NAME.ballast` the space for an emergency.
    """

    def __init__(self, path: Path, megabytes: int) -> None:
        self.path = path.absolute()
        self._ballast_bytes = min(BALLAST, megabytes * 1_000_000 // 8)
        self._lock: int | None = None
        self._inode = (0, 0)

    def claim(self) -> None:
        """Lock the file, which is made with mode 0600 if need be; GridtopError says why that cannot be."""
        self.path = _resolved(self.path)
        name, folder = clean(str(self.path)), clean(str(self.path.parent))
        if not self.path.parent.is_dir():
            raise GridtopError(f"there is no folder {folder} for the journal; make it, or set journal.path")
        if self.path.exists():
            if not self.path.is_file():
                raise GridtopError(f"{name} is no file that could be a journal; set journal.path")
            if not os.access(self.path, os.R_OK | os.W_OK):
                raise GridtopError(f"the journal {name} cannot be written (read-only, or not yours)")
            self._refuse_foreign(name)
        if not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise GridtopError(
                f"nothing can be written to {folder}, but the journal needs files beside it; set journal.path"
            )
        try:
            self._take_lock(name)
            self.create()
        except OSError as error:
            self.release()
            raise GridtopError(f"the journal {name} cannot be opened: {error.strerror}") from error
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def create(self) -> None:
        """Make the file if there is none, for its owner only, following no link."""
        try:
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except FileExistsError:
            pass
        else:
            os.close(handle)
            _sync_folder(self.path.parent)
        self._inode = self._identity()

    @property
    def vanished(self) -> bool:
        """Whether the file was removed or replaced while it was open."""
        try:
            return self._identity() != self._inode
        except FileNotFoundError:
            return True
        except OSError:
            return False  # nobody knows

    def put_aside(self, wall: float) -> Path:
        """Give the damaged file another name, `NAME.corrupt-TIME`, and say which."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(wall))
        aside = self._beside(f".corrupt-{stamp}")
        number = 1
        while aside.exists():
            number += 1
            aside = self._beside(f".corrupt-{stamp}-{number}")
        self.path.rename(aside)
        self.forget_log(aside)
        return aside

    def forget_log(self, aside: Path | None = None) -> None:
        """Get what belonged to a file that is gone out of the way: a new file must never meet its log."""
        with contextlib.suppress(FileNotFoundError):
            log = self._beside("-wal")
            log.rename(f"{aside}-wal") if aside is not None else log.unlink()
        self._beside("-shm").unlink(missing_ok=True)

    @property
    def bytes(self) -> int:
        """What the journal takes on disk with its log, without the ballast."""
        total = 0
        for end in ("", "-wal"):
            with contextlib.suppress(OSError):
                total += self._beside(end).stat().st_size
        return total

    # The ballast

    @property
    def has_ballast(self) -> bool:
        """Whether the ballast is there."""
        return self._beside(".ballast").exists()

    def take_ballast(self) -> bool:
        """Make the ballast if it is not there and that leaves as much again; whether it is there then."""
        ballast = self._beside(".ballast")
        if ballast.exists():
            return True
        try:
            if self.free()[0] < 2 * self._ballast_bytes:
                return False
            handle = os.open(ballast, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except OSError:
            return False
        try:
            with open(handle, "wb") as file:
                # Noise: zeros would take no space on a file system that compresses.
                file.write(os.urandom(self._ballast_bytes))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.drop_ballast()
            return False
        return True

    def drop_ballast(self) -> None:
        """Let go of the ballast, where that can be done."""
        with contextlib.suppress(OSError):
            self._beside(".ballast").unlink(missing_ok=True)

    def free(self) -> tuple[int, int]:
        """Bytes that are free on the disk, and how many would be comfortable."""
        disk = os.statvfs(self.path.parent)
        comfortable = max(2 * self._ballast_bytes, min(disk.f_blocks * disk.f_frsize // 10, 1_000_000_000))
        return disk.f_bavail * disk.f_frsize, comfortable

    def _identity(self) -> tuple[int, int]:
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def _beside(self, end: str) -> Path:
        return self.path.with_name(self.path.name + end)

    def _take_lock(self, name: str) -> None:
        self._lock = os.open(self._beside(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(self._lock, 20, 0).decode("ascii", "replace").strip()
            who = f" (process {text})" if text.isdecimal() else ""
            raise GridtopError(
                f"another engine{who} keeps this journal: {name}; end it, or set another journal.path"
            ) from None
        os.ftruncate(self._lock, 0)
        with contextlib.suppress(OSError):  # a full disk is no reason not to start
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def _refuse_foreign(self, name: str) -> None:
        """A file of somebody else is not damaged, and never to be put aside."""
        with self.path.open("rb") as file:
            header = file.read(100)
        ours = int.from_bytes(header[_ID_AT : _ID_AT + 4], "big") == APPLICATION_ID
        fresh = header[:16] == _MAGIC and self.path.stat().st_size <= 4096 and not any(header[_ID_AT:72])
        if header and not ours and not fresh and not self._beside(".lock").exists():
            raise GridtopError(
                f"{name} is no journal of gridtop; it stays as it is, set another journal.path"
            )


def _resolved(path: Path) -> Path:
    if path.is_symlink() and not path.exists():
        raise GridtopError(f"the journal {clean(str(path))} is a link to nowhere; remove it")
    return path.resolve()


def _sync_folder(folder: Path) -> None:
    """Have the new name survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
