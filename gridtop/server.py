"""The HTTP API of a running monitor, over a Unix socket: what screens and other programs attach to.

Documented in docs/http-api.md. This is the only module that imports aiohttp.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import math
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
from aiohttp import web

from gridtop import sockets, wire
from gridtop.client import TelemetryRequest
from gridtop.errors import GridtopError
from gridtop.events import Event
from gridtop.monitor import Monitor
from gridtop.orders import ACTIONS, Order

PAGE = 500
"""Events in an answer unless asked otherwise, and in one write of a stream."""

HEARTBEAT = 15.0
"""Seconds without an event after which a stream says that it is alive."""

PATIENCE = 10.0
"""Seconds that a reader of the stream may leave a write waiting before it is cut off; it can come back
and resume by the number of its last event."""

_LARGEST_BODY = 64 << 10
_LONGEST_LINE = 64 << 10
"""Bytes of a request's first line: a screen asks for dozens of channels by name."""
_MOST_STREAMS = 64
_MOST_EVENTS = 5000
_MOST_CHANNELS = 1024
_MOST_BUCKETS = 8192
_LONGEST_WINDOW = 31 * 86400.0
_SEND_BUFFER = 64 << 10
"""Bytes the kernel holds for one stream: a reader that stalls is noticed soon."""
_RETRY = 3000
"""Milliseconds after which a browser's EventSource comes back."""

_HOSTS = ("", "gridtop", "localhost", "127.0.0.1", "[::1]")
"""Names the API answers to. A browser that a foreign page lured here by DNS rebinding says another."""

