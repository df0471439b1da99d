"""The detector `data_quality`: one clear word per device, and one about time."""

from __future__ import annotations

import math
import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtop.blocks import Block, Quality
from gridtop.channels import Channel, ChannelSet
from gridtop.config import load
from gridtop.contracts import Scores
from gridtop.detection import Detection
from gridtop.errors import ConfigurationError
from gridtop.events import Event
from gridtop.monitor import Monitor
from gridtop.naming import built_in
from gridtop.plugins.detectors.data_quality import DataQuality
from gridtop.plugins.detectors.data_quality.outages import Outages
from gridtop.site import Nominal, Site, Terminal
from tests.streams import START, ListSource, block_of, times

ROOT = Path(__file__).parent.parent
RATE = 10.0
SITE = Site(nominal=Nominal(voltage_ll=230e3))
NAMES = ("R1-PM1:V", "R1-PM2:V", "R1-PA1:VH", "R1:F", "R1:DF", "R1-PA:Z", "R1:S", "R2-PM1:V", "R2:F")
PMU = ChannelSet(tuple(built_in(name).channel(name) for name in NAMES), RATE)
R1, R2, TIME = range(3)


def stream(n: int, channels: ChannelSet = PMU) -> tuple[np.ndarray, np.ndarray]:
    """(n, c) healthy values and no flags."""
    values = {"voltage": 132e3, "frequency": 60.0, "impedance": 300.0}
    row = [values.get(channel.quantity, 1.0) for channel in channels]
    return np.tile(row, (n, 1)), np.zeros((n, len(channels)), dtype=np.uint16)


def scored(
    values: np.ndarray,
    flags: np.ndarray | None = None,
    *,
    time: np.ndarray | None = None,
    channels: ChannelSet = PMU,
    site: Site = SITE,
    cuts: list[int] | None = None,
    **config: Any,
) -> tuple[np.ndarray, dict[str, list[str]]]:
    """(n, k) scores, and by output the notes of all frames."""
    detector = DataQuality(DataQuality.Config(**config), channels, site)
    time = times(len(values), RATE) if time is None else time
    edges = sorted({0, len(values), *(cut % len(values) for cut in cuts or [])})
    scores: list[np.ndarray] = []
    notes: dict[str, list[str]] = {name: [] for name in detector.outputs}
    for start, stop in pairwise(edges):
        part = slice(start, stop)
        quality = None if flags is None else flags[part]
        answer = detector.score(Block(channels, time[part], values[part], quality, row=start))
        scores.append(answer.score)
        assert isinstance(answer.note, dict)
        for name, texts in notes.items():
            texts += answer.note.get(name, [""] * (stop - start))
    return np.vstack(scores), notes


def first(score: np.ndarray, column: int, level: float = 1.0) -> int | None:
    """The first row in which a score reaches a level."""
    rows = np.flatnonzero(score[:, column] >= level)
    return int(rows[0]) if len(rows) else None


def test_one_output_for_each_terminal_and_one_for_time() -> None:
    detector = DataQuality(DataQuality.Config(), PMU, SITE)
    assert detector.outputs == ("R1:data", "R2:data", "system:time")
    loose = ChannelSet((Channel("x"), Channel("relay1_log", "log", terminal="R1")), RATE)
    assert DataQuality(DataQuality.Config(), loose, SITE).outputs == ("system:data", "system:time")


def test_healthy_stream_scores_zero_and_says_nothing() -> None:
    score, notes = scored(*stream(100))
    assert not score.any()
    assert not any(text for texts in notes.values() for text in texts)


def test_missing_values_warn_at_one_percent_of_the_window_and_are_critical_at_five() -> None:
    values, _ = stream(900)
    values[100:150, :6] = math.nan
    score, notes = scored(values, recovery="60s")
    # 600 frames of 5 cells (not the impedance): a warning after 6 frames, critical after 30.
    assert (first(score, R1), first(score, R1, 2)) == (105, 129)
    assert notes["R1:data"][105] == "R1: 5 of 5 values missing"
    assert notes["R1:data"][200] == "R1: 8.3 % of the values of the last 60 s are missing"
    assert score[749 - 6, R1] >= 1 > score[749 - 5, R1]
    assert not score[:, R2].any()


def test_outage_is_forgotten_when_nothing_was_missing_for_ten_seconds() -> None:
    values, _ = stream(900)
    values[100:300, :6] = math.nan
    score, _ = scored(values)
    assert (score[129:399, R1] >= 2).all()
    assert not score[399:, R1].any()


