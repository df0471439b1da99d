"""The engine as a child process of a screen: started, watched, ended or kept, and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import gridtop
from gridtop.errors import GridtopError
from gridtop.text import clean
from gridtop.wire import failure_of

STOP_SECONDS = 5.0
"""How long an engine may take to deliver its last events and end; then it is killed."""

_TAIL_BYTES = 16 << 10
_TAIL_LINES = 12


class Engine:
    """`gridtop run` in a session of its own, where no key and no hang-up of the terminal reaches it.

    `arguments` are those of `gridtop run`; `path` is where it listens. It inherits the write end of a
    pipe, into which it says that it listens, and unless it is to be kept the read end of another, its
    lifeline: when this process is gone, however it died, the engine reads its end and ends as well.
    What it writes to standard error goes into a file beside its socket.

    `stdin` is a descriptor that it gets as its standard input, nothing if it is None; closing it is left to
    the caller. An engine that is started again goes on with what comes then.
    """

    def __init__(
        self, arguments: Sequence[str], path: Path, *, keep: bool = False, stdin: int | None = None
    ) -> None:
        self.path = path
        self.log = path.with_suffix(".log")
        self._arguments = tuple(arguments)
        self._keep = keep
        self._stdin = subprocess.DEVNULL if stdin is None else stdin
        self._process: subprocess.Popen[bytes] | None = None
        self._ready = -1
        self._lifeline = -1
        self._is_ready = False

    def start(self) -> None:
        """Start the process; does not wait for it."""
        ready, ready_there = os.pipe()
        lifeline_there, lifeline = os.pipe()
        os.set_blocking(ready, False)
        command = [sys.executable, "-P", "-m", "gridtop", "run", *self._arguments, "--quiet", "--stay"]
        command += ["--socket", os.fspath(self.path), "--ready-fd", str(ready_there)]
        passed = [ready_there]
        if not self._keep:
            command += ["--lifeline-fd", str(lifeline_there)]
            passed.append(lifeline_there)
        try:
            with open(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)) as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=self._stdin,
                    stdout=subprocess.DEVNULL,
                    stderr=log,
                    pass_fds=passed,
                    start_new_session=True,
                    env=_environment(),
                )
        except OSError as error:
            os.close(ready)
            os.close(lifeline)
            raise GridtopError(f"cannot start the engine: {error}") from error
        finally:
            os.close(ready_there)
            os.close(lifeline_there)
        self._ready, self._lifeline, self._is_ready = ready, lifeline, False

    @property
    def pid(self) -> int:
        """The process id; 0 before the start."""
        return self._process.pid if self._process is not None else 0

    @property
    def ready(self) -> bool:
        """Whether the engine has said that it listens. Never waits."""
        if not self._is_ready and self._ready >= 0:
            with contextlib.suppress(BlockingIOError):
                self._is_ready = bool(os.read(self._ready, 1))
        return self._is_ready

    @property
    def ending(self) -> str:
        """How the process ended, in words; empty while it runs."""
        code = self._process.poll() if self._process is not None else None
        if code is None:
            return ""
        if code < 0:
            return f"the engine was killed ({signal.Signals(-code).name})"
        return f"the engine ended with exit code {code}"

    def failure(self) -> GridtopError:
        """Why the engine could not work, in its own words, as the error that its exit code stands for."""
        code = self._process.poll() if self._process is not None else None
        said = [line.removeprefix("gridtop: ") for line in self.log_tail(100)]
        return failure_of(code, "\n".join(said) or self.ending or "no engine was started")

    def log_tail(self, lines: int = _TAIL_LINES) -> tuple[str, ...]:
        """The last lines that the engine wrote to standard error."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError:
            return ()
        return tuple(clean(line) for line in text.splitlines()[-lines:])

    def stop(self) -> None:
        """Ask the process to end, wait for it, kill it when it does not; legal twice and without start."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._let_go()
        if process.returncode == 0:
            self.log.unlink(missing_ok=True)

    def restart(self) -> None:
        """End the process if it still runs, and start it anew at the same place."""
        self.stop()
        self.start()

    def _let_go(self) -> None:
        for handle in (self._ready, self._lifeline):
            if handle >= 0:
                os.close(handle)
        self._ready = self._lifeline = -1


def obey_lifeline(handle: int, log: Path | None = None) -> None:
    """In the engine: end this process when the other end of the pipe is gone.

    A thread waits, so that a busy event loop cannot miss it: it asks for an orderly end, and forces one
    when that takes too long. The file `log` goes as well: who would have read it is gone.
    """

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(handle, 64):
                pass
        if log is not None:
            log.unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(STOP_SECONDS)
        os._exit(1)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def say_ready(handle: int) -> None:
    """In the engine: tell who started it that it listens now."""
    with contextlib.suppress(OSError):
        os.write(handle, b"\n")
    with contextlib.suppress(OSError):
        os.close(handle)


def _environment() -> dict[str, str]:
    """This process's environment, in which the same gridtop is found without looking into the working
    directory, where a recording may lie beside a file called `numpy.py`."""
    here = os.fspath(Path(gridtop.__file__).parent.parent)
    inherited = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (here, inherited)))}
