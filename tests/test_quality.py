"""Quality flags: where each comes from, and that doubtful values raise no grid alarm."""

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

from gridtop.alarms import AlarmEngine, bind_limits
from gridtop.alarms.rules import AlarmDefaults, LimitSettings
from gridtop.blocks import DOUBTFUL, NO_VALUE, Block, Quality
from gridtop.channels import Channel, ChannelSet
from gridtop.config import load
from gridtop.contracts import Settings
from gridtop.detection import Detection
from gridtop.errors import ConfigurationError
from gridtop.events import Event
from gridtop.naming import ChannelMap, built_in
from gridtop.pipeline import Pipeline
from gridtop.quality import QualityChecks, QualitySettings
from gridtop.recordings import open_recording
from gridtop.site import UNDESCRIBED, Bus, Nominal, Site
from tests.reference_alarms import ReferenceRule, reference
from tests.streams import block_of, channel_set, times
from tests.test_alarm_properties import CHANNELS, CUTS, NAMES, PLACES, SITE, line, rule_sets, signals
from tests.test_detection import Identity

ROOT = Path(__file__).parent.parent
RATE = 10.0
NOMINAL = Site(nominal=Nominal(voltage_ll=230e3, frequency=60.0, current=400.0))
LINE_TO_NEUTRAL = 230e3 / math.sqrt(3)


def stream(*names: str, rate: float = RATE) -> ChannelSet:
    """Channels that mean what their names say in the public naming scheme."""
    return ChannelSet(tuple(built_in(name).channel(name) for name in names), rate)


def frames(channels: ChannelSet, n: int, /, **columns: Any) -> Block:
    """n frames: the given columns (dashes and colons as _), and healthy, lively values in all others."""
    random = np.random.default_rng(1)
    usual = {"voltage": LINE_TO_NEUTRAL, "current": 300.0, "frequency": 60.0, "rocof": 0.0, "status": 0.0}
    sizes = {"voltage": 100.0, "current": 1.0, "frequency": 0.01, "rocof": 0.01, "status": 0.0}
    values = np.empty((n, len(channels)))
    for i, channel in enumerate(channels):
        centre = 10.0 if channel.part == "angle" else usual.get(channel.quantity, 1.0)
        values[:, i] = centre + sizes.get(channel.quantity, 1.0) * random.standard_normal(n)
        written = columns.get(channel.name.replace("-", "_").replace(":", "_"))
        if written is not None:
            values[:, i] = written
    return Block(channels, times(n, channels.rate or RATE), values)


def checked(
    block: Block, site: Site = NOMINAL, cuts: list[int] | None = None, **settings: Any
) -> tuple[np.ndarray, np.ndarray]:
    """(n, c) flags and values that a stream has behind the checks, cut before the given rows."""
    checks = QualityChecks(block.channels, site, QualitySettings(**settings))
    edges = sorted({0, len(block), *(cut % len(block) for cut in cuts or [])})
    pieces = [checks.check(block.slice(start, stop)) for start, stop in pairwise(edges)]
    flags = [np.zeros(p.values.shape, np.uint16) if p.quality is None else p.quality for p in pieces]
    return np.vstack(flags), np.vstack([piece.values for piece in pieces])


def names_of(channels: ChannelSet, flags: np.ndarray, flag: Quality) -> set[str]:
    """The channels with this flag anywhere."""
    return {channels[int(i)].name for i in np.flatnonzero(((flags & flag) != 0).any(axis=0))}


PMU = stream(
    "R1-PA1:VH", "R1-PM1:V", "R1-PM4:I", "R1:F", "R1:DF", "R1-PA:Z", "R1-PA:ZH", "R1:S", "relay1_log",
    "R2-PA1:VH", "R2-PM1:V", "R2-PM4:I", "R2:F", "R2:DF", "R2:S",
)  # fmt: skip
MEASURED = {"R1-PA1:VH", "R1-PM1:V", "R1-PM4:I", "R1:F", "R1:DF", "R1-PA:Z", "R1-PA:ZH"}


