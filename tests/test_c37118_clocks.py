"""PMUs whose clocks leap, and frames of a wrong time: how soon the stream goes on, and where it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gridtop.api import Block
from gridtop.synchrophasor.data import DataLayout
from tests.c37118_devices import START, Feeding, configuration, data, joined, readings, times

RATE = 30
HOUR = 3600.0
OF = configuration()


class Clock:
    """A device that is looked at ten times a second, and whose frames say a wrong time when told to.

    `given` is how many of its frames have been given out, `blind` the longest time without one that was new.
    """

    def __init__(self, rate: int = RATE, **settings: object) -> None:
        self.of = configuration(rate=rate)
        self.rate = rate
        self.feeding = Feeding(self.of, **settings)
        self.given = self.sent = 0
        self.blind = 0.0
        self._seen = 0.0

    def run(
        self, seconds: float, wrong: Callable[[int], float | None] = lambda k: 0.0, delay: float = 0.0
    ) -> Block:
        """Send for so long; `wrong` is how many seconds the k-th frame's clock is off, None: not sent."""
        begin = len(self.feeding.blocks)
        first = round(self.feeding.now * self.rate)
        for _ in range(round(seconds * 10)):
            now = round(self.feeding.now + 0.1, 6)
            frames = []
            for k in range(round((now - 0.1) * self.rate), round(now * self.rate)):
                if (off := wrong(k - first)) is not None:
                    frames += data(self.of, 1, k + round((off - delay) * self.rate), self.rate)
            self.sent += len(frames)
            made = self.feeding.feed(frames, now)
            real = int(np.count_nonzero(~np.isnan(made.values).all(axis=1)))
            self.given += real
            if real:
                self._seen = now
            self.blind = max(self.blind, now - self._seen)
        return self._since(begin)

    def pause(self, seconds: float) -> None:
        self.feeding.wait(round(self.feeding.now + seconds, 6))
        self._seen = self.feeding.now

    def reconnect(self) -> None:
        self.feeding.stream.begin()
        self.feeding.tell(self.of)

    @property
    def counts(self) -> dict[str, float]:
        return dict(self.feeding.assembly.statistics(self.feeding.now).stream)

    @property
    def problems(self) -> tuple[str, ...]:
        return self.feeding.assembly.problems

    def _since(self, begin: int) -> Block:
        return joined(self.feeding.blocks[begin:], self.feeding.channels)


def number(time: np.datetime64) -> float:
    """Which frame of a right clock has that time, to the microsecond of their stamps."""
    return round(float((time - START) / np.timedelta64(1, "s")) * RATE, 3)


def offsets(block: Block, first: int = 0) -> list[float]:
    """How far the times of a block are from those of frames sent one by one, in seconds."""
    due = times(len(block), RATE, first)
    return [round(float(s), 3) for s in (block.time - due) / np.timedelta64(1, "s")]


# Leaps


def test_a_clock_that_leaps_ahead_for_a_while_and_comes_back_costs_no_frame() -> None:
    clock = Clock()
    clock.run(5)
    clock.run(5, lambda k: HOUR)
    clock.run(5)
    block = clock.feeding.all
    assert offsets(block) == [0.0] * 150 + [HOUR] * 150 + [0.0] * 150
    assert not np.isnan(block.values).any()
    assert [block.row for block in clock.feeding.blocks] == sorted({b.row for b in clock.feeding.blocks})
    assert clock.blind < 1.15
    counts = clock.counts
    assert counts["clock_put_back"] == 1
    lost = ("out_of_order", "ahead", "duplicates", "missing_frames", "silences")
    assert [counts[name] for name in lost] == [0] * 5
    assert counts["seconds_since_data"] == 0


