"""How old what is on the screen is: since when the monitor does not answer, or a live source is silent."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable

from gridtop.client import Transport

from .link_words import span

_OLD_AFTER = 2.0
"""Seconds without an answer, or without a frame of a live source, until a picture counts as old."""
_SILENT_PERIODS = 3.0
"""A source slower than one frame in two thirds of a second is given so many of its periods."""


class Freshness:
    """Two ages, by the clock given (monotonic seconds)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._patience = _OLD_AFTER
        self._transport: Transport | None = None
        self._moved = self._answered = clock()

    def expect(self, rate: float | None) -> None:
        """Frames are to come at this rate, in frames/s."""
        self._patience = max(_OLD_AFTER, _SILENT_PERIODS / rate) if rate else _OLD_AFTER

    def answer(self, transport: Transport) -> None:
        """The monitor has answered."""
        before, self._transport, self._answered = self._transport, transport, self._clock()
        if before is None or _place(before) != _place(transport):
            self._moved = self._answered

    @property
    def age_words(self) -> str:
        """How long ago the monitor answered, when that is long ago: `12 s`."""
        age = self._clock() - self._answered
        return span(age) if self._transport is not None and age > _OLD_AFTER else ""

    @property
    def silence_words(self) -> str:
        """How long a live source has given nothing, when that is too long."""
        return span(self._silence) if self.is_silent(self._silence) else ""

    def is_silent(self, seconds: float) -> bool:
        """Whether so many seconds without a frame are too many."""
        return seconds > self._patience

    @property
    def stale(self) -> bool:
        """Whether what is on the screen is no longer what is."""
        return bool(self.age_words or self.silence_words)

    @property
    def _silence(self) -> float:
        # The engine knows when a frame came; the screen knows whether the engine goes on with them.
        transport = self._transport
        if transport is None or transport.state != "live":
            return 0.0
        heard = transport.silence if math.isfinite(transport.silence) else 0.0
        return max(heard, self._clock() - self._moved)


def _place(transport: Transport) -> Hashable:
    return transport.state, transport.row, transport.pass_number