def test_healthy_block_is_passed_on_untouched() -> None:
    block = frames(PMU, 200)
    assert QualityChecks(PMU, NOMINAL, QualitySettings()).check(block) is block


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (0x0000, {}),
        (0x0800, {}),  # trigger
        (0x0801, {}),
        (0x0400, {}),  # configuration will change
        (0x0200, {}),  # post-processing
        (0x0030, {}),  # unlocked for long, yet not said to be worse than 10 ms
        (0x0180, {}),  # time quality 6
        (0x01C0, {Quality.UNSYNCHRONISED: {"R1-PA1:VH"}}),
        (0x2000, {Quality.UNSYNCHRONISED: {"R1-PA1:VH"}}),
        (0x21F0, {Quality.UNSYNCHRONISED: {"R1-PA1:VH"}}),
        (0x1000, {Quality.LATE: MEASURED}),
        (0x4000, {Quality.SUSPECT: MEASURED}),
        (0x8000, {Quality.BAD: MEASURED}),
        (0xC000, {Quality.BAD: MEASURED}),
        (0xFFFF, {Quality.BAD: MEASURED, Quality.LATE: MEASURED, Quality.UNSYNCHRONISED: {"R1-PA1:VH"}}),
        (2058, {}),
        (270336, {}),  # 18 bits: no STAT word
        (8192.5, {}),
        (-8192, {}),
        (math.nan, {}),
    ],
)
def test_status_word_speaks_of_its_own_terminal(word: float, expected: dict[Quality, set[str]]) -> None:
    block = frames(PMU, 4, R1_S=[0, word, word, 0])
    flags, values = checked(block)
    for flag in Quality:
        assert names_of(PMU, flags, flag) == expected.get(flag, set()), flag
    assert not flags[[0, 3]].any()
    unusable = np.isnan(values[1]) & ~np.isnan(block.values[1])
    assert {PMU[int(i)].name for i in np.flatnonzero(unusable)} == expected.get(Quality.BAD, set())
    kept = ~np.isnan(values)
    np.testing.assert_array_equal(values[kept], block.values[kept])


def test_status_words_can_be_left_unread() -> None:
    flags, _ = checked(frames(PMU, 4, R1_S=0x8000), status_words=False)
    assert not flags.any()


@pytest.mark.parametrize(
    ("column", "value", "plausible"),
    [
        ("R1_PM1_V", 1.9 * LINE_TO_NEUTRAL, True),
        ("R1_PM1_V", 2.1 * LINE_TO_NEUTRAL, False),
        ("R1_PM1_V", -1.0, False),
        ("R1_PM4_I", 15_900.0, True),
        ("R1_PM4_I", 16_100.0, False),
        ("R1_F", 55.1, True),
        ("R1_F", 65.536, False),
        ("R1_F", 0.0, False),
        ("R1_DF", 49.0, True),
        ("R1_DF", -51.0, False),
        ("R1_PA1_VH", 359.0, True),
        ("R1_PA1_VH", 32767.0, False),
        ("R1_PA_Z", 1e9, True),
        ("relay1_log", 1e9, True),
    ],
)
def test_value_beyond_what_its_quantity_can_be_is_out_of_range(
    column: str, value: float, plausible: bool
) -> None:
    block = frames(PMU, 3, **{column: [value, math.nan, value]})
    flags, values = checked(block)
    found = names_of(PMU, flags, Quality.OUT_OF_RANGE)
    assert {name.replace("-", "_").replace(":", "_") for name in found} == (set() if plausible else {column})
    assert flags[1].any() is np.False_
    np.testing.assert_array_equal(values, block.values)


def test_what_has_no_base_is_not_checked_and_both_usual_frequencies_are_plausible() -> None:
    block = frames(PMU, 4, R1_PM1_V=1e9, R1_PM4_I=1e9, R1_F=[50.0, 60.0, 44.9, 65.536])
    flags, _ = checked(block, UNDESCRIBED)
    assert names_of(PMU, flags, Quality.OUT_OF_RANGE) == {"R1:F"}
    assert (flags[:, PMU.position("R1:F")] != 0).tolist() == [False, False, True, True]


