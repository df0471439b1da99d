"""The server: routes put together, and the two doors they are served at."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
import stat
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

from aiohttp import web

from gridtop.api_settings import ApiSettings, TlsSettings, address_of
from gridtop.errors import GridtopError
from gridtop.monitor import Monitor
from gridtop.server.access import Access
from gridtop.server.alerts import Alerts
from gridtop.server.answers import LARGEST_BODY, SECURITY, Refusal, failure, no_such
from gridtop.server.commands import Commands
from gridtop.server.guards import HEAD_SECONDS, PATIENCE, Caller, Door, Guard, Protocol, guard_of
from gridtop.server.limits import RateLimit, Slots, Tickets
from gridtop.server.metrics import Metrics
from gridtop.server.questions import Questions
from gridtop.server.streams import HEARTBEAT, Streams
from gridtop.text import clean

INSTANCE = "Gridtop-Instance"
"""The header of every answer that names the engine's instance."""

_HANDSHAKE_SECONDS = 10.0
_UNIX_CONNECTIONS = 256

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = logging.getLogger("gridtop.server")


class Server:
    """Serves one monitor to any number of clients, none of which can hold it up.

    `settings` say who may ask over TCP; relative paths in them start from `inputs`. `heartbeat`,
    `patience`, `head_seconds` and `clock` (monotonic seconds) are for tests.
    """

    def __init__(
        self,
        monitor: Monitor,
        settings: ApiSettings | None = None,
        *,
        inputs: Path = Path(),
        heartbeat: float = HEARTBEAT,
        patience: float = PATIENCE,
        head_seconds: float = HEAD_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._monitor = monitor
        self._settings = settings = settings or ApiSettings()
        self._inputs = inputs
        self._servers: list[asyncio.Server] = []
        self._answered: Counter[int] = Counter()
        self._unix, self._tcp = (
            Door(kind, most, head_seconds=head_seconds, patience=patience) for kind, most in _doors(settings)
        )
        tickets: Tickets[Caller] = Tickets(clock)
        self._access = Access(settings, tickets)
        self._streams = Streams(monitor, Slots(settings.streams), heartbeat=heartbeat)
        alerts = Alerts(monitor, self._streams, RateLimit(settings.alerts_per_minute, clock))
        doors = (self._unix, self._tcp)
        rooms = (
            Questions(monitor, self._streams, tickets),
            Commands(monitor),
            alerts,
            Metrics(monitor, self._streams, alerts, doors, self._answered),
        )
        self.application = web.Application(client_max_size=LARGEST_BODY, middlewares=[self._answer])
        """What is served where; the description of the API is checked against it."""
        for room in rooms:
            self.application.add_routes(room.routes())
        self.application.on_response_prepare.append(self._sign)
        self._runner = web.AppRunner(
            self.application, access_log=None, handle_signals=False, shutdown_timeout=1.0
        )

    @property
    def streams_open(self) -> int:
        """How many event streams are open."""
        return self._streams.open

    @property
    def readers_evicted(self) -> int:
        """How many readers were cut off because they took nothing."""
        return self._unix.evicted + self._tcp.evicted

    async def start(self, listening: socket.socket) -> None:
        """Answer at a listening Unix socket from now on."""
        await self._serve(self._unix, sock=listening)

    async def listen_tcp(self) -> tuple[str, int]:
        """Answer over TCP from now on, where the settings say; the address and port that were bound.

        GridtopError when that place is taken, or the certificate cannot be used.
        """
        if self._settings.listen is None:
            raise GridtopError("api: {listen: ADDRESS:PORT} is needed to serve over TCP")
        host, port = address_of(self._settings.listen)
        context = None if self._settings.tls is None else _context(self._settings.tls, self._inputs)
        try:
            server = await self._serve(self._tcp, host=host, port=port, context=context)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise GridtopError(f"cannot listen at {self._settings.listen}: {reason}") from error
        bound = server.sockets[0].getsockname()
        return str(bound[0]), int(bound[1])

    async def close(self) -> None:
        """End all streams and connections."""
        self._streams.close()
        for server in self._servers:
            server.close()
        await self._runner.cleanup()
        # A client that reads nothing more would keep its connection for ever.
        for door in (self._unix, self._tcp):
            for guard in tuple(door.connections):
                guard.abort()

    async def _serve(
        self,
        door: Door,
        *,
        sock: socket.socket | None = None,
        host: str | None = None,
        port: int | None = None,
        context: ssl.SSLContext | None = None,
    ) -> asyncio.Server:
        if self._runner.server is None:
            await self._runner.setup()
        protocols = self._runner.server
        assert protocols is not None

        def guard() -> Guard:
            return Guard(door, Protocol(protocols))

        loop = asyncio.get_running_loop()
        if sock is not None:
            server = await loop.create_server(guard, sock=sock)
        else:
            patience = _HANDSHAKE_SECONDS if context is not None else None
            server = await loop.create_server(
                guard, host, port or 0, ssl=context, ssl_handshake_timeout=patience
            )
        self._servers.append(server)
        return server

    @web.middleware
    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what may not be, and turn every failure into JSON with a sentence."""
        guard_of(request).request_begun()
        response = await self._answered_or_refused(request, handler)
        self._answered[response.status] += 1
        return response

    async def _answered_or_refused(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            answer = self._access.admit(request)
            return await handler(request) if answer is None else answer
        except Refusal as refusal:
            response = failure(refusal.status, str(refusal))
            response.headers.update(refusal.headers)
            return response
        except GridtopError as error:
            return failure(400, str(error), int(error.code))
        except web.HTTPRequestEntityTooLarge:
            return failure(413, f"the body is larger than {LARGEST_BODY} bytes")
        except web.HTTPMethodNotAllowed as error:
            response = failure(405, f"{clean(request.path)} is not for {clean(request.method)}")
            response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
            return response
        except web.HTTPNotFound:
            return failure(404, str(no_such(request)))
        except web.HTTPException as error:
            return failure(error.status, error.reason)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            # What the error says may hold anything: it goes into the log, not to whoever asks.
            _log.exception("%s %s", clean(request.method), clean(request.path))
            return failure(
                500, f"the engine made a mistake ({type(error).__name__}); its log has the details"
            )

    async def _sign(self, request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(SECURITY)
        response.headers[INSTANCE] = self._monitor.instance
        response.headers.update(self._access.headers(request))


def _doors(settings: ApiSettings) -> tuple[tuple[Literal["unix", "tcp"], int], ...]:
    """Each has its own bound: whoever fills one cannot keep the user's screen from the other."""
    return ("unix", max(_UNIX_CONNECTIONS, settings.connections)), ("tcp", settings.connections)


def _context(tls: TlsSettings, inputs: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with the certificate of the settings; GridtopError when it cannot be used."""
    certificate, key = inputs / tls.certificate, inputs / tls.key
    try:
        if key.stat().st_mode & stat.S_IROTH:
            raise GridtopError(f"everybody can read the private key {key}; close it with chmod o-rwx {key}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Without this, a key with a password would ask for it at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except OSError as error:
        reason = error.strerror or str(error)
        raise GridtopError(f"api: tls: {certificate} and {key} cannot be used: {reason}") from error
    return context
