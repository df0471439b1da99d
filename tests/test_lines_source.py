"""Lines as they come: standard input, a growing file and TCP; CSV and JSON, and what is wrong with them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtop.api import Block, Host, Quality, Source, SourceError
from gridtop.naming import ChannelMap, ChannelMeaning
from gridtop.plugins.sources.lines import Lines, Tcp, connections, feeds
from gridtop.plugins.sources.lines.complaints import Complaints
from gridtop.plugins.sources.lines.intake import Intake
from gridtop.plugins.sources.lines.settings import LinesSettings
from gridtop.recordings import open_recording

LOG = logging.getLogger("gridtop.lines")
HEADER = "time,R1:F,R1-PM1:V\n"


def row(second: float, frequency: object = 60.0, voltage: object = 132000.0) -> str:
    return f"2026-01-01T00:{int(second) // 60:02d}:{second % 60:06.3f},{frequency},{voltage}\n"


def rows(count: int, first: int = 0) -> str:
    return "".join(row(first + i, 60 + i / 1000) for i in range(count))


def host(folder: Path = Path(), channels: dict[str, ChannelMeaning] | None = None) -> Host:
    return Host("in", folder, folder, LOG, ChannelMap(channels))


def json_row(second: int, **more: object) -> str:
    return json.dumps({"time": f"2026-01-01T00:00:{second:02d}Z", "R1:F": 60.0 + second, **more}) + "\n"


class Taken:
    """All that an intake makes of some bytes, without an event loop."""

    def __init__(
        self,
        text: str | bytes,
        cuts: Sequence[int] = (),
        channels: dict[str, ChannelMeaning] | None = None,
        most: int = 256,
        **settings: Any,
    ) -> None:
        data = text.encode() if isinstance(text, str) else text
        self.complaints = Complaints(LOG, clock=lambda: 0.0)
        config = LinesSettings.model_validate(settings)
        self.intake = Intake(config, ChannelMap(channels), self.complaints, "in", lambda: 10**18)
        edges = [0, *sorted(cuts), len(data)]
        for begin, end in itertools.pairwise(edges):
            self.intake.feed(data[begin:end])
        self.intake.end()
        self.channels = self.intake.settle()
        self.blocks: list[Block] = []
        while len(self.intake):
            self.blocks += self.intake.take(most, ended=True)
        self.counts = self.complaints.counts

    @property
    def times(self) -> np.ndarray:
        return np.concatenate([block.time for block in self.blocks])

    @property
    def seconds(self) -> list[float]:
        return list((self.times - np.datetime64("2026-01-01")) / np.timedelta64(1, "s"))

    @property
    def values(self) -> np.ndarray:
        return np.concatenate([block.values for block in self.blocks])

    @property
    def quality(self) -> np.ndarray:
        flags = [np.zeros(b.values.shape, np.uint16) if b.quality is None else b.quality for b in self.blocks]
        return np.concatenate(flags)


MIXED = (
    "time;R1-PM1:V;R1:F;marker;R1:S;note\n"
    "2026-01-01T00:00:00.000Z;132000;60.01;Natural;0;\n"
    "2026-01-01T00:00:00.020Z;;-0;Attack;12;\n"
    '2026-01-01T00:00:00.040Z; 132001.5 ;"60.02";"a; b";nan;\r\n'
    "\n"
    "2026-01-01T00:00:00.060Z;inf;abc;Natural;1e3;7\n"
    "2026-01-01T00:00:00.080Z;1_000;true;--;-327.68;\n"
)


def test_lines_give_the_same_frames_as_the_recording_of_the_same_text(tmp_path: Path) -> None:
    channels = {
        "R1:S": ChannelMeaning(quantity="status", invalid=(-327.68,)),
        "*V": ChannelMeaning(quantity="voltage", unit="kV", terminal="R1", scale=0.5, offset=1.0),
    }
    file = tmp_path / "a.csv"
    file.write_text(MIXED)
    recording = open_recording(file, ChannelMap(channels))
    (expected,) = recording.blocks()
    taken = Taken(MIXED, channels=channels)
    (block,) = taken.blocks
    assert block.channels == recording.channels
    np.testing.assert_array_equal(block.time, expected.time)
    np.testing.assert_array_equal(block.values, expected.values)
    assert expected.quality is not None
    np.testing.assert_array_equal(taken.quality, expected.quality)
    assert {name: list(texts) for name, texts in block.labels.items()} == {
        name: list(texts) for name, texts in expected.labels.items()
    }


@given(st.lists(st.integers(0, len(MIXED)), max_size=12), st.integers(1, 7))
def test_where_the_bytes_are_cut_changes_nothing(cuts: list[int], most: int) -> None:
    text = MIXED + "2026-01-01T00:00:00.080Z;1;2;x;1;\n2025-12-31T00:00:00Z;1;2;x;1;\nrubbish\n"
    whole, cut = Taken(text), Taken(text, cuts, most=most)
    assert cut.channels == whole.channels
    np.testing.assert_array_equal(cut.times, whole.times)
    np.testing.assert_array_equal(cut.values, whole.values)
    np.testing.assert_array_equal(cut.quality, whole.quality)
    assert cut.counts == whole.counts


def test_json_lines_say_the_same_as_csv() -> None:
    as_json = "".join(
        json.dumps({"R1-PM1:V": 132000 + i, "time": f"2026-01-01T00:00:{i:02d}Z", "R1": {"F": 60.5}}) + "\n"
        for i in range(3)
    )
    taken = Taken(as_json)
    assert taken.channels.names == ("R1-PM1:V", "R1.F")
    assert taken.channels.rate == 1.0
    assert taken.seconds == [0, 1, 2]
    np.testing.assert_array_equal(taken.values, [[132000, 60.5], [132001, 60.5], [132002, 60.5]])


def test_a_key_that_is_missing_null_or_no_number_is_no_value() -> None:
    text = json_row(0, V=1) + json_row(1) + json_row(2, V=None) + json_row(3, V=[1]) + json_row(4, V="2.5")
    text += json_row(5, V="x") + json_row(6).replace("66.0", "NaN") + json_row(7, V=True)
    taken = Taken(text + json_row(8).replace("68.0", "-Infinity"))
    np.testing.assert_array_equal(
        taken.values[:, 1], [1, np.nan, np.nan, np.nan, 2.5, np.nan, np.nan, 1, np.nan]
    )
    missing, unreadable = Quality.MISSING, Quality.UNREADABLE
    assert list(taken.quality[:, 1]) == [0, missing, missing, unreadable, 0, unreadable, missing, 0, missing]
    assert list(taken.quality[6:, 0]) == [Quality.MISSING, 0, Quality.INFINITE]
    assert taken.counts["unreadable_cells"] == 2


def test_new_keys_are_ignored_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    taken = Taken(json_row(0) + "".join(json_row(i, extra=1) for i in range(1, 9)))
    assert taken.channels.names == ("R1:F",)
    assert len(taken.times) == 9
    assert taken.counts["new_columns"] == 1
    assert [record.message for record in caplog.records] == [
        "in: line 2: 'extra' did not occur in the first line; ignored"
    ]


def test_columns_name_what_the_first_json_line_lacks() -> None:
    taken = Taken(json_row(0) + json_row(1, late=5), columns=["time", "late", "R1:F"])
    assert taken.channels.names == ("late", "R1:F")
    np.testing.assert_array_equal(taken.values, [[np.nan, 60], [5, 61]])


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("1,2\n", "in: line 3: 2 cells, not 3; left out"),
        (row(1).replace("60.0", '"60'), "in: line 3: column 25: "),
        ("\x00\xff\x1b]0;title\x07,,\n", "in: line 3, column 'time' .*: '\ufffd.*\ufffd.*' is not a time"),
        ("yesterday,60,1\n", "in: line 3, column 'time' \\(column 1\\): 'yesterday' is not a time"),
        (row(1, "6O.0"), "in: line 3, column 'R1:F' \\(column 2\\): '6O.0' is no number"),
        (
            row(0.5) + row(0.5),
            "in: line 4, column 'time' .*: time repeats: 2026-01-01T00:00:00.5",
        ),
        (
            "2025-12-31T23:59:59,60,1\n",
            "line 3, .*: time runs backwards: 2025-12-31T23:59:59 beside",
        ),
        (
            "2226-01-01T00:00:00,60,1\n",
            "line 3, column 'time' .*: time jumps ahead, and what follows does not",
        ),
        ("9999-01-01T00:00:00,60,1\n", "line 3, column 'time' .*'9999-01-01T00:00:00' is not a time"),
    ],
)
def test_what_is_wrong_with_a_line_is_told_with_its_place_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture, line: str, told: str
) -> None:
    taken = Taken(HEADER + row(0) + line + row(2) + row(3))
    assert taken.seconds[0] == 0
    assert taken.seconds[-2:] == [2, 3]
    (said,) = [record.message for record in caplog.records]
    assert said.startswith(told) or re.search(told, said)
    assert not re.search("[\x00-\x1f\x7f]", said)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"time": 1, "R1:F": }\n', "line 2: column 21: Expecting value, near '}'"),
        ("[1, 2]\n", "line 2: column 1: not a JSON object"),
        ("nonsense\n", "line 2: column 1: Expecting value"),
        ("[" * 100_000 + "\n", "line 2: a number or a nest beyond all measure"),
        ('{"time": ' + "9" * 5000 + "}\n", "line 2: a number or a nest beyond all measure"),
    ],
)
def test_json_that_is_none_is_told_with_line_and_column(
    caplog: pytest.LogCaptureFixture, line: str, told: str
) -> None:
    taken = Taken(json_row(0) + line + json_row(1))
    assert taken.seconds == [0, 1]
    assert taken.counts["garbage_lines"] == 1
    assert told in caplog.records[0].message


def test_a_flood_of_rubbish_is_counted_but_told_once_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    complaints = Complaints(LOG, clock=lambda: now[0])
    for second in (0, 1, 2, 9.9, 10, 11, 25):
        now[0] = second
        complaints.tell("garbage_lines", f"at {second}")
    assert complaints.counts["garbage_lines"] == 7
    assert [record.message for record in caplog.records] == [
        "at 0",
        "at 10 (and 3 more since the last word of it)",
        "at 25 (and 1 more since the last word of it)",
    ]


def test_a_line_longer_than_a_mebibyte_is_left_out_and_counted() -> None:
    at_most = row(1, "60" + " " * ((1 << 20) - len(row(1, "60")) + 1))
    assert len(at_most) == (1 << 20) + 1  # with the end of the line
    longer = row(2, "60" + " " * (1 << 20))
    taken = Taken(HEADER + row(0) + at_most + longer + row(3), cuts=range(0, 2 << 20, 65_536))
    assert taken.seconds == [0, 1, 3]
    assert taken.counts["long_lines"] == 1


def test_a_gap_is_kept_but_a_single_wrong_clock_reading_is_not() -> None:
    day = "2026-01-02T00:00:0{}Z,60,1\n"
    taken = Taken(HEADER + row(0) + row(1) + "".join(day.format(i) for i in range(4)))
    assert taken.seconds == [0, 1, 86400, 86401, 86402, 86403]
    assert taken.counts["out_of_order"] == 0
    taken = Taken(HEADER + row(0) + day.format(1) + row(1) + day.format(2) + day.format(3) + row(2))
    assert taken.seconds == [0, 1, 2]
    assert taken.counts["out_of_order"] == 3


def test_a_gap_just_before_the_end_loses_nothing() -> None:
    taken = Taken(HEADER + row(0) + "2026-01-02T00:00:00Z,60,1\n")
    assert taken.seconds == [0, 86400]


def test_a_clock_that_was_put_back_is_followed_after_a_hundred_lines_in_order(
    caplog: pytest.LogCaptureFixture,
) -> None:
    taken = Taken(HEADER + rows(3, 2000) + rows(120))
    assert taken.seconds == [2000, 2001, 2002, *range(120)]
    assert taken.counts["clock_put_back"] == 1
    assert "the clock was put back to 2026-01-01T00:00:00; it goes on there" in caplog.text
    taken = Taken(HEADER + rows(3, 2000) + rows(99) + rows(3, 2003))
    assert taken.seconds == [2000, 2001, 2002, 2003, 2004, 2005]


@pytest.mark.parametrize("unit", [1, 1e3, 1e6, 1e9])
def test_numbers_since_1970_are_times_in_the_unit_that_their_size_tells(unit: float) -> None:
    at = [(4 * 1_767_225_600 + i) * int(unit) // 4 if unit > 1 else 1_767_225_600 + i / 4 for i in range(4)]
    as_csv = Taken("epoch,x\n" + "".join(f"{time},1\n" for time in at))
    as_json = Taken("".join(json.dumps({"epoch": time, "x": 1}) + "\n" for time in at))
    assert as_csv.seconds == as_json.seconds == [0, 0.25, 0.5, 0.75]
    assert as_csv.channels.rate == 4.0


def test_without_times_frames_follow_by_number_as_in_a_recording() -> None:
    taken = Taken("R1:F,x\n" + "60,1\n" * 600)
    assert (taken.channels.clock, taken.channels.rate) == ("row", 30.0)
    assert [block.row for block in taken.blocks] == [0, 256, 512]
    assert taken.times[300] == np.datetime64("1970-01-01T00:00:10", "ns")
    assert Taken("x\n1\n2\n", rate=50).channels.rate == 50


def test_stamps_cut_to_milliseconds_give_the_nominal_rate() -> None:
    stamps = [1_767_225_600_000 + int(i * 1000 / 60) for i in range(120)]
    assert Taken("time,x\n" + "".join(f"{at},1\n" for at in stamps)).channels.rate == 60.0


def test_the_time_of_arrival_can_be_that_of_the_frame() -> None:
    taken = Taken(HEADER + rows(3), time="arrival", rate=5)
    assert taken.channels.clock == "utc"
    assert taken.channels.names == ("R1:F", "R1-PM1:V")
    assert list(np.diff(taken.times)) == [np.timedelta64(1, "us")] * 2


def test_text_that_means_nothing_is_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    taken = Taken(
        "station,time,x,marker\n" + "Berlin,2026-01-01T00:00:00,1,ok\nBonn,2026-01-01T00:00:01,2,bad\n"
    )
    assert taken.channels.names == ("x",)
    assert list(taken.blocks[0].labels["marker"]) == ["ok", "bad"]
    assert "no numbers in 'station'; left out" in caplog.text


def test_columns_name_a_stream_without_a_header_and_a_header_is_understood_all_the_same() -> None:
    names = ["time", "R1:F", "R1-PM1:V"]
    assert Taken(rows(3), columns=names).seconds == [0, 1, 2]
    turned = "R1-PM1:V,new,time\n1,5,2026-01-01T00:00:00\n"
    taken = Taken(turned, columns=names)
    np.testing.assert_array_equal(taken.values, [[np.nan, 1.0]])
    assert taken.counts["new_columns"] == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "in: it ended before there was a line of measurements"),
        ("\n \n", "in: it ended before there was a line of measurements"),
        (
            "1,2,3\n4,5,6\n",
            r"line 1: values, not names; name the 3 columns in source: with columns: \[...\]",
        ),
        ("time,time_utc\n1,2\n", None),
        ("a,a\n1,2\n", "in: two columns are called 'a'"),
        ("time\n2026-01-01\n", "in: no column is a channel"),
        (
            "hello\n" + "1,2,3\n" * 200,
            "in: 100 lines and none is a row of measurements; line 101: 3 cells",
        ),
        ("{\n" * 200, "in: 100 lines and none is a row of measurements; line 100: column 2: Expecting"),
    ],
)
def test_what_begins_no_stream_of_measurements_is_refused_with_the_reason(
    text: str, told: str | None
) -> None:
    if told is None:
        Taken(text)
        return
    with pytest.raises(SourceError, match=told):
        Taken(text)


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from(
                [b"time,x", b"2026-01-01,1", b"0,1", b"1e99,nan", b'{"time":1,"x":2}', b'{"x":{}}']
            ),
            st.text(',;"{}[]:0123456789eE+-.\n\r\tT', max_size=30).map(str.encode),
        ),
        max_size=30,
    )
)
def test_no_bytes_at_all_lead_to_anything_but_frames_or_a_reason(lines: list[bytes]) -> None:
    refusal = ""
    try:
        taken = Taken(b"\n".join(lines))
    except SourceError as error:
        refusal = str(error)
    assert not re.search("[\x00-\x1f\x7f]", refusal)
    if refusal:
        return
    for block in taken.blocks:
        assert (np.diff(block.time) > np.timedelta64(0)).all() or taken.counts["clock_put_back"]
        assert not np.isinf(block.values).any()


# Silence

RATE = 20


class Live:
    """An intake on a clock of its own that is looked at ten times a second, as the source does."""

    def __init__(self, rows: int = 5, **settings: Any) -> None:
        self.now = 0.0
        self.complaints = Complaints(LOG, clock=lambda: 0.0)
        config = LinesSettings.model_validate({"columns": ("time", "R1:F"), "rate": RATE} | settings)
        self.intake = Intake(
            config,
            ChannelMap(),
            self.complaints,
            "in",
            lambda: 10**18 + round(self.now * 1e9),
            lambda: self.now,
        )
        self.channels = self.intake.settle()
        self.blocks: list[Block] = []
        self.say(*range(rows))

    def say(self, *frames: int) -> None:
        """Rows of so many periods after midnight, all at once."""
        for k in frames:
            self.intake.feed(f"2026-01-01T00:{k / RATE // 60:02.0f}:{k / RATE % 60:06.3f}Z,60\n".encode())
        self.look()

    def look(self) -> None:
        self.blocks += self.intake.take(256) or self.intake.missing()

    def wait(self, seconds: float, every: float = 0.1) -> None:
        for _ in range(round(seconds / every)):
            self.now = round(self.now + every, 6)
            self.look()

    def speak(self, first: int, seconds: int) -> int:
        """A row when it is due, for so long; gives the number of the next one."""
        for k in range(first, first + seconds * RATE):
            self.now = round(self.now + 1 / RATE, 6)
            self.say(k)
        return first + seconds * RATE

    @property
    def frames(self) -> list[tuple[int, bool]]:
        """Each frame given out: its number of periods after midnight, and whether it has a value."""
        return [
            (
                round(float((time - block.time[0].astype("datetime64[D]")) / np.timedelta64(1, "s")) * RATE),
                value,
            )
            for block in self.blocks
            for time, value in zip(block.time, ~np.isnan(block.values[:, 0]), strict=True)
        ]

    @property
    def figures(self) -> dict[str, float]:
        return dict(self.intake.statistics().stream)


def settled(**settings: Any) -> tuple[Live, int]:
    """A feed whose first ten seconds are over, and the number of its next row."""
    live = Live(**settings)
    live.wait(1 / RATE, 1 / RATE)
    return live, live.speak(5, 11)


def test_a_silent_feed_gives_missing_frames_at_its_rate_within_two_seconds_and_ends_without_a_gap() -> None:
    live, following = settled()
    live.wait(1.9)
    assert live.frames[-1] == (following - 1 + 18, False)
    block = live.blocks[-1]
    assert block.quality is not None
    assert (block.quality == Quality.MISSING).all()
    live.wait(1.1)
    assert live.intake.silence == "nothing has come for 1 s"
    live.say(following + 60, following + 61)
    assert [number for number, _ in live.frames] == list(range(following + 62))
    assert [there for _, there in live.frames].count(False) == 60
    assert live.intake.silence == ""
    assert [block.row for block in live.blocks] == list(np.cumsum([0, *map(len, live.blocks)])[:-1])
    figures = live.figures
    assert (figures["silences"], figures["missing_frames"], figures["rows"]) == (1, 60, following + 2)
    assert "overtaken_rows" not in figures


def test_rows_that_were_held_back_do_not_follow_the_frames_that_took_their_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    live, following = settled(silence="1s")
    live.wait(3)
    live.say(*range(following, following + 61))
    numbers = [number for number, _ in live.frames]
    assert numbers == list(range(following + 61))
    assert live.figures["overtaken_rows"] == live.figures["missing_frames"] == 40
    told = "frames without values had taken the place of it and the 39 behind it before it came; left out"
    assert told in caplog.text
    live.wait(0.5)
    assert live.frames[-1] == (following + 60, True)


def test_a_feed_that_is_behind_for_good_goes_on_where_it_can() -> None:
    live, following = settled(silence="1s")
    live.wait(3)
    for portion in range(10):
        live.say(*range(following + 6 * portion, following + 6 * portion + 6))
        live.wait(0.1)
    live.speak(following + 60, 2)
    assert [number for number, _ in live.frames] == list(range(following + 100))
    assert all(there for _, there in live.frames[following + 40 :])
    assert live.figures["silences"] == 1


@pytest.mark.parametrize("portion", [2, 4, 9])
def test_a_writer_that_buffers_for_seconds_loses_nothing(portion: int) -> None:
    live = Live(0)
    for k in range(8):
        live.say(*range(k * portion * RATE, (k + 1) * portion * RATE))
        live.wait(portion)
    assert live.frames == [(number, True) for number in range(8 * portion * RATE)]
    assert live.figures["silences"] == 0


def test_a_writer_that_stopped_once_is_waited_for_and_forgotten_after_ten_minutes() -> None:
    live, following = settled()
    live.wait(4)
    live.say(*range(following, following + 80))
    assert live.figures["overtaken_rows"] == 60
    following = live.speak(following + 80, 2)
    live.wait(4)
    live.say(*range(following, following + 80))
    assert live.figures["silences"] == 1
    for second in range(601):
        live.now += 1
        live.say(*range(following + 80 + second * RATE, following + 100 + second * RATE))
    live.wait(3)
    assert live.figures["silences"] == 2


def test_a_silence_that_lost_its_rows_makes_nobody_more_patient() -> None:
    live, following = settled()
    for outage in range(1, 4):
        live.wait(5)
        following = live.speak(following + 5 * RATE, 1)
        assert live.figures["silences"] == outage


def test_a_slow_feed_is_not_silent_between_two_rows() -> None:
    live = Live(0, rate=0.1)
    for k in range(5):
        live.say(200 * k)
        live.wait(10)
    assert live.figures["silences"] == 0
    live.wait(26)
    assert [block.time[0] for block in live.blocks[-2:]] == [
        np.datetime64("2026-01-01T00:00:40"),
        np.datetime64("2026-01-01T00:00:50"),
    ]


def test_without_a_rate_or_with_rows_as_a_clock_no_frame_is_made_up() -> None:
    for live in (
        Live(columns=("R1:F",), time="arrival", rate=None),
        Live(0, columns=("R1:F",)),
        Live(0, columns=("R1:F",), rate=None),
    ):
        live.intake.feed(b"60\n")
        live.look()
        live.wait(40)
        assert len(live.blocks) == 1
    assert live.intake.silence == ""
    live = Live(0, columns=("R1:F",), rate=None, silence="2s")
    live.intake.feed(b"60\n")
    live.look()
    live.wait(3)
    assert live.intake.silence == "nothing has come for 2 s"


def test_frames_by_arrival_go_on_in_silence_where_the_rate_is_given() -> None:
    live = Live(0, columns=("R1:F",), time="arrival", silence="1s")
    live.intake.feed(b"60\n")
    live.look()
    live.wait(3)
    live.intake.feed(b"61\n")
    live.look()
    times = np.concatenate([block.time for block in live.blocks])
    assert (np.diff(times) > np.timedelta64(0)).all()
    assert times[-1] - times[0] == np.timedelta64(3, "s")
    assert live.figures["missing_frames"] == 59


def test_after_a_long_absence_no_more_than_a_minute_is_filled() -> None:
    live, following = settled(silence="1s")
    live.now += 3600
    live.look()
    assert live.frames[-1] == (following - 1, True)
    live.wait(0.1)
    assert len(live.frames) == following + 60 * RATE
    live.wait(0.1)
    assert len(live.frames) == following + 60 * RATE + 2


def test_a_clock_that_is_put_back_ends_a_silence_as_well() -> None:
    live, following = settled(silence="1s")
    live.wait(3)
    for k in range(110):
        live.now += 1 / RATE
        live.say(k)
    assert live.frames[-1] == (109, True)
    assert [number for number, _ in live.frames[-110:]] == list(range(110))
    assert live.complaints.counts["clock_put_back"] == 1
    assert all((np.diff(block.time) > np.timedelta64(0)).all() for block in live.blocks)
    assert not live.frames[following][1]


def test_labels_of_made_up_frames_are_empty() -> None:
    live = Live(0, columns=("time", "R1:F", "marker"), silence="1s")
    live.intake.feed(b"2026-01-01T00:00:00Z,60,Natural\n")
    live.look()
    live.wait(2)
    (kind,) = live.blocks[-1].labels.values()
    assert set(kind) == {""}


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), max_size=6))
def test_whatever_comes_when_time_runs_forward_and_no_row_is_given_twice(
    steps: list[tuple[int, int]],
) -> None:
    live, following = Live(silence="1s"), 5
    for tenths, rows in steps:
        live.wait(tenths / 10)
        live.say(*range(following, following + rows))
        following += rows
    numbers = [number for number, _ in live.frames]
    assert numbers == sorted(set(numbers))
    figures = live.figures
    assert figures["rows"] + figures.get("overtaken_rows", 0) == following
    assert figures["rows"] + figures["missing_frames"] == len(numbers)


def test_figures_are_counts_or_how_it_is_now() -> None:
    live, following = settled()
    figures = live.figures
    assert figures["rate"] == pytest.approx(RATE, rel=0.01)
    live.wait(0.5)
    figures = live.figures
    assert {name for name, figure in figures.items() if isinstance(figure, float)} == {
        "rate",
        "defined_rate",
        "seconds_since_data",
    }
    assert figures["seconds_since_data"] == pytest.approx(0.5)
    assert figures["rows"] == following


# From here on with the sources themselves


@contextlib.contextmanager
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The writing end of what the source takes for standard input."""
    reading, writing = os.pipe()
    monkeypatch.setattr(feeds, "DESCRIPTOR", reading)
    try:
        yield writing
    finally:
        with contextlib.suppress(OSError):
            os.close(writing)
        os.close(reading)


