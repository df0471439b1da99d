"""Delivery in a storm: so many events a minute, one digest a minute of the rest, and nothing forgotten."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gridtop.api import DeliveryError, Event, Undeliverable
from gridtop.delivery import Delivery
from gridtop.delivery.digest import Allowance, digest_of
from gridtop.subscriptions import Subscription
from tests.outboxes import Clock, MemoryOutbox, Recorder, event, events


class Storm:
    """One sink with an allowance of 30 events a minute."""

    def __init__(self, sink: Recorder, rate: int | None = 30) -> None:
        self.clock = Clock()
        self.outbox = MemoryOutbox(self.clock, "a")
        self.delivery = Delivery(
            self.outbox,
            {"a": (sink, Subscription(rate=rate))},
            wall=self.clock.wall,
            clock=self.clock.monotonic,
            sleep=self.clock.sleep,
            random=lambda: 0.5,
        )

    async def send(self, *new: object) -> None:
        await self.delivery.send(self.outbox.add(*new))  # type: ignore[arg-type]

    async def __aenter__(self) -> Storm:
        await self.clock.finish(self.delivery.open())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.clock.finish(self.delivery.close(0.1))


async def test_beyond_twice_the_rate_at_once_one_digest_a_minute_later_tells_the_rest() -> None:
    sink = Recorder()
    async with Storm(sink) as storm:
        await storm.send(*events(500))
        await storm.clock.run(59)
        assert len(sink.got) == 60
        await storm.clock.run(2)
        (digest,) = sink.got[60:]
        assert (digest.kind, digest.rule, digest.incident) == ("system", "digest", "")
        assert digest.details["count"] == 440
        assert digest.message.startswith("440 alarms in ")
        assert "message 60;" in digest.message
        assert digest.message.endswith("message 499")
        assert not storm.outbox.owed["a"]
        assert list(storm.outbox.fate["a"].values()).count("digested") == 440
        assert storm.delivery.counters()["suppressed"]["a"] == {"digest": 440}
        assert storm.delivery.counters()["delivered"]["a"] == {"": 60}


async def test_in_a_long_storm_a_receiver_gets_its_rate_and_one_digest_a_minute() -> None:
    sink = Recorder()
    async with Storm(sink) as storm:
        for i in range(600):
            await storm.send(*events(10, first=10 * i))
            await storm.clock.run(1)
        await storm.clock.run(120)
        digests = [one for one in sink.got if one.rule == "digest"]
        assert 9 <= len(digests) <= 11
        singles = len(sink.got) - len(digests)
        assert singles <= 60 + 30 * 11
        assert singles + sum(int(str(one.details["count"])) for one in digests) == 6000
        assert not storm.outbox.owed["a"]


async def test_a_few_events_too_many_come_one_by_one_within_a_minute() -> None:
    sink = Recorder()
    async with Storm(sink) as storm:
        await storm.send(*events(80))
        await storm.clock.run(1)
        assert len(sink.got) == 60
        await storm.clock.run(45)
        assert sink.ids == [str(i) for i in range(80)]


async def test_without_a_rate_there_are_no_digests_but_a_sink_that_pages_people_has_a_usual_one() -> None:
    class Pager(Recorder):
        usual_rate = 5

    sink, pager, busy_pager = Recorder(), Pager(), Pager()
    for one, rate, expected in ((sink, None, 500), (pager, None, 10), (busy_pager, 100, 200)):
        async with Storm(one, rate) as storm:
            await storm.send(*events(500))
            await storm.clock.run(30)
            assert len(one.got) == expected


async def test_a_digest_that_fails_is_repeated_with_the_same_id_and_covers_the_same_events() -> None:
    sink = Recorder(*[None] * 1, OSError("down"), DeliveryError("busy", retry_after=100))
    async with Storm(sink) as storm:
        await storm.send(*events(60))
        await storm.clock.run(0.1)
        await storm.send(*events(100, first=60))
        await storm.clock.run(62)
        await storm.send(*events(10, first=200))
        await storm.clock.run(200)
        attempts = [batch[0] for batch in sink.sends if batch[0].rule == "digest"]
        assert len(attempts) == 3
        assert len({one.id for one in attempts}) == 1
        assert [one.details["count"] for one in sink.got if one.rule == "digest"] == [100]
        assert len(sink.got) == 60 + 1 + 10


async def test_when_the_receiver_is_down_in_a_storm_all_is_owed_until_it_is_back() -> None:
    sink = Recorder(None, *[OSError("down")] * 40)
    async with Storm(sink) as storm:
        await storm.send(*events(60))
        await storm.clock.run(0.1)
        await storm.send(*events(100, first=60))
        await storm.clock.run(600)
        assert len(storm.outbox.owed["a"]) == 100
        assert storm.delivery.status()[0].state == "resting"
        sink.failures.clear()
        await storm.clock.run(200)
        assert not storm.outbox.owed["a"]
        counted = sum(int(str(one.details.get("count", 1))) for one in sink.got)
        assert counted == 160


async def test_a_digest_that_is_refused_makes_dead_letters_of_what_it_covers() -> None:
    sink = Recorder(refuse=lambda one: Undeliverable("what is that") if one.rule == "digest" else None)
    async with Storm(sink) as storm:
        await storm.send(*events(160))
        await storm.clock.run(70)
        assert list(storm.outbox.fate["a"].values()).count("dead") == 100


async def test_closing_in_a_storm_tells_the_rest_in_a_digest_at_once() -> None:
    sink = Recorder()
    async with Storm(sink) as storm:
        await storm.send(*events(160))
        await storm.clock.run(5)
        began = storm.clock.now
        await storm.clock.finish(storm.delivery.close(10.0))
        assert storm.clock.now - began < 1.0
        assert sink.got[-1].details["count"] == 100
        assert not storm.outbox.owed["a"]


def test_a_digest_has_the_worst_of_what_it_covers_and_an_id_that_follows_from_it() -> None:
    covered = [
        event("0", severity="warning", priority="high"),
        event("1", severity="critical", priority="low", kind="fault"),
        event("2", severity="info", transition="cleared", channel="R1\x1b[2J"),
    ]
    published = [one.published(i + 5, 100.0 + 7 * i) for i, one in enumerate(covered)]
    digest = digest_of(published)
    assert (digest.severity, digest.priority) == ("critical", "high")
    assert (digest.seq, digest.wall) == (7, 114.0)
    assert digest.message.startswith("3 events in 14 s: first r raised: message 0; last r R1")
    assert "\x1b" not in digest.message
    assert digest.details["raised"] == 2
    assert digest.as_alert() == {"type": "digest", "count": 3, "message": digest.message}
    assert Event.from_dict(digest.to_dict()) == digest
    assert digest.id == digest_of([one.published(1, 1.0) for one in covered]).id
    assert digest.id != digest_of(published[:2]).id


@pytest.mark.parametrize("rate", [1, 30, 1000])
def test_an_allowance_is_the_rate_and_in_a_burst_twice_the_rate(rate: int) -> None:
    clock = Clock()
    allowance = Allowance(rate, clock.monotonic)
    taken: Callable[[], int] = lambda: allowance.take(10**6)  # noqa: E731
    assert taken() == 2 * rate
    assert taken() == 0
    clock.now += allowance.pause
    assert taken() == 1
    clock.now += 60.0
    assert taken() == rate
    clock.now += 6000.0
    assert taken() == 2 * rate
