"""The replay loop: pace, commands and passes, on a virtual clock."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from gridtop.errors import GridtopError
from gridtop.replay import CADENCE, LARGEST, Portion, Replay, check_speed
from tests.streams import START, ListSource, VirtualTimeLoop, block_of, channel_set, times

CHANNELS = channel_set("a", rate=10.0)


def recording(frames: int = 100, chunk: int = 7) -> ListSource:
    return ListSource(block_of(np.arange(frames, dtype=float), CHANNELS), chunk)


def virtually(scenario: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine on a clock that jumps."""
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(scenario())
    finally:
        loop.close()


async def play(replay: Replay, until: float = math.inf) -> list[tuple[float, Portion]]:
    """Every portion with the virtual time at which it came, up to a time."""
    loop = asyncio.get_running_loop()
    got: list[tuple[float, Portion]] = []

    async def collect() -> None:
        async for portion in replay.portions():
            got.append((loop.time(), portion))

    task = asyncio.create_task(collect())
    await asyncio.wait([task], timeout=None if until == math.inf else until - loop.time())
    if not task.done():
        task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return got


def make(source: ListSource, **options: Any) -> Replay:
    return Replay(source, CHANNELS, clock=asyncio.get_running_loop().time, **options)


def rows(portions: list[tuple[float, Portion]], context: bool = False) -> list[int]:
    return [int(row) for _, p in portions if p.context is context for row in p.block.rows]


def test_every_frame_comes_once_and_in_order_at_any_chunk_size() -> None:
    async def scenario(chunk: int, speed: float) -> list[int]:
        return rows(await play(make(recording(100, chunk), speed=speed, stop_at_end=True)))

    for chunk in (1, 7, 100):
        for speed in (0.5, 1.0, 50.0, math.inf):
            assert virtually(lambda c=chunk, s=speed: scenario(c, s)) == list(range(100))


@pytest.mark.parametrize("speed", [0.1, 1.0, 4.0, 1000.0])
def test_no_frame_comes_early_and_the_pace_does_not_drift(speed: float) -> None:
    async def scenario() -> list[tuple[float, Portion]]:
        return await play(make(recording(400), speed=speed, stop_at_end=True))

    portions = virtually(scenario)
    for now, portion in portions:
        due = float((portion.block.time[-1] - START) / np.timedelta64(1, "s")) / speed
        assert due - 1e-6 <= now <= due + max(CADENCE, 0.1 / speed) + 1e-6
    end = 39.9 / speed
    assert portions[-1][0] == pytest.approx(end, abs=CADENCE + 1e-6)


def test_blocks_come_no_more_often_than_the_cadence() -> None:
    async def scenario() -> list[tuple[float, Portion]]:
        return await play(make(recording(400), speed=8.0, stop_at_end=True))

    moments = [now for now, _ in virtually(scenario)]
    # Chunks of seven frames end blocks early, so look at a span instead of at neighbours.
    assert len(moments) <= (moments[-1] / CADENCE) * 2 + 2


def test_full_speed_gives_blocks_of_at_most_the_largest_size() -> None:
    async def scenario() -> list[tuple[float, Portion]]:
        return await play(make(recording(LARGEST + 5, LARGEST * 2), speed=math.inf, stop_at_end=True))

    assert [len(portion.block) for _, portion in virtually(scenario)] == [LARGEST, 5]


@pytest.mark.parametrize("size", [1, 7, 256])
def test_a_fixed_block_size_is_kept_at_any_speed(size: int) -> None:
    async def scenario(speed: float) -> list[int]:
        portions = await play(make(recording(600, 600), speed=speed, stop_at_end=True, block_frames=size))
        return [len(portion.block) for _, portion in portions]

    for speed in (50.0, math.inf):
        sizes = virtually(lambda s=speed: scenario(s))
        assert set(sizes[:-1]) == {size}
        assert sum(sizes) == 600


def test_pause_stops_the_clock_and_resume_goes_on_without_a_jump() -> None:
    async def scenario() -> list[tuple[float, Portion]]:
        replay = make(recording(100), stop_at_end=True)
        loop = asyncio.get_running_loop()
        loop.call_later(2.0, replay.pause)
        loop.call_later(50.0, replay.resume)
        return await play(replay)

    portions = virtually(scenario)
    assert rows(portions) == list(range(100))
    assert not [now for now, _ in portions if 2.2 < now < 50.0]
    assert portions[-1][0] == pytest.approx(50.0 + 9.9 - 2.0, abs=0.3)


def test_steps_give_exactly_that_many_frames_while_paused() -> None:
    async def scenario() -> tuple[int, list[int]]:
        replay = make(recording(100))
        loop = asyncio.get_running_loop()
        loop.call_later(1.05, replay.pause)
        loop.call_later(5.0, replay.step, 1)
        loop.call_later(6.0, replay.step, 3)
        portions = await play(replay, until=10)
        return len(rows([p for p in portions if p[0] < 4])), [len(p.block) for now, p in portions if now > 4]

    before, steps = virtually(scenario)
    assert before == 11
    assert sum(steps) == 4


