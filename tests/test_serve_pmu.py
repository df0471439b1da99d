"""A PMU of one's own: what it answers, what its frames say, and what can be wrong with it on demand."""

from __future__ import annotations

import asyncio
import math
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gridtop.blocks import Block, seconds_to_time
from gridtop.channels import Channel, ChannelSet
from gridtop.commands.root import run
from gridtop.commands.serve_pmu import command as serve_pmu
from gridtop.errors import Exit, GridtopError, SourceError
from gridtop.synchrophasor.configuration import Fragments, decode_configuration
from gridtop.synchrophasor.data import DataLayout, Readings
from gridtop.synchrophasor.device import Device, Form
from gridtop.synchrophasor.faults import KINDS, Fault, FaultyLine, parse_fault
from gridtop.synchrophasor.feeds import Feed, concentrated, recorded, simulated, stations_of
from gridtop.synchrophasor.frame_clock import NANOSECONDS, FrameClock, data_rate
from gridtop.synchrophasor.frames import Command, FrameKind, decode_header, encode_command, head, is_whole
from gridtop.synchrophasor.links import Link, Way
from gridtop.synchrophasor.serving import PmuServer
from tests.pmu_feeds import channels, feed, values

NOW = 1_800_000_000 * NANOSECONDS


def decoded(device: Device, frames: list[bytes]) -> Readings:
    return DataLayout(device.configuration).decode(frames)


@asynccontextmanager
async def served(
    device: Device, *, faults: tuple[str, ...] = (), **how: object
) -> AsyncIterator[tuple[PmuServer, asyncio.Task[None]]]:
    server = PmuServer(device, faults=[parse_fault(text) for text in faults], **how)  # type: ignore[arg-type]
    async with server:
        running = asyncio.create_task(server.run())
        try:
            yield server, running
        finally:
            running.cancel()


async def received(link: Link, kind: FrameKind, count: int) -> list[bytes]:
    """So many frames of a kind; fails when they do not come."""
    frames: list[bytes] = []
    while len(frames) < count:
        arrival = await link.receive(5.0)
        assert arrival is not None, f"only {len(frames)} frames came"
        if head(arrival.frame).kind == kind:
            frames.append(arrival.frame)
    return frames


async def test_commands_are_answered_and_data_flow_between_on_and_off() -> None:
    async with served(Device(feed(), 7)) as (server, _), Link(Way("127.0.0.1", server.port)) as link:
        for command in (Command.SEND_CFG1, Command.SEND_CFG2, Command.SEND_CFG3, Command.SEND_HEADER):
            link.send(encode_command(7, command))
        (one,) = await received(link, FrameKind.CFG1, 1)
        (two,) = await received(link, FrameKind.CFG2, 1)
        (three,) = await received(link, FrameKind.CFG3, 1)
        (header,) = await received(link, FrameKind.HEADER, 1)
        assert decode_configuration(one).pmus == decode_configuration(two).pmus
        assert [p.component for p in Fragments().add(three).pmus[0].phasors] == ["+", "+"]  # type: ignore[union-attr]
        assert "two PMUs" in decode_header(header)
        link.send(encode_command(7, Command.START))
        assert len(await received(link, FrameKind.DATA, 20)) == 20
        link.send(encode_command(7, Command.STOP))
        link.send(encode_command(7, Command.SEND_HEADER))
        await received(link, FrameKind.HEADER, 1)
        assert await link.receive(0.1) is None


async def test_a_command_for_another_id_is_not_answered() -> None:
    async with served(Device(feed(), 7)) as (server, _), Link(Way("127.0.0.1", server.port)) as link:
        link.send(encode_command(8, Command.SEND_CFG2))
        link.send(encode_command(7, Command.SEND_HEADER))
        arrival = await link.receive(5.0)
        assert arrival is not None
        assert head(arrival.frame).kind == FrameKind.HEADER
        assert server.counters.wrong_id == 1