@contextlib.asynccontextmanager
async def opened(source: Lines | Tcp) -> AsyncIterator[AsyncIterator[Block]]:
    await asyncio.wait_for(source.open(), 20)
    blocks = source.blocks()
    try:
        yield blocks
    finally:
        await blocks.aclose()  # type: ignore[attr-defined]
        await source.close()
        await source.close()


async def take(blocks: AsyncIterator[Block], count: int) -> list[float]:
    """The first values of the next frames."""
    values: list[float] = []
    while len(values) < count:
        block = await asyncio.wait_for(anext(blocks), 20)
        assert 0 < len(block) <= 256
        values += list(block.values[:, 0])
    return values


def frequencies(*values: float, first: int = 0) -> str:
    return "".join(row(first + i, value) for i, value in enumerate(values))


async def test_standard_input_is_read_as_it_comes_and_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with standard_input(monkeypatch) as writing:
        os.write(writing, (HEADER + frequencies(60, 61, 62)).encode())
        source = Lines(LinesSettings(rate=1), host())
        assert isinstance(source, Source)
        assert source.live
        async with opened(source) as blocks:
            assert await take(blocks, 3) == [60, 61, 62]
            os.write(writing, frequencies(63, first=3).encode())
            assert await take(blocks, 1) == [63]
            os.write(writing, frequencies(64, first=4).encode().rstrip())
            os.close(writing)
            assert await take(blocks, 1) == [64]
            with pytest.raises(StopAsyncIteration):
                await anext(blocks)
        assert source.statistics().stream["lines"] == 6


