"""A client of an engine in another process: HTTP over its Unix socket, with the standard library alone.

A screen must start in a third of a second and stay small, so there is no HTTP library here. All requests
go one after the other through one worker thread and one connection that is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import math
import select
import socket
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

import numpy as np

from gridtop import sockets, wire
from gridtop.client import Hello, Link, Snapshot, Telemetry, TelemetryRequest
from gridtop.errors import EngineLost, EngineReplaced, GridtopError
from gridtop.events import Event, iso_time
from gridtop.orders import Order
from gridtop.source_statistics import Statistics
from gridtop.text import clean

if TYPE_CHECKING:
    from gridtop.engine import Engine

RECONNECT = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between attempts to reach an engine that does not answer; the last one stays."""

TIMEOUT = 5.0
"""Seconds that an engine may take for an answer; it takes about one millisecond when it is well."""

_GLANCE, _SELDOM = 0.02, 0.25
"""Seconds between looks at an engine that is starting, and at one whose source does not open."""

_SOON = 2.0
"""Seconds after which a source that is not open is one that does not open."""

Read = TypeVar("Read")


class RemoteClient:
    """The engine at a Unix socket, as a `gridtop.client.Client`.

    Questions raise EngineLost while it cannot be reached, at once and without trying while the next
    attempt is not due; `link` says how things stand. `engine` is the process, if this client started
    it; `keep` lets it go on after `close`. `read_only` refuses every command.
    """

    def __init__(
        self,
        path: Path,
        *,
        engine: Engine | None = None,
        keep: bool = False,
        read_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._keep = keep
        self._read_only = read_only
        self._clock = clock
        self._connection = _Connection(path)
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._instance = ""
        self._replaced = False
        self._link = Link("connecting", clock())
        self._failures = 0
        self._next_attempt = -math.inf
        self._answered: float | None = None

    # How well the engine can be reached

    @property
    def link(self) -> Link:
        """How well the engine can be reached, as far as is known now."""
        if self._link.state != "ended" and self._engine is not None and self._engine.ending:
            self._link = Link("ended", self._clock(), self._engine.ending, self._engine.log_tail())
        return self._link

    @property
    def age(self) -> float:
        """Seconds since the engine answered last: the age of what it said. Infinite before the first."""
        return math.inf if self._answered is None else self._clock() - self._answered

    @property
    def can_restart(self) -> bool:
        """Whether `restart` can help: only with an engine that this client started."""
        return self._engine is not None

    @property
    def read_only(self) -> bool:
        """Whether commands are refused."""
        return self._read_only

    async def restart(self) -> None:
        """End this client's own engine if it still runs, and start it again.

        GridtopError when the engine is someone else's.
        """
        if self._engine is None:
            raise GridtopError("this engine was not started from here; start it again where it ran")
        await asyncio.to_thread(self._engine.restart)
        self._link = Link("connecting", self._clock())
        self._failures, self._next_attempt = 0, -math.inf

    # Questions

    async def hello(self) -> Hello:
        """Who is there; waits until the source is open.

        EngineLost when nobody answers; the GridtopError that ended it when this client's own engine
        could not start.
        """
        begun = self._clock()
        while True:
            while self._engine is not None and not self._engine.ready and not self._engine.ending:
                await asyncio.sleep(_GLANCE)
            if self._engine is not None and self._engine.ending and not self._instance:
                raise self._engine.failure()
            answer = await self._ask("GET", "/v1/hello")
            if answer.status != 503:
                break
            self._link = Link("connecting", begun, str(answer.failure()))
            await asyncio.sleep(_GLANCE if self._clock() < begun + _SOON else _SELDOM)
        hello = answer.read(wire.hello_from_json)
        self._instance, self._replaced = hello.instance, False
        return hello

    async def snapshot(self) -> Snapshot:
        """The monitor now."""
        return (await self._get("/v1/snapshot")).read(wire.snapshot_from_json)

    async def events(self, after: int = 0, limit: int = 500) -> Sequence[Event]:
        """The oldest `limit` events with a sequence number above `after`, oldest first."""
        answer = await self._get("/v1/events?" + urlencode({"after": after, "limit": limit}))
        return answer.read(lambda page: tuple(map(Event.from_dict, page["events"])))

    async def telemetry(self, request: TelemetryRequest) -> Telemetry:
        """The envelope of some channels; unknown names give empty (NaN) rows."""
        query: list[tuple[str, Any]] = [("window", request.window), ("buckets", request.buckets)]
        query += [("channel", name) for name in request.channels]
        text = urlencode(query, errors="surrogatepass")
        return (await self._get(f"/v1/telemetry?{text}")).read(wire.telemetry_from_json)

    async def statistics(self) -> Statistics | None:
        """How the data come, by device; None when the source does not count that."""
        return (await self._get("/v1/statistics")).read(wire.statistics_from_json)

    # Commands

    async def pause(self) -> None:
        """Stop the clock of a replay."""
        await self._tell("/v1/replay/pause")

    async def resume(self) -> None:
        """Let the clock run on; at the end of a recording, start it again."""
        await self._tell("/v1/replay/resume")

    async def step(self, frames: int = 1) -> None:
        """While paused: go on by some frames; negative frames go back, which begins a new pass."""
        await self._tell("/v1/replay/step", {"frames": frames})

    async def speed(self, factor: float) -> None:
        """Play at `factor` times real time, 0.1 to 1000, or inf for as fast as possible."""
        await self._tell("/v1/replay/speed", {"factor": "max" if factor == math.inf else factor})

    async def seek(self, row: int) -> None:
        """Go to a row (clipped to the recording); begins a new pass."""
        await self._tell("/v1/replay/seek", {"row": int(row)})

    async def seek_time(self, time: np.datetime64) -> None:
        """Go to the first row at or after a time; begins a new pass."""
        await self._tell("/v1/replay/seek", {"time": iso_time(time)})

    async def operate(self, order: Order) -> None:
        """Tell an alarm something; the engine knows who asks."""
        body = {"reason": order.reason, "seconds": order.seconds}
        await self._tell(f"/v1/alarms/{quote(order.alarm, safe='')}/{order.action}", body)

    async def record(self, on: bool) -> None:
        """Begin a recording of live data, or end it; the engine chooses the file."""
        await self._tell("/v1/recording", {"on": on})

    async def close(self) -> None:
        """Leave; an engine that this client started ends, unless it is to be kept."""
        self._connection.interrupt()
        self._worker.shutdown(wait=False, cancel_futures=True)
        if self._engine is not None and not self._keep:
            await asyncio.to_thread(self._engine.stop)

    # The way there

    async def _get(self, target: str) -> _Answer:
        answer = await self._ask("GET", target)
        if self._replaced:
            raise EngineReplaced("another engine answers now")
        return answer

    async def _tell(self, target: str, body: dict[str, Any] | None = None) -> None:
        if self._read_only:
            raise GridtopError("this screen only reads (--read-only)")
        if self._replaced:
            raise EngineReplaced("another engine answers now")
        await self._ask("POST", target, json.dumps(body or {}).encode())

    async def _ask(self, method: str, target: str, body: bytes | None = None) -> _Answer:
        """One answer of the engine, which is not a failure (503 to hello aside)."""
        if self.link.state == "ended" or self._clock() < self._next_attempt:
            raise EngineLost(self.link.detail)
        if self._engine is not None and not self._engine.ready:
            raise EngineLost("the engine is starting")
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._read_only:
            headers["Gridtop-Access"] = "read"
        loop = asyncio.get_running_loop()
        try:
            answer = await loop.run_in_executor(
                self._worker, self._connection.exchange, method, target, body, headers
            )
        except (OSError, http.client.HTTPException) as error:
            self._lose(error)
            raise EngineLost(self.link.detail) from error
        self._reached()
        self._replaced |= bool(self._instance) and answer.instance != self._instance
        if self._replaced and target != "/v1/hello":
            raise EngineReplaced("another engine answers now")
        if answer.status >= 400 and not (answer.status == 503 and target == "/v1/hello"):
            raise answer.failure()
        return answer

    def _lose(self, error: Exception) -> None:
        since = self._link.since if self._link.state == "lost" else self._clock()
        self._link = Link("lost", since, _words(error))
        self._next_attempt = self._clock() + RECONNECT[min(self._failures, len(RECONNECT) - 1)]
        self._failures += 1

    def _reached(self) -> None:
        self._answered = self._clock()
        self._failures, self._next_attempt = 0, -math.inf
        if self._link.state != "up":
            self._link = Link("up", self._clock())


class _Answer:
    """What came back: status, the instance that answered, and the body."""

    def __init__(self, status: int, instance: str, body: bytes) -> None:
        self.status = status
        self.instance = instance
        self.body = body

    def read(self, from_json: Callable[[Any], Read]) -> Read:
        """What the body says; GridtopError when it says something else."""
        try:
            return from_json(json.loads(self.body))
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise GridtopError(
                f"the engine's answer is not understood; is it of another version? ({error!r})"
            ) from error

    def failure(self) -> GridtopError:
        """The engine's refusal as the error that it was."""
        try:
            answer = json.loads(self.body)
            return wire.failure_of(answer.get("exit"), clean(str(answer["error"]), 2000))
        except (ValueError, KeyError, AttributeError):
            return GridtopError(f"the engine answered with status {self.status}")


class _Connection:
    """The connection of the worker thread: made when it is needed, kept while it works."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._http: _UnixConnection | None = None

    def exchange(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> _Answer:
        """Ask once. A command is never sent twice: whether a lost one was obeyed cannot be known."""
        if self._http is None or self._http.is_stale():
            self._drop()
            self._http = _UnixConnection(self._path)
        try:
            self._http.request(method, target, body, headers)
            response = self._http.getresponse()
            answer = _Answer(response.status, response.headers.get("Gridtop-Instance", ""), response.read())
        except BaseException:
            self._drop()
            raise
        if response.will_close:
            self._drop()
        return answer

    def interrupt(self) -> None:
        """Let the worker thread, if it waits for an answer, wait no longer."""
        sock = self._http.sock if self._http is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _drop(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        """Connect to the engine's socket."""
        self.sock = sockets.connected(self._path, TIMEOUT)

    def is_stale(self) -> bool:
        """Whether the engine has hung up since the last answer."""
        return self.sock is None or bool(select.select([self.sock], [], [], 0)[0])


def _words(error: Exception) -> str:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return "no engine answers"
    if isinstance(error, TimeoutError):
        return f"the engine does not answer within {TIMEOUT:g} s"
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError | BrokenPipeError):
        return "the engine hung up"
    return str(error) or type(error).__name__
