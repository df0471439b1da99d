"""Quantities that only a screen asks for: offered, computed from the past, followed from then on."""

from __future__ import annotations

import numpy as np
import pytest

from gridtop.blocks import Block, Quality
from gridtop.channels import Channel, ChannelSet
from gridtop.client import TelemetryRequest
from gridtop.history import History
from gridtop.requested import MOST, Requested
from gridtop.site import Nominal, Site
from tests.streams import block_of

CHANNELS = ChannelSet(
    tuple(Channel(f"F{i}", "frequency", "Hz", f"R{i}") for i in range(1, 80)),
    10.0,
)
SITE = Site(nominal=Nominal(frequency=60.0))


def frames(first: int, count: int) -> list[list[float]]:
    return [[60.0 + 0.01 * (first + i)] * len(CHANNELS) for i in range(count)]


def made() -> tuple[Requested, History]:
    return Requested(CHANNELS, CHANNELS, SITE), History(CHANNELS)


def test_what_the_history_holds_already_is_not_offered() -> None:
    requested, _ = made()
    assert "R1:frequency_deviation" in {channel.name for channel in requested.offered}
    both = CHANNELS.extended([c for c in requested.offered if c.name == "R1:frequency_deviation"])
    assert "R1:frequency_deviation" not in {c.name for c in Requested(CHANNELS, both, SITE).offered}


def test_a_quantity_is_computed_from_the_past_and_then_followed() -> None:
    requested, history = made()
    first = block_of(frames(0, 10), CHANNELS)
    history.add(first)
    requested.add(first)
    request = TelemetryRequest(("R1:frequency_deviation", "F2"), 10.0, 5)
    answer = requested.telemetry(request, history)
    assert answer.latest[0] == pytest.approx(0.09, abs=1e-5)
    assert answer.lowest[0] == pytest.approx(0.0, abs=1e-5)
    assert answer.latest[1] == pytest.approx(60.09)
    more = block_of(frames(10, 5), CHANNELS, row=10)
    history.add(more)
    requested.add(more)
    answer = requested.telemetry(request, history)
    assert answer.latest[0] == pytest.approx(0.14, abs=1e-9)
    assert not answer.stale[0]


def test_what_is_calculated_from_a_doubtful_frame_is_doubtful() -> None:
    requested, history = made()
    flags = np.zeros((10, len(CHANNELS)), dtype=np.uint16)
    flags[-1, 0] = Quality.SUSPECT
    plain = block_of(frames(0, 10), CHANNELS)
    first = Block(CHANNELS, plain.time, plain.values, flags)
    history.add(first)
    requested.add(first)
    request = TelemetryRequest(("F2", "R1:frequency_deviation", "F1", "R2:frequency_deviation"), 10.0, 5)
    assert requested.telemetry(request, history).doubtful.tolist() == [False, True, True, False]
    for row, flag, expected in ((10, 0, False), (11, Quality.LATE, True)):
        more = block_of(frames(row, 1), CHANNELS, row=row)
        more = Block(CHANNELS, more.time, more.values, np.full((1, len(CHANNELS)), flag, np.uint16), row=row)
        history.add(more)
        requested.add(more)
        assert requested.telemetry(request, history).doubtful.tolist() == [expected] * 4


def test_a_new_pass_forgets_them() -> None:
    requested, history = made()
    history.add(block_of(frames(0, 10), CHANNELS))
    request = TelemetryRequest(("R1:frequency_deviation",), 10.0, 5)
    requested.telemetry(request, history)
    history.clear()
    requested.clear()
    answer = requested.telemetry(request, history)
    assert np.isnan(answer.latest[0])
    assert answer.stale[0]


def test_only_so_many_are_followed_and_the_one_asked_for_longest_ago_gives_way() -> None:
    requested, history = made()
    history.add(block_of(frames(0, 10), CHANNELS))
    for i in range(1, MOST + 10):
        requested.telemetry(TelemetryRequest((f"R{i}:frequency_deviation",), 10.0, 5), history)
    assert len(requested.followed) == MOST
    assert "R1:frequency_deviation" not in requested.followed
    again = requested.telemetry(TelemetryRequest(("R1:frequency_deviation",), 10.0, 5), history)
    assert again.latest[0] == pytest.approx(0.09, abs=1e-5)


def test_unknown_names_are_missing_and_cost_nothing() -> None:
    requested, history = made()
    history.add(block_of(frames(0, 3), CHANNELS))
    answer = requested.telemetry(TelemetryRequest(("nonsense",), 10.0, 5), history)
    assert np.isnan(answer.latest[0])
    assert not requested.followed