async def test_a_silent_pipe_gives_missing_frames_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with standard_input(monkeypatch) as writing:
        os.write(writing, (HEADER + frequencies(60)).encode())
        source = Lines(LinesSettings.model_validate({"rate": 20, "silence": "150ms"}), host())
        async with opened(source) as blocks:
            assert await take(blocks, 1) == [60]
            assert np.isnan(await take(blocks, 5)).all()
            assert source.problems == ("standard input: nothing has come for 0.15 s",)
            os.close(writing)
            async with asyncio.timeout(20):
                rest = [block async for block in blocks]
            assert all(np.isnan(block.values).all() for block in rest)
            assert source.problems == ()


async def test_a_pipe_waits_for_a_slow_monitor_and_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 12_000
    with standard_input(monkeypatch) as writing:

        def write() -> None:
            with open(writing, "wb") as pipe:
                pipe.write(b"x\n" + b"".join(b"%d\n" % i for i in range(count)))

        writer = threading.Thread(target=write)
        writer.start()
        async with opened(Lines(LinesSettings(), host())) as blocks:
            await asyncio.sleep(0.3)
            assert await take(blocks, count) == list(range(count))
        writer.join()


async def test_a_source_is_closed_while_nobody_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    with standard_input(monkeypatch):
        source = Lines(LinesSettings(columns=("time", "x"), rate=10), host())
        assert (await source.open()).names == ("x",)
        await asyncio.wait_for(source.close(), 10)
        waiting = Lines(LinesSettings(), host())
        opening = asyncio.create_task(waiting.open())
        await asyncio.sleep(0.05)
        opening.cancel()
        await asyncio.wait_for(waiting.close(), 10)