def test_voltage_is_compared_with_the_nominal_one_of_its_own_bus() -> None:
    site = Site(nominal=Nominal(voltage_ll=230e3), buses={"B1": Bus(voltage_ll=20e3, terminals=("R1",))})
    flags, _ = checked(frames(PMU, 4), site)
    assert names_of(PMU, flags, Quality.OUT_OF_RANGE) == {"R1-PM1:V"}


def test_bounds_can_be_changed_quantity_by_quantity_and_taken_away() -> None:
    channels = ChannelSet((*PMU, Channel("t", "temperature", "degC", "R1")), RATE)
    block = frames(channels, 4, R1_F=66.0, R1_DF=60.0, t=[20.0, 130.0, 20.0, 20.0])
    flags, _ = checked(block, plausible={"frequency_deviation": None, "temperature": (-40, 120)})
    assert names_of(channels, flags, Quality.OUT_OF_RANGE) == {"R1:DF", "t"}
    assert flags[:, -1].astype(bool).tolist() == [False, True, False, False]


def test_frames_filled_in_for_an_absent_device_are_bad() -> None:
    block = frames(PMU, 3, R1_PM1_V=[0, 0, 0], R1_PM4_I=[0, 0, 0], R1_F=[60.0, 65.536, 65.536])
    flags, values = checked(block)
    assert names_of(PMU, flags[1:], Quality.BAD) == MEASURED
    assert not (flags[0] & Quality.BAD).any()
    assert not (flags & Quality.OUT_OF_RANGE).any()
    assert np.isnan(values[1, PMU.position("R1-PM1:V")])
    assert names_of(PMU, flags, Quality.SUSPECT) == {"R1:F", "R1:DF"}  # row 0: a bus that is merely dead


def test_frequency_of_a_dead_bus_is_suspect() -> None:
    volts = LINE_TO_NEUTRAL * np.array([1.0, 0.11, 0.09, 0.0, np.nan, 1.0])
    flags, _ = checked(frames(PMU, 6, R1_PM1_V=volts))
    for name in ("R1:F", "R1:DF"):
        suspect = (flags[:, PMU.position(name)] & Quality.SUSPECT) != 0
        assert suspect.tolist() == [False, False, True, True, False, False]
    assert names_of(PMU, flags, Quality.SUSPECT) == {"R1:F", "R1:DF"}


def test_one_phase_with_voltage_is_enough_to_have_a_frequency() -> None:
    channels = stream("R1-PM1:V", "R1-PM2:V", "R1-PM9:V", "R1:F")
    flags, _ = checked(frames(channels, 3, R1_PM1_V=10.0, R1_PM9_V=10.0))
    assert not flags.any()


# Flat lines ---------------------------------------------------------------------------------------------

VOLTAGES = stream(*(f"R{relay}-PM{phase}:V" for relay in (1, 2) for phase in (1, 2, 3)), "R1:F")


def with_stuck(column: str, first: int, last: int, n: int = 150, channels: ChannelSet = VOLTAGES) -> Block:
    """Lively frames in which a column repeats its value from row `first` to before `last`."""
    values = frames(channels, n).values.copy()
    values[first:last, channels.position(column)] = values[first, channels.position(column)]
    return Block(channels, times(n, channels.rate or RATE), values)


def test_stuck_channel_is_flagged_after_four_seconds_and_until_it_moves() -> None:
    flags, values = checked(with_stuck("R1-PM2:V", 20, 100))
    assert names_of(VOLTAGES, flags, Quality.FLATLINE) == {"R1-PM2:V"}
    rows = np.flatnonzero(flags[:, VOLTAGES.position("R1-PM2:V")])
    assert rows.tolist() == list(range(rows[0], 100))
    assert 20 + 40 <= rows[0] <= 20 + 45
    np.testing.assert_array_equal(values, with_stuck("R1-PM2:V", 20, 100).values)


