"""Engine and screen as processes that live and die on their own: real processes, sockets and signals."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest

from gridtop import engine as engines
from gridtop import sockets
from gridtop.engine import Engine
from gridtop.errors import ConfigurationError, EngineLost, EngineReplaced, GridtopError, SourceError
from gridtop.events import Event
from gridtop.remote import RemoteClient
from tests.serving import low_voltage, monitor_of, short_folder, spaced_sags, until

DEADLINE = 30.0
"""Seconds after which a process that should have done something is taken to hang."""


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for sockets, empty and for this test alone."""
    with short_folder() as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
        (folder / "gridtop").mkdir(mode=0o700)
        yield folder / "gridtop"


@contextlib.asynccontextmanager
async def engine_of(config: Path, place: Path, *arguments: str, keep: bool = False) -> AsyncIterator[Engine]:
    engine = Engine(["-c", str(config), *arguments], place, keep=keep)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop()


def runs(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody asked about does not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        os.kill(pid, 0)
        return not stat.parent.parent.is_dir() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_until(condition: object, what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


def lines(events: Sequence[Event]) -> list[str]:
    """What must be the same in every run: all but the wall clock."""
    return [json.dumps(event.to_dict() | {"wall": None}) for event in events]


def events_in_process(config: Path) -> list[str]:
    monitor = monitor_of(config, stop_at_end=True)
    asyncio.run(monitor.run())
    return lines(monitor.events())


async def test_an_engine_starts_answers_and_leaves_nothing_behind(runtime: Path, tmp_path: Path) -> None:
    config = spaced_sags(tmp_path)
    engine = Engine(["-c", str(config)], runtime / "a.sock")
    engine.start()
    client = RemoteClient(engine.path, engine=engine)
    assert (await client.hello()).source == "low.csv"
    assert client.link.state == "up"
    await until(client, "ended")
    assert len(await client.events()) == 6
    assert os.getsid(engine.pid) == engine.pid != os.getsid(0)
    await client.close()
    assert not runs(engine.pid)
    assert list(runtime.iterdir()) == []


def test_the_events_of_an_engine_are_those_of_the_same_monitor_in_process(
    runtime: Path, tmp_path: Path
) -> None:
    config = spaced_sags(tmp_path)

    async def through_an_engine() -> list[str]:
        async with engine_of(config, runtime / "a.sock") as engine:
            client = RemoteClient(engine.path, engine=engine)
            await client.hello()
            await until(client, "ended")
            seen = lines(await client.events())
            await client.close()
            return seen

    assert asyncio.run(through_an_engine()) == events_in_process(config)


SCREEN = """\
import asyncio, sys
from pathlib import Path
from gridtop.engine import Engine
from gridtop.remote import RemoteClient

async def main(config, place, keep):
    engine = Engine(["-c", config, "--speed", "20"], Path(place), keep=keep)
    engine.start()
    print(engine.pid, flush=True)
    client, after = RemoteClient(engine.path, engine=engine, keep=keep), 0
    await client.hello()
    while True:
        for event in await client.events(after, limit=2):
            after = event.seq
            print(event.to_json(), flush=True)
        await asyncio.sleep(0.005)

asyncio.run(main(*sys.argv[1:3], sys.argv[3] == "keep"))
"""


@contextlib.contextmanager
def screen(config: Path, place: Path, keep: bool) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that starts an engine and prints its events, as a screen would show them; the engine's id."""
    command = [sys.executable, "-c", SCREEN, str(config), str(place), "keep" if keep else "end"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def test_a_screen_killed_and_attached_again_misses_nothing_and_sees_nothing_twice(
    runtime: Path, tmp_path: Path
) -> None:
    config, place = low_voltage(tmp_path, sags=20), runtime / "a.sock"
    everything = events_in_process(config)
    with screen(config, place, keep=True) as (process, engine):
        assert process.stdout is not None
        before = [process.stdout.readline() for _ in range(7)]
        process.send_signal(signal.SIGKILL)
        before += process.stdout.readlines()
    seen = [json.loads(line) | {"wall": None} for line in before if line.endswith("\n")]
    assert runs(engine)

    async def the_rest() -> list[str]:
        client, events = RemoteClient(place), []
        await client.hello()
        while len(seen) + len(events) < len(everything):
            events += await client.events(after=events[-1].seq if events else seen[-1]["seq"], limit=3)
        assert (await client.snapshot()).seq == len(everything)
        await client.close()
        return lines(events)

    rest = asyncio.run(the_rest())
    assert rest
    assert [json.dumps(event) for event in seen] + rest == everything
    os.kill(engine, signal.SIGTERM)
    wait_until(lambda: not runs(engine), "the end of the engine")


@pytest.mark.parametrize("when", ["at once", "later"])
def test_a_screen_that_is_killed_leaves_no_orphan(when: str, runtime: Path, tmp_path: Path) -> None:
    config, place = low_voltage(tmp_path, sags=200), runtime / "a.sock"
    with screen(config, place, keep=False) as (process, engine):
        if when == "later":
            assert process.stdout is not None
            assert process.stdout.readline().startswith('{"id"')
        process.send_signal(signal.SIGKILL)
        process.wait()
        wait_until(lambda: not runs(engine), "the end of the engine")
    assert list(runtime.iterdir()) == []


def test_an_engine_whose_loop_hangs_ends_with_its_screen_all_the_same() -> None:
    program = (
        "import signal, sys, time; from gridtop import engine; engine.STOP_SECONDS = 0.1\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); engine.obey_lifeline(int(sys.argv[1]))\n"
        "while True: time.sleep(1)"
    )
    there, here = os.pipe()
    with subprocess.Popen([sys.executable, "-c", program, str(there)], pass_fds=[there]) as process:
        os.close(there)
        os.close(here)
        assert process.wait(DEADLINE) == 1


async def test_an_engine_that_is_killed_is_told_with_its_last_words_and_can_be_started_again(
    runtime: Path, tmp_path: Path
) -> None:
    config = spaced_sags(tmp_path)
    async with engine_of(config, runtime / "a.sock") as engine:
        client = RemoteClient(engine.path, engine=engine)
        first = await client.hello()
        await until(client, "ended")
        with engine.log.open("a") as log:
            log.write("gridtop: last\x1b[2J words\n")
        os.kill(engine.pid, signal.SIGKILL)
        while client.link.state != "ended":
            with contextlib.suppress(EngineLost):
                await client.snapshot()
            await asyncio.sleep(0.01)
        assert client.link.detail == "the engine was killed (SIGKILL)"
        assert client.link.log == ("gridtop: last�[2J words",)
        with pytest.raises(EngineLost, match="was killed"):
            await client.snapshot()
        with pytest.raises(EngineLost, match="was killed"):
            await client.hello()

        assert client.can_restart
        await client.restart()
        assert client.link.state == "connecting"
        while True:
            try:
                await client.snapshot()
            except EngineLost:
                await asyncio.sleep(0.02)
            except EngineReplaced:
                break
        assert (await client.hello()).instance != first.instance
        await until(client, "ended")
        assert [event.seq for event in await client.events()] == [1, 2, 3, 4, 5, 6]
        await client.close()


def as_json_lines(first: int, count: int) -> bytes:
    """Measurements as a program prints them, ten a second."""
    moments = (1_767_225_600 + (first + i) / 10 for i in range(count))
    return b"".join(b'{"time": %.1f, "R1-PM1:V": 132000}\n' % moment for moment in moments)


async def frames_of(client: RemoteClient, count: int) -> None:
    """Wait until so many have been judged."""
    async with asyncio.timeout(DEADLINE):
        while (await client.snapshot()).counts.frames < count:
            await asyncio.sleep(0.02)
    assert (await client.snapshot()).counts.frames == count


async def test_an_engine_reads_what_it_is_given_and_goes_on_with_what_comes_when_it_is_started_again(
    runtime: Path, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    arguments = ["-c", str(spaced_sags(tmp_path)), "--source", "-", "--set", "source.rate=10"]
    engine = Engine(arguments, runtime / "a.sock", stdin=reading)
    engine.start()
    client = RemoteClient(engine.path, engine=engine)
    try:
        os.write(writing, as_json_lines(0, 20))
        first = await client.hello()
        assert (first.source, first.live) == ("standard input", True)
        await frames_of(client, 20)
        os.kill(engine.pid, signal.SIGKILL)
        wait_until(lambda: engine.ending, "the end of the engine")
        os.write(writing, as_json_lines(20, 30))  # waits in the pipe, which this process holds open
        await client.restart()
        assert (await client.hello()).instance != first.instance
        await frames_of(client, 30)
    finally:
        await client.close()
        os.close(reading)
    with pytest.raises(BrokenPipeError):
        os.write(writing, b"\n")
    os.close(writing)


async def first_hello(client: RemoteClient) -> None:
    """Ask until there is an answer."""
    while True:
        try:
            await client.hello()
        except EngineLost:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ("path: nowhere.csv, rate: 30", SourceError, "nowhere.csv"),
        ("path: low.csv, rat: 30", ConfigurationError, "config.yaml:1:"),
    ],
)
async def test_what_keeps_an_engine_from_working_is_said_in_its_words(
    change: str, kind: type[GridtopError], said: str, runtime: Path, tmp_path: Path
) -> None:
    config = spaced_sags(tmp_path)
    config.write_text(config.read_text().replace("path: low.csv, rate: 30", change))
    async with engine_of(config, runtime / "a.sock") as engine:
        client = RemoteClient(engine.path, engine=engine)
        with pytest.raises(kind, match=said):
            await first_hello(client)
        await client.close()


async def test_a_kept_engine_outlives_its_screen_and_ends_in_order_when_told(
    runtime: Path, tmp_path: Path
) -> None:
    async with engine_of(spaced_sags(tmp_path), runtime / "a.sock", keep=True) as engine:
        client = RemoteClient(engine.path, engine=engine, keep=True)
        await client.hello()
        await client.close()
        assert not engine.ending
        os.kill(engine.pid, signal.SIGTERM)
        wait_until(lambda: engine.ending, "the end of the engine")
        assert engine.ending == "the engine ended with exit code 0"
        assert not engine.path.exists()


async def test_an_engine_that_stands_still_is_killed_when_it_must_end(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "STOP_SECONDS", 0.1)
    async with engine_of(spaced_sags(tmp_path), runtime / "a.sock") as engine:
        client = RemoteClient(engine.path, engine=engine)
        await client.hello()
        os.kill(engine.pid, signal.SIGSTOP)
        await client.close()
        assert engine.ending == "the engine was killed (SIGKILL)"


def test_an_engine_is_found_whatever_lies_in_the_working_directory(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = spaced_sags(tmp_path)
    (tmp_path / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    monkeypatch.chdir(tmp_path)

    async def source() -> str:
        async with engine_of(config, runtime / "a.sock") as engine:
            client = RemoteClient(engine.path, engine=engine)
            name = (await client.hello()).source
            await client.close()
            return name

    assert asyncio.run(source()) == "low.csv"


# The commands, at a terminal


@contextlib.contextmanager
def at_a_terminal(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """gridtop at a terminal of 80x24 that somebody reads; the process and where to type."""
    here, there = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    command = [sys.executable, "-m", "gridtop", *arguments]
    process = subprocess.Popen(
        command, stdin=there, stdout=there, stderr=there, env=environment, start_new_session=True
    )
    os.close(there)

    def read() -> None:
        with contextlib.suppress(OSError):
            while os.read(here, 65536):
                pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        yield process, here
    finally:
        process.kill()
        process.wait()
        reader.join()
        os.close(here)


def engine_in(runtime: Path) -> Path:
    """The socket of the engine that a screen has started, once it serves."""

    def found() -> list[Path]:
        return [path for path in runtime.glob("*.sock") if asyncio.run(_well(path))]

    wait_until(found, "an engine that serves")
    return found()[0]


async def _well(path: Path) -> bool:
    client = RemoteClient(path)
    try:
        await client.hello()
    except ConnectionError:
        return False
    finally:
        await client.close()
    return True


@pytest.mark.parametrize("end", ["q", signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_the_engine_of_a_screen_ends_with_it(
    end: str | signal.Signals, runtime: Path, tmp_path: Path
) -> None:
    config = spaced_sags(tmp_path)
    with at_a_terminal("-c", str(config)) as (process, keyboard):
        place = engine_in(runtime)
        if isinstance(end, str):
            os.write(keyboard, end.encode())
        else:
            process.send_signal(end)
        process.wait(DEADLINE)
        wait_until(lambda: not place.exists(), "the end of the engine")


def test_a_kept_engine_is_attached_to_and_left_again(runtime: Path, tmp_path: Path) -> None:
    config = spaced_sags(tmp_path)
    with at_a_terminal("--keep", "-c", str(config)) as (process, keyboard):
        place = engine_in(runtime)
        process.send_signal(signal.SIGKILL)
        process.wait(DEADLINE)
    for arguments in (("attach",), ("attach", "--socket", place.stem, "--read-only")):
        with at_a_terminal(*arguments) as (process, keyboard):
            time.sleep(0.5)
            os.write(keyboard, b"q")
            assert process.wait(DEADLINE) == 0
    assert engine_in(runtime) == place

    async def speed() -> float:
        client = RemoteClient(place)
        speed = (await client.snapshot()).transport.speed
        await client.close()
        return speed

    assert asyncio.run(speed()) == float("inf")
    os.kill(listener_at(place), signal.SIGTERM)
    wait_until(lambda: not place.exists(), "the end of the engine")


def listener_at(place: Path) -> int:
    """The process that listens at a socket."""
    with sockets.connected(place, DEADLINE) as connection:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(credentials[:4], sys.byteorder)


def test_attach_needs_a_terminal_and_an_engine(runtime: Path) -> None:
    done = gridtop("attach")
    assert done.returncode == 2
    assert b"needs a terminal" in done.stderr
    with at_a_terminal("attach", "--socket", "nobody") as (process, _):
        assert process.wait(DEADLINE) == SourceError.code


# gridtop run


def gridtop(*arguments: str, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[bytes]:
    command = [*prefix, sys.executable, "-m", "gridtop", *arguments]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=DEADLINE
    )


def test_no_serve_touches_no_folder_and_contradicts_a_socket(runtime: Path, tmp_path: Path) -> None:
    config = str(spaced_sags(tmp_path))
    runtime.chmod(0o777)
    done = gridtop("run", "-c", config, "-q", "--no-serve")
    assert (done.returncode, done.stderr, len(done.stdout.splitlines())) == (0, b"", 6)
    assert list(runtime.iterdir()) == []
    assert gridtop("run", "-c", config, "--no-serve", "--socket", "lab").returncode == 2


def test_a_place_that_is_not_safe_ends_a_run_only_when_it_was_asked_for(
    runtime: Path, tmp_path: Path
) -> None:
    config = str(spaced_sags(tmp_path))
    runtime.chmod(0o777)
    done = gridtop("run", "-c", config, "-q")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 6)
    assert b"screens cannot attach" in done.stderr
    assert b"chmod 700" in done.stderr
    done = gridtop("run", "-c", config, "--socket", "lab")
    assert (done.returncode, done.stdout) == (2, b"")


def test_an_engine_started_with_nohup_outlives_its_terminal(runtime: Path, tmp_path: Path) -> None:
    config = spaced_sags(tmp_path)
    command = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", sys.executable, "-m", "gridtop", "run", "--stay"]
    with subprocess.Popen([*command, "-q", "-c", str(config)], stdout=subprocess.DEVNULL) as process:
        place = engine_in(runtime)
        process.send_signal(signal.SIGHUP)
        assert engine_in(runtime) == place
        process.terminate()
        assert process.wait(DEADLINE) == 0


def test_a_mistake_in_the_configuration_ends_the_screen_with_the_engines_words(
    runtime: Path, tmp_path: Path
) -> None:
    config = spaced_sags(tmp_path)
    config.write_text("sauce: {}\n")
    with at_a_terminal("-c", str(config)) as (process, _):
        assert process.wait(DEADLINE) == ConfigurationError.code
    assert not list(runtime.glob("*.sock"))


@pytest.mark.parametrize(("engines_there", "said"), [(0, b"no engine runs"), (2, b"low.csv")])
def test_attach_without_a_choice_says_what_there_is(
    engines_there: int, said: bytes, runtime: Path, tmp_path: Path
) -> None:
    config = spaced_sags(tmp_path)
    with contextlib.ExitStack() as stack:
        for name in ("one", "two")[:engines_there]:
            command = [sys.executable, "-m", "gridtop", "run", "--stay", "-q", "--socket", name]
            process = stack.enter_context(
                subprocess.Popen([*command, "-c", str(config)], stdout=subprocess.DEVNULL)
            )
            stack.callback(process.terminate)
            wait_until(lambda name=name: (runtime / f"{name}.sock").exists(), "the engine")  # type: ignore[misc]
            wait_until(lambda name=name: asyncio.run(_well(runtime / f"{name}.sock")), "the engine")  # type: ignore[misc]
        from gridtop.tui.command import chosen_socket

        with pytest.raises(GridtopError, match=said.decode()):
            chosen_socket(None)
