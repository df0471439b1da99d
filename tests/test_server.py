"""The HTTP API as another program sees it: real sockets, bytes on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gridtop.events import Event
from gridtop.monitor import Monitor
from gridtop.server import Server
from tests.serving import low_voltage, monitor_of, served, short_folder


@pytest.fixture
def place() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder / "engine.sock"


@contextlib.asynccontextmanager
async def session(path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.UnixConnector(str(path))
    async with aiohttp.ClientSession("http://localhost", connector=connector) as http:
        yield http


async def ended(monitor: Monitor) -> None:
    while monitor.snapshot().transport.state != "ended":
        await asyncio.sleep(0.01)


async def read_until(stream: aiohttp.StreamReader, text: bytes) -> bytes:
    """What a stream says up to a text."""
    said = b""
    while text not in said:
        said += await asyncio.wait_for(stream.readany(), 20)
    return said


def events_in(said: bytes) -> list[tuple[int, dict[str, Any]]]:
    """Number and data of the numbered messages in what a stream said."""
    found = []
    for message in said.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in message.splitlines() if not line.startswith(":"))
        if "id" in fields:
            found.append((int(fields["id"]), json.loads(fields["data"])))
    return found


STREAM = {"Accept": "text/event-stream"}
JSON = {"Content-Type": "application/json"}


async def test_the_bytes_of_events_are_those_of_the_log(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(low_voltage(tmp_path))
    async with served(monitor, place), session(place) as http:
        await ended(monitor)
        lines = [event.to_json().encode() for event in monitor.events()]
        async with http.get("/v1/events") as answer:
            body = await answer.read()
            assert answer.headers["Gridtop-Instance"] == monitor.instance
        assert b'"events": [' + b",".join(lines) + b"]}" in body
        assert json.loads(body)["seq"] == 6
        async with http.get("/v1/events", headers=STREAM) as answer:
            said = await read_until(answer.content, b"id: 6\n")
            assert answer.content_type == "text/event-stream"
        assert said.startswith(b"retry: 3000\n\nevent: hello\ndata: {")
        for number, line in enumerate(lines, 1):
            assert b"id: %d\nevent: alarm\ndata: %s\n\n" % (number, line) in said + b"\n\n"


async def test_a_stream_goes_on_after_the_last_event_that_was_read(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(low_voltage(tmp_path))
    async with served(monitor, place), session(place) as http:
        await ended(monitor)
        for asked in (
            {"headers": STREAM | {"Last-Event-ID": "4"}},
            {"headers": STREAM, "params": {"after": 4}},
        ):
            async with http.get("/v1/events", **asked) as answer:  # type: ignore[arg-type]
                said = await read_until(answer.content, b"id: 6\n")
            assert [number for number, _ in events_in(said.rsplit(b"\n\n", 1)[0])][:1] == [5]
            assert b"resync" not in said


async def test_a_reader_of_another_engine_is_told_to_begin_again(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(low_voltage(tmp_path))
    async with served(monitor, place), session(place) as http:
        await ended(monitor)
        async with http.get("/v1/events", headers=STREAM | {"Last-Event-ID": "900"}) as answer:
            said = await read_until(answer.content, b"id: 6\n")
        assert said.index(b"event: resync") < said.index(b"id: 1\n")


async def test_events_arrive_as_they_happen_and_silence_has_a_heartbeat(place: Path, tmp_path: Path) -> None:
    config = low_voltage(tmp_path, sags=1)
    monitor = monitor_of(config, "source.speed=1")
    async with served(monitor, place, heartbeat=0.05), session(place) as http:
        async with http.get("/v1/events", headers=STREAM) as answer:
            await read_until(answer.content, b": hb\n\n")
            monitor.replay.set_speed(1000)
            said = await read_until(answer.content, b"id: 2\n")
        assert said.count(b"id: ") == 2


async def test_a_reader_that_stalls_is_cut_off_and_delays_nobody(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(low_voltage(tmp_path))
    async with served(monitor, place, patience=0.2, heartbeat=0.1) as server, session(place) as http:
        await ended(monitor)
        stalled, writer = await asyncio.open_unix_connection(str(place), limit=1024)
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        await stalled.readuntil(b"event: hello")
        wordy = Event("0" * 16, "source", "noticed", "info", "test", "x" * 10_000, 0)
        async with http.get("/v1/events", headers=STREAM, params={"after": 6}) as answer:
            for _ in range(20):
                await monitor._publish([wordy] * 20)
            said = await read_until(answer.content, b"id: 406\n")
            assert said.count(b"event: source") == 400
        while server._streams:
            await asyncio.sleep(0.02)
        writer.close()


async def test_streams_are_limited_in_number_and_end_with_the_engine(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridtop.server._MOST_STREAMS", 1)
    monitor = monitor_of(low_voltage(tmp_path))
    async with session(place) as http:
        async with served(monitor, place):
            first = await http.get("/v1/events", headers=STREAM)
            async with http.get("/v1/events", headers=STREAM) as second:
                assert second.status == 503
                assert "1 streams" in (await second.json())["error"]
        with contextlib.suppress(aiohttp.ClientError):
            assert b"hello" in await asyncio.wait_for(first.read(), 10)


@pytest.mark.parametrize(
    ("method", "target", "options", "status", "said"),
    [
        ("GET", "/v1/nothing", {}, 404, "there is no /v1/nothing"),
        ("GET", "/v1/replay/pause", {}, 405, "is not for GET"),
        ("GET", "/v1/events?after=x", {}, 400, "after must be a number"),
        ("GET", "/v1/events?limit=1000000", {}, 400, "limit must be a number from 1 to 5000"),
        ("GET", "/v1/telemetry?window=nan", {}, 400, "window must be"),
        ("GET", "/v1/telemetry?buckets=1000000", {}, 400, "buckets must be"),
        ("GET", "/v1/telemetry?" + "channel=x&" * 1025, {}, 400, "at most 1024 channels"),
        ("POST", "/v1/replay/speed", {"json": {"factor": "fast"}}, 400, "times real time"),
        ("POST", "/v1/replay/speed", {"json": {"factor": 0}}, 400, "speed 0 cannot be played"),
        ("POST", "/v1/replay/seek", {"json": {"row": 1.5}}, 400, '{"row": WHOLE NUMBER}'),
        ("POST", "/v1/replay/seek", {"json": {"time": "tomorrow"}}, 400, "ISO 8601"),
        ("POST", "/v1/replay/step", {"json": [1]}, 400, "not a JSON object"),
        ("POST", "/v1/replay/step", {"data": b"{", "headers": JSON}, 400, "not JSON"),
        ("POST", "/v1/replay/step", {"data": b"frames=1"}, 415, "Content-Type: application/json"),
        ("POST", "/v1/replay/step", {"json": {"x": "y" * 70_000}}, 413, "larger than 65536 bytes"),
        ("GET", "/v1/hello", {"headers": {"Host": "evil.example"}}, 403, "host name"),
        ("GET", "/v1/hello", {"headers": {"Host": "evil.example:80"}}, 403, "host name"),
        ("POST", "/v1/replay/pause", {"headers": {"Origin": "http://localhost"}}, 403, "web pages"),
        ("POST", "/v1/replay/pause", {"headers": {"Gridtop-Access": "read"}}, 403, "read only"),
    ],
)  # fmt: skip
async def test_what_cannot_be_answered_is_refused_in_words(
    method: str, target: str, options: dict[str, Any], status: int, said: str, place: Path, tmp_path: Path
) -> None:
    monitor = monitor_of(low_voltage(tmp_path))
    async with served(monitor, place), session(place) as http:
        await monitor.opened()
        async with http.request(method, target, **options) as answer:
            assert said in (await answer.json())["error"]
            assert answer.status == status
        assert monitor.snapshot().transport.state in ("playing", "ended")


async def test_an_engine_that_is_starting_says_so(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(low_voltage(tmp_path))
    from gridtop.sockets import Listening

    listening, server = Listening(place), Server(monitor)
    await server.start(listening.socket)
    async with session(place) as http:
        for method, target in (("GET", "/v1/hello"), ("GET", "/v1/telemetry"), ("POST", "/v1/replay/pause")):
            async with http.request(method, target) as answer:
                assert answer.status == 503
                assert "opening its source" in (await answer.json())["error"]
        async with http.get("/healthz") as answer:
            assert (answer.status, (await answer.json())["status"]) == (503, "starting")
        async with http.get("/v1/snapshot") as answer:
            assert (await answer.json())["transport"]["state"] == "starting"
    await server.close()
    listening.close()


async def test_health_is_one_look(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(low_voltage(tmp_path))
    async with served(monitor, place), session(place) as http:
        await ended(monitor)
        async with http.get("/healthz") as answer:
            assert answer.status == 200
            health = {"status": "ok", "state": "ended", "seq": 6, "pid": os.getpid(), "problems": []}
            assert await answer.json() == health


async def test_a_mistake_of_the_engine_is_an_answer_and_the_engine_lives(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = monitor_of(low_voltage(tmp_path))
    async with served(monitor, place), session(place) as http:
        await monitor.opened()
        monkeypatch.setattr(monitor, "telemetry", lambda request: 1 / 0)
        async with http.get("/v1/telemetry") as answer:
            assert answer.status == 500
            assert "ZeroDivisionError" in (await answer.json())["error"]
        async with http.get("/v1/hello") as answer:
            assert answer.status == 200


async def test_another_user_is_refused(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = monitor_of(low_voltage(tmp_path))
    monkeypatch.setattr("gridtop.sockets.peer_is_trusted", lambda connection: False)
    async with served(monitor, place), session(place) as http, http.get("/v1/snapshot") as answer:
        assert answer.status == 403
        assert "another user" in (await answer.json())["error"]