def test_shorter_pause_is_no_flat_line_and_the_time_can_be_set() -> None:
    block = with_stuck("R1-PM2:V", 20, 50)
    assert not checked(block)[0].any()
    assert checked(block, flatline="2s")[0].any()
    assert not checked(with_stuck("R1-PM2:V", 20, 150), flatline=0)[0].any()


def test_channel_that_never_moved_is_flat_while_its_neighbours_move() -> None:
    flags, _ = checked(with_stuck("R1-PM2:V", 0, 150))
    assert names_of(VOLTAGES, flags, Quality.FLATLINE) == {"R1-PM2:V"}


def test_nothing_is_flat_when_everything_stands_still() -> None:
    values = np.broadcast_to(frames(VOLTAGES, 1).values, (150, len(VOLTAGES))).copy()
    assert not checked(Block(VOLTAGES, times(150, RATE), values))[0].any()


def test_zero_or_what_is_left_of_it_is_no_flat_line() -> None:
    channels = stream("R1-PM4:I", "R1-PM5:I", "R2-PM4:I", "R2-PM5:I")
    assert not checked(frames(channels, 150, R1_PM4_I=0.0))[0].any()
    assert not checked(frames(channels, 150, R1_PM4_I=0.2))[0].any()
    assert checked(frames(channels, 150, R1_PM4_I=2.0))[0].any()


def test_flickering_last_digit_of_a_neighbour_is_no_motion() -> None:
    channels = stream("R1-PM12:I", "R2-PM12:I", "R3-PM12:I")
    random = np.random.default_rng(2)
    flicker = {name: 0.2 * random.integers(1, 3, 400) for name in ("R1_PM12_I", "R2_PM12_I")}
    assert not checked(frames(channels, 400, R3_PM12_I=0.4, **flicker))[0].any()


def test_switched_feeder_is_a_step_and_no_motion() -> None:
    channels = ChannelSet(tuple(Channel(f"I{i}", "current", "A", "S1") for i in range(3)), RATE)
    steps = {"I0": np.repeat([17.0, 40.0, 25.0, 60.0], 50), "I1": np.repeat([30.0, 10.0, 50.0, 20.0], 50)}
    assert not checked(frames(channels, 200, I2=26.0, **steps))[0].any()


def test_statuses_logs_and_unknown_quantities_may_stand_still() -> None:
    names = ("relay1_log", "relay2_log", "R1:S", "R2:S", "left", "right")
    channels = stream(*names)
    block = frames(channels, 150, relay1_log=1.0, R1_S=1.0, left=1.0, R2_S=np.arange(150) % 16)
    assert not checked(block)[0].any()


def test_channel_that_pauses_for_long_needs_a_longer_stand_still() -> None:
    values = with_stuck("R1-PM2:V", 20, 50, n=300).values.copy()
    column = VOLTAGES.position("R1-PM2:V")
    values[100:, column] = values[100, column]
    flags, _ = checked(Block(VOLTAGES, times(300, RATE), values))
    assert 100 + 80 <= np.flatnonzero(flags[:, column])[0] <= 100 + 95


def test_missing_value_ends_a_stand_still() -> None:
    values = with_stuck("R1-PM2:V", 20, 100).values.copy()
    values[40, VOLTAGES.position("R1-PM2:V")] = math.nan
    flags, _ = checked(Block(VOLTAGES, times(150, RATE), values))
    assert np.flatnonzero(flags.any(axis=1))[0] >= 41 + 40


# Repeated frames ----------------------------------------------------------------------------------------


def again(values: np.ndarray, rows: np.ndarray | list[int], terminal: str) -> None:
    """In these rows the terminal's frame of the row before stands once more."""
    columns = [i for i, channel in enumerate(PMU) if channel.terminal == terminal]
    for row in rows:
        values[row, columns] = values[row - 1, columns]