async def test_standard_input_that_ends_at_once_is_a_reason_not_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with standard_input(monkeypatch) as writing:
        os.write(writing, HEADER.encode())
        os.close(writing)
        source = Lines(LinesSettings(), host())
        with pytest.raises(SourceError, match="standard input: it ended before there was a row"):
            await source.open()
        await source.close()


def append(file: Path, text: str) -> None:
    with file.open("a") as stream:
        stream.write(text)


async def test_a_growing_file_is_followed_from_its_end(tmp_path: Path) -> None:
    file = tmp_path / "pmu.csv"
    append(file, HEADER + frequencies(1, 2, 3, 4) + row(4, 5).rstrip())
    source = Lines(LinesSettings(path="pmu.csv", rate=1), host(tmp_path))
    async with opened(source) as blocks:
        append(file, "\n" + frequencies(6, first=5)[:9])
        assert await take(blocks, 1) == [5]
        append(file, frequencies(6, first=5)[9:])
        assert await take(blocks, 1) == [6]


async def test_a_file_can_be_followed_from_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "pmu.csv"
    append(file, HEADER + rows(300))
    async with opened(Lines(LinesSettings(path="pmu.csv", start="beginning"), host(tmp_path))) as blocks:
        assert len(await take(blocks, 300)) == 300


