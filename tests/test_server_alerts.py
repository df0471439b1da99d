"""Alerts of type, count and message, in and out, for programs that know nothing else of gridtop."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import urllib.request
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.server.limits import RateLimit, Tickets
from tests.serving import monitor_of, served_over_tcp, spaced_sags


class OldClient:
    """A program written for the system before, with nothing but the standard library."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post_alert(self, kind: str, count: int, message: str) -> tuple[int, dict[str, Any]]:
        body = json.dumps({"type": kind, "count": count, "message": message}).encode()
        request = urllib.request.Request(self.url + "/alert", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)

    def listen(self, number: int) -> list[dict[str, Any]]:
        """The first alerts of the stream, read line by line."""
        found: list[dict[str, Any]] = []
        with urllib.request.urlopen(self.url + "/events", timeout=20) as stream:
            for line in stream:
                if line.startswith(b"data:"):
                    found.append(json.loads(line[5:]))
                if len(found) == number:
                    break
        return found


async def test_a_client_of_the_earlier_system_works_unchanged(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path), "source.speed=1")
    async with served_over_tcp(monitor) as (url, server):
        client = OldClient(url)
        listening = asyncio.create_task(asyncio.to_thread(client.listen, 3))
        while not server.streams_open:
            await asyncio.sleep(0.01)
        status, answer = await asyncio.to_thread(client.post_alert, "Imbalance", 3, "Phase B – 12 %")
        assert (status, answer["status"]) == (200, "success")
        await asyncio.to_thread(client.post_alert, "Über\u202espannung", 0, 'a "quoted"\nline')
        monitor.replay.set_speed(1000)
        told = await listening
    assert told[0] == {"type": "Imbalance", "count": 3, "message": "Phase B – 12 %"}
    assert told[1] == {"type": "Über\ufffdspannung", "count": 0, "message": 'a "quoted"\ufffdline'}
    # What gridtop itself raises has the same form.
    assert told[2]["type"] == "voltage"
    assert (told[2].keys(), told[2]["count"] >= 1) == ({"type", "count", "message"}, True)
    first, second = (event for event in monitor.events() if event.kind == "alert")
    assert (first.rule, first.severity, first.transition) == ("Imbalance", "warning", "noticed")
    assert first.details == {"type": "Imbalance", "count": 3, "by": "API (127.0.0.1)"}
    assert first.id == answer["id"]
    assert first.id != second.id


async def test_the_stream_goes_on_after_the_last_alert_and_leaves_out_the_rest(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession(url) as client:
        while monitor.snapshot().seq < 6:
            await asyncio.sleep(0.01)
        await monitor.report("done", 1, "the end")
        async with client.get("/events", headers={"Last-Event-ID": "1"}) as answer:
            said = b""
            while b"the end" not in said:
                said += await answer.content.readany()
    # Raised are 1, 3 and 5; that they cleared (2, 4, 6) is nothing these clients know of.
    ids = [line for line in said.split(b"\n") if line.startswith(b"id:")]
    assert ids == [b"id: 3", b"id: 5", b"id: 7"]
    assert b"event:" not in said  # a browser hands only unnamed messages to `onmessage`


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "type must be"),
        ({"type": "", "count": 1, "message": ""}, "type must be"),
        ({"type": " \t", "count": 1, "message": ""}, "type must be"),
        ({"type": "x" * 65, "count": 1, "message": ""}, "1 to 64 characters"),
        ({"type": 7, "count": 1, "message": ""}, "type must be"),
        ({"type": "x", "message": ""}, "count must be"),
        ({"type": "x", "count": "1", "message": ""}, "count must be"),
        ({"type": "x", "count": True, "message": ""}, "count must be"),
        ({"type": "x", "count": 1.5, "message": ""}, "count must be"),
        ({"type": "x", "count": -1, "message": ""}, "count must be"),
        ({"type": "x", "count": 10**9 + 1, "message": ""}, "0 to 1000000000"),
        ({"type": "x", "count": 1}, "message must be"),
        ({"type": "x", "count": 1, "message": None}, "message must be"),
        ({"type": "x", "count": 1, "message": "ä" * 1025}, "at most 2048 bytes"),
        (["x", 1, "y"], "not a JSON object"),
        (b"type=x", "not JSON"),
        (b"", "type must be"),
        (b'{"type": "x", "count": NaN, "message": ""}', "not JSON"),
        (b"[" * 60_000, "not JSON"),
        (b"\xff\xfe", "not JSON"),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_bad_alert_is_refused_in_words_and_never_published(
    body: Any, said: str, tmp_path: Path
) -> None:
    monitor = monitor_of(spaced_sags(tmp_path), "source.speed=1")
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession(url) as client:
        async with client.post("/alert", data=data, headers={"Content-Type": "application/json"}) as answer:
            assert answer.status == 400
            assert said in (await answer.json())["error"]
        assert not [event for event in monitor.events() if event.kind == "alert"]


