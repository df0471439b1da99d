"""Attempts: what is sent to one sink, and what comes of it in the outbox, in the counters and in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from gridtop.delivery.breaker import Breaker
from gridtop.delivery.counters import Counters
from gridtop.delivery.digest import digest_of
from gridtop.delivery.notices import Notices
from gridtop.delivery.receiver import Receiver, Sleep, reason
from gridtop.delivery.retry import pause_after, requested_pause, why_given_up
from gridtop.errors import DeliveryError, ReceiverGone, Undeliverable
from gridtop.events import Event
from gridtop.outbox import Backlog, Outbox, Owed

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
"""Seconds between attempts to write an outcome down."""


class Attempts:
    """Makes the attempts for one sink and settles them.

    `now` is seconds since 1970 as the outbox understands them, `clock` monotonic seconds, `random` gives
    numbers from 0 to 1.
    """

    def __init__(
        self,
        receiver: Receiver,
        outbox: Outbox,
        notices: Notices,
        now: Callable[[], float],
        clock: Callable[[], float],
        sleep: Sleep,
        random: Callable[[], float],
    ) -> None:
        self._name = receiver.name
        self._receiver = receiver
        self._outbox = outbox
        self._notices = notices
        self._now = now
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._hold_until = 0.0
        self._probes: Counter[int] = Counter()
        """How often an event was tried while the sink rested: that is not put to its account."""
        self.breaker = Breaker(clock)
        self.counters = Counters()
        self.backlog = Backlog(0, 0, 0.0)
        """As it was counted last."""
        self.gone = False
        self.problem = ""
        """Of the sink, in words; empty when there is none."""
        self.trouble = ""
        """The same of its outbox."""

    @property
    def hold(self) -> float:
        """Seconds for which the receiver asked to be left alone."""
        return max(0.0, self._hold_until - self._clock())

    async def count(self) -> None:
        """Ask the outbox how much is owed."""
        self.backlog = await self._outbox.backlog(self._name)

    def probe(self, owed: Sequence[Owed]) -> Owed:
        """Which event a resting sink is tried with: the oldest of those tried least while it rested.

        So an event that alone makes the receiver fail does not keep it from all others.
        """
        return min(owed, key=lambda one: (self._probes[one.event.seq], one.event.seq))

    async def deliver(self, batch: Sequence[Owed], probing: bool = False) -> None:
        """Send a batch and settle it. When its events cannot be delivered together, each is tried alone."""
        failure = await self._send([one.event for one in batch])
        if len(batch) == 1 or not _is_permanent(failure):
            await self._settle(batch, failure, probing)
            return
        for one in batch:
            failure = await self._send([one.event])
            await self._settle([one], failure, probing)
            if failure is not None and not _is_permanent(failure):
                return  # the others are still due

    async def tell_digest(self, covered: Sequence[Owed]) -> None:
        """Send one event for many until it is delivered; while the sink rests, they are owed as before."""
        digest, seqs = digest_of([one.event for one in covered]), _seqs(covered)
        told = f"told in digest {digest.id}"
        tries = 0
        while True:
            failure = await self._send([digest])
            if failure is None:
                self._answered()
                self.counters.add("suppressed", "digest", len(covered))
                await self._write(lambda: self._outbox.digested(self._name, seqs, told))
                return
            if isinstance(failure, Undeliverable):
                await self._settle(covered, failure, False)
                return
            self._failed(failure)
            if self.breaker.resting:
                return
            await self._sleep(pause_after(tries, _retry_after(failure), self._random))
            tries += 1

    async def keep_from(self, own: Sequence[Owed]) -> None:
        """Take events about the sink itself off its account."""
        self.counters.add("suppressed", "itself", len(own))
        why = "about the sink itself"
        await self._write(lambda: self._outbox.digested(self._name, _seqs(own), why))

    async def _send(self, events: Sequence[Event]) -> Exception | None:
        try:
            await self._receiver.send(events)
        except Exception as error:
            return error
        return None

    async def _settle(self, batch: Sequence[Owed], failure: Exception | None, probing: bool) -> None:
        seqs = _seqs(batch)
        if failure is None:
            self._answered()
            self.counters.add("delivered", "", len(batch))
            await self._write(lambda: self._outbox.delivered(self._name, seqs))
        elif isinstance(failure, ReceiverGone):
            text = reason(failure)
            self.gone, self.problem = True, f"its receiver wants no more ({text})"
            self.counters.add("failed", "gone")
            await self._write(lambda: self._outbox.postponed(self._name, seqs, self._now(), text))
            self._notices.gone(text, self.backlog.waiting)
        elif isinstance(failure, Undeliverable):
            self._answered()
            self.counters.add("failed", "refused")
            await self._bury(batch, "refused", reason(failure))
        else:
            self._failed(failure)
            await self._put_off(batch, failure, probing)

    async def _put_off(self, batch: Sequence[Owed], failure: Exception, probing: bool) -> None:
        """Say when the events are due again, and give up those that were tried often or long enough."""
        text = reason(failure)
        left: list[Owed] = []
        for one in batch:
            seq = one.event.seq
            if probing:
                self._probes[seq] += 1
            tries = one.tries + (not probing)
            why = why_given_up(tries, tries + self._probes[seq], self._now() - one.event.wall)
            if why:
                await self._bury([one], why, text)
            else:
                left.append(one)
        if not left or probing:
            return
        pause = pause_after(max(one.tries for one in left), _retry_after(failure), self._random)
        self.counters.add("retried", _kind(failure), len(left))
        due = self._now() + pause
        await self._write(lambda: self._outbox.postponed(self._name, _seqs(left), due, text))

    async def _bury(self, batch: Sequence[Owed], why: str, text: str) -> None:
        self.counters.add("dead", why, len(batch))
        await self._write(lambda: self._outbox.buried(self._name, _seqs(batch), text))
        self._notices.dead(len(batch), text)

    def _answered(self) -> None:
        """The receiver is there, whether it liked what it got or not."""
        self.problem = ""
        self._probes.clear()
        if self.breaker.succeeded():
            self._notices.working(self.backlog.waiting)

    def _failed(self, failure: Exception) -> None:
        requested = requested_pause(_retry_after(failure))
        if requested:
            self._hold_until = self._clock() + requested
        self.counters.add("failed", _kind(failure))
        text = reason(failure)
        opened = self.breaker.failed(requested)
        self.problem = (
            "rests, because it does" if self.breaker.resting else "does"
        ) + f" not deliver ({text})"
        if opened:
            self._notices.resting(text, self.backlog.waiting)

    async def _write(self, outcome: Callable[[], Awaitable[None]]) -> None:
        """Write an outcome down, however often that takes: else what was delivered would be sent again."""
        pause = _FIRST_PAUSE
        while True:
            try:
                await outcome()
                break
            except Exception as error:
                self.trouble = f"has an outbox that cannot be written ({reason(error)})"
            await self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        self.trouble = ""


def _is_permanent(failure: Exception | None) -> bool:
    """Whether these events, but not all events, cannot be delivered."""
    return isinstance(failure, Undeliverable) and not isinstance(failure, ReceiverGone)


def _retry_after(failure: Exception) -> float | None:
    return failure.retry_after if isinstance(failure, DeliveryError) else None


def _kind(failure: Exception) -> str:
    """A failure in one of a few words, for counters."""
    if isinstance(failure, TimeoutError):
        return "timeout"
    return "error" if _retry_after(failure) is None else "busy"


def _seqs(owed: Sequence[Owed]) -> list[int]:
    return [one.event.seq for one in owed]