def test_outage_soon_after_another_counts_until_it_has_left_the_window() -> None:
    values, _ = stream(9000)
    values[100:150, :6] = values[300:350, :6] = math.nan
    values[7000:7050, :6] = math.nan
    score, _ = scored(values)
    assert not score[249:300, R1].any()
    assert score[349 + 600 - 6, R1] >= 1
    assert not score[349 + 600 : 7000, R1].any()
    # The third comes more than ten minutes after the second.
    assert score[7148, R1] >= 1
    assert not score[7149:, R1].any()
    assert scored(values, relapse="20min")[0][7149, R1] >= 1


def test_lost_frames_here_and_there_are_no_outage_that_is_over() -> None:
    values, _ = stream(900)
    values[100:400:25, :6] = math.nan
    score, _ = scored(values)
    assert (score[100 + 25 * 5 : 375 + 100, R1] >= 1).all()
    assert score[600, R1] >= 1


def test_values_that_were_late_while_nobody_brought_new_ones_are_an_outage() -> None:
    values, flags = stream(600)
    values += np.arange(600)[:, np.newaxis]
    flags[100:250, :6] = Quality.LATE
    values[200:250, :6] = math.nan
    score, _ = scored(values, flags)
    assert (score[105:349, R1] >= 1).all()
    assert not score[349:, R1].any()


def test_what_has_not_come_yet_at_the_start_is_missing_after_ten_seconds() -> None:
    values, _ = stream(300)
    values[:30, :6] = math.nan
    values[:, 7:] = math.nan
    score, _ = scored(values)
    assert not score[:, R1].any()
    assert first(score, R2) == 100 + 6 - 1
    values[50:, 7:] = 132e3, 60.0
    values[53:, 7] = math.nan
    assert first(scored(values)[0], R2) == 53 + 12 - 1
    flags = np.zeros(values.shape, np.uint16)
    values[:, 7:], flags[:, 7:] = math.nan, Quality.BAD
    assert first(scored(values, flags)[0], R2) == 6 - 1
    assert first(scored(values, start="0s")[0], R2) == 6 - 1


def test_values_that_somebody_holds_are_no_new_values_and_no_repeated_frames() -> None:
    values, flags = stream(400)
    values += np.arange(400)[:, np.newaxis]
    values[200:260] = values[199]
    flags[200:260, :6] = Quality.LATE
    _, notes = scored(values, flags)
    assert notes["R1:data"][204] == "R1: no new values for 0.5 s"
    assert notes["R1:data"][220] == "R1: no new values for 2.1 s"
    assert notes["R1:data"][259] == "R1: no new values for 6 s"
    assert notes["R1:data"][260] == "R1: 60 repeated frames in 10 s"


def test_few_missing_values_score_how_near_a_warning_is() -> None:
    values, _ = stream(100)
    values[10:13, :6] = math.nan
    score, _ = scored(values)
    assert score[50, R1] == pytest.approx(0.5)


def test_values_that_are_not_to_be_used_are_called_so() -> None:
    values, flags = stream(50)
    values[:, :6], flags[:, :6] = math.nan, Quality.BAD
    _, notes = scored(values, flags)
    assert notes["R1:data"][20] == "R1: 5 of 5 values are marked as not to be used"


def test_open_line_and_dead_bus_are_no_defect_of_the_data() -> None:
    values, flags = stream(900)
    dead = slice(100, 600)
    values[dead, :2] = 50.0
    values[dead, 3:6] = math.nan
    flags[dead, 5] = Quality.INFINITE
    score, _ = scored(values, flags)
    assert not score.any()
    values[dead, :2] = 100e3
    assert first(scored(values, flags)[0], R1) is not None


def test_frequency_that_is_suspect_on_a_dead_bus_is_no_defect_of_the_data() -> None:
    values, flags = stream(300)
    values[:, :2], flags[:, 3] = 50.0, Quality.SUSPECT
    assert not scored(values, flags)[0].any()


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        (Quality.LATE, "R1: frames late or sorted by arrival, 1 % of the frames of the last 60 s"),
        (Quality.SUSPECT, "R1: values that the device doubts, 1 % of the frames of the last 60 s"),
        (Quality.OUT_OF_RANGE, "R1 B voltage is not plausible, 1 % of the frames of the last 60 s"),
    ],
)
def test_doubtful_frames_warn_at_one_percent_and_are_critical_at_twenty(flag: Quality, text: str) -> None:
    values, flags = stream(400)
    values += np.arange(400)[:, np.newaxis]  # late ones that stood still would be repeated frames
    flags[100:, 1] = flag
    score, notes = scored(values, flags)
    assert (first(score, R1), first(score, R1, 2)) == (105, 219)
    assert notes["R1:data"][105] == text