def test_a_step_back_shows_the_frame_before_in_a_new_pass() -> None:
    async def scenario() -> list[tuple[float, Portion]]:
        replay = make(recording(100))
        loop = asyncio.get_running_loop()
        loop.call_later(2.05, replay.pause)
        loop.call_later(5.0, replay.step, -1)
        return await play(replay, until=10)

    portions = virtually(scenario)
    last = portions[-1][1]
    assert last.pass_number == 2
    assert last.block.rows.tolist() == [rows([p for p in portions if p[0] < 4])[-1] - 1]


def test_seek_begins_a_pass_and_brings_the_history_before_its_goal_as_context() -> None:
    async def scenario() -> list[tuple[float, Portion]]:
        replay = make(recording(2000, 64), stop_at_end=True)
        asyncio.get_running_loop().call_later(1.0, replay.seek, 1500)
        return await play(replay)

    portions = virtually(scenario)
    second = [p for p in portions if p[1].pass_number == 2]
    assert rows(second, context=True) == list(range(900, 1500))
    assert rows(second) == list(range(1500, 2000))


def test_seek_while_paused_shows_one_frame_and_stays_paused() -> None:
    async def scenario() -> tuple[list[int], str]:
        replay = make(recording(100))
        replay.pause()
        asyncio.get_running_loop().call_later(1.0, replay.seek, 50)
        portions = await play(replay, until=20)
        return rows(portions), replay.transport().state

    assert virtually(scenario) == ([50], "paused")


def test_seeking_by_time_and_beyond_the_end_stays_inside_the_recording() -> None:
    async def scenario() -> list[int]:
        replay = make(recording(100))
        replay.pause()
        await replay.seek_time(times(1, first=30)[0])
        portions = await play(replay, until=1)
        replay.seek(10**9)
        portions += await play(replay, until=2)
        return rows(portions)

    assert virtually(scenario) == [30, 99]


def test_loop_begins_again_and_counts_passes() -> None:
    async def scenario() -> list[tuple[float, Portion]]:
        return await play(make(recording(20), loop=True), until=7.0)

    portions = virtually(scenario)
    assert {p.pass_number for _, p in portions} == {1, 2, 3, 4}
    assert rows([p for p in portions if p[1].pass_number == 2]) == list(range(20))


def test_at_the_end_it_waits_and_resume_starts_again() -> None:
    async def scenario() -> tuple[list[tuple[float, Portion]], str]:
        replay = make(recording(20))
        states: list[str] = []
        loop = asyncio.get_running_loop()
        loop.call_later(10.0, lambda: states.append(replay.transport().state))
        loop.call_later(10.0, replay.resume)
        return await play(replay, until=20.0), states[0]

    portions, state = virtually(scenario)
    assert state == "ended"
    assert [p.pass_number for now, p in portions if now > 10][-1] == 2
    assert len(rows(portions)) == 40


def test_the_speed_reached_is_measured() -> None:
    async def scenario() -> list[float]:
        replay = make(recording(400), speed=4.0, stop_at_end=True)
        reached: list[float] = []
        asyncio.get_running_loop().call_later(5.0, lambda: reached.append(replay.transport().reached))
        await play(replay)
        return reached

    assert virtually(scenario)[0] == pytest.approx(4.0, rel=0.05)


def test_a_gap_in_the_recording_is_waited_for_and_is_no_lateness() -> None:
    gap = np.timedelta64(30, "s")
    base = block_of(np.arange(40.0), CHANNELS)
    time = base.time.copy()
    time[20:] += gap
    source = ListSource(type(base)(CHANNELS, time, base.values.copy()), 40)

    async def scenario() -> list[tuple[float, Portion]]:
        return await play(make(source, stop_at_end=True))

    portions = virtually(scenario)
    assert portions[-1][0] == pytest.approx(33.9, abs=0.2)


def test_a_machine_that_cannot_keep_up_says_so_and_loses_nothing() -> None:
    async def scenario() -> tuple[list[int], float]:
        replay = make(recording(3000, 3000), speed=100.0, stop_at_end=True)
        got: list[int] = []
        reached: list[float] = []
        async for portion in replay.portions():
            got += portion.block.rows.tolist()
            await asyncio.sleep(len(portion.block) * 0.002)  # takes twice as long as there is time
            reached.append(replay.transport().reached)
        return got, float(np.nanmedian(reached))

    got, reached = virtually(scenario)
    assert got == list(range(3000))
    assert reached == pytest.approx(50, rel=0.1)


def test_impossible_speeds_are_refused_in_words() -> None:
    for speed in (0.0, -1.0, 0.05, 2000.0, math.nan):
        with pytest.raises(GridtopError, match="cannot be played"):
            check_speed(speed)
    assert check_speed(math.inf) == math.inf


def test_the_transport_says_where_the_replay_stands() -> None:
    async def scenario() -> Any:
        replay = make(recording(100), stop_at_end=True)
        await play(replay, until=5.01)
        return replay.transport()

    transport = virtually(scenario)
    assert transport.frames == 100
    assert transport.first == START
    assert transport.time is not None
    assert transport.row == 51
