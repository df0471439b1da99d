"""What happens in a storm: so many events a minute and no more, and one digest of those beyond."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence

from gridtop.events import SEVERITIES, Event, Priority
from gridtop.text import clean

MINUTE = 60.0
"""Seconds that a digest collects, and for which a rate is given."""

RULE = "digest"
"""What a digest says in `rule`."""

_ALMOST = 1e-6
"""So much less than one token is one: the pause until the next is computed with rounding."""

_PRIORITIES: tuple[Priority, ...] = ("", "low", "medium", "high")


class Allowance:
    """A token bucket: `rate` events a minute, up to twice that in a burst. None: as many as there are.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, rate: int | None, clock: Callable[[], float]) -> None:
        self.rate = rate
        self._clock = clock
        self._tokens = 2.0 * rate if rate is not None else math.inf
        self._filled = clock()

    def take(self, wanted: int) -> int:
        """How many of `wanted` events may be sent now; they are counted as sent."""
        if self.rate is None:
            return wanted
        self._fill(self.rate)
        taken = min(wanted, int(self._tokens + _ALMOST))
        self._tokens -= taken
        return taken

    @property
    def pause(self) -> float:
        """Seconds until one more event may be sent."""
        if self.rate is None:
            return 0.0
        self._fill(self.rate)
        return max(0.0, (1.0 - self._tokens) * MINUTE / self.rate)

    def _fill(self, rate: int) -> None:
        now = self._clock()
        self._tokens = min(2.0 * rate, self._tokens + (now - self._filled) * rate / MINUTE)
        self._filled = now


def digest_of(covered: Sequence[Event]) -> Event:
    """One event that stands for many, in the order they were published (at least one).

    Its id follows from theirs, so that a repetition is known as one; it has the worst of their severities
    and priorities, and place and time of the last.
    """
    first, last = covered[0], covered[-1]
    ids = "\x1f".join(event.id for event in covered)
    number = len(covered)
    seconds = max(1, math.ceil(last.wall - first.wall))
    what = "alarms" if all(event.kind == "alarm" for event in covered) else "events"
    return Event(
        id=hashlib.blake2b(ids.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest(),
        kind="system",
        transition="noticed",
        severity=max((event.severity for event in covered), key=SEVERITIES.index),
        rule=RULE,
        message=f"{number} {what} in {seconds} s: first {_in_brief(first)}; last {_in_brief(last)}",
        row=last.row,
        time=last.time,
        pass_number=last.pass_number,
        seq=last.seq,
        wall=last.wall,
        priority=max((event.priority for event in covered), key=_PRIORITIES.index),
        details={
            "count": number,
            "raised": sum(event.transition == "raised" for event in covered),
            "cleared": sum(event.transition == "cleared" for event in covered),
            "seconds": seconds,
            "first_seq": first.seq,
            "last_seq": last.seq,
        },
    )


def _in_brief(event: Event) -> str:
    where = f" {event.channel}" if event.channel else ""
    return clean(f"{event.rule}{where} {event.transition}: {event.message}", 120)
