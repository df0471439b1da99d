"""What can be wrong with a served PMU, on demand: lost, damaged and late frames, wrong clocks, silence."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from gridtop.units import format_duration, parse_duration

KINDS = {
    "drop": "this share of the frames is not sent (5%)",
    "corrupt": "this share of the frames has a wrong byte, so that the CRC does not fit (5%)",
    "reorder": "this share of the frames is sent behind the next one (5%)",
    "repeat": "this share of the frames is sent twice (5%)",
    "stray": "before this share of the frames come bytes that are no frame (5%)",
    "delay": "every frame is sent so much later than it was measured (200ms)",
    "time": "the device's clock is wrong by so much (2s)",
    "unsynchronised": "the device's clock is not locked to UTC, and says so",
    "error": "the device says that its values are not to be used",
    "configuration": "another analog channel appears, announced a moment before as the standard asks",
    "silence": "no data, though the connection stays",
    "disconnect": "connections are closed, and new ones refused while it lasts",
}
"""Every kind of fault, and what its amount means when it has one."""

ANNOUNCEMENT_S = 1.0
"""How long before it changes a device announces another configuration (STAT bit 10); at most a minute."""

_SHARES = {"drop": 0.05, "corrupt": 0.05, "reorder": 0.05, "repeat": 0.05, "stray": 0.05}
_SECONDS = {"delay": 0.2, "time": 2.0}
_FORM = re.compile(r"(?P<kind>[a-z]+)(?:=(?P<amount>[^@]+))?(?:@(?P<after>[^+@]+)(?:\+(?P<lasts>[^+@]+))?)?")
_MOST_STRAY_BYTES = 40
_UNSYNCHRONISED_STAT = 0x21F0
"""Bit 13, time quality 7 (bits 8-6), unlocked for more than 1000 s (bits 5-4): seen in the field."""
_ERROR_STAT = 0xC000
_ANNOUNCED_STAT = 0x0400
_CLOCK_FAILED = 0x0F
_LONGEST_DELAY_S = 60.0


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong from `after` seconds on, for `lasts` seconds, counted from the first data.

    `amount` is a share (0 to 1) for what concerns single frames, seconds for `delay` and `time`, else 0.
    """

    kind: str
    amount: float = 0.0
    after: float = 0.0
    lasts: float = math.inf

    def active(self, elapsed: float) -> bool:
        """Whether it is there, `elapsed` seconds after the first data."""
        return self.after <= elapsed < self.after + self.lasts

    @property
    def edges(self) -> tuple[float, ...]:
        """When something changes, in seconds since the first data."""
        return self.after - ANNOUNCEMENT_S, self.after, self.after + self.lasts


def parse_fault(text: str) -> Fault:
    """A fault from `drop`, `drop=10%`, `time=-2s@5s` or `silence@10s+3s` (after 10 s, for 3 s).

    Raises ValueError with what is wrong and what can be written.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no fault; write it like drop=5%, or silence@10s+3s for 3 s after 10 s")
    kind, amount = match["kind"], match["amount"]
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is no fault; there are {', '.join(KINDS)}")
    after = parse_duration(match["after"]).total_seconds() if match["after"] else 0.0
    lasts = parse_duration(match["lasts"]).total_seconds() if match["lasts"] else math.inf
    return Fault(kind, _amount(kind, amount), after, lasts)


def _amount(kind: str, text: str | None) -> float:
    if kind in _SHARES:
        return _share(kind, text) if text is not None else _SHARES[kind]
    if kind in _SECONDS:
        if text is None:
            return _SECONDS[kind]
        sign = -1.0 if kind == "time" and text.startswith("-") else 1.0
        seconds = sign * parse_duration(text.removeprefix("-" if sign < 0 else "")).total_seconds()
        if kind == "delay" and seconds > _LONGEST_DELAY_S:
            longest = format_duration(timedelta(seconds=_LONGEST_DELAY_S))
            raise ValueError(f"delay: {text} is more than {longest}, the longest there is")
        return seconds
    if text is not None:
        raise ValueError(f"{kind} has no amount; write {kind}, or {kind}@10s for one that comes after 10 s")
    return 0.0


def _share(kind: str, text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise ValueError(f"{kind}: {text!r} is no share of the frames; write it like 5% or 0.05")
    return share


class FaultyLine:
    """The way from a device to its receivers: frames go in, and what really arrives comes out.

    The same `seed` and the same frames give the same damage, but for faults that come after a time.
    """

    def __init__(self, faults: Iterable[Fault] = (), seed: int = 1) -> None:
        self._faults = tuple(faults)
        self._random = random.Random(seed)
        self._held: bytes | None = None

    def active(self, kind: str, elapsed: float) -> Fault | None:
        """The first fault of a kind that is there now."""
        return next((fault for fault in self._faults if fault.kind == kind and fault.active(elapsed)), None)

    def sum_of(self, kind: str, elapsed: float) -> float:
        """The amounts of all faults of a kind that are there now."""
        return sum(fault.amount for fault in self._faults if fault.kind == kind and fault.active(elapsed))

    def next_edge(self, elapsed: float) -> float:
        """When the next fault begins or ends, in seconds since the first data; infinite for never.

        What is announced begins `ANNOUNCEMENT_S` earlier.
        """
        edges = [edge for fault in self._faults for edge in fault.edges if edge > elapsed]
        return min(edges, default=math.inf)

    def announced(self, elapsed: float) -> bool:
        """Whether another configuration is to come within `ANNOUNCEMENT_S` seconds."""
        return not self.active("configuration", elapsed) and any(
            fault.kind == "configuration" and 0 < fault.after - elapsed <= ANNOUNCEMENT_S
            for fault in self._faults
        )

    def status(self, elapsed: float) -> int:
        """The bits of every STAT word that the faults of now set."""
        bits = _UNSYNCHRONISED_STAT if self.active("unsynchronised", elapsed) else 0
        bits |= _ERROR_STAT if self.active("error", elapsed) else 0
        return bits | (_ANNOUNCED_STAT if self.announced(elapsed) else 0)

    def time_quality(self, elapsed: float) -> int:
        """The time quality byte of every frame now."""
        return _CLOCK_FAILED if self.active("unsynchronised", elapsed) else 0

    def pieces(self, frame: bytes, elapsed: float) -> list[bytes]:
        """What is sent instead of a data frame: nothing, the frame, another, or several pieces in order."""
        if self.active("silence", elapsed) or self._happens("drop", elapsed):
            return []
        if self._happens("corrupt", elapsed):
            frame = self._damaged(frame)
        held, self._held = self._held, None
        if held is None and self._happens("reorder", elapsed):
            self._held = frame
            return []
        sent = [frame]
        if self._happens("repeat", elapsed):
            sent.append(frame)
        if self._happens("stray", elapsed):
            sent.insert(0, self._random.randbytes(self._random.randint(1, _MOST_STRAY_BYTES)))
        return sent if held is None else [*sent, held]

    def _happens(self, kind: str, elapsed: float) -> bool:
        fault = self.active(kind, elapsed)
        return fault is not None and self._random.random() < fault.amount

    def _damaged(self, frame: bytes) -> bytes:
        # Behind the header: a wrong length would damage the frames that follow, too.
        position = self._random.randrange(14, len(frame))
        wrong = frame[position] ^ self._random.randint(1, 255)
        return frame[:position] + bytes([wrong]) + frame[position + 1 :]
