"""Configuration frames of C37.118: CFG-1, CFG-2, CFG-3, its fragments, and contradictions."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.synchrophasor.configuration import Fragments, decode_configuration, encode_configuration
from gridtop.synchrophasor.frames import FrameError, FrameKind, body, is_whole, seal
from gridtop.synchrophasor.pmus import Analog, Configuration, Digital, Phasor, Place, Pmu
from tests.c37118_devices import configuration, pmu

CFG3 = FrameKind.CFG3

f32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
short_names = st.text("ABCabc012 -_/#", max_size=16).map(str.strip)
long_names = st.text(max_size=60).map(lambda text: text.strip(" \0")).filter(lambda t: t.isprintable())


def pmus(names: st.SearchStrategy[str], long: bool) -> st.SearchStrategy[Pmu]:
    """PMUs that a frame of the kind can express in full."""
    words = st.integers(0, 0xFFFF)
    scales = f32 if long else st.integers(0, 0xFFFFFF).map(lambda count: count * 1e-5)
    phasors = st.builds(
        Phasor,
        names,
        st.booleans(),
        scales,
        f32 if long else st.just(0.0),
        st.sampled_from(["", "0", "+", "-", "A", "B", "C"] if long else [""]),
        words if long else st.just(0),
    )
    analogs = (
        st.builds(Analog, names, scale=f32, offset=f32)
        if long
        else st.builds(
            Analog,
            names,
            st.sampled_from(["instant", "rms", "peak", "other"]),
            user_scale=st.integers(-0x800000, 0x7FFFFF),
        )
    )
    digitals = st.builds(Digital, st.lists(names, min_size=16, max_size=16).map(tuple), words, words)
    return st.builds(
        Pmu,
        names,
        words,
        st.lists(phasors, max_size=4).map(tuple),
        st.lists(analogs, max_size=3).map(tuple),
        st.lists(digitals, max_size=2).map(tuple),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from([50.0, 60.0]),
        words,
    )


def configurations(kind: FrameKind) -> st.SearchStrategy[Configuration]:
    """Configurations of one kind."""
    long = kind == CFG3
    return st.builds(
        Configuration,
        st.integers(1, 65534),
        st.lists(pmus(long_names if long else short_names, long), min_size=1, max_size=3).map(tuple),
        st.integers(-3600, 240),
        st.integers(1, 0xFFFFFF),
        st.just(kind),
    )


@given(st.sampled_from([FrameKind.CFG1, FrameKind.CFG2]).flatmap(configurations))
def test_cfg_1_and_2_come_back_as_they_were(one: Configuration) -> None:
    (frame,) = encode_configuration(one)
    assert is_whole(frame)
    assert decode_configuration(frame) == one


@given(configurations(CFG3), st.integers(30, 2000))
def test_cfg_3_comes_back_whatever_its_fragments(one: Configuration, largest: int) -> None:
    frames = encode_configuration(one, largest=largest)
    if len(frames) > 64:
        return
    assert all(len(frame) <= largest for frame in frames)
    fragments = Fragments()
    *before, last = [fragments.add(frame) for frame in frames]
    assert before == [None] * len(before)
    assert last == one


def test_cfg_3_says_where_the_device_is() -> None:
    place = Place(47.5, 8.25, 400.0, "P", 0.033, 0.016, bytes(range(16)))
    one = configuration(replace(pmu(), place=place), kind=CFG3)
    assert decode_configuration(encode_configuration(one)[0]).pmus[0].place == place


def test_fragments_out_of_turn_are_refused_and_the_next_first_one_begins_anew() -> None:
    one = configuration(pmu(), kind=CFG3)
    frames = encode_configuration(one, largest=60)
    assert len(frames) > 3
    fragments = Fragments()
    with pytest.raises(FrameError, match="out of turn"):
        fragments.add(frames[1])
    fragments.add(frames[0])
    with pytest.raises(FrameError, match="out of turn"):
        fragments.add(frames[2])
    assert [fragments.add(frame) for frame in frames][-1] == one


def test_fragments_without_end_are_given_up() -> None:
    fragments = Fragments()
    parts = [seal(CFG3, 7, number.to_bytes(2, "big") + bytes(1000)) for number in range(1, 66)]
    for part in parts[:64]:
        assert fragments.add(part) is None
    with pytest.raises(FrameError, match="without end"):
        fragments.add(parts[64])


def test_names_end_at_a_zero_byte_and_lose_their_padding() -> None:
    (frame,) = encode_configuration(configuration(pmu("R1")))
    text = bytearray(body(frame))
    text[6:22] = b"R1\0old rubbish  "
    text[32 : 32 + 16] = b"  VA \xff          "
    changed = decode_configuration(seal(FrameKind.CFG2, 7, bytes(text)))
    assert changed.pmus[0].station == "R1"


@pytest.mark.parametrize("rate", [(30, 30.0), (-1, 1.0), (-10, 0.1), (0, None)])
def test_a_negative_rate_is_seconds_per_frame(rate: tuple[int, float | None]) -> None:
    sent, meant = rate
    assert decode_configuration(encode_configuration(configuration(rate=sent))[0]).rate == meant


def test_configurations_that_contradict_themselves_are_refused() -> None:
    (frame,) = encode_configuration(configuration())
    text = body(frame)

    def refused(changed: bytes, words: str) -> None:
        with pytest.raises(FrameError, match=words):
            decode_configuration(seal(FrameKind.CFG2, 7, changed))

    refused(text[:-1], "middle of a field")
    refused(text + b"\0", "left over")
    refused(bytes(4) + text[4:], "TIME_BASE")
    refused(text[:4] + b"\0\0" + text[6:], "no PMU")
    refused(text[:26] + b"\xff\xff" + text[28:], "65535 names")
    many = struct.pack(">IH", 1_000_000, 600) + text[6:-2] * 600
    with pytest.raises(FrameError):
        seal(FrameKind.CFG2, 7, many + text[-2:])


def test_a_configuration_whose_data_no_frame_can_hold_is_refused() -> None:
    wide = replace(pmu(), phasors=tuple(Phasor("", scale=1.0) for _ in range(9000)))
    frames = encode_configuration(configuration(wide, kind=CFG3))
    fragments = Fragments()
    assert all(fragments.add(frame) is None for frame in frames[:-1])
    with pytest.raises(FrameError, match="a data frame would have"):
        fragments.add(frames[-1])