def repeated(values: np.ndarray, **settings: Any) -> dict[str, list[int]]:
    """The rows that are flagged as late, by terminal."""
    flags, _ = checked(Block(PMU, times(len(values), RATE), values), **settings)
    found: dict[str, list[int]] = {}
    for i, channel in enumerate(PMU):
        rows = np.flatnonzero(flags[:, i] & Quality.LATE).tolist()
        if rows:
            assert found.setdefault(channel.terminal, rows) == rows
    return found


def test_frame_that_stands_in_for_the_next_is_late_at_its_terminal_only() -> None:
    values = frames(PMU, 300).values.copy()
    again(values, [200, 203, 204, 205], "R1")
    assert repeated(values) == {"R1": [200, 203, 204, 205]}
    assert repeated(values, repeated_frames=False) == {}


def test_repeated_frame_says_nothing_about_statuses_and_logs_or_cells_without_a_value() -> None:
    values = frames(PMU, 300, R1_DF=np.nan).values.copy()
    again(values, [200], "R1")
    flags, _ = checked(Block(PMU, times(300, RATE), values))
    expected = {c.name for c in PMU if c.terminal == "R1" and c.quantity not in ("status", "log")} - {"R1:DF"}
    assert names_of(PMU, flags, Quality.LATE) == expected


def test_one_value_that_moves_is_enough_to_be_a_frame_of_its_own() -> None:
    values = frames(PMU, 300).values.copy()
    again(values, [200, 210], "R1")
    values[200, PMU.position("R1:F")] += 0.001
    values[210, PMU.position("R1-PM4:I")] = math.nan
    assert repeated(values) == {}


def test_terminal_must_have_shown_that_it_moves() -> None:
    values = frames(PMU, 300).values.copy()
    again(values, [60, 109, 110, 150], "R1")  # each costs nine frames of the hundred
    assert repeated(values) == {"R1": [150]}


def test_source_that_is_slower_than_the_stream_repeats_frames_as_a_habit() -> None:
    values = frames(PMU, 900).values.copy()
    again(values, [row for row in range(1, 900) if row % 3], "R1")
    assert repeated(values) == {}
    values = frames(PMU, 900).values.copy()
    again(values, list(range(9, 900, 10)), "R1")
    assert repeated(values) == {}


def test_coarse_values_may_all_stand_still_by_chance() -> None:
    values = frames(PMU, 2000).values.copy()
    random = np.random.default_rng(5)
    steps = random.random(values.shape) < 0.4
    for i in range(len(PMU)):
        values[:, i] = 60.0 + np.cumsum(steps[:, i])
    assert repeated(values) == {}


def test_dead_terminal_repeats_nothing() -> None:
    values = frames(PMU, 400).values.copy()
    columns = [i for i, c in enumerate(PMU) if c.terminal == "R1" and c.part != "angle" and c.unit != "Hz"]
    values[200:, columns] = 0.0
    held = [PMU.position("R1-PA1:VH"), PMU.position("R1:F")]
    values[200:, held] = values[199, held]
    assert repeated(values) == {}


def test_terminal_of_three_values_is_not_watched() -> None:
    channels = stream("R1-PM1:V", "R1-PM4:I", "R1:F")
    values = frames(channels, 300).values.copy()
    values[200] = values[199]
    flags, _ = checked(Block(channels, times(300, RATE), values))
    assert not flags.any()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.lists(st.integers(0, 300), max_size=30) | st.integers(1, 9).map(lambda n: list(range(0, 300, n))),
)
def test_flags_do_not_depend_on_where_the_stream_is_cut(seed: int, cuts: list[int]) -> None:
    random = np.random.default_rng(seed)
    n, first_row = 300, int(random.integers(0, 20))
    values = frames(PMU, n).values.copy()
    for _ in range(6):
        column, start, length = random.integers(len(PMU)), random.integers(n), random.integers(5, 200)
        wrong = random.choice([values[start, column], math.nan, 0.0, 65.536, 1e7])
        values[start : start + length, column] = wrong
    for terminal in ("R1", "R2"):
        rows = np.flatnonzero(random.random(n) < random.choice([0, 0.02, 0.7]))
        again(values, rows[rows > 0], terminal)
    for name in ("R1:S", "R2:S"):
        rows = random.random(n) < 0.3
        values[rows, PMU.position(name)] = random.choice([0x2000, 0x1000, 0x8000, 0x4000], rows.sum())
    block = Block(PMU, times(n, RATE), values, row=first_row)
    whole, apart = checked(block), checked(block, cuts=cuts)
    np.testing.assert_array_equal(apart[0], whole[0])
    np.testing.assert_array_equal(apart[1], whole[1])
    assert np.isnan(whole[1][(whole[0] & NO_VALUE) != 0]).all()


