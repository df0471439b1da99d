"""Pictures of the screen, with data that stands still (update: pytest tests/tui --snapshot-update)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from gridtop.client import Flood, JournalStatus, Link, RecordingStatus, SinkStatus
from gridtop.tui.app import GridtopApp
from gridtop.tui.glyphs import ASCII, UNICODE
from tests.tui.fake_client import (
    START,
    FakeClient,
    busy_client,
    every_state,
    explained_alarm,
    explained_event,
    flood_of,
    four_devices,
)
from tests.tui.test_app import settled

Compare = Callable[..., bool]


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures do not depend on what the person who runs the tests prefers."""
    monkeypatch.delenv("NO_COLOR", raising=False)


def app(state: str = "playing", row: int = 1236, calm: bool = False, **options: Any) -> GridtopApp:
    """The app on a disturbance that stands still; no clock runs."""
    client = busy_client()
    client.state, client.row = state, row  # type: ignore[assignment]
    client.alarms = () if calm else client.alarms
    return GridtopApp(client, clock=lambda: 0.0, **options)


@pytest.mark.parametrize("size", [(80, 24), (160, 48), (40, 10)], ids=["80x24", "160x48", "40x10"])
def test_the_overview_in_a_disturbance(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(app(), terminal_size=size, run_before=settled)


def test_a_calm_grid_paused(snap_compare: Compare) -> None:
    assert snap_compare(app("paused", 5000, calm=True), terminal_size=(80, 24), run_before=settled)


def test_the_terminals_own_colours(snap_compare: Compare) -> None:
    assert snap_compare(app(theme="ansi-dark"), terminal_size=(80, 24), run_before=settled)


def test_no_colour_and_no_unicode(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = app(theme="ansi-dark", glyphs=ASCII)
    assert snap_compare(shown, terminal_size=(80, 24), run_before=settled)


@pytest.mark.parametrize("size", [(160, 48), (40, 10)], ids=["160x48", "40x10"])
def test_the_terminals_own_colours_at_other_sizes(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(app(theme="ansi-dark"), terminal_size=size, run_before=settled)


@pytest.mark.parametrize("size", [(160, 48), (40, 10)], ids=["160x48", "40x10"])
def test_no_colour_and_no_unicode_at_other_sizes(
    snap_compare: Compare, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(app(theme="ansi-dark", glyphs=ASCII), terminal_size=size, run_before=settled)


def test_an_engine_that_ended(snap_compare: Compare) -> None:
    shown = app()
    client = shown.client
    assert isinstance(client, FakeClient)

    async def end(pilot: Pilot[None]) -> None:
        await settled(pilot)
        client.error = ConnectionError("gone")
        shown.model.link = Link("ended", -12.0, "exit code 1", ("Traceback", "MemoryError"))
        shown.model.can_restart = True
        await settled(pilot)

    assert snap_compare(shown, terminal_size=(80, 24), run_before=end)


def test_the_chart(snap_compare: Compare) -> None:
    async def open_chart(pilot: Pilot[None]) -> None:
        await settled(pilot)
        await pilot.press("v", "v", "enter")
        await settled(pilot)

    assert snap_compare(app(glyphs=UNICODE), terminal_size=(80, 24), run_before=open_chart)


@pytest.mark.parametrize("size", [(80, 24), (40, 10)], ids=["80x24", "40x10"])
def test_the_card_of_a_detectors_alarm(snap_compare: Compare, size: tuple[int, int]) -> None:
    shown = app()
    client = shown.client
    assert isinstance(client, FakeClient)
    client.happened(explained_event())

    async def open_card(pilot: Pilot[None]) -> None:
        await settled(pilot)
        await pilot.press("e")
        await settled(pilot)

    assert snap_compare(shown, terminal_size=size, run_before=open_card)


def test_an_alarm_that_says_why(snap_compare: Compare) -> None:
    shown = app()
    client = shown.client
    assert isinstance(client, FakeClient)
    client.alarms = (*client.alarms, explained_alarm())
    assert snap_compare(shown, terminal_size=(160, 48), run_before=settled)


@pytest.mark.parametrize("size", [(80, 24), (160, 48), (40, 10)], ids=["80x24", "160x48", "40x10"])
def test_the_alarm_screen_with_every_state(snap_compare: Compare, size: tuple[int, int]) -> None:
    shown = app()
    client = shown.client
    assert isinstance(client, FakeClient)
    client.alarms = every_state()
    client.sinks = (SinkStatus("mail", "resting", 34, 5, 0, "connection refused"),)
    client.journal = JournalStatus("degraded", problem="the disk is full")

    async def open_alarms(pilot: Pilot[None]) -> None:
        await settled(pilot)
        await pilot.press("i", "j")
        await settled(pilot)

    assert snap_compare(shown, terminal_size=size, run_before=open_alarms)


def test_the_alarm_screen_in_a_flood(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = app(theme="ansi-dark", glyphs=ASCII)
    client = shown.client
    assert isinstance(client, FakeClient)
    client.alarms, client.flood = flood_of(15), Flood(START, 0, 23, 15)

    async def open_alarms(pilot: Pilot[None]) -> None:
        await settled(pilot)
        await pilot.press("i", "plus", "j", "j")
        await settled(pilot)

    assert snap_compare(shown, terminal_size=(80, 24), run_before=open_alarms)


@pytest.mark.parametrize("size", [(80, 24), (160, 48), (40, 10)], ids=["80x24", "160x48", "40x10"])
def test_the_devices_of_a_live_source_that_is_recorded(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(live_app(), terminal_size=size, run_before=pressing("d", "down"))


def test_the_devices_without_colour_and_unicode(
    snap_compare: Compare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = live_app(theme="ansi-dark", glyphs=ASCII)
    assert snap_compare(shown, terminal_size=(80, 24), run_before=pressing("d"))


def test_the_card_of_a_device(snap_compare: Compare) -> None:
    assert snap_compare(live_app(), terminal_size=(80, 24), run_before=pressing("d", "enter"))


def test_a_live_source_that_gives_nothing_while_it_is_recorded(snap_compare: Compare) -> None:
    shown = live_app()
    client = shown.client
    assert isinstance(client, FakeClient)
    client.silence = 12.4
    assert snap_compare(shown, terminal_size=(80, 24), run_before=settled)


def live_app(**options: Any) -> GridtopApp:
    """The app on a stream of PMUs that is being recorded."""
    shown = app("live", **options)
    client = shown.client
    assert isinstance(client, FakeClient)
    client.live, client.source, client.figures = True, "c37118 192.0.2.10:4712", four_devices()
    client.recording = RecordingStatus("station.gridtop", 4500, 12_345_678)
    return shown


def pressing(*keys: str) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Press keys one after the other."""

    async def press(pilot: Pilot[None]) -> None:
        await settled(pilot)
        for key in keys:
            await pilot.press(key)
            await settled(pilot)

    return press


def test_the_help(snap_compare: Compare) -> None:
    async def open_help(pilot: Pilot[None]) -> None:
        await settled(pilot)
        await pilot.press("question_mark")
        await settled(pilot)

    assert snap_compare(app(), terminal_size=(80, 24), run_before=open_help)
