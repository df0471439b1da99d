"""The view model: what the screen says, without a screen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.channels import ChannelSet
from gridtop.client import Counts, Hello, Snapshot, Telemetry, TelemetryRequest, Transport
from gridtop.tui.glyphs import ASCII, UNICODE, suited
from gridtop.tui.view import numbers, seeking, status, times
from gridtop.tui.view.layout import layout
from gridtop.tui.view.log import LONGEST, EventLog, line_of, log_rows
from gridtop.tui.view.model import Model
from gridtop.tui.view.rows import Row, Span, fit, shorten, spread, width_of
from tests.tui.fake_client import CHANNELS, START, FakeClient, event, frequency_alarm, sag_alarm


def text(row: Row) -> str:
    return "".join(span.text for span in row)


# Numbers


@pytest.mark.parametrize(
    ("value", "unit", "digits", "words"),
    [
        (131_912.0, "V", 4, "131.9 kV"),
        (391.2, "A", 3, "391 A"),
        (78.84, "ohm", 3, "78.8 ohm"),
        (59.9841, "Hz", 5, "59.984 Hz"),
        (999.96, "V", 4, "1.000 kV"),
        (0.0421, "A", 3, "0.04 A"),
        (-2_500_000.0, "W", 3, "-2.50 MW"),
        (0.0, "V", 4, "0 V"),
        (0.9123, "pu", 4, "0.912 pu"),
        (0.9123, "1", 4, "0.912"),
        (12345.0, "pu", 4, "12340 pu"),
        (1e300, "V", 4, "1.000e+291 GV"),
        (math.nan, "V", 4, "--"),
        (math.inf, "ohm", 3, "+inf ohm"),
    ],
)
def test_values_read_as_engineers_write_them(value: float, unit: str, digits: int, words: str) -> None:
    assert numbers.with_unit(value, unit, digits) == words


@given(st.floats(), st.sampled_from(["V", "Hz", "pu", ""]), st.integers(3, 5))
def test_any_number_fits_beside_a_graph(value: float, unit: str, digits: int) -> None:
    assert len(numbers.compact(value, unit, digits)) <= 14


# Rows


@given(st.lists(st.text(max_size=8)), st.integers(0, 40))
def test_a_row_is_cut_or_padded_to_the_exact_width(pieces: list[str], width: int) -> None:
    row = fit(tuple(Span(UNICODE.plain(piece)) for piece in pieces), width)
    assert width_of(row) == width


def test_a_wide_character_is_not_cut_in_half() -> None:
    assert text(fit((Span("中文"),), 3)) == "中 "


def test_what_does_not_fit_ends_in_an_ellipsis() -> None:
    assert shorten("two-line.csv.gz", 10, "…") == "two-line.…"
    assert shorten("two", 10, "…") == "two"


def test_the_right_end_of_a_row_stays_when_the_left_is_too_long() -> None:
    assert text(spread((Span("a long left side"),), (Span("ALM"),), 10)) == "a long ALM"


# Going somewhere

HERE = seeking.Position(1236, START + np.timedelta64(41200, "ms"), START, 30.0)
BY_ROW = seeking.Position(1236, None, None, 30.0)


@pytest.mark.parametrize(
    ("words", "place"),
    [
        ("+90", "2026-01-01T14:32:11.2"),
        ("-10", "2026-01-01T14:30:31.2"),
        ("+0.5 s", "2026-01-01T14:30:41.7"),
        ("01:30", "2026-01-01T14:31:30"),
        ("0:01:30.5", "2026-01-01T14:31:30.5"),
        ("14:31Z", "2026-01-01T14:31:00"),
        ("14:31:05.250z", "2026-01-01T14:31:05.25"),
        ("2026-01-02", "2026-01-02T00:00:00"),
        ("2026-01-02 03:04:05Z", "2026-01-02T03:04:05"),
    ],
)
def test_a_time_is_understood_as_it_is_written(words: str, place: str) -> None:
    assert seeking.parse(words, HERE) == np.datetime64(place, "ns")


@pytest.mark.parametrize(
    ("words", "row"), [("row 500", 500), ("500", 500), ("+10", 1536), ("-90", 0), ("00:10", 300)]
)
def test_without_a_clock_places_are_rows(words: str, row: int) -> None:
    assert seeking.parse(words, BY_ROW) == row


@pytest.mark.parametrize(
    "words", ["", "soon", "99:99:99:99", "2026-13-01", "25:00Z", "+1e400", "+99999999999"]
)
def test_what_is_no_place_is_refused_in_words(words: str) -> None:
    with pytest.raises(ValueError, match=r"write one of|no such time|too far|row"):
        seeking.parse(words, HERE)


@given(st.text(max_size=30))
def test_no_text_breaks_the_dialogue(words: str) -> None:
    for position in (HERE, BY_ROW, seeking.Position(0, None, None, None)):
        try:
            place = seeking.parse(words, position)
        except ValueError:
            continue
        assert isinstance(place, int | np.datetime64)


# Layout


def test_the_usual_terminal_has_four_panels_and_a_log() -> None:
    room = layout(80, 24)
    assert (room.columns, room.panel, room.log) == (2, 6, 8)


def test_a_small_terminal_has_a_line_for_each_panel() -> None:
    room = layout(40, 10)
    assert (room.columns, room.panel, room.log) == (1, 1, 3)


@given(st.integers(0, 400), st.integers(0, 200))
def test_the_rows_always_add_up(width: int, height: int) -> None:
    room = layout(width, height)
    assert room.panels + room.timeline + room.log == max(height - 3, 4)
    assert room.log >= 0
    assert 0 <= room.side < max(1, width)


def test_a_large_terminal_has_the_alarms_beside_the_panels() -> None:
    room = layout(160, 48)
    assert (room.columns, room.panel, room.timeline, room.log, room.side) == (2, 16, 1, 12, 52)


# Status line and banner


def transport(**changes: object) -> Transport:
    return replace(FakeClient().transport, **changes)  # type: ignore[arg-type]


def status_text(width: int, alarms: tuple = (), counts: Counts | None = None, **changes: object) -> str:  # type: ignore[type-arg]
    model = Model(UNICODE, lambda: 0.0)
    model.greet(Hello("0", "two-line.csv.gz", False, CHANNELS))
    model.receive(Snapshot(transport(**changes), alarms, counts or Counts()))
    return text(model.status(width))


def test_the_status_line_says_where_the_replay_stands() -> None:
    assert status_text(80, (sag_alarm(), frequency_alarm())) == (
        " gridtop   REPLAY   two-line.csv…  14:30:41.2Z  00:41/05:00  x4   ALM 1!! 1! 2* "
    )


def test_the_speed_reached_shows_when_it_falls_behind() -> None:
    assert "x4 (x3.1)" in status_text(100, reached=3.1)
    assert "(x" not in status_text(100, reached=3.9)
    assert "max (x812)" in status_text(100, speed=math.inf, reached=812.0)


@pytest.mark.parametrize("width", [30, 40, 80, 160])
def test_paused_and_alarms_are_the_last_to_give_way(width: int) -> None:
    line = status_text(width, (sag_alarm(),), state="paused")
    assert "PAUSED" in line
    assert "ALM 1!!" in line


def test_what_was_lost_is_counted_only_when_something_was() -> None:
    assert "dropped" not in status_text(160)
    assert "bad 4" in status_text(160, counts=Counts(infinite=3, unreadable=4))
    assert "dropped 2" in status_text(160, counts=Counts(dropped=2))


def test_a_second_pass_is_named() -> None:
    assert "pass 3" in status_text(160, pass_number=3)


def test_without_a_clock_the_position_is_a_row() -> None:
    model = Model(UNICODE, lambda: 0.0)
    model.greet(Hello("0", "msu.csv", False, ChannelSet(CHANNELS.channels, 30.0, "row")))
    model.receive(Snapshot(transport(time=None, first=None, last=None)))
    assert "row 1236/9000" in text(model.status(80))
    assert "Z" not in text(model.status(80))


def test_every_width_has_a_status_line_of_that_width() -> None:
    for width in range(200):
        assert width_of(status.connecting_row(width)) == width
        assert len(status_text(width, (sag_alarm(),))) == width


def model_with(*alarms: object, now: float = 0.0, **changes: object) -> Model:
    model = Model(UNICODE, lambda: now)
    model.greet(Hello("0", "two-line.csv.gz", False, CHANNELS))
    model.receive(Snapshot(transport(**changes), alarms))  # type: ignore[arg-type]
    return model


def test_doubtful_value_stands_in_its_place_with_the_mark_of_a_bad_one() -> None:
    model = model_with()
    panel = model.panel(0)
    assert panel.place
    name = next(channel.name for channel in CHANNELS if f"{channel.terminal} {channel.phase}" == panel.place)
    one, none = np.ones((1, 4)), np.zeros(1, dtype=np.bool_)
    for doubtful in (False, True):
        ends = np.full(1, 1.0)
        model.telemetry = Telemetry(
            (name,), 60.0, None, one, one, ends, ends, ends, none, np.array([doubtful])
        )
        assert model.panel(0).bad is doubtful
        assert model.panel(0).curve.latest == 1.0


def test_the_banner_is_calm_without_alarms() -> None:
    assert text(model_with().banner(80)).strip() == "no alarms"


def test_the_banner_shows_the_worst_alarm() -> None:
    line = text(model_with(frequency_alarm(), sag_alarm()).banner(120))
    assert line.startswith("  !! CRITICAL  since 14:30:37.1  R3:voltage_pu.A  R3 A voltage 0.673 pu")
    assert line.endswith(" 1/2 ")


def test_an_alarm_nobody_has_seen_comes_before_one_that_was_acknowledged() -> None:
    seen = replace(sag_alarm(), state="acknowledged")
    assert "WARNING" in text(model_with(seen, frequency_alarm()).banner(80))
    assert "acknowledged" in text(model_with(seen).banner(80))


def test_a_failure_is_said_in_the_engines_words() -> None:
    model = model_with(sag_alarm(), state="failed", problem="two-line.csv.gz:812: a value is missing")
    assert "FAILED  two-line.csv.gz:812: a value is missing" in text(model.banner(80))
    assert "FAILED" in text(model.status(80))


def test_the_end_of_a_recording_says_how_to_go_on() -> None:
    assert "space plays it again" in text(model_with(state="ended").banner(80))
    assert "ENDED" in text(model_with(state="ended").status(80))


def test_a_plugin_that_failed_shows_when_there_is_no_alarm() -> None:
    model = model_with()
    model.receive(Snapshot(transport(), problems=("detector forest: its model is missing",)))
    assert "! detector forest: its model is missing" in text(model.banner(80))


def test_an_unanswered_question_is_said_and_forgotten() -> None:
    model = model_with()
    model.lose("connection refused")
    assert "NO ANSWER  connection refused" in text(model.banner(80))
    model.receive(Snapshot(transport()))
    assert "NO ANSWER" not in text(model.banner(80))


# Panels' choices


def test_panels_begin_with_the_first_terminal() -> None:
    model = model_with()
    assert [choice.place for choice in model.chosen.choices] == ["R1 A", "R1 A", "R1", "R1"]
    assert model.chosen.request(29) == TelemetryRequest(("R1-PM1:V", "R1-PM4:I", "R1-PA:Z", "R1:F"), 60.0, 58)


def test_angles_and_derived_quantities_are_not_on_offer() -> None:
    choice = model_with().chosen.choices[0]
    for _ in range(12):
        choice.next_phase()
        assert choice.channel is not None
        assert choice.channel.part == "magnitude"


def test_the_next_terminal_keeps_the_phase() -> None:
    model = model_with()
    model.chosen.next_phase(everywhere=False)
    model.chosen.next_terminal(everywhere=False)
    assert model.chosen.choices[0].place == "R2 B"
    assert model.chosen.choices[1].place == "R1 A"


def test_all_panels_can_go_to_one_terminal() -> None:
    model = model_with()
    model.chosen.select(2)
    model.chosen.next_terminal(everywhere=True)
    assert [choice.place for choice in model.chosen.choices] == ["R2 A", "R2 A", "R2", "R2"]


def test_a_recording_without_a_quantity_leaves_its_panel_empty() -> None:
    model = Model(UNICODE, lambda: 0.0)
    model.greet(Hello("0", "f.csv", False, CHANNELS.subset(CHANNELS.select(["*:F"]))))
    assert model.panel(0).place == ""
    assert model.panel(3).place == "R1"
    assert model.chosen.request(10) == TelemetryRequest(("R1:F",), 60.0, 20)
    model.chosen.next_terminal(everywhere=True)
    model.chosen.next_phase(everywhere=True)


def test_the_window_grows_and_shrinks_within_its_steps() -> None:
    model = model_with()
    for _ in range(15):
        model.chosen.widen(1)
    assert (model.chosen.window, model.chosen.window_words) == (86_400, "24 h")
    for _ in range(15):
        model.chosen.widen(-1)
    assert (model.chosen.window, model.chosen.window_words) == (1, "1 s")


def test_an_alarm_on_a_derived_quantity_marks_the_panel_of_its_channel() -> None:
    model = model_with(sag_alarm("R1", "A"), frequency_alarm())
    assert (model.panel(0).severity, model.panel(0).alarm) == ("critical", "!! LOW")
    assert (model.panel(3).severity, model.panel(3).alarm) == ("warning", "! LOW")
    assert model.panel(1).alarm == ""


def test_an_alarm_elsewhere_names_the_place() -> None:
    panel = model_with(sag_alarm("R3", "B")).panel(0)
    assert (panel.severity, panel.alarm) == ("", "!! R3 B")


# Old pictures


def test_a_picture_grows_old_without_answers() -> None:
    now = [0.0]
    model = Model(UNICODE, lambda: now[0])
    model.receive(Snapshot(transport()))
    assert not model.freshness.stale
    now[0] = 2.5
    assert model.freshness.stale
    model.receive(Snapshot(transport()))
    assert not model.freshness.stale


def test_a_live_source_that_stands_still_is_old_although_it_answers() -> None:
    now = [0.0]
    model = Model(UNICODE, lambda: now[0])
    model.receive(Snapshot(transport(state="live")))
    now[0] = 2.5
    model.receive(Snapshot(transport(state="live")))
    assert model.freshness.stale
    model.receive(Snapshot(transport(state="live", row=1300)))
    assert not model.freshness.stale


def test_the_same_answer_is_the_same_picture_even_with_nan_in_it() -> None:
    model = model_with(sag_alarm(), reached=math.nan)
    before = model.fingerprint()
    model.receive(Snapshot(transport(reached=float("nan")), (sag_alarm(),)))
    assert model.fingerprint() == before


# The event log


def log_of(count: int) -> EventLog:
    log = EventLog()
    log.add(line_of(event(n, message=f"message {n}"), UNICODE) for n in range(count))
    return log


def messages(log: EventLog, height: int) -> list[str]:
    return [line.message for line in log.window(height)]


def test_the_log_follows_the_newest_line() -> None:
    assert messages(log_of(10), 3) == ["message 7", "message 8", "message 9"]


def test_scrolling_up_stops_following_and_counts_what_is_new() -> None:
    log = log_of(10)
    log.scroll(-2, 3)
    assert messages(log, 3) == ["message 5", "message 6", "message 7"]
    assert log.new == 0
    log.add(line_of(event(n, message=f"message {n}"), UNICODE) for n in range(10, 22))
    assert messages(log, 3) == ["message 5", "message 6", "message 7"]
    assert log.new == 12
    assert "+12 new" in text(log_rows(log, 80, 4, UNICODE)[0])


def test_following_again_goes_to_the_newest() -> None:
    log = log_of(10)
    log.scroll(-5, 3)
    log.follow()
    assert messages(log, 2) == ["message 8", "message 9"]
    log.scroll(-5, 3)
    log.scroll(99, 3)
    assert log.following


def test_the_log_does_not_scroll_beyond_its_ends() -> None:
    log = log_of(10)
    log.scroll(-999, 4)
    assert messages(log, 4) == ["message 0", "message 1", "message 2", "message 3"]
    short = log_of(2)
    short.scroll(-1, 5)
    assert messages(short, 5) == ["message 0", "message 1"]


def test_the_log_is_bounded_and_a_window_on_lost_lines_moves_up() -> None:
    log = log_of(LONGEST)
    log.scroll(-LONGEST, 3)
    log.add(line_of(event(n, message=f"late {n}"), UNICODE) for n in range(100))
    assert len(log) == LONGEST
    assert messages(log, 3) == ["message 100", "message 101", "message 102"]


def test_a_late_screen_does_not_read_the_whole_history() -> None:
    model = Model(UNICODE, lambda: 0.0)
    model.receive(Snapshot(transport(), seq=1_000_000))
    assert model.seq == 1_000_000 - LONGEST


def test_a_new_engine_begins_a_new_log() -> None:
    model = model_with()
    model.take([event(1).published(7, 0.0)])
    model.receive(Snapshot(transport(), seq=2))
    assert model.seq == 0
    assert len(model.log) == 0


def test_an_event_without_a_time_shows_its_row() -> None:
    assert line_of(event(812, time=None), UNICODE).time == "row 812"


@pytest.mark.parametrize(
    ("transition", "severity", "mark"),
    [
        ("raised", "critical", "!!"),
        ("eased", "warning", "!"),
        ("noticed", "info", "i"),
        ("cleared", "critical", "ok"),
        ("reset", "warning", "--"),
        ("acknowledged", "critical", "ak"),
        ("latched", "critical", "!!"),
        ("unlatched", "critical", "ul"),
        ("shelved", "critical", "sh"),
        ("unshelved", "critical", "us"),
        ("out_of_service", "critical", "os"),
        ("in_service", "critical", "is"),
    ],
)
def test_every_kind_of_line_has_a_mark_that_needs_no_colour(
    transition: str, severity: str, mark: str
) -> None:
    assert line_of(event(1, transition, severity), UNICODE).mark == mark


def test_a_log_of_few_rows_has_no_heading() -> None:
    assert "MESSAGE" not in text(log_rows(log_of(9), 40, 3, UNICODE)[0])
    assert "MESSAGE" in text(log_rows(log_of(9), 40, 4, UNICODE)[0])


def test_rule_and_channel_give_way_to_the_message() -> None:
    narrow, usual, wide = (text(log_rows(log_of(1), width, 1, UNICODE)[0]) for width in (50, 80, 120))
    assert "message 0" in narrow
    assert "voltage" not in narrow
    assert "voltage" in usual
    assert "R3:voltage_pu.A" in wide


# The terminal


@pytest.mark.parametrize(
    ("environment", "encoding", "glyphs"),
    [
        ({"LANG": "de_DE.UTF-8"}, "utf-8", UNICODE),
        ({}, "utf-8", UNICODE),
        ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, "utf-8", ASCII),
        ({"LANG": "de_DE.ISO-8859-1"}, "iso-8859-1", ASCII),
        ({"LANG": "C.UTF-8", "TERM": "linux"}, "utf-8", ASCII),
        ({"LANG": "C.UTF-8"}, "ascii", ASCII),
        ({}, None, ASCII),
    ],
)
def test_the_characters_suit_the_terminal(
    environment: dict[str, str], encoding: str | None, glyphs: object
) -> None:
    assert suited(environment, encoding) is glyphs


def test_ascii_leaves_nothing_else() -> None:
    assert ASCII.plain("Überstrom ⚡") == "?berstrom ?"


def test_a_length_is_rounded_and_a_position_is_not() -> None:
    assert times.elapsed(times.whole_seconds(299_966_666_667), 300 * 10**9) == "05:00"
    assert times.elapsed(299_966_666_667, 300 * 10**9) == "04:59"
    assert times.elapsed(3_725 * 10**9, 7_200 * 10**9) == "1:02:05"


def test_before_the_first_answer_nobody_claims_that_there_are_no_alarms() -> None:
    model = Model(UNICODE, lambda: 0.0)
    assert not "".join(span.text for span in model.banner(80)).strip()
