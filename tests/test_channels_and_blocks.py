"""Channels are chosen by globs; blocks are read-only and cut without copying."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.api import Block, Channel, ChannelSet, seconds_to_time
from tests.streams import block_of, channel_set, times

PHASES = ChannelSet(
    tuple(Channel(f"R1:voltage_pu.{p}", "voltage_pu", "pu", "R1", p) for p in "ABC")
    + (Channel("R1:F", "frequency", "Hz", "R1"), Channel("odd [name] *", "other"))
)


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (["*"], (0, 1, 2, 3, 4)),
        (["R1:voltage_pu"], (0, 1, 2)),
        (["*:voltage_pu"], (0, 1, 2)),
        (["*:voltage_pu.B"], (1,)),
        (["R*", "!R1:voltage_pu"], (3,)),
        (["R*", "!*.A", "R1:voltage_pu.A"], (0, 1, 2, 3)),
        (["odd [name] *"], (4,)),
        (["r1:f"], ()),
        ([], ()),
    ],
)
def test_globs_choose_channels_in_column_order(patterns: list[str], chosen: tuple[int, ...]) -> None:
    assert PHASES.select(patterns) == chosen


def test_two_channels_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two channels are called 'a'"):
        ChannelSet((Channel("a"), Channel("a")))
    with pytest.raises(ValueError, match="two channels"):
        channel_set("a").extended([Channel("a")])


def test_a_block_is_read_only() -> None:
    block = block_of([[1.0], [2.0]], channel_set("a"))
    with pytest.raises(ValueError, match="read-only"):
        block.values[0, 0] = 5.0
    with pytest.raises(ValueError, match="read-only"):
        block.time[0] = np.datetime64("now")


def test_shapes_that_do_not_agree_are_refused() -> None:
    channels = channel_set("a", "b")
    with pytest.raises(ValueError, match="2 frames and 2 channels"):
        Block(channels, times(2), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="quality"):
        Block(channels, times(2), np.zeros((2, 2)), np.zeros((1, 2), dtype=np.uint16))
    with pytest.raises(ValueError, match="label 'marker'"):
        Block(channels, times(2), np.zeros((2, 2)), labels={"marker": np.array(["x"])})


@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_slices_know_their_rows_and_share_memory(n: int, start: int, stop: int) -> None:
    block = block_of(np.arange(float(n)), channel_set("a"), row=100)
    part = block.slice(start, stop)
    assert part.rows.tolist() == list(range(100, 100 + n))[start:stop]
    assert part.values[:, 0].tolist() == list(np.arange(float(n))[start:stop])
    assert len(part) == 0 or np.shares_memory(part.values, block.values)


def test_seconds_become_nanosecond_times() -> None:
    assert str(seconds_to_time([0.1])[0]) == "1970-01-01T00:00:00.100000000"
