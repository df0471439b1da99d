"""When a failed delivery is tried again, and when it is given up."""

from __future__ import annotations

from collections.abc import Callable

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 300.0
"""Seconds: the bounds of the back-off, before chance cuts it."""

LONGEST_REQUESTED_PAUSE = 3600.0
"""Seconds that a receiver can make us wait (Retry-After)."""

MOST_TRIES = 30
"""Failed attempts after which an event becomes a dead letter."""

LONGEST_AGE = 24 * 3600.0
"""Seconds after its publication for which an event is tried."""

FEWEST_TRIES = 5
"""Attempts that an event gets however old it is: the engine may have been off for days."""


def pause_after(tries: int, retry_after: float | None, random: Callable[[], float]) -> float:
    """Seconds until the next attempt, after `tries` earlier failures and one more just now.

    Full jitter: evenly between 0 and min(300 s, 1 s * 2^tries), so that a thousand engines do not come back
    at once (Brooker, "Exponential Backoff And Jitter", AWS 2015). It is never less than the receiver asks
    for, which is heeded up to an hour. `random` gives numbers from 0 to 1.
    """
    # The exponent is bounded: 2.0**1100 is an OverflowError.
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(tries, 20))
    return max(random() * longest, requested_pause(retry_after))


def requested_pause(retry_after: float | None) -> float:
    """Seconds that a receiver asks us to leave it alone, within reason; 0 when it says nothing."""
    # The comparison is this way round so that NaN counts as nothing.
    return min(retry_after, LONGEST_REQUESTED_PAUSE) if retry_after is not None and retry_after > 0 else 0.0


def why_given_up(tries: int, attempts: int, age: float) -> str:
    """Why an event that is `age` seconds old is not tried again; empty if it is.

    `tries` are the failed attempts put to its account, `attempts` are those and the probes of a resting
    sink, which say more of the receiver than of the event.
    """
    if tries >= MOST_TRIES:
        return "tries"
    return "age" if age >= LONGEST_AGE and attempts >= FEWEST_TRIES else ""