def test_five_repeated_frames_in_ten_seconds_warn_and_a_fifth_of_them_is_critical() -> None:
    values, flags = stream(400)
    values += np.arange(400)[:, np.newaxis]
    for row in range(300, 360, 2):
        values[row] = values[row - 1]
        flags[row, :6] = Quality.LATE
    score, notes = scored(values, flags)
    assert score[307, R1] == pytest.approx(0.8)
    assert (first(score, R1), first(score, R1, 2)) == (308, 338)
    assert notes["R1:data"][308] == "R1: 5 repeated frames in 10 s"
    assert notes["R1:data"][338] == "R1: 20 repeated frames in 10 s"
    score, _ = scored(values, flags, repeated_warning=4)
    assert first(score, R1) == 306


def test_few_repeated_frames_for_long_are_a_share_of_the_window() -> None:
    values, flags = stream(700)
    values += np.arange(700)[:, np.newaxis]
    for row in range(100, 700, 40):  # never more than three in a hundred
        values[row] = values[row - 1]
        flags[row, :6] = Quality.LATE
    score, notes = scored(values, flags)
    assert first(score, R1) == 300
    assert notes["R1:data"][300] == "R1: repeated frames, 1 % of the frames of the last 60 s"


def test_flat_line_is_a_warning_at_once_and_critical_after_half_a_minute() -> None:
    values, flags = stream(500)
    flags[100:450, 2] = Quality.FLATLINE
    score, notes = scored(values, flags)
    assert (first(score, R1), first(score, R1, 2)) == (100, 400)
    assert notes["R1:data"][100] == "R1 A voltage angle stands still while its neighbours move"
    assert score[450, R1] == 0


def test_clock_without_utc_warns_after_ten_seconds() -> None:
    values, flags = stream(400)
    flags[100:, 2] = Quality.UNSYNCHRONISED
    score, notes = scored(values, flags, unsynchronised_critical="20s")
    assert (first(score, R1), first(score, R1, 2)) == (200, 300)
    assert notes["R1:data"][205] == "R1: the clock is not synchronised, for 10 s"


def test_worst_defect_decides_and_speaks() -> None:
    values, flags = stream(300)
    flags[100:, 1] = Quality.FLATLINE
    values[150:, [0, 2, 3, 4]] = math.nan
    score, notes = scored(values, flags)
    assert notes["R1:data"][149].startswith("R1 B voltage stands still")
    assert notes["R1:data"][250] == "R1: 4 of 5 values missing"
    assert (score <= 3).all()


def test_lost_rows_are_a_matter_of_time() -> None:
    kept = np.array([i for i in range(900) if not (100 <= i < 300 and i % 4 == 0)])
    values, _ = stream(len(kept))
    score, notes = scored(values, time=times(900, RATE)[kept])
    warned = first(score, TIME)
    assert warned is not None
    assert 120 <= kept[warned] <= 130
    assert notes["system:time"][warned] == "time: 9.901 frames/s instead of 10 in the last 60 s"
    assert not score[:, [R1, R2]].any()


def test_gap_that_alone_is_a_warning_is_named() -> None:
    values, _ = stream(200)
    time = times(200, RATE)
    time[100:] += np.timedelta64(5, "s")
    score, notes = scored(values, time=time)
    assert (first(score, TIME), first(score, TIME, 2)) == (100, 100)
    assert notes["system:time"][100] == "time: a gap of 5.1 s"


def test_stream_that_is_faster_or_slower_than_it_is_set_to_be_says_so() -> None:
    site = Site(terminals={"R1": Terminal(rate=12.5)})
    values, _ = stream(700)
    score, notes = scored(values, site=site)
    assert score[-1, TIME] >= 2
    assert notes["system:time"][-1] == "time: 10 frames/s instead of 12.5 in the last 60 s"
    score, notes = scored(values, site=Site(terminals={"R2": Terminal(rate=8)}))
    assert notes["system:time"][-1] == "time: 10 frames/s instead of 8 in the last 60 s"


