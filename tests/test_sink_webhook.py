"""The webhook sink against a real server on loopback: what it sends, and what it makes of the answers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr, ValidationError

from gridtop.api import DeliveryError, Event, ReceiverGone, Undeliverable
from gridtop.plugins.sinks.webhook import Webhook
from gridtop.plugins.sinks.webhook.addresses import Refused, check
from gridtop.plugins.sinks.webhook.signatures import key_of, signature
from gridtop.plugins.sinks.webhook.sink import retry_after
from gridtop.plugins.tls import client_context
from tests.sinks_at_hand import CANARY, EVENT, certificates, host, shown


@dataclass
class Receiver:
    """A web server that keeps what it is sent and answers as it is told."""

    port: int
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pause: float = 0.0
    abort: bool = False
    got: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    peers: set[Any] = field(default_factory=set)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.got.append((request.method, request.path_qs, dict(request.headers), body))
        assert request.transport is not None
        self.peers.add(request.transport.get_extra_info("peername"))
        if self.abort:
            request.transport.abort()
        await asyncio.sleep(self.pause)
        return web.json_response({"status": "received"}, status=self.status, headers=self.headers)


@contextlib.asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None, **behaviour: Any) -> AsyncIterator[Receiver]:
    listening = socket.create_server(("127.0.0.1", 0))
    receiver = Receiver(listening.getsockname()[1], **behaviour)
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", receiver.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listening, ssl_context=tls).start()
    try:
        yield receiver
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def webhook(folder: Path = Path(), **settings: Any) -> AsyncIterator[Webhook]:
    sink = Webhook(Webhook.Config.model_validate(settings), host(folder))
    await sink.open()
    try:
        yield sink
    finally:
        await sink.close()


async def sent(event: Event = EVENT, **settings: Any) -> tuple[str, str, dict[str, str], bytes]:
    """What a receiver gets when one event is sent with these settings."""
    async with (
        receiving() as receiver,
        webhook(url=f"http://127.0.0.1:{receiver.port}/alert", **settings) as sink,
    ):
        await sink.send([event])
    (got,) = receiver.got
    return got


async def answered(status: int = 200, **behaviour: Any) -> None:
    """Raises what the sink makes of an answer."""
    async with (
        receiving(status=status, **behaviour) as receiver,
        webhook(url=f"http://127.0.0.1:{receiver.port}/alert", timeout="2s") as sink,
    ):
        await sink.send([EVENT])


async def test_body_alert_is_exactly_type_count_message() -> None:
    method, path, headers, body = await sent(body="alert")
    assert (method, path, headers["Content-Type"]) == ("POST", "/alert", "application/json")
    # To the byte what `requests.post(url, json={...})` sends.
    assert (
        body == b'{"type": "voltage", "count": 3, "message": "R1 A voltage 0.85 pu below 0.9 pu (critical)"}'
    )


async def test_an_alert_of_another_program_goes_on_as_it_came() -> None:
    alert = replace(EVENT, kind="alert", details={"type": "FREQ", "count": 12}, message="too low")
    *_, body = await sent(alert, body="alert")
    assert json.loads(body) == {"type": "FREQ", "count": 12, "message": "too low"}


async def test_body_event_is_the_documented_event() -> None:
    *_, body = await sent()
    assert json.loads(body) == EVENT.to_dict()


async def test_every_request_carries_the_id_of_the_event_as_its_key() -> None:
    _, _, headers, _ = await sent()
    assert headers["Idempotency-Key"] == headers["webhook-id"] == EVENT.id
    assert int(headers["webhook-timestamp"]) > 1_700_000_000
    assert "webhook-signature" not in headers


async def test_put_and_further_headers_are_sent() -> None:
    method, _, headers, _ = await sent(method="PUT", headers={"Authorization": "Bearer abc"})
    assert (method, headers["Authorization"]) == ("PUT", "Bearer abc")


def test_the_signature_is_that_of_the_standard_webhooks_example() -> None:
    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature([key], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_the_signature_is_over_what_was_really_sent() -> None:
    key = b"k" * 32
    secret = "whsec_" + base64.b64encode(key).decode()
    *_, headers, body = await sent(secret=secret)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"


async def test_with_two_secrets_receivers_of_the_old_and_of_the_new_one_are_content() -> None:
    *_, headers, body = await sent(secret=["old secret", "new secret"])
    timestamp = int(headers["webhook-timestamp"])
    assert headers["webhook-signature"].split() == [
        signature([secret], EVENT.id, timestamp, body) for secret in (b"old secret", b"new secret")
    ]


@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_any_success_is_a_delivery(status: int) -> None:
    await answered(status)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_what_may_pass_is_temporary(status: int) -> None:
    with pytest.raises(DeliveryError, match=f"^http://127.0.0.1:[0-9]+ answers {status}") as caught:
        await answered(status, headers={"Retry-After": "17"})
    assert caught.value.retry_after == 17


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_what_will_never_be_taken_is_undeliverable(status: int) -> None:
    with pytest.raises(Undeliverable, match=f"answers {status} ") as caught:
        await answered(status)
    assert not isinstance(caught.value, ReceiverGone)


async def test_gone_means_that_the_receiver_wants_no_more() -> None:
    with pytest.raises(ReceiverGone, match="answers 410 Gone: it wants no more events"):
        await answered(410)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async with receiving() as elsewhere:
        with pytest.raises(Undeliverable, match="redirects are not followed: put the final URL into url"):
            await answered(status, headers={"Location": f"http://127.0.0.1:{elsewhere.port}/"})
        assert elsewhere.got == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 5 ", 5.0),
        ("999999999999999999", 86400.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 2099 07:27:00 GMT", 86400.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("²", None),
    ],
)
def test_retry_after_is_a_number_of_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after(text, now=1445412480.0) == seconds  # 2015-10-21 07:28:00


async def test_an_answer_that_does_not_come_is_temporary() -> None:
    async with (
        receiving(pause=5) as receiver,
        webhook(url=f"http://127.0.0.1:{receiver.port}/", timeout="100ms") as sink,
    ):
        with pytest.raises(DeliveryError, match="^http://127.0.0.1:[0-9]+: no answer in time$"):
            await sink.send([EVENT])


async def test_a_receiver_that_takes_the_request_and_hangs_up_is_temporary() -> None:
    with pytest.raises(DeliveryError, match=": the connection was lost$"):
        await answered(abort=True)


async def test_a_receiver_that_is_down_is_temporary_and_no_reason_not_to_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with webhook(url=f"http://127.0.0.1:{port}/") as sink:
        with pytest.raises(DeliveryError, match=": connection refused$|: connect call failed"):
            await sink.send([EVENT])


async def test_a_receiver_that_comes_back_gets_the_event() -> None:
    async with receiving(status=503) as receiver, webhook(url=f"http://127.0.0.1:{receiver.port}/") as sink:
        with pytest.raises(DeliveryError):
            await sink.send([EVENT])
        receiver.status = 200
        await sink.send([EVENT])
        assert [headers["Idempotency-Key"] for _, _, headers, _ in receiver.got] == [EVENT.id] * 2


async def test_one_connection_serves_many_events() -> None:
    async with receiving() as receiver, webhook(url=f"http://127.0.0.1:{receiver.port}/") as sink:
        for _ in range(5):
            await sink.send([EVENT])
        assert len(receiver.got) == 5
        assert len(receiver.peers) == 1


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        await sent()
        assert proxy.got == []


# TLS


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    own = certificates(tmp_path)
    async with receiving(own.server) as receiver, webhook(url=f"https://localhost:{receiver.port}/") as sink:
        with pytest.raises(DeliveryError, match="its certificate is not trusted"):
            await sink.send([EVENT])
        assert receiver.got == []


async def test_ca_file_says_whom_to_trust_relative_to_the_configuration(tmp_path: Path) -> None:
    own = certificates(tmp_path)
    async with (
        receiving(own.server) as receiver,
        webhook(tmp_path, url=f"https://localhost:{receiver.port}/", ca_file="ca.pem") as sink,
    ):
        await sink.send([EVENT])
        assert len(receiver.got) == 1


async def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    own = certificates(tmp_path, "elsewhere.example")
    async with (
        receiving(own.server) as receiver,
        webhook(tmp_path, url=f"https://localhost:{receiver.port}/", ca_file="ca.pem") as sink,
    ):
        with pytest.raises(DeliveryError, match="its certificate is not trusted"):
            await sink.send([EVENT])


def test_tls_is_1_2_or_newer_and_checks_names(tmp_path: Path) -> None:
    context = client_context(Webhook.Config(url=SecretStr("https://a.example/")), host(tmp_path))
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_tls_older_than_1_2_is_refused(tmp_path: Path) -> None:
    own = certificates(tmp_path)
    own.server.set_ciphers("DEFAULT:@SECLEVEL=0")
    own.server.minimum_version = ssl.TLSVersion.TLSv1
    own.server.maximum_version = ssl.TLSVersion.TLSv1_1
    async with (
        receiving(own.server) as receiver,
        webhook(tmp_path, url=f"https://localhost:{receiver.port}/", ca_file="ca.pem") as sink,
    ):
        with pytest.raises(DeliveryError, match="TLS fails|connection was lost"):
            await sink.send([EVENT])
        assert receiver.got == []


async def test_verify_false_takes_any_certificate_and_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = certificates(tmp_path, "elsewhere.example")
    async with (
        receiving(own.server) as receiver,
        webhook(url=f"https://localhost:{receiver.port}/", verify=False) as sink,
    ):
        await sink.send([EVENT])
    assert "TLS of out: verify is off" in caplog.text


@pytest.mark.parametrize("text", [None, "nothing of the kind"])
async def test_a_ca_file_that_cannot_be_used_is_told_when_the_sink_opens(
    tmp_path: Path, text: str | None
) -> None:
    if text is not None:
        (tmp_path / "ca.pem").write_text(text)
    told = "cannot be read \\(No such file" if text is None else "is not a PEM file"
    with pytest.raises(OSError, match=f"^ca_file: .*ca.pem {told}"):
        async with webhook(tmp_path, url="https://localhost/", ca_file="ca.pem"):
            pass


# Where nothing is sent


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "224.0.0.1",
        "255.255.255.255",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "::",
        "ff02::1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
    ],
)
def test_addresses_of_credentials_and_of_nobody_are_refused(address: str) -> None:
    with pytest.raises(Refused, match="^nothing is sent to "):
        check(address)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "10.1.2.3", "192.168.0.9", "172.16.5.5", "fd12::1", "8.8.8.8", "2001:db8::1"],
)
def test_private_addresses_are_the_operators_choice(address: str) -> None:
    check(address)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://169.254.169.254/latest/meta-data", "nothing is sent to 169.254.169.254"),
        ("http://[fe80::1]/", "nothing is sent to fe80::1"),
        ("http://[::ffff:a9fe:a9fe]/", "link-local"),
        ("http://2852039166/", "write an address as 192.0.2.1"),
        ("http://0xa9fea9fe/", "write an address as 192.0.2.1"),
        ("http://169.254.43518/", "write an address as 192.0.2.1"),
        ("http://0251.0376.0251.0376/", "write an address as 192.0.2.1"),
        ("ftp://receiver.example/", "should begin with http"),
        ("file:///etc/passwd", "should begin with http"),
        ("receiver.example/alert", "should begin with http"),
        ("http://user:word@receiver.example/", "no user and password in the URL"),
        ("http://receiver.example@169.254.169.254/", "no user and password in the URL"),
        ("http://receiver.example:99999/", "is not a URL"),
        ("http://receiver.example/a b", "no spaces"),
        ("http://receiver.example\\@169.254.169.254/", "no user and password|no spaces"),
    ],
)
def test_a_url_that_can_only_be_wrong_is_a_mistake_in_the_configuration(url: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Webhook.Config.model_validate({"url": url})


def fake_names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Name resolution that gives these addresses, one list a question; the names it was asked for."""
    asked: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    return asked