async def test_a_file_is_followed_through_rotation_and_when_it_is_cut_back(tmp_path: Path) -> None:
    file = tmp_path / "pmu.csv"
    append(file, HEADER + rows(2))
    source = Lines(LinesSettings(path="pmu.csv", rate=1), host(tmp_path))
    async with opened(source) as blocks:
        file.rename(tmp_path / "pmu.csv.1")
        append(tmp_path / "pmu.csv.1", frequencies(7, first=10))  # the writer has not noticed yet
        append(file, "R1-PM1:V,time,R1:F\n1,2026-01-01T00:00:11,8\n")
        assert await take(blocks, 2) == [7, 8]
        file.write_text(HEADER + row(12, 9))
        assert await take(blocks, 1) == [9]
        append(file, "time\n")
        append(file, frequencies(10, first=13))
        assert await take(blocks, 1) == [10]
    counts = source.statistics().stream
    assert (counts["rotations"], counts["truncations"], counts["garbage_lines"]) == (1, 1, 1)


async def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    source = Lines(LinesSettings(path="pmu.jsonl", rate=1), host(tmp_path))
    opening = asyncio.create_task(source.open())
    while not source.statistics().stream.get("waits_for_file"):
        await asyncio.sleep(0.01)
    assert source.problems == ("pmu.jsonl: there is no such file; waiting for it",)
    append(tmp_path / "new", json_row(1) + json_row(2))
    (tmp_path / "new").rename(tmp_path / "pmu.jsonl")
    assert (await asyncio.wait_for(opening, 20)).names == ("R1:F",)
    await source.close()


