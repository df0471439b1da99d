"""Data from a pipe, keys from the terminal: `PROGRAM | gridtop --source -` in a real pseudo-terminal."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fcntl import ioctl
from pathlib import Path

import pytest

from gridtop.commands.options import reads_standard_input
from gridtop.errors import Exit, SourceError
from gridtop.remote import RemoteClient
from tests.serving import short_folder

PATIENCE = 30.0
PAUSE = 0.02
"""Seconds between two lines, in the data as well."""
SITE = 'site: {nominal: {voltage_ll: 230 kV}}\nlimits: {v: {on: "*:voltage_pu", low: {critical: 0.9}}}\n'
SIMULATED = "source: {type: simulate}\n"
LINES = "source: {type: lines, rate: 50}\n"
KEYS_PAGE, ALTERNATE_SCREEN_LEFT = b"Esc goes back", b"\x1b[?1049l"
CTRL_C = "\x03"
PIPED = ("--source", "-", "--set", "source.rate=50")
"""With the rate there is no waiting for lines that show it."""


class Producer:
    """What writes into the pipe: CSV lines as a PMU gives them, until it is stopped or nobody reads them."""

    def __init__(self, header: str = "Timestamp,R1-PM1:V\n") -> None:
        self.reading, self._writing = os.pipe()
        os.write(self._writing, header.encode())
        self.unread = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        moment = datetime(2026, 1, 1, tzinfo=UTC)
        while not self._stopping.wait(PAUSE):
            try:
                os.write(self._writing, f"{moment:%Y-%m-%dT%H:%M:%S.%fZ},{132000}\n".encode())
            except BrokenPipeError:
                self.unread = True
                break
            moment += timedelta(seconds=PAUSE)
        os.close(self._writing)

    def stop(self) -> None:
        """End, as a program ends that has nothing more to say, or is killed."""
        self._stopping.set()
        self._thread.join()

    def hears_that_nobody_reads(self) -> bool:
        self._thread.join(PATIENCE)
        return self.unread


class Screen:
    """gridtop in a terminal of 80x24 of its own, with something else as its standard input."""

    def __init__(self, runtime: Path, arguments: Sequence[str], stdin: int, controlling: bool = True) -> None:
        self.runtime = runtime
        self.master, self.terminal = pty.openpty()
        ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.terminal)
        self.output = b""
        self._looked_at = 0
        environment = os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gridtop", *arguments],
            stdin=stdin,
            stdout=self.terminal,
            stderr=self.terminal,
            env=environment | {"XDG_RUNTIME_DIR": str(runtime)},
            start_new_session=True,
            preexec_fn=(lambda: ioctl(1, termios.TIOCSCTTY, 0)) if controlling else None,
        )

    def press(self, key: str) -> None:
        os.write(self.master, key.encode())

    def read_until(self, wanted: bytes) -> None:
        """Read on until this is written."""
        deadline = time.monotonic() + PATIENCE
        while (at := self.output.find(wanted, self._looked_at)) < 0:
            assert time.monotonic() < deadline, self.output[-2000:]
            assert self.process.poll() is None, self.output[-2000:]
            self._read()
        self._looked_at = at + len(wanted)

    def ended(self) -> int:
        """The exit status, reading on so that it can write its last."""
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.output[-2000:]
            self._read()
        while self._read():
            pass
        return self.process.returncode

    @property
    def words(self) -> str:
        """What was written, without where the lines were broken."""
        return " ".join(re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.output.decode()).split())

    def _read(self) -> bytes:
        got = os.read(self.master, 65536) if select.select([self.master], [], [], 0.05)[0] else b""
        self.output += got
        return got

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


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(SIMULATED + SITE)
    return path


@pytest.fixture
def producer() -> Iterator[Producer]:
    made = Producer()
    yield made
    with contextlib.suppress(OSError):
        os.close(made.reading)
    made.stop()


@contextlib.contextmanager
def screen(*arguments: str | Path, stdin: int, controlling: bool = True) -> Iterator[Screen]:
    """gridtop with these arguments; it alone has the read end of the pipe, as in a shell."""
    with short_folder() as folder:
        running = Screen(folder, list(map(str, arguments)), stdin, controlling)
        with contextlib.suppress(OSError):
            os.close(stdin)
        try:
            yield running
        finally:
            running.process.kill()
            running.process.wait()
            os.close(running.master)
            os.close(running.terminal)


@pytest.mark.parametrize(
    ("written", "arguments", "leaving"), [(SIMULATED, PIPED, "q"), (LINES, ("tui",), CTRL_C)]
)
def test_the_pipe_is_watched_the_terminal_gives_the_keys_and_in_the_end_the_producer_hears_of_it(
    written: str, arguments: tuple[str, ...], leaving: str, config: Path, producer: Producer
) -> None:
    config.write_text(written + SITE)
    with screen(*arguments, "-c", config, stdin=producer.reading) as shown:
        shown.read_until(b"standard input")
        shown.read_until(b"132.0")
        # Ctrl+C is a key then, not a signal to the whole pipeline.
        assert not termios.tcgetattr(shown.terminal)[3] & termios.ISIG
        shown.press("?")
        shown.read_until(KEYS_PAGE)
        shown.press("?")
        shown.read_until(b"VOLTAGE")
        shown.press(leaving)
        assert shown.ended() == Exit.OK
        assert ALTERNATE_SCREEN_LEFT in shown.output
        assert termios.tcgetattr(shown.terminal) == shown.before
    assert producer.hears_that_nobody_reads()


def test_the_producer_hears_of_a_screen_that_is_killed(config: Path, producer: Producer) -> None:
    with screen("-c", config, *PIPED, stdin=producer.reading) as shown:
        shown.read_until(b"132.0")
        shown.process.kill()
        shown.ended()
        assert producer.hears_that_nobody_reads()


def test_data_that_end_are_there_to_be_looked_at(config: Path, tmp_path: Path) -> None:
    lines = [f"2026-01-01T00:00:{second:02}Z,132000\n" for second in range(40)]
    (tmp_path / "pmu.csv").write_text("Timestamp,R1-PM1:V\n" + "".join(lines))
    data = os.open(tmp_path / "pmu.csv", os.O_RDONLY)
    with screen("-c", config, "--source", "-", stdin=data) as shown:
        shown.read_until(b" ENDED ")
        shown.read_until(b"132.0")
        assert shown.frames() == 40  # the engine has not gone with them
        shown.press("q")
        assert shown.ended() == Exit.OK


def test_data_that_end_before_there_are_any_are_told(config: Path) -> None:
    with screen("-c", config, *PIPED, stdin=os.open(os.devnull, os.O_RDONLY)) as shown:
        assert shown.ended() == SourceError.code
        assert "standard input: it ended before there was a row of measurements" in shown.words


# What makes it the source, and where there is no keyboard or nothing piped in


@pytest.mark.parametrize(
    "source",
    ["{type: lines}", '{type: lines, path: "-"}', "{type: align, sources: {here: {type: lines}}}"],
)
def test_standard_input_is_known_as_the_source_wherever_it_is_written(source: str, config: Path) -> None:
    config.write_text(f"source: {source}\n{SITE}")
    assert reads_standard_input(config, None)
    assert not reads_standard_input(config, None, ["source={type: simulate}"])
    assert not reads_standard_input(config, Path("recording.csv"))
    config.write_text(SIMULATED + SITE)
    assert reads_standard_input(config, None, [f"source={source}"])
    assert not reads_standard_input(config, None, ["source={type: lines, path: pmu.csv}"])


def test_without_a_controlling_terminal_the_screen_says_what_to_do(config: Path, producer: Producer) -> None:
    arguments = ("tui", "-c", config, *PIPED)
    with screen(*arguments, stdin=producer.reading, controlling=False) as shown:
        assert shown.ended() == Exit.USAGE
        assert "/dev/tty, which cannot be opened" in shown.words
        assert "gridtop run --source -" in shown.words
    assert producer.hears_that_nobody_reads()


def test_without_a_controlling_terminal_gridtop_alone_is_headless(config: Path, producer: Producer) -> None:
    with screen("-c", config, *PIPED, stdin=producer.reading, controlling=False) as shown:
        shown.read_until(b"running headless")


@pytest.mark.parametrize("arguments", [("tui",), ("attach",)])
def test_a_pipe_that_is_not_the_source_is_no_keyboard(
    arguments: tuple[str, ...], config: Path, tmp_path: Path
) -> None:
    options = ("-c", config) if arguments == ("tui",) else ()
    with screen(*arguments, *options, stdin=os.open(os.devnull, os.O_RDONLY)) as shown:
        assert shown.ended() == Exit.USAGE
        assert "the screen needs a terminal" in shown.words


def test_gridtop_alone_with_a_pipe_that_is_not_the_source_is_headless(config: Path) -> None:
    with screen("-c", config, stdin=os.open(os.devnull, os.O_RDONLY)) as shown:
        shown.read_until(b"running headless")


def test_a_configuration_with_mistakes_is_told_of_whatever_is_piped_in(config: Path) -> None:
    config.write_text("source: {type: lines\n")
    for command in (("tui",), ()):
        with screen(*command, "-c", config, stdin=os.open(os.devnull, os.O_RDONLY)) as shown:
            assert shown.ended() == Exit.CONFIGURATION
            assert "config.yaml:" in shown.words


def test_nothing_piped_in_is_told_before_anything_starts(config: Path) -> None:
    master, terminal = pty.openpty()
    try:
        with screen("-c", config, *PIPED, stdin=terminal) as shown:
            assert shown.ended() == Exit.USAGE
            assert "nothing is piped in" in shown.words
            assert not list(shown.runtime.rglob("*.sock"))
    finally:
        os.close(master)
