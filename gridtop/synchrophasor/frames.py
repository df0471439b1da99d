"""Frames of IEEE C37.118.2-2011: what is common to all kinds, and how they are cut out of a stream of bytes.

Everything is big-endian. A frame is SYNC (2), FRAMESIZE (2), IDCODE (2), SOC (4), FRACSEC (4), a body, and
CHK (2), a CRC-CCITT over all bytes before it (clause 6.2). FRAMESIZE has 16 bits, so no frame is larger than
65,535 bytes.
"""

from __future__ import annotations

import binascii
import struct
from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

import numpy as np

SYNC = 0xAA
HEAD_SIZE = 14
"""Bytes before the body."""
SMALLEST, LARGEST = 16, 0xFFFF
"""Bytes of a frame."""
TIME_BASE = 1_000_000
"""Parts of a second that FRACSEC usually counts; a configuration may say otherwise."""

_HEAD = struct.Struct(">BBHHII")
_NANOSECONDS = 1_000_000_000


class FrameKind(IntEnum):
    """Bits 6 to 4 of SYNC's second byte."""

    DATA = 0
    HEADER = 1
    CFG1 = 2
    CFG2 = 3
    COMMAND = 4
    CFG3 = 5


CONFIGURATIONS = (FrameKind.CFG1, FrameKind.CFG2, FrameKind.CFG3)


class Command(IntEnum):
    """What a client asks of a PMU (table 15)."""

    STOP = 1
    START = 2
    SEND_HEADER = 3
    SEND_CFG1 = 4
    SEND_CFG2 = 5
    SEND_CFG3 = 6
    EXTENDED = 8


class FrameError(ValueError):
    """A frame that cannot be what it claims to be; the text says why. Counted, never fatal."""


