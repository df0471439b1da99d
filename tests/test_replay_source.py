"""The source `replay` reads ahead in a thread, stops at once, and tells what is wrong with a file."""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from gridtop.api import Block, Host, Seekable, Source, SourceError
from gridtop.naming import ChannelMap, ChannelMeaning
from gridtop.plugins.sources.replay import Replay

ROWS = 400


def source(
    folder: Path, path: str = "pmu.csv", rate: float | None = None, **channels: ChannelMeaning
) -> Replay:
    host = Host("grid", folder, folder, logging.getLogger("grid"), ChannelMap(channels))
    return Replay(Replay.Config(path=path, rate=rate), host)


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording of 400 rows that is read in some fifty chunks."""
    monkeypatch.setattr("gridtop.recordings.open_recording.__defaults__", (None, 64))
    (tmp_path / "pmu.csv").write_text("time,R1:F\n" + "".join(f"{k},{60 + k}\n" for k in range(ROWS)))
    return tmp_path


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "gridtop replay"]


async def frames(replay: Replay, start: int = 0) -> list[float]:
    return [
        value for block in [b async for b in replay.blocks(start)] for value in block.values[:, 0].tolist()
    ]


async def test_it_is_a_seekable_source_that_gives_every_frame(recording: Path) -> None:
    replay = source(recording)
    assert isinstance(replay, Source)
    assert isinstance(replay, Seekable)
    assert (replay.live, replay.extent) == (False, None)
    channels = await replay.open()
    assert (channels.names, channels.rate, channels.clock) == (("R1:F",), 1.0, "utc")
    assert replay.identity.startswith("pmu.csv:")
    assert replay.extent is not None
    assert replay.extent.frames == ROWS
    assert await frames(replay) == [60 + k for k in range(ROWS)]
    assert await frames(replay, 123) == [60 + k for k in range(123, ROWS)]
    assert await frames(replay, ROWS + 5) == []
    assert await replay.row_at(np.datetime64(17_500, "ms").astype("datetime64[ns]")) == 18
    await replay.close()
    assert not readers()


async def test_a_relative_path_starts_at_the_configuration_and_a_tilde_at_home(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(recording))
    for path in ("pmu.csv", "./pmu.csv", "~/pmu.csv", str(recording / "pmu.csv")):
        assert len(await source(recording, path).open()) == 1
    with pytest.raises(SourceError, match="home"):
        await source(recording, "~nobody-of-that-name/pmu.csv").open()
    with pytest.raises(SourceError, match=r"did you mean pmu\.csv\?"):
        await source(recording, "pnu.csv").open()


async def test_the_channel_map_and_the_rate_of_the_configuration_are_used(tmp_path: Path) -> None:
    (tmp_path / "pmu.csv").write_text("I\n1\n2\n")
    replay = source(tmp_path, rate=50, I=ChannelMeaning(quantity="current", unit="kA", terminal="F1"))
    channels = await replay.open()
    assert (channels[0].terminal, channels.rate, channels.clock) == ("F1", 50, "row")
    assert await frames(replay) == [1000, 2000]
    with pytest.raises(ValidationError):
        Replay.Config(path="pmu.csv", rate=0)


async def test_the_columns_of_a_file_without_a_header_are_named_in_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("0,60\n1,61\n")
    host = Host("grid", tmp_path, tmp_path, logging.getLogger("grid"), ChannelMap({}))
    replay = Replay(Replay.Config(path="bare.csv", columns=("time", "R1:F")), host)
    channels = await replay.open()
    assert (channels.names, channels.rate, channels.clock) == (("R1:F",), 1.0, "utc")
    assert await frames(replay) == [60, 61]
    assert await frames(replay, 1) == [61]
    with pytest.raises(SourceError, match=r"bare\.csv: line 1: 2 cells, source.columns names 1"):
        await Replay(Replay.Config(path="bare.csv", columns=("f",)), host).open()
    with pytest.raises(SourceError, match=r"columns: \[\.\.\.\], or let gridtop inspect"):
        await source(tmp_path, "bare.csv").open()
    with pytest.raises(ValidationError):
        Replay.Config(path="bare.csv", columns=())


async def test_it_reads_ahead_but_no_further_than_a_few_chunks(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = source(recording)
    await replay.open()
    given: list[Block] = []
    full = threading.Event()
    inner = replay._opened.blocks

    def counted(start: int) -> object:
        for block in inner(start):
            given.append(block)
            if len(given) == 5:
                full.set()
            yield block

    monkeypatch.setattr(replay._opened, "blocks", counted)
    stream = replay.blocks()
    await anext(stream)
    # One taken, three waiting, and the one that the thread holds in its hand.
    assert await asyncio.to_thread(full.wait, 30)
    assert len(given) == 5
    await stream.aclose()
    assert len(given) == 5


async def test_a_consumer_that_stops_early_ends_the_thread(recording: Path) -> None:
    replay = source(recording)
    await replay.open()
    stream = replay.blocks()
    await anext(stream)
    assert len(readers()) == 1
    await stream.aclose()
    assert not readers()


async def test_closing_the_source_ends_every_stream_and_is_legal_at_any_time(recording: Path) -> None:
    replay = source(recording)
    await replay.close()
    await replay.open()
    streams = [replay.blocks(), replay.blocks(7)]
    for stream in streams:
        await anext(stream)
    await replay.close()
    await replay.close()
    assert not readers()
    for stream in streams:
        assert len([block async for block in stream]) <= 3


async def test_a_cancelled_consumer_leaves_no_thread(recording: Path) -> None:
    replay = source(recording)
    await replay.open()
    taken = asyncio.Event()

    async def consume() -> None:
        async for _ in replay.blocks():
            taken.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(consume())
    await taken.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await replay.close()
    assert not readers()


async def test_a_defect_reaches_the_consumer_behind_the_frames_before_it(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gridtop.recordings.recording._HEAD_BYTES", 16)
    with (recording / "pmu.csv").open("a") as file:
        file.write("3,60\n")
    replay = source(recording)
    await replay.open()
    seen = 0

    async def consume() -> None:
        nonlocal seen
        async for block in replay.blocks():
            seen += len(block)

    with pytest.raises(SourceError, match=r"pmu.csv: line 402 \(row 401\), column 'time' .*backwards"):
        await consume()
    assert seen == ROWS
    assert not readers()


async def test_an_unforeseen_failure_of_the_reader_becomes_a_source_error(
    recording: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replay = source(recording)
    await replay.open()

    def broken(start: int) -> object:
        raise MemoryError("no room")
        yield

    monkeypatch.setattr(replay._opened, "blocks", broken)
    with pytest.raises(SourceError, match=r"pmu.csv: reading failed: MemoryError"):
        await frames(replay)


async def test_blocks_come_after_open(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="open"):
        await frames(source(tmp_path))
