"""The real screen and its engine in a real terminal that stalls, is suspended, or is resized all the time."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest

from gridtop.events import Event
from gridtop.remote import RemoteClient
from gridtop.tui.app import GridtopApp
from tests.tui.fake_client import FakeClient, event

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 30.0


class Terminal:
    """`gridtop` at twenty times real time, in a terminal that reads only when it is told to."""

    def __init__(self, runtime: Path) -> None:
        self.runtime = runtime
        self.master, self.terminal = pty.openpty()
        self.resize(80, 24)
        environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gridtop", "--speed", "20", "-c", str(ROOT / "config.yaml")],
            stdin=self.terminal,
            stdout=self.terminal,
            stderr=self.terminal,
            env=environment | {"XDG_RUNTIME_DIR": str(runtime)},
            start_new_session=True,
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.output = b""

    def resize(self, columns: int, rows: int) -> None:
        ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self, seconds: float = 0.1) -> bytes:
        """What came within a moment."""
        got = b""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                got += os.read(self.master, 65536)
        self.output = (self.output + got)[-200_000:]
        return got

    def read_until(self, wanted: bytes) -> None:
        self.output = b""
        deadline = time.monotonic() + PATIENCE
        while wanted not in self.output:
            assert time.monotonic() < deadline, self.output[-500:]
            self.read(0.05)

    def frames(self) -> int:
        """How many frames the engine has judged so far, asked beside the screen."""

        async def ask() -> int:
            (socket,) = self.runtime.rglob("*.sock")
            client = RemoteClient(socket)
            try:
                return (await client.snapshot()).counts.frames
            finally:
                await client.close()

        return asyncio.run(ask())

    def frames_beyond(self, count: int) -> None:
        """Wait until the engine has judged more frames than that."""
        deadline = time.monotonic() + PATIENCE
        while self.frames() <= count:
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    # The path of a Unix socket must be short, which pytest's own folders are not.
    with tempfile.TemporaryDirectory() as folder:
        running = Terminal(Path(folder))
        yield running
        running.process.send_signal(signal.SIGCONT)
        running.process.terminate()
        deadline = time.monotonic() + PATIENCE
        while running.process.poll() is None and time.monotonic() < deadline:
            running.read(0.1)
        running.process.kill()
        running.process.wait()
        os.close(running.master)
        os.close(running.terminal)


def test_a_terminal_that_stops_reading_holds_up_nothing_and_shows_the_present_when_it_reads_again(
    terminal: Terminal,
) -> None:
    terminal.read_until(b"VOLTAGE")
    terminal.read(2.0)
    before = terminal.frames()
    terminal.frames_beyond(before + 3000)  # a hundred seconds of measurements, unread
    terminal.read(1.5)
    os.write(terminal.master, b"q")
    deadline = time.monotonic() + PATIENCE
    while terminal.process.poll() is None:
        assert time.monotonic() < deadline
        terminal.read(0.1)
    assert terminal.process.returncode == 0


def test_a_suspended_screen_leaves_the_engine_running_and_comes_back(terminal: Terminal) -> None:
    terminal.read_until(b"VOLTAGE")
    terminal.read(1.0)
    os.kill(terminal.process.pid, signal.SIGTSTP)
    deadline = time.monotonic() + PATIENCE
    while not os.WIFSTOPPED(os.waitpid(terminal.process.pid, os.WNOHANG | os.WUNTRACED)[1]):
        assert time.monotonic() < deadline
        terminal.read(0.05)
    assert b"\x1b[?1049l" in terminal.output + terminal.read(0.2)
    terminal.frames_beyond(terminal.frames() + 300)
    os.kill(terminal.process.pid, signal.SIGCONT)
    terminal.read_until(b"VOLTAGE")


def test_a_storm_of_sizes_leaves_a_screen_of_the_last_size(terminal: Terminal) -> None:
    terminal.read_until(b"VOLTAGE")
    for round_ in range(60):
        terminal.resize(20 + 37 * round_ % 180, 4 + 11 * round_ % 60)
        terminal.read(0.02)
    terminal.resize(100, 30)
    terminal.read_until(b"VOLTAGE")
    assert terminal.process.poll() is None


async def test_500_events_a_second_leave_a_short_log_and_a_quick_key() -> None:
    client = FakeClient()
    app = GridtopApp(client)
    async with app.run_test(size=(80, 24)) as pilot:
        for tick in range(48):
            happened: list[Event] = [event(1000 + 125 * tick + i) for i in range(125)]
            for one in happened:
                client.happened(one)
            await pilot.pause(0.02)
        while app.model.seq < 48 * 125:
            await pilot.pause(0.05)
        await pilot.press("space")
        await pilot.pause()
        assert client.calls[-1][0] in ("pause", "resume")
        assert len(app.model.log) == 5000
