"""Connections kept in bounds, whatever comes over them: how many, how slow to ask, how slow to read."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aiohttp import web

from gridtop.server.answers import SECURITY, failure

HEAD_SECONDS = 10.0
"""How long a new connection may take to make its first request; later ones end with the keep-alive."""

PATIENCE = 10.0
"""Seconds that a reader may leave what was written to it untaken before it is cut off."""

BETWEEN_REQUESTS = 75.0
"""Seconds that a connection stays open without a request."""

LONGEST_LINE = 64 << 10
"""Bytes of a request's first line: a screen asks for dozens of channels by name."""

LONGEST_FIELD = 8 << 10
MOST_FIELDS = 64
"""Bytes of one header of a request, and how many there may be."""

_log = logging.getLogger("gridtop.server")

_FULL = json.dumps({"error": "too many connections are open; try again later"}).encode()
_FULL_ANSWER = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(_FULL), _FULL)
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a name for people, what it may do, and by what its share of everything is counted."""

    name: str
    scope: Literal["all", "read"]
    key: str


class Protocol(web.RequestHandler):
    """HTTP within bounds. What is not HTTP is not repeated, neither to who sent it nor in the log: a
    malformed header may hold a token, and a log that others can fill is none."""

    __slots__ = ()

    def __init__(self, manager: web.Server) -> None:
        super().__init__(
            manager,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # which is how it is switched off
            keepalive_timeout=BETWEEN_REQUESTS,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_FIELD,
            max_headers=MOST_FIELDS,
            auto_decompress=False,
        )

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what cannot be read, or went wrong after all."""
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        if status >= 500:
            _log.error("an answer failed", exc_info=exc)
        response = failure(status, "this is not a request" if status < 500 else "the engine made a mistake")
        response.headers.update(SECURITY)
        response.force_close()
        return response


class Door:
    """A place where the API listens: a Unix socket or a TCP port. It knows who is in.

    `most` is how many connections may be open at once. `head_seconds` and `patience` are for tests.
    """

    def __init__(
        self,
        kind: Literal["unix", "tcp"],
        most: int,
        *,
        head_seconds: float = HEAD_SECONDS,
        patience: float = PATIENCE,
    ) -> None:
        self.kind = kind
        self.most = most
        self.head_seconds = head_seconds
        self.patience = patience
        self.connections: set[Guard] = set()
        self.refused = 0
        """Connections that were turned away because too many were open."""
        self.idle = 0
        """Connections that were ended because they asked nothing."""
        self.evicted = 0
        """Readers that were cut off because they took nothing."""


class Guard(asyncio.Protocol):
    """Stands between a connection and the HTTP protocol that serves it, and ends what stalls.

    A reader that does not take what is written is cut off by aborting its transport: closing would wait
    for it to take what is buffered, which it does not.
    """

    def __init__(self, door: Door, inner: asyncio.Protocol) -> None:
        self.door = door
        self.lost = False
        self.caller: Caller | None = None
        """Who asks over this connection at the moment, once that is known."""
        self.origin = ""
        """The web page that asks at the moment, if it is a listed one."""
        self._inner: asyncio.Protocol | None = inner
        self._when_lost: list[Callable[[], None]] = []
        self._transport: asyncio.Transport | None = None
        self._first: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def when_lost(self, call: Callable[[], None]) -> None:
        """Have something called when the connection is gone."""
        self._when_lost.append(call)

    def request_begun(self) -> None:
        """The head of a request has arrived."""
        if self._first is not None:
            self._first.cancel()
            self._first = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection in, unless too many are."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self.door.connections) >= self.door.most:
            self.door.refused += 1
            self._inner = None
            transport.write(_FULL_ANSWER)
            transport.close()
            return
        self.door.connections.add(self)
        self._first = self._loop.call_later(self.door.head_seconds, self._end_idle)
        if self._inner is not None:
            self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits for this connection."""
        self.lost = True
        self.door.connections.discard(self)
        for timer in (self._first, self._stall):
            if timer is not None:
                timer.cancel()
        if self._inner is not None:
            self._inner.connection_lost(exc)
        for call in self._when_lost:
            call()

    def data_received(self, data: bytes) -> None:
        """Hand on what came."""
        if self._inner is not None:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Hand on that nothing more will come."""
        return self._inner.eof_received() if self._inner is not None else None

    def pause_writing(self) -> None:
        """The reader is behind: from now on its patience is measured."""
        self._stall = self._loop.call_later(self.door.patience, self._evict)
        if self._inner is not None:
            self._inner.pause_writing()

    def resume_writing(self) -> None:
        """The reader has caught up."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if self._inner is not None:
            self._inner.resume_writing()

    def abort(self) -> None:
        """End the connection at once, whatever is still to be written."""
        if self._transport is not None:
            self._transport.abort()

    def _evict(self) -> None:
        self.door.evicted += 1
        self.abort()

    def _end_idle(self) -> None:
        self.door.idle += 1
        self.abort()


def guard_of(request: web.Request) -> Guard:
    """The guard of the connection that a request came over; ConnectionResetError when that is gone."""
    guard = request.transport.get_protocol() if request.transport is not None else None
    if not isinstance(guard, Guard):
        raise ConnectionResetError("the client has hung up")
    return guard


def socket_of(request: web.Request) -> socket.socket:
    """The socket that a request came over; ConnectionResetError when it is gone."""
    found: socket.socket | None = None
    if request.transport is not None:
        found = request.transport.get_extra_info("socket")
    if found is None:
        raise ConnectionResetError("the client has hung up")
    return found