async def test_stray_bytes_and_damaged_commands_do_not_end_a_connection() -> None:
    async with served(Device(feed())) as (server, _), Link(Way("127.0.0.1", server.port)) as link:
        link.send(b"GET / HTTP/1.1\r\n\r\n\xaa\xff")
        link.send(encode_command(1, Command.SEND_CFG2)[:-1] + b"\0")
        link.send(encode_command(1, Command.SEND_HEADER))
        assert await received(link, FrameKind.HEADER, 1)


@pytest.mark.parametrize("form", [Form(), Form(polar=False), Form(floating=False), Form(False, False)])
def test_frames_say_what_the_feed_measured(form: Form) -> None:
    device = Device(feed(), 1, form)
    readings = decoded(device, device.data_frames(range(1000, 1100)))
    table = values(100)
    exact = form.floating
    np.testing.assert_allclose(readings.magnitude[:, [0, 2]], table[:, [0, 7]], atol=0.02 if exact else 10)
    np.testing.assert_allclose(readings.magnitude[:, [1, 3]], table[:, [2, 9]], atol=0.001 if exact else 0.5)
    np.testing.assert_allclose(readings.angle, table[:, [1, 3, 8, 10]], atol=1e-4 if exact else 0.1)
    np.testing.assert_allclose(readings.frequency, table[:, [4, 11]], atol=1e-5)
    np.testing.assert_allclose(readings.rocof, 0.01, atol=1e-6)
    np.testing.assert_allclose(readings.analog, 55.5)
    assert readings.digital[:3].tolist() == [[0], [2], [0]]
    assert not readings.status.any()


def test_what_is_missing_is_absent_and_a_pmu_without_any_value_says_so() -> None:
    table = values(2)
    table[0, :6] = table[0, 14] = math.nan
    table[1, 0] = math.nan
    device = Device(feed(table))
    readings = decoded(device, device.data_frames(range(2)))
    assert readings.status.tolist() == [[0x8000, 0], [0, 0]]
    assert np.isnan(readings.magnitude[0, :2]).all()
    assert np.isnan(readings.magnitude[1]).tolist() == [True, False, False, False]
    assert np.isnan(readings.frequency[0]).tolist() == [True, False]


def test_status_words_of_a_recording_go_into_stat() -> None:
    table = values(1)
    table[0, 13] = 0x0801
    device = Device(feed(table))
    assert decoded(device, device.data_frames(range(1))).status.tolist() == [[0, 0x0801]]


def test_frames_lie_on_the_second_whatever_the_rate() -> None:
    for rate in (10, 30, 60, 120, 250, -5):
        clock = FrameClock(rate)
        first = clock.next_after(NOW + 1)
        times = [clock.at(first + k) for k in range(3 * max(rate, 1))]
        assert times[0] > NOW
        steps = np.diff(times)
        assert abs(steps - NANOSECONDS / clock.rate).max(initial=0) <= 1
        on_the_second = [time for time in times if time % NANOSECONDS == 0]
        assert len(on_the_second) == 3


@given(st.sampled_from([1, 10, 30, 60, 120, 250, -1, -10]), st.integers(0, 2**62))
def test_the_next_frame_is_the_first_one_after_a_moment(rate: int, moment: int) -> None:
    clock = FrameClock(rate)
    number = clock.next_after(moment)
    assert clock.at(number) > moment >= clock.at(number - 1)


def test_a_rate_that_no_frame_can_say_is_refused() -> None:
    assert data_rate(29.97) == 30
    assert data_rate(0.1) == -10
    with pytest.raises(ValueError, match="cannot be said"):
        data_rate(1e-6)