# Error codes --------------------------------------------------------------------------------------------


def test_error_codes_of_a_file_are_bad_before_they_are_scaled(tmp_path: Path) -> None:
    (tmp_path / "codes.csv").write_text("t,u\n20.5,-327.68\n-327.68,1\n,-52.5\n-327.7,2\n")
    meanings = {
        "t": {"quantity": "temperature", "scale": 10, "invalid": [-327.68, -52.5]},
        "u": {"quantity": "voltage", "unit": "kV", "invalid": [-327.68]},
    }
    config = tmp_path / "config.yaml"
    config.write_text(f"source: {{type: replay, path: codes.csv}}\nchannels: {meanings}\n")
    channel_map = load(config, environment=os.environ).channels
    (block,) = open_recording(tmp_path / "codes.csv", channel_map).blocks()
    assert block.quality is not None
    assert block.quality.tolist() == [
        [0, Quality.BAD],
        [Quality.BAD, 0],
        [Quality.MISSING, 0],
        [0, 0],
    ]
    np.testing.assert_allclose(block.values, [[205, np.nan], [np.nan, 1e3], [np.nan, -52.5e3], [-3277, 2e3]])


def test_file_without_error_codes_has_none(tmp_path: Path) -> None:
    (tmp_path / "plain.csv").write_text("t\n-327.68\n")
    (block,) = open_recording(tmp_path / "plain.csv", ChannelMap({})).blocks()
    assert block.quality is None


# Rules --------------------------------------------------------------------------------------------------


def judged(
    written: dict[str, Any], values: list[list[float]], flags: list[list[int]] | None, gated: bool = False
) -> list[Event]:
    """The events of one rule on `a`, with `load` for its gate."""
    channels = ChannelSet((Channel("R1:a", "a", "", "R1"), Channel("R1:load", "load", "", "R1")), RATE)
    gate = {"gate": {"on": "load", "min": 1.0}} if gated else {}
    rule = LimitSettings.model_validate(
        {"on": "R1:a", "high": {"critical": 5}, "on_delay": 0, **gate, **written}
    )
    engine = AlarmEngine(
        bind_limits({"rule": rule}, AlarmDefaults(), channels), channels, UNDESCRIBED, "stream"
    )
    quality = None if flags is None else np.array(flags, dtype=np.uint16)
    return engine.process(Block(channels, times(len(values), RATE), np.array(values), quality))


@pytest.mark.parametrize("flag", [flag for flag in Quality if flag & DOUBTFUL])
def test_doubtful_value_raises_only_where_any_will_do(flag: Quality) -> None:
    values, flags = [[9.0, 2.0]] * 3, [[int(flag), 0]] * 3
    assert judged({}, values, flags) == []
    assert judged({"class": "integrity"}, values, flags) == []
    assert [e.row for e in judged({"quality": "any"}, values, flags)] == [0]
    assert [e.kind for e in judged({"class": "data_quality"}, values, flags)] == ["data"]
    assert judged({"class": "data_quality", "quality": "good"}, values, flags) == []


def test_doubtful_value_neither_clears_nor_counts_as_the_latest() -> None:
    values = [[9.0, 2.0], [0.0, 2.0], [0.0, 2.0]]
    flags = [[0, 0], [int(Quality.FLATLINE), 0], [0, 0]]
    transitions = [(e.transition, e.row) for e in judged({"off_delay": 0}, values, flags)]
    assert transitions == [("raised", 0), ("cleared", 2)]