def test_steps_off_the_frame_grid_are_irregular_and_stamps_in_milliseconds_are_not() -> None:
    values, _ = stream(700)
    cut = times(700, 30.0).astype("datetime64[ms]").astype("datetime64[ns]")
    channels = ChannelSet(PMU.channels, 30.0)
    assert scored(values, time=cut, channels=channels)[0][:, TIME].max() < 0.01
    time = times(700, RATE)
    time[1::2] += np.timedelta64(40, "ms")
    score, notes = scored(values, time=time)
    assert first(score, TIME) == 6
    assert notes["system:time"][6] == "time: 1 % of the steps of the last 60 s are off the frame grid"


@pytest.mark.parametrize("year", [1970, 1980, 2036, 2106])
def test_year_that_cannot_be_is_critical(year: int) -> None:
    values, _ = stream(3)
    time = times(3, RATE) - START + np.datetime64(f"{year}-02-07", "ns")
    score, notes = scored(values, time=time)
    assert (score[:, TIME] == 3).all()
    assert notes["system:time"] == [f"time: the stream says it is the year {year}"] * 3
    assert not scored(values, time=time, first_year=1970, last_year=2200)[0].any()


def test_stream_without_a_clock_has_no_opinion_on_time() -> None:
    values, _ = stream(10)
    score, _ = scored(values, channels=ChannelSet(PMU.channels, RATE, "row"))
    assert np.isnan(score[:, TIME]).all()
    assert not score[:, R1].any()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(0, 250), max_size=20) | st.integers(1, 9).map(lambda n: list(range(0, 250, n))),
)
def test_scores_and_notes_do_not_depend_on_where_the_stream_is_cut(seed: int, cuts: list[int]) -> None:
    random = np.random.default_rng(seed)
    values, flags = stream(250)
    values[random.random(values.shape) < 0.02] = math.nan
    for flag in Quality:
        start, column = random.integers(250), random.integers(len(PMU))
        flags[start : start + random.integers(1, 100), column] |= np.uint16(flag)
    steps = random.choice([100, 100, 100, 100, 130, 200, 700], 250) * 1_000_000
    time = START + np.cumsum(steps).astype("timedelta64[ns]")
    short: dict[str, Any] = {
        "window": "5s",
        "unsynchronised_warning": "1s",
        "recovery": "300ms",
        "start": "4s",
        "relapse": "2s",
    }
    score, notes = scored(values, flags, time=time, **short)
    cut_score, cut_notes = scored(values, flags, time=time, cuts=cuts, **short)
    np.testing.assert_array_equal(cut_score, score)
    assert cut_notes == notes
    for i, texts in enumerate(notes.values()):
        assert [bool(text) for text in texts] == (score[:, i] >= 1).tolist()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.integers(1, 6)), min_size=1, max_size=12),
    st.lists(st.integers(0, 72), max_size=6),
    st.integers(1, 8),
    st.integers(0, 30),
)
def test_an_outage_is_over_when_its_definition_says_so(
    runs: list[tuple[bool, int]], cuts: list[int], recovery: int, relapse: int
) -> None:
    wrong = np.concatenate([[is_wrong] * frames for is_wrong, frames in runs])
    outages = Outages(recovery, relapse, 1)
    edges = sorted({0, len(wrong), *(cut for cut in cuts if cut < len(wrong))})
    over = np.concatenate([outages.over(wrong[a:b, np.newaxis])[:, 0] for a, b in pairwise(edges)])
    for frame in range(len(wrong)):
        ends = [i for i in range(frame + 1) if wrong[i] and (i == frame or not wrong[i + 1])]
        well_for = frame - ends[-1] >= recovery if ends else True
        assert over[frame] == (well_for and not any(frame - end <= relapse for end in ends[:-1]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"completeness_critical": 99.5},
        {"doubtful_critical": 0.5},
        {"unsynchronised_critical": "1s"},
        {"rate_critical": 1},
        {"window": 0},
        {"recovery": 0},
        {"first_year": 2050},
        {"windw": "1s"},
    ],
)
def test_settings_that_contradict_each_other_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DataQuality.Config(**wrong)


# In the monitor -----------------------------------------------------------------------------------------


def configured(folder: Path, text: str) -> Path:
    config = folder / "config.yaml"
    config.write_text(f"source: {{type: replay, path: none.csv}}\n{text}\n")
    return config