def test_where_time_goes_back_a_block_begins_and_is_all_behind_the_one_before() -> None:
    clock = Clock()
    clock.run(3, lambda k: HOUR)
    clock.run(3)
    backs = [
        i
        for i, b in enumerate(clock.feeding.blocks)
        if i and b.time[0] <= clock.feeding.blocks[i - 1].time[-1]
    ]
    assert len(backs) == 1
    assert all((np.diff(b.time) > np.timedelta64(0)).all() for b in clock.feeding.blocks)
    assert number(clock.feeding.blocks[backs[0]].time[0]) == 90


def test_a_leap_is_told_in_words_for_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    clock.run(3, lambda k: HOUR)
    clock.run(3)
    (words,) = clock.problems
    assert "its time went back by 3,600 s, to 2026-01-01T00:00:04Z, and is followed" in words
    clock.run(30)
    assert clock.problems == (words,)
    assert [record.message for record in caplog.records] == [f"stream 7: {words}"]
    clock.run(35)
    assert clock.problems == ()


def test_a_clock_that_leaps_again_and_again_is_told_of_in_the_same_words() -> None:
    clock = Clock()
    clock.run(30, lambda k: HOUR * (k // 90 % 2))
    (words,) = clock.problems
    assert words == "its time leaps again and again, and is followed each time"
    assert clock.counts["clock_put_back"] == 4
    assert clock.given > 850


@pytest.mark.parametrize("seconds", [0.2, 0.9, 1.0, 1.1, 1.5, 1.9, 2.5, 40, 90, 1e5])
def test_a_clock_that_is_put_back_is_right_again_within_two_seconds(seconds: float) -> None:
    clock = Clock(ahead=1e9)
    clock.run(3)
    after = clock.run(5, lambda k: -seconds)
    assert clock.blind < 2
    assert not np.isnan(after.values).any()
    assert number(after.time[-1]) == 239 - round(seconds * RATE)
    assert clock.counts["silences"] == 0


@pytest.mark.parametrize("seconds", [0.9, 1.1, 5, 59, 61, 1000])
def test_a_clock_that_is_put_forward_costs_no_frame(seconds: float) -> None:
    clock = Clock()
    clock.run(3)
    after = clock.run(4, lambda k: seconds)
    assert len(after) == 120 or seconds < 1
    assert not np.isnan(after.values[-100:]).any()
    assert number(after.time[-1]) == 209 + round(seconds * RATE)
    assert clock.given == clock.sent


@pytest.mark.parametrize("delay", [0.5, 1.2, 1.9, 3.0, 20.0])
def test_frames_that_come_much_later_from_now_on_are_shown_again(delay: float) -> None:
    clock = Clock()
    clock.run(3)
    clock.pause(delay)
    clock.run(6, delay=delay)
    assert clock.blind < 2
    assert number(clock.feeding.all.time[-1]) == 89 + 180
    assert clock.counts["clock_put_back"] == (delay >= 3)


def test_a_queue_that_comes_at_once_is_no_clock_that_was_put_back() -> None:
    clock = Clock()
    clock.run(3)
    clock.pause(10)
    clock.feeding.feed(data(OF, 300, 90), 13.1)
    clock.run(3)
    assert clock.counts["clock_put_back"] == 0
    assert (np.diff(clock.feeding.all.time.astype(np.int64)) > 0).all()
    assert clock.problems == ()


def test_a_slow_stream_follows_its_clock_after_three_frames() -> None:
    clock = Clock(rate=1)
    clock.run(10)
    after = clock.run(6, lambda k: -HOUR)
    assert clock.given == 16
    assert np.isnan(after.values).all(axis=1).sum() == 0


def test_rocof_of_the_first_second_after_a_leap_is_not_believed_and_later_it_is() -> None:
    clock = Clock()
    clock.run(0.5)
    block = clock.run(5, lambda k: -HOUR)
    assert block.quality is not None
    flags = block.quality[:, block.channels.position("R1:DF")]
    assert np.flatnonzero(flags == 0).tolist() == list(range(30, 150))


# What is no leap


@pytest.mark.parametrize("off", [HOUR, -HOUR, 5.0, -5.0])
@pytest.mark.parametrize("every", [2, 3, 10, 45])
def test_single_frames_of_a_wrong_time_are_left_out_and_hold_nothing_up(off: float, every: int) -> None:
    clock = Clock()
    clock.run(1)
    block = clock.run(10, lambda k: off if k % every == every - 1 else 0.0)
    good = [k for k in range(300) if k % every != every - 1]
    assert [number(time) - 30 for time in block.time] == good
    assert clock.blind < 0.11
    counts = clock.counts
    assert counts["ahead" if off > 0 else "out_of_order"] >= 300 // every - 1
    assert counts["clock_put_back"] == counts["silences"] == 0


def test_frames_of_two_clocks_by_turns_are_a_fault_with_a_name_until_it_is_over() -> None:
    clock = Clock()
    clock.run(20, lambda k: HOUR * (k % 2))
    (words,) = clock.problems
    assert words.startswith("frames 3,600 s ahead of the others come between them, and are left out")
    clock.run(9, lambda k: HOUR * (k % 2))
    assert clock.problems == (words,)
    clock.run(11)
    assert clock.problems == ()
    assert clock.counts["clock_put_back"] == 0


def test_the_clock_of_most_frames_wins_over_the_one_that_came_first() -> None:
    clock = Clock()
    clock.run(5, lambda k: HOUR if k % 10 == 0 else 0.0)
    block = clock.run(5, lambda k: HOUR if k % 10 == 0 else 0.0)
    assert clock.counts["clock_put_back"] == 1
    assert offsets(block.slice(0, 1), 150) != [HOUR]
    assert len(block) == 135


def test_two_streams_of_the_same_frames_one_later_than_the_other_are_one() -> None:
    feeding = Feeding(OF)
    for k in range(60):
        late = data(OF, 3, 3 * k - 20) if k > 10 else []
        feeding.feed([*data(OF, 3, 3 * k), *late], (k + 1) / 10)
    assert len(feeding.all) == 180
    assert feeding.assembly.problems == ()


def test_after_a_reconnection_no_leap_ahead_has_to_be_confirmed() -> None:
    clock = Clock()
    clock.run(2)
    clock.reconnect()
    block = clock.run(0.1, lambda k: HOUR)
    assert len(block) == 3
    assert clock.problems == ()


def test_a_stream_that_was_away_for_five_minutes_is_taken_at_once() -> None:
    clock = Clock()
    clock.run(2)
    clock.pause(300)
    block = clock.run(0.1)
    assert not np.isnan(block.values[-3:]).any()
    assert clock.counts["ahead"] == clock.counts["clock_put_back"] == 0


def test_a_damaged_time_in_the_first_frame_of_a_connection_holds_up_the_others_for_a_second() -> None:
    clock = Clock()
    clock.run(2)
    clock.reconnect()
    clock.run(4, lambda k: 0.0 if k else HOUR)
    assert clock.blind < 1.15
    assert clock.counts["clock_put_back"] == 1
    assert clock.given == clock.sent


def test_what_was_held_before_another_connection_is_void() -> None:
    clock = Clock()
    clock.run(2)
    clock.run(0.5, lambda k: -HOUR)
    clock.reconnect()
    clock.run(0.8, lambda k: -HOUR)
    assert clock.counts["clock_put_back"] == 0
    assert clock.counts["out_of_order"] == 15


def test_a_clock_that_stands_still_is_silence() -> None:
    clock = Clock()
    clock.run(3)
    clock.run(4, lambda k: -k / RATE)
    assert clock.counts["silences"] == 1
    assert np.isnan(clock.feeding.all.values[-1]).all()
    assert clock.counts["clock_put_back"] == 0


def test_frames_that_agree_with_nothing_are_silence_within_three_seconds() -> None:
    random = np.random.default_rng(1)
    clock = Clock()
    clock.run(3)
    block = clock.run(3, lambda k: float(random.uniform(-1e4, 1e4)))
    assert len(block)
    assert np.isnan(block.values).all()
    assert clock.counts["silences"] == 1
    assert clock.counts["clock_put_back"] == 0


def test_a_clock_beyond_what_is_allowed_is_said_to_be_so_and_no_more_when_it_is_right() -> None:
    clock = Clock(ahead=10.0)
    clock.run(2)
    clock.run(5, lambda k: HOUR)
    assert clock.problems == (
        "its frames are more than 10 s ahead of this computer's clock, and are not used: "
        "one of the two clocks is wrong",
    )
    assert clock.counts["ahead"] == 150
    clock.run(0.1)
    assert clock.problems == ()


# Whatever comes


STEPS = st.sampled_from([0.0, HOUR, -HOUR, 1.5, -1.5, 0.7, -0.7, 30.0, -30.0, 3e4, -3e4])
PHASE = st.tuples(
    st.lists(STEPS, min_size=1, max_size=4),  # clocks that take turns
    st.integers(1, 40),  # frames of each
    st.integers(1, 30),  # ticks
    st.booleans(),  # a new connection before
    st.sampled_from([0, 0, 0, 1, 4, 30]),  # ticks of silence before
)


@settings(max_examples=50, deadline=None)
@given(st.lists(PHASE, max_size=4), STEPS)
@example([([HOUR], 1, 1, False, 0), ([0.0, -HOUR], 1, 30, False, 0)], -1.5)
def test_after_anything_two_seconds_of_good_frames_are_seen(phases: Sequence[object], end: float) -> None:
    clock = Clock(ahead=1e6)
    for clocks, length, ticks, anew, silence in phases:  # type: ignore[misc]
        clock.pause(silence / 10)
        if anew:
            clock.reconnect()
        clock.run(ticks / 10, lambda k, n=length, c=clocks: c[k // n % len(c)])
    block = clock.run(2.1, lambda k: end)
    assert len(block)
    assert not np.isnan(block.values[-1]).any()
    assert offsets(block.slice(len(block) - 1, len(block)), round(clock.feeding.now * RATE) - 1) == [end]
    assert all((np.diff(one.time.astype(np.int64)) > 0).all() for one in clock.feeding.blocks)
    assert [row for one in clock.feeding.blocks for row in one.rows] == list(range(len(clock.feeding.all)))


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.sampled_from([0, 30, -30, 3000, -3000, 45, -45]), min_size=1, max_size=3),
    st.sets(st.integers(0, 240), max_size=6),
    st.lists(st.integers(1, 12), min_size=1, max_size=60),
)
def test_how_frames_are_handed_over_changes_nothing(
    leaps: list[int], wrong: set[int], cuts: list[int]
) -> None:
    """Frames arrive one by one; the looks at them differ."""
    numbers, at = [], 0
    for leap in leaps:
        numbers += list(range(at := at + leap, at := at + 80))
    said = [n + 100_000 if i in wrong else n for i, n in enumerate(numbers)]
    frames = DataLayout(OF).encode(readings(OF, np.concatenate([times(1, RATE, n) for n in said])))

    def taken(cuts: Sequence[int]) -> Block:
        feeding = Feeding(OF)
        left, i = list(frames), 0
        while left:
            size = cuts[i % len(cuts)]
            for frame in left[:size]:
                feeding.now += 1 / RATE
                feeding.stream.receive(frame, feeding.now)
            left, i = left[size:], i + 1
            feeding.look(feeding.now)
        return feeding.all

    one, other = taken([1]), taken(cuts)
    assert np.array_equal(one.time, other.time)
    assert np.array_equal(one.values, other.values, equal_nan=True)
    assert one.quality is not None
    assert np.array_equal(one.quality, other.quality)  # type: ignore[arg-type]