def test_doubtful_gate_is_an_unknown_gate() -> None:
    values, flags = [[9.0, 2.0]] * 2, [[0, int(Quality.CALCULATED)], [0, 0]]
    assert [e.row for e in judged({}, values, flags, gated=True)] == [1]
    assert [e.row for e in judged({"quality": "any"}, values, flags, gated=True)] == [0]


def test_an_override_can_ask_for_less_on_some_channels() -> None:
    values, flags = [[9.0, 2.0]], [[int(Quality.LATE), 0]]
    assert len(judged({"overrides": {"R1:*": {"quality": "any"}}}, values, flags)) == 1


def test_quality_is_one_of_two_words(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "source: {type: replay, path: x.csv}\n"
        "quality: {plausible: {voltage_pu: [2, 0]}, flatlin: 4s}\n"
        "limits: {voltage: {on: '*:voltage_pu', low: {critical: 0.9}, quality: bad}}\n"
    )
    with pytest.raises(ConfigurationError) as refusal:
        load(config, environment=os.environ)
    text = str(refusal.value)
    assert "quality.plausible.voltage_pu" in text
    assert "the lower bound comes first" in text
    assert "did you mean 'flatline'?" in text
    assert "limits.voltage.quality" in text


@settings(max_examples=100, deadline=None)
@given(rule_sets(), signals(), st.sampled_from(["good", "any"]), st.floats(0, 0.5), CUTS)
def test_engine_agrees_with_the_reference_about_doubtful_values(
    rules: list[tuple[LimitSettings, ReferenceRule]],
    signal: tuple[list[int], list[list[float]]],
    quality: str,
    share: float,
    cuts: list[int],
) -> None:
    instants, rows = signal
    doubtful = np.random.default_rng(len(rows)).random((len(rows), len(CHANNELS))) < share
    for i, (limit, plain) in enumerate(rules):
        wanted = quality if i == 0 else "good"
        rules[i] = (limit.model_copy(update={"quality": wanted}), plain)
        object.__setattr__(plain, "quality", wanted)
    channels = ChannelSet(CHANNELS, RATE)
    bound = bind_limits({plain.name: limit for limit, plain in rules}, AlarmDefaults(), channels)
    engine = AlarmEngine(bound, channels, SITE, "signal")
    flags = np.where(doubtful, np.uint16(Quality.LATE), np.uint16(0))
    whole = Block(channels, np.array(instants, dtype="datetime64[ns]"), np.array(rows), flags)
    edges = sorted({0, len(rows), *(cut % len(rows) for cut in cuts)})
    events = [event for start, stop in pairwise(edges) for event in engine.process(whole.slice(start, stop))]
    plain_rules = [plain for _, plain in rules]
    expected, _ = reference(plain_rules, NAMES, PLACES, instants, rows, RATE, doubtful.tolist())
    assert [line(event) for event in events if event.kind == "alarm"] == [
        (*known[:6], str(known[6]), *known[7:]) for known in expected
    ]


def test_score_about_a_doubtful_channel_is_doubtful() -> None:
    channels = channel_set("R1:a", "R1:b")
    detection = Detection({"identity": (Identity, Settings(), ("*",))}, channels, live=False)
    flags = np.array([[int(Quality.LATE), 0], [int(Quality.MISSING), 0]], dtype=np.uint16)
    plain = block_of([[1.0, 2.0], [math.nan, 3.0]], channels)
    block = Block(channels, plain.time, plain.values, flags)
    extended = detection.score_now(block).extend(block)
    detection.close()
    assert extended.quality is not None
    assert extended.quality[:, 2:].tolist() == [[int(Quality.LATE), 0], [0, 0]]


# The whole street ---------------------------------------------------------------------------------------

LIMITS = """
source: {type: replay, path: none.csv}
site: {nominal: {voltage_ll: 230 kV, frequency: 60 Hz}}
limits: {sag: {on: "*:voltage_pu", low: {critical: 0.9}, quality: QUALITY}}
detectors: {data_quality: {type: data_quality}}
"""