async def test_a_folder_or_a_named_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (".", "fifo"):
        source = Lines(LinesSettings(path=path), host(tmp_path))
        with pytest.raises(SourceError, match="not a file; give a pipe as standard input|Is a directory"):
            await source.open()
        await source.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def connected(port: int) -> asyncio.StreamWriter:
    for _ in range(200):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            return writer
        await asyncio.sleep(0.02)
    raise AssertionError("nobody listens")


async def test_a_sender_connects_and_a_second_one_is_turned_away_until_it_leaves() -> None:
    port = free_port()
    source = Tcp(Tcp.Config(listen=f"127.0.0.1:{port}", rate=1), host())
    opening = asyncio.create_task(source.open())
    assert source.problems == (f"127.0.0.1:{port}: no sender has connected yet",)
    first = await connected(port)
    first.write((HEADER + row(0, 1)).encode())
    await opening
    assert source.problems == ()
    blocks = source.blocks()
    assert await take(blocks, 1) == [1]
    reader, second = await asyncio.open_connection("127.0.0.1", port)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    second.close()
    first.write(row(1, 2).encode() + b"2026-01-01T00:00:02,99")  # cut off in the middle
    first.close()
    assert await take(blocks, 1) == [2]
    while not source.problems:
        await asyncio.sleep(0.01)
    assert source.problems == (f"127.0.0.1:{port}: the sender is gone",)
    third = await connected(port)
    third.write((HEADER + row(3, 4)).encode())
    assert await take(blocks, 1) == [4]
    third.close()
    counts = source.statistics().stream
    assert (counts["connections"], counts["refused_connections"], counts["garbage_lines"]) == (2, 1, 1)
    await source.close()


