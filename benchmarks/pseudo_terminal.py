"""A terminal to run programs in and to measure from outside: bytes, processor time, memory. Linux only."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

_ANSWERS = {
    b"\x1b[?2026$p": b"\x1b[?2026;2$y",  # synchronised output: yes
    b"\x1b[?2048$p": b"\x1b[?2048;0$y",
    b"\x1b[c": b"\x1b[?62;22c",
    b"\x1b[6n": b"\x1b[1;1R",
}
"""What programs ask a terminal, and what a usual one says."""

_TICK = os.sysconf("SC_CLK_TCK")


class PseudoTerminal:
    """A program in a terminal of `columns` x `rows`, read by a thread as fast as it writes."""

    def __init__(
        self,
        command: Sequence[str],
        columns: int,
        rows: int,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.started = time.perf_counter()
        self.received = 0
        self.chunks: list[tuple[float, int]] = []
        self.seen = b""
        self.reading = threading.Event()
        self.reading.set()
        self.pid, self._handle = pty.fork()
        if self.pid == 0:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            plain = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
            if folder is not None:
                os.chdir(folder)
            os.execvpe(command[0], list(command), {**os.environ, **plain, **(environment or {})})
        fcntl.ioctl(self._handle, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while True:
            self.reading.wait()
            if not select.select([self._handle], [], [], 0.05)[0]:
                continue
            try:
                data = os.read(self._handle, 65536)
            except OSError:
                return
            if not data:
                return
            self.received += len(data)
            self.chunks.append((time.perf_counter(), len(data)))
            self.seen = (self.seen + data)[-100_000:]
            for question, answer in _ANSWERS.items():
                if question in data:
                    os.write(self._handle, answer)

    def press(self, keys: str) -> None:
        """Type something."""
        os.write(self._handle, keys.encode())

    def wait_for(self, text: str, seconds: float = 20.0) -> float:
        """Seconds from the start until `text` was written; TimeoutError if it never was."""
        while time.perf_counter() - self.started < seconds:
            if text.encode() in self.seen:
                return time.perf_counter() - self.started
            time.sleep(0.002)
        raise TimeoutError(f"{text!r} did not appear in {seconds} s")

    def close(self) -> None:
        """End the program, politely at first."""
        self.reading.set()
        for name in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(self.pid, name)
            except ProcessLookupError:
                break
            for _ in range(40):
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    os.close(self._handle)
                    return
                time.sleep(0.05)


def processor_seconds(pid: int) -> float:
    """Seconds of processor time of one process, its threads included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def peak_mebibytes(pid: int) -> float:
    """The most memory a process has had resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found
