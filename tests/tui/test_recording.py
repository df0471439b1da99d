"""The key that records live data, and what the status line says of a recording."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot

from gridtop.client import Hello, RecordingStatus, Snapshot
from gridtop.tui.glyphs import ASCII, UNICODE, Glyphs
from gridtop.tui.view.model import Model
from gridtop.tui.view.recording import answer
from gridtop.tui.view.rows import Row, width_of
from tests.tui.fake_client import HOSTILE, FakeClient, busy_client, every_state, sag_alarm
from tests.tui.test_app import Clock, picture, running, settled

STATUS = RecordingStatus("/data/recordings/a.csv", 4500, 12_345_678)


def live() -> FakeClient:
    client = busy_client()
    client.state, client.live, client.source = "live", True, "127.0.0.1:4712"
    return client


def text(row: Row) -> str:
    return "".join(span.text for span in row)


def model_of(recording: RecordingStatus | None, glyphs: Glyphs = UNICODE, alarms: bool = True) -> Model:
    model = Model(glyphs, lambda: 0.0)
    client = live()
    model.greet(Hello("0", client.source, True, client.channels))
    model.receive(Snapshot(client.transport, every_state() if alarms else (), recording=recording))
    return model


def lines(pilot: Pilot[None]) -> list[str]:
    return picture(pilot).splitlines()


async def test_r_begins_a_recording_and_ends_it_and_says_where_it_lies() -> None:
    client = live()
    async with running(client) as pilot:
        assert "r Record" in lines(pilot)[-1]
        await pilot.press("r")
        await settled(pilot)
        assert lines(pilot)[1].strip() == "recording to /var/lib/gridtop/recordings/substation-7.csv"
        assert "● REC 0 kB" in lines(pilot)[0]
        assert "r End rec" in lines(pilot)[-1]
        await pilot.press("r")
        await settled(pilot)
        assert lines(pilot)[1].strip() == "recording ended: /var/lib/gridtop/recordings/substation-7.csv"
        assert "REC" not in lines(pilot)[0]
    assert client.calls == [("record", True), ("record", False)]


async def test_r_ends_a_recording_that_somebody_else_began() -> None:
    client = live()
    client.recording = STATUS
    async with running(client) as pilot:
        await pilot.press("r")
        await settled(pilot)
    assert client.calls == [("record", False)]


async def test_two_quick_presses_begin_and_end() -> None:
    client = live()
    async with running(client) as pilot:
        await pilot.press("r", "r")
        await settled(pilot)
    assert client.calls == [("record", True), ("record", False)]


@pytest.mark.parametrize("keys", [("enter", "r"), ("i", "r"), ("d", "r"), ("d", "enter", "r")])
async def test_r_records_on_every_page(keys: tuple[str, ...]) -> None:
    client = live()
    async with running(client) as pilot:
        for key in keys:
            await pilot.press(key)
            await settled(pilot)
    assert client.calls == [("record", True)]


async def test_what_the_engine_refuses_is_said_in_its_words() -> None:
    client = busy_client()
    client.refusal = "a recording is not recorded again\x1b[2J"
    async with running(client) as pilot:
        await pilot.press("r")
        await settled(pilot)
        assert "cannot record: a recording is not recorded again\ufffd[2J" in picture(pilot)


async def test_a_screen_that_only_reads_records_nothing() -> None:
    client = live()
    client.read_only = True
    async with running(client) as pilot:
        await pilot.press("r")
        await settled(pilot)
        assert "cannot record: this screen only reads (--read-only)" in picture(pilot)
    assert client.calls == []


async def test_q_leaves_without_a_question_while_it_records() -> None:
    client = live()
    client.recording = STATUS
    async with running(client) as pilot:
        await pilot.press("q")
        await pilot.pause()
        assert pilot.app._exit


def test_a_path_without_room_loses_its_folders_and_what_is_odd_in_it() -> None:
    assert answer(None, STATUS, 80, UNICODE) == "recording to /data/recordings/a.csv"
    assert answer(None, STATUS, 30, UNICODE) == "recording to a.csv"
    assert answer(STATUS, None, 30, UNICODE) == "recording ended: a.csv"
    windows = replace(STATUS, path="C:\\data\\\x1b]0;x\x07b.csv")
    assert answer(None, windows, 20, ASCII) == "recording to ?]0;x?b.csv"
    assert answer(None, None, 80, UNICODE) == "no recording has begun"


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 kB"),
        (812_400, "812 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (12_345_678, "12.3 MB"),
        (4_200_000_000, "4.2 GB"),
    ],
)
def test_the_size_is_said_in_few_digits(count: int, words: str) -> None:
    assert f"● REC {words} " in text(model_of(replace(STATUS, bytes=count)).status(100))


def test_it_is_said_without_colour_and_in_ascii() -> None:
    row = model_of(STATUS, ASCII).status(80)
    assert "* REC 12.3 MB" in text(row)
    assert {span.role for span in row if "REC" in span.text} == {"strong"}


@pytest.mark.parametrize(
    ("status", "words", "listed"),
    [
        (replace(STATUS, dropped=12), "REC! 12 dropped", "recording: 12 frames could not be kept"),
        (replace(STATUS, problem="disk full"), "REC!  disk full", "recording: disk full"),
        (replace(STATUS, dropped=3, problem="disk full"), "REC!  disk full", "recording: disk full"),
    ],
)
def test_frames_that_are_not_kept_are_no_calm_recording(
    status: RecordingStatus, words: str, listed: str
) -> None:
    model = model_of(status, alarms=False)
    assert words in text(model.status(80))
    assert "●" not in text(model.status(80))
    assert listed in model.problems
    assert text(model.banner(80)).startswith(" ! recording: ")


@pytest.mark.parametrize("problem", ["", "no space left on device: /var/lib/gridtop/recordings/a.csv"])
def test_a_narrow_status_line_keeps_the_mark_and_gives_up_the_words(problem: str) -> None:
    model = model_of(replace(STATUS, problem=problem))
    mark = " REC! " if problem else "● REC"
    for width in (40, 60, 80, 100, 160):
        shown = text(model.status(width))
        assert mark in shown
        assert "LIVE" in shown
        assert "ALM 5!! 1!" in shown
        assert width_of(model.status(width)) == width
    assert "MB" not in text(model.status(40))
    assert ("no space left on device" in text(model.status(100))) is bool(problem)


@given(st.integers(0, 160), st.text(max_size=60), st.integers(0, 10**13), st.integers(0, 10**9))
def test_no_recording_breaks_the_status_line(width: int, problem: str, count: int, dropped: int) -> None:
    status = RecordingStatus(HOSTILE, 1, count, dropped, problem)
    assert width_of(model_of(status).status(width)) == width


async def test_an_answer_keeps_an_alarm_from_the_banner_for_ten_seconds_and_no_longer() -> None:
    client, clock = live(), Clock()
    client.alarms = ()
    async with running(client, clock=clock) as pilot:
        await pilot.press("r")
        clock.now += 60
        await settled(pilot)
        assert lines(pilot)[1].startswith(" recording to ")
        client.alarms = (sag_alarm(),)
        await settled(pilot)
        assert "!! CRITICAL" in lines(pilot)[1]
        await pilot.press("r")
        clock.now += 9
        await settled(pilot)
        assert lines(pilot)[1].startswith(" recording ended")
        clock.now += 2
        await settled(pilot)
        assert "!! CRITICAL" in lines(pilot)[1]


@pytest.mark.parametrize("size", [(80, 24), (160, 48)])
async def test_the_key_bar_shows_the_keys_of_a_replay_or_those_of_a_live_source(
    size: tuple[int, int],
) -> None:
    async with running(live(), size) as pilot:
        assert "r Record  a Ack  i Alarms  d Devices" in lines(pilot)[-1]
        assert "Speed" not in lines(pilot)[-1]
    async with running(busy_client(), size) as pilot:
        assert "[] Speed" in lines(pilot)[-1]
        assert "Record" not in lines(pilot)[-1]
