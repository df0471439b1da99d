"""Event streams: how fast events reach many readers over TCP, and what becomes of readers that stall.

    python benchmarks/sse.py [seconds] [readers] [events a second] [stalled readers]

The engine serves in this process; the readers are another one on the same machine. The baseline is the usual
way to write such a server with the same library: a queue a reader, every event rendered and written for each.
Linux only.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import resource
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from aiohttp import web

from gridtop.api_settings import ApiSettings
from gridtop.config import load
from gridtop.monitor import Monitor
from gridtop.server import Server

CONFIGURATION = """\
source: {type: replay, path: quiet.csv, rate: 30, speed: max}
channels: {"F": {quantity: frequency, unit: Hz}}
sinks: {}
"""

REQUEST = b"GET /v1/events?after=%d HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
SENT = re.compile(rb'"message":"([0-9.]+) ')
FILLER = "a report of about as many characters as an alarm of a limit has, with its value and its unit"
EVICTION = 30.0
"""Seconds that are waited for stalled readers to be cut off after the measurement."""

Publish = Callable[[str], Awaitable[object]]


@dataclass
class Served:
    """A server under test: where it is, how to publish, and how many streams it has."""

    port: int
    publish: Publish
    streams: Callable[[], int]
    evicted: Callable[[], int] = lambda: 0


@contextlib.asynccontextmanager
async def gridtop_server(most: int) -> AsyncIterator[Served]:
    """The server as it is."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "quiet.csv").write_text("F\n" + "60.0\n" * 60)
        (folder / "config.yaml").write_text(CONFIGURATION)
        monitor = Monitor(load(folder / "config.yaml", environment=os.environ))
        settings = ApiSettings(listen="127.0.0.1:0", auth="none", connections=most, streams=most)
        server = Server(monitor, settings)
        _, port = await server.listen_tcp()
        running = asyncio.create_task(monitor.run())
        await monitor.opened()
        try:
            yield Served(
                port,
                lambda text: monitor.report("benchmark", 1, text),
                lambda: server.streams_open,
                lambda: server.readers_evicted,
            )
        finally:
            monitor.stop()
            await running
            await server.close()


@contextlib.asynccontextmanager
async def plain_server(most: int) -> AsyncIterator[Served]:
    """The baseline."""
    queues: set[asyncio.Queue[dict[str, object]]] = set()
    tasks: list[asyncio.Task[object]] = []
    template = json.loads(EVENT)
    seq = 0

    async def publish(text: str) -> None:
        nonlocal seq
        seq += 1
        for queue in queues:
            queue.put_nowait(template | {"seq": seq, "message": text})
        await asyncio.sleep(0)

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[dict[str, object]] = asyncio.Queue()
        queues.add(queue)
        if (task := asyncio.current_task()) is not None:
            tasks.append(task)
        try:
            while True:
                event = await queue.get()
                data = json.dumps(event, separators=(",", ":"))
                await response.write(f"id: {event['seq']}\nevent: alert\ndata: {data}\n\n".encode())
        finally:
            queues.discard(queue)

    application = web.Application()
    application.add_routes([web.get("/v1/events", stream)])
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield Served(runner.addresses[0][1], publish, lambda: len(queues))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()


EVENT = (
    '{"id":"3f0c9a51d2b7e604","seq":0,"time":null,"row":60,"kind":"alert","transition":"noticed",'
    '"severity":"warning","rule":"benchmark","channel":"","quantity":"","terminal":"","phase":"","direction":"",'
    '"value":null,"limit":null,"unit":"","since":null,"since_row":null,"pass":1,"priority":"","incident":"",'
    '"parent":"","message":"","details":{"type":"benchmark","count":1,"by":""},"cause":[],'
    '"cause_approximate":false,"wall":"2026-11-22T08:00:00.000Z"}'
)


