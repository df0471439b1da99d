"""Dispatching: one sink gets what the outbox says it is owed, at least once and in order of each incident.

Each sink has a loop of its own, so that none waits for another.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Literal

from gridtop.client import SinkStatus
from gridtop.contracts import Sink
from gridtop.delivery.attempts import Attempts
from gridtop.delivery.counters import Counters
from gridtop.delivery.digest import MINUTE, Allowance
from gridtop.delivery.notices import Notices, concerns
from gridtop.delivery.receiver import PATIENCE, Receiver, Sleep, reason
from gridtop.events import Event
from gridtop.outbox import Outbox, Owed
from gridtop.subscriptions import Subscription

PAGE = 64
"""Events read from the outbox at once, and sent at once where the class of the sink says no `batch`."""

MOST_AT_ONCE = 4
"""Sends under way at most, whatever the class of the sink says."""

LARGEST_DIGEST = 5000
"""Events that one digest stands for at most."""

TRIED_ALONE = 6
"""Failed tries after which an event is sent alone: it may be the one that spoils the batch."""

LONGEST_REST = 5.0
"""Seconds between looks into the outbox, which `gridtop outbox` may have changed."""

_BETWEEN_COUNTS = 1.0
"""Seconds for which a count of what is owed is good enough."""

_log = logging.getLogger(__name__)


class Dispatcher:
    """Serves one sink from the outbox until it is closed.

    `wall` gives seconds since 1970, `clock` monotonic seconds, `random` numbers from 0 to 1. `publish`
    takes events about the sink.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        subscription: Subscription,
        outbox: Outbox,
        publish: Callable[[Event], None] | None,
        wall: Callable[[], float],
        clock: Callable[[], float],
        sleep: Sleep,
        random: Callable[[], float],
    ) -> None:
        self.name = name
        self.receiver = Receiver(name, sink, getattr(sink, "patience", PATIENCE), sleep)
        self._batch: int = max(1, getattr(sink, "batch", PAGE))
        self._at_once: int = min(max(1, getattr(sink, "at_once", 1)), MOST_AT_ONCE)
        self._outbox = outbox
        self._wall = wall
        self._clock = clock
        self._sleep = sleep
        self._ahead = wall() - clock()
        rate = subscription.rate if subscription.rate is not None else getattr(sink, "usual_rate", None)
        self._allowance = Allowance(rate, clock)
        self._notices = Notices(name, publish, wall, clock)
        self._attempts = Attempts(self.receiver, outbox, self._notices, self._now, clock, sleep, random)
        self._page: deque[Owed] = deque()
        self._under_way: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._digesting: asyncio.Task[None] | None = None
        self._storm_over: float | None = None
        self._count_at = -math.inf
        self._ending: float | None = None
        self._awake = asyncio.Event()
        self._trouble = ""
        self._loop: asyncio.Task[None] | None = None

    @property
    def status(self) -> SinkStatus:
        """How the sink does; what is owed is as it was a second ago at most, while the sink is served."""
        attempts = self._attempts
        waiting, dead = attempts.backlog.waiting, attempts.backlog.dead
        delivered = self.counters.total("delivered")
        return SinkStatus(self.name, self._state, waiting, dead, delivered, self._problem)

    @property
    def problem(self) -> str:
        """One line when it cannot deliver now."""
        waiting = self._attempts.backlog.waiting
        return f"sink {self.name}: {self._problem}; {waiting} waiting" if self._problem else ""

    @property
    def counters(self) -> Counters:
        """What was counted since the start."""
        return self._attempts.counters

    @property
    def _problem(self) -> str:
        return self._attempts.problem or self._attempts.trouble or self._trouble

    @property
    def _state(self) -> Literal["working", "retrying", "resting", "gone"]:
        if self._attempts.gone:
            return "gone"
        if self._attempts.breaker.resting:
            return "resting"
        return "retrying" if self._problem else "working"

    def start(self, failure: BaseException | None = None) -> None:
        """Begin to serve it; `failure` is what kept it from opening, which is tried again with the first
        event."""
        if failure is not None:
            self._attempts.problem = f"cannot be opened ({reason(failure)})"
        self._loop = asyncio.create_task(self._serve(), name=f"sink {self.name}")

    def wake(self) -> None:
        """There may be something new in the outbox."""
        self._count_soon()
        self._awake.set()

    async def close(self, deadline: float) -> None:
        """Deliver what can be delivered within `deadline` seconds, leave the rest owed, close the sink."""
        if self._loop is not None:
            self._ending = self._clock() + deadline
            self.wake()
            timer = asyncio.ensure_future(self._sleep(deadline))
            await asyncio.wait((self._loop, timer), return_when=asyncio.FIRST_COMPLETED)
            timer.cancel()
            for task in (self._loop, *self._tasks):
                task.cancel()
            await asyncio.gather(self._loop, *self._tasks, return_exceptions=True)
        problem = await self.receiver.close()
        self._attempts.problem = self._attempts.problem or problem
        try:
            await self._attempts.count()
        except Exception as error:
            self._trouble = f"has an outbox that cannot be read ({reason(error)})"

    async def _serve(self) -> None:
        while True:
            self._awake.clear()
            try:
                pause = await self._advance()
                self._trouble = ""
            except Exception as error:
                self._trouble = f"has an outbox that cannot be read ({reason(error)})"
                pause = LONGEST_REST
            if self._ending is not None and not self._tasks and pause >= self._ending - self._clock():
                return
            await self._rest(min(pause, max(0.0, self._count_at - self._clock())))

    async def _advance(self) -> float:
        """Begin what can be begun now; how many seconds later to look again, unless woken (inf: no idea)."""
        attempts = self._attempts
        if self._clock() >= self._count_at:
            await self._count()
        self._notices.remind()
        if attempts.gone or self._digesting is not None or len(self._tasks) >= self._at_once:
            return math.inf
        if attempts.breaker.resting or attempts.hold:
            self._page.clear()
            return max(attempts.breaker.pause, attempts.hold) or await self._probe()
        if self._storm_over is not None:
            return await self._end_storm(self._storm_over)
        if not self._page:
            self._page.extend(await self._due(PAGE))
        return await self._send_page() if self._page else await self._until_due()

    async def _send_page(self) -> float:
        while self._page and len(self._tasks) < self._at_once:
            granted = self._allowance.take(self._together())
            if not granted:
                return await self._exceed()
            self._begin([self._page.popleft() for _ in range(granted)])
        return 0.0

    def _together(self) -> int:
        """How many events from the front of the page go into one send."""
        if self._page[0].tries >= TRIED_ALONE:
            return 1
        number = 1
        for owed in list(self._page)[1 : self._batch]:
            if owed.tries >= TRIED_ALONE:
                break
            number += 1
        return number

    async def _probe(self) -> float:
        """A receiver that rested is tried with a single event."""
        if self._tasks:
            return math.inf
        owed = await self._due(PAGE)
        if not owed:
            return await self._until_due()
        self._allowance.take(1)
        self._begin([self._attempts.probe(owed)], probing=self._attempts.breaker.resting)
        return math.inf

    async def _exceed(self) -> float:
        """The allowance is used up: either it is soon enough again, or this is a storm."""
        await self._count()
        waiting = self._attempts.backlog.waiting - len(self._under_way)
        few = 1 if self._ending is not None else self._allowance.rate or 0
        if waiting <= few:
            return self._allowance.pause
        self._page.clear()
        self._storm_over = self._clock() + MINUTE
        return MINUTE if self._ending is None else 0.0

    async def _end_storm(self, over: float) -> float:
        """When a minute has passed, tell in one event what came in it."""
        left = over - self._clock()
        if left > 0 and self._ending is None:
            return left
        if self._tasks:
            return math.inf
        self._storm_over = None
        covered = await self._due(LARGEST_DIGEST)
        few = 1 if self._ending is not None else self._allowance.rate or 0
        if len(covered) <= few:
            self._page.extend(covered)
            return self._allowance.pause
        self._digesting = self._run(self._attempts.tell_digest(covered), covered)
        return math.inf

    async def _due(self, limit: int) -> Sequence[Owed]:
        """What is due and not under way; what is about the sink itself is left out for good."""
        # Taken first: what is settled while the outbox answers may still be in the answer.
        busy = set(self._under_way)
        owed = await self._outbox.due(self.name, self._now(), limit + len(busy))
        free = [one for one in owed if one.event.seq not in busy]
        if own := [one for one in free if concerns(one.event, self.name)]:
            await self._attempts.keep_from(own)
        return [one for one in free if not concerns(one.event, self.name)]

    async def _until_due(self) -> float:
        """Seconds until something is due, if that is soon; asked when nothing is."""
        now = self._now()
        ahead = LONGEST_REST if self._ending is None else max(0.0, self._ending - self._clock())
        busy = set(self._under_way)
        soon = await self._outbox.due(self.name, now + ahead, PAGE + len(busy))
        return min((max(0.0, one.due - now) for one in soon if one.event.seq not in busy), default=math.inf)

    async def _count(self) -> None:
        # First, because an outbox that cannot be read must not be asked again at once.
        self._count_at = self._clock() + LONGEST_REST
        await self._attempts.count()

    def _begin(self, batch: Sequence[Owed], probing: bool = False) -> None:
        self._run(self._attempts.deliver(batch, probing), batch)

    def _run(self, work: Coroutine[Any, Any, None], owed: Sequence[Owed]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"send {self.name}")
        seqs = {one.event.seq for one in owed}
        self._under_way |= seqs
        self._tasks.add(task)
        task.add_done_callback(partial(self._finish, seqs))
        return task

    def _finish(self, seqs: set[int], task: asyncio.Task[None]) -> None:
        self._under_way -= seqs
        self._tasks.discard(task)
        if task is self._digesting:
            self._digesting = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("sink %s: an attempt could not be settled", self.name, exc_info=error)
        self._count_soon()
        self._awake.set()

    def _count_soon(self) -> None:
        self._count_at = min(self._count_at, self._clock() + _BETWEEN_COUNTS)

    async def _rest(self, seconds: float) -> None:
        woken, timer = asyncio.ensure_future(self._awake.wait()), asyncio.ensure_future(self._sleep(seconds))
        try:
            await asyncio.wait((woken, timer), return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            timer.cancel()

    def _now(self) -> float:
        """Seconds since 1970 that never go back: a clock that is set back must not stop the attempts."""
        self._ahead = max(self._ahead, self._wall() - self._clock())
        return self._clock() + self._ahead
