"""Hostile input: whatever bytes come, the stream counts and goes on; nothing is raised, nothing grows."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.synchrophasor.configuration import encode_configuration
from gridtop.synchrophasor.frames import FrameKind, crc, encode_command, encode_header, seal
from gridtop.synchrophasor.pmus import Digital
from gridtop.synchrophasor.stream import Stream
from tests.c37118_devices import Feeding, configuration, data, pmu

PLAIN = configuration()
MIXED = configuration(
    pmu("R1", 7, analogs=2),
    replace(pmu("R2", 8, floats=False, polar=False), digitals=(Digital(("CB",) * 16),)),
)
CORPUS = [
    *encode_configuration(PLAIN),
    *encode_configuration(MIXED, FrameKind.CFG1),
    *encode_configuration(MIXED, FrameKind.CFG3),
    *encode_configuration(MIXED, FrameKind.CFG3, largest=90),
    *data(PLAIN, 2),
    *data(MIXED, 2),
    *data(PLAIN, 1, frequency=np.array([[np.nan]])),
    encode_header(7, "a header"),
    encode_command(7, 2),
    seal(FrameKind.CFG2, 7, b"\xff" * 40),
    seal(FrameKind.CFG3, 7, b"\0\1" + b"\xff" * 40),
    seal(FrameKind.DATA, 7, b""),
    seal(FrameKind.DATA, 7, b"\x7f\xf0" * 29),
]


def mutated(frame: bytes, seed: int) -> bytes:
    """The frame with a few bytes changed, cut out or put in; every other time with a CRC that agrees."""
    chance = random.Random(seed)
    changed = bytearray(frame)
    for _ in range(chance.randint(0, 4)):
        at = chance.randrange(len(changed))
        match chance.randrange(4):
            case 0:
                changed[at] = chance.randrange(256)
            case 1:
                changed[at : at + chance.randint(1, 8)] = b""
            case 2:
                changed[at:at] = chance.randbytes(chance.randint(1, 8))
            case 3:
                changed[at : at + 2] = chance.choice((b"\xff\xff", b"\0\0", b"\x7f\xff", b"\x80\0"))
        if len(changed) < 16:
            changed += bytes(16)
    if chance.random() < 0.5:
        changed[2:4] = len(changed).to_bytes(2, "big")
        changed[-2:] = crc(bytes(changed[:-2])).to_bytes(2, "big")
    return bytes(changed)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CORPUS), st.integers(0, 1 << 32)), min_size=1, max_size=12))
def test_damaged_and_hostile_frames_are_counted_and_never_raise(parts: list[tuple[bytes, int]]) -> None:
    feeding = Feeding(PLAIN)
    for k, (frame, seed) in enumerate(parts):
        feeding.stream.receive(mutated(frame, seed), k / 10, datagram=bool(seed & 1))
        feeding.look(k / 10)
    assert (np.diff(feeding.all.time.astype(np.int64)) > 0).all()
    assert not np.isinf(feeding.all.values).any()
    # Whatever has happened, a good configuration and good data are read again.
    feeding.stream.begin()
    feeding.tell(PLAIN)
    before = feeding.stream.counts.frames
    feeding.feed(data(PLAIN, 3, 300), 10.0)
    assert feeding.stream.counts.frames == before + 3


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=10))
def test_any_bytes_at_all_are_taken(pieces: list[bytes]) -> None:
    stream = Stream(7)
    stream.begin()
    for k, piece in enumerate(pieces):
        stream.receive(piece, float(k))
    assert stream.counts.bytes == sum(map(len, pieces))
    assert stream.configuration is None


@pytest.mark.parametrize("kind", [FrameKind.CFG1, FrameKind.CFG2, FrameKind.CFG3])
def test_every_single_byte_of_a_configuration_may_be_wrong(kind: FrameKind) -> None:
    (frame,) = encode_configuration(MIXED, kind)
    for at in range(6, len(frame) - 2):
        for value in (0x00, 0x7F, 0x80, 0xFF):
            changed = bytearray(frame)
            changed[at] = value
            changed[-2:] = crc(bytes(changed[:-2])).to_bytes(2, "big")
            stream = Stream(7, "cfg1")
            stream.begin()
            stream.receive(bytes(changed), 0.0)
            known, counts = stream.configuration, stream.counts
            assert known is not None or counts.bad_configurations or counts.foreign, (at, value)
            if known is not None:
                stream.receive(seal(FrameKind.DATA, 7, bytes(range(1, 251)) * 40), 1.0)
                stream.receive(seal(FrameKind.DATA, 7, b"\xff" * (known.data_size - 16)), 2.0)
                for batch in stream.take():
                    assert len(batch.readings()) == 1
