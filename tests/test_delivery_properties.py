"""Delivery: whatever fails, in whatever order and with whatever crashes, each event meets its fate once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from gridtop.api import DeliveryError, Event, Undeliverable
from gridtop.delivery import Delivery
from gridtop.subscriptions import Subscription
from tests.outboxes import Clock, MemoryOutbox, Recorder, event

OUTCOMES = ("taken", "taken", "taken", "fails", "busy", "refused", "hangs", "lost answer")


class Moody(Recorder):
    """Does what the script says, attempt by attempt, and then works; checks the order all the time."""

    def __init__(self, name: str, script: list[str], poison: set[int], outbox: MemoryOutbox) -> None:
        super().__init__()
        self.name = name
        self.script = script
        self.poison = poison
        self.outbox = outbox
        self.behind: dict[str, int] = {}
        self.out_of_order: list[Event] = []

    async def send(self, events: Sequence[Event]) -> None:
        self.sends.append(list(events))
        for one in events:
            if one.incident:
                older = [e for e in self.outbox.owed[self.name] if e < one.seq]
                if any(self.outbox.events[e].incident == one.incident for e in older):
                    self.out_of_order.append(one)
        outcome = self.script.pop(0) if self.script else "taken"
        if outcome == "hangs":
            await asyncio.Event().wait()
        if outcome == "fails":
            raise OSError("down")
        if outcome == "busy":
            raise DeliveryError("busy", retry_after=7.0)
        if outcome == "refused" or any(one.seq in self.poison for one in events if one.rule != "digest"):
            raise Undeliverable("no")
        self.got += events
        if outcome == "lost answer":
            raise ConnectionResetError("lost answer")


@dataclass(frozen=True)
class Case:
    steps: list[tuple[str, int]]
    script: list[str]
    other_script: list[str]
    poison: set[int]
    batch: int
    at_once: int
    rate: int | None


CASES = st.builds(
    Case,
    steps=st.lists(
        st.tuples(
            st.sampled_from(["add", "add", "wait", "crash", "stop", "outbox breaks"]), st.integers(1, 40)
        ),
        max_size=12,
    ),
    script=st.lists(st.sampled_from(OUTCOMES), max_size=40),
    other_script=st.lists(st.sampled_from(OUTCOMES), max_size=10),
    poison=st.sets(st.integers(1, 100), max_size=10),
    batch=st.sampled_from([1, 3, 64]),
    at_once=st.integers(1, 4),
    rate=st.sampled_from([None, 2, 20]),
)


@settings(max_examples=150)
@given(case=CASES)
def test_every_event_ends_delivered_dead_or_digested_exactly_once_and_in_order(case: Case) -> None:
    asyncio.run(_play(case))


async def _play(case: Case) -> None:
    clock = Clock()
    outbox = MemoryOutbox(clock, "a", "b")
    a = Moody("a", list(case.script), case.poison, outbox)
    b = Moody("b", list(case.other_script), set(), outbox)
    a.batch, a.at_once = case.batch, case.at_once  # type: ignore[attr-defined]

    async def start() -> Delivery:
        delivery = Delivery(
            outbox,
            {"a": (a, Subscription(rate=case.rate)), "b": (b, Subscription())},
            wall=clock.wall,
            clock=clock.monotonic,
            sleep=clock.sleep,
            random=lambda: 0.7,
        )
        await clock.finish(delivery.open())
        return delivery

    delivery = await start()
    number = 0
    for step, size in case.steps:
        if step == "add":
            new = [event(str(i), f"incident {i % 4}" if i % 5 else "") for i in range(number, number + size)]
            number += size
            await delivery.send(outbox.add(*new))
        elif step == "wait":
            await clock.run(size / 3)
        elif step == "outbox breaks":
            outbox.broken = True
            await clock.run(size)
            outbox.broken = False
        else:
            await clock.run(0.01 * size)
            await clock.finish(delivery.close(0.0 if step == "crash" else 10.0))
            delivery = await start()
    # Storms of 2 a minute and 40 bad attempts take their time.
    await clock.until(lambda: not any(outbox.owed.values()), 24 * 3600)
    await clock.finish(delivery.close())
    for sink in (a, b):
        assert not outbox.owed[sink.name]
        fate = outbox.fate[sink.name]
        assert set(fate) == set(range(1, number + 1))
        assert not sink.out_of_order
        received = {one.id for one in sink.got}
        assert all(outbox.events[seq].id in received for seq, end in fate.items() if end == "delivered")
        digests = [one for one in sink.got if one.rule == "digest"]
        assert bool(digests) >= ("digested" in fate.values())
    assert not outbox.ended_again
    if not case.script and not case.other_script and case.rate is None:
        assert {seq for seq, end in outbox.fate["a"].items() if end == "dead"} == {
            seq for seq in case.poison if seq <= number
        }