async def test_the_rate_is_kept_by_the_clock_and_not_by_waiting() -> None:
    class Clock:
        """Time passes only while someone sleeps, and every sleep takes too long."""

        now = NOW

        async def sleep(self, seconds: float) -> None:
            self.now += round(seconds * NANOSECONDS) + 3_000_000
            await asyncio.sleep(0)

    clock = Clock()
    device = Device(feed(), loop=False)
    server = PmuServer(device, wall=lambda: clock.now, sleep=clock.sleep)
    async with server, Link(Way("127.0.0.1", server.port)) as link:
        link.send(encode_command(1, Command.START))
        await asyncio.wait_for(server.run(), 20)
        frames = await received(link, FrameKind.DATA, 500)
    readings = decoded(device, frames)
    assert (np.diff(readings.time) == np.timedelta64(4, "ms")).all()
    assert readings.time[0] == np.datetime64(NOW, "ns") + np.timedelta64(104, "ms")
    # 500 frames are 2 s; had each waited for the one before, the sleeps would have made it 3.5 s.
    assert clock.now - NOW < 2.2 * NANOSECONDS


async def test_a_recording_is_served_once_or_again_and_again() -> None:
    short = values(3)
    once = Device(feed(short), loop=False)
    assert [len(once.data_frames(range(5))) for _ in range(2)] == [3, 0]
    again = Device(feed(short))
    frames = [frame for k in range(0, 8, 2) for frame in again.data_frames(range(k, k + 2))]
    readings = decoded(again, frames)
    assert readings.magnitude[:, 0].tolist() == [132_000, 132_001, 132_002] * 2 + [132_000, 132_001]
    assert (np.diff(readings.time) == np.timedelta64(4, "ms")).all()


async def test_what_is_long_past_is_not_sent_after_a_sleep_of_the_computer() -> None:
    now, slept = NOW, False

    async def sleep(seconds: float) -> None:
        nonlocal now, slept
        now += round(seconds * NANOSECONDS)
        if now > NOW + NANOSECONDS and not slept:
            now, slept = now + 8 * NANOSECONDS, True
        await asyncio.sleep(0)

    device = Device(feed(frames=12 * 250), loop=False)
    server = PmuServer(device, wall=lambda: now, sleep=sleep)
    async with server, Link(Way("127.0.0.1", server.port)) as link:
        link.send(encode_command(1, Command.START))
        await asyncio.wait_for(server.run(), 20)
        readings = decoded(device, await received(link, FrameKind.DATA, server.counters.sent))
    lost = np.diff(readings.time).max() / np.timedelta64(1, "s")
    assert lost == pytest.approx(3.0, abs=0.02)
    assert server.counters.dropped == pytest.approx(750, abs=3)


async def test_two_clients_get_the_same_frames() -> None:
    async with served(Device(feed())) as (server, _):
        way = Way("127.0.0.1", server.port)
        async with Link(way) as one, Link(way) as other:
            for link in (one, other):
                link.send(encode_command(1, Command.START))
            both = await asyncio.gather(*(received(link, FrameKind.DATA, 30) for link in (one, other)))
    assert len(set(both[0]) & set(both[1])) > 10


async def test_udp_commands_and_data() -> None:
    async with (
        served(Device(feed()), udp=True) as (server, _),
        Link(Way("127.0.0.1", server.port, udp=True)) as link,
    ):
        link.send(encode_command(1, Command.SEND_CFG2))
        await received(link, FrameKind.CFG2, 1)
        link.send(encode_command(1, Command.START))
        await received(link, FrameKind.DATA, 10)


async def test_commands_by_tcp_and_data_by_udp(unused_udp_port: int) -> None:
    device = Device(feed())
    async with (
        served(device, data_port=unused_udp_port) as (server, _),
        Link(Way("127.0.0.1", server.port, data_port=unused_udp_port)) as link,
    ):
        link.send(encode_command(1, Command.START))
        await received(link, FrameKind.DATA, 10)


async def test_data_are_sent_unasked_with_the_configuration_first(unused_udp_port: int) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            got.put_nowait(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Listener, local_addr=("127.0.0.1", unused_udp_port))
    async with served(Device(feed()), send_to=("127.0.0.1", unused_udp_port)):
        kinds = [head(await asyncio.wait_for(got.get(), 5)).kind for _ in range(4)]
    transport.close()
    assert kinds == [FrameKind.CFG2, FrameKind.DATA, FrameKind.DATA, FrameKind.DATA]


