"""Several sources as one stream: which frame goes where, who waits for whom, whose clock is right."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtop.api import (
    Block,
    Channel,
    ChannelSet,
    Counting,
    Host,
    Quality,
    Settings,
    Source,
    SourceError,
    Statistics,
)
from gridtop.config import load
from gridtop.naming import ChannelMap
from gridtop.plugins.sources.align import Align
from gridtop.plugins.sources.align.alignment import Alignment, Joined, Waiting
from gridtop.plugins.sources.align.feeds import FEWEST_FRAMES, Feed
from gridtop.plugins.sources.align.grid import Grid
from gridtop.plugins.sources.c37118 import C37118
from gridtop.plugins.sources.c37118.source import C37118Config
from gridtop.problems import InvalidConfiguration
from gridtop.synchrophasor.frame_clock import FrameClock
from gridtop.synchrophasor.pmus import Configuration
from tests.c37118_devices import LoopbackPmu, configuration, data, eventually, pmu
from tests.streams import START, ListSource, VirtualTimeLoop, channel_set

LATE, MISSING = int(Quality.LATE), int(Quality.MISSING)
SECOND = 1_000_000_000
EPOCH = int(START.astype(np.int64))


def stamps(numbers: Sequence[int] | np.ndarray, rate: float, shift: float = 0.0) -> np.ndarray:
    """The times of frames by their numbers at a rate, all `shift` seconds off."""
    seconds = np.asarray(numbers, dtype=np.float64) / rate + shift
    return START + np.round(seconds * 1e9).astype("timedelta64[ns]")


def frames(
    channels: ChannelSet, numbers: Sequence[int] | np.ndarray, shift: float = 0.0, rate: float | None = None
) -> Block:
    """Frames by number; a value is the frame's number plus a hundredth of its column."""
    numbers = np.asarray(numbers)
    values = numbers[:, np.newaxis] + np.arange(len(channels)) / 100.0
    return Block(channels, stamps(numbers, rate or channels.rate or 10.0, shift), values)


def one(blocks: Sequence[Block]) -> Block:
    """Blocks that follow each other as one, flags always there."""
    flags = [
        np.zeros(each.values.shape, np.uint16) if each.quality is None else each.quality for each in blocks
    ]
    time = np.concatenate([each.time for each in blocks])
    assert (np.diff(time) > np.timedelta64(0)).all()
    assert [each.row for each in blocks] == list(np.cumsum([0, *map(len, blocks)])[:-1] + blocks[0].row)
    labels = {
        name: np.concatenate([each.labels[name] for each in blocks]).astype(np.str_)
        for name in blocks[0].labels
    }
    values = np.concatenate([each.values for each in blocks])
    return Block(blocks[0].channels, time, values, np.concatenate(flags), labels, blocks[0].row)


def equal(first: Block, second: Block) -> bool:
    assert first.quality is not None
    assert second.quality is not None
    return (
        np.array_equal(first.time, second.time)
        and first.values.tobytes() == second.values.tobytes()
        and np.array_equal(first.quality, second.quality)
    )


class Trial:
    """An alignment of sources called a, b, c... with the channels a:x, a:y, b:x..., fed by hand."""

    def __init__(
        self,
        *rates: float,
        grid: float | None = None,
        wait: float | None = 0.5,
        disagreement: float = 2.0,
        hold: float = 5.0,
        columns: int = 1,
    ) -> None:
        self.sets = {
            name: channel_set(*(f"{name}:{c}" for c in "xyz"[:columns]), rate=rate)
            for name, rate in zip("abcdef", rates, strict=False)
        }
        every = tuple(channel for each in self.sets.values() for channel in each)
        rate = grid or max(rates)
        joined = [Joined(name, each, each.rate or 1.0) for name, each in self.sets.items()]
        self.channels = ChannelSet(every, rate)
        waiting = None if wait is None else Waiting(wait, disagreement)
        self.core = Alignment(joined, self.channels, Grid.of(rate), hold, waiting)
        self.blocks: list[Block] = []
        self.wall_step = 0.0

    def put(self, name: str, numbers: Sequence[int], now: float, shift: float = 0.0) -> None:
        """Frames by number that arrive at `now`; 0 is when this computer's clock shows `START`."""
        wall = EPOCH + round((now + self.wall_step) * SECOND)
        self.core.put(name, frames(self.sets[name], numbers, shift), now, wall)

    def take(self, now: float) -> list[Block]:
        taken = list(self.core.take(now))
        self.blocks += taken
        return taken

    def look(self, now: float) -> tuple[list[list[float]], list[list[int]]]:
        """The values and the flags of the frames that are known by now."""
        taken = self.take(now)
        if not taken:
            return [], []
        block = one(taken)
        assert block.quality is not None
        return block.values.tolist(), block.quality.tolist()

    def run(self, until: float, start: float = 0.0, **feeds: tuple[float, float]) -> None:
        """Ten times a second what has become due: for each source the shift of its clock, and its delay."""
        done = dict.fromkeys(feeds, -1)
        for tick in range(round(start * 10) + 1, round(until * 10) + 1):
            now = tick / 10
            for name, (shift, delay) in feeds.items():
                rate = self.sets[name].rate or 1.0
                if done[name] < 0:
                    done[name] = int(np.ceil((start - delay) * rate)) - 1
                last = int(np.floor((now - delay) * rate + 1e-6))
                if last > done[name]:
                    self.put(name, range(max(0, done[name] + 1), last + 1), now, shift)
                    done[name] = last
            self.take(now)

    @property
    def all(self) -> Block:
        return one(self.blocks)


# The grid


@pytest.mark.parametrize("rate", [1, 10, 25, 30, 50, 60, 120])
def test_instants_are_those_that_the_standard_gives_devices(rate: int) -> None:
    grid, clock = Grid.of(rate), FrameClock(rate)
    first = clock.next_after(EPOCH)
    numbers = np.arange(first, first + 3 * rate + 7)
    assert grid.times(numbers).tolist() == [clock.at(int(number)) for number in numbers]
    assert np.array_equal(grid.nearest(grid.times(numbers)), numbers)


@given(
    rate=st.one_of(
        st.integers(1, 1000).map(float),
        st.sampled_from([0.001, 1 / 60, 0.1, 1 / 3, 2.5, 29.97, 59.94, 0.5, 999.9]),
    ),
    second=st.integers(0, 4_000_000_000),
    off=st.floats(-0.45, 0.45),
)
def test_a_time_belongs_to_the_nearest_instant(rate: float, second: int, off: float) -> None:
    grid = Grid.of(rate)
    number = int(second * grid.rate)
    exact = round(Fraction(number * SECOND) / grid.rate)
    time = int(grid.times(np.array([number]))[0])
    assert abs(time - exact) <= 1
    assert grid.number_at(time + round(off * grid.period)) == number


