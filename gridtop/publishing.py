"""Publication: an event is committed to the journal, remembered, and handed to all who wait for it."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from operator import attrgetter

from gridtop.delivery import Delivery
from gridtop.events import SEVERITIES, Event, Severity
from gridtop.journal import Journal, Saved

REMEMBERED = 20_000
"""Events kept in memory for clients that ask for the past; older ones are read from the journal."""


class Publishing:
    """What one run has published, in order of sequence numbers.

    `journal` is open; whoever made it and the delivery closes them.
    """

    def __init__(self, journal: Journal, delivery: Delivery, wall: Callable[[], float]) -> None:
        self._journal = journal
        self._delivery = delivery
        self._wall = wall
        self._events: deque[Event] = deque(maxlen=REMEMBERED)
        self._news = asyncio.Condition()
        self._in_order = asyncio.Lock()
        self._under_way: set[asyncio.Task[tuple[Event, ...]]] = set()
        self._outgoing: deque[tuple[Event, ...]] = deque()
        self._handing = asyncio.Lock()
        self.seq = journal.newest
        """The number of the newest event there has been."""
        self.worst: Severity | None = None
        """The worst severity that any alarm has reached in this run."""
        self.by_severity: Counter[str] = Counter()

    async def commit(self, events: Iterable[Event], saved: Saved | None = None) -> tuple[Event, ...]:
        """Put the events on disk, with where the source stands; the next `hand` gives them to the sinks.

        Returns them as they are told. An event that the journal has already (the same recording is played
        again) is told to those who read this run's output, and to nobody else. What has begun is completed,
        even if whoever asked for it is cancelled.
        """
        task = asyncio.create_task(self._commit(tuple(events), saved), name="commit")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def hand(self) -> None:
        """Hand what is committed to the sinks, in order; waits for slow streams, never for a sink with an
        outbox."""
        async with self._handing:
            while self._outgoing:
                await self._delivery.send(self._outgoing.popleft())

    async def settle(self) -> None:
        """Wait for the commits that are under way: what they say they said to whoever asked for them."""
        while self._under_way:
            await asyncio.wait(tuple(self._under_way))

    async def _commit(self, events: tuple[Event, ...], saved: Saved | None) -> tuple[Event, ...]:
        async with self._in_order:
            published = await self._journal.commit(events, saved)
            self._events.extend(published)
            self.seq = max(self.seq, *(event.seq for event in published), 0)
            for event in events:
                self.by_severity[event.severity] += 1
                if event.transition in ("raised", "escalated"):
                    self.worst = max(self.worst or "info", event.severity, key=SEVERITIES.index)
            new = {event.id: event for event in published}
            told = tuple(new.get(event.id) or replace(event, wall=self._wall()) for event in events)
            if told:
                self._outgoing.append(told)
        if published:
            async with self._news:
                self._news.notify_all()
        return told

    def events(self, after: int = 0, limit: int = 500) -> tuple[Event, ...]:
        """The oldest `limit` remembered events with a sequence number above `after`."""
        if not self._events or after >= self.seq:
            return ()
        first = bisect_right(self._events, after, key=attrgetter("seq"))
        return tuple(self._events[i] for i in range(first, min(len(self._events), first + limit)))

    async def past_events(self, after: int = 0, limit: int = 500) -> Sequence[Event]:
        """The oldest `limit` events that are still kept with a sequence number above `after`."""
        if after >= self.seq or (self._events and after + 1 >= self._events[0].seq):
            return self.events(after, limit)
        return await self._journal.events(after, limit)

    async def published(self, after: int) -> None:
        """Wait until there is an event with a sequence number above `after`."""
        async with self._news:
            await self._news.wait_for(lambda: self.seq > after)