async def events_of(block: Block, folder: Path, quality: str = "good", chunk: int = 17) -> list[Event]:
    """What a pipeline says about a stream."""
    config = folder / "config.yaml"
    config.write_text(LIMITS.replace("QUALITY", quality))
    pipeline = Pipeline(load(config, environment=os.environ), block.channels, "stream", live=False)
    events = []
    for start in range(0, len(block), chunk):
        events += (await pipeline.process(block.slice(start, start + chunk))).events
    pipeline.close()
    return events


async def test_suspect_voltage_raises_a_data_alarm_and_no_grid_alarm(tmp_path: Path) -> None:
    channels = stream("R1-PM1:V", "R1-PM2:V", "R1:S")
    low = 0.5 * LINE_TO_NEUTRAL + 100 * np.sin(np.arange(100))
    block = frames(channels, 100, R1_PM1_V=low, R1_S=0x4000)
    events = await events_of(block, tmp_path)
    assert {(event.rule, event.kind, event.terminal) for event in events} == {("data_quality", "data", "R1")}
    assert events[0].message == (
        "R1: values that the device doubts, 1.2 % of the frames of the last 60 s (warning)"
    )
    events = await events_of(block, tmp_path, quality="any")
    assert {event.kind for event in events} == {"data", "alarm"}
    events = await events_of(frames(channels, 100, R1_PM1_V=low), tmp_path)
    assert {event.kind for event in events} == {"alarm"}


async def test_flag_travels_to_the_quantity(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(LIMITS.replace("QUALITY", "good"))
    channels = stream("R1-PM1:V", "R1-PM2:V", "R1:S")
    pipeline = Pipeline(load(config, environment=os.environ), channels, "stream", live=False)
    result = await pipeline.process(frames(channels, 3, R1_S=[0, 0x1000, 0]))
    pipeline.close()
    quality = result.block.quality
    assert quality is not None
    column = result.block.channels.position("R1:voltage_pu.A")
    assert ((quality[:, column] & np.uint16(DOUBTFUL)) != 0).tolist() == [False, True, False]


async def test_unsynchronised_device_raises_no_data_alarm_at_once_and_keeps_its_grid_alarms(
    tmp_path: Path,
) -> None:
    channels = stream("R1-PA1:VH", "R1-PM1:V", "R1:S")
    block = frames(channels, 90, R1_PM1_V=0.5 * LINE_TO_NEUTRAL, R1_S=0x21F0)
    events = await events_of(block, tmp_path)
    assert [(event.rule, event.transition) for event in events] == [("sag", "raised")]


async def test_context_before_a_pass_leaves_no_trace_in_it(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(LIMITS.replace("QUALITY", "good"))
    configuration = load(config, environment=os.environ)
    stuck = with_stuck("R1-PM2:V", 0, 150)

    async def flags(context: int) -> list[bool]:
        pipeline = Pipeline(configuration, VOLTAGES, "stream", live=False)
        if context:
            pipeline.extend(stuck.slice(0, context))
        pipeline.begin_pass(2)
        if context:
            pipeline.extend(stuck.slice(0, context))
        result = await pipeline.process(stuck.slice(50, 150))
        pipeline.close()
        quality = result.block.quality
        assert quality is not None
        return [bool(flag) for flag in quality[:, VOLTAGES.position("R1-PM2:V")]]

    assert await flags(50) == await flags(0)


def test_bundled_recording_with_its_faults_and_open_lines_has_no_doubtful_value() -> None:
    configuration = load(ROOT / "config.yaml", environment=os.environ)
    recording = open_recording(ROOT / "data" / "two-line.csv.gz", configuration.channels)
    checks = QualityChecks(recording.channels, configuration.site, configuration.quality)
    for block in recording.blocks():
        quality = checks.check(block).quality
        if quality is not None:
            assert not (quality & np.uint16(DOUBTFUL | Quality.BAD)).any()
