"""The client over a socket when things go wrong: lost, stalled, replaced and lying engines."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gridtop import remote
from gridtop.errors import EngineLost, EngineReplaced, GridtopError
from gridtop.orders import Order
from gridtop.remote import RECONNECT, RemoteClient
from gridtop.server import Server
from gridtop.sockets import Listening
from tests.serving import low_voltage, monitor_of, served, short_folder, spaced_sags, until


@pytest.fixture
def place() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "engine.sock"


@contextlib.contextmanager
def stand_in(path: Path, behave: Callable[[socket.socket], None]) -> Iterator[list[bytes]]:
    """A program at the socket that is no engine: what it was sent, connection after connection."""
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        heard.append(connection.recv(65536))
                        behave(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield heard
        listening.shutdown(socket.SHUT_RDWR)


async def test_an_engine_that_is_gone_is_asked_again_ever_less_often(place: Path) -> None:
    now = 100.0
    client = RemoteClient(place, clock=lambda: now)
    assert client.link.state == "connecting"
    assert client.age == math.inf
    attempts = []
    while now < 160:
        before = client._failures
        with pytest.raises(EngineLost, match="no engine answers"):
            await client.snapshot()
        if client._failures > before:
            attempts.append(now)
        now += 0.25
    pauses = [late - early for early, late in itertools.pairwise(attempts)]
    assert tuple(pauses[: len(RECONNECT)]) == RECONNECT
    assert set(pauses[len(RECONNECT) :]) == {RECONNECT[-1]}
    assert (client.link.state, client.link.since) == ("lost", 100.0)
    await client.close()


async def test_a_connection_that_breaks_loses_and_doubles_no_event(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(low_voltage(tmp_path, sags=10), "source.speed=50")
    now = 0.0
    client = RemoteClient(place, clock=lambda: now)
    seen: list[int] = []
    breaks = 0
    async with served(monitor, place) as server:
        await client.hello()
        listening = None
        while len(seen) < 20:
            try:
                assert (await client.snapshot()).seq >= len(seen)
                seen += [event.seq for event in await client.events(after=seen[-1] if seen else 0, limit=3)]
                if len(seen) >= 6 and not breaks:
                    await server.close()
                    breaks += 1
            except EngineLost:
                assert client.link.state == "lost"
                assert client.link.detail
                now += 0.4
                if listening is None:
                    place.unlink()
                    listening = Listening(place)
                    server = Server(monitor)
                    await server.start(listening.socket)
            await asyncio.sleep(0.005)
        assert breaks == 1
        assert client.link.state == "up"
        assert seen == list(range(1, len(seen) + 1))
        await client.close()
        await server.close()


async def test_a_connection_that_the_engine_closed_while_idle_is_no_loss(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(low_voltage(tmp_path))
    client = RemoteClient(place)
    async with served(monitor, place) as server:
        await client.hello()
        await server.close()
        place.unlink()
        listening = Listening(place)
        second = Server(monitor)
        await second.start(listening.socket)
        await client.pause()
        assert client.link.state == "up"
        await client.close()
        await second.close()


async def test_another_engine_at_the_socket_is_never_mixed_with_the_first(
    place: Path, tmp_path: Path
) -> None:
    config = spaced_sags(tmp_path)
    client = RemoteClient(place)
    async with served(monitor_of(config), place):
        first = await client.hello()
        await until(client, "ended")
        assert len(await client.events()) == 6
    async with served(monitor_of(config), place):
        for ask in (client.snapshot, lambda: client.events(after=6), client.snapshot):
            with pytest.raises(EngineReplaced):
                await ask()
        with pytest.raises(EngineReplaced):
            await client.seek(3)
        assert client.link.state == "up"
        assert (await client.hello()).instance != first.instance
        await until(client, "ended")
        assert [event.seq for event in await client.events()] == [1, 2, 3, 4, 5, 6]
        await client.close()


async def test_the_age_of_what_was_said_grows_until_the_next_answer(place: Path, tmp_path: Path) -> None:
    now = 0.0
    client = RemoteClient(place, clock=lambda: now)
    async with served(monitor_of(low_voltage(tmp_path)), place):
        await client.hello()
        assert client.age == 0.0
        now = 12.0
        assert client.age == 12.0
        await client.snapshot()
        assert client.age == 0.0
        assert client.link == remote.Link("up", 0.0)
        await client.close()


async def test_a_client_that_only_reads_refuses_commands(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(low_voltage(tmp_path))
    client = RemoteClient(place, read_only=True)
    async with served(monitor, place):
        await client.hello()
        await client.snapshot()
        for command in (
            client.pause,
            client.resume,
            client.step,
            lambda: client.operate(Order("acknowledge", "x")),
        ):
            with pytest.raises(GridtopError, match="only reads"):
                await command()
        await client.close()


async def test_an_engine_that_stalls_is_lost_after_a_while(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "TIMEOUT", 0.1)
    done = threading.Event()
    with stand_in(place, lambda connection: done.wait() and None):
        client = RemoteClient(place)
        with pytest.raises(EngineLost, match="does not answer"):
            await client.snapshot()
        done.set()
        await client.close()


async def test_closing_does_not_wait_for_an_engine_that_stalls(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "TIMEOUT", 100.0)
    done = threading.Event()
    with stand_in(place, lambda connection: done.wait() and None) as heard:
        client = RemoteClient(place)
        asking = asyncio.create_task(client.snapshot())
        while not heard:
            await asyncio.sleep(0.01)
        await client.close()
        with pytest.raises(EngineLost):
            await asking
        done.set()


async def test_a_command_is_never_sent_twice(place: Path) -> None:
    with stand_in(place, lambda connection: None) as heard:
        client = RemoteClient(place)
        with pytest.raises(EngineLost, match="hung up"):
            await client.step(5)
        await client.close()
    assert [line.split(b" ")[1] for line in heard] == [b"/v1/replay/step"]


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (b"nonsense\r\n\r\n", EngineLost, "nonsense"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{}{}", GridtopError, "another version"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", GridtopError, "another version"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", GridtopError, "another version"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\nmmmm", GridtopError, "status 500"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", EngineLost, "IncompleteRead"),
    ],
)
async def test_an_answer_that_makes_no_sense_is_an_error_in_words(
    said: bytes, kind: type[Exception], words: str, place: Path
) -> None:
    with stand_in(place, lambda connection: connection.sendall(said)):
        client = RemoteClient(place)
        with pytest.raises(kind, match=words):
            await client.snapshot()
        await client.close()


async def test_only_an_engine_of_its_own_can_be_started_again(place: Path) -> None:
    client = RemoteClient(place)
    assert not client.can_restart
    with pytest.raises(GridtopError, match="not started from here"):
        await client.restart()
    await client.close()


def test_a_screen_needs_no_http_library_and_no_engine() -> None:
    program = "import sys, gridtop.remote, gridtop.engine; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"aiohttp", "pydantic", "pandas", "textual", "yaml", "gridtop.monitor", "gridtop.server"}
    assert not heavy & set(done.stdout.split())
