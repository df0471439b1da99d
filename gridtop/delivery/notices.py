"""What is told about a sink: dead letters, a receiver that rests or is gone, and that it is back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal

from gridtop.events import Event, Severity

HOUR = 3600.0
"""Seconds between two events about the same trouble of the same sink."""

_Trouble = Literal["dead_letters", "resting", "gone", "working"]


class Notices:
    """Publishes events about one sink, each trouble at most once an hour.

    `publish` takes the events, None means that nobody wants them; `wall` is seconds since 1970 and `clock`
    monotonic seconds.
    """

    def __init__(
        self,
        sink: str,
        publish: Callable[[Event], None] | None,
        wall: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._sink = sink
        self._publish = publish
        self._wall = wall
        self._clock = clock
        self._told: dict[_Trouble, float] = {}
        self._dead = 0
        self._reason = ""
        self._rests = False
        """Whether it was told that the sink rests, and not yet that it works again."""

    def dead(self, number: int, reason: str) -> None:
        """So many events became dead letters."""
        self._dead += number
        self._reason = reason
        self.remind()

    def remind(self) -> None:
        """Tell what could not be told within the hour."""
        if self._dead and self._may_tell("dead_letters"):
            number, self._dead = self._dead, 0
            what = "1 event" if number == 1 else f"{number} events"
            self._tell(
                "dead_letters",
                "warning",
                f"sink {self._sink}: {what} not delivered and given up ({self._reason}); see gridtop outbox",
                number,
            )

    def resting(self, reason: str, waiting: int) -> None:
        """Several attempts in a row failed."""
        if self._may_tell("resting"):
            self._rests = True
            self._tell(
                "resting",
                "warning",
                f"sink {self._sink} does not deliver ({reason}); what is owed waits",
                waiting,
            )

    def working(self, waiting: int) -> None:
        """It delivers again after it rested."""
        if self._rests:
            self._rests = False
            self._tell("working", "info", f"sink {self._sink} delivers again", waiting)

    def gone(self, reason: str, waiting: int) -> None:
        """The receiver wants no more."""
        self._tell(
            "gone",
            "warning",
            f"sink {self._sink} is switched off: its receiver wants no more ({reason}); what is owed is kept",
            waiting,
        )

    def _may_tell(self, trouble: _Trouble) -> bool:
        told = self._told.get(trouble)
        return told is None or self._clock() - told >= HOUR

    def _tell(self, trouble: _Trouble, severity: Severity, message: str, count: int) -> None:
        self._told[trouble] = self._clock()
        if self._publish is None:
            return
        # The wall clock makes it another event every time, also after a restart.
        text = "\x1f".join((self._sink, trouble, repr(self._wall())))
        self._publish(
            Event(
                id=hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest(),
                kind="system",
                transition="noticed",
                severity=severity,
                rule=self._sink,
                message=message,
                row=0,
                details={"sink": self._sink, "trouble": trouble, "count": count},
            )
        )


def concerns(event: Event, sink: str) -> bool:
    """Whether an event is about this very sink, which must not get it: it could make another, for ever."""
    return event.kind == "system" and event.details.get("sink") == sink