def test_it_brings_its_own_rule_which_the_configuration_may_replace(tmp_path: Path) -> None:
    config = configured(tmp_path, "detectors: {data: {type: data_quality}}")
    rule = load(config, environment=os.environ).detectors["data"].alarm
    assert rule is not None
    assert (rule.class_, rule.needs_good_values) == ("data_quality", False)
    assert rule.high is not None
    assert (rule.high.warning, rule.high.critical) == (1, 2)
    config = configured(tmp_path, "detectors: {data: {type: data_quality, alarm: {high: {warning: 2.5}}}}")
    rule = load(config, environment=os.environ).detectors["data"].alarm
    assert rule is not None
    assert rule.class_ == "grid"


def test_rule_that_a_detector_brings_can_be_named_by_others_and_is_checked(tmp_path: Path) -> None:
    limit = 'limits: {sag: {on: "*:voltage_pu", low: {critical: 0.9}, inhibit_if: [data]}}\n'
    config = configured(tmp_path, limit + "detectors: {data: {type: data_quality}}")
    assert load(config, environment=os.environ).limits["sag"].inhibit_if == ("data",)
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins" / "rude.py").write_text(
        "class Rude:\n    alarm = {'hihg': {'warning': 1}}\n    def score(self, block): pass\n"
    )
    config = configured(tmp_path, "plugins: {dirs: [plugins]}\ndetectors: {rude: {type: rude}}")
    with pytest.raises(ConfigurationError, match=r"detectors\.rude\.type.*hihg"):
        load(config, environment=os.environ)


def test_notes_may_be_given_for_single_outputs() -> None:
    class Two:
        Config = DataQuality.Config
        outputs = ("R1:one", "R1:two")

        def __init__(self, config: Any, channels: ChannelSet) -> None:
            pass

        def score(self, block: Block) -> Scores:
            notes = {"R1:two": [f"row {row}" for row in block.rows]}
            return Scores(np.ones((len(block), 2)), note=notes if block.row else {"R1:two": ["too few"]})

    values, _ = stream(4)
    block = block_of(values, PMU)
    detection = Detection({"two": (Two, Two.Config(), ("*",))}, PMU, live=False)
    refused = detection.score_now(block.slice(0, 2))
    answered = detection.score_now(block.slice(2, 4))
    detection.close()
    assert "one for each of the 2 frames" in refused.failures[0].text
    assert answered.notes == {"two/R1:two": ["row 2", "row 3"]}


async def events_of(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Event, ...]:
    """What a whole monitor says about a stream."""
    config = configured(
        folder,
        "site: {nominal: {voltage_ll: 230 kV}}\n"
        'limits: {sag: {on: "*:voltage_pu", low: {critical: 0.9}}}\n'
        "detectors: {data_quality: {type: data_quality}}",
    )
    configuration = load(config, overrides=["source.speed=max"], environment=os.environ)
    monkeypatch.setattr("gridtop.building._built", lambda *_: ListSource(block))
    monitor = Monitor(configuration, stop_at_end=True)
    await monitor.run()
    return monitor.events()


async def test_stuck_sag_is_one_alarm_about_the_device_and_none_about_the_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"R{relay}-PM{phase}:V" for relay in (1, 2) for phase in (1, 2, 3)]
    channels = ChannelSet(tuple(built_in(name).channel(name) for name in names), RATE)
    values = 132e3 + 100 * np.random.default_rng(1).standard_normal((300, 6))
    values[50:200, 1] = 100e3
    # Flags begin after four seconds; an alarm that began before them could not have known.
    events = await events_of(block_of(values, channels), tmp_path, monkeypatch)
    data = [event for event in events if event.kind == "data"]
    assert [(event.transition, event.terminal) for event in data] == [("raised", "R1"), ("cleared", "R1")]
    assert data[0].message == "R1 B voltage stands still while its neighbours move (warning)"
    grid = [event for event in events if event.kind == "alarm"]
    assert [(event.transition, event.row < 90) for event in grid] == [("raised", True), ("cleared", False)]

    values[50:, 1] = values[49, 1]  # stuck while all is well
    values[150:, 0:3:2] = 132e3 + 100 * np.random.default_rng(2).standard_normal((150, 2))
    events = await events_of(block_of(values, channels), tmp_path, monkeypatch)
    assert {event.kind for event in events} == {"data"}


async def test_bundled_recording_raises_no_data_alarm() -> None:
    overrides = ["source.loop=false", "source.speed=max", "detectors.data_quality={type: data_quality}"]
    configuration = load(ROOT / "config.yaml", overrides=overrides, environment=os.environ)
    monitor = Monitor(configuration, stop_at_end=True, keep_history=False)
    await monitor.run()
    events = monitor.events(0, 10**6)
    assert {event.kind for event in events} == {"alarm", "fault", "system"}