async def measure(
    name: str,
    server: Callable[[int], contextlib.AbstractAsyncContextManager[Served]],
    seconds: float,
    readers: int,
    rate: float,
    stalled: int,
) -> None:
    """Serve, publish at an even rate, and print a line."""
    async with server(readers + stalled + 10) as served:
        idle = memory()
        stallers = [await stalled_reader(served.port) for _ in range(stalled)]
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "read", str(served.port), str(readers)),
            stdout=asyncio.subprocess.PIPE,
            stdin=asyncio.subprocess.PIPE,
        )
        while served.streams() < readers + stalled:
            await asyncio.sleep(0.05)
        connected = memory()
        busy, begun = time.process_time(), time.monotonic()
        for number in range(round(seconds * rate)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            await served.publish(f"{time.monotonic():.6f} {FILLER}")
        elapsed = time.monotonic() - begun
        busy = time.process_time() - busy
        await asyncio.sleep(1.0)
        after = memory()
        out, _ = await child.communicate(b"\n")
        until = time.monotonic() + EVICTION
        while served.evicted() < stalled and time.monotonic() < until:
            await asyncio.sleep(0.1)
        evicted = served.evicted()
        for staller in stallers:
            staller.close()
    found = json.loads(out)
    arrived = f"{found['events']}/{round(seconds * rate) * readers}"
    megabytes = " -> ".join(f"{size:.0f}" for size in (idle, connected, after))
    delivered = found["events"] / elapsed
    print(
        f"{name:>9} {delivered:9.0f}/s {arrived:>14} {found['p50']:6.0f} {found['p99']:6.0f}"
        f" {1e6 * busy / found['events']:6.1f} {megabytes:>32} {evicted:5}/{stalled}",
        flush=True,
    )


async def stalled_reader(port: int) -> socket.socket:
    """A connection that asks for the stream and never reads it."""
    loop = asyncio.get_running_loop()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.setblocking(False)
    await loop.sock_connect(connection, ("127.0.0.1", port))
    await loop.sock_sendall(connection, REQUEST % 0)
    return connection


def memory() -> float:
    """Megabytes of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Reader(asyncio.Protocol):
    """Counts the events of one stream, and notes how old each was when it came."""

    def __init__(self, ages: list[float]) -> None:
        self._ages = ages
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(REQUEST % 0)

    def data_received(self, data: bytes) -> None:
        """Read the whole messages among the bytes."""
        now = time.monotonic()
        whole, mark, rest = (self._rest + data).rpartition(b"\n\n")
        self._rest = rest
        self._ages += [now - float(sent) for sent in SENT.findall(whole + mark)]


async def read(port: int, readers: int) -> None:
    """Read many streams until a line comes on standard input, and say what came."""
    loop = asyncio.get_running_loop()
    ages: list[float] = []
    for _ in range(readers):
        await loop.create_connection(lambda: Reader(ages), "127.0.0.1", port)
    await loop.run_in_executor(None, sys.stdin.readline)
    p50, p99 = 1000 * np.quantile(ages, (0.5, 0.99))
    print(json.dumps({"events": len(ages), "p50": p50, "p99": p99}))


async def compare(seconds: float, readers: int, rate: float, stalled: int) -> None:
    """Both servers, one after the other."""
    print(f"{readers} readers and {stalled} that stall, {rate:g} events/s for {seconds:g} s, over loopback")
    head = f"{'':>9} {'delivered':>11} {'events':>14} {'p50':>6} {'p99 ms':>6} {'CPU us':>6}"
    print(f"{head} {'MB idle -> with readers -> after':>32}  evicted")
    await measure("gridtop", gridtop_server, seconds, readers, rate, stalled)
    await measure("baseline", plain_server, seconds, readers, rate, stalled)


def main() -> None:
    """Read the command line."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if sys.argv[1:2] == ["read"]:
        asyncio.run(read(int(sys.argv[2]), int(sys.argv[3])))
        return
    given = [float(text) for text in sys.argv[1:]]
    seconds, readers, rate, stalled = (*given, *(15.0, 500, 100.0, 40)[len(given) :])
    asyncio.run(compare(seconds, int(readers), rate, int(stalled)))


if __name__ == "__main__":
    main()