async def test_more_alerts_than_a_client_may_send_are_refused_until_it_has_waited(tmp_path: Path) -> None:
    now = [100.0]
    monitor = monitor_of(spaced_sags(tmp_path), "source.speed=1")
    alert = {"type": "x", "count": 1, "message": "y"}
    async with (
        served_over_tcp(monitor, {"alerts_per_minute": 3}, clock=lambda: now[0]) as (url, _),
        aiohttp.ClientSession(url) as client,
    ):
        statuses = []
        for _ in range(5):
            async with client.post("/alert", json=alert) as answer:
                statuses.append(answer.status)
                said = await answer.json()
        assert statuses == [200, 200, 200, 429, 429]
        assert answer.headers["Retry-After"] == "20"
        assert "the next one in 20 s" in said["error"]
        now[0] += 20.0
        async with client.post("/alert", json=alert) as answer:
            assert answer.status == 200
        async with client.get("/metrics") as answer:
            assert "gridtop_alerts_limited_total 2\n" in await answer.text()
        assert len([event for event in monitor.events() if event.kind == "alert"]) == 4


async def test_an_alert_that_never_ends_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridtop.server.answers.BODY_SECONDS", 0.05)
    monitor = monitor_of(spaced_sags(tmp_path), "source.speed=1")
    async with served_over_tcp(monitor) as (url, _):

        def post_half() -> tuple[int, str]:
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=20)
            with contextlib.closing(connection):
                connection.putrequest("POST", "/alert")
                connection.putheader("Content-Type", "application/json")
                connection.putheader("Content-Length", "50")
                connection.endheaders(b'{"type":')
                answer = connection.getresponse()
                return answer.status, json.load(answer)["error"]

        status, said = await asyncio.to_thread(post_half)
    assert (status, "longer than" in said) == (408, True)


def test_a_bucket_gives_its_size_at_once_and_then_its_rate() -> None:
    now = [0.0]
    limit = RateLimit(60, lambda: now[0])
    assert [limit.wait("a") for _ in range(60)] == [0.0] * 60
    assert limit.wait("a") == pytest.approx(1.0)
    assert limit.wait("b") == 0.0
    now[0] += 0.5
    assert limit.wait("a") == pytest.approx(0.5)
    now[0] += 3600.0
    assert [limit.wait("a") == 0.0 for _ in range(61)] == [True] * 60 + [False]


@given(st.lists(st.floats(0.0, 30.0), max_size=200), st.integers(1, 100))
def test_no_minute_holds_more_than_twice_the_rate(pauses: list[float], rate: int) -> None:
    now = [0.0]
    limit, taken = RateLimit(rate, lambda: now[0]), []
    for pause in pauses:
        now[0] += pause
        if limit.wait("a") == 0.0:
            taken.append(now[0])
    for start in taken:
        assert sum(start <= at < start + 60.0 for at in taken) <= 2 * rate


def test_many_clients_do_not_make_the_limit_forgetful_of_memory() -> None:
    limit = RateLimit(1, lambda: 0.0)
    for number in range(5000):
        limit.wait(str(number))
    assert len(limit._buckets) <= 1024
    assert limit.wait("4999") > 0


def test_a_ticket_opens_once_and_soon() -> None:
    now = [0.0]
    tickets: Tickets[str] = Tickets(lambda: now[0])
    first, second = tickets.issue("ann"), tickets.issue("bob")
    assert first != second
    assert tickets.redeem(first) == "ann"
    assert tickets.redeem(first) is None
    assert tickets.redeem("made up") is None
    now[0] = 30.0
    assert tickets.redeem(second) is None
    for number in range(1000):
        tickets.issue(str(number))
    assert len(tickets._issued) <= 256
