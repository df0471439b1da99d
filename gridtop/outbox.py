"""What is owed to sinks: the face of the journal that delivery works from (docs/delivery.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gridtop.events import Event


@dataclass(frozen=True, slots=True)
class Owed:
    """An event that a sink has yet to get: how often that was tried, and when it is due again (seconds
    since 1970)."""

    event: Event
    tries: int
    due: float


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much is owed to one sink, and since when (seconds since 1970; 0 when nothing is)."""

    waiting: int
    dead: int
    oldest: float


class Outbox(Protocol):
    """Keeps what is owed to each sink. Every change is on disk when the call returns."""

    async def due(self, sink: str, now: float, limit: int = 64) -> Sequence[Owed]:
        """The oldest events owed to a sink that are due and have no older unfinished event of the same
        incident before them (an event without an incident waits for nothing)."""
        ...

    async def next_due(self, sink: str) -> float | None:
        """When the next event owed to a sink is due (seconds since 1970); None when nothing is owed."""
        ...

    async def delivered(self, sink: str, seqs: Sequence[int]) -> None:
        """These are no longer owed."""
        ...

    async def postponed(self, sink: str, seqs: Sequence[int], due: float, reason: str) -> None:
        """An attempt failed: they are due again then, with one more try to their account."""
        ...

    async def buried(self, sink: str, seqs: Sequence[int], reason: str) -> None:
        """They are dead letters: no longer tried, kept until somebody retries or drops them."""
        ...

    async def digested(self, sink: str, seqs: Sequence[int], reason: str) -> None:
        """They were told in a digest: no longer owed, and counted as suppressed."""
        ...

    async def backlog(self, sink: str) -> Backlog:
        """How much is owed to a sink."""
        ...