class Stamp(NamedTuple):
    """The time of a frame: SOC seconds since 1970 in UTC, FRACSEC's count, and its time quality byte."""

    seconds: int = 0
    fraction: int = 0
    quality: int = 0

    @classmethod
    def of(cls, time: np.datetime64, time_base: int = TIME_BASE, quality: int = 0) -> Stamp:
        """The stamp nearest to a UTC instant in counts of 1/`time_base` s."""
        nanoseconds = int(time.astype("datetime64[ns]").astype(np.int64))
        seconds, rest = divmod(nanoseconds, _NANOSECONDS)
        count = (rest * time_base + _NANOSECONDS // 2) // _NANOSECONDS
        if count >= time_base:
            seconds, count = seconds + 1, 0
        return cls(seconds & 0xFFFFFFFF, count, quality)

    def time(self, time_base: int = TIME_BASE) -> np.datetime64:
        """The instant, to the nanosecond."""
        nanoseconds = (self.fraction * _NANOSECONDS + time_base // 2) // time_base
        return np.datetime64(self.seconds * _NANOSECONDS + nanoseconds, "ns")


class Head(NamedTuple):
    """The first 14 bytes of a frame, apart from SYNC's leading byte."""

    kind: FrameKind
    version: int
    size: int
    idcode: int
    stamp: Stamp


def crc(data: bytes) -> int:
    """CRC-CCITT: x^16 + x^12 + x^5 + 1, begun with 0xFFFF, no final mask (Annex B)."""
    return binascii.crc_hqx(data, 0xFFFF)


def is_whole(frame: bytes) -> bool:
    """Whether a frame's CHK agrees with its bytes."""
    return len(frame) >= SMALLEST and crc(frame[:-2]) == frame[-2] << 8 | frame[-1]


def head(frame: bytes) -> Head:
    """The head of a frame; FrameError when it has none. CHK and the length are not looked at."""
    if len(frame) < HEAD_SIZE or not _may_begin(frame, 0):
        raise FrameError("no frame begins here: it would say AA and a kind")
    _, second, size, idcode, seconds, fraction = _HEAD.unpack_from(frame)
    stamp = Stamp(seconds, fraction & 0xFFFFFF, fraction >> 24)
    return Head(FrameKind(second >> 4), second & 15, size, idcode, stamp)


def body(frame: bytes) -> bytes:
    """What is between head and CHK."""
    return frame[HEAD_SIZE:-2]


def seal(kind: FrameKind, idcode: int, body: bytes, stamp: Stamp = Stamp()) -> bytes:  # noqa: B008
    """A whole frame around a body; FrameError when it would be larger than a frame can be."""
    size = HEAD_SIZE + len(body) + 2
    if size > LARGEST:
        raise FrameError(f"a frame holds at most {LARGEST} bytes, not {size}")
    version = 2 if kind == FrameKind.CFG3 else 1
    second = kind << 4 | version
    fraction = stamp.quality << 24 | stamp.fraction
    frame = _HEAD.pack(SYNC, second, size, idcode, stamp.seconds, fraction) + body
    return frame + crc(frame).to_bytes(2, "big")


def encode_command(idcode: int, command: int, stamp: Stamp = Stamp(), extended: bytes = b"") -> bytes:  # noqa: B008
    """A command frame; `extended` is the text behind Command.EXTENDED."""
    return seal(FrameKind.COMMAND, idcode, int(command).to_bytes(2, "big") + extended, stamp)


def decode_command(frame: bytes) -> int:
    """The command word of a command frame (a `Command` or a number that the standard reserves)."""
    if head(frame).kind != FrameKind.COMMAND or len(frame) < SMALLEST + 2:
        raise FrameError("this is no command frame")
    return int.from_bytes(frame[HEAD_SIZE : HEAD_SIZE + 2], "big")


def encode_header(idcode: int, text: str, stamp: Stamp = Stamp()) -> bytes:  # noqa: B008
    """A header frame: free text for people, cut to what a frame holds."""
    return seal(FrameKind.HEADER, idcode, text.encode()[: LARGEST - SMALLEST], stamp)


def decode_header(frame: bytes) -> str:
    """The text of a header frame. It is foreign text: show it only through `gridtop.text.clean`."""
    if head(frame).kind != FrameKind.HEADER:
        raise FrameError("this is no header frame")
    return body(frame).decode("utf-8", "replace").rstrip(" \0")


class Splitter:
    """Cuts a stream of bytes into whole frames and finds the next one after anything that is none.

    skipped    bytes that belonged to no frame
    bad_crc    frames whose CHK did not agree

    It keeps at most one frame's bytes, and the work for each byte fed is bounded whatever they are. Stray
    bytes that look like the beginning of a long frame, or a damaged length, do not hold up the stream: once a
    whole frame has arrived inside what a longer one claims for itself, the longer one is given up. The inner
    one must be of the same device, by the longer one's IDCODE or by that of the frame before: in a day, the
    numbers in some long frame will look like a whole one, CRC and all.
    """

    def __init__(self) -> None:
        self.skipped = 0
        self.bad_crc = 0
        self._rest = bytearray()
        self._budget = 0
        self._idcode: bytes | None = None  # of the last whole frame

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete with these bytes."""
        self._rest += data
        # Ordinary bytes are checked once; what is left over pays for looking twice at the few that are not.
        self._budget = 8 * len(data) + 4 * LARGEST
        frames: list[bytes] = []
        rest, at = self._rest, 0
        while True:
            start = self._next_start(at)
            self.skipped += start - at
            at = start
            if len(rest) - at < 4:
                break
            size = rest[at + 2] << 8 | rest[at + 3]
            if len(rest) - at < size:
                inner = self._frame_inside(at)
                if inner is None:
                    break
                self.bad_crc += 1
                self.skipped += inner - at
                at = inner
                continue
            frame = bytes(rest[at : at + size])
            if self._is_whole(frame):
                frames.append(frame)
                self._idcode = frame[4:6]
                at += size
            else:
                self.bad_crc += 1
                self.skipped += 1
                at += 1
            if self._budget < 0:  # bytes made to keep us busy
                self.skipped += len(rest) - at
                at = len(rest)
        del rest[:at]
        return frames

    def feed_datagram(self, data: bytes) -> list[bytes]:
        """The frames of a datagram, which begins with a frame and ends with one."""
        frames = self.feed(data)
        if self._rest:
            self.bad_crc += self._rest[0] == SYNC
            self.forget()
        return frames

    def forget(self) -> None:
        """Begin anew, as after a connection was lost; what has been kept counts as skipped."""
        self.skipped += len(self._rest)
        self._rest.clear()

    def _is_whole(self, frame: bytes) -> bool:
        self._budget -= len(frame)
        return is_whole(frame)

    def _next_start(self, at: int) -> int:
        """Where from `at` on a frame may begin: the end of the bytes when nowhere."""
        rest = self._rest
        while (at := rest.find(SYNC, at)) >= 0:
            if _may_begin(rest, at):
                return at
            at += 1
        return len(rest)

    def _frame_inside(self, outer: int) -> int | None:
        """Where inside an unfinished frame a whole one of the same device begins: of any before the first."""
        rest, at = self._rest, outer + 1
        if len(rest) - outer < SMALLEST:
            return None
        idcodes = (rest[outer + 4 : outer + 6], self._idcode)
        while (at := self._next_start(at)) + SMALLEST <= len(rest) and self._budget > 0:
            size = rest[at + 2] << 8 | rest[at + 3]
            same = self._idcode is None or rest[at + 4 : at + 6] in idcodes
            if same and at + size <= len(rest) and self._is_whole(bytes(rest[at : at + size])):
                return at
            at += 1
        return None


def split(data: bytes) -> list[bytes]:
    """All whole frames in some bytes."""
    return Splitter().feed(data)


def join(frames: Iterable[bytes]) -> bytes:
    """Frames one behind the other."""
    return b"".join(frames)


def _may_begin(data: bytes | bytearray, at: int) -> bool:
    """Whether a frame may begin at `at`, as far as the bytes that are there tell."""
    if data[at] != SYNC:
        return False
    if len(data) > at + 1 and data[at + 1] >> 4 > FrameKind.CFG3:
        return False
    return len(data) < at + 4 or (data[at + 2] << 8 | data[at + 3]) >= SMALLEST
