"""Data that no longer come: after how long it is said, and how."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridtop.channels import ChannelSet
from gridtop.client import Hello, Snapshot
from gridtop.tui.glyphs import ASCII, UNICODE
from gridtop.tui.screens.overview import Overview
from gridtop.tui.view.model import Model
from gridtop.tui.view.rows import width_of
from tests.tui.fake_client import CHANNELS, FakeClient, busy_client
from tests.tui.test_app import Clock, picture, running, settled


def live(**more: object) -> FakeClient:
    client = busy_client()
    client.state, client.live = "live", True
    for name, value in more.items():
        setattr(client, name, value)
    return client


def model_at(rate: float | None, silence: float, **more: object) -> Model:
    model = Model(UNICODE, lambda: 0.0)
    model.greet(Hello("0", "pmu", True, ChannelSet(tuple(CHANNELS), rate)))
    transport = replace(live(**more).transport, silence=silence)
    model.receive(Snapshot(transport))
    return model


@pytest.mark.parametrize(
    ("rate", "silence", "words"),
    [
        (30.0, 2.0, ""),
        (30.0, 2.1, "2 s"),
        (30.0, 12.9, "12 s"),
        (30.0, 200.0, "3 min"),
        (0.5, 5.9, ""),
        (0.5, 6.1, "6 s"),
        (None, 2.1, "2 s"),
        (30.0, float("nan"), ""),
        (30.0, float("inf"), ""),
    ],
)
def test_a_source_is_silent_after_two_seconds_or_three_of_its_periods(
    rate: float | None, silence: float, words: str
) -> None:
    model = model_at(rate, silence)
    assert model.freshness.silence_words == words
    assert model.panel(0).stale is bool(words)
    shown = "".join(span.text for span in model.status(80))
    assert (f" NO DATA {words} " in shown) is bool(words)
    assert ("LIVE" in shown) is not bool(words)


@pytest.mark.parametrize("state", ["starting", "playing", "paused", "ended", "failed"])
def test_only_a_live_source_can_be_silent(state: str) -> None:
    assert not model_at(30.0, 99.0, state=state).freshness.stale


def test_a_row_that_does_not_move_is_silence_whatever_the_engine_says() -> None:
    clock = Clock()
    model = Model(UNICODE, clock)
    client = live()
    model.greet(Hello("0", "pmu", True, client.channels))
    model.receive(Snapshot(client.transport))
    clock.now += 2.5
    model.receive(Snapshot(client.transport))
    assert model.freshness.silence_words == "2 s"
    client.advance(1)
    model.receive(Snapshot(client.transport))
    assert not model.freshness.stale


async def test_silence_is_said_and_old_values_are_faint_until_data_come_again() -> None:
    client = live()
    async with running(client) as pilot:
        assert "LIVE" in picture(pilot)
        client.silence = 2.2
        await settled(pilot)
        shown = picture(pilot).splitlines()
        assert " NO DATA 2 s " in shown[0]
        assert "131.8 kV ~" in shown[2]
        panel = pilot.app.model.panel(0)  # type: ignore[attr-defined]
        assert panel.role == "dim"
        client.silence = 0.0
        client.advance(3)
        await settled(pilot)
        shown = picture(pilot).splitlines()
        assert " LIVE " in shown[0]
        assert "~" not in shown[2]


async def test_a_silent_source_is_painted_when_the_second_changes_and_at_no_other_time() -> None:
    client = live(silence=5.0)
    async with running(client) as pilot:
        painted: list[float] = []
        screen, paint = pilot.app.screen, pilot.app.screen.paint  # type: ignore[attr-defined]
        assert isinstance(screen, Overview)
        screen.paint = lambda: bool(painted.append(client.silence)) or paint()  # type: ignore[method-assign]
        for silence in np.arange(5.0, 8.0, 0.25):
            client.silence = float(silence)
            await settled(pilot)
        assert [int(when) for when in painted] == [6, 7]


async def test_frozen_and_silent_are_both_said() -> None:
    client = live()
    async with running(client, (100, 24)) as pilot:
        await pilot.press("space")
        client.silence = 30.0
        await settled(pilot)
        assert " NO DATA 30 s  FROZEN " in picture(pilot)


async def test_an_engine_that_does_not_answer_comes_before_a_source_that_gives_nothing() -> None:
    client, clock = live(silence=4.0), Clock()
    async with running(client, clock=clock) as pilot:
        client.error = ConnectionError("gone")
        clock.now += 12
        await settled(pilot)
        assert " 12 s OLD " in picture(pilot)
        assert "NO DATA" not in picture(pilot)


@pytest.mark.parametrize("size", [(40, 10), (80, 24)])
async def test_silence_is_said_on_every_page_and_in_ascii(size: tuple[int, int]) -> None:
    client = live(silence=7200.0)
    async with running(client, size, ASCII) as pilot:
        for key in ("d", "escape", "i", "escape", "enter", "escape"):
            await pilot.press(key)
            await settled(pilot)
            assert " NO DATA 2 h " in picture(pilot)
            model = pilot.app.model  # type: ignore[attr-defined]
            assert width_of(model.status(size[0])) == size[0]