async def test_a_connection_is_made_again_when_it_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_PAUSE", 0.02)
    port = free_port()
    source = Tcp(Tcp.Config(connect=f"127.0.0.1:{port}", rate=1), host())
    opening = asyncio.create_task(source.open())
    while not source.statistics().stream.get("failed_connections"):
        await asyncio.sleep(0.01)
    assert source.problems == (f"127.0.0.1:{port}: there is no connection: Connection refused",)
    told = iter(range(100))

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(told)
        writer.write((HEADER + row(number, number)).encode())
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", port)
    assert (await asyncio.wait_for(opening, 20)).names == ("R1:F", "R1-PM1:V")
    assert (await take(source.blocks(), 3))[:3] == [0, 1, 2]
    server.close()
    counts = source.statistics().stream
    assert counts["connections"] >= 3
    assert counts["lost_connections"] >= 2
    await source.close()


async def test_a_connection_that_falls_silent_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_PAUSE", 0.02)
    callers: list[asyncio.StreamWriter] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer)

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    source = Tcp(
        Tcp.Config(connect=f"127.0.0.1:{port}", silent_after="100ms", columns=("x",), rate=1), host()
    )
    await source.open()
    while len(callers) < 3:
        await asyncio.sleep(0.01)
    silent_words = "the connection is lost: nothing was said for 0.1 s"
    assert source.problems == (f"127.0.0.1:{port}: {silent_words}",)
    await source.close()
    for caller in callers:
        caller.close()
    server.close()


