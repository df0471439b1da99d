"""Who may do what with the HTTP API, and what nobody may (docs/security.md): bytes on real sockets."""

from __future__ import annotations

import asyncio
import http.server
import json
import logging
import os
import shutil
import socket
import ssl
import subprocess
import threading
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import ValidationError

from gridtop.api_settings import ApiSettings, address_of
from gridtop.config import load
from gridtop.errors import ConfigurationError, GridtopError
from gridtop.server import Server
from tests.serving import CONFIG, monitor_of, served, served_over_tcp, short_folder, spaced_sags

TOKEN, READ_TOKEN = "canary-0123456789-full", "canary-9876543210-read"
TOKENS = {"auth": "token", "token": TOKEN, "read_token": READ_TOKEN}
WALL = "http://wall.example:8080"
STREAM = {"Accept": "text/event-stream"}
ALERT = {"type": "x", "count": 1, "message": "y"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def raw(url: str, request: bytes) -> bytes:
    """What the server says to some bytes, until it hangs up."""
    host, _, port = url.partition("://")[2].rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


# What may be served at all


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"listen": "127.0.0.1:5000", "token": "short"}, "at least 16 characters"),
        ({"listen": "127.0.0.1:5000", "token": "a token with spaces"}, "no spaces"),
        ({"listen": "127.0.0.1:5000", "token": TOKEN, "read_token": TOKEN}, "must differ"),
        ({"listen": "0.0.0.0:5000", "auth": "none"}, "auth: none is for loopback only"),
        ({"listen": "192.0.2.7:5000", "auth": "none", "behind_proxy": True}, "loopback only"),
        ({"listen": "0.0.0.0:5000", "token": TOKEN}, "give tls:"),
        ({"listen": "[::]:5000", "token": TOKEN}, "give tls:"),
        ({"listen": "0.0.0.0:5000", "tls": {"certificate": "c", "key": "k"}}, "a token is missing"),
        ({"listen": "localhost"}, "is not ADDRESS:PORT"),
        ({"listen": "127.0.0.1:"}, "no port"),
        ({"listen": "example.org:80"}, "is not ADDRESS:PORT"),
        ({"listen": "::1:5000"}, "in brackets"),
        ({"listen": "127.0.0.1:99999"}, "no port"),
        ({"cors_origins": ["*"]}, "is not an origin"),
        ({"cors_origins": ["null"]}, "is not an origin"),
        ({"cors_origins": ["http://wall.example/"]}, "is not an origin"),
        ({"cors_origins": ["http://*.example"]}, "is not an origin"),
        ({"cors_origins": ["https://Wall.example"]}, "in small letters"),
        ({"cors_origins": ["https://wall.example:443"]}, "leave it out"),
        ({"hosts": ["*"]}, "is not a host"),
        ({"hosts": ["http://a.example"]}, "is not a host"),
        ({"auth": "open"}, "auth"),
        ({"cors": ["http://a.example"]}, "cors"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_settings_that_would_open_too_much_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said.replace("*", r"\*")):
        ApiSettings(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"listen": "127.0.0.1:0", "auth": "none"},
        {"listen": "localhost:5000", "token": TOKEN, "cors_origins": [WALL, "https://wall.example"]},
        {"listen": "[::1]:5000", "auth": "none"},
        {"listen": "0.0.0.0:5000", "token": TOKEN, "tls": {"certificate": "c.pem", "key": "k.pem"}},
        {"listen": "10.1.2.3:5000", "token": TOKEN, "behind_proxy": True, "hosts": ["grid.example"]},
    ],
    ids=repr,
)
def test_settings_that_are_safe_are_accepted(settings: dict[str, Any]) -> None:
    ApiSettings(**settings)


def test_an_address_is_taken_apart() -> None:
    assert address_of("localhost:80") == ("127.0.0.1", 80)
    assert address_of("[::1]:0") == ("::1", 0)


