"""Data frames of C37.118: every format, many at once, to the bit."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.synchrophasor.data import DataLayout, Readings
from gridtop.synchrophasor.frames import FrameError, FrameKind, is_whole
from gridtop.synchrophasor.pmus import Analog, Configuration, Digital, Phasor, Pmu
from tests.c37118_devices import configuration, data, pmu, readings, times

# The data frame of Annex D of IEEE C37.118.2-2011 and the configuration it belongs to.
ANNEX_D = bytes.fromhex(
    "aa0100341e3644853600000041b10000392b0000e36ace7ce36a31830444000009c4000042c80000447a0000461c40003c12d43f"
)
STATION_A = Pmu(
    "Station A",
    7734,
    (*(Phasor(name, False, 9.15527) for name in ("VA", "VB", "VC")), Phasor("I1", True, 0.45776)),
    (Analog("ANALOG1"), Analog("ANALOG2", "rms"), Analog("ANALOG3", "peak")),
    (Digital(tuple(f"BREAKER {i}" for i in range(16))),),
    polar=False,
    float_phasors=False,
    float_analogs=True,
    float_frequency=False,
)
STREAM_A = Configuration(7734, (STATION_A,), 30)


def test_the_frame_of_annex_d_reads_as_the_standard_says() -> None:
    layout = DataLayout(STREAM_A)
    one = layout.decode([ANNEX_D])
    assert str(one.time[0]) == "2006-06-06T08:00:00.016817000"
    np.testing.assert_allclose(one.magnitude[0], [133_987, 134_003, 133_995, 499.87], rtol=2e-5)
    np.testing.assert_allclose(one.angle[0], [0.0, -120.0, 120.0, 0.0], atol=0.002)
    assert (one.frequency[0, 0], one.rocof[0, 0]) == (62.5, 0.0)
    assert one.analog[0].tolist() == [100.0, 1000.0, 10000.0]
    assert (one.digital[0, 0], one.status[0, 0]) == (0x3C12, 0)
    assert layout.encode(one) == [ANNEX_D]


@st.composite
def streams(draw: st.DrawFn) -> tuple[Configuration, Readings]:
    """A configuration of PMUs in any mixture of formats, and readings that fit into it."""
    pmus = tuple(
        replace(
            pmu(f"R{i}", i, floats=draw(st.booleans()), polar=draw(st.booleans())),
            analogs=(Analog("a"),) * draw(st.integers(0, 2)),
            digitals=(Digital(()),) * draw(st.integers(0, 2)),
            float_analogs=draw(st.booleans()),
            float_frequency=draw(st.booleans()),
            nominal_frequency=draw(st.sampled_from([50.0, 60.0])),
        )
        for i in range(draw(st.integers(1, 3)))
    )
    one = Configuration(7, pmus, 30, draw(st.sampled_from([1_000_000, 0xFFFFFF, 1000])))
    n = draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    plain = readings(one, times(n))
    status = random.integers(0, 0x10000, plain.status.shape).astype(np.uint16)
    digital = random.integers(0, 0x10000, plain.digital.shape).astype(np.uint16)
    magnitude = plain.magnitude * random.uniform(0.5, 1.5, plain.magnitude.shape)
    magnitude[random.random(magnitude.shape) < 0.1] = np.nan
    frequency = plain.frequency + random.uniform(-5, 5, plain.frequency.shape)
    frequency[random.random(frequency.shape) < 0.1] = np.nan
    return one, replace(
        plain,
        status=status,
        digital=digital,
        magnitude=magnitude,
        angle=np.where(np.isnan(magnitude), np.nan, random.uniform(-180, 180, magnitude.shape)),
        frequency=frequency,
        rocof=random.uniform(-5, 5, frequency.shape),
        analog=random.integers(-30000, 30000, plain.analog.shape).astype(float),
        time_quality=random.integers(0, 256, n).astype(np.uint8),
    )


@given(streams())
def test_readings_come_back_as_near_as_their_format_allows(stream: tuple[Configuration, Readings]) -> None:
    one, sent = stream
    layout = DataLayout(one)
    frames = layout.encode(sent)
    assert all(is_whole(frame) and len(frame) == one.data_size for frame in frames)
    got = layout.decode(frames)
    for name in ("status", "digital", "time_quality"):
        assert np.array_equal(getattr(got, name), getattr(sent, name))
    np.testing.assert_allclose(got.magnitude, sent.magnitude, rtol=1e-3)
    turned = np.abs((got.angle - sent.angle + 180) % 360 - 180)
    assert np.array_equal(np.isnan(got.angle), np.isnan(sent.angle))
    assert np.nanmax(turned, initial=0.0) < 0.05
    np.testing.assert_allclose(got.frequency, sent.frequency, atol=6e-4)
    np.testing.assert_allclose(got.rocof, sent.rocof, atol=6e-3)
    np.testing.assert_allclose(got.analog, sent.analog)
    assert np.abs((got.time - sent.time).astype(np.int64)).max() <= 500_000_000 // one.time_base + 1
    if all(each.polar for each in one.pmus):  # nothing is turned and turned back
        assert layout.encode(layout.decode(frames)) == frames


@given(streams(), st.integers(0, 5))
def test_how_frames_come_in_batches_changes_no_bit(stream: tuple[Configuration, Readings], cut: int) -> None:
    one, sent = stream
    layout = DataLayout(one)
    frames = layout.encode(sent) * 3
    whole = layout.decode(frames)
    first, second = layout.decode(frames[:cut]), layout.decode(frames[cut:])
    for name in Readings.__slots__:
        parts = np.concatenate((getattr(first, name), getattr(second, name)))
        assert np.array_equal(parts, getattr(whole, name), equal_nan=name != "time"), name


def test_absent_values_are_nan_in_every_format() -> None:
    for floats in (True, False):
        for polar in (True, False):
            one = configuration(pmu(floats=floats, polar=polar, analogs=1))
            gone = readings(one, times(1))
            gone = replace(
                gone,
                magnitude=gone.magnitude * np.nan,
                frequency=gone.frequency * np.nan,
                rocof=gone.rocof * np.nan,
                analog=gone.analog * np.nan,
            )
            got = DataLayout(one).decode(DataLayout(one).encode(gone))
            for name in ("magnitude", "angle", "frequency", "rocof", "analog"):
                assert np.isnan(getattr(got, name)).all(), (name, floats, polar)


def test_frequency_is_a_deviation_in_integers_and_itself_in_floats() -> None:
    for floats in (True, False):
        one = configuration(pmu(floats=floats, nominal=50.0))
        frames = DataLayout(one).encode(readings(one, times(1), frequency=np.array([[60.01]])))
        np.testing.assert_allclose(DataLayout(one).decode(frames).frequency, 60.01, atol=1e-5)
    raw = int.from_bytes(frames[0][-6:-4], "big")
    assert raw == 10010  # mHz above 50 Hz


def test_a_polar_magnitude_of_16_bits_has_no_sign() -> None:
    one = configuration(pmu(floats=False))
    sent = readings(one, times(1), magnitude=np.array([[600e3] * 3 + [3000.0] * 3]))
    np.testing.assert_allclose(DataLayout(one).decode(DataLayout(one).encode(sent)).magnitude, sent.magnitude)


def test_cfg_3_scales_and_turns_phasors_and_scales_and_shifts_analogs() -> None:
    phasors = (Phasor("V", scale=2.0, offset=np.pi / 2), Phasor("I", True, scale=-3.0))
    one = replace(pmu(), phasors=phasors, analogs=(Analog("T", scale=0.5, offset=-40.0),))
    plain = configuration(replace(one, phasors=(Phasor("V"), Phasor("I", True))))
    sent = readings(
        plain,
        times(1),
        magnitude=np.full((1, 2), 10.0),
        angle=np.full((1, 2), 30.0),
        analog=np.full((1, 1), 100.0),
    )
    frames = DataLayout(plain).encode(sent)
    got = DataLayout(configuration(one, kind=FrameKind.CFG3)).decode(frames)
    np.testing.assert_allclose(got.magnitude, [[20.0, 30.0]])
    np.testing.assert_allclose(got.angle, [[-60.0, -150.0]], rtol=1e-6)
    np.testing.assert_allclose(got.analog, 10.0)
    without = DataLayout(configuration(one)).decode(frames)  # by CFG-2 floats are what they are
    np.testing.assert_allclose(without.magnitude, 10.0)
    np.testing.assert_allclose(without.analog, 100.0)


def test_an_empty_or_endless_scale_is_taken_for_one() -> None:
    for scale in (0.0, float("nan"), float("inf")):
        one = replace(
            pmu(), phasors=(Phasor("V", scale=scale, offset=scale),), analogs=(Analog("a", scale=scale),)
        )
        stream = configuration(one, kind=FrameKind.CFG3)
        got = DataLayout(stream).decode(data(configuration(replace(one, phasors=(Phasor("V"),))), 1))
        assert got.magnitude[0, 0] == 132e3


def test_angles_come_back_between_minus_and_plus_180() -> None:
    one = configuration(replace(pmu(), phasors=(Phasor("V"),)))
    (frame,) = DataLayout(one).encode(readings(one, times(1)))
    turns = [struct.pack(">f", turn) for turn in (7.0, -7.0, np.pi, 1e30)]
    frames = [frame[:20] + turn + frame[24:] for turn in turns]
    angle = DataLayout(one).decode(frames).angle[:, 0]
    np.testing.assert_allclose(angle[:2], [np.degrees(7) - 360, 360 - np.degrees(7)], rtol=1e-5)
    assert abs(angle[2]) == pytest.approx(180.0)
    assert np.isnan(angle[3])


def test_a_time_base_of_all_ones_is_divided_by_it() -> None:
    one = configuration(time_base=16_777_215, rate=50)
    got = DataLayout(one).decode(data(one, 50, rate=50.0))
    assert np.abs((got.time - times(50, 50.0)).astype(np.int64)).max() < 60


def test_a_frame_of_another_length_is_refused() -> None:
    one = configuration()
    with pytest.raises(FrameError, match="has 74 bytes"):
        DataLayout(one).decode([b"\xaa\x01" + bytes(40)])


def test_no_frames_are_no_readings() -> None:
    assert len(DataLayout(configuration()).decode([])) == 0
