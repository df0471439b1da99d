"""The app in a real pseudo-terminal: whatever ends it, the terminal is left as it was found."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest

DEMO = Path(__file__).with_name("demo.py")
PATIENCE = 30.0
RESTORED = (b"\x1b[?1049l", b"\x1b[?25h")


class Session:
    """The demo in a terminal of 80x24."""

    def __init__(self) -> None:
        self.master, terminal = pty.openpty()
        ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(terminal)
        self.terminal = terminal
        environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(
            [sys.executable, str(DEMO)],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
            start_new_session=True,
        )
        self.output = b""

    def read_until(self, wanted: bytes) -> None:
        """Read until the app has written something."""
        deadline = time.monotonic() + PATIENCE
        while wanted not in self.output:
            assert time.monotonic() < deadline, self.output[-500:]
            if select.select([self.master], [], [], 0.1)[0]:
                self.output += os.read(self.master, 65536)

    def ended(self) -> int:
        """The exit status, reading on so that the app can write its last."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            if select.select([self.master], [], [], 0.05)[0]:
                self.output += os.read(self.master, 65536)
        while select.select([self.master], [], [], 0.05)[0]:
            self.output += os.read(self.master, 65536)
        return self.process.returncode


@pytest.fixture
def session() -> Iterator[Session]:
    running = Session()
    yield running
    running.process.kill()
    running.process.wait()
    os.close(running.master)
    os.close(running.terminal)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_clean(session: Session, number: signal.Signals) -> None:
    session.read_until(b"131.")
    session.process.send_signal(number)
    assert session.ended() == 0
    assert all(sequence in session.output for sequence in RESTORED)
    assert termios.tcgetattr(session.terminal) == session.before


def test_a_signal_ends_it_although_the_terminal_takes_nothing(session: Session) -> None:
    session.read_until(b"131.")
    stalled = time.monotonic() + 2.0
    while time.monotonic() < stalled:  # nothing is read: the terminal's buffer fills
        assert session.process.poll() is None
        time.sleep(0.1)
    session.process.send_signal(signal.SIGTERM)
    assert session.process.wait(PATIENCE) in (0, 128 + signal.SIGTERM)


def test_q_leaves_the_terminal_clean(session: Session) -> None:
    session.read_until(b"131.")
    os.write(session.master, b"q")
    assert session.ended() == 0
    assert all(sequence in session.output for sequence in RESTORED)
    assert termios.tcgetattr(session.terminal) == session.before


def test_the_picture_is_painted_before_the_data(session: Session) -> None:
    session.read_until(b"131.")
    assert session.output.index(b"\x1b[?1049h") < session.output.index(b"131.")
    assert b"\x1b]0;" not in session.output