async def test_a_taken_port_and_a_missing_certificate_are_said_in_words(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        server = Server(monitor, ApiSettings(listen=place, auth="none"))
        with pytest.raises(GridtopError, match=f"cannot listen at {place}: Address already in use"):
            await server.listen_tcp()
        await server.close()
    tls = {"certificate": "no.pem", "key": "no.key"}
    server = Server(monitor, ApiSettings(listen="127.0.0.1:0", auth="none", tls=tls), inputs=tmp_path)  # type: ignore[arg-type]
    with pytest.raises(GridtopError, match=r"no\.key cannot be used: No such file"):
        await server.listen_tcp()
    await server.close()
    with pytest.raises(GridtopError, match="listen"):
        await Server(monitor).listen_tcp()


# Tokens

REQUESTS = [
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
    ("GET", "/metrics", None),
    ("GET", "/v1/openapi.json", None),
    ("GET", "/v1/hello", None),
    ("GET", "/v1/snapshot", None),
    ("GET", "/v1/events", None),
    ("GET", "/v1/telemetry", None),
    ("GET", "/events", None),
    ("POST", "/v1/ticket", None),
    ("POST", "/alert", ALERT),
    ("POST", "/v1/replay/pause", None),
    ("POST", "/v1/alarms/0/acknowledge", {}),
]
WITH_THE_READ_TOKEN = {
    ("POST", "/alert"): 403,
    ("POST", "/v1/replay/pause"): 403,
    ("POST", "/v1/alarms/0/acknowledge"): 403,
}


async def test_each_token_opens_what_it_should_and_none_opens_only_the_pulse(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served_over_tcp(monitor, TOKENS) as (url, _), aiohttp.ClientSession(url) as client:
        for method, path, body in REQUESTS:

            async def status(
                headers: dict[str, str], query: str = "", ask: Any = (method, path, body)
            ) -> int:
                method, path, body = ask
                sent = {"json": body} if body is not None else {}
                async with client.request(method, path + query, headers=headers, **sent) as answer:
                    if answer.status == 401:
                        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
                    return answer.status

            without = 200 if path == "/healthz" else 401
            for headers in (
                {},
                {"Authorization": TOKEN},
                {"Authorization": f"Basic {TOKEN}"},
                bearer(""),
                bearer(TOKEN[:-1]),
                bearer(TOKEN + "x"),
                bearer(TOKEN.upper()),
                bearer(f"{TOKEN}, {READ_TOKEN}"),
                {"Cookie": f"token={TOKEN}"},
                {"Gridtop-Access": "all"},
            ):
                assert await status(headers) == without, (path, headers)
            for query in (f"?token={TOKEN}", f"?access_token={TOKEN}", f"?ticket={TOKEN}"):
                assert await status({}, query) == without, (path, query)
            reading = await status(bearer(READ_TOKEN))
            assert reading == WITH_THE_READ_TOKEN.get((method, path), 200), path
            assert await status(bearer(TOKEN)) in (200, 204), path


async def test_over_the_unix_socket_there_is_no_token(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    settings = ApiSettings(listen="127.0.0.1:0", **TOKENS)  # type: ignore[arg-type]
    with short_folder() as folder:
        place = folder / "engine.sock"
        async with served(monitor, place, settings=settings) as server:
            host, port = await server.listen_tcp()
            connector = aiohttp.UnixConnector(str(place))
            neighbour = aiohttp.ClientSession("http://localhost", connector=connector)
            async with neighbour, neighbour.get("/v1/snapshot") as answer:
                assert answer.status == 200
            stranger = aiohttp.ClientSession(f"http://{host}:{port}")
            async with stranger, stranger.get("/v1/snapshot") as answer:
                assert answer.status == 401


async def test_who_asks_over_tcp_may_ask_to_read_only(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession(url) as client:
        reading = {"Gridtop-Access": "read"}
        for path, status in (("/v1/replay/pause", 403), ("/alert", 403)):
            async with client.post(path, json=ALERT, headers=reading) as answer:
                assert answer.status == status
        async with client.get("/v1/snapshot", headers=reading) as answer:
            assert answer.status == 200


async def test_a_ticket_opens_one_stream_once(tmp_path: Path) -> None:
    now = [0.0]
    monitor = monitor_of(spaced_sags(tmp_path))
    async with (
        served_over_tcp(monitor, TOKENS, clock=lambda: now[0]) as (url, _),
        aiohttp.ClientSession(url) as client,
    ):

        async def ticket(token: str = READ_TOKEN) -> dict[str, str]:
            async with client.post("/v1/ticket", headers=bearer(token)) as answer:
                said = await answer.json()
                assert said["seconds"] == 30
                return {"ticket": said["ticket"]}

        for path in ("/v1/events", "/events"):
            once = await ticket()
            async with client.get(path, params=once, headers=STREAM) as answer:
                assert answer.status == 200
                assert await answer.content.readline() == b"retry: 3000\n"
            async with client.get(path, params=once, headers=STREAM) as answer:
                assert answer.status == 401
                assert "each opens one stream" in (await answer.json())["error"]
        async with client.get("/v1/snapshot", params=await ticket(TOKEN)) as answer:
            assert answer.status == 401
        async with client.post("/v1/replay/pause", params=await ticket(TOKEN)) as answer:
            assert answer.status == 401
        late = await ticket()
        now[0] += 30.0
        async with client.get("/v1/events", params=late, headers=STREAM) as answer:
            assert answer.status == 401


# Host and Origin


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:5000", 200),
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("[::1]:80", 200),
        ("grid.example:443", 200),
        ("evil.example", 403),
        ("evil.example:5000", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("gridtop", 403),
        ("grid.example.", 403),
        ("", 403),
        (None, 403),
        ("localhost\r\nHost: evil.example", 403),
    ],
)
async def test_only_our_own_host_names_are_served(host: str | None, status: int, tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    line = b"" if host is None else b"Host: %b\r\n" % host.encode()
    async with served_over_tcp(monitor, {"hosts": ["grid.example"], "cors_origins": [WALL]}) as (url, _):
        for head in (b"GET /v1/snapshot", b"GET /healthz", b"OPTIONS /v1/snapshot"):
            preflight = b"Origin: %b\r\nAccess-Control-Request-Method: GET\r\n" % WALL.encode()
            extra = preflight if head.startswith(b"OPTIONS") else b""
            said = await raw(url, head + b" HTTP/1.1\r\n" + line + extra + b"Connection: close\r\n\r\n")
            found = int(said.split(b" ", 2)[1])
            assert found in ((200, 204) if status == 200 else (status, 400)), said
            assert found < 300 or b"Access-Control" not in said


@pytest.mark.parametrize("origins", [(), (WALL,)], ids=["no origin is listed", "one is listed"])
@pytest.mark.parametrize(
    "origin",
    [WALL, "http://evil.example", "null", "http://wall.example", "https://wall.example:8080", WALL + "0"],
)
async def test_a_page_gets_cors_headers_exactly_when_its_origin_is_listed(
    origin: str, origins: tuple[str, ...], tmp_path: Path
) -> None:
    listed = origin in origins
    monitor = monitor_of(spaced_sags(tmp_path))
    settings = TOKENS | {"cors_origins": origins}
    async with served_over_tcp(monitor, settings) as (url, _), aiohttp.ClientSession(url) as client:
        page = {"Origin": origin}
        preflight = page | {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        async with client.options("/alert", headers=preflight) as answer:
            assert answer.status == (204 if listed else 403)
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if listed else None)
            if listed:
                assert {"GET", "POST"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
                allowed = {
                    name.lower() for name in answer.headers["Access-Control-Allow-Headers"].split(", ")
                }
                assert {"authorization", "content-type", "last-event-id"} <= allowed
        async with client.post("/alert", json=ALERT, headers=page | bearer(TOKEN)) as answer:
            assert answer.status == (200 if listed else 403)
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if listed else None)
        for headers, status in ((bearer(TOKEN), 200), ({}, 401)):
            async with client.get("/v1/snapshot", headers=page | headers) as answer:
                assert answer.status == status
                assert answer.headers.get("Access-Control-Allow-Origin") == (origin if listed else None)
                assert answer.headers.get("Vary") == ("Origin" if origins else None)
                assert "Access-Control-Allow-Credentials" not in answer.headers
        async with client.get("/v1/events", headers=page | bearer(TOKEN) | STREAM) as answer:
            assert answer.headers.get("Access-Control-Allow-Origin") == (origin if listed else None)


async def test_a_form_cannot_command_even_where_no_token_is_asked_for(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    settings = {"cors_origins": [WALL]}
    async with served_over_tcp(monitor, settings) as (url, _), aiohttp.ClientSession(url) as client:
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "",
        ):
            for origin in ({}, {"Origin": WALL}):
                headers = {"Content-Type": kind} | origin
                async with client.post("/alert", data=json.dumps(ALERT), headers=headers) as answer:
                    assert answer.status == 415
        async with client.post("/v1/replay/pause", headers={"Origin": "http://evil.example"}) as answer:
            assert answer.status == 403


# Bounds


async def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession(url) as client:
        async with client.post("/alert", json=ALERT | {"message": "x" * 70_000}) as answer:
            assert answer.status == 413
        head = b"GET /v1/snapshot HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        assert b"200 OK" in await raw(url, head + b"A: %b\r\n\r\n" % (b"x" * 8000))
        assert b"400 Bad Request" in await raw(url, head + b"A: %b\r\n\r\n" % (b"x" * 9000))
        assert b"400 Bad Request" in await raw(url, head + b"A: b\r\n" * 70 + b"\r\n")
        long = b"GET /v1/telemetry?%b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        assert b"200 OK" in await raw(url, long % (b"channel=x&" * 1000))
        assert b"400 Bad Request" in await raw(url, long % (b"channel=x&" * 7000))
        twice = b"POST /alert HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
        twice += b"Transfer-Encoding: chunked\r\n\r\n"
        assert b" 400 " in (await raw(url, twice)).splitlines()[0]
        bomb = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        async with client.post("/alert", data=b"\x1f\x8b\x08" + bytes(40), headers=bomb) as answer:
            assert answer.status == 400  # nothing is ever unpacked


async def test_more_connections_than_allowed_are_turned_away_and_the_socket_stays_free(
    tmp_path: Path,
) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    settings = ApiSettings(listen="127.0.0.1:0", auth="none", connections=2)
    with short_folder() as folder:
        place = folder / "engine.sock"
        async with served(monitor, place, settings=settings) as server:
            host, port = await server.listen_tcp()
            url = f"http://{host}:{port}"
            hold = [await asyncio.open_connection(host, port) for _ in range(2)]
            said = await raw(url, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert said.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 5\r\n" in said
            assert "too many connections" in json.loads(said.partition(b"\r\n\r\n")[2])["error"]
            connector = aiohttp.UnixConnector(str(place))
            neighbour = aiohttp.ClientSession("http://localhost", connector=connector)
            async with neighbour, neighbour.get("/metrics") as answer:
                counted = await answer.text()
            assert 'gridtop_http_connections{door="tcp"} 2\n' in counted
            assert 'gridtop_http_connections_refused_total{door="tcp"} 1\n' in counted
            hold.pop()[1].close()
            async with aiohttp.ClientSession(url) as client, asyncio.timeout(20):
                while True:
                    async with client.get("/healthz") as answer:
                        if answer.status == 200:
                            break
            hold.pop()[1].close()


async def test_who_connects_and_asks_nothing_is_hung_up_on(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served_over_tcp(monitor, head_seconds=0.1) as (url, _):
        assert await raw(url, b"") == b""
        assert await raw(url, b"GET /healthz HTTP/1.1\r\nHost: loc") == b""
        async with aiohttp.ClientSession(url) as client:
            async with client.get("/v1/events", headers=STREAM) as answer:
                await answer.content.readline()
                await asyncio.sleep(0.3)  # a request was made: the stream stays open
                await monitor.report("x", 1, "still here")
                async with asyncio.timeout(20):
                    while b"still here" not in await answer.content.readline():
                        pass
            async with client.get("/metrics") as answer:
                assert 'gridtop_http_connections_idle_total{door="tcp"} 2\n' in await answer.text()


async def test_who_never_reads_a_long_answer_is_cut_off(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served_over_tcp(monitor, patience=0.1) as (url, _):
        for number in range(3000):
            await monitor.report("x", number, "z" * 2000)
        host, _, port = url.partition("://")[2].rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(b"GET /v1/events?limit=5000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readline()
        async with aiohttp.ClientSession(url) as client, asyncio.timeout(20):
            while True:
                async with client.get("/metrics") as answer:
                    if 'gridtop_sse_evicted_total{door="tcp"} 1\n' in await answer.text():
                        break
                await asyncio.sleep(0.02)
        writer.close()


# What is shown


async def test_every_answer_is_marked_as_data_that_nobody_keeps(tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    async with served_over_tcp(monitor, TOKENS) as (url, _), aiohttp.ClientSession(url) as client:
        for path in ("/healthz", "/v1/snapshot", "/v1/nothing", "/v1/events"):
            for headers in (bearer(TOKEN), bearer("wrong"), bearer(TOKEN) | STREAM, {"Host": "evil.example"}):
                async with client.get(path, headers=headers) as answer:
                    assert answer.headers["Cache-Control"] == "no-store"
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    assert answer.headers["X-Frame-Options"] == "DENY"
                    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                    assert answer.headers["Referrer-Policy"] == "no-referrer"
                    assert answer.headers["Server"] == "gridtop"


async def test_secrets_are_shown_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    monitor = monitor_of(spaced_sags(tmp_path))
    said: list[str] = []
    async with served_over_tcp(monitor, TOKENS) as (url, server), aiohttp.ClientSession(url) as client:
        monitor.telemetry = _failing  # type: ignore[method-assign]
        for method, path, body in REQUESTS:
            sent = {"json": body} if body is not None else {}
            for headers in ({}, bearer(TOKEN), bearer(READ_TOKEN), bearer(TOKEN) | {"Origin": WALL}):
                for target in (path, f"{path}/{TOKEN[:6]}", path + "?after=x"):
                    async with client.request(method, target, headers=headers, **sent) as answer:
                        said.append(str(answer.status) + str(answer.headers))
                        if answer.content_type != "text/event-stream":
                            said.append(await answer.text())
        malformed = b"GET /v1/snapshot HTTP/1.1\r\nHost: localhost\r\nAuthorization: \x01%b\r\n\r\n"
        said.append((await raw(url, malformed % TOKEN.encode())).decode())
        assert '"this is not a request"' in said[-1]
        said.append(repr(vars(server)))
    said += [repr(ApiSettings(**TOKENS)), str(ApiSettings(**TOKENS)), caplog.text]  # type: ignore[arg-type]
    assert "RuntimeError: a mistake" in caplog.text
    assert not [one for one in said[:-1] if "of its own" in one]
    for word in (TOKEN, READ_TOKEN):
        assert not [one for one in said if word in one]


def _failing(request: Any) -> Any:
    raise RuntimeError("a mistake of its own")


def test_a_bad_token_is_not_shown_by_the_error_about_it(tmp_path: Path) -> None:
    spaced_sags(tmp_path)
    path = tmp_path / "config.yaml"
    for token, said in (("${SECRET}", "16 characters"), ("${SECRET} x y z 0123456789", "no spaces")):
        path.write_text(CONFIG + f'api: {{listen: "127.0.0.1:0", token: "{token}"}}\n')
        with pytest.raises(ConfigurationError) as refused:
            load(path, environment={"SECRET": "canary-7", **os.environ})
        assert said in str(refused.value)
        assert "canary" not in str(refused.value)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with c.pem and k.pem for localhost."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("tls")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", "k.pem", "-out", "c.pem", "-days", "2", "-subj", "/CN=localhost", "-addext", names]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    (folder / "k.pem").chmod(0o600)
    return folder


async def test_tls_is_verified_and_plain_text_is_not_answered(certificate: Path, tmp_path: Path) -> None:
    monitor = monitor_of(spaced_sags(tmp_path))
    settings = TOKENS | {"tls": {"certificate": "c.pem", "key": "k.pem"}}
    trusting = ssl.create_default_context(cafile=certificate / "c.pem")
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    async with served_over_tcp(monitor, settings, inputs=certificate) as (url, _):
        async with aiohttp.ClientSession(url) as client:
            async with client.get("/v1/snapshot", headers=bearer(TOKEN), ssl=trusting) as answer:
                assert answer.status == 200
            async with client.get("/v1/events", headers=bearer(TOKEN) | STREAM, ssl=trusting) as answer:
                assert await answer.content.readline() == b"retry: 3000\n"
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await client.get("/v1/snapshot", headers=bearer(TOKEN))
            old.set_ciphers("DEFAULT:@SECLEVEL=0")
            with pytest.deprecated_call():
                old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises(aiohttp.ClientError):
                await client.get("/v1/snapshot", headers=bearer(TOKEN), ssl=old)
        plain = url.replace("https", "http")
        assert b"200" not in await raw(plain, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")


async def test_a_private_key_that_everybody_can_read_is_refused(certificate: Path, tmp_path: Path) -> None:
    shutil.copytree(certificate, tmp_path / "tls")
    (tmp_path / "tls" / "k.pem").chmod(0o644)
    tls = {"certificate": "tls/c.pem", "key": "tls/k.pem"}
    settings = ApiSettings(listen="127.0.0.1:0", auth="none", tls=tls)  # type: ignore[arg-type]
    server = Server(monitor_of(spaced_sags(tmp_path)), settings, inputs=tmp_path)
    with pytest.raises(GridtopError, match="everybody can read the private key"):
        await server.listen_tcp()
    await server.close()


# A browser

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

PAGE = """<!doctype html><meta charset="utf-8"><script>
const api = "%(api)s", token = {"Authorization": "Bearer %(token)s"};
const tried = async (name, what) => {
  try { return [name, await what()] } catch (error) { return [name, "refused"] }
};
const stream = (query) => new Promise((told, refused) => {
  const source = new EventSource(api + "/events" + query);
  source.onmessage = (message) => { source.close(); told(JSON.parse(message.data)) };
  source.onerror = () => { source.close(); refused() };
});
(async () => {
  const results = [];
  results.push(await tried("snapshot", async () =>
    (await (await fetch(api + "/v1/snapshot", {headers: token})).json()).transport.state));
  results.push(await tried("without token", async () => (await fetch(api + "/v1/snapshot")).status));
  const ticket = await tried("ticket", async () =>
    (await (await fetch(api + "/v1/ticket", {method: "POST", headers: token})).json()).ticket);
  results.push([ticket[0], ticket[1] !== "refused"]);
  const told = tried("stream", () => stream("?after=0&ticket=" + ticket[1]));
  results.push(await tried("alert", async () => (await fetch(api + "/alert", {
    method: "POST", headers: {...token, "Content-Type": "application/json"},
    body: JSON.stringify({type: "page", count: 1, message: "from a browser"})})).status));
  results.push(await told);
  await fetch("/results", {method: "POST", body: JSON.stringify(Object.fromEntries(results))});
})();
</script>"""


class Pages:
    """A web server on a port of its own, with one page that tries the API and says how it went."""

    def __init__(self) -> None:
        self.page = b""
        self.results: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        loop, pages = asyncio.get_running_loop(), self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(pages.page)

            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(204)
                self.end_headers()
                loop.call_soon_threadsafe(pages.results.set_result, said)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
@pytest.mark.parametrize("listed", [True, False], ids=["listed", "not listed"])
async def test_a_real_browser_lets_exactly_the_listed_page_in(listed: bool, tmp_path: Path) -> None:
    pages = Pages()
    monitor = monitor_of(spaced_sags(tmp_path))
    settings = TOKENS | {"cors_origins": [pages.origin if listed else WALL]}
    browser = None
    try:
        async with served_over_tcp(monitor, settings) as (url, _):
            while monitor.snapshot().seq < 6:
                await asyncio.sleep(0.01)
            pages.page = (PAGE % {"api": url, "token": TOKEN}).encode()
            flags = [
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
                "--disable-dev-shm-usage",
            ]
            flags += [f"--user-data-dir={tmp_path / 'profile'}", "--disable-background-networking"]
            assert CHROMIUM is not None
            browser = subprocess.Popen(
                [CHROMIUM, *flags, "--remote-debugging-port=0", pages.origin],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            found = await asyncio.wait_for(pages.results, 90)
    finally:
        if browser is not None:
            browser.kill()
            browser.wait()
        pages.close()
    if listed:
        assert found["stream"]["type"] == "voltage"
        expected = {"snapshot": "ended", "without token": 401, "ticket": True, "alert": 200}
        assert found == expected | {"stream": found["stream"]}
        assert [event.message for event in monitor.events() if event.kind == "alert"] == ["from a browser"]
    else:
        assert found == dict.fromkeys(("snapshot", "without token", "alert", "stream"), "refused") | {
            "ticket": False
        }
        assert not [event for event in monitor.events() if event.kind == "alert"]
