"""The alarm screen: what it says of each state, and the orders that its keys give."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.client import ActiveAlarm, AlarmState, Flood, Hello, JournalStatus, SinkStatus, Snapshot
from gridtop.orders import LONGEST_SHELVE
from gridtop.tui.glyphs import ASCII, UNICODE
from gridtop.tui.screens.alarm_card import AlarmCard
from gridtop.tui.screens.alarms import Alarms
from gridtop.tui.screens.ask import Ask
from gridtop.tui.screens.overview import Overview
from gridtop.tui.view import shelving
from gridtop.tui.view.alarm_page import AlarmPage
from gridtop.tui.view.alarms import STANDINGS
from gridtop.tui.view.families import families
from gridtop.tui.view.model import Model
from gridtop.tui.view.rows import Row, width_of
from tests.tui.fake_client import (
    START,
    FakeClient,
    busy_client,
    event,
    every_state,
    flood_of,
    frequency_alarm,
    sag_alarm,
)
from tests.tui.test_app import picture, running, settled


def text(row: Row) -> str:
    return "".join(span.text for span in row)


def model_of(*alarms: ActiveAlarm, **more: object) -> Model:
    model = Model(UNICODE, lambda: 0.0)
    client = FakeClient()
    model.greet(Hello("0", "f.csv", False, client.channels))
    model.receive(Snapshot(client.transport, alarms, **more))  # type: ignore[arg-type]
    return model


def page_of(model: Model, width: int = 80, height: int = 24, page: AlarmPage | None = None) -> list[str]:
    page = page or AlarmPage()
    page.receive(model.alarms)
    return [text(row) for row in page.rows(model.alarms, model.problems, width, height, UNICODE)]


# What the page says


def test_every_state_has_a_word_and_a_mark_that_need_no_colour() -> None:
    rows = page_of(model_of(*every_state()))[2:11]
    assert [row[5:21].rstrip() for row in rows] == [
        "* new",
        "* latched",
        "* gone",
        "* new",
        "  seen",
        "  latched, seen",
        "z shelved 14:45",
        "- suppressed",
        "x out of service",
    ]
    assert rows[3].rstrip().endswith("~")
    assert rows[4].rstrip().endswith("old")
    assert len({(s.word, s.mark) for s in STANDINGS.values()}) == len(STANDINGS)


def test_an_alarm_that_nobody_has_seen_is_bold_and_one_that_is_gone_is_dim() -> None:
    model = model_of(*every_state())
    page = AlarmPage()
    page.receive(model.alarms)
    page.move(9)
    rows = page.rows(model.alarms, (), 80, 24, UNICODE)
    roles = {text(row)[7:21].strip(): row[-2].role for row in rows[2:10]}
    assert roles["shelved 14:45"] == "dim"
    assert (roles["new"], roles["gone"], roles["seen"]) == ("strong", "dim", "plain")


def test_what_is_put_aside_is_counted_last_and_not_among_the_alarms() -> None:
    model = model_of(*every_state())
    assert text(model.status(80)).rstrip().endswith("ALM 5!! 1! 4* (3)")
    assert text(model.status(140)).rstrip().endswith("ALM 5!! 1!  4 unack  3 aside")
    assert model.status(80)[-2].role == "dim"
    assert "4 unack  1 shelved, 1 suppressed, 1 out of service" in page_of(model)[0]
    shelved = model_of(replace(sag_alarm(), state="shelved"))
    assert "ALM 0 (1)" in text(shelved.status(80))
    assert text(shelved.banner(80)).strip() == "no alarms"
    assert shelved.in_banner is None


def test_within_a_severity_the_priority_decides_and_severity_comes_before_it() -> None:
    low, high, none = (
        replace(sag_alarm(row=row), id=priority, priority=priority)
        for row, priority in ((1, "low"), (2, "high"), (0, ""))
    )
    warning = replace(frequency_alarm(), priority="high")
    assert [a.id for a in model_of(warning, none, low, high).alarms] == ["high", "low", "", "f-R1"]


def test_panels_are_not_marked_by_what_is_gone_or_put_aside() -> None:
    states: tuple[AlarmState, ...] = ("returned", "latched", "shelved", "suppressed", "out_of_service")
    for state in states:
        assert not model_of(replace(frequency_alarm(), state=state)).panel(3).alarm
    assert model_of(replace(frequency_alarm(), state="acknowledged")).panel(3).alarm


def test_a_flood_is_said_in_the_banner_beside_the_first_alarm() -> None:
    model = model_of(*flood_of(15), flood=Flood(START, 0, 23, 15))
    assert "FLOOD  23 alarms in 10 min, 15 collapsed   !!  R3 A voltage" in text(model.banner(80))
    assert text(model.banner(80)).endswith(" 1/17 ")
    assert "FLOOD  23  !!  R3 A" in text(model.banner(50))
    assert "FLOOD  23 alarms" in text(model_of(flood=Flood(START, 0, 23, 15)).banner(80))


def test_what_stands_behind_another_is_folded_until_plus_and_counted_all_the_time() -> None:
    model, page = model_of(*flood_of(12)), AlarmPage()
    folded = page_of(model, page=page)
    assert [row.rstrip()[-5:] for row in folded[2:4]] == [" +12*", "s own"]
    assert "number" not in "".join(folded)
    page.unfold(model.alarms)
    assert sum("number" in row for row in page_of(model, height=30, page=page)) == 12
    page.move(5)
    page.fold(model.alarms)
    assert page.chosen is not None
    assert page.chosen.id == "first"
    assert page_of(model, page=page) == folded


def test_a_seen_parent_stays_where_its_unseen_followers_are() -> None:
    first, *others = flood_of(3)
    model = model_of(replace(first, state="acknowledged"), *others)
    assert [family.head.id for family in families(model.alarms)] == ["alone", "first"]
    assert families(model.alarms)[1].flags == "+3*"
    calm = model_of(first, *(replace(other, state="acknowledged") for other in others))
    assert families(calm.alarms)[0].flags == "+3"


def test_no_alarm_is_lost_whatever_parents_they_name() -> None:
    alarms = [replace(sag_alarm(), id=id, parent=parent) for id, parent in ("ab", "bc", "ca", "dz", "ee")]
    listed = [a.id for f in families(model_of(*alarms).alarms) for a in (f.head, *f.behind)]
    assert sorted(listed) == ["a", "b", "c", "d", "e"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefgh"), st.sampled_from(["", *"abcdefgh"]), st.sampled_from([*STANDINGS])
        ),
        max_size=8,
        unique_by=lambda entry: entry[0],
    ),
    st.lists(st.sampled_from(["move", "back", "unfold", "fold", "on", "gone"]), max_size=12),
    st.integers(0, 130),
    st.integers(0, 30),
)
def test_the_chosen_alarm_is_always_on_view(
    alarms: list[tuple[str, str, AlarmState]], steps: list[str], width: int, height: int
) -> None:
    told = [replace(sag_alarm(), id=id, parent=parent, state=state) for id, parent, state in alarms]
    model, page = model_of(*told), AlarmPage()
    page.receive(model.alarms)
    for step in steps:
        match step:
            case "move" | "back":
                page.move(2 if step == "move" else -1)
            case "unfold" | "fold":
                (page.unfold if step == "unfold" else page.fold)(model.alarms)
            case "on":
                page.go_on()
            case _:
                told = told[1:]
                model = model_of(*told)
                page.receive(model.alarms)
        rows = page.rows(model.alarms, ("sink x: down",), width, height, UNICODE)
        assert len(rows) == height
        assert all(width_of(row) == width for row in rows)
        assert (page.chosen is None) == (not told)
        if page.chosen is not None and height >= 12:
            assert page.chosen.id in {alarm.id for alarm in page.on_view}


def test_the_choice_stays_with_an_alarm_that_moves_and_goes_to_the_next_when_it_is_over() -> None:
    first, second, third = (replace(sag_alarm(row=row), id=str(row)) for row in (1, 2, 3))
    page = AlarmPage()
    page.receive(model_of(first, second, third).alarms)
    page.move(1)
    page.receive(model_of(first, replace(second, state="acknowledged"), third).alarms)
    assert page.chosen is not None
    assert page.chosen.id == "2"
    page.receive(model_of(first, third).alarms)
    assert page.chosen.id == "3"


# What does not work besides


def test_sinks_that_do_not_deliver_and_a_degraded_journal_are_said() -> None:
    sinks = (SinkStatus("mail", "resting", 34, 5, 0, "refused"), SinkStatus("log", "working", 2))
    journal = JournalStatus("degraded", problem="the disk is full")
    model = model_of(sinks=sinks, journal=journal, problems=("sink mail: refused; 34 waiting",))
    assert "journal!  1 sink down" in text(model.status(80))
    assert "journal degraded  1 sink down, 34 waiting, 5 dead" in text(model.status(140))
    assert "! journal degraded: the disk is full" in text(model.banner(80))
    assert model.problems == (
        "journal degraded: the disk is full",
        "sink mail: refused; 34 waiting",
        "sink mail: 5 dead letters; gridtop outbox lists them",
    )
    assert "sink" not in text(model_of(sinks=sinks[1:]).status(140))


# For how long


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("15m", 900),
        ("1h", 3600),
        ("8 h", LONGEST_SHELVE),
        ("2h30m", 9000),
        ("1.5H", 5400),
        ("90s", 90),
        ("5 min", 300),
    ],
)
def test_a_time_to_shelve_is_understood_as_it_is_written(written: str, seconds: float) -> None:
    assert shelving.parse(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "soon", "15", "-1h", "9h", "8h1s", "0m", "1h and more", "1e9h", "9" * 400 + "h"]
)
def test_what_is_no_time_to_shelve_is_refused_in_words(written: str) -> None:
    with pytest.raises(ValueError, match="15m|at most 8h"):
        shelving.parse(written)


# Keys


def calls_of(client: FakeClient) -> list[tuple[str, str, str, float]]:
    return [(order.action, order.alarm, order.reason, order.seconds) for order in client.orders]


async def pressed(client: FakeClient, *keys: str, size: tuple[int, int] = (80, 24)) -> str:
    """What is on the screen after some keys on the alarm screen."""
    async with running(client, size) as pilot:
        await pilot.press("i")
        await settled(pilot)
        await pilot.press(*keys)
        await settled(pilot)
        return picture(pilot)


def states(*wanted: AlarmState) -> FakeClient:
    """A client with one alarm in each of these states, the first one first."""
    client = busy_client()
    client.alarms = tuple(
        replace(sag_alarm(row=1000 + n), id=f"a{n}", state=state) for n, state in enumerate(wanted)
    )
    return client


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_a_acknowledges_the_chosen_alarm_and_goes_on_to_the_next(size: tuple[int, int]) -> None:
    client = states("unacknowledged", "unacknowledged", "unacknowledged")
    shown = await pressed(client, "j", "a", "a", size=size)
    assert client.calls == [("acknowledge", "a1"), ("acknowledge", "a2")]
    assert "acknowledged by anna" in shown


async def test_capital_a_acknowledges_what_is_listed_and_nothing_that_is_folded() -> None:
    client = busy_client()
    client.alarms = flood_of(3)
    await pressed(client, "A")
    assert {order.alarm for order in client.orders} == {"first", "alone"}
    client.orders.clear()
    await pressed(client, "home", "plus", "A")
    assert {order.alarm for order in client.orders} == {"behind-00", "behind-01", "behind-02"}


async def test_s_asks_for_how_long_and_why_and_shelves() -> None:
    client = states("unacknowledged")
    shown = await pressed(client, "s", *"2h", "enter", *"noisy PMU", "enter")
    assert calls_of(client) == [("shelve", "a0", "noisy PMU", 7200.0)]
    assert "z shelved 16:30" in shown
    assert "shelved until 16:30 by anna: noisy PMU" in shown
    assert "ALM 0 (1)" in shown


async def test_shelving_offers_a_quarter_of_an_hour_and_insists_on_a_reason() -> None:
    client = states("unacknowledged")
    shown = await pressed(client, "s", "enter", "enter")
    assert "say why in a few words" in shown
    assert client.orders == []
    await pressed(client, "s", "enter", "enter", *"why", "enter")
    assert calls_of(client) == [("shelve", "a0", "why", 900.0)]


async def test_a_time_that_is_too_long_is_refused_before_it_is_ordered() -> None:
    client = states("unacknowledged")
    assert "at most 8h" in await pressed(client, "s", *"9h", "enter")
    assert client.orders == []


async def test_escape_leaves_the_alarm_as_it_was() -> None:
    client = states("unacknowledged")
    assert "* new" in await pressed(client, "s", "escape", "s", "enter", "escape", "o", "escape")
    assert client.orders == []


async def test_the_alarm_that_was_asked_about_is_shelved_although_others_come_first_meanwhile() -> None:
    client = states("unacknowledged")
    async with running(client) as pilot:
        await pilot.press("i", "s")
        client.alarms = (*client.alarms, replace(sag_alarm(row=1), id="first now"))
        await settled(pilot)
        await pilot.press("enter", "x", "enter")
        await settled(pilot)
    assert client.calls == [("shelve", "a0")]


async def test_keys_take_alarms_back() -> None:
    client = states("latched", "latched_acknowledged", "shelved", "out_of_service")
    async with running(client) as pilot:
        await pilot.press("i")
        await settled(pilot)
        for key in ("L", "down", "L", "home", "down", "S", "end", "o"):
            await pilot.press(key)
            await settled(pilot)
        assert "ALM 3!!  3 unack" in picture(pilot)
    assert client.calls == [
        ("unlatch", "a0"),
        ("unlatch", "a1"),
        ("unshelve", "a2"),
        ("put-in-service", "a3"),
    ]


async def test_o_takes_an_alarm_out_of_service_for_a_reason() -> None:
    client = states("acknowledged")
    shown = await pressed(client, "o", *"L2 is down", "enter")
    assert calls_of(client) == [("take-out-of-service", "a0", "L2 is down", 0.0)]
    assert "x out of service" in shown
    assert "out of service by anna: L2 is down; o puts it back" in shown


async def test_what_the_engine_refuses_is_said_once_in_its_words() -> None:
    client = states("unacknowledged")
    client.refusal = "R3 A voltage: cannot unshelve: its condition holds\x1b[2J"
    shown = await pressed(client, "S")
    assert " R3 A voltage: cannot unshelve: its condition holds\ufffd[2J " in shown
    assert "cannot unshelve: R3" not in shown
    client.refusal = "the engine is gone"
    assert "cannot unlatch: the engine is gone" in await pressed(client, "L")


async def test_a_screen_that_only_reads_says_so_before_it_asks() -> None:
    client = states("unacknowledged")
    client.read_only = True
    async with running(client) as pilot:
        await pilot.press("i")
        await settled(pilot)
        assert "read only" in picture(pilot).splitlines()[0]
        for key in "aAsSLo":
            pilot.app.model.notice = ""  # type: ignore[attr-defined]
            await pilot.press(key)
            assert "this screen only reads (--read-only)" in pilot.app.model.notice  # type: ignore[attr-defined]
        await settled(pilot)
        assert "this screen only reads (--read-only)" in picture(pilot)
    assert client.orders == []


async def test_keys_without_any_alarm_do_nothing() -> None:
    client = states()
    assert " no alarms" in await pressed(client, *"aAsSLojk+-", "enter", "end", "home", "pageup")
    assert client.calls == []


async def test_keys_go_through_a_long_list() -> None:
    async with running(states(*["acknowledged"] * 40)) as pilot:
        await pilot.press("i")
        await settled(pilot)
        screen = pilot.app.screen
        assert isinstance(screen, Alarms)
        for keys, chosen in (
            ("k", "a0"),
            ("j", "a1"),
            ("down down k", "a2"),
            ("end", "a39"),
            ("up", "a38"),
            ("home pagedown", "a12"),
            ("pageup", "a0"),
        ):
            await pilot.press(*keys.split())
            await pilot.pause()
            assert screen.alarm_meant is not None
            assert screen.alarm_meant.id == chosen
            assert screen.alarm_meant in screen.alarms_on_view
        assert "▌" in picture(pilot)


async def test_enter_shows_everything_and_who_did_what() -> None:
    client = states("unacknowledged")
    details = {"user": "anna", "reason": ""}
    client.happened(event(1113, message="R3 A voltage 0.673 pu below 0.9 pu (critical)", incident="a0"))
    client.happened(
        event(
            1220,
            "acknowledged",
            message="acknowledged by anna",
            incident="a0",
            kind="operator",
            details=details,
        )
    )
    async with running(client, (80, 40)) as pilot:
        await pilot.press("i", "enter")
        await settled(pilot)
        assert isinstance(pilot.app.screen, AlarmCard)
        shown = picture(pilot)
        for words in (
            "nobody has acknowledged it",
            "limit              low 0.9000 pu",
            "14:30:40.666  ak acknow",
        ):
            assert words in shown
        await pilot.press("a")
        await settled(pilot)
        assert "state              acknowledged by anna" in picture(pilot)
        client.alarms = ()
        await settled(pilot)
        assert "ALARM  over" in picture(pilot)
        await pilot.press("s", "down", "pagedown", "escape")
        await settled(pilot)
        assert isinstance(pilot.app.screen, Alarms)
        await pilot.press("i")
        await settled(pilot)
        assert isinstance(pilot.app.screen, Overview)
    assert client.calls == [("acknowledge", "a0")]


async def test_the_card_of_a_parent_lists_those_behind_it() -> None:
    client = busy_client()
    client.alarms = flood_of(2)
    shown = await pressed(client, "enter", size=(80, 40))
    assert "behind it" in shown
    assert "alarm number 1" in shown


async def test_an_alarm_that_chatters_hints_at_the_key_that_helps() -> None:
    client = states("unacknowledged")
    client.alarms = (replace(client.alarms[0], chattering=True, stale=True),)
    shown = await pressed(client)
    assert "~ old" in shown
    assert "chatters: s shelves it" in shown


async def test_the_time_to_shelve_is_asked_for_by_name() -> None:
    async with running(states("unacknowledged")) as pilot:
        await pilot.press("i", "s")
        await settled(pilot)
        assert isinstance(pilot.app.screen, Ask)
        assert "Shelve for how long: voltage R3:voltage_pu.A" in picture(pilot)


async def test_ascii_holds_on_the_alarm_screens() -> None:
    client = busy_client()
    client.alarms = (*every_state()[1:], *flood_of(2))
    async with running(client, glyphs=ASCII) as pilot:
        for keys in (("i",), ("plus", "j"), ("enter",), ("question_mark",)):
            await pilot.press(*keys)
            await settled(pilot)
            if keys != ("question_mark",):
                assert picture(pilot).isascii()


async def test_the_keys_of_the_overview_speak_of_the_alarm_in_the_banner() -> None:
    client = states("returned", "shelved")
    async with running(client) as pilot:
        assert "gone since" in picture(pilot)
        await pilot.press("a", "a", "A")
        await settled(pilot)
        assert " no alarms" in picture(pilot)
    assert client.calls == [("acknowledge", "a0")]