async def test_a_name_that_leads_to_credentials_is_not_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[Any] = []

    async def sock_connect(_: socket.socket, address: Any) -> None:
        connected.append(address)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", sock_connect)
    asked = fake_names(monkeypatch, ["169.254.169.254"])
    async with webhook(url="http://receiver.example/") as sink:
        with pytest.raises(DeliveryError, match="nothing is sent to 169.254.169.254: it is link-local"):
            await sink.send([EVENT])
    assert asked == ["receiver.example"]
    assert connected == []


async def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver:
        # Whoever asks a second time is led astray.
        asked = fake_names(monkeypatch, ["169.254.169.254", "127.0.0.1"], ["169.254.169.254"])
        async with webhook(url=f"http://receiver.example:{receiver.port}/") as sink:
            await sink.send([EVENT])
        ((_, _, headers, _),) = receiver.got
        assert headers["Host"] == f"receiver.example:{receiver.port}"
        assert asked == ["receiver.example"]


# Secrets


@pytest.mark.parametrize(
    "headers",
    [{"Host": "x"}, {"webhook-id": "x"}, {"Idempotency-Key": "x"}, {"a b": "x"}, {"X-A": "x\r\nX-B: y"}],
)
def test_headers_that_would_break_a_request_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Webhook.Config.model_validate({"url": "http://receiver.example/", "headers": headers})


