"""The app against a client without a monitor: keys become commands, answers become pictures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from textual.binding import Binding
from textual.pilot import Pilot
from textual.screen import Screen

from gridtop.client import Hello, Link, Snapshot
from gridtop.errors import SourceError
from gridtop.tui import keys
from gridtop.tui.app import GridtopApp
from gridtop.tui.driver import TerminalDriver
from gridtop.tui.glyphs import ASCII, UNICODE, Glyphs
from gridtop.tui.screens.alarm_card import AlarmCard
from gridtop.tui.screens.alarms import Alarms
from gridtop.tui.screens.ask import Ask
from gridtop.tui.screens.card import Card
from gridtop.tui.screens.chart import Chart
from gridtop.tui.screens.device_card import DeviceCard
from gridtop.tui.screens.devices import Devices
from gridtop.tui.screens.help import Help
from gridtop.tui.screens.overview import Overview
from gridtop.tui.screens.pick import Pick
from gridtop.tui.view.rows import Span
from gridtop.tui.widgets.rows import Rows, difference
from tests.tui.fake_client import START, FakeClient, busy_client, event, four_devices


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def running(
    client: FakeClient, size: tuple[int, int] = (80, 24), glyphs: Glyphs = UNICODE, clock: Clock | None = None
) -> AsyncIterator[Pilot[None]]:
    app = GridtopApp(client, glyphs=glyphs, clock=clock or Clock(), ticks_per_second=50)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        yield pilot


async def settled(pilot: Pilot[None]) -> None:
    """Wait until orders are obeyed and the picture is painted."""
    app = pilot.app
    assert isinstance(app, GridtopApp)
    for _ in range(3):
        await pilot.pause()
        await app.tick()
    await pilot.pause()


def picture(pilot: Pilot[None]) -> str:
    return "\n".join(strip.text for strip in pilot.app.screen._compositor.render_strips())


async def test_the_first_picture_does_not_wait_for_the_monitor() -> None:
    class Slow(FakeClient):
        async def hello(self) -> Hello:
            await asyncio.Event().wait()
            raise AssertionError

    app = GridtopApp(Slow(), clock=Clock())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "connecting" in picture(pilot)
        assert "1 VOLTAGE" in picture(pilot)
        await pilot.press("question_mark", "escape", "g", "v", "p", "enter", "escape")


async def test_why_a_source_does_not_open_is_said_while_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    class Waiting(FakeClient):
        link = Link("connecting", 0.0, "nobody listens at pmu1:4712")
        can_restart = True

        async def restart(self) -> None:
            raise AssertionError

        async def hello(self) -> Hello:
            await asyncio.Event().wait()
            raise AssertionError

    monkeypatch.setattr("gridtop.tui.app._RETRY_SECONDS", 0.01)
    clock = Clock()
    clock.now = 12.0
    app = GridtopApp(Waiting(), clock=clock)
    async with app.run_test(size=(80, 24)) as pilot:
        async with asyncio.timeout(10):
            while "no source yet, 12 s: nobody listens at pmu1:4712" not in picture(pilot):
                await pilot.pause(0.01)
        assert "connecting" in picture(pilot)


async def test_values_alarms_and_events_are_on_the_screen() -> None:
    async with running(busy_client()) as pilot:
        shown = picture(pilot)
    for words in ("131.8 kV", "381 A", "323 ohm", "59.971 Hz", "hi 132.3k", "!! CRITICAL", "! LOW", "REPLAY"):
        assert words in shown
    assert "opened two-line.csv.gz" in shown


COMMANDS = {
    "space": [("pause",)],
    "comma": [("pause",), ("step", -1)],
    "full_stop": [("pause",), ("step", 1)],
    "left_square_bracket": [("speed", 2.0)],
    "right_square_bracket": [("speed", 8.0)],
    "backslash": [("speed", 1.0)],
    "left": [("seek_time", START + np.timedelta64(31_200, "ms"))],
    "right": [("seek_time", START + np.timedelta64(51_200, "ms"))],
    "shift+left": [("seek_time", START - np.timedelta64(18_800, "ms"))],
    "shift+right": [("seek_time", START + np.timedelta64(101_200, "ms"))],
    "m": [("seek_time", START + np.timedelta64(101_200, "ms"))],
    "M": [("seek_time", START - np.timedelta64(18_800, "ms"))],
    "o": [("seek_time", START + np.timedelta64(3_641_200, "ms"))],
    "O": [("seek_time", START - np.timedelta64(3_558_800, "ms"))],
    "0": [("seek", 0)],
    "left_curly_bracket": [("seek", 1170)],
    "right_curly_bracket": [],
    "R": [],
    "r": [("record", True)],
    "A": [("acknowledge", "sag-R3-A")],
    "a": [("acknowledge", "sag-R3-A")],
}


@pytest.mark.parametrize("key", COMMANDS)
async def test_a_key_is_a_command(key: str) -> None:
    client = busy_client()
    async with running(client) as pilot:
        await pilot.press(key)
        await settled(pilot)
    assert client.calls == COMMANDS[key]


LOOKS = {
    "1": lambda app: app.model.chosen.selected == 0,
    "2": lambda app: app.model.chosen.selected == 1,
    "3": lambda app: app.model.chosen.selected == 2,
    "4": lambda app: app.model.chosen.selected == 3,
    "tab": lambda app: app.model.chosen.selected == 1,
    "shift+tab": lambda app: app.model.chosen.selected == 3,
    "v": lambda app: [c.place for c in app.model.chosen.choices] == ["R2 A", "R1 A", "R1", "R1"],
    "V": lambda app: [c.place for c in app.model.chosen.choices] == ["R2 A", "R2 A", "R2", "R2"],
    "p": lambda app: [c.place for c in app.model.chosen.choices] == ["R1 B", "R1 A", "R1", "R1"],
    "P": lambda app: [c.place for c in app.model.chosen.choices] == ["R1 B", "R1 B", "R1", "R1"],
    "u": lambda app: isinstance(app.screen, Pick),
    "e": lambda app: isinstance(app.screen, Card),
    "plus": lambda app: app.model.chosen.window == 120,
    "minus": lambda app: app.model.chosen.window == 30,
    "up": lambda app: not app.model.log.following,
    "down": lambda app: app.model.log.following,
    "pageup": lambda app: not app.model.log.following,
    "pagedown": lambda app: app.model.log.following,
    "home": lambda app: not app.model.log.following,
    "end": lambda app: app.model.log.following,
    "f": lambda app: app.model.log.following,
    "enter": lambda app: isinstance(app.screen, Chart),
    "l": lambda app: app.model.chosen.overlay,
    "y": lambda app: app.model.chosen.scale == "limits",
    "t": lambda app: app.theme == "ansi-dark",
    "w": lambda app: app.model.notice.startswith("saved "),
    "x": lambda app: not app.model.log.filter,
    "n": lambda app: not app.model.log.following,
    "N": lambda app: not app.model.log.following,
    "slash": lambda app: isinstance(app.screen, Ask),
    "g": lambda app: isinstance(app.screen, Ask),
    "question_mark": lambda app: isinstance(app.screen, Help),
    "i": lambda app: isinstance(app.screen, Alarms),
    "d": lambda app: isinstance(app.screen, Devices),
}


@pytest.mark.parametrize("key", LOOKS)
async def test_a_key_changes_what_is_shown(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    client = busy_client()
    for row in range(1210, 1230):
        client.happened(event(row, message=f"more at {row}"))
    async with running(client) as pilot:
        await pilot.press(key)
        await settled(pilot)
        assert LOOKS[key](pilot.app)
    assert client.calls == []


async def test_a_panel_shows_the_quantity_that_is_picked_at_the_same_terminal() -> None:
    client = busy_client()
    async with running(client) as pilot:
        await pilot.press("v", "v", "u", *"pu")
        await settled(pilot)
        assert "> voltage pu" in picture(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert "1 R3 A VOLTAGE PU" in picture(pilot)
        assert client.requests[-1].channels[0] == "R3:voltage_pu.A"


async def test_the_card_shows_the_newest_event_and_goes_through_the_others() -> None:
    client = busy_client()
    for row in range(3):
        details = {"type": "AG", "distance_km": 34.1 + row, "reclosed": True, "by\x1b[31m": None}
        client.happened(event(2000 + row, message=f"L1 short circuit number {row} [b]", details=details))
    async with running(client) as pilot:
        await pilot.press("e")
        await settled(pilot)
        shown = picture(pilot)
        assert "short circuit number 2 [b]" in shown
        assert "distance km        36.1" in shown
        assert "reclosed           yes" in shown
        assert "by" not in [line.split()[0] for line in shown.splitlines() if line.split()]
        assert "\x1b" not in shown
        client.happened(event(2003, message="one that came while it was read"))
        await settled(pilot)
        assert "short circuit number 2 [b]" in picture(pilot)
        await pilot.press("N")
        await settled(pilot)
        assert "short circuit number 1" in picture(pilot)
        await pilot.press("down", "escape")
        await settled(pilot)
        assert isinstance(pilot.app.screen, Overview)
        assert pilot.app.model.log.following
        assert "one that came while it was read" in picture(pilot)


async def test_the_card_of_an_empty_log_says_so() -> None:
    client = busy_client()
    client.log.clear()
    async with running(client) as pilot:
        await pilot.press("e")
        await settled(pilot)
        assert "no events yet" in picture(pilot)


async def test_a_name_that_no_quantity_has_cannot_be_picked_and_escape_leaves_all_as_it_was() -> None:
    client = busy_client()
    async with running(client) as pilot:
        await pilot.press("u", *"zzz", "enter")
        await settled(pilot)
        assert "no quantity is called that" in picture(pilot)
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(pilot.app.screen, Overview)
        assert "1 VOLTAGE" in picture(pilot)


async def test_arrows_go_through_the_quantities() -> None:
    client = busy_client()
    async with running(client) as pilot:
        await pilot.press("u", "down", "down", "up", "enter")
        await settled(pilot)
        assert "1 CURRENT" in picture(pilot)


async def test_the_configuration_says_what_the_panels_show_at_first() -> None:
    client = busy_client()
    client.wishes = replace(client.wishes, panels=("voltage_pu", "frequency"))
    async with running(client) as pilot:
        shown = picture(pilot)
        assert "VOLTAGE PU" in shown
        assert "2 FREQUENCY" in shown
        assert "3 VOLTAGE" in shown


async def test_q_leaves() -> None:
    client = busy_client()
    async with running(client) as pilot:
        await pilot.press("q")
        await pilot.pause()
        assert pilot.app._exit


def test_every_binding_is_pressed_by_a_test_and_has_a_name() -> None:
    bindings = [b for screen in (Overview, Chart) for b in screen.BINDINGS if isinstance(b, Binding)]
    keys_of = {key for b in bindings for key in b.key.split(",")}
    assert keys_of == {*COMMANDS, *LOOKS, "q", "escape"}
    assert all(b.id and b.tooltip for b in bindings)
    for screen in (Overview, Chart, Alarms, AlarmCard, Devices, DeviceCard):
        ids = [b.id for b in screen.BINDINGS if isinstance(b, Binding)]
        assert len(ids) == len(set(ids))
        pressed = [key for b in screen.BINDINGS if isinstance(b, Binding) for key in b.key.split(",")]
        assert len(pressed) == len(set(pressed))


async def test_space_resumes_what_is_paused_and_says_so() -> None:
    client = busy_client()
    client.state = "paused"
    async with running(client) as pilot:
        assert "Space Resume" in picture(pilot)
        assert "PAUSED" in picture(pilot)
        await pilot.press("space")
        await settled(pilot)
        assert "Space Pause" in picture(pilot)
    assert client.calls == [("resume",)]


async def test_quick_keys_add_up() -> None:
    client = busy_client()
    client.state = "paused"
    async with running(client) as pilot:
        await pilot.press("right", "right", "right_square_bracket", "right_square_bracket")
        await settled(pilot)
    assert client.row == 1236 + 600
    assert client.calls[-1] == ("speed", 16.0)


async def test_the_speed_stays_within_what_the_monitor_can() -> None:
    client = busy_client()
    client.factor = 800.0
    async with running(client) as pilot:
        await pilot.press("right_square_bracket", "right_square_bracket")
        await settled(pilot)
        assert client.factor == 1000.0
        client.factor = float("inf")
        await pilot.press("left_square_bracket")
        await settled(pilot)
        assert client.factor == 1000.0
        client.factor = 0.15
        await pilot.press("left_square_bracket", "left_square_bracket")
        await settled(pilot)
        assert client.factor == 0.1


async def test_going_to_a_place_that_was_typed() -> None:
    client = busy_client()
    async with running(client) as pilot:
        await pilot.press("g", *"row 500", "enter")
        await settled(pilot)
        assert client.calls == [("seek", 500)]
        await pilot.press("g", *"soon", "enter")
        await settled(pilot)
        assert "write one of" in picture(pilot)
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(pilot.app.screen, Overview)
    assert client.calls == [("seek", 500)]


async def test_acknowledging_goes_on_to_the_next_alarm() -> None:
    client = busy_client()
    async with running(client) as pilot:
        await pilot.press("a")
        await settled(pilot)
        assert "! WARNING" in picture(pilot)
        await pilot.press("a", "a")
        await settled(pilot)
        assert "CRITICAL  acknowledged" in picture(pilot)
    assert client.calls == [("acknowledge", "sag-R3-A"), ("acknowledge", "f-R1")]


async def test_a_client_that_fails_is_a_line_and_not_the_end() -> None:
    client = busy_client()
    async with running(client) as pilot:
        client.error = ConnectionError("the engine is gone\x1b[2J")
        await settled(pilot)
        assert "NO ANSWER  the engine is gone\ufffd[2J" in picture(pilot)
        await pilot.press("space")
        await settled(pilot)
        client.error = None
        await settled(pilot)
        assert "NO ANSWER" not in picture(pilot)
        assert "cannot pause: the engine is gone" in picture(pilot)
        await pilot.press("space")
        await settled(pilot)
        assert "cannot pause" not in picture(pilot)


async def test_a_source_that_cannot_open_is_said_in_words() -> None:
    client = FakeClient(greeting_error=SourceError("two-line.csv.gz: no such file\nmake one with simulate"))
    async with running(client) as pilot:
        assert "FAILED  two-line.csv.gz: no such file" in picture(pilot)
        assert pilot.app.model.failure  # type: ignore[attr-defined]


async def test_a_monitor_that_fails_later_is_said_in_words() -> None:
    client = busy_client()
    async with running(client) as pilot:
        client.state, client.problem = "failed", "row 1237: the file was cut off"
        await settled(pilot)
        assert "FAILED  row 1237: the file was cut off" in picture(pilot)


async def test_nothing_new_asks_for_no_telemetry_and_paints_nothing() -> None:
    client = busy_client()
    client.state = "paused"
    async with running(client) as pilot:
        asked = len(client.requests)
        painted: list[object] = []
        screen = pilot.app.screen
        assert isinstance(screen, Overview)
        screen.paint = lambda: bool(painted.append(1)) or True  # type: ignore[method-assign]
        await settled(pilot)
        assert (len(client.requests), painted) == (asked, [])


async def test_telemetry_is_asked_for_at_the_panels_resolution() -> None:
    client = busy_client()
    async with running(client) as pilot:
        assert client.requests[-1].buckets == 2 * 27
        assert len(client.requests[-1].channels) == 4
        await pilot.resize_terminal(160, 48)
        await settled(pilot)
        assert client.requests[-1].buckets == 2 * 36
        assert len(client.requests[-1].channels) == 8
        await pilot.press("enter")
        await settled(pilot)
        assert client.requests[-1].channels == ("R1-PM1:V",)


async def test_only_rows_that_changed_are_painted() -> None:
    client = busy_client()
    client.state = "paused"
    async with running(client) as pilot:
        refreshed: list[tuple[str | None, int]] = []
        for widget in pilot.app.screen.query("Rows"):
            widget.refresh = lambda *regions, id=widget.id, **_: refreshed.append((id, len(regions)))  # type: ignore
        client.happened(event(1236, message="one more"))
        await settled(pilot)
        assert {id for id, _ in refreshed} == {"log"}


async def test_keys_that_move_aside_are_painted_where_they_are_now() -> None:
    client = busy_client()
    async with running(client) as pilot:
        for words in ("Space Resume  ,. Step  [] Speed", "Space Pause  ,. Step  [] Speed"):
            await pilot.press("space")
            await settled(pilot)
            bar = pilot.app.screen.query_one("#keys", Rows)
            assert words in bar.render_line(0).text


@pytest.mark.parametrize(
    ("before", "after", "left", "width"),
    [
        (("key", "Resume", "Quit"), ("key", "Go", "Quit"), 3, 10),
        (("12:00", "x4", "ALM"), ("12:01", "x4", "ALM"), 0, 5),
        (("V", "131", " kV"), ("V", "132", " kV"), 1, 3),
        (("中", "1"), ("中", "2"), 2, 1),
        (("a",), ("a",), 0, 0),
    ],
)
def test_a_row_is_painted_from_its_first_to_its_last_change(
    before: tuple[str, ...], after: tuple[str, ...], left: int, width: int
) -> None:
    region = difference(tuple(map(Span, before)), tuple(map(Span, after)), 3)
    assert (region.x, region.width) == (left, width)


async def test_painting_waits_for_a_terminal_that_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    client = busy_client()
    async with running(client) as pilot:
        behind = [True]
        monkeypatch.setattr(GridtopApp, "_terminal_is_behind", property(lambda _: behind[0]))
        client.happened(event(1236, message="while the terminal slept"))
        await settled(pilot)
        assert "while the terminal slept" not in picture(pilot)
        behind[0] = False
        await settled(pilot)
        assert "while the terminal slept" in picture(pilot)


def test_the_driver_knows_its_backlog() -> None:
    from textual.drivers._writer_thread import WriterThread

    driver = TerminalDriver.__new__(TerminalDriver)
    driver._writer_thread = None
    assert driver.backlog == 0
    writer = WriterThread(open("/dev/null", "w"))  # noqa: SIM115  (never started: what is written stays queued)
    driver._writer_thread = writer
    for _ in range(3):
        writer.write("x")
    assert driver.backlog == 3


def test_nothing_waits_for_a_writer_that_died_with_its_terminal() -> None:
    from textual.drivers._writer_thread import WriterThread

    driver = TerminalDriver.__new__(TerminalDriver)
    driver._writer_thread = WriterThread(open("/dev/null", "w"))  # noqa: SIM115  (never started)
    for _ in range(100):
        driver.write("more than its queue holds")
    assert driver.backlog == 0


async def test_a_flood_of_events_reaches_the_log_page_by_page() -> None:
    client = busy_client()
    for row in range(2000):
        client.happened(event(row, message=f"flood {row}"))
    async with running(client) as pilot:
        for _ in range(3):
            await settled(pilot)
        assert "flood 1999" in picture(pilot)


async def test_scrolling_shows_how_much_is_new() -> None:
    client = busy_client()
    for row in range(40):
        client.happened(event(row, message=f"earlier {row}"))
    async with running(client) as pilot:
        await pilot.press("pageup", "up")
        for row in range(12):
            client.happened(event(row, message=f"later {row}"))
        await settled(pilot)
        assert "+12 new" in picture(pilot)
        assert "later" not in picture(pilot)
        await pilot.press("end")
        await settled(pilot)
        assert "later 11" in picture(pilot)
        assert "FOLLOW" in picture(pilot)


@pytest.mark.parametrize(
    "size", [(1, 1), (12, 4), (40, 10), (60, 16), (79, 23), (80, 24), (160, 48), (200, 60)]
)
async def test_every_size_works_on_every_screen(size: tuple[int, int]) -> None:
    client = busy_client()
    client.figures = four_devices()
    async with running(client, (80, 24)) as pilot:
        for key in (
            "up",
            "enter",
            "escape",
            "i",
            "enter",
            "escape",
            "escape",
            "d",
            "enter",
            "escape",
            "escape",
            "question_mark",
            "escape",
            "g",
        ):
            await pilot.press(key)
            await pilot.resize_terminal(*size)
            await settled(pilot)
            client.advance(7)
        await pilot.press("escape")
        await pilot.resize_terminal(80, 24)
        await settled(pilot)
        assert "1 VOLTAGE" in picture(pilot)


async def test_the_chart_shows_values_and_times() -> None:
    clock = Clock()
    async with running(busy_client(), clock=clock) as pilot:
        await pilot.press("v", "v", "enter")
        await settled(pilot)
        shown = picture(pilot)
        for words in ("R3 A", "130.00 kV", "90.000 kV", "14:30:30", "Esc Back"):
            assert words in shown


async def test_the_chart_is_drawn_once_a_second_and_never_left_behind() -> None:
    client, clock = busy_client(), Clock()
    async with running(client, clock=clock) as pilot:
        await pilot.press("enter")
        await settled(pilot)
        first = picture(pilot)
        client.advance(300)
        await settled(pilot)
        assert "14:30:51" in picture(pilot)
        assert picture(pilot).splitlines()[5:-1] == first.splitlines()[5:-1]
        clock.now += 1.0
        await settled(pilot)
        assert picture(pilot).splitlines()[5:-1] != first.splitlines()[5:-1]


async def test_the_chart_of_a_gap_and_of_nothing_does_not_crash() -> None:
    client = busy_client()
    client.row = 700
    async with running(client) as pilot:
        await pilot.press("3", "enter")
        await settled(pilot)
        assert "IMPEDANCE" in picture(pilot)
        client.row = 0
        await pilot.press("minus", "minus")
        await settled(pilot)


async def test_ascii_holds_on_every_screen() -> None:
    async with running(busy_client(), glyphs=ASCII) as pilot:
        assert picture(pilot).isascii()
        await pilot.press("enter")
        await settled(pilot)
        assert picture(pilot).isascii()
        await pilot.press("escape", "question_mark")
        await settled(pilot)
        assert "Go on" not in picture(pilot)


async def test_the_help_lists_every_binding_and_fits_a_usual_terminal() -> None:
    async with running(busy_client()) as pilot:
        await pilot.press("question_mark")
        await settled(pilot)
        shown = picture(pilot)
        for name, meaning in keys.told(Overview.BINDINGS, UNICODE):
            assert name in shown
            assert meaning in shown
        await pilot.press("q")
        await settled(pilot)
        assert isinstance(pilot.app.screen, Overview)


async def test_every_key_is_in_the_command_palette() -> None:
    client = busy_client()
    async with running(client) as pilot:
        names = [command.title for command in pilot.app.get_system_commands(pilot.app.screen)]
        assert {"Pause", "Step back", "Acknowledge", "Chart", "Quit", "Log page up"} <= set(names)
        await pilot.press("ctrl+p")
        await pilot.press(*"acknowledge")
        await pilot.pause(0.3)
        await pilot.press("enter")
        await pilot.pause(0.1)
        await settled(pilot)
    assert client.calls == [("acknowledge", "sag-R3-A")]


async def test_a_live_source_has_no_speed() -> None:
    client = FakeClient(state="live", live=True, source="simulate")
    async with running(client) as pilot:
        assert "LIVE" in picture(pilot)
        assert " x4" not in picture(pilot)


async def test_an_answer_that_comes_late_holds_up_nothing() -> None:
    class Late(FakeClient):
        gate = asyncio.Event()

        async def snapshot(self) -> Snapshot:
            await self.gate.wait()
            return await super().snapshot()

    app = GridtopApp(Late(), clock=Clock(), ticks_per_second=50)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("2", "question_mark")
        await pilot.pause()
        assert isinstance(app.screen, Screen)
        assert app.model.chosen.selected == 1
        Late.gate.set()


async def test_a_short_recording_fills_the_panels(monkeypatch: pytest.MonkeyPatch) -> None:
    client = busy_client()
    whole = client.transport
    short = (
        replace(whole, last=whole.first + np.timedelta64(2300, "ms")) if whole.first is not None else whole
    )
    monkeypatch.setattr(type(client), "transport", property(lambda self: short))
    async with running(client) as pilot:
        assert pilot.app.model.chosen.window == 5.0
        await pilot.press("minus")
        await settled(pilot)
        assert pilot.app.model.chosen.window == 2.0