async def test_a_monitor_that_does_not_keep_up_with_a_sender_loses_the_oldest_frames_and_counts_them() -> (
    None
):
    port, count = free_port(), 9000
    source = Tcp(Tcp.Config(listen=f"127.0.0.1:{port}", columns=("x",), rate=1), host())
    await source.open()
    sender = await connected(port)
    sender.write(b"".join(b"%d\n" % i for i in range(count)))
    sender.close()
    while source.statistics().stream.get("lines", 0) < count:
        await asyncio.sleep(0.01)
    dropped = source.statistics().stream["dropped_frames"]
    assert dropped == 256 * source.statistics().stream["dropped_blocks"] > 0
    assert await take(source.blocks(), count - dropped) == list(range(dropped, count))
    await source.close()


async def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        source = Tcp(Tcp.Config(listen=f"127.0.0.1:{taken.getsockname()[1]}"), host())
        with pytest.raises(SourceError, match="127.0.0.1:.*: cannot listen: .*in use"):
            await source.open()
        await source.close()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "give connect: HOST:PORT or listen: ADDRESS:PORT, one of the two"),
        ({"connect": "a:1", "listen": "127.0.0.1:1"}, "one of the two"),
        ({"listen": "0.0.0.0:4712"}, "only on loopback"),
        ({"listen": "grid.example:4712"}, "only on loopback"),
        ({"connect": "4712"}, "is not HOST:PORT"),
        ({"connect": "::1:4712"}, "an IPv6 address is written"),
        ({"connect": "a:99999"}, "is not HOST:PORT"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Tcp.Config.model_validate(config)
    assert Tcp.Config.model_validate({"listen": "[::1]:4712"}).listen


def test_the_command_watches_standard_input_and_ends_with_it(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "source: {type: simulate}\nsite: {nominal: {voltage_ll: 230 kV}}\n"
        "limits: {f: {on: '*:frequency_deviation', abs: {warning: 0.1}}}\n"
    )
    text = HEADER + frequencies(*[60.0] * 5, *[60.4] * 5) + "rubbish\n"
    arguments = ["run", "-c", str(config), "--source", "-", "--no-serve", "-q"]
    done = subprocess.run(
        [sys.executable, "-m", "gridtop", *arguments],
        input=text, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (event["rule"], event["transition"], event["time"]) == ("f", "raised", "2026-01-01T00:00:06Z")
    assert done.stderr == "gridtop: standard input: line 12: 1 cell, not 3; left out\n"