@pytest.mark.parametrize("secret", ["whsec_", "whsec_$$$", ["a", "b", "c"], ""])
def test_a_secret_that_cannot_sign_is_refused(secret: Any) -> None:
    with pytest.raises(ValidationError):
        Webhook.Config.model_validate({"url": "http://receiver.example/", "secret": secret})


def test_config_show_tells_the_host_and_no_secret(tmp_path: Path) -> None:
    url = f"https://hooks.example:8443/{CANARY}/x?token={CANARY}"
    settings = {"url": url, "secret": [CANARY], "headers": {"Authorization": CANARY}}
    text = shown(tmp_path, {"type": "webhook", **settings})
    assert "https://hooks.example:8443/***" in text
    assert CANARY not in text
    assert CANARY not in repr(Webhook.Config.model_validate(settings))


async def test_no_secret_is_in_an_error_or_a_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings = {"secret": CANARY, "headers": {"Authorization": CANARY}, "timeout": "200ms"}
    told: list[str] = []
    behaviours: tuple[dict[str, Any], ...] = (
        {"status": 400},
        {"status": 503},
        {"status": 410},
        {"status": 302, "headers": {"Location": f"/{CANARY}"}},
        {"abort": True},
        {"pause": 3},
    )
    for behaviour in behaviours:
        async with receiving(**behaviour) as receiver:
            url = f"http://127.0.0.1:{receiver.port}/{CANARY}?token={CANARY}"
            async with webhook(url=url, **settings) as sink:
                with pytest.raises((DeliveryError, Undeliverable)) as caught:
                    await sink.send([EVENT])
                told.append(str(caught.value))
                assert caught.value.__cause__ is None
    assert len(told) == len(behaviours)
    for wrong in (f"http://u:{CANARY}@h/", f"ftp://h/{CANARY}", f"http://h:port/{CANARY}"):
        with pytest.raises(ValidationError) as refused:
            Webhook.Config.model_validate({"url": wrong})
        told.append(str(refused.value))
    assert CANARY not in "\n".join([*told, caplog.text])