INSTANCE = "Gridtop-Instance"
"""The header of every answer that names the engine's instance."""
ACCESS = "Gridtop-Access"
"""The header with which a client says `read`: the engine then refuses its commands."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("gridtop.server")


class Refusal(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Server:
    """Serves one monitor to any number of clients, none of which can hold it up.

    `heartbeat` and `patience` are for tests.
    """

    def __init__(self, monitor: Monitor, *, heartbeat: float = HEARTBEAT, patience: float = PATIENCE) -> None:
        self._monitor = monitor
        self._heartbeat = heartbeat
        self._patience = patience
        self._closing = asyncio.Event()
        self._streams = 0
        application = web.Application(client_max_size=_LARGEST_BODY, middlewares=[self._answer])
        application.add_routes(
            [
                web.get("/healthz", self._health),
                web.get("/v1/hello", self._hello),
                web.get("/v1/snapshot", self._snapshot),
                web.get("/v1/events", self._events),
                web.get("/v1/telemetry", self._telemetry),
                web.post("/v1/replay/pause", self._pause),
                web.post("/v1/replay/resume", self._resume),
                web.post("/v1/replay/step", self._step),
                web.post("/v1/replay/speed", self._speed),
                web.post("/v1/replay/seek", self._seek),
                web.post("/v1/alarms/{id}/{action}", self._operate),
            ]
        )
        application.on_response_prepare.append(self._sign)
        self._runner = web.AppRunner(
            application,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=1.0,
            max_line_size=_LONGEST_LINE,
        )

    async def start(self, listening: socket.socket) -> None:
        """Answer at a listening socket from now on."""
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def close(self) -> None:
        """End all streams and connections."""
        self._closing.set()
        await self._runner.cleanup()

    # Who may ask what

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what may not be, and turn every failure into JSON with a sentence."""
        try:
            _check(request)
            return await handler(request)
        except Refusal as refusal:
            return _failure(refusal.status, str(refusal))
        except GridtopError as error:
            return _failure(400, str(error), int(error.code))
        except web.HTTPRequestEntityTooLarge:
            return _failure(413, f"the body is larger than {_LARGEST_BODY} bytes")
        except web.HTTPException as error:
            sentence = {
                404: f"there is no {request.path}",
                405: f"{request.path} is not for {request.method}",
            }
            return _failure(error.status, sentence.get(error.status, error.reason))
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            _log.exception("%s %s", request.method, request.path)
            return _failure(500, f"the engine made a mistake: {type(error).__name__}: {error}")

    async def _sign(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers[INSTANCE] = self._monitor.instance
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"

    # Questions

    async def _health(self, request: web.Request) -> web.Response:
        snapshot = self._monitor.snapshot()
        state = snapshot.transport.state
        well = state not in ("starting", "failed")
        body = {"status": "ok" if well else state, "state": state, "seq": snapshot.seq, "pid": os.getpid()}
        return _json(body | {"problems": list(snapshot.problems)}, 200 if well else 503)

    async def _hello(self, request: web.Request) -> web.Response:
        if self._monitor.snapshot().transport.state == "starting":
            raise Refusal(503, "the engine is opening its source")
        await self._monitor.opened()
        return _json(wire.hello_to_json(self._monitor.hello()))

    async def _snapshot(self, request: web.Request) -> web.Response:
        return _json(wire.snapshot_to_json(self._monitor.snapshot()))

    async def _telemetry(self, request: web.Request) -> web.Response:
        channels = request.query.getall("channel", [])
        if len(channels) > _MOST_CHANNELS:
            raise Refusal(400, f"at most {_MOST_CHANNELS} channels at once")
        window = _number(request, "window", 60.0, 0.001, _LONGEST_WINDOW)
        buckets = int(_number(request, "buckets", 160, 1, _MOST_BUCKETS))
        self._require_open()
        asked = TelemetryRequest(tuple(channels), window, buckets)
        return _json(wire.telemetry_to_json(self._monitor.telemetry(asked)))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        after = int(_number(request, "after", 0, 0, 2**53))
        if "text/event-stream" in request.headers.get("Accept", ""):
            last = request.headers.get("Last-Event-ID", "")
            return await self._stream(request, int(last) if last.isdecimal() else after)
        limit = int(_number(request, "limit", PAGE, 1, _MOST_EVENTS))
        events = self._monitor.events(after, limit)
        head = json.dumps({"instance": self._monitor.instance, **self._reach()})
        body = f'{head[:-1]}, "events": [' + ",".join(event.to_json() for event in events) + "]}"
        return web.Response(body=_encoded(body), content_type="application/json")

    # The stream

    async def _stream(self, request: web.Request, after: int) -> web.StreamResponse:
        if self._streams >= _MOST_STREAMS:
            raise Refusal(503, f"{_MOST_STREAMS} streams are open already")
        self._streams += 1
        transport = request.transport
        if transport is not None:
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        )
        try:
            await response.prepare(request)
            async with contextlib.aclosing(self._messages(after)) as messages:
                async for message in messages:
                    async with asyncio.timeout(self._patience):
                        await response.write(_encoded(message))
        except TimeoutError:
            # Closing would wait for the reader to take what is buffered, which it does not.
            if transport is not None:
                transport.abort()
        finally:
            self._streams -= 1
        return response

    async def _messages(self, after: int) -> Any:
        """The text of a stream from event number `after` on, in pieces, until the server closes."""
        hello = json.dumps({"instance": self._monitor.instance, **self._reach()})
        yield f"retry: {_RETRY}\n\nevent: hello\ndata: {hello}\n\n"
        if after > self._reach()["seq"]:
            after = 0
            yield self._resync()
        while not self._closing.is_set():
            events = self._monitor.events(after, PAGE)
            if events:
                if events[0].seq > after + 1:
                    yield self._resync()
                yield "".join(map(_message, events))
                after = events[-1].seq
            elif not await self._published(after):
                yield ": hb\n\n"

    def _resync(self) -> str:
        """What tells a reader that some events are gone and it must begin with a snapshot again."""
        return f"event: resync\ndata: {json.dumps({'instance': self._monitor.instance, **self._reach()})}\n\n"

    async def _published(self, after: int) -> bool:
        """Wait for an event above `after` or the end; False when a heartbeat is due."""
        news = asyncio.create_task(self._monitor.published(after))
        end = asyncio.create_task(self._closing.wait())
        try:
            done, _ = await asyncio.wait(
                (news, end), timeout=self._heartbeat, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            news.cancel()
            end.cancel()
        return bool(done)

    def _reach(self) -> dict[str, int]:
        """The numbers of the newest event and of the oldest one that is remembered."""
        oldest: Sequence[Event] = self._monitor.events(0, 1)
        return {
            "seq": self._monitor.snapshot().seq,
            "oldest": oldest[0].seq if oldest else 0,
        }

    # Commands

    async def _pause(self, request: web.Request) -> web.Response:
        self._require_open()
        self._monitor.replay.pause()
        return _done()

    async def _resume(self, request: web.Request) -> web.Response:
        self._require_open()
        self._monitor.replay.resume()
        return _done()

    async def _step(self, request: web.Request) -> web.Response:
        frames = _whole((await _body(request)).get("frames", 1), "frames")
        self._require_open()
        self._monitor.replay.step(frames)
        return _done()

    async def _speed(self, request: web.Request) -> web.Response:
        factor = (await _body(request)).get("factor")
        if factor == "max":
            factor = math.inf
        elif isinstance(factor, bool) or not isinstance(factor, int | float):
            raise Refusal(400, 'give {"factor": NUMBER}, in times real time, or "max"')
        self._require_open()
        self._monitor.replay.set_speed(float(factor))
        return _done()

    async def _seek(self, request: web.Request) -> web.Response:
        body = await _body(request)
        self._require_open()
        if isinstance(body.get("time"), str):
            await self._monitor.replay.seek_time(_moment(body["time"]))
        else:
            self._monitor.replay.seek(_whole(body.get("row"), "row"))
        return _done()

    async def _operate(self, request: web.Request) -> web.Response:
        action: Any = request.match_info["action"]
        if action not in ACTIONS:
            raise Refusal(404, f"there is no {request.path}")
        body = await _body(request)
        reason, seconds = body.get("reason", ""), body.get("seconds", 0)
        if not isinstance(reason, str):
            raise Refusal(400, 'give {"reason": TEXT}')
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise Refusal(400, 'give {"seconds": NUMBER}')
        self._require_open()
        order = Order(action, request.match_info["id"], _user(request), reason, float(seconds))
        await self._monitor.operate(order)
        return _done()

    def _require_open(self) -> None:
        if self._monitor.snapshot().transport.state == "starting":
            raise Refusal(503, "the engine is opening its source")


def _check(request: web.Request) -> None:
    """Refuse who is not the user, what a foreign web page could send, and commands of mere readers."""
    connection = request.transport.get_extra_info("socket") if request.transport else None
    if connection is None or not sockets.peer_is_trusted(connection):
        raise Refusal(403, "this engine belongs to another user")
    name = request.headers.get("Host", "")
    name = name if name.endswith("]") else name.rpartition(":")[0] or name
    if name not in _HOSTS:
        raise Refusal(403, "this host name is not served; say localhost")
    if request.method in ("GET", "HEAD"):
        return
    if "Origin" in request.headers:
        raise Refusal(403, "commands from web pages are not accepted")
    if request.headers.get(ACCESS, "") == "read":
        raise Refusal(403, "this client asked to read only")
    if request.can_read_body and request.content_type != "application/json":
        raise Refusal(415, "the body must be JSON: Content-Type: application/json")


def _user(request: web.Request) -> str:
    """Who asks: over a Unix socket the name of the user whose process it is."""
    connection = request.transport.get_extra_info("socket") if request.transport else None
    return sockets.peer_name(connection) if connection is not None else ""


async def _body(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body; empty when there is no body."""
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, "the body is not a JSON object")
    return body


def _number(request: web.Request, name: str, default: float, low: float, high: float) -> float:
    try:
        value = float(request.query.get(name, default))
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise Refusal(400, f"{name} must be a number from {low:g} to {high:g}")
    return value


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**53:
        raise Refusal(400, f'give {{"{name}": WHOLE NUMBER}}')
    return value


def _moment(text: str) -> np.datetime64:
    try:
        moment = np.datetime64(text.removesuffix("Z"), "ns")
        if not np.isnat(moment):
            return moment
    except ValueError:
        pass
    raise Refusal(400, "time must be ISO 8601 in UTC, such as 2026-01-01T00:00:12.5Z")


def _message(event: Event) -> str:
    return f"id: {event.seq}\nevent: {event.kind}\ndata: {event.to_json()}\n\n"


def _encoded(text: str) -> bytes:
    # A lone surrogate has no UTF-8, but its Python escape happens to be its JSON escape.
    return text.encode("utf-8", "backslashreplace")


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=json.dumps(body, allow_nan=False), content_type="application/json", status=status
    )


def _done() -> web.Response:
    return web.Response(status=204)


def _failure(status: int, sentence: str, code: int | None = None) -> web.Response:
    body: dict[str, Any] = {"error": sentence}
    return _json(body if code is None else body | {"exit": code}, status)
