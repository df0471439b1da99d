"""A monitor of a live source: what the source says of itself, silence, and recordings of what came."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from gridtop.api import Block, Channel, ChannelSet, Host, Quality, Settings
from gridtop.config import Configuration, load
from gridtop.errors import GridtopError
from gridtop.events import Event
from gridtop.monitor import Monitor
from gridtop.registry import Registry, discover
from gridtop.remote import RemoteClient
from gridtop.source_statistics import Statistics
from tests.serving import served, served_over_tcp, short_folder
from tests.streams import times

CHANNELS = ChannelSet(
    (
        Channel("R1-VA:V", "voltage", "V", "R1", "A", "magnitude", "line_to_neutral"),
        Channel("R1-VA:VH", "voltage", "deg", "R1", "A", "angle", "line_to_neutral"),
        Channel("R1:F", "frequency", "Hz", "R1"),
        Channel("R2-VA:V", "voltage", "V", "R2", "A", "magnitude", "line_to_neutral"),
    ),
    30.0,
)
"""Names that no naming scheme knows: only the recording can say what they mean."""

CONFIG = """\
source: {type: scripted}
site: {nominal: {voltage_ll: 230 kV}}
limits:
  voltage: {on: "*:voltage_pu", low: {critical: 0.9}, on_delay: 200ms}
  frequency: {on: "*:F", low: {warning: 59.9}}
sinks: {}
recording: {folder: kept}
"""


def story(frames: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Sags, a dip of the frequency, a gap, and values that are there but not to be trusted."""
    moment = np.arange(frames)
    values = np.column_stack(
        [
            np.where((moment > 60) & (moment < 120), 100e3, 132e3) + np.sin(moment) * 40,
            np.cumsum(np.full(frames, 0.7)) % 360 - 180,
            np.where((moment > 300) & (moment < 360), 59.8, 60.0) + np.sin(moment / 7) / 1e3,
            np.where((moment > 200) & (moment < 260), 100e3, 132e3),
        ]
    )
    quality = np.zeros(values.shape, dtype=np.uint16)
    values[400:440, 0] = np.nan
    quality[400:440, 0] = Quality.MISSING
    values[480:520, 0] = 90e3  # a sag by a clock that nobody trusts is no alarm of the grid
    quality[480:520, 0] = Quality.SUSPECT
    return values, quality


class Scripted:
    """A live source that gives what a test hands it, and then waits."""

    Config = Settings
    live = True
    identity = "scripted"
    made: Scripted

    def __init__(self, config: Settings, host: Host) -> None:
        Scripted.made = self
        self.problems: tuple[str, ...] = ()
        self.ended = False
        self.figures = Statistics(
            {"frames": 12, "latency_last": 0.5}, {'R"1': {"errors": 3}}, {'R"1': "late"}
        )
        self._blocks: asyncio.Queue[Block] = asyncio.Queue()
        self._row = 0

    def statistics(self) -> Statistics:
        return self.figures

    async def open(self) -> ChannelSet:
        return CHANNELS

    def give(self, values: np.ndarray, quality: np.ndarray | None = None) -> None:
        """The next frames."""
        time = times(len(values), 30.0, self._row)
        self._blocks.put_nowait(Block(CHANNELS, time, values.copy(), quality, row=self._row))
        self._row += len(values)

    async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        while not (self.ended and self._blocks.empty()):
            with contextlib.suppress(TimeoutError):
                yield await asyncio.wait_for(self._blocks.get(), 0.02)

    async def close(self) -> None:
        pass


class WithScripted(Registry):
    """The built-in plugins and the scripted source."""

    def load(self, kind: Any, name: str) -> Any:
        return Scripted if name == "scripted" else discover().load(kind, name)


def configuration(folder: Path, *overrides: str, recording: Path | None = None) -> Configuration:
    path = folder / "config.yaml"
    path.write_text(CONFIG)
    return load(
        path, overrides=overrides, recording=recording, registry=WithScripted(), environment=os.environ
    )


