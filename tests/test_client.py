"""The client's face: the same in the monitor's process and over a socket."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import numpy as np
import pytest

from gridtop.client import Client, TelemetryRequest
from gridtop.errors import GridtopError, SourceError
from gridtop.in_process import InProcessClient
from gridtop.monitor import Monitor
from gridtop.orders import Order
from gridtop.remote import RemoteClient
from tests.serving import low_voltage, monitor_of, served, short_folder, until

Connect = Callable[[Monitor], AbstractAsyncContextManager[Client]]


@contextlib.asynccontextmanager
async def _in_process(monitor: Monitor) -> AsyncIterator[Client]:
    client = InProcessClient(monitor)
    try:
        yield client
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def _over_a_socket(monitor: Monitor) -> AsyncIterator[Client]:
    with short_folder() as folder:
        async with served(monitor, folder / "engine.sock"):
            client = RemoteClient(folder / "engine.sock")
            try:
                yield client
            finally:
                await client.close()


@pytest.fixture(params=[_in_process, _over_a_socket], ids=["in process", "over a socket"])
def connect(request: pytest.FixtureRequest) -> Connect:
    return request.param


async def test_hello_tells_source_and_channels(connect: Connect, tmp_path: Path) -> None:
    monitor = monitor_of(low_voltage(tmp_path))
    async with connect(monitor) as client:
        hello = await client.hello()
        assert hello == monitor.hello()
        assert hello.source == "low.csv"
        assert not hello.live
        assert hello.instance
        assert hello.channels.names == ("R1-PM1:V", "R1:voltage_pu.A")
        assert (hello.channels.rate, hello.channels.clock) == (30.0, "row")


async def test_hello_raises_what_keeps_the_source_from_opening(connect: Connect, tmp_path: Path) -> None:
    config = low_voltage(tmp_path)
    async with connect(monitor_of(config, "source.path=nowhere.csv")) as client:
        with pytest.raises(SourceError, match=r"nowhere\.csv"):
            await client.hello()
        transport = (await client.snapshot()).transport
        assert transport.state == "failed"
        assert "nowhere.csv" in transport.problem


async def test_snapshot_and_events_are_those_of_the_monitor(connect: Connect, tmp_path: Path) -> None:
    monitor = monitor_of(low_voltage(tmp_path), wall=lambda: 1_700_000_000.125)
    async with connect(monitor) as client:
        await client.hello()
        await until(client, "ended")
        assert repr(await client.snapshot()) == repr(monitor.snapshot())  # NaN is not equal to itself
        events = await client.events()
        assert [event.to_json() for event in events] == [event.to_json() for event in monitor.events()]
        assert tuple(events) == monitor.events()
        assert [event.seq for event in events] == [1, 2, 3, 4, 5, 6, 7]
        assert [event.seq for event in await client.events(after=2, limit=3)] == [3, 4, 5]
        assert not await client.events(after=7)


async def test_an_active_alarm_arrives_whole_and_can_be_acknowledged(
    connect: Connect, tmp_path: Path
) -> None:
    config = low_voltage(tmp_path)
    (tmp_path / "low.csv").write_text("R1-PM1:V\n" + "100000\n" * 60)
    monitor = monitor_of(config)
    async with connect(monitor) as client:
        await client.hello()
        await until(client, "ended")
        (alarm,) = (await client.snapshot()).alarms
        assert alarm == monitor.snapshot().alarms[0]
        assert alarm.channel == "R1:voltage_pu.A"
        await client.operate(Order("acknowledge", alarm.id))
        await client.operate(Order("acknowledge", "an alarm/that never was?"))
        assert (await client.snapshot()).alarms[0].acknowledged
        assert (await client.events(after=1))[0].transition == "acknowledged"


@pytest.mark.parametrize("names", [("R1-PM1:V", "nobody", "R1:voltage_pu.A"), ("nobody",), ()])
async def test_telemetry_is_the_same_numbers(
    connect: Connect, names: tuple[str, ...], tmp_path: Path
) -> None:
    config = low_voltage(tmp_path)
    rows = (tmp_path / "low.csv").read_text().splitlines()
    rows[100:120] = [""] * 20
    (tmp_path / "low.csv").write_text("\n".join(rows) + "\n")
    monitor = monitor_of(config)
    async with connect(monitor) as client:
        await client.hello()
        await until(client, "ended")
        request = TelemetryRequest(names, 12.5, 40)
        seen, true = await client.telemetry(request), monitor.telemetry(request)
        assert (seen.channels, seen.window, seen.end) == (true.channels, true.window, true.end)
        for name in ("minimum", "maximum", "latest", "lowest", "highest", "stale", "doubtful"):
            np.testing.assert_array_equal(getattr(seen, name), getattr(true, name), strict=True)


async def test_the_transport_obeys(connect: Connect, tmp_path: Path) -> None:
    monitor = monitor_of(low_voltage(tmp_path), "source.speed=1")
    async with connect(monitor) as client:
        await client.hello()
        await client.pause()
        assert (await client.snapshot()).transport.state == "paused"
        row = (await client.snapshot()).transport.row
        await client.step()
        await client.step(4)
        while (await client.snapshot()).transport.row != row + 5:
            await asyncio.sleep(0.01)
        await client.seek(300)
        while (await client.snapshot()).transport.row != 301:
            await asyncio.sleep(0.01)
        assert (await client.snapshot()).transport.pass_number == 2
        await client.step(-1)
        while (await client.snapshot()).transport.row != 300:
            await asyncio.sleep(0.01)
        await client.seek_time(np.datetime64("1970-01-01T00:00:02", "ns"))
        await client.speed(math.inf)
        assert (await client.snapshot()).transport.speed == math.inf
        await client.resume()
        await until(client, "ended")
        assert (await client.snapshot()).transport.row == 420


async def test_a_speed_that_cannot_be_played_is_refused_in_words(connect: Connect, tmp_path: Path) -> None:
    async with connect(monitor_of(low_voltage(tmp_path))) as client:
        await client.hello()
        with pytest.raises(GridtopError, match="speed 5000 cannot be played"):
            await client.speed(5000)
