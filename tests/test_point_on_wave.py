"""Point-on-wave records as phasors: accuracy, time, frequency, statuses, and cuts that change nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gridtop.blocks import Quality
from gridtop.errors import SourceError
from gridtop.naming import ChannelMap, ChannelMeaning
from gridtop.recordings import Recording, open_recording
from gridtop.recordings.point_on_wave import harmonics_in
from tests.comtrade_files import analog, cfg, put, wave_record

BEGIN = np.datetime64("2026-01-02T03:04:05", "ns")
THIRD = 2 * math.pi / 3


def wave(
    count: int, rate: float, rms: float = 100.0, degrees: float = 0.0, hertz: float = 50.0
) -> np.ndarray:
    seconds = np.arange(count) / rate
    return rms * math.sqrt(2) * np.cos(2 * math.pi * hertz * seconds + math.radians(degrees))


def three_phases(count: int, rate: float, hertz: float = 50.0, rms: float = 100.0) -> dict[str, np.ndarray]:
    return {
        f"V{phase}": wave(count, rate, rms, -120.0 * k, hertz) for k, phase in enumerate("ABC")
    }  # fmt: skip


def opened(path: Path, phasor_rate: float | None = None, **meanings: ChannelMeaning) -> Recording:
    return open_recording(path, ChannelMap(meanings), phasor_rate=phasor_rate)


def column(recording: Recording, name: str) -> np.ndarray:
    at = recording.channels.position(name)
    return np.concatenate([block.values[:, at] for block in recording.blocks()])


def times(recording: Recording) -> np.ndarray:
    return np.concatenate([block.time for block in recording.blocks()])


class TestPhasors:
    @settings(max_examples=40, deadline=None)
    @given(
        st.sampled_from([1000.0, 4800.0, 5760.0, 5760.0 / 50 * 47.3, 3999.0]),
        st.sampled_from([50.0, 60.0]),
        st.floats(0.01, 1e5),
        st.floats(-179.0, 179.0),
        st.floats(0.0, 0.3),
    )
    def test_at_nominal_frequency_a_phasor_is_exact_whatever_harmonics_it_carries(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        rate: float,
        nominal: float,
        rms: float,
        degrees: float,
        share: float,
    ) -> None:
        count = int(rate / nominal * 4)
        orders = [order for order in (2, 3, 5, 7) if order <= harmonics_in(rate / nominal)]
        samples = wave(count, rate, rms, degrees, nominal) + 0.1 * rms
        for order in orders:
            samples = samples + wave(count, rate, rms * share / order, 17.0 * order, nominal * order)
        path = wave_record(tmp_path_factory.mktemp("wave"), {"VA": samples}, rate, f"{nominal:g}")
        recording = opened(path)
        np.testing.assert_allclose(column(recording, "VA"), rms, rtol=1e-9)
        off = np.radians(column(recording, "VA angle") - degrees)
        np.testing.assert_allclose(np.sin(off), 0.0, atol=1e-9)
        distortion = 100 * math.sqrt(sum((share / order) ** 2 for order in orders))
        np.testing.assert_allclose(column(recording, "VA THD"), distortion, atol=1e-7)
        if 5 in orders:
            np.testing.assert_allclose(column(recording, "VA harmonic 5"), rms * share / 5, atol=1e-9 * rms)
        found = column(recording, "Bay frequency")
        np.testing.assert_allclose(found[~np.isnan(found)], nominal, rtol=1e-9)

    @settings(max_examples=40, deadline=None)
    @given(st.floats(-0.02, 0.02), st.floats(-179.0, 179.0))
    def test_off_nominal_the_error_is_no_larger_than_the_relative_deviation(
        self, tmp_path_factory: pytest.TempPathFactory, deviation: float, degrees: float
    ) -> None:
        hertz = 50.0 * (1 + deviation)
        path = wave_record(
            tmp_path_factory.mktemp("wave"), {"VA": wave(800, 4000.0, 100.0, degrees, hertz)}, 4000.0
        )
        found = column(opened(path), "VA")
        np.testing.assert_allclose(found, 100.0, rtol=abs(deviation) * 0.75 + 1e-9)

    @settings(max_examples=40, deadline=None)
    @given(st.floats(47.0, 53.0))
    def test_frequency_of_three_phases_is_right_to_a_tenth_of_a_millihertz(
        self, tmp_path_factory: pytest.TempPathFactory, hertz: float
    ) -> None:
        path = wave_record(tmp_path_factory.mktemp("wave"), three_phases(1000, 4000.0, hertz), 4000.0)
        found = column(opened(path), "Bay frequency")
        assert np.isnan(found[:12]).all()  # three cycles of four frames
        np.testing.assert_allclose(found[12:], hertz, atol=1e-4)

    def test_a_frame_carries_the_time_of_the_end_of_its_cycle(self, tmp_path: Path) -> None:
        path = wave_record(tmp_path, {"VA": wave(400, 4000.0)}, 4000.0)
        found = times(opened(path))
        assert found[0] == BEGIN + np.timedelta64(79 * 250, "us")  # the last of the first 80 samples
        assert (np.diff(found) == np.timedelta64(5, "ms")).all()

    def test_nothing_is_seen_of_a_step_before_it_happens_and_all_of_it_one_cycle_later(
        self, tmp_path: Path
    ) -> None:
        samples = wave(800, 4000.0)
        samples[400:] *= 0.5
        recording = opened(wave_record(tmp_path, {"VA": samples}, 4000.0))
        found, after = column(recording, "VA"), times(recording) - BEGIN
        step = np.timedelta64(100_000, "us")
        np.testing.assert_allclose(found[after < step], 100.0, rtol=1e-9)
        np.testing.assert_allclose(found[after >= step + np.timedelta64(19_750, "us")], 50.0, rtol=1e-9)

    def test_angles_are_those_of_a_cosine_of_the_nominal_frequency_since_the_utc_second(
        self, tmp_path: Path
    ) -> None:
        # 7 ms into the second, a 50 Hz cosine of UTC stands at 126 degrees.
        path = wave_record(
            tmp_path,
            {"VA": wave(400, 4000.0, degrees=126.0)},
            4000.0,
            start="02/01/2026,03:04:05.007000",
        )
        np.testing.assert_allclose(column(opened(path), "VA angle"), 0.0, atol=1e-9)

    def test_skew_of_a_channel_is_taken_out_of_its_angle(self, tmp_path: Path) -> None:
        lines = [analog(1, "VA", "A"), analog(2, "VB", "B").replace(",1,0,0,", ",1,0,1000,")]
        late = wave(400, 4000.0, degrees=18.0).tolist()  # 1 ms later in its wave
        pairs = zip(wave(400, 4000.0).tolist(), late, strict=True)
        data = "".join(f"{i},0,{a!r},{b!r}\n" for i, (a, b) in enumerate(pairs, 1))
        path = put(tmp_path, cfg(lines, rates=("1", "4000,400")), data)
        np.testing.assert_allclose(column(opened(path), "VB angle"), 0.0, atol=1e-6)

    def test_direct_voltages_and_transducers_are_means_over_the_cycle(self, tmp_path: Path) -> None:
        lines = [analog(1, "VDC_G1"), analog(2, "P", unit="MW")]
        ripple = 48.0 + wave(400, 4000.0, 1.0)
        data = "".join(f"{i},0,{v!r},{2 * v!r}\n" for i, v in enumerate(ripple.tolist(), 1))
        recording = opened(put(tmp_path, cfg(lines, rates=("1", "4000,400")), data))
        assert recording.channels.names[:2] == ("VDC_G1", "P")
        np.testing.assert_allclose(column(recording, "VDC_G1"), 48.0, rtol=1e-9)
        np.testing.assert_allclose(column(recording, "P"), 96e6, rtol=1e-9)

    def test_channels_say_what_they_are(self, tmp_path: Path) -> None:
        recording = opened(wave_record(tmp_path, {"VA": wave(400, 4000.0)}, 4000.0))
        told = {c.name: (c.quantity, c.unit, c.phase, c.part, c.order) for c in recording.channels}
        assert told == {
            "VA": ("voltage", "V", "A", "magnitude", 0),
            "VA angle": ("voltage", "deg", "A", "angle", 0),
            "VA THD": ("thd_voltage", "%", "A", "value", 0),
            "VA harmonic 3": ("voltage_harmonic", "V", "A", "magnitude", 3),
            "VA harmonic 5": ("voltage_harmonic", "V", "A", "magnitude", 5),
            "VA harmonic 7": ("voltage_harmonic", "V", "A", "magnitude", 7),
            "Bay frequency": ("frequency", "Hz", "", "value", 0),
        }
        assert recording.channels.rate == 200

    def test_the_channels_section_names_the_record_s_channels_and_drops_what_comes_of_them(
        self, tmp_path: Path
    ) -> None:
        path = wave_record(tmp_path, {"X1": wave(400, 4000.0)}, 4000.0)
        recording = opened(
            path,
            **{
                "* THD": ChannelMeaning(ignore=True),
                "* harmonic *": ChannelMeaning(ignore=True),
                "X1": ChannelMeaning(quantity="current", unit="kA", terminal="T9", phase="C"),
            },
        )
        assert recording.channels.names == ("X1", "X1 angle")
        np.testing.assert_allclose(column(recording, "X1"), 100e3, rtol=1e-9)


class TestSampling:
    @settings(max_examples=25, deadline=None)
    @given(st.integers(20, 300), st.floats(0.3, 40.0))
    def test_any_number_of_samples_in_a_cycle_will_do(
        self, tmp_path_factory: pytest.TempPathFactory, whole: int, more: float
    ) -> None:
        rate = 50.0 * (whole + more)
        path = wave_record(
            tmp_path_factory.mktemp("wave"), {"VA": wave(int(rate / 10), rate, 7.0, 30.0)}, rate
        )
        recording = opened(path)
        np.testing.assert_allclose(column(recording, "VA"), 7.0, rtol=1e-9)
        np.testing.assert_allclose(column(recording, "VA angle"), 30.0, atol=1e-6)

    def test_sections_of_different_rates_are_bridged(self, tmp_path: Path) -> None:
        seconds = np.concatenate([np.arange(400) / 4000.0, 0.1 + np.arange(300) / 1500.0])
        samples = 100 * math.sqrt(2) * np.cos(2 * math.pi * 50 * seconds)
        data = "".join(f"{i},0,{v!r}\n" for i, v in enumerate(samples.tolist(), 1))
        path = put(tmp_path, cfg([analog(1, "VA", "A")], rates=("2", "4000,400", "1500,700")), data)
        np.testing.assert_allclose(column(opened(path), "VA"), 100.0, rtol=1e-6)
        np.testing.assert_allclose(column(opened(path), "VA angle"), 0.0, atol=1e-4)

    def test_stamped_samples_are_weighed_by_their_times(self, tmp_path: Path) -> None:
        random = np.random.default_rng(1)
        stamps = np.cumsum(random.integers(180, 320, 800))  # us, uneven
        stamps -= stamps[0]
        samples = 100 * math.sqrt(2) * np.cos(2 * math.pi * 50 * stamps * 1e-6 + math.radians(20))
        pairs = zip(stamps.tolist(), samples.tolist(), strict=True)
        data = "".join(f"{i},{stamp},{v!r}\n" for i, (stamp, v) in enumerate(pairs, 1))
        path = put(tmp_path, cfg([analog(1, "VA", "A")], rates=("0", "0,800")), data)
        np.testing.assert_allclose(column(opened(path), "VA"), 100.0, rtol=1e-6)
        np.testing.assert_allclose(column(opened(path), "VA angle"), 20.0, atol=1e-4)

    def test_the_phasor_rate_can_be_chosen(self, tmp_path: Path) -> None:
        path = wave_record(tmp_path, {"VA": wave(4000, 4000.0)}, 4000.0)
        slow, fast = opened(path, 25.0), opened(path, 1e9)
        assert (slow.channels.rate, fast.channels.rate) == (25.0, 4000.0)
        assert slow.extent is not None
        assert fast.extent is not None
        assert (slow.extent.frames, fast.extent.frames) == (25, 3921)

    def test_a_record_shorter_than_a_cycle_or_without_nominal_frequency_is_refused(
        self, tmp_path: Path
    ) -> None:
        with pytest.raises(SourceError, match="79 samples are less than one cycle of 50 Hz"):
            opened(wave_record(tmp_path, {"VA": wave(79, 4000.0)}, 4000.0))
        with pytest.raises(SourceError, match="the nominal frequency is 0"):
            opened(wave_record(tmp_path, {"VA": wave(400, 4000.0)}, 4000.0, "0"))

    def test_phasor_and_rms_records_are_left_as_they_are(self, tmp_path: Path) -> None:
        slow = wave_record(tmp_path, {"VA": np.arange(50.0)}, 200.0)
        np.testing.assert_array_equal(column(opened(slow), "VA"), np.arange(50.0))
        lines = [analog(1, "VA", "A"), analog(2, "VA angle", "A", "deg")]
        fast = put(tmp_path, cfg(lines, rates=("1", "1000,2")), "1,0,5,90\n2,0,5,91\n", "angles")
        assert column(opened(fast), "VA angle").tolist() == [90, 91]


class TestGaps:
    def test_a_missing_sample_takes_the_phasors_of_its_cycle(self, tmp_path: Path) -> None:
        samples = wave(800, 4000.0).tolist()
        data = "".join(f"{i},0,{'' if i == 401 else repr(v)}\n" for i, v in enumerate(samples, 1))
        recording = opened(put(tmp_path, cfg([analog(1, "VA", "A")], rates=("1", "4000,800")), data))
        gone = np.isnan(column(recording, "VA"))
        assert np.flatnonzero(gone).size == 4
        quality = np.vstack([b.quality for b in recording.blocks() if b.quality is not None])
        assert (quality[gone][:, :6] == Quality.MISSING).all()
        assert (quality[~gone] == 0).all()

    def test_a_dead_bus_has_neither_frequency_nor_distortion(self, tmp_path: Path) -> None:
        waves = three_phases(4000, 4000.0)
        random = np.random.default_rng(3)
        for samples in waves.values():
            samples[2000:] = random.normal(0, 2.0, 2000)
        recording = opened(wave_record(tmp_path, waves, 4000.0))
        after = times(recording) > BEGIN + np.timedelta64(600, "ms")
        assert np.isnan(column(recording, "Bay frequency")[after]).all()
        assert np.isnan(column(recording, "VA THD")[after]).all()
        assert np.isfinite(column(recording, "VA")).all()
        assert np.isfinite(column(recording, "Bay frequency")[12:90]).all()

    def test_frequency_survives_a_reversed_rotation(self, tmp_path: Path) -> None:
        waves = three_phases(1000, 4000.0, 50.5)
        waves["VB"], waves["VC"] = waves["VC"], waves["VB"]
        np.testing.assert_allclose(
            column(opened(wave_record(tmp_path, waves, 4000.0)), "Bay frequency")[12:], 50.5, atol=1e-4
        )

    def test_a_pulse_between_two_frames_is_not_lost(self, tmp_path: Path) -> None:
        samples = wave(400, 4000.0).tolist()
        data = "".join(f"{i},0,{v!r},{int(i in (3, 203))}\n" for i, v in enumerate(samples, 1))
        path = put(tmp_path, cfg([analog(1, "VA", "A")], ["1,TRIP,,Bay,0"], rates=("1", "4000,400")), data)
        assert np.flatnonzero(column(opened(path), "TRIP")).tolist() == [0, 7]

    def test_a_truncated_record_gives_the_phasors_it_has_and_then_fails(self, tmp_path: Path) -> None:
        samples = wave(300, 4000.0).tolist()
        data = "".join(f"{i},0,{v!r}\n" for i, v in enumerate(samples, 1))
        blocks = opened(put(tmp_path, cfg([analog(1, "VA", "A")], rates=("1", "4000,400")), data)).blocks()
        assert len(next(blocks)) == 12
        with pytest.raises(SourceError, match="after sample 300"):
            next(blocks)
        broken = data.replace("\n200,0,", "\n200,0,0,")
        blocks = opened(put(tmp_path, cfg([analog(1, "VA", "A")], rates=("1", "4000,300")), broken)).blocks()
        assert len(next(blocks)) == 6
        with pytest.raises(SourceError, match="line 200"):
            next(blocks)


class TestCuts:
    @settings(max_examples=15, deadline=None)
    @given(
        st.sampled_from([4000.0, 5760.0]),
        st.integers(1, 400),
        st.integers(0, 300),
        st.floats(10.0, 3000.0),
    )
    def test_neither_start_nor_cut_changes_a_bit(
        self,
        tmp_path_factory: pytest.TempPathFactory,
        rate: float,
        piece: int,
        start: int,
        phasor_rate: float,
    ) -> None:
        random = np.random.default_rng(7)
        waves = {
            name: samples + random.normal(0, 3.0, len(samples))
            for name, samples in three_phases(1500, rate, 49.3).items()
        }
        path = wave_record(tmp_path_factory.mktemp("wave"), waves, rate)
        whole = opened(path, phasor_rate)
        values = np.vstack([block.values for block in whole.blocks()])
        assume(start < len(values))
        channels = len(whole.channels)
        cut = open_recording(path, ChannelMap(), None, piece * 32 * channels, phasor_rate=phasor_rate)
        again = np.vstack([block.values for block in cut.blocks(start)])
        assert again.tobytes() == values[start:].tobytes()
