"""A monitor of a small recording, served over a socket in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from gridtop.api_settings import ApiSettings
from gridtop.config import load
from gridtop.monitor import Monitor
from gridtop.remote import RemoteClient
from gridtop.server import Server
from gridtop.sockets import Listening

CONFIG = """\
source: {type: replay, path: low.csv, rate: 30, speed: max}
site: {nominal: {voltage_ll: 230 kV}}
limits: {voltage: {on: "*:voltage_pu", low: {critical: 0.9}}}
sinks: {}
"""


HEALTHY, LOW = "132000\n" * 60, "100000\n" * 60


def low_voltage(folder: Path, sags: int = 3) -> Path:
    """A configuration whose recording has some sags of two seconds; each gives two events."""
    return _configured(folder, (HEALTHY + LOW) * sags + HEALTHY)


def spaced_sags(folder: Path) -> Path:
    """The same with three sags, the last of them a minute after the first two: no chatter, six events."""
    return _configured(folder, (HEALTHY + LOW) * 2 + HEALTHY * 30 + LOW + HEALTHY)


def _configured(folder: Path, recording: str) -> Path:
    (folder / "low.csv").write_text("R1-PM1:V\n" + recording)
    (folder / "config.yaml").write_text(CONFIG)
    return folder / "config.yaml"


def monitor_of(config: Path, *overrides: str, **options: Any) -> Monitor:
    """A monitor that waits at the end of its recording."""
    return Monitor(load(config, overrides=overrides, environment=os.environ), **options)


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name, which pytest's own may not."""
    with tempfile.TemporaryDirectory(prefix="gridtop-") as name:
        yield Path(name)


@contextlib.asynccontextmanager
async def served(monitor: Monitor, path: Path, **options: Any) -> AsyncIterator[Server]:
    """The monitor runs and is served at `path`."""
    listening = Listening(path)
    server = Server(monitor, **options)
    await server.start(listening.socket)
    running = asyncio.create_task(monitor.run())
    try:
        yield server
    finally:
        monitor.stop()
        await asyncio.gather(running, return_exceptions=True)
        await server.close()
        listening.close()


@contextlib.asynccontextmanager
async def served_over_tcp(
    monitor: Monitor, settings: Mapping[str, Any] | None = None, **options: Any
) -> AsyncIterator[tuple[str, Server]]:
    """The monitor runs and is served at a free port of loopback, without a token unless settings say so;
    what is given is its URL."""
    chosen = ApiSettings(**({"listen": "127.0.0.1:0", "auth": "none"} | dict(settings or {})))
    server = Server(monitor, chosen, **options)
    host, port = await server.listen_tcp()
    running = asyncio.create_task(monitor.run())
    try:
        await monitor.opened()
        scheme = "https" if chosen.tls else "http"
        yield f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}", server
    finally:
        monitor.stop()
        await asyncio.gather(running, return_exceptions=True)
        await server.close()


async def until(client: RemoteClient, state: str) -> None:
    """Wait until the replay is in a state."""
    while (await client.snapshot()).transport.state != state:
        await asyncio.sleep(0.01)