@contextlib.asynccontextmanager
async def running(monitor: Monitor) -> AsyncIterator[Scripted]:
    task = asyncio.create_task(monitor.run())
    await monitor.opened()
    try:
        yield Scripted.made
    finally:
        monitor.stop()
        await task


async def until(condition: Any) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


def told(monitor: Monitor, kind: str = "system") -> list[str]:
    return [event.message for event in monitor.events(0, 10**6) if event.kind == kind]


def as_bytes(events: Sequence[Event]) -> bytes:
    """Alarms and data events without what names the run: ids, numbers, the wall clock."""
    left_out = ("id", "incident", "parent", "seq", "wall")
    lines = (
        {key: value for key, value in event.to_dict().items() if key not in left_out}
        for event in events
        if event.kind in ("alarm", "data")
    )
    return "\n".join(json.dumps(line) for line in lines).encode()


async def test_troubles_of_a_source_are_events_and_problems(tmp_path: Path) -> None:
    clock = [0.0]
    monitor = Monitor(configuration(tmp_path), clock=lambda: clock[0])
    async with running(monitor) as source:
        source.problems = ("pmu1: the connection is lost",)
        assert "pmu1: the connection is lost" in monitor.snapshot().problems
        await until(lambda: told(monitor))
        source.problems = ()
        await until(lambda: len(told(monitor)) > 1)
        assert monitor.snapshot().problems == ()
    assert told(monitor) == ["pmu1: the connection is lost", "over: pmu1: the connection is lost"]
    assert [event.severity for event in monitor.events() if event.kind == "system"] == ["warning", "info"]


async def test_figures_of_devices_are_served_and_measured(tmp_path: Path) -> None:
    monitor = Monitor(configuration(tmp_path))
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession(url) as client:
        await monitor.opened()
        async with client.get("/v1/statistics") as answer:
            assert await answer.json() == {
                "stream": {"frames": 12, "latency_last": 0.5},
                "devices": {'R"1': {"errors": 3}},
                "words": {'R"1': "late"},
            }
        async with client.get("/metrics") as answer:
            lines = (await answer.text()).splitlines()
    assert 'gridtop_source_total{what="frames"} 12' in lines
    assert 'gridtop_source{what="latency_last"} 0.5' in lines
    assert 'gridtop_device_total{device="R\\"1",what="errors"} 3' in lines


async def test_silence_of_a_live_source_is_counted_and_ends_with_a_frame(tmp_path: Path) -> None:
    clock = [100.0]
    monitor = Monitor(configuration(tmp_path), clock=lambda: clock[0])
    async with running(monitor) as source:
        clock[0] = 103.0
        assert monitor.snapshot().transport.silence == 3.0
        source.give(story(10)[0])
        await until(lambda: monitor.snapshot().counts.frames)
        assert monitor.snapshot().transport.silence == 0.0
        clock[0] = 104.5
        assert monitor.snapshot().transport.silence == 1.5
        source.give(np.full((10, 4), np.nan))  # what a source makes up is no sign of life
        await until(lambda: monitor.snapshot().counts.frames == 20)
        assert monitor.snapshot().transport.silence == 1.5


