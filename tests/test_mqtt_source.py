"""The MQTT source against a real broker on loopback: topics and paths, ages, lost brokers, rubbish."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtop.api import Block, Channel, Host, Quality, Source, SourceError
from gridtop.config import load
from gridtop.naming import ChannelMap, ChannelMeaning
from gridtop.plugins.sources import mqtt
from gridtop.plugins.sources.mqtt import Mqtt
from gridtop.plugins.sources.mqtt_channels import Directory
from gridtop.plugins.sources.mqtt_payloads import Unusable, json_of, number_of, path_of, time_of, value_at
from gridtop.plugins.sources.mqtt_settings import ReadingSettings
from gridtop.plugins.sources.mqtt_statistics import MOST_DEVICES, SensorCounts
from gridtop.plugins.sources.sample_and_hold import Reading, SampleAndHold
from gridtop.resolved import as_yaml
from tests.sinks_at_hand import CANARY
from tests.test_sink_mqtt import broker

aiomqtt = pytest.importorskip("aiomqtt", reason="comes with the extra mqtt")

SECOND = 1_000_000_000
LATE, MISSING = Quality.LATE, Quality.MISSING
PLAIN = {"R1:F": {"topic": "r1/f"}}


def source(
    port: int, folder: Path = Path(), channels: dict[str, ChannelMeaning] | None = None, **settings: Any
) -> Mqtt:
    config = {"host": "127.0.0.1", "port": port, "rate": 20, "wait": "50ms", "readings": PLAIN, **settings}
    host = Host("in", folder, folder, logging.getLogger("gridtop.mqtt"), ChannelMap(channels))
    return Mqtt(Mqtt.Config.model_validate(config), host)


@contextlib.asynccontextmanager
async def opened(made: Mqtt) -> AsyncIterator[AsyncIterator[Block]]:
    await asyncio.wait_for(made.open(), 20)
    blocks = made.blocks()
    try:
        yield blocks
    finally:
        await blocks.aclose()  # type: ignore[attr-defined]
        await made.close()
        await made.close()


async def until(blocks: AsyncIterator[Block], wanted: Callable[[Block], bool]) -> Block:
    """The next block that is wanted, within 20 s."""
    async with asyncio.timeout(20):
        async for block in blocks:
            assert 0 < len(block) <= 256
            if wanted(block):
                return block
    raise AssertionError("the stream ended")


async def counted(made: Mqtt, name: str, count: int = 1) -> None:
    async with asyncio.timeout(20):
        while made.statistics().stream.get(name, 0) < count:
            await asyncio.sleep(0.01)


def last(block: Block) -> list[float]:
    return [float(value) for value in block.values[-1]]


# Frames of sensors with rates of their own


def held(rate: float = 1.0, sensors: int = 1) -> SampleAndHold:
    hold = SampleAndHold(sensors, rate, late_after=2, lost_after=5)
    hold.begin(hold.number_at(100 * SECOND))
    return hold


def test_a_frame_holds_the_newest_reading_that_is_not_younger() -> None:
    hold = held()
    for at, value in ((99.5, 1.0), (100.0, 2.0), (100.000000001, 3.0), (102.0, 5.0), (101.5, 4.0)):
        assert hold.put(0, Reading(round(at * SECOND), value))
    made = hold.make(4)
    assert list(made.time.astype(np.int64) // SECOND) == [100, 101, 102, 103]
    assert list(made.values[:, 0]) == [2, 3, 5, 5]
    np.testing.assert_allclose(made.ages[:, 0], [0, 1, 0, 1], atol=1e-8)


def test_an_old_value_is_late_and_then_lost() -> None:
    hold = held()
    hold.put(0, Reading(100 * SECOND, 7.0))
    made = hold.make(8)
    assert list(made.quality[:, 0]) == [0, 0, 0, LATE, LATE, LATE, MISSING, MISSING]
    np.testing.assert_array_equal(made.values[:, 0], [7] * 6 + [np.nan] * 2)
    assert list(made.ages[:, 0]) == list(range(8))


def test_a_sensor_that_never_spoke_is_missing_and_has_no_age() -> None:
    made = held(sensors=2).make(2)
    assert np.isnan(made.values).all()
    assert np.isnan(made.ages).all()
    assert (made.quality == MISSING).all()


def test_a_reading_that_comes_late_does_not_undo_a_newer_one() -> None:
    hold = held()
    hold.put(0, Reading(100 * SECOND, 2.0))
    hold.make(1)
    assert not hold.put(0, Reading(99 * SECOND, 1.0))
    assert hold.make(1).values[0, 0] == 2.0


def test_a_clock_put_back_forgets_what_came_from_the_future() -> None:
    hold = held()
    hold.put(0, Reading(100 * SECOND, 2.0))
    hold.make(1)
    hold.begin(hold.number_at(50 * SECOND))
    assert np.isnan(hold.make(1).values).all()
    assert hold.put(0, Reading(51 * SECOND, 3.0))
    assert hold.make(1).values[0, 0] == 3.0


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8000), st.integers(0, 99)), max_size=40),
    st.lists(st.integers(1, 7), min_size=1, max_size=12),
    st.sampled_from([1.0, 4.0, 7.5, 0.4, 60.0, 59.94]),
)
def test_how_frames_are_cut_into_blocks_changes_nothing(
    readings: list[tuple[int, int, int]], cuts: list[int], rate: float
) -> None:
    begin = 1_767_225_600 * SECOND
    at_once, in_parts = (SampleAndHold(3, rate, 1, 3) for _ in range(2))
    for hold in (at_once, in_parts):
        hold.begin(hold.number_at(begin))
        for sensor, milliseconds, value in readings:
            hold.put(sensor, Reading(begin + milliseconds * 1_000_000, value))
    whole, parts = at_once.make(sum(cuts)), [in_parts.make(count) for count in cuts]
    for name in ("time", "values", "quality", "ages"):
        np.testing.assert_array_equal(
            getattr(whole, name), np.concatenate([getattr(part, name) for part in parts])
        )
    for frame, moment in enumerate(whole.time.astype(np.int64)):
        for sensor in range(3):
            known = [begin + ms * 1_000_000 for s, ms, _ in readings if s == sensor]
            ages = [(moment - time) / SECOND for time in known if time <= moment]
            expected = min(ages, default=np.nan)
            np.testing.assert_allclose(whole.ages[frame, sensor], expected, atol=1e-9)


# What messages say


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("", ()),
        ("$", ()),
        ("u", ("u",)),
        ("$.a.b-c", ("a", "b-c")),
        ("phases[0].u", ("phases", 0, "u")),
        ("[2][1]", (2, 1)),
        ('["a.b"].c', ("a.b", "c")),
        (r'x["a\"b"]', ("x", 'a"b')),
    ],
)
def test_a_path_leads_into_json(path: str, steps: tuple[str | int, ...]) -> None:
    assert path_of(path) == steps


@pytest.mark.parametrize("path", ["a..b", "a[", "a[x]", "a[-1]", "a]b", "a.", '["a', 'a["b"]c'])
def test_what_is_no_path_is_refused_with_the_place(path: str) -> None:
    with pytest.raises(ValueError, match="is no path at"):
        path_of(path)


def test_values_are_found_or_it_is_said_what_is_missing() -> None:
    document = json_of(b'{"a": [{"u": "1.5"}, null], "t": true}')
    assert number_of(value_at(document, path_of("a[0].u"), "")) == 1.5
    assert np.isnan(number_of(value_at(document, path_of("a[1]"), "")))
    for path in ("b", "a[2]", "a.u", "t.x", "[0]", "a[0].u[0]"):
        with pytest.raises(Unusable, match="there is no "):
            value_at(document, path_of(path), path)
    for path, told in (("a", "a list is no number"), ("a[0]", "an object is no number")):
        with pytest.raises(Unusable, match=told):
            number_of(value_at(document, path_of(path), path))


@pytest.mark.parametrize(
    ("cell", "unit"),
    [
        ("2026-01-01T00:00:00.25Z", None),
        ("2026-01-01T01:00:00.250+01:00", None),
        ("2026-01-01 00:00:00.25", None),
        (1767225600.25, None),
        (1767225600250, None),
        ("1767225600250000", None),
        (1767225600250000000, None),
        (1767225600250, "ms"),
    ],
)
def test_times_are_read_as_sensors_write_them(cell: object, unit: Any) -> None:
    assert time_of(cell, unit) == 1_767_225_600_250_000_000


@pytest.mark.parametrize(
    "cell", ["now", "", None, True, [1], {}, "2026-13-01", 1e30, float("nan"), "9" * 5000]
)
def test_what_is_no_time_is_named(cell: object) -> None:
    with pytest.raises(Unusable, match="is not a time"):
        time_of(cell, None)


@given(st.binary(max_size=60))
def test_no_payload_leads_to_anything_but_a_number_or_a_reason(payload: bytes) -> None:
    for read in (
        lambda: number_of(payload.decode("utf-8", "replace")),
        lambda: number_of(value_at(json_of(payload), ("a", 0), "a[0]")),
        lambda: time_of(json_of(payload), None),
    ):
        with contextlib.suppress(Unusable):
            read()


def test_a_nest_without_end_is_a_reason() -> None:
    with pytest.raises(Unusable, match="a nest beyond all measure"):
        json_of(b"[" * 100_000)


def test_places_of_a_topic_make_sensors_in_an_order_that_does_not_depend_on_who_speaks_first() -> None:
    readings = {
        "{d} power": ReadingSettings(topic="site/{d}/power"),
        "{d}:F": ReadingSettings(topic="pmu/{d}/f", known={"d": ("R2", "R1")}),
    }
    topics = ["site/b/power", "pmu/R1/f", "site/a/power", "pmu/R9/f", "site/a/b/power", "x"]
    for order in (topics, topics[::-1]):
        directory = Directory(readings)
        assert directory.open_ended
        assert directory.subscriptions == ("site/+/power", "pmu/+/f")
        for topic in order:
            directory.find(topic)
        assert [sensor.name for sensor in directory.sensors] == ["a power", "b power", "R2:F", "R1:F"]
        directory.close()
        assert directory.find("site/c/power") == ()
        assert [sensor.name for sensor in directory.find("site/a/power")] == ["a power"]


# What is known of sensors


def sensor_counts(*terminals: str) -> SensorCounts:
    channels = [Channel(f"{t} v{i}", "voltage", "V", t) for i, t in enumerate(terminals)]
    return SensorCounts(channels, late_after=5, lost_after=60)


def test_every_sensor_has_its_counts_and_the_age_of_its_last_reading() -> None:
    counts = sensor_counts("a", "b", "c")
    counts.add(0, 100 * SECOND, True, True)
    counts.add(0, 101 * SECOND, True, True)
    counts.add(0, 90 * SECOND, True, False)
    counts.add(1, 10 * SECOND, False, True)
    figures = counts.statistics({"messages": 4}, 102 * SECOND)
    assert figures.stream == {"messages": 4, "sensors": 3.0}
    assert figures.devices["a v0"] == {"readings": 3, "unusable": 0, "outdated": 1, "age": 1.0}
    assert figures.devices["b v1"] == {"readings": 1, "unusable": 1, "outdated": 0, "age": 92.0}
    assert np.isnan(figures.devices["c v2"]["age"])
    assert figures.words == {
        "b v1": "silent for more than 60 s; the last reading held no usable value",
        "c v2": "has said nothing yet",
    }
    assert counts.statistics({}, 110 * SECOND).words["a v0"] == "silent for more than 5 s"


def test_many_sensors_are_told_together_by_terminal() -> None:
    counts = sensor_counts(*(f"meter {i // 10}" for i in range(MOST_DEVICES + 10)))
    for i in range(MOST_DEVICES + 10):
        counts.add(i, (100 + i % 10) * SECOND, True, True)
    figures = counts.statistics({}, 109 * SECOND)
    assert len(figures.devices) == 31
    assert figures.devices["meter 3"] == {"readings": 10, "unusable": 0, "outdated": 0, "age": 9.0}
    assert figures.words["meter 3"] == "4 of its sensors are silent for more than 5 s"
    cut = sensor_counts(*map(str, range(MOST_DEVICES + 10))).statistics({}, 0)
    assert len(cut.devices) == len(cut.words) == MOST_DEVICES
    assert cut.stream["sensors_not_shown"] == 10


# With a broker


async def test_plain_and_json_messages_become_channels_of_frames() -> None:
    meter_topic = {"topic": "site/{device}/meter", "known": {"device": ["m1"]}}
    readings = {
        **PLAIN,
        "{device} voltage": {**meter_topic, "value": "phases[0].u"},
        "{device} load": {**meter_topic, "value": "p", "time": "at"},
    }
    channels = {"m1 voltage": ChannelMeaning(quantity="voltage", unit="kV", terminal="m1", invalid=(-1,))}
    async with broker() as port, aiomqtt.Client("127.0.0.1", port) as sensor:
        made = source(port, channels=channels, readings=readings, ages=True)
        assert isinstance(made, Source)
        assert made.live
        async with opened(made) as blocks:
            await counted(made, "connections")
            sent = time.time()
            await sensor.publish("r1/f", "60.02")
            meter = {"phases": [{"u": 0.4}], "p": 5, "at": sent - 2, "more": [1]}
            await sensor.publish("site/m1/meter", json.dumps(meter))
            block = await until(blocks, lambda block: not np.isnan(last(block)[:3]).any())
            names = "R1:F", "m1 voltage", "m1 load", "R1:F age", "m1 voltage age", "m1 load age"
            assert block.channels.names == names
            assert (block.channels.rate, block.channels.clock) == (20, "utc")
            assert block.channels[1].unit == "V"
            assert last(block)[:3] == [60.02, 400.0, 5.0]
            frame = block.time[-1].astype(np.int64) / SECOND
            assert last(block)[5] == pytest.approx(frame - sent + 2, abs=1e-3)
            await sensor.publish("site/m1/meter", json.dumps({**meter, "phases": [{"u": -1}]}))
            block = await until(blocks, lambda block: bool(np.isnan(last(block)[1])))
            assert block.quality is not None
            assert block.quality[-1, 1] == Quality.BAD


async def test_topics_with_places_are_found_out_at_the_start_and_later_ones_are_ignored() -> None:
    readings = {"{d} power": {"topic": "site/{d}/power"}}
    async with broker() as port, aiomqtt.Client("127.0.0.1", port) as sensor:
        made = source(port, readings=readings, discover="300ms")
        opening = asyncio.create_task(made.open())
        await counted(made, "connections")
        for name in ("b", "a\x1b[2J\u202e"):
            await sensor.publish(f"site/{name}/power", "1")
        channels = await asyncio.wait_for(opening, 20)
        assert channels.names == ("a\ufffd[2J\ufffd power", "b power")
        blocks = made.blocks()
        await until(blocks, lambda block: last(block) == [1, 1])
        await sensor.publish("site/c/power", "1")
        await counted(made, "new_topics")
        await made.close()


async def test_values_grow_late_and_are_lost_while_a_sensor_is_silent() -> None:
    async with broker() as port, aiomqtt.Client("127.0.0.1", port) as sensor:
        made = source(port, late_after="300ms", lost_after="600ms")
        async with opened(made) as blocks:
            await counted(made, "connections")
            await sensor.publish("r1/f", "60")
            await until(blocks, lambda block: last(block) == [60])
            late = await until(blocks, lambda block: block.quality is not None)
            assert late.quality is not None
            assert late.quality[-1, 0] == LATE
            lost = await until(blocks, lambda block: bool(np.isnan(last(block)[0])))
            assert lost.quality is not None
            assert lost.quality[-1, 0] == MISSING


async def test_frames_go_on_without_the_broker_and_values_come_back_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(mqtt, "LONGEST_PAUSE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = source(port, lost_after="300ms", late_after="200ms")
    async with opened(made) as blocks:
        await until(blocks, lambda block: bool(np.isnan(last(block)[0])))
        for count in (1, 2):
            async with broker(port):
                await counted(made, "connections", count)
                async with aiomqtt.Client("127.0.0.1", port) as sensor:
                    await sensor.publish("r1/f", str(60 + count))
                    await until(blocks, lambda block, count=count: last(block) == [60 + count])  # type: ignore[misc]
            await until(blocks, lambda block: bool(np.isnan(last(block)[0])))
            (problem,) = made.problems
            assert problem.startswith(f"127.0.0.1:{port}: the broker is away: ")
            lost = made.statistics().stream["lost_connections"]
            await counted(made, "lost_connections", int(lost) + 2)
            assert made.problems == (problem,)
        figures = made.statistics()
        assert figures.stream["seconds_without_broker"] > 0
        assert figures.devices["R1:F"]["readings"] == 2
        assert isinstance(figures.devices["R1:F"]["age"], float)
        assert "silent for more than 0.3 s" in figures.words["R1:F"]


async def test_a_lost_broker_makes_every_value_late_at_once_and_only_until_it_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt, "FIRST_PAUSE", 0.05)
    monkeypatch.setattr(mqtt, "_DOUBT", 0)
    async with broker() as port:
        blocks = await _speaking(made := source(port), port)
    late = await until(blocks, lambda block: block.quality is not None)
    assert last(late) == [60]
    assert late.quality is not None
    assert late.quality[-1, 0] == LATE
    async with broker(port):
        await counted(made, "connections", 2)
        assert last(await until(blocks, lambda block: block.quality is None)) == [60]
        await made.close()


async def _speaking(made: Mqtt, port: int) -> AsyncIterator[Block]:
    """The frames of a source whose one sensor has said 60."""
    await made.open()
    await counted(made, "connections")
    async with aiomqtt.Client("127.0.0.1", port) as sensor:
        await sensor.publish("r1/f", "60")
        blocks = made.blocks()
        await until(blocks, lambda block: last(block) == [60])
    return blocks


async def test_rubbish_is_told_with_its_topic_and_what_is_right_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    readings = {**PLAIN, "m": {"topic": "m", "value": "v", "time": "t"}}
    now = time.time()
    async with broker() as port, aiomqtt.Client("127.0.0.1", port) as sensor:
        made = source(port, readings=readings)
        async with opened(made) as blocks:
            await counted(made, "connections")
            for topic, payload in (
                ("r1/f", b"\xff\x1b]0;title\x07"),
                ("m", b'{"v": 1,'),
                ("m", json.dumps({"v": 2, "t": "noon"}).encode()),
                ("m", json.dumps({"v": 3, "t": now + 7200}).encode()),
                ("m", json.dumps({"v": [], "t": now + 7200}).encode()),
                ("m", json.dumps({"w": 3, "t": now - 7200}).encode()),
                ("m", b'{"v": ' + b" " * (1 << 20) + b"1}"),
            ):
                await sensor.publish(topic, payload)
            await counted(made, "messages", 7)
            await sensor.publish("r1/f", "60")
            await sensor.publish("m", json.dumps({"v": 4, "t": "noon"}))
            block = await until(blocks, lambda block: last(block) == [60, 4])
            assert block.quality is not None
            assert list(block.quality[-1]) == [0, LATE]
    told = "\n".join(record.getMessage() for record in caplog.records)
    for text in (
        "topic 'r1/f', 'R1:F': '\ufffd\ufffd]0;title\ufffd' is no number",
        "topic 'm': column 9: not JSON: Expecting property name",
        "topic 'm', 'm': 'noon' is not a time; taken when it arrived, as late",
        "its time is 7,200 s ahead of this computer's clock; taken when it arrived, as late",
        "topic 'm': longer than 1 MiB; left out",
    ):
        assert text in told
    counts = made.statistics().stream
    assert [counts[name] for name in ("garbage_messages", "bad_times", "future_times")] == [1, 2, 2]


async def test_a_value_that_the_broker_kept_is_late_because_nobody_knows_how_old_it_is() -> None:
    async with broker() as port, aiomqtt.Client("127.0.0.1", port) as sensor:
        await sensor.publish("r1/f", "60", qos=1, retain=True)
        async with opened(source(port)) as blocks:
            block = await until(blocks, lambda block: last(block) == [60])
            assert block.quality is not None
            assert block.quality[-1, 0] == LATE
            await sensor.publish("r1/f", "61")
            assert (await until(blocks, lambda block: last(block) == [61])) is not None


async def test_more_messages_than_wait_drop_the_oldest_and_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt, "QUEUE", 10)
    made = source(1)
    client = made._client()
    queue = client._queue
    for number in range(25):
        queue.put_nowait(number)  # type: ignore[arg-type]
    assert [queue.get_nowait() for _ in range(queue.qsize())] == list(range(15, 25))
    assert made.statistics().stream["dropped_messages"] == 15


async def test_a_monitor_that_does_not_keep_up_loses_the_oldest_frames_and_they_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1_767_225_600 * SECOND]

    async def sleep(seconds: float) -> None:
        now[0] += max(1, round(seconds * SECOND))
        await asyncio.sleep(0)

    monkeypatch.setattr(mqtt, "time_ns", lambda: now[0])
    made = source(1, rate=120)
    await made.open()
    monkeypatch.setattr(mqtt, "sleep", sleep)
    blocks = made.blocks()
    first = await anext(blocks)
    now[0] += 100 * SECOND
    later = [await anext(blocks) for _ in range(3)]
    assert [len(block) for block in later[:2]] == [256, 224]  # four seconds of 120 frames
    assert later[0].row == first.row + len(first)
    skipped = (later[0].time[0] - first.time[-1]) / np.timedelta64(1, "s")
    assert skipped == pytest.approx(made.statistics().stream["dropped_frames"] / 120, abs=0.05)
    now[0] -= 3600 * SECOND  # the clock of this computer is put back
    back = await anext(blocks)
    assert back.time[0] < first.time[0]
    assert made.statistics().stream["clock_put_back"] == 1
    await made.close()


async def test_tls_checks_the_certificate_of_the_broker(tmp_path: Path) -> None:
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for piece, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(tmp_path / "cert.pem", append=bool(piece))
    files = {"certfile": str(tmp_path / "cert.pem"), "keyfile": str(tmp_path / "key.pem")}
    async with broker(ssl=True, **files) as port:
        login = {"host": "localhost", "tls": True, "username": "u", "password": CANARY}
        trusting = source(port, tmp_path, ca_file="ca.pem", **login)
        await trusting.open()
        await counted(trusting, "connections")
        await trusting.close()
        doubting = source(port, **login)
        await doubting.open()
        await counted(doubting, "lost_connections")
        assert not doubting.statistics().stream.get("connections")
        await doubting.close()


async def test_a_file_of_tls_that_is_missing_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="ca_file: .* cannot be read"):
        await source(1, tmp_path, tls=True, ca_file="none.pem").open()


async def test_a_reading_that_would_be_the_time_is_refused() -> None:
    made = source(1, readings={"time": {"topic": "t"}, "x": {"topic": "x"}})
    with pytest.raises(SourceError, match="the reading 'time' would be a time or a label"):
        await made.open()
    await made.close()


def test_the_password_comes_from_the_environment_and_is_in_no_output(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "source: {type: mqtt, host: broker.example, tls: true, username: u, password: '${SECRET}',\n"
        "  readings: {'R1:F': {topic: r1/f}}}\n"
    )
    loaded = load(file, environment={"SECRET": CANARY})
    settings: Any = loaded.source.config
    assert settings.password.get_secret_value() == CANARY
    assert CANARY not in as_yaml(loaded) + repr(settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"readings": {}}, "at least 1 item"),
        ({"readings": {"x": {"topic": "a/#/b"}}}, "# only the last one"),
        ({"readings": {"x": {"topic": "a/b+"}}}, "fill a whole level"),
        ({"readings": {"x": {"topic": "a/{d}/{d}"}}}, "stands in the topic twice"),
        ({"readings": {"x": {"topic": "a/{d}"}}}, "{d} is in the topic; put it in the name, or write +"),
        ({"readings": {"{e} {d}": {"topic": "a/{d}"}}}, "{e} is not in its topic"),
        ({"readings": {"x": {"topic": "a", "value": "b["}}}, "is no path at"),
        ({"readings": {"x": {"topic": "a", "known": {"d": ["1"]}}}}, "there is no {d} in the topic"),
        ({"readings": {"x": {"topic": "a", "time_unit": "s"}}}, "only with time:"),
        ({"username": "u", "password": "p"}, "a password is never sent without TLS"),
        ({"tls": True, "password": "p"}, "a password needs a username"),
        ({"late_after": "10s", "lost_after": "5s"}, "lost_after: not before late_after"),
        ({"rate": 0}, "greater than 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Mqtt.Config.model_validate({"host": "broker.example", "readings": PLAIN, **settings})


def test_without_the_library_the_configuration_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridtop.plugins.mqtt_broker.find_spec", lambda name: None)
    with pytest.raises(ValidationError, match=r"aiomqtt is not installed: pip install 'gridtop\[mqtt\]'"):
        Mqtt.Config.model_validate({"host": "broker.example", "readings": PLAIN})
