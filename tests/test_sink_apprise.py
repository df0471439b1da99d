"""The apprise sink: real services of Apprise that post to a server on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from gridtop.api import DeliveryError, Undeliverable
from gridtop.plugins.sinks.apprise import Apprise
from tests.sinks_at_hand import CANARY, EVENT, host, shown

pytest.importorskip("apprise", reason="comes with the extra chat")


@dataclass
class Service:
    """What Apprise's `json://` posts to; paths in `broken` are answered with 500."""

    port: int = 0
    broken: set[str] = field(default_factory=set)
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    held: asyncio.Event | None = None

    async def handle(self, request: web.Request) -> web.Response:
        if self.held is not None:
            await self.held.wait()
        if request.path in self.broken:
            return web.Response(status=500, text=CANARY)
        self.got.append((request.path, json.loads(await request.text())))
        return web.Response()


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[Service]:
    service = Service()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", service.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.port = runner.addresses[0][1]
    try:
        yield service
    finally:
        await runner.cleanup()


def sink(*urls: str, **settings: Any) -> Apprise:
    return Apprise(Apprise.Config.model_validate({"urls": urls, **settings}), host(Path()))


async def test_a_batch_is_one_notification_with_a_title_and_a_line_an_event() -> None:
    async with serving() as service:
        out = sink(f"json://127.0.0.1:{service.port}/pager")
        await out.open()
        await out.send([EVENT, replace(EVENT, id="other", severity="info")])
        await out.close()
    ((path, body),) = service.got
    assert path == "/pager"
    assert body["title"] == "[gridtop] CRITICAL voltage R1:voltage_pu.A: raised, and 1 more"
    assert body["type"] == "failure"
    assert body["message"].count("R1 A voltage 0.85 pu below 0.9 pu (critical)") == 2


async def test_a_service_that_fails_is_temporary_and_the_others_hear_it_once() -> None:
    async with serving() as service:
        service.broken = {"/b"}
        out = sink(*(f"json://127.0.0.1:{service.port}/{name}" for name in "abc"))
        with pytest.raises(DeliveryError, match=r"1 of 3 services did not take it: urls\[1\] \(JSON\)"):
            await out.send([EVENT])
        service.broken.clear()
        await out.send([EVENT])
        await out.send([replace(EVENT, id="next")])
    assert [path for path, _ in service.got] == ["/a", "/c", "/b", "/a", "/b", "/c"]


async def test_a_service_that_does_not_answer_is_temporary() -> None:
    async with serving() as service:
        service.held = asyncio.Event()
        out = sink(f"json://127.0.0.1:{service.port}/a", timeout="1s")
        with pytest.raises(DeliveryError, match="no answer within 1 s"):
            await out.send([EVENT])
        service.held.set()


@pytest.mark.parametrize("url", [f"nothing://{CANARY}", CANARY, "json://", "file:///etc/passwd"])
async def test_a_url_that_apprise_does_not_understand_is_told_by_its_place(url: str) -> None:
    with pytest.raises(Undeliverable, match=r"^apprise does not understand urls\[1\]$"):
        await sink("json://localhost/", url).open()


def test_without_the_library_the_configuration_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridtop.plugins.sinks.apprise.find_spec", lambda name: None)
    with pytest.raises(ValidationError, match=r"apprise is not installed: pip install 'gridtop\[chat\]'"):
        Apprise.Config.model_validate({"urls": "json://localhost"})


async def test_urls_are_in_no_output(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    async with serving() as service:
        url = f"json://user:{CANARY}@127.0.0.1:{service.port}/{CANARY}?token={CANARY}"
        text = shown(tmp_path, {"type": "apprise", "urls": [url]})
        service.broken = {f"/{CANARY}"}
        out = sink(url)
        with pytest.raises(DeliveryError) as caught:
            await out.send([EVENT])
    told = [text, str(caught.value), caplog.text, repr(Apprise.Config.model_validate({"urls": url}))]
    assert CANARY not in "\n".join([*told, *capfd.readouterr()])
    assert "***" in text
