"""The whole street, from the bundled recording to events: always the same, byte for byte."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from gridtop.client import TelemetryRequest
from gridtop.config import load
from gridtop.errors import ConfigurationError, SourceError
from gridtop.events import Event
from gridtop.in_process import InProcessClient
from gridtop.monitor import Monitor

CONFIG = Path(__file__).parent.parent / "config.yaml"


def monitor(*overrides: str, path: Path = CONFIG, **options: object) -> Monitor:
    """A monitor of the shipped configuration that ends with its recording."""
    configuration = load(path, overrides=["source.loop=false", *overrides], environment=os.environ)
    return Monitor(configuration, **{"stop_at_end": True, **options})  # type: ignore[arg-type]


def as_bytes(events: Sequence[Event]) -> bytes:
    """What must be the same: alarm and data events without their number and the wall clock."""
    lines = (
        {key: value for key, value in event.to_dict().items() if key not in ("seq", "wall")}
        for event in events
        if event.kind in ("alarm", "data")
    )
    return "\n".join(json.dumps(line) for line in lines).encode()


async def log_of(block_frames: int | None, speed: str, *overrides: str) -> bytes:
    running = monitor(f"source.speed={speed}", *overrides, block_frames=block_frames)
    await running.run()
    return as_bytes(running.events(0, 10**6))


@pytest.fixture(scope="module")
def reference() -> bytes:
    return asyncio.run(log_of(None, "max"))


def test_the_bundled_recording_tells_a_story(reference: bytes) -> None:
    events = [json.loads(line) for line in reference.splitlines()]
    assert {event["transition"] for event in events} >= {"raised", "eased", "cleared"}
    assert {event["rule"] for event in events} >= {"voltage", "current", "frequency"}
    assert {event["severity"] for event in events} == {"warning", "critical"}
    order = [(e["row"], e["rule"], e["channel"], e["direction"]) for e in events]
    assert order == sorted(order)
    assert len({event["id"] for event in events}) == len(events)


async def test_events_are_the_same_one_frame_at_a_time() -> None:
    # The models are tried so in test_model_detectors: here they would take minutes.
    without = [f"detectors.{name}.enabled=false" for name in ("forest", "isolation", "autoencoder")]
    assert await log_of(1, "max", *without) == await log_of(None, "max", *without)


@pytest.mark.parametrize("size", [7, 256, 4096])
async def test_events_are_the_same_at_any_block_size(size: int, reference: bytes) -> None:
    assert await log_of(size, "max") == reference


async def test_events_are_the_same_at_another_speed(reference: bytes) -> None:
    assert await log_of(None, "50") == reference


async def test_events_are_the_same_with_the_screen(reference: bytes) -> None:
    from gridtop.tui.app import GridtopApp

    for speed in ("max", "50"):
        running = monitor(f"source.speed={speed}", stop_at_end=False)
        app = GridtopApp(InProcessClient(running))
        async with app.run_test(size=(80, 24)):
            while running.snapshot().transport.state != "ended":
                await asyncio.sleep(0.05)
            assert as_bytes(running.events(0, 10**6)) == reference


async def test_a_client_sees_the_recording_pass_by_and_steers_it() -> None:
    client = InProcessClient(monitor("source.speed=max", stop_at_end=False))
    hello = await client.hello()
    assert hello.source == "two-line.csv.gz"
    assert "R1:voltage_pu.A" in hello.channels.names
    while (await client.snapshot()).transport.state != "ended":
        await asyncio.sleep(0.01)
    snapshot = await client.snapshot()
    assert snapshot.counts.frames == snapshot.transport.frames == 9000
    page = await client.events(after=0, limit=10)
    assert [event.seq for event in page] == list(range(1, 11))
    assert [event.seq for event in await client.events(after=snapshot.seq - 2)] == [
        snapshot.seq - 1,
        snapshot.seq,
    ]
    seen = await client.telemetry(TelemetryRequest(("R1-PM1:V", "R1:F"), 60.0, 100))
    assert 100e3 < seen.latest[0] < 150e3
    assert seen.latest[1] == pytest.approx(60.0, abs=0.5)

    await client.seek(1000)
    while (await client.snapshot()).transport.state != "paused":
        await asyncio.sleep(0.01)
    while (await client.snapshot()).transport.row != 1001:
        await asyncio.sleep(0.01)
    assert (await client.snapshot()).transport.pass_number == 2
    await client.close()


async def test_open_alarms_end_as_reset_when_a_new_pass_begins(tmp_path: Path) -> None:
    (tmp_path / "low.csv").write_text("R1-PM1:V\n" + "100000\n" * 200)
    config = tmp_path / "config.yaml"
    config.write_text(
        "source: {type: replay, path: low.csv, rate: 30, speed: max, loop: true}\n"
        "site: {nominal: {voltage_ll: 230 kV}}\n"
        'limits: {voltage: {on: "*:voltage_pu", low: {critical: 0.9}}}\n'
    )
    running = monitor("source.loop=true", path=config, stop_at_end=False)
    task = asyncio.create_task(running.run())
    while len(running.events()) < 4:
        await asyncio.sleep(0.01)
    running.stop()
    await task
    events = running.events()
    assert [event.transition for event in events[:4]] == ["raised", "reset", "raised", "reset"]
    assert [event.pass_number for event in events[:4]] == [1, 1, 2, 2]
    assert len({event.id for event in events}) == len(events)
    assert events[0].time is None
    assert events[0].row == 3


async def test_unreadable_cells_are_counted_and_told_once_a_channel(tmp_path: Path) -> None:
    rows = ["60.0,132000"] * 50
    rows[10] = "oops,inf"
    rows[20] = "oops,"
    (tmp_path / "odd.csv").write_text("R1:F,R1-PM1:V\n" + "\n".join(rows) + "\n")
    config = tmp_path / "config.yaml"
    config.write_text("source: {type: replay, path: odd.csv, speed: max}\n")
    running = monitor(path=config)
    await running.run()
    events = running.events()
    assert [(event.kind, event.channel, event.row) for event in events] == [("data", "R1:F", 10)]
    counts = running.snapshot().counts
    assert (counts.unreadable, counts.infinite, counts.missing) == (2, 1, 1)


async def test_a_limit_on_what_the_recording_does_not_have_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("R1-PM1:V\n1\n2\n")
    config = tmp_path / "config.yaml"
    config.write_text(
        "source: {type: replay, path: few.csv}\n"
        'limits: {voltage: {on: "*:voltage_pu", low: {critical: 0.9}}}\n'
    )
    with pytest.raises(
        ConfigurationError, match=r"voltage_pu of R1-PM1:V: site\.nominal\.voltage_ll is not given"
    ):
        await monitor(path=config).run()


async def test_a_source_that_cannot_open_fails_in_words_for_the_run_and_for_clients(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("source: {type: replay, path: nowhere.csv}\n")
    with pytest.raises(SourceError, match=r"nowhere\.csv"):
        await monitor(path=config).run()
    client = InProcessClient(monitor(path=config))
    with pytest.raises(SourceError, match=r"nowhere\.csv"):
        await client.hello()
    assert (await client.snapshot()).transport.state == "failed"
    await client.close()


async def test_a_recording_that_breaks_off_fails_in_words_after_its_events(tmp_path: Path) -> None:
    rows = ["100000.000000"] * 200_000
    rows[190_000] = "100000,7"
    (tmp_path / "torn.csv").write_text("R1-PM1:V,x\n" + "\n".join(row + ",1" for row in rows) + "\n")
    config = tmp_path / "config.yaml"
    config.write_text(
        "source: {type: replay, path: torn.csv, speed: max}\nsite: {nominal: {voltage_ll: 230 kV}}\n"
        'limits: {voltage: {on: "*:voltage_pu", low: {critical: 0.9}}}\n'
    )
    running = monitor(path=config)
    with pytest.raises(SourceError, match=r"torn\.csv: line 190002"):
        await running.run()
    assert [event.transition for event in running.events()] == ["raised"]
    assert running.snapshot().transport.state == "failed"


@pytest.mark.parametrize("method", ["open", "blocks"])
async def test_a_source_that_raises_ends_the_run_in_words(method: str, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "rough.py").write_text(
        "from gridtop.api import *\n"
        "class Rough:\n"
        "    Config = Settings\n    live = True\n    identity = 'rough'\n"
        "    def __init__(self, config, host): pass\n"
        "    async def open(self):\n"
        f"        if {method == 'open'}: raise RuntimeError('boom')\n"
        "        return ChannelSet((Channel('a'),), 10.0)\n"
        "    async def blocks(self, start=0):\n"
        "        raise RuntimeError('boom')\n"
        "        yield\n"
        "    async def close(self): pass\n"
        "@hookimpl\n"
        "def gridtop_sources():\n    return [SourceSpec('rough', Rough, 'rough')]\n"
    )
    config = tmp_path / "config.yaml"
    config.write_text("source: {type: rough}\nplugins: {dirs: [plugins]}\n")
    with pytest.raises(SourceError, match="boom"):
        await monitor(path=config).run()


async def test_a_sink_that_cannot_be_built_is_told_to_clients_as_the_reason(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "rude.py").write_text(
        "from gridtop.api import *\n"
        "class Rude:\n"
        "    Config = Settings\n"
        "    def __init__(self, config, host): raise RuntimeError('boom')\n"
        "    async def open(self): pass\n"
        "    async def send(self, events): pass\n"
        "    async def close(self): pass\n"
        "@hookimpl\n"
        "def gridtop_sinks():\n    return [SinkSpec('rude', Rude, 'rude')]\n"
    )
    (tmp_path / "few.csv").write_text("R1:F\n60\n60\n")
    config = tmp_path / "config.yaml"
    config.write_text(
        "source: {type: replay, path: few.csv}\nplugins: {dirs: [plugins]}\nsinks: {out: {type: rude}}\n"
    )
    client = InProcessClient(monitor(path=config))
    with pytest.raises(ConfigurationError, match="out .type rude. cannot be built: .*boom"):
        await client.hello()
    assert (await client.snapshot()).transport.state == "failed"
    await client.close()


async def test_a_broken_plugin_that_nobody_uses_is_an_event_and_a_problem(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "broken.py").write_text("import nothing_of_this_name\n")
    (tmp_path / "few.csv").write_text("R1:F\n60\n60\n")
    config = tmp_path / "config.yaml"
    config.write_text("source: {type: replay, path: few.csv, speed: max}\nplugins: {dirs: [plugins]}\n")
    running = monitor(path=config)
    await running.run()
    (event,) = running.events()
    assert event.kind == "plugin"
    assert "nothing_of_this_name" in event.message
    assert running.snapshot().problems == (event.message,)


async def test_what_a_profile_cannot_watch_is_told_once_and_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("R1:F\n60\n60\n")
    config = tmp_path / "config.yaml"
    config.write_text("source: {type: replay, path: few.csv, speed: max}\nlimits: {profile: tx60}\n")
    running = monitor(path=config)
    await running.run()
    [event] = [event for event in running.events() if event.rule == "limits"]
    assert (event.kind, event.transition, event.severity, event.row) == ("plugin", "noticed", "info", 0)
    assert event.message.startswith("profile tx60: ")
    assert running.snapshot().problems == ()
    assert running.worst is None


async def refused(tmp_path: Path, limits: str) -> list[str]:
    """The lines of the error that a recording of one frequency gives with these limits."""
    (tmp_path / "few.csv").write_text("R1:F\n60\n60\n")
    config = tmp_path / "config.yaml"
    config.write_text(f"source: {{type: replay, path: few.csv, speed: max}}\nlimits: {limits}\n")
    with pytest.raises(ConfigurationError) as caught:
        await monitor(path=config).run()
    return str(caught.value).splitlines()


async def test_rule_that_matches_nothing_says_why_for_what_it_names_only(tmp_path: Path) -> None:
    high = "high: {warning: 1}"
    first, *reasons = await refused(tmp_path, f'{{slope: {{on: "R1:rocof", {high}}}}}')
    assert first.startswith("limits.slope.on: no channel matches 'R1:rocof'")
    assert reasons == ["  rocof of R1: the recording has no times"]
    assert len(await refused(tmp_path, f'{{slope: {{on: "R1:rocovf", {high}}}}}')) == 1


async def test_reasons_are_at_most_five(tmp_path: Path) -> None:
    lines = await refused(tmp_path, '{much: {on: "R9:*", high: {warning: 1}}, profile: tx60}')
    assert len(lines) == 1 + 5 + 1
    assert lines[-1].startswith("  and ")
    assert lines[-1].endswith(" more: gridtop inspect says what a recording holds")


async def test_a_detector_that_raises_is_an_event_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "bad.py").write_text(
        "class Bad:\n"
        "    def __init__(self, config, channels):\n        self.outputs = channels.names\n"
        "    def score(self, block):\n        raise RuntimeError('boom')\n"
    )
    (tmp_path / "low.csv").write_text("R1-PM1:V\n" + "100000\n" * 200)
    config = tmp_path / "config.yaml"
    config.write_text(
        "source: {type: replay, path: low.csv, speed: max}\nplugins: {dirs: [plugins]}\n"
        "site: {nominal: {voltage_ll: 230 kV}}\n"
        'limits: {voltage: {on: "*:voltage_pu", low: {critical: 0.9}}}\n'
        "detectors: {bad: {type: bad, alarm: {high: {warning: 1}}}}\n"
    )
    running = monitor(path=config, block_frames=20)
    await running.run()
    events = running.events()
    assert [event.transition for event in events if event.kind == "alarm"] == ["raised"]
    assert any("boom" in event.message for event in events if event.kind == "plugin")
    assert any("bad" in line for line in running.snapshot().problems)