async def test_a_port_that_is_taken_is_explained() -> None:
    async with PmuServer(Device(feed())) as server:
        with pytest.raises(SourceError, match=r"127.0.0.1:\d+ cannot be listened at: .*--port"):
            await PmuServer(Device(feed()), port=server.port).open()


def test_a_concentrator_repeats_stations_under_new_names() -> None:
    many = concentrated(feed(), 5)
    assert [station.name for station in many.stations] == ["A", "B", "A-2", "B-2", "A-3"]
    assert [pmu.idcode for pmu in Device(many, 100).configuration.pmus] == [101, 102, 103, 104, 105]
    assert [pmu.idcode for pmu in Device(concentrated(feed(), 1), 100).configuration.pmus] == [100]
    with pytest.raises(GridtopError, match="serve fewer"):
        Device(concentrated(feed(), 5000))
    with pytest.raises(GridtopError, match="no room for 2 ids"):
        Device(feed(), 65534)


def test_the_simulated_grid_has_four_pmus_with_their_components() -> None:
    stations = simulated(30).stations
    assert [station.name for station in stations] == ["R1", "R2", "R3", "R4"]
    phasors = stations[0].phasors
    assert [phasor.name for phasor in phasors][:4] == ["VA", "VB", "VC", "IA"]
    assert [phasor.component for phasor in phasors][6:9] == ["+", "-", "0"]
    assert (stations[0].frequency, stations[0].rocof, stations[0].status) != (None, None, None)
    device = Device(simulated(30))
    readings = decoded(device, device.data_frames(range(5)))
    assert np.abs(readings.frequency - 60).max() < 0.5


def test_a_recording_becomes_stations(tmp_path: Path) -> None:
    path = tmp_path / "fifty.csv"
    rows = "".join(f"2026-01-01T00:00:00.{k}00,132000,1.5,50.01,7\n" for k in range(5))
    path.write_text(f"time,R1-PM1:V,R1-PA1:VH,R1:F,extra\n{rows}")
    made = recorded(path)
    assert made.rate == 10
    assert made.nominal == 50
    assert [station.name for station in made.stations] == ["R1", "fifty"]
    assert made.stations[1].analogs == (("extra", 3),)
    device = Device(made)
    assert decoded(device, device.data_frames(range(2))).frequency[0, 0] == pytest.approx(50.01)


def test_phasors_of_one_phase_get_different_names() -> None:
    pair = [c for c in channels() if c.terminal == "A" and c.quantity == "voltage"]
    twice = ChannelSet((*pair, *(replace(channel, name=f"{channel.name}2") for channel in pair)))
    assert [phasor.name for phasor in stations_of(twice)[0].phasors] == ["V1", "V1 2"]


def test_a_terminal_that_says_nothing_but_its_status_can_be_served() -> None:
    only = ChannelSet((Channel("A:S", "status", "", "A", part="status"),), 10.0)
    table = np.array([[5.0]])
    made = Feed("", only, 10.0, stations_of(only), lambda: iter([Block(only, seconds_to_time([0.0]), table)]))
    device = Device(made)
    assert decoded(device, device.data_frames(range(3))).status.tolist() == [[5], [5], [5]]


