"""Frames of C37.118: CRC, heads, commands, and cutting a stream of bytes into frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridtop.synchrophasor.frames import (
    LARGEST,
    Command,
    FrameError,
    FrameKind,
    Splitter,
    Stamp,
    body,
    crc,
    decode_command,
    decode_header,
    encode_command,
    encode_header,
    head,
    is_whole,
    seal,
    split,
)

FRAME = seal(FrameKind.DATA, 7, bytes(range(200)), Stamp(1_700_000_000, 33_333))


@pytest.mark.parametrize(("text", "value"), [(b"ABCD", 0xBFFA), (b"123456", 0x2EF4), (b"abc", 0x514A)])
def test_crc_is_that_of_annex_b(text: bytes, value: int) -> None:
    assert crc(text) == value


def test_a_command_frame_is_eighteen_bytes_that_begin_with_aa41() -> None:
    frame = encode_command(7734, Command.START, Stamp(1_149_591_600, 770_000))
    assert frame[:8].hex() == "aa4100121e364485"
    assert is_whole(frame)
    assert decode_command(frame) == Command.START
    assert head(frame).idcode == 7734


def test_a_header_is_text_cut_to_what_a_frame_holds() -> None:
    assert decode_header(encode_header(7, "Grüße")) == "Grüße"
    assert len(encode_header(7, "x" * 100_000)) == LARGEST
    with pytest.raises(FrameError):
        decode_header(encode_command(7, Command.STOP))


def test_no_frame_is_made_that_its_length_field_cannot_say() -> None:
    with pytest.raises(FrameError, match="65535"):
        seal(FrameKind.DATA, 7, bytes(LARGEST - 15))


def test_heads_of_what_is_no_frame_are_refused() -> None:
    for nonsense in (
        b"",
        b"\xaa",
        b"\xab\x01" + bytes(14),
        b"\xaa\x81" + bytes(14),
        b"\xaa\x71\x00\x20" + bytes(12),
    ):
        with pytest.raises(FrameError):
            head(nonsense)


@given(st.integers(0, 4_000_000_000), st.integers(1, 0xFFFFFF))
def test_a_stamp_comes_back_within_half_a_count(nanoseconds: int, time_base: int) -> None:
    time = np.datetime64(1_700_000_000_000_000_000 + nanoseconds, "ns")
    stamp = Stamp.of(time, time_base)
    assert 0 <= stamp.fraction < time_base
    assert abs(int((stamp.time(time_base) - time).astype(np.int64))) <= 500_000_000 // time_base + 1


def test_a_stamp_just_before_the_second_carries_over() -> None:
    assert Stamp.of(np.datetime64("2026-01-01T00:00:00.999999900", "ns")) == Stamp.of(
        np.datetime64("2026-01-01T00:00:01", "ns")
    )


@given(
    st.lists(st.tuples(st.sampled_from(FrameKind), st.binary(max_size=60)), max_size=8),
    st.lists(st.integers(1, 40), max_size=60),
)
def test_frames_come_out_whole_however_the_bytes_arrive(
    contents: list[tuple[FrameKind, bytes]], cuts: list[int]
) -> None:
    frames = [seal(kind, 9, content) for kind, content in contents]
    stream, splitter, out = b"".join(frames), Splitter(), []
    for cut in cuts:
        out += splitter.feed(stream[:cut])
        stream = stream[cut:]
    out += splitter.feed(stream)
    assert out == frames
    assert (splitter.skipped, splitter.bad_crc) == (0, 0)


def test_stray_bytes_are_skipped_and_counted() -> None:
    splitter = Splitter()
    assert splitter.feed(b"\x00\xaa\x99hello" + FRAME + b"bye" + FRAME) == [FRAME, FRAME]
    assert splitter.skipped == 11
    assert splitter.bad_crc == 0


def test_a_damaged_frame_costs_only_itself() -> None:
    damaged = bytearray(FRAME)
    damaged[50] ^= 1
    splitter = Splitter()
    assert splitter.feed(FRAME + bytes(damaged) + FRAME) == [FRAME, FRAME]
    assert splitter.bad_crc >= 1
    assert splitter.skipped == len(FRAME)


def test_a_damaged_length_does_not_hold_up_the_stream() -> None:
    damaged = bytearray(FRAME)
    damaged[2:4] = b"\xff\xff"
    splitter = Splitter()
    assert splitter.feed(bytes(damaged)) == []
    assert splitter.feed(FRAME) == [FRAME]
    assert splitter.bad_crc == 1


def test_a_cut_frame_is_given_up_for_the_next_one() -> None:
    splitter = Splitter()
    out = splitter.feed(FRAME[:40]) + splitter.feed(FRAME) + splitter.feed(FRAME)
    assert out == [FRAME, FRAME]
    assert splitter.skipped == 40


def test_a_datagram_keeps_nothing_for_the_next_one() -> None:
    splitter = Splitter()
    assert splitter.feed_datagram(FRAME[:40]) == []
    assert splitter.feed_datagram(FRAME + FRAME) == [FRAME, FRAME]
    assert splitter.bad_crc == 1


def test_bytes_made_to_keep_us_busy_cost_a_bounded_number_of_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    checked = 0

    def counting(frame: bytes) -> bool:
        nonlocal checked
        checked += len(frame)
        return is_whole(frame)

    monkeypatch.setattr("gridtop.synchrophasor.frames.is_whole", counting)
    hostile = b"\xaa\x01\x7f\xff" * 100_000
    splitter = Splitter()
    for at in range(0, len(hostile), 65536):
        assert splitter.feed(hostile[at : at + 65536]) == []
    assert checked <= 16 * len(hostile) + 7 * 8 * LARGEST
    splitter.feed(FRAME * 700)
    assert splitter.feed(FRAME * 3) == [FRAME] * 3


@given(st.binary(max_size=400), st.booleans())
def test_no_bytes_before_a_frame_hold_it_up(rubbish: bytes, begun: bool) -> None:
    splitter = Splitter()
    if begun:
        assert splitter.feed(FRAME) == [FRAME]
    assert splitter.feed(rubbish + FRAME) == [FRAME]
    assert splitter.skipped == len(rubbish)


@pytest.mark.parametrize(
    "stray", [b"\xaa\x41\x00", b"\xaa\x41", b"\xaa\x01\xff", b"\xaa", b"\xaa\x31\xff\xff\x00\x09"]
)
def test_stray_bytes_like_the_beginning_of_a_frame_do_not_hold_up_a_command(stray: bytes) -> None:
    commands = [encode_command(7, Command.START), encode_command(7, Command.STOP)]
    splitter = Splitter()
    for command in commands:
        assert splitter.feed(stray + command) == [command]
    assert splitter.skipped == 2 * len(stray)


def test_what_looks_like_a_frame_of_another_device_inside_a_long_one_does_not_cut_it_short() -> None:
    inner = encode_command(8, Command.START)
    whole = seal(FrameKind.HEADER, 9, b"text " + inner + b" more text")
    splitter = Splitter()
    assert splitter.feed(FRAME) == [FRAME]
    assert splitter.feed(whole[:-5]) + splitter.feed(whole[-5:]) == [whole]
    assert splitter.skipped == 0


def test_split_and_body_take_a_frame_apart() -> None:
    assert split(FRAME + FRAME[:30]) == [FRAME]
    assert body(FRAME) == bytes(range(200))
