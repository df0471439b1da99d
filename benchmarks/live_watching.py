"""A monitor that is looked at from outside, as a screen does: what it shows and what it tells."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.live_processes import Process
from gridtop.client import TelemetryRequest
from gridtop.errors import EngineLost, GridtopError
from gridtop.events import Event
from gridtop.remote import RemoteClient

LOOK_S = 0.05
"""Between two looks at the monitor."""
_SLACK_S = 0.5
"""By so much the moment of a loss may be taken too late."""


@dataclass
class Sight:
    """What a screen would have shown: for each place when its values became stale, and fresh again."""

    changes: dict[str, list[tuple[float, bool]]] = field(default_factory=dict)

    def look(self, now: float, stale: dict[str, bool]) -> None:
        """Note what is shown now."""
        for place, is_stale in stale.items():
            seen = self.changes.setdefault(place, [])
            if not seen or seen[-1][1] != is_stale:
                seen.append((now, is_stale))

    def after(self, moment: float, stale: bool) -> float:
        """Seconds from a moment until every place was shown so; infinite when one never was."""
        found = []
        for seen in self.changes.values():
            changed = (at for at, how in seen if at >= moment - _SLACK_S and how == stale)
            already = [how for at, how in seen if at < moment - _SLACK_S][-1:] == [stale]
            found.append(0.0 if already else max(0.0, next(changed, math.inf) - moment))
        return max(found, default=0.0)

    @property
    def all_fresh(self) -> bool:
        """Whether nothing is shown as stale now."""
        return not any(seen[-1][1] for seen in self.changes.values())


class Watched:
    """A running monitor, looked at through its socket as a screen does: what it shows, and its events."""

    def __init__(self, folder: Path, configuration: dict[str, Any], prefix: Sequence[str] = ()) -> None:
        path = folder / "drill.yaml"
        path.write_text(json.dumps(configuration))
        self.folder, self._socket = folder, folder / "monitor.sock"
        command = [sys.executable, "-m", "gridtop", "run", "-c", str(path), "--quiet"]
        command += ["--socket", str(self._socket), "--journal", str(folder / "drill.db")]
        self._process = Process(command, folder / "monitor.log", prefix, folder)
        self._client = RemoteClient(self._socket)
        self.sight = Sight()
        self.events: list[Event] = []
        self.alarms: tuple[str, ...] = ()
        self._places: dict[str, str] = {}

    @contextlib.asynccontextmanager
    async def run(self) -> AsyncIterator[Watched]:
        """Start it, and end it afterwards."""
        self._process.start()
        try:
            yield self
        finally:
            await self._client.close()
            await self._process.end()

    async def ready(self, places: dict[str, str]) -> None:
        """Wait until its source is open; `places` has the channel to look at for each place."""
        self._places = places
        end = time.monotonic() + 60
        while time.monotonic() < end:
            await asyncio.sleep(LOOK_S)
            running = self._process.running
            assert running is not None
            if running.poll() is not None:
                raise RuntimeError(f"the monitor ended: {(self.folder / 'monitor.log').read_text()}")
            with contextlib.suppress(GridtopError, EngineLost):
                await asyncio.wait_for(self._client.hello(), 60)
                return
        raise TimeoutError("the monitor did not begin")

    async def watch(self, seconds: float) -> None:
        """Look at it for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def calm(self, patience: float, *, alarms: bool = True) -> bool:
        """Look until nothing is stale and (with `alarms`) no alarm's condition holds; False at the end of
        the patience."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            await self.look()
            if self.sight.all_fresh and not (alarms and self.alarms):
                return True
            await asyncio.sleep(LOOK_S)
        return False

    async def during(self, step: Awaitable[None]) -> float:
        """Look until a step is done; the moment when it was."""
        task = asyncio.ensure_future(step)
        while not task.done():
            await self.look()
            await asyncio.wait((task,), timeout=LOOK_S)
        task.result()
        return time.monotonic()

    async def look(self) -> None:
        """Note what it shows now, and what it has told."""
        channels = tuple(self._places.values())
        telemetry = await self._client.telemetry(TelemetryRequest(channels, 10.0, 1))
        shown = telemetry.stale | telemetry.doubtful
        stale = dict(zip(self._places, map(bool, shown), strict=True))
        self.sight.look(time.monotonic(), stale)
        snapshot = await self._client.snapshot()
        holding = [a for a in snapshot.alarms if a.state not in ("returned", "shelved", "suppressed")]
        self.alarms = tuple(f"{alarm.rule} {alarm.channel}" for alarm in holding)
        while told := await self._client.events(self.events[-1].seq if self.events else 0):
            self.events += told
