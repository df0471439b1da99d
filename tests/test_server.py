"""The HTTP API as another program sees it: real sockets, bytes on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gridtop.api_settings import ApiSettings
from gridtop.client import JournalStatus, SinkStatus
from gridtop.errors import GridtopError
from gridtop.events import Event
from gridtop.monitor import Monitor
from gridtop.server import Server
from gridtop.sockets import Listening
from tests.serving import low_voltage, monitor_of, served, short_folder, spaced_sags


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


def numbers_in(said: bytes) -> list[int]:
    """The numbers of the messages in what a stream said."""
    return [int(number) for number in re.findall(rb"^id: ([0-9]+)\n", said, re.MULTILINE)]


STREAM = {"Accept": "text/event-stream"}
JSON = {"Content-Type": "application/json"}


async def test_the_bytes_of_events_are_those_of_the_log(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
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
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served(monitor, place), session(place) as http:
        await ended(monitor)
        for asked in (
            {"headers": STREAM | {"Last-Event-ID": "4"}},
            {"headers": STREAM, "params": {"after": 4}},
        ):
            async with http.get("/v1/events", **asked) as answer:  # type: ignore[arg-type]
                said = await read_until(answer.content, b"id: 6\n")
            assert numbers_in(said) == [5, 6]
            assert b"resync" not in said


async def test_a_reader_of_another_engine_is_told_to_begin_again(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
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
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served(monitor, place, patience=0.5, heartbeat=0.1) as server, session(place) as http:
        await ended(monitor)
        stalled, writer = await asyncio.open_unix_connection(str(place), limit=1024)
        writer.write(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
        await stalled.readuntil(b"event: hello")
        wordy = "x" * 2048
        async with http.get("/v1/events", headers=STREAM, params={"after": 6}) as answer:
            reading = asyncio.create_task(read_until(answer.content, b"id: 1006\n"))
            for _ in range(20):
                await asyncio.gather(*(monitor.report("test", 1, wordy) for _ in range(50)))
            assert numbers_in(await reading) == list(range(7, 1007))
        while server.streams_open:
            await asyncio.sleep(0.02)
        async with http.get("/metrics") as answer:
            assert 'gridtop_sse_evicted_total{door="unix"} 1\n' in await answer.text()
        writer.close()


async def test_streams_are_limited_in_number_and_end_with_the_engine(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with session(place) as http:
        async with served(monitor, place, settings=ApiSettings(streams=1)):
            first = await http.get("/v1/events", headers=STREAM)
            async with http.get("/v1/events", headers=STREAM) as second:
                assert second.status == 503
                assert "1 streams" in (await second.json())["error"]
                assert second.headers["Retry-After"] == "15"
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
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served(monitor, place), session(place) as http:
        await monitor.opened()
        async with http.request(method, target, **options) as answer:
            assert said in (await answer.json())["error"]
            assert answer.status == status
        assert monitor.snapshot().transport.state in ("playing", "ended")


async def test_an_engine_that_is_starting_says_so(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    listening, server = Listening(place), Server(monitor)
    await server.start(listening.socket)
    async with session(place) as http:
        for method, target in (("GET", "/v1/hello"), ("GET", "/v1/telemetry"), ("POST", "/v1/replay/pause")):
            async with http.request(method, target) as answer:
                assert answer.status == 503
                assert "opening its source" in (await answer.json())["error"]
        async with http.get("/healthz") as answer:
            assert (answer.status, await answer.json()) == (200, {"status": "ok"})
        async with http.get("/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json())["reasons"] == ["the engine is opening its source"]
        async with http.get("/v1/snapshot") as answer:
            assert (await answer.json())["transport"]["state"] == "starting"
    await server.close()
    listening.close()


async def test_readiness_is_one_look(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served(monitor, place), session(place) as http:
        await ended(monitor)
        async with http.get("/readyz") as answer:
            ready = await answer.json()
        assert answer.status == 200
        assert (ready["status"], ready["state"], ready["reasons"]) == ("ready", "ended", [])
        # A sink that is down is told, and is no reason; a journal that cannot be written is one.
        down = SinkStatus("phone", "resting", waiting=3, problem="refused")
        degraded = JournalStatus("degraded", problem="disk full")
        snapshot = replace(monitor.snapshot(), sinks=(down,))
        monkeypatch.setattr(monitor, "snapshot", lambda: snapshot)
        async with http.get("/readyz") as answer:
            ready = await answer.json()
        assert answer.status == 200
        assert ready["sinks"] == {
            "phone": {"state": "resting", "waiting": 3, "dead": 0, "problem": "refused"}
        }
        snapshot = replace(snapshot, journal=degraded)
        async with http.get("/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json())["reasons"] == ["the journal does not keep events: disk full"]


async def test_a_source_that_failed_is_alive_and_not_ready(place: Path, tmp_path: Path) -> None:
    config = spaced_sags(tmp_path)
    (tmp_path / "low.csv").unlink()
    monitor = monitor_of(config)
    async with served(monitor, place), session(place) as http:
        with contextlib.suppress(GridtopError):
            await monitor.opened()
        async with http.get("/healthz") as answer:
            assert answer.status == 200
        async with http.get("/readyz") as answer:
            assert answer.status == 503
            assert "low.csv" in (await answer.json())["reasons"][0]


async def test_a_mistake_of_the_engine_is_an_answer_and_the_engine_lives(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served(monitor, place), session(place) as http:
        await monitor.opened()
        monkeypatch.setattr(monitor, "telemetry", lambda request: 1 / 0)
        async with http.get("/v1/telemetry") as answer:
            assert answer.status == 500
            said = (await answer.json())["error"]
            assert "ZeroDivisionError" in said
            assert "by zero" not in said  # what an error says may hold secrets; it is in the log
        async with http.get("/v1/hello") as answer:
            assert answer.status == 200


async def test_another_user_is_refused(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    monkeypatch.setattr("gridtop.sockets.peer_is_trusted", lambda connection: False)
    async with served(monitor, place), session(place) as http, http.get("/v1/snapshot") as answer:
        assert answer.status == 403
        assert "another user" in (await answer.json())["error"]


def journal_in(folder: Path) -> str:
    return f"journal.path={folder / 'events.db'}"


async def test_a_stream_goes_on_over_a_restart_without_gap_or_double(place: Path, tmp_path: Path) -> None:
    config = spaced_sags(tmp_path)
    first = monitor_of(config, journal_in(tmp_path))
    async with served(first, place), session(place) as http:
        await ended(first)
        async with http.get("/v1/events", headers=STREAM) as answer:
            said = await read_until(answer.content, b"id: 4\n")
        for number in range(4):
            await first.report("before", number, "nobody reads this before the engine ends")
    before = [number for number in numbers_in(said) if number <= 4]
    second = monitor_of(config, journal_in(tmp_path))
    async with served(second, place), session(place) as http:
        await ended(second)
        assert second.journal == first.journal
        assert second.instance != first.instance
        headers = STREAM | {"Last-Event-ID": str(before[-1])}
        async with http.get("/v1/events", headers=headers) as answer:
            for number in range(3):
                await second.report("after", number, "and this comes while somebody reads")
            said = await read_until(answer.content, b"id: 13\n")
            assert b"resync" not in said
            assert before + numbers_in(said) == list(range(1, 14))
        async with http.get("/v1/events?after=0") as page:
            assert [event["seq"] for event in (await page.json())["events"]] == list(range(1, 14))
        async with http.get("/events", headers={"Last-Event-ID": "8"}) as answer:
            assert numbers_in(await read_until(answer.content, b"id: 13\n")) == list(range(9, 14))


async def test_a_stream_asked_for_while_the_engine_starts_waits_for_it(place: Path, tmp_path: Path) -> None:
    config = spaced_sags(tmp_path)
    first = monitor_of(config, journal_in(tmp_path))
    async with served(first, place):
        await ended(first)
    second = monitor_of(config, journal_in(tmp_path))
    listening, server = Listening(place), Server(second)
    await server.start(listening.socket)
    async with session(place) as http:
        asking = asyncio.create_task(http.get("/v1/events", headers=STREAM | {"Last-Event-ID": "5"}))
        while not server.streams_open:
            await asyncio.sleep(0.01)
        running = asyncio.create_task(second.run())
        async with await asking as answer:
            said = await read_until(answer.content, b"id: 6\n")
        second.stop()
        await running
    await server.close()
    listening.close()
    assert b"resync" not in said
    assert numbers_in(said) == [6]


async def test_a_reader_whose_past_is_gone_is_told_and_goes_on_with_what_is_kept(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served(monitor, place), session(place) as http:
        await ended(monitor)
        await asyncio.gather(*(monitor.report("x", number, "y") for number in range(900)))
        kept = [event for event in monitor.events(0, 1000) if event.seq > 600]

        async def past_events(after: int = 0, limit: int = 500) -> Sequence[Event]:
            return [event for event in kept if event.seq > after][:limit]

        monkeypatch.setattr(monitor, "past_events", past_events)
        monkeypatch.setattr(Monitor, "oldest", 601)
        async with http.get("/v1/events", headers=STREAM | {"Last-Event-ID": "10"}) as answer:
            said = await read_until(answer.content, b"id: 906\n")
    assert b'"seq": 906, "oldest": 601}' in said
    assert said.count(b"event: resync") == 1
    assert said.index(b"event: resync") < said.index(b"id: 601\n")
    assert numbers_in(said) == list(range(601, 907))


async def test_readers_far_apart_all_get_everything_while_much_happens(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served(monitor, place), session(place) as http:
        await ended(monitor)

        async def read(after: int) -> list[int]:
            async with http.get("/v1/events", headers=STREAM, params={"after": after}) as answer:
                said = await read_until(answer.content, b"id: 5006\n")
            return numbers_in(said)

        async def publish() -> None:
            for _ in range(100):
                # More than is kept for writing, and faster than it is written.
                await asyncio.gather(*(monitor.report("x", 1, "y" * 700) for _ in range(50)))

        *read_by, _ = await asyncio.gather(*(read(after) for after in (0, 3, 6)), publish())
    for start, numbers in zip((1, 4, 7), read_by, strict=True):
        assert numbers == list(range(start, 5007))


async def test_a_client_that_hangs_up_gives_its_stream_back_at_once(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served(monitor, place, heartbeat=1000.0) as server, session(place) as http:
        await ended(monitor)
        async with http.get("/v1/events", headers=STREAM) as answer:
            await read_until(answer.content, b"id: 6\n")  # after this nothing is written
            assert server.streams_open == 1
        async with asyncio.timeout(20):
            while server.streams_open:
                await asyncio.sleep(0.01)


async def test_the_head_of_a_stream_is_not_a_stream(place: Path, tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served(monitor, place) as server, session(place) as http:
        await monitor.opened()
        async with http.head("/v1/events", headers=STREAM) as answer:
            assert answer.content_type == "application/json"
        async with http.head("/events", headers=STREAM) as answer:
            assert answer.status == 405
        assert server.streams_open == 0
