"""`gridtop probe` against PMUs with every fault there is, and against what is no PMU at all."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gridtop.api import Host
from gridtop.commands.probe import command as probe
from gridtop.commands.probe import host_and_port
from gridtop.commands.root import run
from gridtop.errors import Exit
from gridtop.naming import ChannelMap
from gridtop.plugins.sources.c37118 import Capture
from gridtop.synchrophasor.captures import CaptureWriter, read_capture
from gridtop.synchrophasor.data import DataLayout
from gridtop.synchrophasor.device import Device
from gridtop.synchrophasor.examination import Examination, examine
from gridtop.synchrophasor.faults import parse_fault
from gridtop.synchrophasor.findings import findings
from gridtop.synchrophasor.frames import Command, FrameKind, Splitter, decode_command, head, seal
from gridtop.synchrophasor.links import Arrival, ProbeError, Way
from gridtop.synchrophasor.pmu_findings import Finding
from gridtop.synchrophasor.pmus import Configuration
from gridtop.synchrophasor.probe_report import as_dict, report
from gridtop.synchrophasor.probing import NANOSECONDS, Observation, Patience, Stretch, observe
from gridtop.synchrophasor.serving import PmuServer
from tests.pmu_feeds import feed, values

QUICK = Patience(pause=0.0, answer=0.25, attempts=2, extra=1.0, data=0.6)
NOW = 1_800_000_000 * NANOSECONDS
PERIOD = NANOSECONDS // 250


async def seen(*faults: str, seconds: float = 0.3, idcode: int = 1, asked: int = 1) -> Examination:
    """What a probe finds at a PMU with these faults."""
    server = PmuServer(Device(feed(), idcode), faults=[parse_fault(text) for text in faults])
    async with server:
        running = asyncio.create_task(server.run())
        try:
            return examine(await observe(Way("127.0.0.1", server.port), asked, seconds, patience=QUICK))
        finally:
            running.cancel()


def codes(found: tuple[Finding, ...]) -> set[str]:
    return {finding.code for finding in found if finding.weight == "problem"}


@asynccontextmanager
async def answering(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[Way]:
    """Something that listens and is no PMU, or a strange one."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield Way("127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hear everything and say nothing."""
    while await reader.read(1000):
        pass


async def error_of(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]], idcode: int = 1
) -> str:
    async with answering(answer) as way:
        with pytest.raises(ProbeError) as caught:
            await observe(way, idcode, 0.1, patience=QUICK)
    assert caught.value.code == Exit.PROBE
    return str(caught.value)


# Faults of a PMU, over a real connection


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("drop=10%", "missing_frames"),
        ("corrupt=10%", "damaged_frames"),
        ("reorder=10%", "out_of_order"),
        ("repeat=10%", "repeated_frames"),
        ("stray=10%", "stray_bytes"),
        ("delay=300ms", "slow"),
        ("time=-2s", "wrong_time"),
        ("time=2s", "wrong_time"),
        ("time=-20000d", "wrong_time"),
        ("time=5s@100ms", "clock_jumped"),
        ("unsynchronised", "unsynchronised"),
        ("unsynchronised", "clock_unsure"),
        ("error", "pmu_error"),
        ("configuration@100ms", "configuration_changed"),
        ("configuration@900ms", "configuration_announced"),
        ("silence@100ms+150ms", "silence"),
        ("silence@100ms", "silence"),
        ("disconnect@100ms", "disconnected"),
    ],
)
async def test_each_fault_is_named_and_something_can_be_done(fault: str, code: str) -> None:
    # What begins later is given time, for machines are busy.
    found = findings(await seen(fault, seconds=0.6 if "@" in fault else 0.3))
    assert code in codes(found)
    assert all(finding.what and finding.todo for finding in found)


async def test_a_healthy_pmu_is_complete_and_in_order() -> None:
    examination = await seen()
    counts, observation = examination.counts, examination.observation
    assert counts.received >= 50
    assert counts.completeness == 1.0
    assert (counts.repeated, counts.out_of_order, counts.uneven, counts.jumps) == (0, 0, 0, 0)
    assert (observation.bad_crc, observation.skipped, observation.misfits) == (0, 0, 0)
    assert observation.header is not None
    assert "two PMUs" in observation.header
    assert observation.detailed is not None
    assert counts.step == pytest.approx(0.004)


async def test_data_under_a_changed_configuration_are_read_by_it() -> None:
    observation = (await seen("configuration@100ms", seconds=0.6)).observation
    before, after = (stretch.configuration for stretch in observation.stretches)
    assert len(after.pmus[0].analogs) == len(before.pmus[0].analogs) + 1
    assert all(stretch.frames for stretch in observation.stretches)
    found = {finding.code: finding for finding in findings(examine(observation))}
    assert "analog values 1 -> 2, change count 0 -> 1" in found["configuration_changed"].what


# What cannot be probed


async def test_the_wrong_id_is_suspected_when_nothing_answers() -> None:
    with pytest.raises(ProbeError, match=r"does not answer to id 9 .* give it as --id"):
        await seen(idcode=7, asked=9)


async def test_the_right_id_is_named_when_frames_of_it_come() -> None:
    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for frame in Device(feed(), 7).data_frames(range(20)):
            writer.write(frame)
        await listen(reader, writer)

    assert "sends id 7 and does not answer to id 1: add --id 7" in await error_of(stream)


async def test_nobody_there_is_told_with_the_usual_port(unused_tcp_port: int) -> None:
    with pytest.raises(ProbeError, match=rf"nobody listens at 127.0.0.1:{unused_tcp_port}.*4712"):
        await observe(Way("127.0.0.1", unused_tcp_port), 1)


async def test_what_does_not_speak_c37_118_is_quoted_harmlessly() -> None:
    async def ssh(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\x1b[2J\r\n")
        await listen(reader, writer)

    said = await error_of(ssh)
    assert "does not speak C37.118; it sent 'SSH-2.0-OpenSSH_9.6\ufffd[2J'" in said


async def test_something_that_only_listens_or_hangs_up_is_told_apart() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    assert "does not answer to id 1" in await error_of(listen)
    assert "hung up without a word" in await error_of(hang_up)


async def test_a_line_that_damages_everything_is_named() -> None:
    async def damage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (frame,) = Device(feed()).configuration_frames(FrameKind.CFG2, NOW)
        while await reader.read(1000):
            writer.write(frame[:-1] + bytes([frame[-1] ^ 1]))

    assert "every frame is damaged" in await error_of(damage)


async def test_a_configuration_that_contradicts_itself_is_told() -> None:
    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            writer.write(seal(FrameKind.CFG2, 1, bytes(20)))

    assert "a configuration that cannot be read" in await error_of(nonsense)


async def test_silence_after_data_were_asked_for_is_told_with_ways_out() -> None:
    with pytest.raises(ProbeError, match=r"stayed silent when data were asked for.*--udp-data"):
        await seen("silence")


async def test_a_device_without_header_and_cfg3_that_loses_its_first_commands_is_probed() -> None:
    device, heard = Device(feed()), 0

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        splitter = Splitter()
        while received := await reader.read(1000):
            for frame in splitter.feed(received):
                command = decode_command(frame)
                heard += 1
                if command == Command.SEND_CFG2 and heard > 2:
                    writer.write(device.configuration_frames(FrameKind.CFG2, NOW)[0])
                elif command == Command.START:
                    writer.write(b"".join(device.data_frames(range(10))))

    patient = replace(QUICK, extra=0.05)
    async with answering(plain) as way:
        observation = await observe(way, 1, 0.2, patience=patient)
    assert observation.header is None
    assert observation.detailed is None
    assert len(observation.stretches[0].frames) == 10
    assert "no_cfg3" in {finding.code for finding in findings(examine(observation))}


async def test_data_by_udp_is_probed(unused_udp_port: int) -> None:
    server = PmuServer(Device(feed()), data_port=unused_udp_port)
    async with server:
        running = asyncio.create_task(server.run())
        way = Way("127.0.0.1", server.port, data_port=unused_udp_port)
        observation = await observe(way, 1, 0.2, patience=QUICK)
        running.cancel()
    assert examine(observation).counts.received > 10


# What is seen, without a network: times are exact


def observation(
    arrivals: list[int],
    times: list[int],
    table: list[list[float]] | None = None,
    changed: Callable[[Configuration], Configuration] = lambda configuration: configuration,
) -> Observation:
    """Frames measured and arrived at these nanoseconds after `NOW`, from one PMU pair."""
    device = Device(feed(table, frames=len(times)))
    configuration = changed(device.configuration)
    frames = [device.data_frames(range(1), shift=NOW + time - device.clock.at(0))[0] for time in times]
    stretch = Stretch(
        configuration, [Arrival(NOW + a, frame) for a, frame in zip(arrivals, frames, strict=True)]
    )
    return Observation(
        Way("pmu.example", 4712),
        1,
        configuration,
        configuration,
        "a header",
        [stretch],
        begun=NOW,
        ended=NOW + max(arrivals) + PERIOD,
    )


MS = 1_000_000
EVEN = [k * PERIOD for k in range(250)]


def test_a_faultless_second_has_no_findings() -> None:
    examination = examine(observation([time + 12 * MS for time in EVEN], EVEN))
    assert findings(examination) == ()
    assert examination.counts.rate == pytest.approx(250.0)
    assert examination.latency.median == pytest.approx(0.012)
    assert examination.jitter.most == pytest.approx(0.0)


def test_a_single_frame_is_enough_for_a_report() -> None:
    examination = examine(observation([MS], [0]))
    assert (examination.counts.received, examination.counts.expected) == (1, 1)
    text = "\n".join(report(examination, findings(examination)))
    assert "nan" not in text
    assert as_dict(examination, ())["rate"] == {"stated": 250.0, "seen": None, "by_times": None}


def test_jitter_is_measured_around_the_median_latency() -> None:
    arrivals = [time + (20 if k % 10 == 0 else 12) * MS for k, time in enumerate(EVEN)]
    jitter = examine(observation(arrivals, EVEN)).jitter
    assert (jitter.median, jitter.p95, jitter.most) == pytest.approx((0.0, 0.008, 0.008))


def test_missing_frames_are_counted_once_and_not_as_silence() -> None:
    times = [time for k, time in enumerate(EVEN) if k not in (10, 11, 50)]
    counts = examine(observation([time + MS for time in times], times)).counts
    assert (counts.missing, counts.expected, counts.silent) == (3, 250, 0)
    assert counts.completeness == pytest.approx(247 / 250)


def test_frames_of_a_silence_are_not_told_twice() -> None:
    times = [time for k, time in enumerate(EVEN) if not 100 <= k < 150]
    examination = examine(observation([time + MS for time in times], times))
    assert codes(findings(examination)) == {"silence"}
    (pause,) = examination.pauses
    assert (pause.begin, pause.seconds) == pytest.approx((0.396, 0.204))


def test_frames_that_come_late_together_are_held_up_and_not_missing() -> None:
    arrivals = [max(time, 400 * MS) if k >= 25 else time for k, time in enumerate(EVEN)]
    examination = examine(observation([time + MS for time in arrivals], EVEN))
    assert examination.pauses == ()
    assert examination.counts.missing == 0
    assert codes(findings(examination)) == {"held_up"}


def test_what_several_pmus_have_in_common_is_said_once() -> None:
    table = values(250)
    table[:, [6, 13]] = 0xC000
    (found,) = findings(examine(observation([time + MS for time in EVEN], EVEN, table.tolist())))
    assert found.what.startswith("A, B: all frames say that the PMU has an error")


def test_frames_off_the_second_and_a_wrong_rate_are_told() -> None:
    off = [time + 2 * MS for time in EVEN]
    assert codes(findings(examine(observation([t + MS for t in off], off)))) == {"uneven_times"}
    slow = [2 * time for time in EVEN]
    found = codes(findings(examine(observation([t + MS for t in slow], slow))))
    assert "wrong_rate" in found


def test_a_device_without_a_clock_is_named_by_its_date() -> None:
    times = [time - NOW for time in EVEN]
    (found,) = findings(examine(observation([time + MS for time in EVEN], times)))
    assert found.code == "wrong_time"
    assert "1970-01-01T00:00:00 UTC" in found.what


def test_the_filling_of_an_absent_pmu_is_seen_though_stat_says_good() -> None:
    table = values(250)
    table[:, [7, 8, 9, 10]] = 0
    table[:, 11] = 65.536
    examination = examine(observation([time + MS for time in EVEN], EVEN, table.tolist()))
    assert codes(findings(examination)) == {"implausible_frequency", "no_values"}
    assert all(finding.what.startswith("B: ") for finding in findings(examination))


def test_a_trigger_that_is_always_set_and_an_odd_time_base_are_notes() -> None:
    table = values(250)
    table[:, 6] = 0x0800
    seen = observation([time + MS for time in EVEN], EVEN, table.tolist())
    found = findings(examine(seen))
    assert [(finding.code, finding.weight) for finding in found] == [("trigger_stuck", "note")]
    odd = Device(feed(), time_base=16_777_215)
    stretch = Stretch(odd.configuration, [Arrival(NOW, odd.data_frames(range(1))[0])])
    notes = {finding.code for finding in findings(examine(replace(seen, stretches=[stretch])))}
    assert "time_base" in notes


def test_a_report_names_everything_once_and_is_harmless() -> None:
    seen = observation([time + MS for time in EVEN], EVEN)
    seen.header = "evil \x1b]0;title\x07"
    examination = examine(seen)
    text = "\n".join(report(examination, findings(examination)))
    assert "\x1b" not in text
    assert "pmu.example:4712 id 1: 2 PMUs, 250 frames a second stated" in text
    assert "A: STAT 0x0000 in 250 frames: good" in text
    assert "no problem found" in text
    assert "V1                   132000.0 V    10.00 deg" in text


def test_status_words_are_told_in_words() -> None:
    table = values(250)
    table[:, 6] = 0x21F0
    examination = examine(observation([time + MS for time in EVEN], EVEN, table.tolist()))
    text = "\n".join(report(examination, findings(examination)))
    assert "STAT 0x21F0 in 250 frames: clock not synchronised, for more than 1000 s" in text


def test_json_has_every_figure_and_no_number_that_is_none() -> None:
    table = values(250)
    table[:, 0] = np.nan
    examination = examine(observation([time + MS for time in EVEN], EVEN, table.tolist()))
    document = json.loads(json.dumps(as_dict(examination, findings(examination)), allow_nan=False))
    assert document["ok"] is True
    assert document["frames"]["received"] == 250
    assert document["rate"]["stated"] == 250
    assert document["pmus"][0]["phasors"][0]["magnitude"] is None
    assert document["pmus"][1]["phasors"][0]["magnitude"] == 132_000.0
    assert document["findings"][0]["code"] == "no_values"


# Captures and the command


async def test_a_capture_holds_everything_that_came(tmp_path: Path) -> None:
    path = tmp_path / "pmu.capture"
    async with PmuServer(Device(feed()), faults=[parse_fault("corrupt=10%")]) as server:
        running = asyncio.create_task(server.run())
        with CaptureWriter(path) as writer:
            way = Way("127.0.0.1", server.port)
            observed = await observe(way, 1, 0.2, patience=QUICK, record=writer.write)
        running.cancel()
    splitter = Splitter()
    frames = [frame for received in read_capture(path) for frame in splitter.feed(received.data)]
    kinds = [head(frame).kind for frame in frames]
    assert kinds[:3] == [FrameKind.CFG2, FrameKind.CFG3, FrameKind.HEADER]
    data = [frame for frame, kind in zip(frames, kinds, strict=True) if kind == FrameKind.DATA]
    mine = [arrival.frame for arrival in observed.stretches[0].frames]
    assert data[: len(mine)] == mine
    assert splitter.bad_crc >= observed.bad_crc > 0
    assert len(DataLayout(observed.configuration).decode(data)) == len(data)


async def test_a_capture_replays_as_a_source(tmp_path: Path) -> None:
    async with PmuServer(Device(feed(frames=25), 7)) as server:
        running = asyncio.create_task(server.run())
        with CaptureWriter(tmp_path / "pmu.capture") as writer:
            way = Way("127.0.0.1", server.port)
            observed = await observe(way, 7, 0.2, patience=QUICK, record=writer.write)
        running.cancel()
    host = Host("pmu", tmp_path, tmp_path, logging.getLogger("pmu"), ChannelMap({}))
    source = Capture(Capture.Config(path="pmu.capture"), host)
    replayed = await source.open()
    blocks = [block async for block in source.blocks()]
    await source.close()
    assert replayed.rate == 250
    voltage = next(i for i, c in enumerate(replayed) if c.quantity == "voltage" and c.part == "magnitude")
    assert (replayed[voltage].terminal, replayed[voltage].phase) == ("A", "+")
    played = np.concatenate([block.values[:, voltage] for block in blocks])
    examination = examine(observed)
    assert len(played) >= examination.counts.received
    np.testing.assert_array_equal(played[: examination.counts.received], examination.readings.magnitude[:, 0])


def test_an_existing_capture_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "pmu.capture"
    path.write_bytes(b"mine")
    done = CliRunner().invoke(probe, ["127.0.0.1:9", "--capture", str(path)])
    assert "exists already" in str(done.exception)
    assert path.read_bytes() == b"mine"


def test_the_command_ends_with_69_and_says_why(
    unused_tcp_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"127.0.0.1:{unused_tcp_port}"
    assert run(["probe", address, "--json"]) == Exit.PROBE
    said = capsys.readouterr()
    assert json.loads(said.out)["ok"] is False
    assert f"nobody listens at {address}" in said.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pmu.example", ("pmu.example", 4712)),
        ("10.0.0.7:4713", ("10.0.0.7", 4713)),
        ("[2001:db8::7]:4713", ("2001:db8::7", 4713)),
        ("[::1]", ("::1", 4712)),
    ],
)
def test_addresses_are_read(text: str, expected: tuple[str, int]) -> None:
    assert host_and_port(text) == expected


@pytest.mark.parametrize("text", ["", ":4712", "a:b", "a:0", "a:70000", "2001:db8::7", "[::1"])
def test_what_is_no_address_is_a_mistake_on_the_command_line(text: str) -> None:
    done = CliRunner().invoke(probe, [text])
    assert done.exit_code == Exit.USAGE
    assert "is no address" in done.output
