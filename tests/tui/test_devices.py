"""The page of devices: what it says of a stream and its devices, and when it asks for that."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.errors import GridtopError
from gridtop.source_statistics import Statistics
from gridtop.tui.glyphs import ASCII, UNICODE, Glyphs
from gridtop.tui.screens.alarms import Alarms
from gridtop.tui.screens.chart import Chart
from gridtop.tui.screens.device_card import DeviceCard
from gridtop.tui.screens.devices import Devices
from gridtop.tui.screens.overview import Overview
from gridtop.tui.view.device_card import card_rows
from gridtop.tui.view.device_list import DeviceList
from gridtop.tui.view.device_page import DevicePage
from gridtop.tui.view.figures import figure_words
from gridtop.tui.view.rows import Row, width_of
from tests.tui.fake_client import (
    HOSTILE,
    STREAM,
    FakeClient,
    busy_client,
    device,
    four_devices,
    many_devices,
)
from tests.tui.test_app import Clock, picture, running, settled


def live(figures: Statistics | None) -> FakeClient:
    client = busy_client()
    client.state, client.live, client.figures = "live", True, figures
    return client


def text(row: Row) -> str:
    return "".join(span.text for span in row)


def page_of(
    statistics: Statistics | None, width: int = 80, height: int = 21, glyphs: Glyphs = UNICODE
) -> list[str]:
    listed, page = DeviceList(glyphs), DevicePage()
    listed.take(statistics, 0.0)
    page.receive(listed)
    return [text(row) for row in page.rows(width, height, False, glyphs)]


def order_of(*looks: Statistics) -> list[str]:
    listed = DeviceList(UNICODE)
    for second, statistics in enumerate(looks):
        listed.take(statistics, float(second))
    return [device.name for device in listed.devices]


# What the page says


def test_the_stream_comes_first_in_words() -> None:
    rows = page_of(four_devices())
    assert rows[1].startswith("   STREAM  frames 35120  missing 12  latency 23 ms, last 21 ms  data <1 s ago")
    assert rows[2].split() == [
        *("dropped", "0", "bytes", "12.3", "MB", "bad", "crc", "3", "connections", "2", "failures", "1")
    ]


def test_a_device_is_a_row_with_what_is_counted_of_it() -> None:
    rows = page_of(four_devices(), 120)
    titles = next(row for row in rows if "DEVICE " in row)
    assert titles.split() == ["DEVICE", "FRAMES", "COMPLETE", "ERRORS", "TIME", "ERRS"]
    worst = next(row for row in rows if " R3 " in row)
    assert worst.split("  ")[0] == "▌! R3"
    assert worst.split()[2:] == [
        *["35120", "100", "%", "8", "612", "its", "clock", "has", "not", "been", "locked", "for", "20", "s"]
    ]
    assert "98.86 %" in next(row for row in rows if " R2 " in row)


def test_what_no_device_has_is_no_column() -> None:
    rows = page_of(Statistics(STREAM, {"boiler": {"age": 75.0, "late_frames": 4}}))
    titles = next(row for row in rows if "DEVICE " in row)
    assert titles.split() == ["DEVICE", "LATE", "AGE"]
    assert next(row for row in rows if "boiler" in row).split() == ["▌", "boiler", "4", "1", "min"]


def test_devices_with_something_to_say_come_first_then_those_that_lack_most_then_by_name() -> None:
    devices = {"a": device(), "b": device(missing=200_000), "c": device(missing=9), "d": device()}
    assert order_of(Statistics({}, devices, {"d": "no data", "e": "not in the stream"})) == [*"debca"]


def test_names_are_ordered_by_the_numbers_in_them() -> None:
    names = ("R10", "R2-10", "R2", "R02-9", "7", "R")
    assert order_of(Statistics({}, {name: device() for name in names})) == [
        *("7", "R", "R2", "R02-9", "R2-10", "R10")
    ]


def test_shares_that_change_a_little_change_no_places() -> None:
    before = {"a": device(missing=10), "b": device(missing=20)}
    after = {"a": device(missing=30), "b": device(missing=20)}
    assert order_of(Statistics({}, before)) == order_of(Statistics({}, after)) == ["a", "b"]


def test_errors_that_grow_are_trouble_of_now_and_old_ones_are_not() -> None:
    def look(errors: int) -> Statistics:
        return Statistics({}, {"a": device(), "b": device(time_errors=errors)})

    listed = DeviceList(UNICODE)
    for second, errors, worst in ((0, 500, "a"), (1, 500, "a"), (2, 501, "b"), (9, 501, "b"), (13, 501, "a")):
        listed.take(look(errors), float(second))
        assert listed.devices[0].name == worst
        assert listed.devices[0].troubled is (worst == "b")


def test_a_completeness_that_the_source_tells_comes_before_one_that_is_worked_out() -> None:
    assert "50.00 %" in "".join(page_of(Statistics({}, {"a": device(missing=1, completeness=0.5)})))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("completeness", 1.0, "100 %"),
        ("completeness", 0.99999, "99.99 %"),
        ("completeness", 0.0, "0 %"),
        ("completeness", math.nan, "--"),
        ("latency_mean", 0.0234, "23 ms"),
        ("latency_last", -1.26, "-1.3 s"),
        ("seconds_since_data", 75.0, "1 min"),
        ("seconds_since_data", math.inf, "--"),
        ("offset", 0.5, "500 ms"),
        ("rate", 29.98333, "29.98/s"),
        ("last_status", 0x8010, "0x8010"),
        ("bytes", 12_345_678, "12.3 MB"),
        ("triggers", 12_345_678, "12345678"),
        ("loudness", 0.123456789, "0.123457"),
    ],
)
def test_a_figure_is_said_as_its_name_tells(name: str, value: float, words: str) -> None:
    assert figure_words(name, value) == words


def test_a_source_that_counts_nothing_says_so_in_a_sentence() -> None:
    rows = [row.strip() for row in page_of(None) if row.strip()]
    assert rows == ["DEVICES", "this source does not count how its data come"]


def test_a_source_without_devices_shows_its_stream() -> None:
    shown = "\n".join(page_of(Statistics({"lines": 400, "too_long": 2, "blank": 0})))
    assert "STREAM  lines 400  too long 2" in shown
    assert "blank" not in shown
    assert "it tells nothing of single devices; Enter shows all its figures" in shown


@pytest.mark.parametrize("width", [20, 40, 60, 72, 80, 100, 160])
def test_names_and_words_have_room_at_every_width(width: int) -> None:
    rows = page_of(four_devices(), width)
    assert {len(row) for row in rows} == {width}
    row = next(row for row in rows if "R3" in row)
    assert width < 40 or "its clock" in row
    assert width < 40 or "COMPLETE" in "".join(rows)


def test_the_card_tells_every_figure_and_the_words_in_full() -> None:
    figures = tuple(device(mood=0.5, unknown_thing=math.nan).items())
    shown = "\n".join(text(row) for row in card_rows("no data " * 20, figures, 76, UNICODE))
    assert shown.replace("\n", " ").count("no data") == 20
    for words in ("measurements expected", "mood", "unknown thing", "0xF000", "351200", "0.5", "--"):
        assert words in shown


@given(
    st.dictionaries(st.text(max_size=12), st.floats() | st.integers(-(10**20), 10**20), max_size=6),
    st.lists(st.text(max_size=30), max_size=5, unique=True),
    st.sampled_from(
        [None, "frames", "completeness", "seconds_since_data", "age", "last_status", "time_errors"]
    ),
    st.floats() | st.integers(-(10**20), 10**20),
    st.tuples(st.integers(0, 120), st.integers(0, 40)),
    st.sampled_from([UNICODE, ASCII]),
)
@settings(deadline=None)
def test_no_figure_and_no_name_breaks_a_row(
    figures: dict[str, float],
    names: list[str],
    known: str | None,
    value: float,
    size: tuple[int, int],
    glyphs: Glyphs,
) -> None:
    if known is not None:
        figures = figures | {known: value, "latency_mean": float(value)}
    listed, page = DeviceList(glyphs), DevicePage()
    listed.take(Statistics(figures, dict.fromkeys(names, figures), dict.fromkeys(names[:1], HOSTILE)), 0.0)
    for steps in (0, -3, 1, 9):
        page.receive(listed)
        page.move(steps)
        rows = page.rows(*size, False, glyphs)
        assert len(rows) == size[1]
        assert all(width_of(row) == size[0] for row in rows)
        assert not any(ord(letter) < 32 for row in rows for letter in text(row))
    for found in listed.devices:
        for row in card_rows(found.words, found.figures, size[0], glyphs):
            assert not any(ord(letter) < 32 for letter in text(row))
            assert glyphs is UNICODE or text(row).isascii()


def test_what_is_lost_stands_out_and_what_is_well_does_not() -> None:
    devices = {"a": device(), "b": device(completeness=0.0, device_errors=3)}
    listed, page = DeviceList(UNICODE), DevicePage()
    listed.take(Statistics(STREAM, devices), 0.0)
    page.receive(listed)
    rows = page.rows(80, 21, False, UNICODE)
    stream = {span.text.strip(): span.role for span in rows[1]}
    assert (stream["frames 35120"], stream["missing 12"]) == ("plain", "strong")
    bad, good = ({span.text.strip(): span.role for span in row} for row in rows[4:6])
    assert (bad["0 %"], bad["3"], bad["0"]) == ("strong", "plain", "dim")
    assert (good["100 %"], good["0"]) == ("plain", "dim")


# What the keys do


async def test_d_opens_the_page_and_d_or_esc_goes_back() -> None:
    for back in ("d", "escape"):
        async with running(live(four_devices())) as pilot:
            await pilot.press("d")
            await settled(pilot)
            assert isinstance(pilot.app.screen, Devices)
            assert "its clock" in picture(pilot)
            await pilot.press(back)
            await settled(pilot)
            assert isinstance(pilot.app.screen, Overview)


async def test_one_page_takes_the_place_of_the_other_and_esc_leads_to_where_both_came_from() -> None:
    async with running(live(four_devices())) as pilot:
        await pilot.press("enter")
        for key, page in (("d", Devices), ("i", Alarms), ("d", Devices), ("i", Alarms), ("escape", Chart)):
            await pilot.press(key)
            await settled(pilot)
            assert isinstance(pilot.app.screen, page)


async def test_figures_are_asked_for_once_a_second_and_only_while_somebody_looks() -> None:
    client, clock = live(four_devices()), Clock()
    async with running(client, clock=clock) as pilot:

        async def asked_in(seconds: int) -> int:
            before = client.statistics_asked
            for _ in range(4 * seconds):
                clock.now += 0.25
                await settled(pilot)
            return client.statistics_asked - before

        assert await asked_in(3) == 0
        await pilot.press("d")
        assert await asked_in(5) in (5, 6)
        await pilot.press("enter")
        assert await asked_in(5) in (5, 6)
        await pilot.press("question_mark")
        await settled(pilot)
        assert await asked_in(3) == 0
        await pilot.press("escape", "escape", "escape")
        await settled(pilot)
        assert await asked_in(3) == 0


async def test_figures_that_stay_the_same_are_not_painted_again() -> None:
    client, clock = live(four_devices()), Clock()
    client.state = "paused"
    async with running(client, clock=clock) as pilot:
        await pilot.press("d")
        await settled(pilot)
        painted: list[object] = []
        screen = pilot.app.screen
        screen.paint = lambda: bool(painted.append(1)) or True  # type: ignore[attr-defined]
        asked = client.statistics_asked
        for _ in range(3):
            clock.now += 1.0
            await settled(pilot)
        assert (client.statistics_asked, painted) == (asked + 3, [])


async def test_the_first_row_is_chosen_until_somebody_moves_and_then_the_same_device() -> None:
    client, clock = live(many_devices(5)), Clock()
    async with running(client, clock=clock) as pilot:
        await pilot.press("d")
        await settled(pilot)

        async def chosen_when(words: dict[str, str]) -> str:
            client.figures = Statistics(STREAM, many_devices(5).devices, words)
            clock.now += 1
            await settled(pilot)
            return next(line for line in picture(pilot).splitlines() if line.startswith("▌"))

        assert "PMU 003" in await chosen_when({"PMU 003": "no data"})
        assert "PMU 001" in await chosen_when({"PMU 001": "no data"})
        await pilot.press("down")
        assert "PMU 000" in await chosen_when({"PMU 001": "no data"})
        assert "PMU 000" in await chosen_when({"PMU 004": "no data", "PMU 002": "no data"})


async def test_hundreds_of_devices_are_gone_through_by_pages() -> None:
    async with running(live(many_devices(300))) as pilot:
        await pilot.press("d")
        await settled(pilot)
        seen = []
        for key in ("pagedown", "pageup", "end", "up", "home", "down", "k", "j"):
            await pilot.press(key)
            await settled(pilot)
            shown = picture(pilot)
            at = next(line for line in shown.splitlines() if line.startswith("▌"))
            seen.append(at.split()[2] if "PMU" in at else at.split()[1])
            assert "DEVICES " in shown
        page = seen[0]
        assert int(page) in range(12, 19)
        assert seen[1:] == ["000", "299", "298", "STREAM", "000", "STREAM", "000"]


async def test_enter_opens_the_card_of_a_device_which_goes_on() -> None:
    client, clock = live(four_devices()), Clock()
    async with running(client, clock=clock) as pilot:
        await pilot.press("d")
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(pilot.app.screen, DeviceCard)
        for words in ("DEVICE  R3", "its clock has not been locked for 20 s", "time errors", "612"):
            assert words in picture(pilot)
        client.figures = Statistics(STREAM, {"R3": device(time_errors=613)})
        clock.now += 1
        await settled(pilot)
        assert "613" in picture(pilot)
        assert "its clock" not in picture(pilot)
        client.figures = Statistics(STREAM, {"R1": device()})
        clock.now += 1
        await settled(pilot)
        assert "DEVICE  R3  (gone)" in picture(pilot)
        await pilot.press("down", "pagedown", "up", "pageup", "enter")
        await settled(pilot)
        assert isinstance(pilot.app.screen, Devices)


async def test_the_card_of_the_stream_holds_what_the_page_has_no_room_for() -> None:
    async with running(live(four_devices())) as pilot:
        await pilot.press("d")
        await settled(pilot)
        await pilot.press("up", "enter")
        await settled(pilot)
        for words in (" STREAM ", "latency max", "310 ms", "defined rate", "bad crc"):
            assert words in picture(pilot)


async def test_nothing_counted_opens_no_card() -> None:
    async with running(live(None)) as pilot:
        await pilot.press("d")
        await settled(pilot)
        await pilot.press("enter", "up", "down", "home", "end", "pageup", "pagedown", "enter")
        await settled(pilot)
        assert isinstance(pilot.app.screen, Devices)
        assert "this source does not count how its data come" in picture(pilot)


async def test_figures_that_cannot_be_had_are_a_sentence_and_the_rest_of_the_screen_goes_on() -> None:
    class Old(FakeClient):
        async def statistics(self) -> Statistics | None:
            raise GridtopError("the engine answered with status 404\x1b[2J")

    client = Old(state="live", live=True)
    async with running(client) as pilot:
        await pilot.press("d")
        await settled(pilot)
        assert "the engine answered with status 404\ufffd[2J" in picture(pilot)
        assert "NO ANSWER" not in picture(pilot)


async def test_figures_of_an_engine_that_is_gone_are_faint() -> None:
    client, clock = live(four_devices()), Clock()
    async with running(client, clock=clock) as pilot:
        await pilot.press("d")
        await settled(pilot)
        client.error = ConnectionError("gone")
        clock.now += 5
        await settled(pilot)
        assert "5 s OLD" in picture(pilot)
        rows = pilot.app.screen.query_one("#device-list").rows  # type: ignore[attr-defined]
        assert {span.role for row in rows for span in row if span.text.strip()} == {"dim"}


async def test_names_from_outside_are_text_and_nothing_else() -> None:
    names = (HOSTILE, "[red]boo[/", "\x1b]52;c;AAAA\x07")
    statistics = Statistics(
        {"[b]\x1b": 3}, {name: {name: 1.5} for name in names}, dict.fromkeys(names, HOSTILE)
    )
    async with running(live(statistics)) as pilot:
        await pilot.press("d")
        await settled(pilot)
        assert "[red]boo[/" in picture(pilot)
        assert "\x1b" not in picture(pilot)
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(pilot.app.screen, DeviceCard)
        assert "\x1b" not in picture(pilot)
