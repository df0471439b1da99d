"""The ring of recent frames and its envelopes."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.blocks import Block, Quality
from gridtop.client import TelemetryRequest
from gridtop.history import CAPACITY, SPANS, History
from tests.streams import block_of, channel_set, times

CHANNELS = channel_set("a", "b", rate=10.0)


def ask(history: History, window: float = 10.0, buckets: int = 20, *names: str) -> object:
    return history.telemetry(TelemetryRequest(names or ("a", "b"), window, buckets))


def test_a_spike_of_one_frame_is_in_the_envelope() -> None:
    values = np.zeros((300, 2))
    values[250, 1] = 9.0
    history = History(CHANNELS)
    history.add(block_of(values, CHANNELS))
    seen = history.telemetry(TelemetryRequest(("b",), 10.0, 8))
    assert np.nanmax(seen.maximum) == 9.0
    assert seen.highest[0] == 9.0
    assert seen.lowest[0] == 0.0


def test_nan_is_a_gap_and_the_latest_good_value_stays() -> None:
    values = np.ones((40, 2))
    values[20:, 0] = np.nan
    history = History(CHANNELS)
    history.add(block_of(values, CHANNELS))
    seen = history.telemetry(TelemetryRequest(("a",), 4.0, 4))
    assert np.isnan(seen.minimum[0, 2:]).all()
    assert seen.latest[0] == 1.0
    assert seen.stale[0]


def test_doubt_is_that_of_the_newest_frame_and_the_value_stays() -> None:
    flags = np.zeros((40, 2), dtype=np.uint16)
    flags[20, 0] = flags[39, 1] = Quality.LATE
    values = np.arange(80.0).reshape(40, 2)
    history = History(CHANNELS)
    history.add(Block(CHANNELS, times(40, 10.0), values, flags))
    seen = history.telemetry(TelemetryRequest(("a", "nobody", "b"), 4.0, 4))
    assert seen.doubtful.tolist() == [False, False, True]
    assert seen.latest[2] == 79.0
    assert not seen.stale[2]
    history.add(block_of(np.ones((1, 2)), CHANNELS, 40))
    assert not history.telemetry(TelemetryRequest(("b",), 4.0, 4)).doubtful[0]


def test_value_that_is_missing_is_not_doubtful_besides_and_a_new_pass_forgets() -> None:
    history = History(CHANNELS)
    flags = np.full((1, 2), Quality.SUSPECT | Quality.MISSING, dtype=np.uint16)
    history.add(Block(CHANNELS, times(1, 10.0), np.array([[np.nan, 1.0]]), flags))
    request = TelemetryRequest(("a", "b"), 4.0, 4)
    assert history.telemetry(request).doubtful.tolist() == [False, True]
    history.clear()
    history.add(block_of(np.ones((1, 2)), CHANNELS))
    assert not history.telemetry(request).doubtful.any()


def test_unknown_channels_give_empty_rows() -> None:
    history = History(CHANNELS)
    history.add(block_of(np.ones((5, 2)), CHANNELS))
    seen = history.telemetry(TelemetryRequest(("nobody", "a"), 1.0, 4))
    assert np.isnan(seen.latest[0])
    assert seen.latest[1] == 1.0
    assert np.isnan(History(CHANNELS).telemetry(TelemetryRequest(("a",), 1.0, 4)).latest[0])


def test_the_ring_keeps_the_newest_frames_only() -> None:
    history = History(CHANNELS, capacity=4 * 2 * 50)
    for row in range(0, 500, 30):
        history.add(block_of(np.arange(row, row + 30).repeat(2), CHANNELS, row))
    seen = history.telemetry(TelemetryRequest(("a",), 3600.0, 10))
    assert seen.highest[0] == 509.0
    assert seen.lowest[0] == 460.0


def test_clear_forgets_everything() -> None:
    history = History(CHANNELS)
    history.add(block_of(np.ones((5, 2)), CHANNELS))
    history.clear()
    assert history.telemetry(TelemetryRequest(("a",), 1.0, 4)).end is None


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32) | st.just(np.nan), min_size=1, max_size=120),
    st.integers(1, 30),
    st.integers(1, 40),
    st.floats(0.2, 20.0),
)
def test_the_envelope_holds_exactly_the_window_however_the_stream_is_cut(
    signal: list[float], cut: int, buckets: int, window: float
) -> None:
    channels = channel_set("a", rate=10.0)
    values = np.array(signal)[:, None]
    history = History(channels)
    for row in range(0, len(values), cut):
        history.add(block_of(values[row : row + cut], channels, row))
    seen = history.telemetry(TelemetryRequest(("a",), window, buckets))
    time = times(len(values))
    inside = time > time[-1] - np.timedelta64(round(window * 1e9), "ns")
    good = values[inside & np.isfinite(values[:, 0]), 0]
    if len(good):
        assert np.nanmin(seen.minimum) == seen.lowest[0] == good.min()
        assert np.nanmax(seen.maximum) == seen.highest[0] == good.max()
    else:
        assert np.isnan(seen.minimum).all()
    filled = np.isfinite(seen.minimum)
    assert (seen.minimum[filled] <= seen.maximum[filled]).all()


SMALL = 5120
"""Bytes for two channels: 384 frames, and 16 buckets in each level of the pyramid."""
KEPT_BUCKETS = 16


def placements(time: np.ndarray, length: int, buckets: int, slack: int) -> tuple[np.ndarray, ...]:
    """(n,) the first and the last bucket in which each frame may show: by a quarter of a bucket, and by
    `slack` buckets of the finest level that still knows it."""
    known = np.full(len(time), SPANS[-1])
    for span in SPANS[::-1]:
        oldest = np.unique(time // span)[-KEPT_BUCKETS:][0]
        known[time // span >= oldest] = span
    first = time[-1] // length - buckets + 1
    early, late = time - np.maximum(length / 3.9, known * slack), time + known * (slack - 1)
    return tuple(np.clip((at // length - first).astype(np.int64), 0, buckets - 1) for at in (early, late))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 6000),
    st.sampled_from([1, 12, 250, 4096]),
    st.sampled_from([2.0, 10.0, 120.0]),
    st.integers(1, 60),
    st.floats(1.0, 4000.0),
)
def test_what_the_ring_has_forgotten_is_still_in_the_envelope_near_its_time(
    seed: int, frames: int, cut: int, rate: float, buckets: int, window: float
) -> None:
    random = np.random.default_rng(seed)
    channels = channel_set("a", "b", rate=rate)
    values = np.round(random.normal(size=(frames, 2)), 3).astype(np.float32).astype(np.float64)
    values[random.random(frames) < 0.2] = np.nan
    pauses = np.cumsum((random.random(frames) < 0.01) * random.integers(0, 100, frames))
    moments = times(frames, rate) + pauses.astype("timedelta64[s]")
    history = History(channels, SMALL)
    for row in range(0, frames, cut):
        part = slice(row, row + cut)
        history.add(Block(channels, moments[part], values[part], row=row))

    seen = history.telemetry(TelemetryRequest(("b",), window, buckets))
    low, high = seen.minimum[0], seen.maximum[0]
    time = moments.astype(np.int64)
    newest, length = time[-1], round(round(window * 1e9) / buckets)
    inside = (time > newest - round(window * 1e9)) & np.isfinite(values[:, 1])
    earliest, latest = placements(time, length, buckets, 1)
    for value, early, late in zip(values[inside, 1], earliest[inside], latest[inside], strict=True):
        assert (low[early : late + 1] <= value).any()
        assert (high[early : late + 1] >= value).any()
    earliest, latest = placements(time, length, buckets, 5)
    for extremes in (low, high):
        for bucket in np.flatnonzero(np.isfinite(extremes)):
            theirs = values[(earliest <= bucket) & (bucket <= latest), 1]
            assert extremes[bucket] in theirs
    if inside.any():
        assert seen.lowest[0] <= values[inside, 1].min()
        assert seen.highest[0] >= values[inside, 1].max()


def test_a_spike_of_one_frame_is_in_the_envelope_of_a_day_at_120_frames_a_second() -> None:
    channels = channel_set("a", rate=120.0)
    history = History(channels, CAPACITY // 160)  # the share of one of 160 channels
    spike, day = 12_345, 120 * 86_400
    values = np.zeros((day, 1), dtype=np.float32)
    values[spike] = 7.0
    for row in range(0, day, 1 << 16):
        history.add(block_of(values[row : row + (1 << 16)], channels, row))
    seen = history.telemetry(TelemetryRequest(("a",), 86_400.0, 320))
    assert seen.highest[0] == 7.0
    assert np.flatnonzero(seen.maximum[0] == 7.0).tolist() == [0]
    for window in (10.0, 60.0, 300.0, 655.0, 3600.0, 21_600.0, 86_400.0):
        for buckets in (40, 320, 1001):
            seen = history.telemetry(TelemetryRequest(("a",), window, buckets))
            assert np.isfinite(seen.maximum).all(), (window, buckets)


def test_memory_is_all_taken_at_the_start_and_stays_flat() -> None:
    history = History(CHANNELS, 1 << 20)
    values = np.zeros((1000, 2))

    def add(blocks: int, row: int) -> None:
        for number in range(blocks):
            history.add(block_of(values, CHANNELS, row + number * 1000))

    add(5, 0)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        add(300, 5000)
        assert tracemalloc.get_traced_memory()[0] - before < 64 << 10
    finally:
        tracemalloc.stop()


def test_a_clock_that_was_put_back_loses_no_extreme() -> None:
    history = History(CHANNELS)
    history.add(block_of([[1.0, 5.0]] * 40, CHANNELS, 100))
    history.add(block_of([[9.0, 5.0]] * 20, CHANNELS, 90))
    seen = history.telemetry(TelemetryRequest(("a",), 60.0, 30))
    assert (seen.lowest[0], seen.highest[0]) == (1.0, 9.0)


def test_a_window_of_no_length_shows_the_newest_frame() -> None:
    history = History(CHANNELS)
    history.add(block_of([[1.0, 5.0], [2.0, 6.0]], CHANNELS))
    for window in (0.0, -3.0, 1e-12):
        assert history.telemetry(TelemetryRequest(("a",), window, 3)).highest[0] == 2.0
    assert history.telemetry(TelemetryRequest(("a",), 1e300, 3)).lowest[0] == 1.0
