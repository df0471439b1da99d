"""The live source `simulate` keeps time, loses nothing and says what is missing."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from gridtop.api import Block, Host, Quality, Source, SourceError
from gridtop.naming import ChannelMap, ChannelMeaning
from gridtop.plugins.sources import simulate
from gridtop.plugins.sources.simulate import Simulate
from gridtop.simulation import NUMERIC_COLUMNS, Simulation, timetable

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    """A monotonic clock that moves only when someone sleeps or a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(simulate, "monotonic", clock)
    monkeypatch.setattr(simulate, "sleep", clock.sleep)
    return clock


def source(channels: dict[str, ChannelMeaning] | None = None, **settings: Any) -> Simulate:
    config = Simulate.Config(**{"start": START, **settings})
    host = Host("grid", Path(), Path(), logging.getLogger("grid"), ChannelMap(channels))
    return Simulate(config, host)


async def take(grid: Simulate, count: int) -> list[Block]:
    """The first blocks that together have `count` frames or more."""
    await grid.open()
    blocks: list[Block] = []
    async for block in grid.blocks():
        blocks.append(block)
        if block.row + len(block) >= count:
            break
    return blocks


async def test_channels_are_those_of_four_relays() -> None:
    grid = source(rate=50)
    assert isinstance(grid, Source)
    assert grid.live
    channels = await grid.open()
    assert channels.names == NUMERIC_COLUMNS
    assert channels.rate == 50
    assert channels.clock == "utc"
    assert {channel.terminal for channel in channels} == {"R1", "R2", "R3", "R4"}
    await grid.close()
    await grid.close()


async def test_frames_come_when_they_are_due_and_not_before(clock: Clock) -> None:
    grid = source(rate=30)
    await grid.open()
    begun = clock.now
    async for block in grid.blocks():
        assert len(block) <= 4
        # The clock adds up tenths of seconds; a billionth of a second is not early.
        assert (block.row + len(block) - 1) / 30 <= clock.now - begun + 1e-9
        assert clock.now - begun - block.row / 30 < 0.1 + 1e-9
        if block.row > 3000:
            break


async def test_blocks_are_the_simulation_at_measurement_time(clock: Clock) -> None:
    blocks = await take(source(seed=4), 900)
    count = blocks[-1].row + len(blocks[-1])
    expected = Simulation(events=timetable(4), seed=4).read(count)
    values = np.concatenate([block.values for block in blocks])
    finite = np.isfinite(expected.values)
    # The angle of the impedance is in radians in the columns and in degrees in the channel.
    same = [i for i, name in enumerate(NUMERIC_COLUMNS) if not name.endswith(":ZH")]
    np.testing.assert_array_equal(values[:, same][finite[:, same]], expected.values[:, same][finite[:, same]])
    assert np.concatenate([block.labels["marker"] for block in blocks]).tolist() == expected.labels.tolist()
    times = np.concatenate([block.time for block in blocks])
    np.testing.assert_array_equal(times, np.datetime64("2026-03-01T12:00:00", "ns") + expected.time)
    assert [block.row for block in blocks] == np.cumsum([0, *map(len, blocks[:-1])]).tolist()


async def test_slow_reader_gets_everything_in_bounded_blocks(clock: Clock) -> None:
    grid = source()
    await grid.open()
    expected_row, lengths = 0, []
    async for block in grid.blocks():
        assert block.row == expected_row
        expected_row += len(block)
        lengths.append(len(block))
        if block.row == 0:
            clock.now += 60
        if expected_row > 1790:
            break
    assert max(lengths) == 256


async def test_open_line_is_flagged_infinite(clock: Clock) -> None:
    grid = source(seed=1)
    channels = await grid.open()
    impedance = channels.position("R1-PA:Z"), channels.position("R3-PA:Z")
    async for block in grid.blocks():
        clock.now += 5
        assert not np.isinf(block.values).any()
        if block.quality is not None:
            break
    assert block.quality is not None
    infinite = block.quality == Quality.INFINITE
    assert infinite[:, impedance].any()
    np.testing.assert_array_equal(np.isnan(block.values), block.quality != 0)


async def test_beginning_anew_gives_the_same_grid(clock: Clock) -> None:
    grid = source()
    first, second = await take(grid, 90), await take(grid, 90)
    assert second[0].row == 0
    np.testing.assert_array_equal(first[0].values, second[0].values)
    assert source().identity == grid.identity != source(seed=2).identity


async def test_channel_map_chooses_and_scales(clock: Clock) -> None:
    grid = source(
        {
            "R1-PM1:V": ChannelMeaning(quantity="voltage", unit="V", scale=2, terminal="HOME", phase="A"),
            "R1:S": ChannelMeaning(quantity="label"),
            "marker": ChannelMeaning(ignore=True),
            "R*": ChannelMeaning(ignore=True),
        }
    )
    channels = await grid.open()
    assert channels[0].terminal == "HOME"
    (block,) = await take(grid, 1)
    assert 2 * 125e3 < block.values[0, 0] < 2 * 140e3
    assert {name: label.tolist() for name, label in block.labels.items()} == {"R1:S": ["0.0"]}


@pytest.mark.parametrize(
    "channels",
    [{"*": ChannelMeaning(ignore=True)}, {"marker": ChannelMeaning(quantity="other_text")}],
)
async def test_impossible_channel_map_is_a_source_error(channels: dict[str, ChannelMeaning]) -> None:
    with pytest.raises(SourceError, match="simulated grid"):
        await source(channels).open()


@pytest.mark.parametrize("settings", [{"rate": 1}, {"seed": -1}, {"speed": 2}, {"start": "yesterday"}])
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Simulate.Config(**settings)


@pytest.mark.parametrize(
    "start", ["2026-03-01T12:00:00Z", "2026-03-01T12:00:00", "2026-03-01T14:00:00+02:00"]
)
async def test_start_is_utc_unless_it_says_otherwise(clock: Clock, start: str) -> None:
    (block,) = await take(source(start=start), 1)
    assert block.time[0] == np.datetime64("2026-03-01T12:00:00", "ns")
