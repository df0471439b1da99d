"""Where bytes come from on this computer: standard input, and a file that another program writes."""

from __future__ import annotations

import asyncio
import os
import select
import stat
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Protocol

from gridtop.api import SourceError

from .complaints import Complaints

DESCRIPTOR = 0
"""Standard input."""
PIECE = 1 << 16
"""Bytes read at once."""
POLL = 0.1
"""Seconds between looks at a file that has not grown."""
_AHEAD = 4
"""Pieces of standard input read before they are asked for."""
_TAIL = 64
"""Bytes before the place where we read that must still be there: otherwise the file was written anew."""
_HEAD = 1 << 20
"""Bytes at the beginning of a file that show what its columns are."""


@dataclass(frozen=True, slots=True)
class Restart:
    """What follows is another file or connection, called `place` in messages; `discard` what came before."""

    place: str
    discard: bool = False


class Feed(Protocol):
    """Bytes as they come. `patient`: it waits when nobody asks, and nothing is lost.

    `problem` is why nothing can come now, in the same words while that lasts; empty when something can.
    """

    patient: bool
    problem: str

    def pieces(self) -> AsyncIterator[bytes | Restart]:
        """Pieces of text, cut anywhere; ends with the stream. Raises SourceError when it cannot go on."""
        ...

    async def close(self) -> None:
        """Let go of everything; legal twice."""
        ...


class StandardInput:
    """Standard input, whatever it is: a pipe, a terminal, a file. A thread reads it; nothing blocks."""

    patient = True
    problem = ""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._wake: tuple[int, int] | None = None

    async def pieces(self) -> AsyncIterator[bytes | Restart]:
        """What is written to it, until its end."""
        ready: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        room = threading.Semaphore(_AHEAD)
        self._wake = os.pipe()
        arguments = (DESCRIPTOR, self._wake[0], asyncio.get_running_loop(), ready, room)
        self._thread = threading.Thread(target=_read, args=arguments, name="gridtop stdin", daemon=True)
        self._thread.start()
        self._room = room
        while piece := await ready.get():
            room.release()
            if isinstance(piece, OSError):
                raise SourceError(f"standard input: {piece.strerror or piece}")
            yield piece

    async def close(self) -> None:
        """End the thread that reads."""
        wake, self._wake = self._wake, None
        if wake is None or self._thread is None:
            return
        os.close(wake[1])
        self._room.release()
        await asyncio.to_thread(self._thread.join)
        os.close(wake[0])


def _read(
    descriptor: int,
    wake: int,
    loop: asyncio.AbstractEventLoop,
    ready: asyncio.Queue[bytes | OSError],
    room: threading.Semaphore,
) -> None:
    piece: bytes | OSError = b"-"
    while piece and isinstance(piece, bytes):
        room.acquire()
        try:
            readable, _, _ = select.select([descriptor, wake], [], [])
            piece = b"" if wake in readable else os.read(descriptor, PIECE)
        except OSError as error:
            piece = error
        except ValueError:  # standard input is closed
            piece = b""
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(ready.put_nowait, piece)


class Followed:
    """A file that another program writes, as `tail -F` follows it: through rotation, and cut back to nothing.

    A file that is not there is waited for. What is added between the last look and a `copytruncate` is lost,
    as it is for every follower.
    """

    patient = True

    def __init__(self, path: Path, from_end: bool, shown: str, complaints: Complaints) -> None:
        self._path = path
        self._from_end = from_end
        self._shown = shown
        self._complaints = complaints
        self.problem = ""
        self._file: FileIO | None = None
        self._tail = b""

    async def pieces(self) -> AsyncIterator[bytes | Restart]:
        """What is in the file and what is added; it never ends."""
        begun = False
        while True:
            if self._file is None:
                if not await asyncio.to_thread(self._open):
                    self.problem = f"{self._shown}: there is no such file; waiting for it"
                    self._complaints.tell("waits_for_file", self.problem)
                    await asyncio.sleep(POLL)
                    continue
                self.problem = ""
                if begun:
                    yield Restart("new file, ")
                elif self._from_end and (head := await asyncio.to_thread(self._skip)):
                    yield head
                    yield Restart("new ", discard=True)
                begun = True
            if piece := await asyncio.to_thread(self._more):
                yield piece
                continue
            await asyncio.sleep(POLL)
            change = await asyncio.to_thread(self._change)
            if change == "rotated":
                while piece := await asyncio.to_thread(self._more):
                    yield piece
                await self.close()
                self._complaints.counts["rotations"] += 1
            elif change == "cut" and self._file is not None:
                self._file.seek(0)
                self._tail = b""
                self._complaints.tell("truncations", f"{self._shown}: the file was cut back; reading it anew")
                yield Restart("new file, ")

    async def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self) -> bool:
        try:
            # Not blocking, for a named pipe that nobody writes to.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise SourceError(f"{self._shown}: {error.strerror or error}") from None
        self._file, self._tail = FileIO(descriptor), b""
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SourceError(
                f"{self._shown}: not a file; give a pipe as standard input: gridtop run --source - < PIPE"
            )
        return True

    def _skip(self) -> bytes:
        """The whole lines at the beginning, and go to the last line that has not ended yet.

        Nothing when there are none: then what is there is read as if it were added.
        """
        assert self._file is not None
        head = self._file.read(_HEAD)
        size = os.fstat(self._file.fileno()).st_size
        head = head[: head.rfind(b"\n") + 1]
        if not head:
            self._file.seek(0)
            return b""
        tail_at = max(0, size - _HEAD)
        self._file.seek(tail_at)
        tail = self._file.read(size - tail_at)
        self._file.seek(tail_at + tail.rfind(b"\n") + 1 if b"\n" in tail else size)
        return head

    def _more(self) -> bytes:
        assert self._file is not None
        try:
            if self._is_other():
                return b""
            piece = self._file.read(PIECE) or b""
            self._tail = (self._tail + piece)[-_TAIL:]
            return piece
        except OSError as error:
            raise SourceError(f"{self._shown}: {error.strerror or error}") from None

    def _change(self) -> str:
        """What became of the file that is read: `rotated`, `cut`, or nothing."""
        assert self._file is not None
        ours = os.fstat(self._file.fileno())
        if ours.st_size < self._file.tell() or self._is_other():
            return "cut"
        try:
            there = self._path.stat()
        except OSError:  # moved away, and the new one is not there yet
            return ""
        return "rotated" if (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino) else ""

    def _is_other(self) -> bool:
        """Whether other text than what was read stands before the place where we read."""
        assert self._file is not None
        tail = self._tail
        return bool(tail) and os.pread(self._file.fileno(), len(tail), self._file.tell() - len(tail)) != tail
