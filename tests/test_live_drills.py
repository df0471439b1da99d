"""The live drill in short: a loss is one alarm about data, none about the grid, and it ends by itself."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.live_ground import Outcome
from benchmarks.live_processes import Blackhole
from benchmarks.live_watching import Sight
from gridtop.blocks import Block
from gridtop.channels import ChannelSet
from gridtop.client import TelemetryRequest
from gridtop.config import load
from gridtop.monitor import Monitor
from gridtop.naming import built_in
from gridtop.plugins.sources import mqtt
from gridtop.synchrophasor.pmus import Configuration
from tests.c37118_devices import LoopbackPmu, configuration, data, eventually, pmu, statuses
from tests.streams import ListSource, times

RATE = 30
SITE = {"nominal": {"voltage_ln": "132 kV", "frequency": "60 Hz"}}
QUALITY: dict[str, Any] = {"quality": {"type": "data_quality"}}
LIMITS: dict[str, Any] = {
    "profile": "tx60",
    "slope": {"on": "R*:DF", "abs": {"critical": 1}, "on_delay": "0s"},
}
TWO = configuration(pmu("R1", 7), pmu("R2", 8), rate=RATE)

Told = list[tuple[str, str, str]]


@contextlib.asynccontextmanager
async def watching(folder: Path, source: dict[str, Any], **sections: Any) -> AsyncIterator[Monitor]:
    """A running monitor with the rules of docs/live.md."""
    file = folder / "live.yaml"
    file.write_text(
        json.dumps({"source": source, "site": SITE, "detectors": QUALITY, "limits": LIMITS, **sections})
    )
    monitor = Monitor(load(file, environment={}))
    running = asyncio.create_task(monitor.run())
    try:
        yield monitor
    finally:
        monitor.stop()
        await running


def of_pmu(port: int, **settings: Any) -> dict[str, Any]:
    address = f"127.0.0.1:{port}"
    return {
        "type": "c37118",
        "address": address,
        "id": 7,
        "configuration": "cfg2",
        "silence": "500ms",
        **settings,
    }


class Feeder:
    """Lets a PMU on loopback measure much faster than time goes by, for as long as it is connected.

    `second` is what it will measure next, counted from the beginning of the year.
    """

    def __init__(self, device: LoopbackPmu, of: Configuration = TWO) -> None:
        self.device, self.of, self.second = device, of, 0
        self.rocof = 0.02

    async def until(self, happened: Callable[[], bool]) -> None:
        """Send a second after the other until something has happened."""
        async with asyncio.timeout(20):
            while not happened():
                self.send()
                await asyncio.sleep(0.02)

    async def seconds(self, count: int) -> None:
        """Send so many seconds."""
        end = self.second + count
        await self.until(lambda: self.second >= end)

    def send(self) -> None:
        if self.device.started.is_set():
            rocof = np.full((RATE, len(self.of.pmus)), self.rocof)
            self.device.send(data(self.of, RATE, self.second * RATE, RATE, rocof=rocof))
            self.second += 1
            self.rocof = 0.02


def told(monitor: Monitor) -> Told:
    """What was told of data and grid, without how bad it was."""
    steps = ("raised", "cleared", "noticed")
    return [
        (event.kind, event.transition, event.terminal)
        for event in monitor.events()
        if event.kind in ("alarm", "data", "fault") and event.transition in steps
    ]


def stale(monitor: Monitor, *terminals: str) -> list[bool]:
    names = tuple(f"{terminal}:F" for terminal in terminals)
    return list(map(bool, monitor.telemetry(TelemetryRequest(names, 10.0, 1)).stale))


def raised(monitor: Monitor, count: int) -> Callable[[], bool]:
    return lambda: sum(transition == "raised" for _, transition, _ in told(monitor)) >= count


def cleared(monitor: Monitor, count: int) -> Callable[[], bool]:
    return lambda: sum(transition == "cleared" for _, transition, _ in told(monitor)) >= count


ONE_EACH = [
    ("data", "raised", "R1"),
    ("data", "raised", "R2"),
    ("data", "cleared", "R1"),
    ("data", "cleared", "R2"),
]


async def test_a_concentrator_that_goes_and_comes_back_is_one_alarm_for_each_pmu(tmp_path: Path) -> None:
    async with LoopbackPmu(TWO) as device, watching(tmp_path, of_pmu(device.port)) as monitor:
        await monitor.opened()
        feeder = Feeder(device)
        await feeder.seconds(5)
        await device.stop()
        await eventually(lambda: stale(monitor, "R1", "R2") == [True, True])
        await eventually(raised(monitor, 2))
        await device.start()
        await asyncio.wait_for(device.started.wait(), 10)
        # Its filter has not filled yet: the first second would be an alarm of the grid.
        feeder.second, feeder.rocof = 25, 9.0
        await feeder.until(cleared(monitor, 2))
        assert stale(monitor, "R1", "R2") == [False, False]
        assert told(monitor) == ONE_EACH
        assert not monitor.snapshot().alarms or {a.state for a in monitor.snapshot().alarms} == {"returned"}


async def test_a_connection_that_swallows_everything_is_given_up_and_made_anew(tmp_path: Path) -> None:
    async with (
        LoopbackPmu(TWO) as device,
        Blackhole(device.port) as way,
        watching(tmp_path, of_pmu(way.port, timeout="700ms")) as monitor,
    ):
        await monitor.opened()
        feeder = Feeder(device)
        await feeder.seconds(5)
        asked = len(device.commands)
        way.cut()
        await eventually(raised(monitor, 2))
        way.mend()
        await eventually(lambda: len(device.commands) > asked and device.started.is_set())
        feeder.second = 25
        await feeder.until(cleared(monitor, 2))
        assert told(monitor) == ONE_EACH


async def test_one_pmu_that_is_absent_is_one_alarm_and_the_others_go_on(tmp_path: Path) -> None:
    async with LoopbackPmu(TWO) as device, watching(tmp_path, of_pmu(device.port)) as monitor:
        await monitor.opened()
        feeder = Feeder(device)
        await feeder.seconds(5)
        words = statuses(10 * RATE, TWO, 0)
        words[:, 1] = 0x8000
        device.send(data(TWO, 10 * RATE, feeder.second * RATE, RATE, status=words))
        feeder.second += 10
        await eventually(lambda: stale(monitor, "R1", "R2") == [False, True])
        await feeder.until(cleared(monitor, 1))
        assert told(monitor) == [("data", "raised", "R2"), ("data", "cleared", "R2")]


async def test_a_monitor_waits_for_a_pmu_that_is_not_there_yet(tmp_path: Path) -> None:
    device = LoopbackPmu(TWO)
    await device.start()
    await device.stop()
    async with watching(tmp_path, of_pmu(device.port)) as monitor:
        await asyncio.sleep(0.2)
        async with device:
            await asyncio.wait_for(monitor.opened(), 10)
            feeder = Feeder(device)
            await feeder.seconds(5)
            await eventually(lambda: monitor.snapshot().counts.frames > 0)
            await feeder.until(lambda: stale(monitor, "R1") == [False])
            assert told(monitor) == []


async def test_five_outages_in_a_minute_are_one_alarm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["R1-PM1:V", "R1-PM2:V", "R1-PM3:V", "R1:F"]
    channels = ChannelSet(tuple(built_in(name).channel(name) for name in names), 10.0)
    values = np.tile([132e3, 132e3, 132e3, 60.0], (2400, 1))
    values += np.random.default_rng(1).standard_normal(values.shape) * [30, 30, 30, 0.001]
    for at in range(200, 800, 120):
        values[at : at + 60] = np.nan
    block = Block(channels, times(len(values), 10.0), values)
    monkeypatch.setattr("gridtop.building._built", lambda *_: ListSource(block, 100))
    file = tmp_path / "flapping.yaml"
    sections = {"source": {"type": "replay", "path": "none.csv", "speed": "max"}, "site": SITE}
    file.write_text(json.dumps({**sections, "detectors": QUALITY, "limits": {"profile": "tx60"}}))
    monitor = Monitor(load(file, environment={}), stop_at_end=True)
    await monitor.run()
    assert told(monitor) == [("data", "raised", "R1"), ("data", "cleared", "R1")]


async def test_a_broker_that_goes_and_comes_back_is_one_alarm_for_each_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aiomqtt = pytest.importorskip("aiomqtt", reason="comes with the extra mqtt")
    from tests.test_sink_mqtt import broker

    monkeypatch.setattr(mqtt, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(mqtt, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(mqtt, "_DOUBT", 0)

    async def speak(port: int) -> None:
        async with aiomqtt.Client("127.0.0.1", port) as sensor:
            for number in range(10_000):
                for terminal in ("R1", "R2"):
                    await sensor.publish(f"{terminal}/f", 60 + number % 7 / 1000)
                await asyncio.sleep(0.02)

    @contextlib.asynccontextmanager
    async def grid(at: int = 0) -> AsyncIterator[int]:
        async with broker(at) as port:
            speaking = asyncio.create_task(speak(port))
            try:
                yield port
            finally:
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)

    rule = {"high": {"warning": 1, "critical": 2}, "off_delay": "200ms", "class": "data_quality"}
    detectors = {"quality": {"type": "data_quality", "recovery": "300ms", "alarm": rule}}
    readings = {f"{terminal}:F": {"topic": f"{terminal}/f"} for terminal in ("R1", "R2")}
    source = {"type": "mqtt", "host": "127.0.0.1", "rate": 20, "wait": "50ms", "readings": readings}
    async with contextlib.AsyncExitStack() as stack:
        async with grid() as port:
            monitor = await stack.enter_async_context(
                watching(
                    tmp_path,
                    {**source, "port": port},
                    detectors=detectors,
                    quality={"repeated_frames": False},
                    limits={"profile": "tx60"},
                )
            )
            await monitor.opened()
            await eventually(lambda: stale(monitor, "R1", "R2") == [False, False])
        request = TelemetryRequest(("R1:F", "R2:F"), 5.0, 1)
        await eventually(lambda: bool(monitor.telemetry(request).doubtful.all()))
        await eventually(raised(monitor, 2))
        assert "no new values" in monitor.events()[-1].message
        async with grid(port):
            await eventually(cleared(monitor, 2))
            assert not monitor.telemetry(request).doubtful.any()
            # Their last readings are in one frame or in two.
            assert sorted(told(monitor)) == sorted(ONE_EACH)


def test_the_drill_notices_what_was_shown_when() -> None:
    sight = Sight()
    for now, one, two in ((0.0, False, False), (11.0, True, False), (11.5, True, True), (30.0, False, True)):
        sight.look(now, {"R1": one, "R2": two})
    assert sight.after(10.0, True) == 1.5
    assert sight.after(29.0, False) == math.inf
    assert not sight.all_fresh
    sight.look(31.0, {"R1": False, "R2": False})
    assert sight.after(29.0, False) == 2.0
    assert sight.all_fresh


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"stale": 2.5}, ["stale after 2.5 s"]),
        ({"fresh": math.inf}, ["fresh after inf s"]),
        ({"raised": Counter(R1=2, R2=1)}, ["2 alarms at R1", "not as many cleared as raised"]),
        ({"raised": Counter(R1=1), "ended": Counter(R1=1)}, ["alarms at 1 of 2 terminals"]),
        ({"notices": 3}, ["3 notices"]),
        ({"false": ["alarm: R1 rocof"]}, ["alarm: R1 rocof"]),
        ({"left": ("quality R1:data",)}, ["still there: quality R1:data"]),
    ],
)
def test_the_drill_names_every_promise_that_was_broken(changes: dict[str, Any], told: list[str]) -> None:
    kept: dict[str, Any] = {
        "raised": Counter(R1=1, R2=1),
        "ended": Counter(R1=1, R2=1),
        "stale": 1.1,
        "fresh": 0.5,
    }
    assert Outcome("kill", 2, **(kept | changes)).broken == told
