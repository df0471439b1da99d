"""How much one client may have: alerts a minute, streams at once, tickets for a browser's stream."""

from __future__ import annotations

import contextlib
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

TICKET_SECONDS = 30.0
"""How long a ticket can be used."""

_MOST_TICKETS = 256
_MOST_CLIENTS = 1024

Holder = TypeVar("Holder")


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float


class RateLimit:
    """So many a minute for each client, in one go if it likes: a token bucket a client.

    `clock` is monotonic seconds.
    """

    def __init__(self, a_minute: int, clock: Callable[[], float]) -> None:
        self._size = float(a_minute)
        self._clock = clock
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def wait(self, client: str) -> float:
        """Take one: 0 when there was one, else the seconds until there is one again."""
        now = self._clock()
        bucket = self._buckets.setdefault(client, _Bucket(self._size, now))
        self._buckets.move_to_end(client)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)
        bucket.tokens = min(self._size, bucket.tokens + (now - bucket.at) * self._size / 60.0)
        bucket.at = now
        if bucket.tokens >= 1.0:
            bucket.tokens -= 1.0
            return 0.0
        return (1.0 - bucket.tokens) * 60.0 / self._size


class Slots:
    """How many of something each client has open, of which it may have `most`."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._taken: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """How many are open, of all clients."""
        return self._taken.total()

    @contextlib.contextmanager
    def one(self, client: str) -> Iterator[bool]:
        """A slot as long as the context lasts; False when the client has no more."""
        if self._taken[client] >= self.most:
            yield False
            return
        self._taken[client] += 1
        try:
            yield True
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]


class Tickets(Generic[Holder]):
    """Words that open one stream, once and soon: a browser's EventSource cannot send a token otherwise.

    `clock` is monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._issued: OrderedDict[str, tuple[Holder, float]] = OrderedDict()

    def issue(self, holder: Holder) -> str:
        """A new ticket for somebody."""
        while self._issued:
            _, until = next(iter(self._issued.values()))
            if until > self._clock() and len(self._issued) < _MOST_TICKETS:
                break
            self._issued.popitem(last=False)
        ticket = secrets.token_urlsafe(24)
        self._issued[ticket] = holder, self._clock() + TICKET_SECONDS
        return ticket

    def redeem(self, ticket: str) -> Holder | None:
        """Whose ticket it is, which is then used up; None when it is not valid."""
        holder, until = self._issued.pop(ticket, (None, 0.0))
        return holder if self._clock() < until else None