def test_frames_half_a_period_off_fall_on_instants_of_their_own() -> None:
    grid = Grid.of(30)
    times = np.round((np.arange(3000) + 0.5) / 30 * 1e9).astype(np.int64) + EPOCH
    assert (np.diff(grid.nearest(times)) == 1).all()


# Which frame for which instant


def test_frames_of_two_sources_meet_by_their_time() -> None:
    trial = Trial(10, 10)
    trial.put("a", [0, 1, 2], 0.2)
    assert trial.look(0.2) == ([], [])
    trial.put("b", [0, 1, 2], 0.3)
    values, flags = trial.look(0.3)
    assert values == [[0, 0], [1, 1], [2, 2]]
    assert not np.any(flags)
    assert trial.all.time.tolist() == stamps([0, 1, 2], 10).tolist()


def test_an_instant_is_given_out_without_those_who_let_it_wait_too_long() -> None:
    trial = Trial(10, 10)
    trial.put("a", [0], 0.0)
    trial.put("b", [0], 0.0)
    trial.take(0.0)
    trial.put("a", [1, 2], 0.2)
    assert trial.look(0.6) == ([], [])
    values, flags = trial.look(0.7)
    assert np.isnan(values)[:, 1].all()
    assert flags == [[0, MISSING]] * 2
    assert trial.core.incomplete == 2


def test_the_time_to_wait_begins_with_the_first_report_of_an_instant_or_a_later_one() -> None:
    trial = Trial(10, 10)
    trial.put("a", [0], 0.0)
    trial.put("a", [3], 0.3)
    assert len(trial.look(0.5)[0]) == 1
    assert trial.look(0.7) == ([], [])
    assert len(trial.look(0.8)[0]) == 3


def test_a_lost_frame_is_missing_and_not_made_up() -> None:
    trial = Trial(10, 10)
    trial.put("a", [0, 1, 2, 3], 0.3)
    trial.put("b", [0, 1, 3], 0.3)
    values, flags = trial.look(0.3)
    assert np.isnan(values[2][1])
    assert flags[2] == [0, MISSING]


def test_an_instant_that_all_have_lost_is_there_without_values() -> None:
    trial = Trial(10, 10)
    trial.put("a", [0, 3], 0.3)
    trial.put("b", [0, 3], 0.3)
    values, flags = trial.look(0.3)
    assert np.isnan(values)[1:3].all()
    assert flags == [[0, 0], [MISSING] * 2, [MISSING] * 2, [0, 0]]


def test_of_a_faster_source_the_frame_nearest_to_the_instant_is_taken() -> None:
    trial = Trial(100, 10, grid=10, wait=None)
    trial.core.put("a", frames(trial.sets["a"], range(40)))
    trial.core.put("b", frames(trial.sets["b"], range(4)))
    trial.core.end("a", False)
    trial.core.end("b", False)
    values, _ = trial.look(0)
    assert values[:4] == [[0, 0], [10, 1], [20, 2], [30, 3]]
    assert values[4][0] == 39
    assert np.isnan(values[4][1])


def test_a_slower_source_is_held_then_late_and_then_gone() -> None:
    trial = Trial(10, 1, hold=5.0)
    trial.core.put("b", frames(trial.sets["b"], [0]), 0.0, EPOCH)
    trial.put("a", [0], 0.0)
    trial.run(8.0, a=(0.0, 0.0))
    of_b = trial.all.values[:, 1]
    flags = trial.all.quality
    assert flags is not None
    assert (of_b[:51] == 0).all()
    assert np.isnan(of_b[51:]).all()
    assert (flags[:16, 1] == 0).all()
    assert (flags[16:51, 1] == LATE).all()
    assert (flags[51:, 1] == MISSING).all()


def test_instants_between_two_frames_of_a_slow_source_do_not_wait_for_the_second() -> None:
    trial = Trial(10, 1)
    trial.put("b", [0], 0.0)
    trial.put("a", [0, 1, 2], 0.2)
    assert trial.look(0.2)[0] == [[0, 0], [1, 0], [2, 0]]
    trial.put("a", range(3, 11), 1.0)
    assert len(trial.look(1.0)[0]) == 7
    trial.put("b", [1], 1.1)
    assert trial.look(1.1)[0] == [[10, 1]]


def test_slow_sources_alone_are_given_out_as_time_passes_and_not_ahead_of_it() -> None:
    trial = Trial(1, 1, grid=10)
    trial.put("a", [0], 0.0)
    trial.put("b", [0], 0.0)
    assert len(trial.look(0.0)[0]) == 1
    assert len(trial.look(0.3)[0]) == 3
    assert not np.any(trial.look(0.6)[1])


def test_flags_of_the_sources_stay() -> None:
    trial = Trial(10, 10)
    block = frames(trial.sets["a"], [0, 1])
    doubt = np.array([[0], [int(Quality.SUSPECT)]], dtype=np.uint16)
    trial.core.put("a", replace(block, quality=doubt), 0.1, EPOCH)
    trial.put("b", [0, 1], 0.1)
    assert trial.look(0.1)[1] == [[0, 0], [int(Quality.SUSPECT), 0]]


# Too late


def test_a_late_frame_is_in_the_next_instant_with_the_flag_and_counted() -> None:
    trial = Trial(10, 10)
    trial.put("a", [0], 0.0)
    trial.put("b", [0], 0.0)
    trial.put("a", [1], 0.1)
    trial.take(0.7)
    trial.put("b", [1], 0.7)
    trial.put("a", [2, 3, 4, 5, 6, 7], 0.7)
    values, flags = trial.look(1.3)
    assert [row[1] for row in values][:3] == [1, 1, 1]
    assert flags[0] == [0, LATE]
    assert trial.core.counts("b").late_frames == 1
    assert trial.core.counts("b").behind == pytest.approx(0.1)
    trial.put("b", [8, 9], 1.3)
    trial.put("a", [8, 9], 1.3)
    values, flags = trial.look(1.3)
    assert values == [[8, 8], [9, 9]]
    assert not np.any(flags)
    assert trial.core.counts("b").behind == 0


def test_a_late_frame_is_not_shown_beside_a_newer_one_nor_for_ever() -> None:
    trial = Trial(10, 10, disagreement=60)
    trial.put("b", [0], 0.0)
    trial.run(1.0, a=(0.0, 0.0))
    trial.put("b", [1], 1.0)
    trial.put("b", [9], 1.0)
    trial.run(4.0, start=1.0, a=(0.0, 0.0))
    quality = trial.all.quality
    assert quality is not None
    late = np.flatnonzero(quality[:, 1] == LATE)
    assert late.tolist() == [6, 7, 8]
    assert trial.all.values[9, 1] == 9
    assert (quality[10:, 1] == MISSING).all()
    trial.put("b", [20], 4.0)
    trial.run(7.0, start=4.0, a=(0.0, 0.0))
    quality = trial.all.quality
    assert quality is not None
    assert np.count_nonzero(quality[10:, 1] == LATE) == 11


