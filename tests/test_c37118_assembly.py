"""From data frames to blocks: every surprise that devices in the field have had for us, gaps and silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.api import Block, Quality, Site
from gridtop.naming import ChannelMap, ChannelMeaning
from gridtop.plugins.detectors.data_quality import DataQuality
from gridtop.quality.checks import QualityChecks
from gridtop.quality.settings import QualitySettings
from gridtop.synchrophasor.frames import Command, FrameKind
from gridtop.synchrophasor.pmus import Analog, Configuration, Digital, Phasor
from tests.c37118_devices import START, Feeding, configuration, data, pmu, statuses, times

RATE = 30


def on_grid(block: Block, *frames: int) -> bool:
    """Whether a block holds just these frames, to the microsecond of their stamps."""
    return [round(float((time - START) / np.timedelta64(1, "s")) * RATE, 3) for time in block.time] == list(
        frames
    )


def flags(block: Block, pattern: str) -> np.ndarray:
    assert block.quality is not None
    return block.quality[:, list(block.channels.select([pattern]))]


def settled(of: Configuration, **changes: object) -> Feeding:
    """A feeding whose first second is over."""
    feeding = Feeding(of, **changes)
    feeding.feed(data(of, RATE), 1.0)
    return feeding


# What devices in the field do


def test_a_time_base_of_all_ones_gives_times_on_the_grid() -> None:
    of = configuration(time_base=16_777_215)
    block = Feeding(of).feed(data(of, 60), 2.0)
    assert np.abs((block.time - times(60)).astype(np.int64)).max() < 60


def test_a_device_without_a_clock_is_flagged_and_not_dropped() -> None:
    of = configuration(pmu("R1", 7), pmu("R2", 8))
    feeding = settled(of)
    words = statuses(3, of, 0)
    words[:, 1] = 0x21F0
    block = feeding.feed(data(of, 3, RATE, status=words), 1.1)
    assert not np.isnan(block.values).any()
    assert (flags(block, "R2-*H") == Quality.UNSYNCHRONISED).all()
    assert not flags(block, "R1*").any()
    assert not flags(block, "R2-*:V").any()
    assert (block.values[:, block.channels.position("R2:S")] == 0x21F0).all()


def test_a_trigger_bit_that_is_always_set_counts_once_and_flags_nothing() -> None:
    of = configuration()
    feeding = settled(of)
    for k in range(1, 10):
        block = feeding.feed(data(of, 3, RATE + 3 * k, status=statuses(3, of, 0x0800)), 1 + k / 10)
        assert not block.quality.any()  # type: ignore[union-attr]
    assert feeding.assembly.statistics(2.0).devices["R1"]["triggers"] == 1
    feeding.feed(data(of, 1, 90), 3.0)
    feeding.feed(data(of, 1, 91, status=statuses(1, of, 0x0800)), 3.1)
    assert feeding.assembly.statistics(3.1).devices["R1"]["triggers"] == 2


def test_an_absent_pmu_that_says_all_is_well_is_found_by_plausibility() -> None:
    of = configuration(pmu("R1", 7), pmu("R2", 8))
    feeding = settled(of)
    magnitude = np.array([[132e3] * 3 + [400.0] * 3 + [0.0] * 6])
    block = feeding.feed(data(of, 1, 30, magnitude=magnitude, frequency=np.array([[60.0, 65.536]])), 1.1)
    checks = QualityChecks(feeding.channels, Site(), QualitySettings())
    checked = checks.check(block)
    assert np.isnan(checked.values[:, list(checked.channels.select(["R2:F", "R2-V*"]))]).all()
    assert not np.isnan(checked.values[:, list(checked.channels.select(["R1*"]))]).any()


def test_rocof_of_the_first_second_is_not_believed_and_no_data_alarm_follows() -> None:
    of = configuration()
    feeding = Feeding(of)
    block = feeding.feed(data(of, 60, rocof=np.full((60, 1), 5.9)), 2.0)
    believed = flags(block, "R1:DF")[:, 0] == 0
    assert np.flatnonzero(believed).tolist() == list(range(30, 60))
    assert (block.values[:, block.channels.position("R1:DF")] > 5).all()
    assert data_quality(feeding, [block])[:, 0].max() < 1
    feeding.stream.begin()  # a new connection
    feeding.tell(of)
    block = feeding.feed(data(of, 60, 60), 4.0)
    assert np.flatnonzero(flags(block, "R1:DF")[:, 0] == 0).tolist() == list(range(30, 60))


def data_quality(feeding: Feeding, blocks: Sequence[Block]) -> np.ndarray:
    detector = DataQuality(DataQuality.Config(), feeding.channels, Site())
    return np.vstack([detector.score(block).score for block in blocks])


# Quality


def test_values_that_are_not_to_be_used_are_nan_and_bad() -> None:
    of = configuration(pmu("R1", 7, analogs=1), pmu("R2", 8))
    words = statuses(1, of, 0)
    words[0, 0] = 0x8000
    block = settled(of).feed(data(of, 1, 30, status=words), 1.1)
    measured = list(block.channels.select(["R1*", "!R1:S"]))
    assert np.isnan(block.values[:, measured]).all()
    assert (block.quality[:, measured] == Quality.BAD).all()  # type: ignore[index]
    assert not flags(block, "R2*").any()


def test_absent_values_are_missing_and_infinite_ones_infinite() -> None:
    of = configuration(pmu(analogs=2))
    block = settled(of).feed(
        data(of, 1, 30, frequency=np.array([[np.nan]]), analog=np.array([[np.inf, 1.0]])), 1.1
    )
    assert flags(block, "R1:F") == Quality.MISSING
    assert flags(block, "R1-MW*").tolist() == [[Quality.INFINITE, 0]]
    assert np.isnan(block.values).sum() == 2


def test_a_frame_clock_that_may_be_far_off_flags_all_angles() -> None:
    of = configuration(pmu("R1", 7), pmu("R2", 8))
    block = settled(of).feed(data(of, 2, 30, time_quality=np.array([0x0F, 0x07], np.uint8)), 1.1)
    assert flags(block, "*H")[:, 0].tolist() == [Quality.UNSYNCHRONISED, 0]
    assert np.count_nonzero(block.quality) == 12


def test_a_pmu_that_is_slower_than_its_stream_is_missing_between() -> None:
    of = configuration(pmu("R1", 7), pmu("R2", 8, floats=False, nominal=50.0), rate=60)
    feeding = settled(of)
    words = np.zeros((10, 2), np.uint16)
    words[1::2, 1] = 0x8000
    block = feeding.feed(data(of, 10, 60, 60.0, status=words), 1.2)
    there = ~np.isnan(block.values[:, list(block.channels.select(["R2:F", "R2-VA:V"]))])
    assert there.all(axis=1).tolist() == [True, False] * 5
    assert not np.isnan(block.values[:, list(block.channels.select(["R1*"]))]).any()
    assert feeding.assembly.statistics(1.2).devices["R2"]["device_errors"] == 5


# Channels


def test_components_of_cfg_3_name_phases_and_else_the_names_do() -> None:
    phasors = (
        Phasor("BUS 1 X", component="B"),
        Phasor("LINE 2", True, component="+"),
        Phasor("VALPM"),
        Phasor("UL3"),
        Phasor("I1", True),
        Phasor("Line 3 current C", True),
        Phasor("V_AB"),
        Phasor("something"),
    )
    of = configuration(replace(pmu(), phasors=phasors), kind=FrameKind.CFG3)
    channels = [c for c in Feeding(of).channels if c.part == "magnitude"]
    assert [channel.phase for channel in channels] == ["B", "+", "A", "C", "+", "C", "AB", ""]
    assert [channel.quantity[0] for channel in channels] == list("vcvvccvv")
    assert channels[0].reference == "line_to_neutral"
    assert channels[6].reference == "line_to_line"


def test_the_channels_section_has_the_last_word() -> None:
    of = configuration(replace(pmu(), analogs=(Analog("MW LINE 1"), Analog("TEMP"))))
    meanings = {
        "*-MW LINE 1": ChannelMeaning(quantity="power", unit="MW", terminal="R9"),
        "R1-TEMP": ChannelMeaning(ignore=True),
    }
    feeding = Feeding(of, ChannelMap(meanings))
    block = feeding.feed(data(of, 1), 0.1)
    at = block.channels.position("R1-MW LINE 1")
    assert (block.channels[at].terminal, block.values[0, at]) == ("R9", 5e6)
    assert "R1-TEMP" not in block.channels.names


def test_terminals_are_named_by_station_or_idcode() -> None:
    of = configuration(pmu("Station A", 7), pmu("Station B", 8), pmu("Station B", 9))
    feeding = Feeding(of, terminals={"Station A": "R1", 8: "R2"})
    assert {channel.terminal for channel in feeding.channels} == {"R1", "R2", "Station B"}
    plain = Feeding(of)
    assert {channel.terminal for channel in plain.channels} == {"Station A", "Station B 8", "Station B 9"}


def test_hostile_names_are_harmless_and_never_collide() -> None:
    phasors = (Phasor("V*"), Phasor("V*"), Phasor("[VA]"), Phasor("\x1b[2J"), Phasor(""))
    of = configuration(replace(pmu("\x1b]0;x\x07"), phasors=phasors), kind=FrameKind.CFG3)
    names = Feeding(of).channels.names
    assert len(set(names)) == len(names)
    assert all(name.isprintable() or "\ufffd" in name for name in names)
    assert "\x1b" not in "".join(names)


def test_digitals_are_channels_where_they_are_named_and_in_use() -> None:
    names = ("CB1", "", "CB2", *[""] * 12, "CB3")
    of = configuration(replace(pmu(), digitals=(Digital((), 0, 0), Digital(names, 0, 0x8001))))
    feeding = Feeding(of)
    block = feeding.feed(data(of, 1, digital=np.array([[0, 0x8000]], np.uint16)), 0.1)
    inputs = [i for i, channel in enumerate(block.channels) if channel.quantity == "digital"]
    assert [block.channels[i].name for i in inputs] == ["R1-CB1", "R1-CB3"]
    assert block.values[0, inputs].tolist() == [0.0, 1.0]


# Order, loss and silence


def test_lost_frames_stay_a_gap_and_are_counted() -> None:
    of = configuration()
    feeding = settled(of)
    frames = data(of, 10, 30)
    block = feeding.feed(frames[:3] + frames[6:], 1.4)
    assert len(block) == 7
    assert not np.isnan(block.values).any()
    assert feeding.stream.counts.missing_frames == 3


def test_frames_out_of_order_are_put_in_order_and_those_too_late_are_counted() -> None:
    of = configuration()
    feeding = settled(of)
    frames = data(of, 6, 30)
    block = feeding.feed([frames[1], frames[0], frames[2], frames[2]], 1.1)
    assert on_grid(block, 30, 31, 32)
    block = feeding.feed([frames[2], *data(of, 1, 10), *frames[3:]], 1.2)
    assert on_grid(block, 33, 34, 35)
    counts = feeding.stream.counts
    assert (counts.out_of_order, counts.duplicates) == (2, 2)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=60), st.lists(st.integers(1, 7), max_size=40))
def test_whatever_comes_time_runs_forward_and_rows_count_on(order: list[int], cuts: list[int]) -> None:
    of = configuration()
    frames = data(of, 41)
    feeding = Feeding(of)
    left, now = [frames[k] for k in order], 0.0
    for cut in [*cuts, len(left)]:
        now += 0.1
        feeding.feed(left[:cut], now)
        left = left[cut:]
    rows = [row for block in feeding.blocks for row in block.rows]
    assert rows == list(range(len(rows)))
    assert all((np.diff(block.time.astype(np.int64)) > 0).all() for block in feeding.blocks)
    back = np.count_nonzero(np.diff(feeding.all.time.astype(np.int64)) <= 0)
    assert back == feeding.stream.counts.clock_put_back


def test_silence_shows_as_missing_data_within_two_seconds_and_ends_without_a_gap() -> None:
    of = configuration()
    feeding = settled(of)
    assert len(feeding.wait(1.9)) == 0
    silent = feeding.wait(2.3)
    assert len(silent)
    assert np.isnan(silent.values).all()
    assert (silent.quality == Quality.MISSING).all()
    feeding.wait(5.0)
    back = feeding.feed(data(of, 3, 150), 5.1)
    assert np.isnan(back.values).all(axis=1).tolist() == [True] * (len(back) - 3) + [False] * 3
    steps = np.diff(feeding.all.time.astype(np.int64)) * RATE / 1e9
    assert np.abs(steps - 1).max() < 0.01
    assert feeding.stream.counts.silences == 1
    assert feeding.stream.counts.missing_frames == 120


def test_silence_raises_one_alarm_per_device_and_none_about_time() -> None:
    of = configuration(pmu("R1", 7), pmu("R2", 8))
    feeding = Feeding(of)
    for k in range(60):
        feeding.feed(data(of, 3, 3 * k), (k + 1) / 10)
    feeding.wait(8.0)
    scores = data_quality(feeding, feeding.blocks)
    over = feeding.all.time[np.argmax(scores[:, 0] >= 1)] - times(1, first=180)[0]
    assert over <= np.timedelta64(1, "s")  # of data time, which runs a second behind
    feeding.wait(9.0)
    for k in range(100):
        feeding.feed(data(of, 3, 270 + 3 * k), 9.1 + k / 10)
    scores = data_quality(feeding, feeding.blocks)
    raised = np.diff((scores >= 1).astype(int), axis=0, prepend=0) == 1
    assert raised.sum(axis=0).tolist() == [1, 1, 0]


def test_after_a_long_absence_no_more_than_a_minute_is_filled() -> None:
    feeding = settled(configuration())
    feeding.look(900.0)
    block = feeding.look(900.1)
    assert len(block) == 60 * RATE
    assert block.time[-1] >= START + np.timedelta64(899, "s")
    assert len(feeding.look(900.2)) == 3


def test_whoever_was_kept_from_looking_takes_a_queue_for_no_silence() -> None:
    of = configuration()
    feeding = settled(of)
    assert len(feeding.look(6.0)) == 0  # five seconds later, and the queue has not been read yet
    block = feeding.feed(data(of, 150, 30), 6.1)
    assert not np.isnan(block.values).any()
    assert feeding.stream.counts.silences == 0


def test_a_slow_stream_is_not_silent_between_two_frames() -> None:
    of = configuration(rate=-1)
    feeding = Feeding(of)
    for k in range(5):
        feeding.wait(k + 0.9)
        feeding.feed(data(of, 1, k, 1.0), k + 1.0)
    assert not np.isnan(feeding.all.values).any()
    assert len(feeding.wait(9.0))


def test_a_leap_into_the_far_future_is_not_followed() -> None:
    of = configuration()
    feeding = settled(of)
    assert len(feeding.feed(data(of, 3, 30 * 86400 * 365), 1.1)) == 0
    assert feeding.stream.counts.ahead == 3
    assert len(feeding.feed(data(of, 3, 33), 1.2)) == 3


# Changes of configuration


def test_the_change_bit_has_the_configuration_asked_for_when_it_falls() -> None:
    of = configuration()
    feeding = settled(of)
    feeding.stream.wishes.clear()
    feeding.feed(data(of, 3, 30, status=statuses(3, of, 0x0400)), 1.1)
    assert feeding.stream.wishes == []
    feeding.feed(data(of, 3, 33), 1.2)
    assert feeding.stream.wishes == [Command.SEND_CFG2]
    assert feeding.assembly.statistics(1.2).devices["R1"]["changes_announced"] == 1


def test_frames_of_another_size_are_counted_and_the_configuration_asked_for() -> None:
    of, other = configuration(), configuration(pmu(analogs=2))
    feeding = settled(of)
    feeding.stream.wishes.clear()
    assert len(feeding.feed(data(other, 2, 30), 1.1)) == 0
    assert feeding.stream.counts.wrong_size == 2
    assert feeding.stream.wishes == [Command.SEND_CFG2]


def test_after_a_change_channels_keep_their_place_and_those_gone_are_missing() -> None:
    of = configuration(pmu("R1", 7, analogs=1), pmu("R2", 8))
    feeding = settled(of)
    changed = configuration(pmu("R2", 8, floats=False), pmu("R3", 9))
    feeding.tell(changed)
    block = feeding.feed(data(changed, 2, 30), 1.1)
    assert block.channels is feeding.channels
    assert np.isnan(block.values[:, list(block.channels.select(["R1*"]))]).all()
    assert block.values[0, block.channels.position("R2-VA:V")] == 132e3
    assert feeding.stream.counts.configuration_changes == 1


def test_channels_that_the_device_has_not_any_more_are_a_problem_until_they_are_back() -> None:
    before = configuration(pmu("R1", 7, analogs=2))
    feeding = settled(before)
    assert feeding.assembly.lacking == ""
    fewer = replace(before, pmus=(pmu("R1", 7),))
    for of, lacking in ((fewer, "2 of 17 channels are not in it any more"), (before, "")):
        feeding.tell(of)
        feeding.feed(data(of, 3, RATE), 1.1)
        assert lacking in feeding.assembly.lacking
        assert bool(feeding.assembly.lacking) == bool(lacking)


# What it is known by


def test_completeness_is_one_without_losses_and_the_share_that_came_with_some() -> None:
    of = configuration(pmu("R1", 7), pmu("R2", 8))
    feeding, words = Feeding(of), statuses(30 * RATE, of, 0)
    words[15 * RATE :, 1] = 0x8000
    frames = data(of, 30 * RATE, status=words)
    for at in range(0, len(frames), 3):
        feeding.feed(frames[at : at + 3], (at + 3) / RATE)
    figures = feeding.assembly.statistics(30.0)
    assert figures.stream["completeness"] == figures.devices["R1"]["completeness"] == 1.0
    assert figures.stream["rate"] == RATE
    # 28 whole seconds are over, the 14 last of them with an error of R2.
    assert figures.devices["R2"]["completeness"] == 0.5
    lossy = Feeding(of)
    for at in range(0, len(frames), 3):
        lossy.feed(frames[at : at + 2], (at + 3) / RATE)
    assert lossy.assembly.statistics(30.0).devices["R1"]["completeness"] == pytest.approx(2 / 3)


def test_completeness_falls_in_silence_and_forgets_after_a_minute() -> None:
    of = configuration()
    feeding = Feeding(of)
    frames = data(of, 31 * RATE)
    for at in range(0, len(frames), RATE):
        feeding.feed(frames[at : at + RATE], 1 + at / RATE)

    def share(now: float) -> float:
        return feeding.assembly.statistics(now).devices["R1"]["completeness"]

    assert share(31.0) == 1.0
    assert share(62.0) == pytest.approx(0.5, abs=0.02)
    assert share(200.0) == 0.0


def test_a_repeated_frame_makes_nothing_more_complete() -> None:
    of = configuration()
    feeding = Feeding(of)
    for k in range(10):
        frames = data(of, RATE // 2, k * RATE)
        feeding.feed(frames + frames, k + 1.0)
    assert feeding.assembly.statistics(10.0).devices["R1"]["completeness"] == 0.5


def test_a_slow_stream_has_no_completeness_but_no_error_either() -> None:
    of = configuration(rate=-100)
    feeding = Feeding(of)
    feeding.feed(data(of, 3, rate=0.01), 200.0)
    assert np.isnan(feeding.assembly.statistics(250.0).stream["completeness"])


def test_figures_are_there_before_any_frame_could_be_used() -> None:
    of = configuration()
    feeding = Feeding(of)
    assert feeding.assembly.statistics(0.0).devices == {}
    feeding.feed(data(of, 3, 10 * 86400 * RATE), 0.1)
    figures = feeding.assembly.statistics(0.1)
    assert (figures.stream["ahead"], figures.devices["R1"]["frames"]) == (3, 3)
    assert np.isnan(figures.devices["R1"]["completeness"])


def test_devices_in_trouble_have_words_and_those_in_good_order_have_none() -> None:
    of = configuration(*(pmu(f"R{i}", i) for i in range(1, 6)))
    feeding = settled(of)
    words = statuses(3, of, 0)
    words[:] = [0x0800, 0xA1F0, 0x8000, 0, 0]
    frequency = np.full((3, 5), 60.0)
    frequency[:, 3] = 65.536
    feeding.feed(data(of, 3, RATE, status=words, frequency=frequency), 1.1)
    assert feeding.assembly.statistics(1.1).words == {
        "R2": "test mode or absent data filled in: not to be used; clock not synchronised, for more than "
        "1000 s; time off by more than 10 ms, or nobody knows",
        "R3": "test mode or absent data filled in: not to be used",
        "R4": "the frequency is 65.536 Hz: is the PMU absent?",
    }
    assert feeding.assembly.statistics(3.0).words == dict.fromkeys([f"R{i}" for i in range(1, 6)], "no data")
    feeding.feed(data(of, 3, 60 + RATE), 3.1)
    assert feeding.assembly.statistics(3.1).words == {}


def test_seconds_since_data_are_those_of_each_device() -> None:
    of = configuration(pmu("R1", 7), pmu("R2", 8))
    feeding, words = settled(of), statuses(30, of, 0)
    words[:, 1] = 0x4000 | 0x8000
    feeding.feed(data(of, 30, RATE, status=words), 2.0)
    figures = feeding.assembly.statistics(2.5)
    assert figures.stream["seconds_since_data"] == figures.devices["R1"]["seconds_since_data"] == 0.5
    assert figures.devices["R2"]["seconds_since_data"] == 1.5
    assert figures.devices["R2"]["device_errors"] == 30


def test_a_device_that_left_the_configuration_is_said_to_be_gone() -> None:
    of = configuration(pmu("R1", 7), pmu("R2", 8))
    feeding = settled(of)
    less = configuration(pmu("R1", 7))
    feeding.tell(less)
    feeding.feed(data(less, 3, RATE), 1.1)
    figures = feeding.assembly.statistics(1.1)
    assert figures.words == {"R2": "not in the configuration any more"}
    assert figures.devices["R2"]["frames"] == RATE


def test_short_names_after_long_ones_mean_the_same_channels() -> None:
    long = replace(pmu("A station with a long name"), phasors=(Phasor("Voltage of phase A, 230 kV"),))
    of = configuration(long, kind=FrameKind.CFG3)
    feeding = settled(of)
    feeding.stream.begin()
    feeding.tell(of, FrameKind.CFG2)
    block = feeding.feed(data(of, 2, 30), 1.1)
    assert not np.isnan(block.values).any()
    assert feeding.stream.counts.configuration_changes == 0


def test_frames_of_other_streams_are_counted_and_not_read() -> None:
    of = configuration()
    feeding = settled(of)
    assert len(feeding.feed(data(replace(of, idcode=8), 2, 30), 1.1)) == 0
    assert feeding.stream.counts.foreign == 2


def test_frames_that_nobody_takes_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridtop.synchrophasor.stream.MOST_WAITING_BYTES", 2000)
    of = configuration()
    feeding = Feeding(of)
    block = feeding.feed(data(of, 100), 4.0)
    assert len(block) + feeding.stream.counts.dropped == 100
    assert on_grid(block, *range(100 - len(block), 100))
    assert feeding.stream.counts.dropped > 50
