"""Whatever a name or a message holds: it reaches no terminal as a control character and breaks no column."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gridtop.channels import Channel, ChannelSet
from gridtop.client import (
    Counts,
    Flood,
    Hello,
    JournalStatus,
    LimitLine,
    Link,
    RecordingStatus,
    SinkStatus,
    Snapshot,
    Telemetry,
)
from gridtop.events import Contribution
from gridtop.source_statistics import Statistics
from gridtop.tui.glyphs import ASCII, UNICODE, Glyphs
from gridtop.tui.screens.help import page
from gridtop.tui.view.alarm_details import card_rows as alarm_card_rows
from gridtop.tui.view.alarm_details import detail_rows
from gridtop.tui.view.alarm_page import AlarmPage
from gridtop.tui.view.card import card_rows
from gridtop.tui.view.device_card import card_rows as device_card_rows
from gridtop.tui.view.device_page import DevicePage
from gridtop.tui.view.graph import SCALES
from gridtop.tui.view.model import Model
from gridtop.tui.view.panels import panel_rows
from gridtop.tui.view.rows import Row, fit, width_of
from gridtop.tui.widgets.chart_plot import chart
from tests.tui.fake_client import HOSTILE, FakeClient, event, sag_alarm

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")
ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=40)


def everything(model: Model, width: int) -> list[Row]:
    """All rows of a screen."""
    rows: list[Row] = [model.status(width), model.banner(width), model.time_line(width)]
    rows += [*model.events(width, 8), *model.alarm_list(width, 12), *model.alarm_list(width, 2)]
    cards = [card_rows(line.event, width, model.glyphs) for line in model.log.lines]
    page = AlarmPage()
    page.receive(model.alarms)
    page.unfold(model.alarms)
    for height in (3, 24):
        rows += page.rows(model.alarms, model.problems, width, height, model.glyphs)
    devices = DevicePage()
    devices.receive(model.devices)
    for height in (7, 24):
        rows += devices.rows(width, height, False, model.glyphs)
    for device in model.devices.devices:
        cards.append(device_card_rows(device.words, device.figures, width, model.glyphs))
    for alarm in model.alarms:
        head, behind = model.alarm(alarm.parent), model.alarms[1:]
        rows += detail_rows(alarm, head, width, 9, model.glyphs)
        history = model.log.about(alarm.id)
        cards.append(alarm_card_rows(alarm, head, behind, history, width, model.glyphs))
    rows += [fit(row, width) for card in cards for row in card]
    for number in range(4):
        for height in (1, 4, 12):
            rows += panel_rows(model.panel(number), width, height, model.chosen.axes[number], model.glyphs)
    return rows


def model_of(text: str, glyphs: Glyphs) -> Model:
    """A model in which every text from outside is `text`."""
    channel = Channel(f"{text}\x00", "voltage", text, text, text)
    model = Model(glyphs, lambda: 0.0)
    limits = (LimitLine(channel.name, "low", "warning", 0.9), LimitLine(text, "high", "critical", math.inf))
    model.greet(Hello(text, text, False, ChannelSet((channel,), 30.0), limits=limits))
    alarm = replace(sag_alarm(), channel=channel.name, rule=text, message=text, direction=text, unit=text)
    cause = (Contribution(f"{text}\x1b", 0.5), Contribution(text, 0.25))
    alarm = replace(alarm, cause=cause, cause_approximate=True)
    transport = FakeClient().transport
    alarm = replace(alarm, id=f"{text}1", user=text, reason=text, state="shelved", priority=text)  # type: ignore[arg-type]
    sinks = (SinkStatus(text, "gone", 1, 1, 0, text), SinkStatus(f"{text}2", "resting"))
    flood = Flood(None, 0, 12, 1)
    journal = JournalStatus("degraded", text, 0, text)
    others = (
        replace(alarm, id=text, state="unacknowledged", children=1, ended_row=3),
        replace(alarm, id=f"{text}3", state="returned", parent=text, ended=np.datetime64("NaT", "ns")),
    )
    recording = RecordingStatus(text, problem=text)
    model.receive(
        Snapshot(transport, (alarm, *others), Counts(), 0, (text,), flood, sinks, journal, recording)
    )
    model.devices.take(Statistics({text: 1}, {text: {text: 0.5}}, {text: text}), 0.0)
    details = {text: text}
    told = event(
        7, message=text, rule=text, channel=text, cause=cause, cause_approximate=True,
        incident=text, parent=text, priority=text, details=details,
    )  # fmt: skip
    model.take([told.published(1, 0.0)])
    return model


@given(ANY_TEXT, st.integers(0, 130), st.sampled_from([UNICODE, ASCII]))
@example(HOSTILE, 80, UNICODE)
@example("[/] [red]\x1b]52;c;AAAA\x07", 80, ASCII)
@settings(deadline=None)
def test_no_text_from_outside_reaches_the_terminal_raw(text: str, width: int, glyphs: Glyphs) -> None:
    model = model_of(text, glyphs)
    views = [everything(model, width)]
    model.notice = glyphs.plain(text)
    views.append(everything(model, width))
    model.lose(text)
    views.append(everything(model, width))
    model.filter(text)
    model.devices.refuse(text)
    model.link = Link("lost", 0.0, text)
    views.append(everything(model, width))
    model.link = Link("ended", 0.0, text, (text, text))
    views.append(everything(model, width))
    model.fail(text)
    views.append(everything(model, width))
    for row in (row for rows in views for row in rows):
        assert not any(CONTROL.search(span.text) for span in row)
        assert width_of(row) == width
        assert glyphs is UNICODE or all(span.text.isascii() for span in row)


NAMES = ("R1-PM1:V", "R1-PM2:V", "R1-PM3:V", "R1-PM4:I", "R1-PA:Z", "R1:F")
ANY = st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.lists(st.tuples(ANY, ANY), min_size=1, max_size=30),
    ANY,
    st.booleans(),
    st.sampled_from([UNICODE, ASCII]),
    ANY,
)
@settings(deadline=None)
def test_no_number_breaks_a_panel_or_a_chart(
    pairs: list[tuple[float, float]], latest: float, stale: bool, glyphs: Glyphs, limit: float
) -> None:
    client = FakeClient()
    model = Model(glyphs, lambda: 0.0)
    limits = tuple(LimitLine(name, "high", "warning", limit) for name in NAMES)
    model.greet(Hello("0", "s", False, client.channels, limits=limits))
    model.receive(Snapshot(client.transport))
    low, high = (np.tile(np.array(side), (6, 1)) for side in zip(*pairs, strict=True))
    ends = np.full(6, latest)
    model.telemetry = Telemetry(
        NAMES, 60.0, client.transport.time, low, high, ends, ends, ends, np.full(6, stale), np.zeros(6, bool)
    )
    model.chosen.room_for_overlay = True
    for _ in SCALES:
        model.chosen.next_scale()
        for row in everything(model, 80):
            assert width_of(row) == 80
    for number in range(4):
        panel = model.panel(number)
        if np.isfinite(panel.curve.lowest):
            text = chart(panel, 60.0, client.transport.time, 60, 12, glyphs)
            assert not CONTROL.search(text.plain.replace("\n", ""))


def test_the_help_takes_markup_for_text() -> None:
    assert "[/red]" in page([("[", "[/red]")], 80).plain