def test_a_late_frame_that_is_too_old_is_not_shown() -> None:
    trial = Trial(10, 10, disagreement=60, hold=2.0)
    trial.run(6.0, a=(0.0, 0.0), b=(-1.0, 0.0))
    trial.run(8.0, start=6.0, a=(0.0, 0.0), b=(-3.0, 0.0))
    quality = trial.all.quality
    assert quality is not None
    assert (quality[40:50, 1] == LATE).any()
    assert (quality[77:, 1] == MISSING).all()
    assert trial.core.counts("b").behind == pytest.approx(3.0, abs=0.6)


def test_when_a_clock_is_put_back_what_it_said_before_does_not_count() -> None:
    trial = Trial(10, 10)
    trial.put("b", range(4, 10), 0.4)
    trial.put("b", [106, 107, 108], 0.5, -10.0)
    trial.put("a", range(4, 9), 0.8)
    assert trial.look(0.8)[0] == [[4, 4], [5, 5], [6, 106], [7, 107], [8, 108]]


def test_frames_that_a_silent_source_makes_up_are_not_called_late() -> None:
    trial = Trial(10, 10)
    trial.run(1.0, a=(0.0, 0.0), b=(0.0, 0.0))
    trial.run(2.0, start=1.0, a=(0.0, 0.0))
    of_b = frames(trial.sets["b"], [11, 12])
    trial.core.put("b", replace(of_b, values=np.full((2, 1), np.nan)), 2.0, EPOCH + 2 * SECOND)
    trial.run(3.0, start=2.0, a=(0.0, 0.0))
    quality = trial.all.quality
    assert quality is not None
    assert trial.core.counts("b").late_frames == 0
    assert (quality[11:, 1] == MISSING).all()


def test_times_of_blocks_grow_whatever_comes_late() -> None:
    trial = Trial(10, 10)
    random = np.random.default_rng(1)
    for k in range(200):
        name = "ab"[k % 2]
        first = max(0, k + int(random.integers(-20, 4)))
        trial.put(name, [first, first + 1], k / 10)
        trial.take(k / 10)
    assert len(trial.all) > 150


# Silence


def test_silence_of_one_is_seen_after_the_wait_and_the_others_go_on() -> None:
    trial = Trial(30, 30)
    trial.run(2.0, a=(0.0, 0.05), b=(0.0, 0.05))
    trial.run(4.0, start=2.0, a=(0.0, 0.05))
    quality = trial.all.quality
    assert quality is not None
    assert (quality[60:, 1] == MISSING).all()
    assert not quality[:, 0].any()
    assert trial.all.time[-1] >= stamps([0], 1, 3.4)[0]


def test_silence_of_all_is_seen_within_two_seconds_and_the_gap_is_closed() -> None:
    trial = Trial(30, 30)
    trial.run(2.0, a=(0.0, 0.0), b=(0.0, 0.0))
    trial.run(4.0, start=2.0)
    assert np.isnan(trial.all.values[-1]).all()
    assert trial.all.time[-1] >= stamps([0], 1, 2.4)[0]
    trial.run(6.0, start=4.0, a=(0.0, 0.0), b=(0.0, 0.0))
    block = trial.all
    steps = np.diff(block.time.astype(np.int64)).astype(np.float64)
    assert np.abs(steps - SECOND / 30).max() <= 1
    gone = np.array(np.isnan(block.values).all(axis=1))
    assert 55 <= gone.sum() <= 62
    assert trial.core.silences == 1
    assert not gone[-30:].any()


def test_who_was_kept_from_looking_does_not_call_it_silence() -> None:
    trial = Trial(10, 10)
    trial.run(1.0, a=(0.0, 0.0), b=(0.0, 0.0))
    assert trial.look(30.0) == ([], [])
    trial.put("a", range(11, 300), 30.05)
    trial.put("b", range(11, 300), 30.05)
    values, _ = trial.look(30.1)
    assert not np.isnan(values).any()


def test_a_long_leap_of_all_clocks_is_left_as_a_gap() -> None:
    trial = Trial(10, 10, wait=None)
    for name in "ab":
        trial.core.put(name, frames(trial.sets[name], [0, 1, 5, 6, 700, 701]))
        trial.core.end(name, False)
    values, flags = trial.look(0)
    assert [row[0] for row in values if not np.isnan(row[0])] == [0, 1, 5, 6, 700, 701]
    assert len(values) == 9
    assert flags[2] == [MISSING] * 2


# Clocks


LEFT_OUT = "its frames are left out until it is right"


@pytest.mark.parametrize(("shift", "words"), [(3600.0, "3,600 s ahead of"), (-3600.0, "3,600 s behind")])
def test_a_wrong_clock_is_named_and_neither_drags_nor_stops_the_stream(shift: float, words: str) -> None:
    trial = Trial(10, 10)
    trial.run(1.0, a=(0.0, 0.05))
    trial.run(5.0, start=1.0, a=(0.0, 0.05), b=(shift, 0.05))
    trial.look(5.0)
    quality = trial.all.quality
    assert quality is not None
    assert trial.core.clocks.wrong[0] == ""
    assert re.fullmatch(f"the clock of b is {words} .*: {LEFT_OUT}", trial.core.clocks.wrong[1])
    assert not quality[:, 0].any()
    assert (quality[:, 1] == MISSING).all()
    assert trial.all.time[-1] >= stamps([0], 1, 4.4)[0]
    assert trial.all.time[0] == START
    assert trial.core.counts("b").left_out_frames > 30
    assert trial.core.clocks.offset(1) == pytest.approx(-shift, abs=0.2)


def test_a_clock_that_is_right_again_takes_part_again() -> None:
    trial = Trial(10, 10)
    trial.run(3.0, a=(0.0, 0.05), b=(0.0, 0.05))
    trial.run(6.0, start=3.0, a=(0.0, 0.05), b=(7.0, 0.05))
    assert "s ahead of the others" in trial.core.clocks.wrong[1]
    trial.run(12.0, start=6.0, a=(0.0, 0.05), b=(0.0, 0.05))
    assert trial.core.clocks.wrong == ["", ""]
    quality = trial.all.quality
    assert quality is not None
    assert not quality[-10:].any()
    assert not quality[:, 0].any()


def test_nobody_waits_for_a_source_with_a_wrong_clock() -> None:
    trial = Trial(10, 10)
    trial.run(5.0, a=(0.0, 0.0), b=(-60.0, 0.0))
    trial.put("a", [51], 5.1)
    trial.put("b", [51], 5.1, -60.0)
    assert len(trial.look(5.1)[0]) == 1


