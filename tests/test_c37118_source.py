"""The live source on loopback: handshake, transports, devices that vanish and come back, and captures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from gridtop.api import Block, Host, SourceError, Statistics
from gridtop.naming import ChannelMap
from gridtop.plugins.sources.c37118 import C37118, Capture
from gridtop.plugins.sources.c37118.source import host_and_port
from gridtop.synchrophasor import connection as connections
from gridtop.synchrophasor.captures import CaptureWriter, is_capture, read_capture
from gridtop.synchrophasor.configuration import encode_configuration
from gridtop.synchrophasor.connection import Connection, Target
from gridtop.synchrophasor.device import Device
from gridtop.synchrophasor.frames import Command, FrameKind
from gridtop.synchrophasor.pmus import Configuration
from gridtop.synchrophasor.serving import PmuServer
from gridtop.synchrophasor.stream import Stream
from tests.c37118_devices import LoopbackPmu, configuration, data, eventually, pmu
from tests.pmu_feeds import feed


def host(folder: Path = Path()) -> Host:
    return Host("live", folder, folder, logging.getLogger("tests"), ChannelMap())


def source(port: int, **given: object) -> C37118:
    given = {"address": f"127.0.0.1:{port}", "id": 7, "configuration": "cfg2", "patience": "5s"} | given
    return C37118(C37118.Config.model_validate(given), host())


@contextlib.asynccontextmanager
async def opened(port: int, **given: object) -> AsyncIterator[C37118]:
    one = source(port, **given)
    await one.open()
    try:
        yield one
    finally:
        await one.close()


async def first_blocks(one: C37118, frames: int) -> list[Block]:
    """Blocks until there are so many frames."""
    blocks: list[Block] = []
    async with asyncio.timeout(10):
        async for block in one.blocks():
            blocks.append(block)
            if sum(map(len, blocks)) >= frames:
                return blocks
    raise AssertionError("the stream ended")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("pieces", [1, 7])
async def test_data_over_tcp_become_blocks(pieces: int) -> None:
    of = configuration(pmu("R1", 7), pmu("R2", 8, floats=False, polar=False))
    async with LoopbackPmu(of) as device, opened(device.port) as one:
        await asyncio.wait_for(device.started.wait(), 5)
        assert device.commands == [Command.STOP, Command.SEND_CFG2, Command.START]
        text = b"".join(data(of, 30))
        for at in range(0, len(text), len(text) // pieces + 1):
            device.send([text[at : at + len(text) // pieces + 1]])
        blocks = await first_blocks(one, 30)
        assert sum(map(len, blocks)) == 30
        assert blocks[0].channels.rate == 30
        assert not np.isnan(blocks[0].values).any()
        assert one.statistics().devices["R2"]["frames"] == 30
    await eventually(lambda: device.commands[-1] == Command.STOP)


async def test_cfg_3_is_asked_for_where_the_device_may_have_it() -> None:
    of = configuration(pmu("A station with a long name", with_components=True))
    kinds = (FrameKind.CFG2, FrameKind.CFG3)
    async with LoopbackPmu(of, kinds) as device, opened(device.port, configuration="auto") as one:
        assert device.commands[:3] == [Command.STOP, Command.SEND_CFG2, Command.SEND_CFG3]
        device.send(data(of, 3))
        (block, *_) = await first_blocks(one, 3)
        assert block.channels[0].terminal == "A station with a long name"


async def test_a_device_without_cfg_3_is_read_by_cfg_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_EXTRA_PATIENCE", 0.05)
    async with LoopbackPmu(configuration()) as device, opened(device.port, configuration="auto"):
        await asyncio.wait_for(device.started.wait(), 5)
        assert Command.SEND_CFG3 in device.commands


async def test_commands_over_tcp_and_data_as_datagrams() -> None:
    of, port = configuration(), free_port()
    async with (
        LoopbackPmu(of) as device,
        opened(device.port, transport="tcp+udp", udp_port=port, listen="127.0.0.1") as one,
    ):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", 0))
            for frame in data(of, 5):
                sender.sendto(frame, ("127.0.0.1", port))
            sender.sendto(data(of, 1, 5)[0][:-4], ("127.0.0.1", port))
        blocks = await first_blocks(one, 5)
        assert sum(map(len, blocks)) == 5
        assert one.statistics().stream["bad_crc"] == 1


async def test_datagrams_that_come_by_themselves_are_read_once_the_configuration_has_come() -> None:
    of, port = configuration(), free_port()
    one = source(4712, transport="udp", udp_port=port, listen="127.0.0.1")

    async def device() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for k in range(1000):
                for frame in [*(encode_configuration(of) if k == 3 else []), *data(of, 3, 3 * k)]:
                    sender.sendto(frame, ("127.0.0.1", port))
                await asyncio.sleep(0.02)

    sending = asyncio.create_task(device())
    try:
        await one.open()
        blocks = await first_blocks(one, 6)
        assert blocks[0].row == 0
        assert one.statistics().stream["unexpected"] >= 1
    finally:
        sending.cancel()
        await one.close()


async def test_datagrams_from_elsewhere_are_not_read() -> None:
    of, port = configuration(), free_port()
    stream = Stream(7)
    target = Target("127.0.0.2", transport="udp", udp_port=port, listen="127.0.0.1")
    task = asyncio.create_task(Connection(target, stream).run())
    try:
        await eventually(lambda: stream.counts.connections == 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(encode_configuration(of)[0], ("127.0.0.1", port))
            await eventually(lambda: stream.counts.intruders == 1)
        assert stream.configuration is None
    finally:
        task.cancel()


async def test_a_device_that_is_killed_and_comes_back_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SHORTEST_WAIT", 0.1)
    of = configuration()
    async with LoopbackPmu(of) as device, opened(device.port) as one:
        await asyncio.wait_for(device.started.wait(), 5)
        device.send(data(of, 3))
        blocks = one.blocks()
        rows = [await anext(blocks)]
        await device.stop()
        await asyncio.sleep(0.3)
        await device.start()

        async def feed() -> None:
            await asyncio.wait_for(device.started.wait(), 5)
            device.send(data(of, 3, 30))

        feeding = asyncio.create_task(feed())
        async with asyncio.timeout(10):
            while rows[-1].time[-1] < rows[0].time[0] + np.timedelta64(1, "s"):
                rows.append(await anext(blocks))
        await feeding
        await blocks.aclose()
        counts = one.statistics().stream
        assert counts["connections"] == 2
        assert counts["failures"] >= 1
        assert not np.isnan(rows[-1].values[-1]).any()


async def test_attempts_to_connect_come_ever_more_seldom_and_with_jitter() -> None:
    waits: list[float] = []
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 8:
            enough.set()
        await asyncio.sleep(0)

    chances = iter([0.0, 1.0, 0.0, 1.0, 0.5, 0.5, 0.5, 0.5, *[0.5] * 1000])
    stream = Stream(7)
    unused = free_port()
    connection = Connection(Target("127.0.0.1", unused), stream, sleep=sleep, chance=lambda: next(chances))
    task = asyncio.create_task(connection.run())
    await asyncio.wait_for(enough.wait(), 10)
    task.cancel()
    assert waits[:8] == [0.5, 2.0, 2.0, 8.0, 12.0, 22.5, 22.5, 22.5]
    assert stream.counts.failures >= 8
    assert "refused" in connection.problem.lower()


async def test_a_device_that_sends_no_data_is_connected_to_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "SHORTEST_WAIT", 0.01)
    async with LoopbackPmu(configuration()) as device, opened(device.port, timeout="300ms") as one:
        await eventually(lambda: one.statistics().stream["connections"] >= 2)
        assert "no data" in one._connection.problem or one._connection.ready  # type: ignore[union-attr]
        await eventually(lambda: len(device.commands) >= 6)
        # No STOP into the silence: it could arrive when the next stream has begun.
        assert device.commands[:6] == [Command.STOP, Command.SEND_CFG2, Command.START] * 2


async def test_the_wrong_id_is_named_when_it_cannot_open(monkeypatch: pytest.MonkeyPatch) -> None:
    class Strict(LoopbackPmu):
        def _answer(self, command: int, writer: asyncio.StreamWriter) -> None:
            """Answers nobody."""

    async with Strict(configuration()) as device:
        one = source(device.port, timeout="50ms", patience="500ms")
        with pytest.raises(SourceError, match=r"is 7 the ID of its stream\?.*gridtop probe"):
            await one.open()
        await one.close()


async def test_nobody_there_is_one_clear_message() -> None:
    with pytest.raises(SourceError, match="nobody listens at 127.0.0.1:"):
        await source(free_port(), patience="300ms").open()


async def test_a_start_that_has_to_wait_says_for_what_at_once(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    one = source(port, patience="1h")
    opening = asyncio.create_task(one.open())
    await eventually(lambda: bool(caplog.messages))
    assert caplog.messages == [
        f"nobody listens at 127.0.0.1:{port} (connection refused); trying until 3600 s have passed"
    ]
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await one.close()


async def test_an_outage_is_one_problem_in_the_same_words_until_data_are_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "SHORTEST_WAIT", 0.05)
    of = configuration()
    async with LoopbackPmu(of) as device, opened(device.port) as one:
        await asyncio.wait_for(device.started.wait(), 5)
        assert one.problems == ()
        await device.stop()
        await eventually(lambda: one.statistics().stream["failures"] >= 3)
        lost = f"the connection is lost: 127.0.0.1:{device.port} has closed the connection"
        assert one.problems == (lost,)
        await device.start()
        await asyncio.wait_for(device.started.wait(), 5)
        assert one.problems == (lost,)
        device.send(data(of, 3))
        await eventually(lambda: one.problems == ())


async def test_datagrams_that_stop_coming_are_a_problem_until_they_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connections, "_LOOK", 0.01)
    of, port = configuration(), free_port()
    one = source(4712, transport="udp", udp_port=port, listen="127.0.0.1", timeout="400ms")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:

        def send(frames: Sequence[bytes]) -> None:
            for frame in frames:
                sender.sendto(frame, ("127.0.0.1", port))

        opening = asyncio.create_task(one.open())
        await eventually(lambda: len(one.problems) == 1)
        assert "no configuration has come yet from 127.0.0.1" in one.problems[0]
        send([*encode_configuration(of), *data(of, 3)])
        await opening
        await eventually(lambda: one.problems == ())
        quiet = f"the connection is lost: no data from 127.0.0.1 (datagrams at {port}) for 0.4 s"
        await eventually(lambda: one.problems == (quiet,))
        send(data(of, 3, 3))
        await eventually(lambda: one.problems == ())
    await one.close()


async def test_commands_and_data_may_both_be_datagrams() -> None:
    async with PmuServer(Device(feed(endless=True), 7), udp=True) as server:
        running = asyncio.create_task(server.run())
        async with opened(server.port, transport="udp+commands") as one:
            blocks = await first_blocks(one, 20)
            assert blocks[0].channels.rate == 250
            assert one.statistics().devices.keys() == {"A", "B"}
        running.cancel()


async def test_figures_are_counts_or_how_it_is_now() -> None:
    of = configuration(pmu("R1", 7), pmu("R2", 8))
    async with LoopbackPmu(of) as device, opened(device.port) as one:
        await asyncio.wait_for(device.started.wait(), 5)
        device.send(data(of, 30))
        await first_blocks(one, 30)
        figures = one.statistics()
        assert isinstance(figures, Statistics)
        now = {name for name, figure in figures.stream.items() if isinstance(figure, float)}
        assert now == {
            *(f"latency_{which}" for which in ("min", "mean", "max", "last")),
            *("defined_rate", "rate", "completeness", "seconds_since_data"),
        }
        of_device = figures.devices["R2"]
        assert {name for name, figure in of_device.items() if isinstance(figure, float)} == {
            "completeness",
            "seconds_since_data",
        }
        assert of_device["frames"] == 30


async def test_closing_is_legal_without_opening_and_twice() -> None:
    one = source(1)
    await one.close()
    await one.close()


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("192.0.2.1:4713", ("192.0.2.1", 4713)),
        ("pmu1.example", ("pmu1.example", 4712)),
        ("[2001:db8::1]:5000", ("2001:db8::1", 5000)),
        ("2001:db8::1", ("2001:db8::1", 4712)),
    ],
)
def test_addresses_are_read(address: str, parts: tuple[str, int]) -> None:
    assert host_and_port(address) == parts


@pytest.mark.parametrize("address", ["", ":4712", "pmu:", "pmu:x", "pmu:70000", "[::1", "tcp://pmu:4712"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        C37118.Config(address=address, id=7)


def test_ports_for_datagrams_are_asked_for_and_refused_where_none_come() -> None:
    with pytest.raises(ValidationError, match="udp_port"):
        C37118.Config(address="pmu", id=7, transport="udp")
    with pytest.raises(ValidationError, match="udp_port"):
        C37118.Config(address="pmu", id=7, udp_port=4713)


# Captures


def capture(path: Path, of: Configuration, frames: int, pause: int | None = None) -> Path:
    """What came in three frames at a time, with a silence of two seconds after `pause` frames."""
    second = 1_767_225_600_000_000_000
    with CaptureWriter(path) as writer:
        writer.write(second, b"".join(encode_configuration(of)))
        late = 0.0
        for k in range(0, frames, 3):
            late += 2.0 if k == pause else 0.0
            first = k + round(late * 30)
            writer.write(second + round((first + 3) / 30 * 1e9), b"".join(data(of, 3, first)))
    return path


async def played(one: Capture, start: int = 0) -> list[Block]:
    return [block async for block in one.blocks(start)]


async def test_a_capture_plays_as_it_came_with_its_silence(tmp_path: Path) -> None:
    capture(tmp_path / "one.c37", configuration(), 90, pause=45)
    one = Capture(Capture.Config(path="one.c37"), host(tmp_path))
    channels = await one.open()
    blocks = await played(one)
    values = np.vstack([block.values for block in blocks])
    assert len(values) == 150
    assert np.isnan(values).all(axis=1).sum() == 60
    assert blocks[0].channels == channels
    later = await played(one, 100)
    assert later[0].row == 100
    assert np.array_equal(np.vstack([block.values for block in later]), values[100:], equal_nan=True)
    assert one.statistics().stream["silences"] == 1
    other = Capture(Capture.Config(path="one.c37"), host(tmp_path))
    await other.open()
    assert other.identity == one.identity
    await one.close()


async def test_what_is_no_capture_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"time,f\n1,60\n")
    (tmp_path / "empty").write_bytes(b"gridtop-c37118 1\n")
    for name, words in (("x", "no capture"), ("gone", "cannot be read"), ("empty", "no configuration")):
        with pytest.raises(SourceError, match=words):
            await Capture(Capture.Config(path=name), host(tmp_path)).open()
    assert not is_capture(tmp_path / "x")


def test_a_capture_that_is_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = capture(tmp_path / "one.c37", configuration(), 9)
    whole = list(read_capture(path))
    path.write_bytes(path.read_bytes()[:-5])
    assert list(read_capture(path)) == whole[:-1]
    assert is_capture(path)
    with path.open("ab") as file:
        file.write(b"\xff" * 100)
    with pytest.raises(SourceError, match="damaged"):
        list(read_capture(path))


def test_a_capture_is_never_overwritten(tmp_path: Path) -> None:
    path = capture(tmp_path / "one.c37", configuration(), 3)
    with pytest.raises(FileExistsError):
        CaptureWriter(path)
