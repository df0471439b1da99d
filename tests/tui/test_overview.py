"""What the screen says beside numbers: limits, phases, timeline, alarms, filter, a lost engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from gridtop.client import Hello, LimitLine, Link, ScreenWishes, Snapshot
from gridtop.events import Contribution, Event
from gridtop.screen_settings import _KEY_IDS
from gridtop.tui import keys, profile
from gridtop.tui.app import GridtopApp
from gridtop.tui.glyphs import ASCII, UNICODE, Glyphs
from gridtop.tui.profile import Profile
from gridtop.tui.screens.alarm_card import AlarmCard
from gridtop.tui.screens.alarms import Alarms
from gridtop.tui.screens.chart import Chart
from gridtop.tui.screens.device_card import DeviceCard
from gridtop.tui.screens.devices import Devices
from gridtop.tui.screens.overview import Overview
from gridtop.tui.view.alarm_rows import alarms_on_view
from gridtop.tui.view.axis import Axis
from gridtop.tui.view.card import card_rows
from gridtop.tui.view.choices import quantity
from gridtop.tui.view.filtering import Filter
from gridtop.tui.view.graph import Curve, Limit
from gridtop.tui.view.jumping import near_event
from gridtop.tui.view.log import EventLog, line_of, log_rows
from gridtop.tui.view.model import Model
from gridtop.tui.view.panels import Panel, panel_rows
from gridtop.tui.view.rows import Row
from gridtop.tui.view.timeline import Timeline, timeline_row
from tests.tui.fake_client import (
    FakeClient,
    busy_client,
    event,
    explained_alarm,
    explained_event,
    frequency_alarm,
    sag_alarm,
)
from tests.tui.test_app import Clock, picture, running, settled

LIMITS = (Limit("-L", 126e3), Limit("=L", 119.5e3), Limit("-H", 139.4e3))


def flat(name: str, value: float) -> Curve:
    return Curve(name, value, np.full(80, value), np.full(80, value))


def drawn(shown: Panel, width: int, height: int, glyphs: Glyphs = UNICODE) -> list[str]:
    return ["".join(s.text for s in row) for row in panel_rows(shown, width, height, Axis(), glyphs)]


def voltage(**changes: object) -> Panel:
    sag = np.full(80, 131e3)
    sag[40] = 115e3
    curve = Curve("A", 131e3, sag, np.full(80, 132e3))
    return replace(Panel(1, quantity("voltage"), "R1 A", "V", curve, limits=LIMITS, window="60 s"), **changes)  # type: ignore[arg-type]


# Limits, scales, phases


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_limits_within_the_scale_are_marked_at_the_right_edge(glyphs: Glyphs) -> None:
    lines = drawn(voltage(), 40, 6, glyphs)
    assert any(line.endswith("-L 126.0k") for line in lines)
    assert any(line.endswith("=L 119.5k") for line in lines)
    assert not any("-H" in line for line in lines)
    assert any("hi 132.0k" in line for line in lines)
    assert any(line.count(glyphs.limit) > 8 for line in lines)


def test_the_scale_of_limits_shows_them_all() -> None:
    lines = drawn(voltage(scale="limits"), 40, 6)
    assert any("-H 139.4k" in line for line in lines)


def test_a_fixed_scale_stays_whatever_the_data_do() -> None:
    axis = Axis()
    panel_rows(voltage(), 40, 6, axis, UNICODE)
    before = axis.bottom, axis.top
    panel_rows(voltage(scale="fixed", curve=flat("A", 1e6)), 40, 6, axis, UNICODE)
    assert (axis.bottom, axis.top) == before


def test_a_large_panel_has_an_axis_with_values_and_time() -> None:
    lines = drawn(voltage(), 54, 15)
    assert any("130.0k┤" in line for line in lines)
    assert any("=L 119.5k┤" in line for line in lines)
    assert "-60 s" in lines[-1]
    assert "now" in lines[-1]
    assert all(len(line) == 54 for line in lines)


def test_three_phases_are_told_apart_without_colour() -> None:
    shown = voltage(curve=flat("A", 132e3), others=(flat("B", 131e3), flat("C", 130e3)), limits=())
    lines = drawn(shown, 54, 15)
    assert "R1 A━ B╍ C┅" in lines[0]
    ends = {line.rstrip()[-1]: line for line in lines[1:-1] if line.rstrip()[-1] in "ABC"}
    assert set(ends) == set("ABC")
    solid, dashed, dotted = (sum("⠀" < c <= "⣿" for c in ends[name]) for name in "ABC")
    assert solid > dashed > dotted


def test_a_spike_in_a_dashed_phase_is_drawn_wherever_it_falls() -> None:
    for bucket in range(80):
        low = np.full(80, 131e3)
        low[bucket] = 100e3
        shown = voltage(others=(Curve("B", 131e3, low, np.full(80, 131e3)),), limits=())
        lines = drawn(shown, 54, 15)
        if bucket >= 80 - 2 * 36:
            assert "⠀" < max(lines[-2][13:49]) <= "⣿", bucket


async def test_the_large_screen_lays_phases_over_each_other_and_l_takes_them_away() -> None:
    client = busy_client()
    async with running(client, (160, 48)) as pilot:
        assert "R1 A━ B╍ C┅" in picture(pilot)
        await pilot.press("l")
        await settled(pilot)
        assert "B╍" not in picture(pilot)
        assert len(client.requests[-1].channels) == 4


# Timeline


def line(timeline: Timeline, client: FakeClient, width: int = 80, glyphs: Glyphs = UNICODE) -> str:
    row, _ = timeline_row(timeline, client.transport, 30.0, "60 s  fit", width, glyphs)
    return "".join(span.text for span in row)


def test_the_timeline_shows_position_and_what_happened_where() -> None:
    timeline, client = Timeline(), FakeClient(row=4500)
    timeline.add([event(2250), event(6750, severity="warning"), event(0, "noticed", "info")])
    shown = line(timeline, client)
    assert shown.startswith(" 00:00 .")
    assert shown.endswith(" 05:00   60 s  fit ")
    assert (shown.index("X"), shown.index("●"), shown.index("!")) == (20, 34, 47)
    assert line(timeline, client, glyphs=ASCII).isascii()


def test_what_happens_again_in_the_next_pass_counts_once_and_endings_never() -> None:
    timeline = Timeline()
    timeline.add([event(100, "raised", "info"), event(101, "cleared", "critical")] * 5)
    assert "." in line(timeline, FakeClient())
    assert not set("X:!") & set(line(timeline, FakeClient()).replace("00:00", "").replace("05:00", ""))


def test_a_column_of_the_timeline_stands_for_a_row() -> None:
    _, stretch = timeline_row(Timeline(), FakeClient().transport, 30.0, "", 80, UNICODE)
    assert stretch.row(0) == 0
    assert stretch.row(79) == 8999
    for row in range(0, 9000, 97):
        assert abs(stretch.row(stretch.left + stretch.cell(row)) - row) <= 9000 / stretch.cells


async def test_a_click_on_the_timeline_goes_there() -> None:
    client = busy_client()
    async with running(client) as pilot:
        await pilot.click("#timeline", offset=(30, 0))
        await settled(pilot)
    assert [call[0] for call in client.calls] == ["seek"]


# Going from event to event


def lines_of(*events: Event) -> list:  # type: ignore[type-arg]
    return [line_of(event, UNICODE) for event in events]


def test_the_next_event_is_gone_to_a_second_before_it() -> None:
    lines = lines_of(event(300), event(900), event(950, "cleared"))
    stands = replace(FakeClient().transport, row=270, state="paused")
    assert near_event(lines, stands, 30.0, 1) == 870
    assert near_event(lines, replace(stands, row=870), 30.0, 1) is None
    assert near_event(lines, replace(stands, row=870), 30.0, -1) == 270
    assert near_event(lines, replace(stands, row=890, state="playing"), 30.0, -1) == 270
    assert near_event([], stands, 30.0, -1) is None


async def test_there_is_no_later_event_is_said() -> None:
    async with running(busy_client()) as pilot:
        await pilot.press("right_curly_bracket")
        await settled(pilot)
        assert "there is no later event in the log" in picture(pilot)


# Filter and marks


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", 7),
        ("VOLTAGE", 3),
        ("voltage cleared", 1),
        ("!", 5),
        ("!!", 3),
        ("@r3", 3),
        ("@R1 !", 2),
        ("nowhere", 0),
        ("=operator", 1),
        ("=data =source", 2),
        ("=raised !!", 2),
        ("=out_of", 0),
    ],
)
def test_a_filter_keeps_what_it_names(text: str, kept: int) -> None:
    log = EventLog()
    log.add(lines_of(*busy_client().log))
    log.choose(Filter.parse(text))
    assert len(log) == kept
    assert log.hidden == 7 - kept
    log.add(lines_of(event(9000, message="voltage cleared", severity="critical")))
    log.choose(Filter())
    assert len(log) == 8


async def test_slash_asks_for_a_filter_and_x_takes_it_away() -> None:
    async with running(busy_client()) as pilot:
        await pilot.press("slash", *"@R3", "enter")
        await settled(pilot)
        assert "/@r3" in picture(pilot)
        assert "opened two-line" not in picture(pilot)
        await pilot.press("x")
        await settled(pilot)
        assert "opened two-line" in picture(pilot)


def text_of(rows: tuple[Row, ...]) -> str:
    return "\n".join("".join(span.text for span in row) for row in rows)


def test_marking_goes_through_the_log_and_brings_the_line_into_view() -> None:
    log = EventLog()
    log.add(lines_of(*(event(row, message=f"number {row}") for row in range(50))))
    for _ in range(12):
        log.mark(-1, 7)
    marked = [text for text in text_of(log_rows(log, 80, 8, UNICODE)).split("\n") if text.startswith("▌")]
    assert len(marked) == 1
    assert "number 38" in marked[0]
    log.add(lines_of(event(50, message="number 50")))
    assert "number 50" not in text_of(log_rows(log, 80, 8, UNICODE))
    log.follow()
    assert "▌" not in text_of(log_rows(log, 80, 8, UNICODE))


# Alarms beside the panels


def model_with(*alarms: object, problems: tuple[str, ...] = ()) -> Model:
    model = Model(UNICODE, lambda: 0.0)
    client = FakeClient()
    model.greet(Hello("0", "f.csv", False, client.channels))
    model.receive(Snapshot(client.transport, alarms, problems=problems))  # type: ignore[arg-type]
    return model


def test_the_list_has_the_worst_alarm_first_and_problems_last() -> None:
    rows = text_of(model_with(frequency_alarm(), sag_alarm(), problems=("sink x: down",)).alarm_list(52, 14))
    assert "ALM 1!! 1! 2*" in rows.split("\n")[0]
    assert rows.index("R3:voltage_pu.A") < rows.index("R1:F") < rows.index("PROBLEMS") < rows.index("sink x")
    assert len(rows.split("\n")) == 14


def test_an_alarm_says_why_where_there_is_room_for_it() -> None:
    model = model_with(sag_alarm(), explained_alarm())
    roomy = text_of(model.alarm_list(76, 6)).split("\n")
    assert roomy[5].strip() == "why: R3:voltage_pu.A 62 %, R3-PM4:I 20 %, R1:voltage_pu.A 9 %, F�]0;ow…"
    assert "why:" not in text_of(model.alarm_list(76, 5))
    own = replace(sag_alarm(), cause=(Contribution(sag_alarm().channel, 1.0),))
    assert "why:" not in text_of(model_with(own).alarm_list(76, 14))


def test_the_card_shows_causes_with_bars_where_there_is_room() -> None:
    wide = text_of(card_rows(explained_event(), 74, ASCII)).split("\n")
    at = next(i for i, line in enumerate(wide) if line.startswith("why"))
    assert wide[at].split() == ["why", "R3:voltage_pu.A", "62", "%", "=" * 11]
    assert [line.split("%")[0].split()[-1] for line in wide[at + 1 : at + 5]] == ["20", "9", "5", "1"]
    assert wide[at + 5].strip() == "approximate, found by trial"
    assert len(wide) <= 22
    assert not any("\x1b" in line or "\u202e" in line for line in wide)
    narrow = text_of(card_rows(explained_event(), 40, ASCII)).split("\n")
    assert all(len(line) <= 40 for line in narrow if not line.startswith("what"))
    assert any(line.split()[-2:] == ["62", "%"] for line in narrow)


def test_what_does_not_fit_into_the_list_is_counted_and_not_acknowledged_by_all() -> None:
    many = [replace(sag_alarm(), id=f"a{n}") for n in range(30)]
    model = model_with(*many)
    assert "and 22 more" in text_of(model.alarm_list(52, 10))  # type: ignore[arg-type]
    assert len(alarms_on_view(model.alarms, (), 10, UNICODE)) == 8


# A live source, a lost engine


async def test_a_live_picture_is_frozen_while_events_still_come() -> None:
    client = FakeClient(state="live", live=True)
    async with running(client) as pilot:
        await pilot.press("space")
        await settled(pilot)
        asked = len(client.requests)
        client.advance(30)
        client.happened(event(1240, message="meanwhile"))
        await settled(pilot)
        assert "FROZEN" in picture(pilot)
        assert "meanwhile" in picture(pilot)
        assert len(client.requests) == asked
        await pilot.press("space")
        await settled(pilot)
        assert "FROZEN" not in picture(pilot)
        assert len(client.requests) > asked
    assert client.calls == []


async def test_after_a_reload_the_screen_has_the_new_limits_and_shows_what_it_did(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = busy_client()
    async with running(client) as pilot:
        await pilot.press("v", "v", "p", "y")  # R3, another phase, the limits on the axis
        await settled(pilot)
        app = pilot.app
        assert isinstance(app, GridtopApp)
        before = app.model.panel(0)
        shown = app.model.chosen.choices[0].channel
        assert shown is not None
        other = LimitLine(shown.name, "high", "critical", 151_000.0)
        monkeypatch.setattr("tests.tui.fake_client.limits", lambda channels: (other,))
        client.wishes = ScreenWishes(keys={"quit": ("Q",)})
        client.revision += 1
        await settled(pilot)
        after = app.model.panel(0)
        assert (after.place, after.quantity) == (before.place, before.quantity)
        assert [limit.value for limit in after.limits] == [151_000.0]
        assert app.model.keys == {"quit": "Q"}


@dataclass
class LostClient(FakeClient):
    """A client whose engine can end and be started again."""

    link: Link = field(default_factory=lambda: Link("up", 0.0))
    can_restart: bool = True

    async def restart(self) -> None:
        self.calls.append(("restart",))
        self.error, self.link, self.log = None, Link("up", 0.0), []


async def test_an_engine_that_is_gone_is_said_with_the_age_of_what_is_shown() -> None:
    client, clock = LostClient(log=busy_client().log), Clock()
    async with running(client, clock=clock) as pilot:
        client.error = ConnectionError("no engine answers")
        client.link = Link("lost", clock.now, "no engine answers")
        clock.now += 12
        await settled(pilot)
        assert "ENGINE GONE 12 s, reconnecting: no engine answers" in picture(pilot)
        assert "12 s OLD" in picture(pilot)
        assert "131.8 kV ~" in picture(pilot)
        client.error, client.link = None, Link("up", clock.now)
        await settled(pilot)
        assert "GONE" not in picture(pilot)


async def test_an_engine_that_ended_leaves_its_last_words_and_can_be_restarted() -> None:
    client, clock = LostClient(log=busy_client().log), Clock()
    async with running(client, clock=clock) as pilot:
        await pilot.press("R")
        await settled(pilot)
        client.error = ConnectionError("it ended")
        client.link = Link("ended", clock.now, "exit code 1", ("one\x1b[2J", "MemoryError"))
        await settled(pilot)
        shown = picture(pilot)
        assert "R restarts it" in shown
        assert "LAST WORDS OF THE ENGINE" in shown
        assert "one\ufffd[2J" in shown
        assert "MemoryError" in shown
        await pilot.press("R")
        await settled(pilot)
        assert "LAST WORDS" not in picture(pilot)
        assert "131.8 kV" in picture(pilot)
    assert client.calls == [("restart",)]


async def test_another_engine_at_the_same_place_is_met_anew() -> None:
    from gridtop.errors import EngineReplaced

    client = busy_client()
    async with running(client) as pilot:
        client.error = EngineReplaced("another engine answers now")
        await pilot.app.tick()  # type: ignore[attr-defined]
        client.error, client.log = None, []
        client.happened(event(5, message="a new life"))
        await settled(pilot)
        await settled(pilot)
        shown = picture(pilot)
        assert "a new life" in shown
        assert "opened two-line" not in shown


# Keys and profile


def test_the_configuration_knows_every_key_of_the_screen_and_no_other() -> None:
    assert {
        b.id
        for screen in (Overview, Chart, Alarms, AlarmCard, Devices, DeviceCard)
        for b in keys.mapped(screen.BINDINGS, {})
    } == set(_KEY_IDS)


async def test_keys_from_the_configuration_work_and_are_told() -> None:
    client = busy_client()
    client.wishes = ScreenWishes({"pause": ("k", "ctrl+p"), "quit": ("Q",), "help": ("space",)})
    async with running(client) as pilot:
        assert "Q Quit  Space Help  k Ctrl+p Pause" in picture(pilot)
        await pilot.press("k")
        await settled(pilot)
        assert client.calls == [("pause",)]
        await pilot.press("space")
        await settled(pilot)
        assert "gridtop: keys" in picture(pilot)


def test_a_key_that_is_given_away_is_no_longer_told_of() -> None:
    bound = {
        b.id: b.key for b in keys.mapped(Overview.BINDINGS, keys.keymap({"go-to": (",",), "help": ("q",)}))
    }
    assert (bound["go-to"], bound["help"]) == ("comma", "q")
    assert "step-back" not in bound
    assert "quit" not in bound


def test_over_ssh_the_profile_says_so_and_leaves_the_mouse_alone() -> None:
    chosen = profile.suited({"SSH_CONNECTION": "10.0.0.1"}, "utf-8")
    assert (chosen.words, chosen.mouse, chosen.theme) == ("ssh 4 Hz", False, "ansi-dark")
    assert profile.suited({"SSH_CONNECTION": "x"}, "utf-8", slow=True, mouse=True).words == "ssh 1 Hz"
    assert profile.suited({"COLORTERM": "truecolor"}, "utf-8").words == ""


def test_the_command_line_comes_before_the_configuration() -> None:
    wishes = ScreenWishes(theme="ansi-light", glyphs="ascii", rate=2.0)
    assert Profile().granting(wishes) == Profile(ASCII, "ansi-light", 2.0)
    said = profile.suited({}, "utf-8", only_ascii=True, theme_name="gridtop", slow=True)
    assert said.granting(replace(wishes, glyphs="unicode")) == said


async def test_the_wishes_of_the_configuration_are_granted() -> None:
    client = busy_client()
    client.wishes = ScreenWishes(theme="ansi-light", glyphs="ascii", rate=2.0)
    async with running(client, (100, 24)) as pilot:
        assert pilot.app.theme == "ansi-light"
        assert picture(pilot).isascii() is False or "2 Hz" in picture(pilot)
        assert "┈" not in picture(pilot)
        assert "2 Hz" in picture(pilot)
