"""The MQTT sink against a real broker on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtop.api import DeliveryError
from gridtop.plugins.sinks.mqtt import Mqtt, topic
from tests.sinks_at_hand import CANARY, EVENT, host, shown

aiomqtt = pytest.importorskip("aiomqtt", reason="comes with the extra mqtt")
amqtt_broker = pytest.importorskip("amqtt.broker", reason="the broker of this test comes with the extra dev")


@contextlib.asynccontextmanager
async def broker(port: int = 0, **listener: Any) -> AsyncIterator[int]:
    """A broker on loopback that anybody may use; its port."""
    if not port:
        import socket

        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
    running = amqtt_broker.Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}", **listener}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await running.start()
    try:
        yield port
    finally:
        await running.shutdown()


def sink(port: int, folder: Path = Path(), **settings: Any) -> Mqtt:
    config = {"host": "127.0.0.1", "port": port, "timeout": "5s", **settings}
    return Mqtt(Mqtt.Config.model_validate(config), host(folder))


@contextlib.asynccontextmanager
async def listening(port: int, what: str = "gridtop/#") -> AsyncIterator[Any]:
    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(what, qos=1)
        yield client.messages


async def test_an_event_arrives_as_json_under_its_rule_and_terminal() -> None:
    async with broker() as port:
        out = sink(port)
        await out.open()
        async with listening(port) as messages:
            later = replace(EVENT, id="later", terminal="", message="Δ")
            await out.send([EVENT, later])
            first, second = await anext(messages), await anext(messages)
        await out.close()
    assert str(first.topic) == "gridtop/voltage/R1"
    assert json.loads(first.payload) == EVENT.to_dict()
    assert (first.qos, first.retain) == (1, False)
    assert str(second.topic) == "gridtop/voltage/-"
    assert json.loads(second.payload) == later.to_dict()


async def test_a_retained_event_is_there_for_who_comes_later() -> None:
    async with broker() as port:
        out = sink(port, retain=True, topic="state/{terminal}")
        await out.send([EVENT])
        await out.close()
        async with listening(port, "state/#") as messages:
            assert json.loads((await anext(messages)).payload)["id"] == EVENT.id


async def test_a_broker_that_is_away_is_temporary_and_is_found_again() -> None:
    async with broker() as port:
        out = sink(port)
        await out.send([EVENT])
    with pytest.raises(DeliveryError, match=f"127.0.0.1:{port}: "):
        await out.send([EVENT])
    with pytest.raises(DeliveryError, match=f"127.0.0.1:{port}: .*refused"):
        await out.send([EVENT])
    async with broker(port):
        async with listening(port) as messages:
            await out.send([EVENT])
            assert json.loads((await anext(messages)).payload)["id"] == EVENT.id
        await out.close()


async def test_a_broker_that_never_answers_is_temporary_and_its_connection_is_closed() -> None:
    closed = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        closed.set()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    with pytest.raises(DeliveryError, match="127.0.0.1:"):
        await sink(server.sockets[0].getsockname()[1], timeout="1s").send([EVENT])
    await asyncio.wait_for(closed.wait(), 10)
    server.close()


async def test_an_event_that_is_not_confirmed_is_not_delivered() -> None:
    async def forgetful(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"\x20\x02\x00\x00")  # CONNACK, and never a PUBACK
        with contextlib.suppress(OSError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(forgetful, "127.0.0.1", 0)
    with pytest.raises(DeliveryError, match="timed out"):
        await sink(server.sockets[0].getsockname()[1], timeout="1s").send([EVENT])
    server.close()


async def test_tls_checks_the_certificate(tmp_path: Path) -> None:
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for piece, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(tmp_path / "cert.pem", append=bool(piece))
    files = {"certfile": str(tmp_path / "cert.pem"), "keyfile": str(tmp_path / "key.pem")}
    async with broker(ssl=True, **files) as port:
        trusting = sink(
            port, tmp_path, host="localhost", tls=True, ca_file="ca.pem", username="u", password="p"
        )
        await trusting.open()
        await trusting.send([EVENT])
        await trusting.close()
        with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
            await sink(port, host="localhost", tls=True).send([EVENT])


@given(st.text(max_size=300), st.text(max_size=300))
def test_whatever_the_data_say_the_topic_has_no_more_levels_and_no_wildcards(
    rule: str, terminal: str
) -> None:
    made = topic("gridtop/{rule}/{terminal}", replace(EVENT, rule=rule, terminal=terminal))
    assert made.count("/") == 2
    assert all(made.split("/"))
    assert not re.search(r"[+#\x00-\x1f\x7f]", made)
    made.encode()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"topic": "gridtop/{nobody}"}, "{nobody} is not known; there are rule, terminal"),
        ({"topic": "gridtop/{rule.__class__}"}, "is not known"),
        ({"topic": "gridtop/+/x"}, "no \\+, #"),
        ({"topic": "gridtop/#"}, "no \\+, #"),
        ({"topic": "$SYS/x"}, "no \\$ at its start"),
        ({"topic": "a/{rule"}, "single braces"),
        ({"username": "u", "password": "p"}, "a password is never sent without TLS"),
        ({"tls": True, "password": "p"}, "a password needs a username"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mqtt.Config.model_validate({"host": "broker.example", **settings})


def test_without_the_library_the_configuration_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridtop.plugins.mqtt_broker.find_spec", lambda name: None)
    with pytest.raises(ValidationError, match=r"aiomqtt is not installed: pip install 'gridtop\[mqtt\]'"):
        Mqtt.Config.model_validate({"host": "broker.example"})


async def test_the_password_is_in_no_output(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = {"host": "127.0.0.1", "port": 1, "tls": True, "username": "u", "password": CANARY}
    text = shown(tmp_path, {"type": "mqtt", **settings})
    with pytest.raises(DeliveryError) as caught:
        await sink(1, tls=True, username="u", password=CANARY).send([EVENT])
    told = [text, str(caught.value), caplog.text, repr(Mqtt.Config.model_validate(settings))]
    assert CANARY not in "\n".join(told)
