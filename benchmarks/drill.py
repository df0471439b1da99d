"""kill -9, again and again: nothing that was committed is lost on the way to a receiver.

    python -m benchmarks.drill          # 30 kills; --kills N, --seconds S between two of them

An engine with a live source makes 200 events a second and owes each to a webhook. The receiver answers one
request in ten with 503, and after it has accepted one in thirty-three it drops the connection. The engine is
killed with SIGKILL and started again, then drains. What the journal holds must have been received; repeated
deliveries carry the same key; the events of one incident come in order. Prints a table; exit code 1 when
anything was lost.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

REFUSED, DROPPED = 0.10, 0.03

SOURCE = '''
"""A live source whose channels cross their limit all the time."""

import asyncio
import time

import numpy as np

from gridtop.api import Block, Channel, ChannelSet, Settings, SourceSpec, hookimpl

CHANNELS = 4


@hookimpl
def gridtop_sources():
    return [SourceSpec("restless", Restless, "crosses its limits all the time")]


class Restless:
    class Config(Settings):
        rate: float = 200.0

    live = True
    identity = "restless"

    def __init__(self, config, host):
        self._rate = config.rate
        channels = tuple(Channel(f"C{i}", "voltage", "V") for i in range(CHANNELS))
        self._channels = ChannelSet(channels, None, "utc")

    async def open(self):
        return self._channels

    async def blocks(self, start=0):
        begin, row = time.time(), 0
        while True:
            due = int((time.time() - begin) * self._rate)
            if due <= row:
                await asyncio.sleep(0.02)
                continue
            rows = np.arange(row, due)
            moments = ((begin + rows / self._rate) * 1e9).astype("int64").astype("datetime64[ns]")
            # One channel changes sides in each frame: one event a frame.
            values = ((rows[:, None] + np.arange(CHANNELS)) // CHANNELS % 2).astype(float)
            yield Block(self._channels, moments, values, None, {}, row)
            row = due

    async def close(self):
        pass
'''


@dataclass
class Received:
    """What the receiver got: requests by key in the order of their acceptance."""

    keys: list[str] = field(default_factory=list)
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    differing: int = 0
    refused: int = 0
    dropped: int = 0

    def accept(self, key: str, body: dict[str, Any]) -> None:
        """Take one delivery in."""
        if self.bodies.setdefault(key, body) != body:
            self.differing += 1
        self.keys.append(key)


@dataclass(frozen=True)
class Outcome:
    """What became of a drill."""

    kills: int
    seconds: float
    committed: int
    received: int
    lost: int
    duplicates: int
    differing: int
    out_of_order: int
    dead: int
    refused: int
    dropped: int
    integrity: str
    drained_in: float

    @property
    def well(self) -> bool:
        """Whether the promise was kept."""
        bad = self.lost or self.differing or self.out_of_order or self.dead
        return not bad and self.integrity == "ok" and self.committed > 0


async def drill(
    folder: Path, kills: int, seconds: float, rate: float = 200.0, seed: int = 1, patience: float = 120.0
) -> Outcome:
    """Kill an engine `kills` times, `seconds` apart, then let it drain for at most `patience` seconds."""
    chance, received = random.Random(seed), Received()

    async def take(request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        if chance.random() < REFUSED:
            received.refused += 1
            return web.Response(status=503)
        received.accept(request.headers["Idempotency-Key"], body)
        if chance.random() < DROPPED and request.transport is not None:
            received.dropped += 1
            request.transport.abort()
        return web.Response(status=200)

    application = web.Application()
    application.router.add_post("/", take)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    started = time.monotonic()
    try:
        _prepare(folder, port, rate)
        for _ in range(kills):
            engine = _start(folder)
            await _until(_grows(folder), engine, 60)
            await asyncio.sleep(seconds)
            engine.send_signal(signal.SIGKILL)
            await asyncio.to_thread(engine.wait)
        # The last run makes nothing new: it only delivers.
        engine = _start(folder, "source.rate=0.001")
        draining = time.monotonic()
        await _until(lambda: not _owed(folder), engine, patience)
        drained_in = time.monotonic() - draining
        engine.terminate()
        await asyncio.to_thread(engine.wait)
    finally:
        await runner.cleanup()
    return _judged(folder, received, kills, time.monotonic() - started, drained_in)


def _prepare(folder: Path, port: int, rate: float) -> None:
    (folder / "restless.py").write_text(SOURCE)
    configuration = {
        "source": {"type": "restless", "rate": rate},
        "alarms": {"on_delay": "0s", "off_delay": "0s"},
        "limits": {"high": {"on": "C*", "high": {"warning": 0.5}}},
        "journal": {"path": str(folder / "drill.db")},
        "sinks": {
            "hook": {"type": "webhook", "url": f"http://127.0.0.1:{port}/", "body": "event", "children": True}
        },
    }
    (folder / "drill.yaml").write_text(json.dumps(configuration))


def _start(folder: Path, *overrides: str) -> subprocess.Popen[bytes]:
    settings = [part for override in overrides for part in ("--set", override)]
    command = [sys.executable, "-m", "gridtop", "run", "-c", str(folder / "drill.yaml")]
    command += ["-p", str(folder / "restless.py"), "--no-serve", "--quiet", *settings]
    log = (folder / "engine.log").open("ab")
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)


async def _until(reached: Callable[[], bool], engine: subprocess.Popen[bytes], patience: float) -> None:
    end = time.monotonic() + patience
    while not reached():
        if engine.poll() is not None:
            raise RuntimeError(f"the engine ended by itself with exit code {engine.returncode}: engine.log")
        if time.monotonic() > end:
            engine.kill()
            raise TimeoutError("the engine did not get there")
        await asyncio.sleep(0.05)


def _asked(folder: Path, question: str) -> list[Any]:
    path = folder / "drill.db"
    if not path.exists():
        return []
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(question).fetchall()
    except sqlite3.OperationalError:
        return []  # the first engine has not made its tables yet
    finally:
        connection.close()


def _committed(folder: Path) -> int:
    rows = _asked(folder, "SELECT max(seq) FROM event")
    return rows[0][0] or 0 if rows else 0


def _grows(folder: Path) -> Callable[[], bool]:
    before = _committed(folder)
    return lambda: _committed(folder) > before


def _owed(folder: Path) -> int:
    rows = _asked(folder, "SELECT count(*) FROM delivery WHERE state < 2")
    return rows[0][0] if rows else -1


def _judged(folder: Path, received: Received, kills: int, seconds: float, drained_in: float) -> Outcome:
    committed = [json.loads(body) for (body,) in _asked(folder, "SELECT body FROM event ORDER BY seq")]
    got = set(received.bodies)
    dead = _asked(folder, "SELECT count(*) FROM delivery WHERE state = 2")
    incidents: dict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    for key in received.keys:
        body = received.bodies[key]
        if key not in seen and body["incident"]:
            incidents[body["incident"]].append(body["seq"])
        seen.add(key)
    return Outcome(
        kills=kills,
        seconds=seconds,
        committed=len(committed),
        received=len(got),
        lost=sum(event["id"] not in got for event in committed if event["rule"] != "hook"),
        duplicates=len(received.keys) - len(got),
        differing=received.differing,
        out_of_order=sum(order != sorted(order) for order in incidents.values()),
        dead=dead[0][0] if dead else 0,
        refused=received.refused,
        dropped=received.dropped,
        integrity=_asked(folder, "PRAGMA integrity_check")[0][0],
        drained_in=drained_in,
    )


def main() -> int:
    """Drill and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seconds", type=float, default=1.0, help="between two kills")
    parser.add_argument("--rate", type=float, default=200.0, help="events a second")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = asyncio.run(drill(Path(folder), chosen.kills, chosen.seconds, chosen.rate))
        if not outcome.well:
            sys.stderr.write((Path(folder) / "engine.log").read_text(errors="replace")[-2000:])
    rows = {
        "kills": outcome.kills,
        "committed events": outcome.committed,
        "received, each once": outcome.received,
        "lost": outcome.lost,
        "delivered again (same key)": outcome.duplicates,
        "again, but different": outcome.differing,
        "incidents out of order": outcome.out_of_order,
        "dead letters": outcome.dead,
        "answered 503": outcome.refused,
        "connections dropped after acceptance": outcome.dropped,
        "integrity check": outcome.integrity,
        "drained after the last start": f"{outcome.drained_in:.1f} s",
        "all of it": f"{outcome.seconds:.0f} s",
    }
    print("| kill -9 drill | |\n| --- | --- |")
    for name, value in rows.items():
        print(f"| {name} | {value} |")
    return os.EX_OK if outcome.well else 1


if __name__ == "__main__":
    sys.exit(main())