async def test_a_recording_has_no_silence(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("R1:F\n" + "60\n" * 30)
    monitor = Monitor(configuration(tmp_path, "limits={}", recording=tmp_path / "one.csv"))
    task = asyncio.create_task(monitor.run())
    await monitor.opened()
    assert monitor.snapshot().transport.silence == 0.0
    with pytest.raises(GridtopError, match=r"one\.csv is a recording already; gridtop export"):
        await monitor.record(True)
    monitor.stop()
    await task


@pytest.mark.parametrize("cut", [1, 7, 256])
async def test_a_live_run_and_the_replay_of_its_recording_give_the_same_events(
    tmp_path: Path, cut: int
) -> None:
    values, quality = story()
    kept = tmp_path / "kept.gridtop"
    live = Monitor(configuration(tmp_path), record=kept)
    async with running(live) as source:
        for at in range(0, len(values), cut):
            source.give(values[at : at + cut], quality[at : at + cut])
        await until(lambda: live.snapshot().counts.frames == len(values))
        status = live.snapshot().recording
        assert status is not None
        assert (status.path, status.dropped, status.problem) == (str(kept), 0, "")
    replay = Monitor(configuration(tmp_path, "source.speed=max", recording=kept), stop_at_end=True)
    await replay.run()
    assert replay.snapshot().counts.frames == len(values)
    rules = {event.rule for event in live.events(0, 10**6) if event.kind == "alarm"}
    assert rules == {"voltage", "frequency"}
    assert as_bytes(replay.events(0, 10**6)) == as_bytes(live.events(0, 10**6))


async def test_a_recording_is_begun_and_ended_while_the_monitor_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values, quality = story(90)
    monitor = Monitor(configuration(tmp_path), wall=lambda: 1_790_000_000.0)
    async with running(monitor) as source:
        source.give(values[:30], quality[:30])
        await until(lambda: monitor.snapshot().counts.frames == 30)
        assert monitor.snapshot().recording is None
        await monitor.record(True)
        await monitor.record(True)  # it is so already
        status = monitor.snapshot().recording
        assert status is not None
        source.give(values[30:60], quality[30:60])
        await until(lambda: monitor.snapshot().counts.frames == 60)
        await monitor.record(False)
        await monitor.record(False)
        assert monitor.snapshot().recording is None
        source.give(values[60:], quality[60:])
        await until(lambda: monitor.snapshot().counts.frames == 90)
    [file] = (tmp_path / "kept").iterdir()
    assert file.name == "scripted-20260921T141320Z.gridtop"
    begun, ended = told(monitor)
    assert begun.startswith("recording to ")
    assert begun.endswith(file.name)
    assert ended.startswith("recorded 30 frames, ")
    replay = Monitor(configuration(tmp_path, "source.speed=max", recording=file), stop_at_end=True)
    await replay.run()
    assert replay.snapshot().counts.frames == 30


async def test_recordings_begin_and_end_over_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monitor = Monitor(configuration(tmp_path))
    async with served_over_tcp(monitor) as (url, _), aiohttp.ClientSession(url) as client:
        await monitor.opened()
        for body in ({}, {"on": 1}, {"on": "yes"}):
            async with client.post("/v1/recording", json=body) as answer:
                assert answer.status == 400
        async with client.post("/v1/recording", json={"on": True, "path": "/etc/passwd"}) as answer:
            assert answer.status == 204
        async with client.get("/v1/snapshot") as answer:
            recording = (await answer.json())["recording"]
        assert Path(recording["path"]).parent.name == "kept"
        async with client.get("/metrics") as answer:
            assert "gridtop_recording_dropped 0" in (await answer.text()).splitlines()
        async with client.post("/v1/recording", json={"on": False}) as answer:
            assert answer.status == 204
        assert monitor.snapshot().recording is None


async def test_a_recording_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("no folder")
    monitor = Monitor(configuration(tmp_path, f"recording.folder={tmp_path / 'kept'}"))
    async with running(monitor):
        with pytest.raises(GridtopError, match="kept"):
            await monitor.record(True)
        assert monitor.snapshot().recording is None


async def test_a_source_that_does_not_open_yet_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = asyncio.Event()

    async def slowly(self: Scripted) -> ChannelSet:
        self.problems = ("nobody listens at pmu1:4712",)
        await opening.wait()
        self.problems = ()
        return CHANNELS

    monkeypatch.setattr(Scripted, "open", slowly)
    monitor = Monitor(configuration(tmp_path))
    with short_folder() as folder:
        async with served(monitor, folder / "s.sock"):
            client = RemoteClient(folder / "s.sock")
            greeting = asyncio.create_task(client.hello())
            await until(lambda: client.link.detail == "nobody listens at pmu1:4712")
            assert client.link.state == "connecting"
            assert monitor.snapshot().problems == ("nobody listens at pmu1:4712",)
            opening.set()
            assert (await greeting).source == "scripted"
            assert client.link.state == "up"
            await client.close()