def test_two_that_agree_are_right_against_this_computers_clock() -> None:
    trial = Trial(10, 10)
    trial.wall_step = -3600.0
    trial.run(3.0, a=(0.0, 0.0), b=(0.0, 0.05))
    quality = trial.all.quality
    assert quality is not None
    assert not quality[2:].any()
    assert trial.core.clocks.wrong == ["", ""]
    assert trial.core.clocks.local_wrong == "this computer's clock is 3,600 s behind those of the sources"


def test_silence_of_all_leaves_the_clocks_as_they_were() -> None:
    trial = Trial(10, 10)
    trial.wall_step = -3600.0
    trial.run(3.0, a=(0.0, 0.0), b=(0.0, 0.05))
    trial.run(13.0, start=3.0)
    assert trial.all.time[-1] >= stamps([0], 1, 11.4)[0]
    left_out = trial.core.counts("a").left_out_frames
    trial.run(16.0, start=13.0, a=(0.0, 0.0), b=(0.0, 0.05))
    assert trial.core.counts("a").left_out_frames == left_out
    assert not np.isnan(trial.all.values[-10:]).any()


def test_setting_this_computers_clock_changes_no_verdict() -> None:
    trial = Trial(10, 10)
    trial.run(3.0, a=(0.0, 0.0), b=(0.0, 0.05))
    trial.wall_step = 600.0
    trial.run(6.0, start=3.0, a=(0.0, 0.0), b=(0.0, 0.05))
    trial.run(9.0, start=6.0, a=(0.0, 0.0))
    assert trial.core.clocks.wrong == ["", ""]
    assert "600 s ahead of those of the sources" in trial.core.clocks.local_wrong
    assert not np.isnan(trial.all.values[:-6, 0]).any()


def test_one_alone_that_disagrees_with_this_computers_clock_is_told_so() -> None:
    trial = Trial(10, 10)
    trial.run(3.0, b=(3600.0, 0.0))
    assert "this computer's, and no other source says which is right" in trial.core.clocks.wrong[1]
    assert not trial.blocks
    trial.run(6.0, start=3.0, a=(0.0, 0.0), b=(3600.0, 0.0))
    assert (trial.all.values[-1, 0], trial.core.clocks.wrong[0]) == (pytest.approx(60, abs=6), "")


def test_a_burst_after_a_stall_is_no_wrong_clock() -> None:
    trial = Trial(10, 10)
    trial.run(3.0, a=(0.0, 0.0), b=(0.0, 0.0))
    trial.run(9.0, start=3.0, a=(0.0, 0.0))
    trial.put("b", range(31, 61), 9.0)
    assert trial.core.clocks.wrong == ["", ""]
    trial.put("b", range(61, 91), 9.05)
    trial.run(10.0, start=9.1, a=(0.0, 0.0), b=(0.0, 0.0))
    assert trial.core.clocks.wrong == ["", ""]


def test_a_small_difference_makes_frames_late_and_nothing_else() -> None:
    trial = Trial(10, 10)
    trial.run(6.0, a=(0.0, 0.0), b=(-1.2, 0.0))
    quality = trial.all.quality
    assert quality is not None
    assert trial.core.clocks.wrong == ["", ""]
    assert not quality[:, 0].any() or trial.all.time[0] < START
    shown = quality[20:, 1]
    assert set(shown.tolist()) <= {LATE, MISSING}
    assert np.count_nonzero(shown == LATE) > 20
    assert trial.core.counts("b").late_frames > 30


def test_one_that_is_a_little_ahead_does_not_make_the_others_late() -> None:
    trial = Trial(10, 10, 10)
    trial.run(6.0, a=(1.5, 0.0), b=(0.0, 0.05), c=(0.0, 0.2))
    quality = trial.all.quality
    assert quality is not None
    assert not quality[20:].any()
    assert trial.core.clocks.wrong == ["", "", ""]
    before = len(trial.all)
    # And when it dies, nothing of the others is lost.
    trial.run(10.0, start=6.0, b=(0.0, 0.05), c=(0.0, 0.2))
    quality = trial.all.quality
    assert quality is not None
    assert not quality[before:, 1:].any()


# Whatever the cut


@dataclass
class Story:
    """What some sources measure: of each its rate, how far its times are off the grid, and its frames."""

    grid: float
    rates: tuple[float, ...]
    shifts: tuple[float, ...]
    numbers: tuple[list[int], ...]

    def block(self, name: str, channels: ChannelSet) -> Block:
        i = "abcdef".index(name)
        return frames(channels, self.numbers[i], self.shifts[i])


@st.composite
def stories(draw: st.DrawFn, on_time: bool = False) -> Story:
    """Two or three sources with lost frames and gaps; `on_time`: the first has every frame of the grid."""
    grid = draw(st.sampled_from([10.0, 30.0]))
    rates = (grid, *draw(st.lists(st.sampled_from([1.0, 5.0, 10.0, 30.0, 100.0]), min_size=1, max_size=2)))
    shifts = tuple(
        draw(st.sampled_from([0.0, 0.0, 0.011, -0.004])) if i or not on_time else 0.0
        for i in range(len(rates))
    )
    numbers = []
    for i, rate in enumerate(rates):
        every = range(round(4 * rate))
        if i or not on_time:
            lost = set(draw(st.lists(st.integers(0, len(every) - 1), max_size=20)))
            first, last = sorted(draw(st.tuples(st.integers(0, len(every)), st.integers(0, len(every)))))
            kept = [n for n in every if n not in lost and not first <= n < last] or [0]
            # A leap that is left as a gap, now and then.
            leap = draw(st.sampled_from([0, 0, 100])) if not on_time else 0
            kept = [n + round(leap * rate) if n >= first else n for n in kept]
            numbers.append(kept)
        else:
            numbers.append(list(every))
    return Story(grid, rates, shifts, tuple(numbers))


def merged(story: Story, cuts: Mapping[str, Sequence[int]] | None = None) -> Block:
    """The recordings as one, read in the given portions."""
    trial = Trial(*story.rates, grid=story.grid, wait=None, hold=2.0)
    portions = {}
    for name, channels in trial.sets.items():
        block = story.block(name, channels)
        edges = sorted({0, *(cut % len(block) for cut in (cuts or {}).get(name, ())), len(block)})
        portions[name] = [block.slice(a, b) for a, b in pairwise(edges)]
    while (behind := trial.core.most_behind()) is not None:
        if portions[behind]:
            trial.core.put(behind, portions[behind].pop(0))
        else:
            trial.core.end(behind, False)
        trial.take(0)
    return trial.all


