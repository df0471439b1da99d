"""A breaker: a receiver that fails time after time is left alone, and asked now and then."""

from __future__ import annotations

from collections.abc import Callable

FAILURES = 5
"""Failures in a row after which a sink rests."""

BETWEEN_PROBES = 30.0
"""Seconds that a resting sink is left alone before one event is tried."""


class Breaker:
    """Counts the failures of one sink. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._probe_at = 0.0

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed."""
        return self._failures > 0

    @property
    def resting(self) -> bool:
        """Whether nothing but single probes should be sent."""
        return self._failures >= FAILURES

    @property
    def pause(self) -> float:
        """Seconds until the next probe of a resting sink, 0 when one is due."""
        return max(0.0, self._probe_at - self._clock()) if self.resting else 0.0

    def succeeded(self) -> bool:
        """The receiver answered; True when the sink was resting until now."""
        rested, self._failures = self.resting, 0
        return rested

    def failed(self, requested: float = 0.0) -> bool:
        """An attempt failed, and the receiver asks for `requested` seconds of peace; True when the sink
        rests from now on."""
        rested = self.resting
        self._failures += 1
        if self.resting:
            self._probe_at = self._clock() + max(BETWEEN_PROBES, requested)
        return self.resting and not rested
