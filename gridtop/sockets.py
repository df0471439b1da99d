"""Where engines listen: the place of their Unix sockets, who may use them, and which engines there are."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import socket
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from gridtop.errors import GridtopError

LONGEST_PATH = 100
"""Bytes of a socket's path: operating systems cut it at 104 to 108."""

_PROBE_SECONDS = 1.0


def folder() -> Path:
    """The folder for sockets of this user: in XDG_RUNTIME_DIR, else in the folder for temporary files."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if os.path.isabs(runtime) and os.path.isdir(runtime):
        return Path(runtime, "gridtop")
    return Path(tempfile.gettempdir(), f"gridtop-{os.geteuid()}")


def prepared_folder() -> Path:
    """The folder, made if need be; GridtopError when someone else could reach into it."""
    place = folder()
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        status = place.lstat()
    except OSError as error:
        raise GridtopError(f"cannot make {place} for the engine's socket: {error.strerror}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise GridtopError(f"{place} is not a folder; remove it, or give --socket PATH")
    if status.st_uid != os.geteuid():
        raise GridtopError(f"{place} belongs to another user; give --socket PATH in a folder of your own")
    if status.st_mode & 0o077:
        raise GridtopError(f"{place} is open to other users; close it with chmod 700 {place}")
    return place


def resolved(chosen: str) -> Path:
    """The socket that `--socket` means: a path if it has a slash, else the name of one in the folder."""
    if "/" in chosen:
        return _checked(Path(chosen).absolute())
    return _checked(prepared_folder() / f"{chosen}.sock")


def fresh() -> Path:
    """A free place of this process in the folder, from which what dead engines left is removed."""
    place = prepared_folder()
    with _alone_in(place):
        for path in place.glob("*.sock"):
            if _is_ours(path) and not answers(path):
                path.unlink()
    names = (f"{os.getpid()}{end}" for end in ("", *(f"-{n}" for n in range(2, 100))))
    return next(path for path in (_checked(place / f"{name}.sock") for name in names) if not path.exists())


class Listening:
    """A listening socket with mode 0600 and its place in the folder.

    What a dead engine left there is removed; GridtopError when it is not ours to remove, or alive.
    """

    def __init__(self, path: Path) -> None:
        self.path = _checked(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _alone_in(path.parent):
                _remove_stale(path)
                before = os.umask(0o177)
                try:
                    self.socket.bind(os.fspath(path))
                finally:
                    os.umask(before)
                self.socket.listen(128)
                self._inode = path.lstat().st_ino
        except OSError as error:
            self.socket.close()
            raise GridtopError(f"cannot listen at {path}: {error.strerror or error}") from error
        except BaseException:
            self.socket.close()
            raise

    def close(self) -> None:
        """Stop listening and remove the socket from its folder, unless another has taken its place."""
        with contextlib.suppress(OSError), _alone_in(self.path.parent):
            if self.path.lstat().st_ino == self._inode:
                self.path.unlink()
        self.socket.close()


def running() -> list[Path]:
    """The sockets in the folder that an engine answers at, the youngest first."""
    if not folder().is_dir():
        return []
    found = [path for path in prepared_folder().glob("*.sock") if answers(path)]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def answers(path: Path) -> bool:
    """Whether someone listens at a socket of ours."""
    if not _is_ours(path):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # there, but too busy to answer
    return True


def connected(path: Path, timeout: float) -> socket.socket:
    """A connection to the engine at `path`. OSError when nobody is there, PermissionError when the
    socket belongs to another user (who could show us anything)."""
    if path.exists() and path.stat().st_uid not in (0, os.geteuid()):
        raise PermissionError(f"{path} belongs to another user")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(os.fspath(path))
    except BaseException:
        connection.close()
        raise
    return connection


def peer_is_trusted(connection: socket.socket) -> bool:
    """Whether the other end runs as this user or as root; the folder alone decides where that is not told."""
    return _peer(connection) in (None, 0, os.geteuid())


def peer_name(connection: socket.socket) -> str:
    """The name of the user at the other end, empty where that is not told."""
    if (uid := _peer(connection)) is None:
        return ""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _peer(connection: socket.socket) -> int | None:
    """The user id at the other end, None where that is not told."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    pid_uid_gid = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return int.from_bytes(pid_uid_gid[4:8], "little")


def _checked(path: Path) -> Path:
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise GridtopError(
            f"the path {path} is too long for a socket ({LONGEST_PATH} bytes at most); "
            f"give a shorter one with --socket"
        )
    return path


def _is_ours(path: Path) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISSOCK(status.st_mode) and status.st_uid == os.geteuid()


def _remove_stale(path: Path) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if not _is_ours(path):
        raise GridtopError(f"{path} is not a socket of yours; give another path with --socket")
    if answers(path):
        raise GridtopError(
            f"an engine runs at {path} already; attach to it with gridtop attach --socket {path}"
        )
    path.unlink()


@contextlib.contextmanager
def _alone_in(place: Path) -> Iterator[None]:
    """Keep other engines from judging and changing the folder at the same moment."""
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