def told_one_by_one(story: Story) -> tuple[list[int], np.ndarray, np.ndarray]:
    """The same by the rules as they are written, an instant after the other: numbers, values, flags."""
    rate = Fraction(story.grid)
    of_sources = []
    for i, (source_rate, name) in enumerate(zip(story.rates, "abc", strict=False)):
        block = story.block(name, channel_set(f"{name}:x", rate=source_rate))
        by_instant: dict[int, tuple[int, float]] = {}
        for time, value in zip(block.time.astype(np.int64).tolist(), block.values[:, 0], strict=True):
            k = (Fraction(time + 1000, SECOND) * rate + Fraction(1, 2)).__floor__()
            at = round(k * SECOND / rate)
            if k not in by_instant or abs(time - at) < abs(by_instant[k][0] - at):
                by_instant[k] = time, value
        of_sources.append((story.rates[i], by_instant))
    numbers = sorted({k for _, by_instant in of_sources for k in by_instant})
    kept: list[int] = []
    values: list[list[float]] = []
    flags: list[list[int]] = []
    k, last_anything = numbers[0], numbers[0]
    pending: list[int] = []
    while k <= numbers[-1]:
        row, quality, anything = [], [], False
        for source_rate, by_instant in of_sources:
            found, flag = by_instant.get(k), 0
            if found is None and source_rate < story.grid:
                older = [j for j in by_instant if j < k]
                if older:
                    found = by_instant[max(older)]
                    age = round(k * SECOND / rate) - found[0]
                    flag = 0 if age <= 1.5 * SECOND / source_rate else LATE
                    if age > max(2.0, 3 / source_rate) * SECOND:
                        found = None
            anything |= found is not None
            row.append(np.nan if found is None else found[1])
            quality.append(MISSING if found is None else flag)
        if anything:
            if k - last_anything - 1 > 60 * story.grid:
                del kept[-len(pending) :], values[-len(pending) :], flags[-len(pending) :]
            pending, last_anything = [], k
        else:
            pending.append(k)
        kept.append(k)
        values.append(row)
        flags.append(quality)
        k += 1
    return kept, np.array(values), np.array(flags)


@settings(max_examples=60, deadline=None)
@given(story=stories())
def test_a_merge_is_what_the_rules_say_instant_by_instant(story: Story) -> None:
    block = merged(story)
    numbers, values, flags = told_one_by_one(story)
    assert block.time.astype(np.int64).tolist() == [round(k * SECOND / Fraction(story.grid)) for k in numbers]
    assert np.array_equal(block.values, values, equal_nan=True)
    assert block.quality is not None
    assert np.array_equal(block.quality, flags)


@settings(max_examples=60, deadline=None)
@given(
    story=stories(),
    cuts=st.fixed_dictionaries({name: st.lists(st.integers(0, 400), max_size=12) for name in "abc"}),
)
def test_the_cut_of_recordings_changes_nothing(story: Story, cuts: Mapping[str, Sequence[int]]) -> None:
    assert equal(merged(story, cuts), merged(story))


@settings(max_examples=40, deadline=None)
@given(story=stories(on_time=True), delays=st.lists(st.floats(0.0, 0.25), min_size=3, max_size=3))
def test_live_frames_in_time_give_what_a_merge_of_recordings_gives(
    story: Story, delays: Sequence[float]
) -> None:
    trial = Trial(*story.rates, grid=story.grid, wait=0.5, hold=2.0)
    blocks = {name: story.block(name, channels) for name, channels in trial.sets.items()}
    arrivals = {
        name: np.ceil(((block.time - START).astype(np.int64) / 1e9 + delay) * 10) / 10
        for (name, block), delay in zip(blocks.items(), delays, strict=False)
    }
    for tick in range(46):
        for name, block in blocks.items():
            at = np.flatnonzero(arrivals[name] == tick / 10)
            if len(at):
                now, wall = tick / 10, EPOCH + tick * SECOND // 10
                trial.core.put(name, block.slice(int(at[0]), int(at[-1]) + 1), now, wall)
        trial.take(tick / 10)
    trial.blocks += trial.core.finish()
    assert equal(trial.all, merged(story))
    assert not sum(trial.core.counts(name).late_frames for name in trial.sets)


# As a source


class Beat:
    """A live source that measures a number of frames a second as the event loop's time passes.

    Its clock is off by `shift` seconds and its frames take `delay`; `silent` are stretches without any. It
    raises `failure` or ends at `until`.
    """

    Config = Settings
    live = True

    def __init__(
        self,
        name: str,
        rate: float | None = 10.0,
        *,
        shift: float = 0.0,
        delay: float = 0.0,
        until: float = np.inf,
        failure: Exception | None = None,
        refuses: Exception | None = None,
        opening: float = 0.0,
        channels: ChannelSet | None = None,
        real_rate: float = 10.0,
        problems: tuple[str, ...] = (),
    ) -> None:
        self.identity = f"beat {name}"
        self.channels = channels or channel_set(f"{name}:x", rate=rate)
        self.rate = rate or real_rate
        self.shift, self.delay, self.until, self.failure = shift, delay, until, failure
        self.refuses, self.opening = refuses, opening
        self.problems = problems
        self.opened = self.closed = 0

    async def open(self) -> ChannelSet:
        await asyncio.sleep(self.opening)
        if self.refuses is not None:
            raise self.refuses
        self.opened += 1
        return self.channels

    async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        loop = asyncio.get_running_loop()
        done = int(np.ceil((loop.time() - self.delay) * self.rate)) - 1
        while loop.time() < self.until:
            await asyncio.sleep(0.1)
            last = int(np.floor((min(loop.time(), self.until) - self.delay) * self.rate + 1e-6))
            if last > done:
                yield frames(self.channels, range(done + 1, last + 1), self.shift, self.rate)
                done = last
        if self.failure is not None:
            raise self.failure

    async def close(self) -> None:
        self.closed += 1


class Silent(Beat):
    async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        await asyncio.sleep(1e9)
        yield frames(self.channels, [0])


class CountingBeat(Beat):
    def statistics(self) -> Statistics:
        return Statistics({"bad_crc": 2}, {"R1": {"frames": 7}}, {"R1": "its battery is low"})


def wall() -> int:
    return EPOCH + round(asyncio.get_running_loop().time() * SECOND)


def aligned(sources: Mapping[str, object], **given: object) -> Align:
    host = Host("all", Path(), Path(), logging.getLogger("tests.align"), ChannelMap(), sources)  # type: ignore[arg-type]
    return Align(Align.Config.model_validate(given), host, wall)