# Faults


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("drop", Fault("drop", 0.05)),
        ("drop=10%", Fault("drop", 0.1)),
        ("corrupt=0.5@2s", Fault("corrupt", 0.5, 2.0)),
        ("silence@10s+3s", Fault("silence", 0.0, 10.0, 3.0)),
        ("time=-2s@500ms", Fault("time", -2.0, 0.5)),
        ("delay=300ms", Fault("delay", 0.3)),
    ],
)
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("dorp", "there are drop"),
        ("drop=500%", "no share"),
        ("drop=x", "no share"),
        ("silence=3", "has no amount"),
        ("delay=2h", "longest"),
        ("time=5", "not a duration"),
        ("drop@", "is no fault"),
    ],
)
def test_a_fault_that_cannot_be_says_what_can(text: str, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        parse_fault(text)


FRAMES = [encode_command(1, 1) + bytes([k]) * 20 for k in range(200)]


def through(*faults: str, elapsed: Callable[[int], float] = lambda k: 0.0) -> list[bytes]:
    line = FaultyLine([parse_fault(text) for text in faults])
    return [piece for k, frame in enumerate(FRAMES) for piece in line.pieces(frame, elapsed(k))]


def test_a_line_without_faults_changes_nothing() -> None:
    assert through() == FRAMES


def test_faults_of_single_frames_do_what_they_say() -> None:
    assert 150 < len(through("drop=10%")) < 200
    assert sum(a != b for a, b in zip(through("corrupt=10%"), FRAMES, strict=True)) > 5
    mixed = through("reorder=10%")
    assert mixed != FRAMES
    assert sorted(mixed) == sorted(FRAMES[: len(mixed)])
    assert any(a == b for a, b in pairwise(through("repeat=10%")))
    strays = [piece for piece in through("stray=10%") if piece not in FRAMES]
    assert strays
    assert not any(is_whole(stray) for stray in strays)


def test_a_fault_begins_and_ends_when_it_says() -> None:
    kept = through("silence@1s+1s", elapsed=lambda k: k / 50)
    assert kept == FRAMES[:50] + FRAMES[100:]


def test_an_announced_configuration_comes_and_the_announcement_ends() -> None:
    line = FaultyLine([parse_fault("configuration@3s")])
    assert [line.status(t) for t in (0.0, 1.9, 2.0, 2.9, 3.0, 9.0)] == [0, 0, 0x400, 0x400, 0, 0]
    edges = [0.0]
    while math.isfinite(edge := line.next_edge(edges[-1])):
        edges.append(edge)
    assert edges == [0.0, 2.0, 3.0]


async def test_a_disconnected_pmu_hangs_up_and_comes_back() -> None:
    async with served(Device(feed()), faults=("disconnect@50ms+200ms",)) as (server, _):
        way = Way("127.0.0.1", server.port)
        async with Link(way) as link:
            link.send(encode_command(1, Command.START))
            while await link.receive(2.0) is not None:
                pass
            assert link.closed
        for _ in range(200):
            async with Link(way) as link:
                link.send(encode_command(1, Command.SEND_HEADER))
                if await link.receive(0.05) is not None:
                    return
            await asyncio.sleep(0.01)
        pytest.fail("it never came back")


async def test_a_changed_configuration_is_sent_as_it_is_served() -> None:
    device = Device(feed())
    before = device.configuration.data_size
    async with (
        served(device, faults=("configuration@100ms",)) as (server, _),
        Link(Way("127.0.0.1", server.port)) as link,
    ):
        link.send(encode_command(1, Command.START))
        sizes = [len(frame) for frame in await received(link, FrameKind.DATA, 60)]
        link.send(encode_command(1, Command.SEND_CFG2))
        (frame,) = await received(link, FrameKind.CFG2, 1)
    assert sizes[:25] == [before] * 25
    assert set(sizes[25:]) == {before + 4}
    changed = decode_configuration(frame)
    assert changed.data_size == before + 4
    assert [pmu.change_count for pmu in changed.pmus] == [1, 1]


# The command


def test_the_command_serves_until_it_is_told_to_end() -> None:
    program = [sys.executable, "-m", "gridtop", "serve-pmu", "--port", "0", "--no-events"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        assert "4 PMUs, 30 frames/s; id 1 at 127.0.0.1:" in line
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == Exit.OK


def test_the_command_lists_its_faults_and_explains_wrong_ones() -> None:
    listed = CliRunner().invoke(serve_pmu, ["--list-faults"])
    assert [line.split()[0] for line in listed.output.splitlines()] == list(KINDS)
    wrong = CliRunner().invoke(serve_pmu, ["--fault", "dorp"])
    assert wrong.exit_code == Exit.USAGE
    assert "there are drop" in wrong.output
    for rate in ("nan", "inf", "0", "5"):
        assert run(["serve-pmu", "--rate", rate]) == Exit.USAGE
    both = CliRunner().invoke(serve_pmu, ["--udp", "--udp-data", "5"])
    assert "cannot go together" in both.output
