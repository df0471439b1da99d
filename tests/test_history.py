"""The ring of recent frames and its envelopes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.client import TelemetryRequest
from gridtop.history import History
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