async def read(source: Align, seconds: float = np.inf, start: int = 0) -> list[Block]:
    """What it gives for so long, closed behind."""
    loop = asyncio.get_running_loop()
    until, found = loop.time() + seconds, []
    blocks = source.blocks(start)
    async for block in blocks:
        found.append(block)
        if loop.time() >= until:
            break
    await blocks.aclose()  # type: ignore[attr-defined]
    return found


def run(work: object) -> object:
    """In an event loop whose time passes at once."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(work)  # type: ignore[arg-type]


def test_the_class_fulfils_the_contracts() -> None:
    source = aligned({"north": Beat("R1")})
    assert isinstance(source, Source)
    assert isinstance(source, Counting)
    assert Align.joins


def test_live_sources_become_one_stream() -> None:
    async def work() -> None:
        source = aligned({"north": Beat("R1"), "south": Beat("R2", 30.0, delay=0.2)})
        assert source.live
        assert source.identity == "align north=beat R1 south=beat R2"
        channels = await source.open()
        assert (channels.names, channels.rate) == (("R1:x", "R2:x"), 30.0)
        blocks = await read(source, 5.0)
        whole = one(blocks)
        assert 120 <= len(whole) <= 156
        assert max(map(len, blocks)) <= 256
        # Each value says when it was measured.
        instants = (whole.time - START).astype(np.int64) / 1e9
        assert np.nanmax(np.abs(whole.values[:, 1] / 30 - instants)) < 0.001
        assert np.nanmax(np.abs(whole.values[:, 0] / 10 - instants)) < 0.1
        assert not np.isnan(whole.values[10:]).any()
        assert source.problems == ()
        await source.close()
        await source.close()

    run(work())


def test_the_name_of_its_source_goes_before_what_a_source_calls_its_own() -> None:
    async def work() -> None:
        weather = channel_set("temperature")
        weather = replace(weather, channels=(Channel("temperature", "temperature", "degC"),))
        source = aligned(
            {"north": Beat("R1"), "south": Beat("R1"), "weather": Beat("", channels=weather)}, prefix=True
        )
        channels = await source.open()
        assert channels.names == ("north/R1:x", "south/R1:x", "weather/temperature")
        assert [channel.terminal for channel in channels] == ["north/R1", "south/R1", ""]
        await source.close()

    run(work())


def test_channels_of_one_name_are_refused_with_the_way_out() -> None:
    north, south = Beat("R1"), Beat("R1")
    with pytest.raises(
        SourceError, match=r"the channel R1:x of north is in south as well: `prefix: true`.*`terminals:`"
    ):
        run(aligned({"north": north, "south": south}).open())
    assert (north.closed, south.closed) == (1, 1)


def test_sources_are_opened_at_the_same_time() -> None:
    async def work() -> float:
        source = aligned({name: Beat(name, opening=5.0) for name in "abc"})
        await source.open()
        await source.close()
        return asyncio.get_running_loop().time()

    assert run(work()) == pytest.approx(5.0)


@pytest.mark.parametrize("refusal", [SourceError("nobody answers"), RuntimeError("nobody answers")])
def test_one_that_cannot_be_opened_is_named_and_the_others_are_closed(refusal: Exception) -> None:
    async def work() -> float:
        source = aligned(
            {"a": Beat("a"), "b": Beat("b", refuses=refusal, opening=1.0), "c": Beat("c", opening=30.0)}
        )
        with pytest.raises(SourceError, match=r"^b: .*nobody answers"):
            await source.open()
        assert all(each.closed for each in source._all.values())  # type: ignore[attr-defined]
        return asyncio.get_running_loop().time()

    assert run(work()) == pytest.approx(1.0)


def test_those_that_cannot_be_opened_are_left_out_loudly(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        gone = Beat("b", refuses=SourceError("nobody answers"), opening=1.0)
        source = aligned({"a": Beat("a"), "b": gone, "c": Beat("c")}, leave_out=True)
        assert (await source.open()).names == ("a:x", "c:x")
        assert source.problems == ("b is left out: nobody answers",)
        assert source.statistics().words == {"b": "nobody answers"}
        assert "b is left out: nobody answers" in caplog.text
        assert len(await read(source, 2.0))
        await source.close()
        alone = aligned({"b": gone}, leave_out=True)
        with pytest.raises(SourceError, match="b: nobody answers"):
            await alone.open()

    run(work())


def test_one_that_fails_is_missing_from_then_on_and_the_others_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def work() -> None:
        source = aligned(
            {
                "a": Beat("a"),
                "b": Beat("b", until=2.0, failure=SourceError("the line is cut")),
                "c": Beat("c", until=3.0),
            }
        )
        await source.open()
        whole = one(await read(source, 5.0))
        at = (whole.time - START).astype(np.int64) / 1e9
        lost = np.isnan(whole.values)
        assert not lost[:, 0].any()
        assert lost[at > 2.05, 1].all()
        assert not lost[(at > 0.5) & (at < 1.95), 1].any()
        assert source.problems == (
            "b: its channels are missing from now on: the line is cut",
            "c: its channels are missing from now on: it has ended",
        )
        assert set(source.statistics().words) == {"b", "c"}
        await source.close()

    run(work())
    assert caplog.text.count("the line is cut") == 1


@pytest.mark.parametrize("failure", [SourceError("the line is cut"), ZeroDivisionError("the line is cut")])
def test_when_all_have_failed_the_stream_fails_and_nothing_is_lost_before(failure: Exception) -> None:
    async def work() -> None:
        source = aligned({name: Beat(name, until=2.0, failure=failure) for name in "ab"})
        await source.open()
        found: list[Block] = []

        async def follow() -> None:
            async for block in source.blocks():
                found.append(block)

        with pytest.raises(SourceError, match=r"a: .*the line is cut.*; b: .*the line is cut"):
            await follow()
        assert one(found).values[-1].tolist() == [20, 20]
        await source.close()

    run(work())


def test_when_all_have_ended_the_stream_ends() -> None:
    async def work() -> None:
        source = aligned({"a": Beat("a", until=1.0), "b": Beat("b", until=2.0)})
        await source.open()
        whole = one(await read(source))
        assert whole.values[-1, 1] == 20
        assert source.problems == ()
        await source.close()
        assert source.problems == ()
        assert source.statistics().stream["frames"] == len(whole)

    run(work())


def test_what_keeps_a_source_from_opening_is_said_meanwhile() -> None:
    async def work() -> None:
        slow = Beat("R2", opening=5.0, problems=("nobody listens at pmu2",))
        source = aligned({"north": Beat("R1"), "south": slow})
        opening = asyncio.create_task(source.open())
        await asyncio.sleep(1.0)
        assert source.problems == ("south: nobody listens at pmu2",)
        await opening
        await source.close()

    run(work())


def test_a_wrong_clock_is_said_once_in_every_place(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        south = Beat("R2", shift=-3600.0)
        source = aligned({"north": Beat("R1"), "south": south})
        await source.open()
        blocks = source.blocks()
        async for _ in blocks:
            if asyncio.get_running_loop().time() > 6.0:
                break
        (said,) = source.problems
        assert re.fullmatch(f"the clock of south is 3,600 s behind .*: {LEFT_OUT}", said)
        statistics = source.statistics()
        assert statistics.words == {"south": said}
        assert statistics.devices["south"]["offset"] == pytest.approx(3600, abs=0.2)
        assert statistics.devices["south"]["left_out_frames"] == statistics.stream["left_out_frames"] > 40
        south.shift = 0.0
        async for _ in blocks:
            if asyncio.get_running_loop().time() > 12.0:
                break
        assert source.problems == ()
        await blocks.aclose()  # type: ignore[attr-defined]
        await source.close()

    run(work())
    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 1


def test_what_the_sources_count_and_say_themselves_is_passed_on() -> None:
    async def work() -> None:
        source = aligned(
            {"north": CountingBeat("R1", problems=("4712: the connection is lost",)), "b": Beat("b")}
        )
        await source.open()
        await read(source, 2.0)
        assert source.problems == ("north: 4712: the connection is lost",)
        statistics = source.statistics()
        assert statistics.devices["north/R1"] == {"frames": 7}
        assert statistics.devices["north"]["bad_crc"] == 2
        assert statistics.devices["north"]["frames"] > 10
        assert statistics.words["north/R1"] == "its battery is low"
        assert isinstance(statistics.devices["north"]["offset"], float)
        assert isinstance(statistics.devices["north"]["late_frames"], int)
        assert statistics.stream["frames"] > 10
        await source.close()

    run(work())


def test_a_slow_consumer_fills_no_memory() -> None:
    async def work() -> None:
        source = aligned({"a": Beat("a", 100.0), "b": Beat("b", 100.0)})
        await source.open()
        blocks = source.blocks()
        await anext(blocks)
        await asyncio.sleep(600.0)
        rest = await anext(blocks)
        assert len(rest) <= 256
        statistics = source.statistics()
        assert statistics.stream["dropped_frames"] > 2 * 50_000
        assert statistics.devices["a"]["dropped_frames"] + 8192 + 100 > 60_000
        await blocks.aclose()  # type: ignore[attr-defined]
        await source.close()

    run(work())


def test_wide_blocks_are_dropped_sooner() -> None:
    async def work() -> None:
        wide = channel_set(*(f"c{i}" for i in range(10_000)), rate=100.0)
        feed = Feed("wide", Beat("", 100.0, channels=wide), wall)  # type: ignore[arg-type]
        await asyncio.sleep(10.0)
        assert sum(map(len, feed.seen())) <= 335 < FEWEST_FRAMES * 2
        assert feed.dropped > 500
        await feed.stop()

    run(work())


def test_the_rate_of_a_live_source_that_does_not_say_it_is_measured() -> None:
    async def work() -> None:
        source = aligned({"a": Beat("a", None, real_rate=25.0)})
        assert (await source.open()).rate == 25.0
        assert not np.isnan(one(await read(source, 2.0)).values).any()
        await source.close()
        silent = Silent("b", None)
        with pytest.raises(SourceError, match="b: its first frames do not show how many a second"):
            await aligned({"a": Beat("a"), "b": silent}).open()
        assert silent.closed == 1

    run(work())


def test_blocks_may_be_asked_for_again() -> None:
    async def work() -> None:
        source = aligned({"a": Beat("a"), "b": Beat("b")})
        await source.open()
        first = await read(source, 2.0)
        second = await read(source, 2.0)
        assert (first[0].row, second[0].row) == (0, 0)
        assert second[0].time[0] > first[-1].time[-1]
        await source.close()
        with pytest.raises(RuntimeError, match="after open"):
            await anext(source.blocks())

    run(work())


async def test_a_source_that_never_waits_does_not_keep_the_others_from_coming() -> None:
    class Busy(Beat):
        async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
            block = frames(self.channels, range(10))
            while True:
                yield block

    source = aligned({"busy": Busy("a"), "b": Beat("b", 30.0)})
    await source.open()
    reading = asyncio.create_task(read(source))
    await eventually(lambda: source._alignment is not None and source.statistics().devices["b"]["frames"] > 5)
    reading.cancel()
    await asyncio.wait((reading,))
    await source.close()


# Recordings


def recording(
    name: str, numbers: Sequence[int], rate: float | None = 10.0, chunk: int = 7, **changes: object
) -> ListSource:
    channels = channel_set(f"{name}:x", rate=rate)
    block = frames(channels, numbers)
    return ListSource(replace(block, **changes) if changes else block, chunk)  # type: ignore[arg-type]


async def test_recordings_are_merged_however_they_are_cut_and_from_any_row() -> None:
    whole = None
    for chunk in (1, 7, 1000):
        source = aligned(
            {"a": recording("a", range(5, 60), chunk=chunk), "b": recording("b", range(6), 1.0, chunk)}
        )
        assert not source.live
        channels = await source.open()
        assert channels.rate == 10.0
        found = one(await read(source))
        whole = whole or found
        assert equal(found, whole)
        tail = one(await read(source, start=17))
        assert tail.row == 17
        assert equal(replace(tail, row=0), replace(whole.slice(17, len(whole)), row=0))
        assert source.problems == ()
        await source.close()
    assert whole is not None
    assert whole.values[:6].tolist()[5] == [5, 0]
    assert whole.values[-1].tolist() == [59, 5]


async def test_a_recording_that_ends_is_missing_and_one_that_is_damaged_too() -> None:
    class Damaged(ListSource):
        async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
            yield self.block
            raise SourceError("line 77 is no row")

    source = aligned({"a": recording("a", range(30)), "b": Damaged(recording("b", range(10)).block)})
    await source.open()
    whole = one(await read(source))
    assert np.isnan(whole.values[10:, 1]).all()
    assert len(whole) == 30
    assert "b: its channels are missing from now on: line 77 is no row" in source.problems
    await source.close()


async def test_recordings_far_apart_are_merged_without_the_time_between() -> None:
    source = aligned({"a": recording("a", range(20)), "b": recording("b", range(10**9, 10**9 + 20))})
    await source.open()
    whole = one(await read(source))
    assert len(whole) == 40
    await source.close()


async def test_labels_stay_where_only_one_source_has_them() -> None:
    def labelled(name: str, numbers: Sequence[int], *labels: str) -> ListSource:
        texts = {label: np.array([f"{name}{k}" for k in numbers]) for label in labels}
        return recording(name, numbers, labels=texts)

    sources = {
        "a": labelled("a", range(4), "marker", "shift"),
        "b": labelled("b", range(2, 6), "marker", "crew"),
    }
    source = aligned(sources)
    await source.open()
    whole = one(await read(source))
    assert set(whole.labels) == {"shift", "crew"}
    assert whole.labels["shift"].tolist() == ["a0", "a1", "a2", "a3", "", ""]
    assert whole.labels["crew"].tolist() == ["", "", "b2", "b3", "b4", "b5"]
    await source.close()
    source = aligned(sources, prefix=True)
    await source.open()
    assert set(one(await read(source)).labels) == {"a/marker", "a/shift", "b/marker", "b/crew"}


async def test_the_rate_of_a_recording_that_does_not_say_it_is_measured() -> None:
    source = aligned({"a": recording("a", range(40), rate=None)})
    assert (await source.open()).rate == 10.0
    assert len(one(await read(source))) == 40
    with pytest.raises(SourceError, match="a: its first frames do not show"):
        await aligned({"a": recording("a", [3], rate=None)}).open()


async def test_rows_without_times_and_a_mixture_are_refused_in_words() -> None:
    timeless = recording("a", range(5))
    timeless.block = replace(timeless.block, channels=replace(timeless.block.channels, clock="row"))
    with pytest.raises(SourceError, match="b: its frames carry no times.*`time: arrival`"):
        await aligned({"a": recording("c", range(5)), "b": timeless}).open()
    with pytest.raises(SourceError, match="south: live, and north, west: recorded"):
        await aligned({"north": timeless, "south": Beat("s"), "west": timeless}).open()
    with pytest.raises(SourceError, match="fast: it has 4800 frames per second; say `rate`"):
        await aligned({"fast": recording("a", range(5), 4800.0)}).open()


# With devices


async def test_two_devices_of_different_makers_are_one_stream_and_a_dead_one_is_seen() -> None:
    north, south = configuration(pmu("R1")), configuration(pmu("R2", 9, floats=False, polar=False), idcode=9)

    async def send(device: LoopbackPmu, of: Configuration, seconds: range) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for k in range(seconds.start, seconds.stop, 3):
            device.send(data(of, 3, k))
            await asyncio.sleep(max(0.0, begun + (k + 3 - seconds.start) / 30 - loop.time()))

    async with LoopbackPmu(north) as first, LoopbackPmu(south) as second:
        hosts = {name: Host(name, Path(), Path(), logging.getLogger("tests"), ChannelMap()) for name in "ns"}
        sources = {
            "n": C37118(_device(first, 7), hosts["n"]),
            "s": C37118(_device(second, 9), hosts["s"]),
        }
        source = aligned(sources, wait="300ms")
        channels = await source.open()
        assert {channel.terminal for channel in channels} == {"R1", "R2"}
        await asyncio.wait_for(asyncio.gather(first.started.wait(), second.started.wait()), 5)
        # This computer's clock is far from the time of these frames: the devices agree, and that counts.
        sending = asyncio.gather(send(first, north, range(60)), send(second, south, range(30)))
        found: list[Block] = []
        blocks = source.blocks()
        async with asyncio.timeout(20):
            async for block in blocks:
                found.append(block)
                if block.time[-1] >= START + np.timedelta64(1_900_000_000, "ns"):
                    break
        await sending
        await blocks.aclose()  # type: ignore[attr-defined]
        whole = one(found)
        r1, r2 = channels.position("R1:F"), channels.position("R2:F")
        assert not np.isnan(whole.values[9:25, [r1, r2]]).any()
        assert np.isnan(whole.values[-3:, r2]).all()
        assert not np.isnan(whole.values[-3:, r1]).any()
        devices = source.statistics().devices
        assert {"n", "s", "n/R1", "s/R2"} <= set(devices)
        await source.close()
    await eventually(lambda: not first.started.is_set())


def _device(of: LoopbackPmu, idcode: int) -> C37118Config:
    given = {"address": f"127.0.0.1:{of.port}", "id": idcode, "configuration": "cfg2", "patience": "5s"}
    return C37118.Config.model_validate(given)


# In the configuration


def problems_of(folder: Path, text: str) -> list[str]:
    path = folder / "c.yaml"
    path.write_text(text)
    with pytest.raises(InvalidConfiguration) as caught:
        load(path, environment={"GRIDTOP_NO_PLUGINS": "1"})
    return [
        line for line in str(caught.value).splitlines() if line.startswith(str(path)) or "c.yaml:" in line
    ]


def test_a_configuration_of_two_devices_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "source:\n  type: align\n  wait: 300ms\n  sources:\n"
        "    north: {type: c37118, address: 192.0.2.1, id: 7}\n"
        "    weather: {type: tcp, listen: '127.0.0.1:4713', time: arrival}\n"
    )
    source = load(path, environment={"GRIDTOP_NO_PLUGINS": "1"}).source
    assert source.target is Align
    assert list(source.sources) == ["north", "weather"]


@pytest.mark.parametrize(
    ("lines", "where", "words"),
    [
        ("  wait: 0s\n", ":3:", "wait: must be longer than 0s"),
        ("  wait: 3s\n", "", "disagreement: must be longer than wait"),
        ("  rate: 0\n", ":3:", "rate"),
        ("  rate: 5000\n", ":3:", "rate"),
        ("  prefx: true\n", ":3:", "did you mean 'prefix'"),
    ],
)
def test_mistakes_in_its_settings_are_shown_where_they_are(
    tmp_path: Path, lines: str, where: str, words: str
) -> None:
    text = f"source:\n  type: align\n{lines}  sources:\n    a: {{type: simulate}}\n"
    (problem,) = problems_of(tmp_path, text)
    assert words in problem
    assert where in problem


@pytest.mark.parametrize(
    ("lines", "where", "words"),
    [
        ("", ":1:", "say which ones it joins"),
        ("  sources: {a: {type: simulat}}\n", ":3:", "simulate"),
        ("  sources: {a: {type: simulate, sed: 1}}\n", ":3:33", "did you mean 'seed'"),
        ("  sources: {1a: {type: simulate}}\n", ":3:13", "a name is a letter"),
        ("  sources: {a: {type: align, sources: {b: {type: simulate}}}}\n", ":3:", "cannot be joined itself"),
        ("  sources: {a: {type: c37118, id: 7}}\n", ":3:", "address"),
    ],
)
def test_mistakes_in_what_it_joins_are_shown_where_they_are(
    tmp_path: Path, lines: str, where: str, words: str
) -> None:
    (problem,) = problems_of(tmp_path, f"source:\n  type: align\n{lines}")
    assert words in problem
    assert where in problem


def test_clocks_must_be_allowed_more_than_the_wait() -> None:
    with pytest.raises(ValidationError, match="disagreement: must be longer than wait"):
        Align.Config.model_validate({"wait": "2s"})
