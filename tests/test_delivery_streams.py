"""Streams: sinks that end with the process get events as they are published, and nothing is kept for them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gridtop.api import Event
from gridtop.delivery import Delivery, streams
from gridtop.subscriptions import Subscription
from tests.outboxes import Clock, MemoryOutbox, Recorder, event, events


class Passing(Recorder):
    """What a console is like."""

    durable = False


def delivery(
    clock: Clock,
    sinks: dict[str, Recorder],
    subscription: Subscription | None = None,
    told: Callable[[], None] = lambda: None,
    **extra: Recorder,
) -> Delivery:
    chosen = {name: (sink, subscription or Subscription()) for name, sink in sinks.items()}
    return Delivery(
        MemoryOutbox(clock),
        chosen,
        extra,
        told,
        wall=clock.wall,
        clock=clock.monotonic,
        sleep=clock.sleep,
        random=lambda: 1.0,
    )


async def test_streams_get_every_event_in_order_without_an_outbox() -> None:
    clock, first, second = Clock(), Passing(), Recorder()
    line = delivery(clock, {"console": first}, stdout=second)
    await clock.finish(line.open())
    for one in events(600):
        await clock.finish(line.send([one]))
    await clock.finish(line.close(0.5))
    assert first.ids == second.ids == [str(i) for i in range(600)]
    assert first.closed
    assert line.dropped == 0
    assert [(one.name, one.state, one.delivered) for one in line.status()] == [
        ("console", "working", 600),
        ("stdout", "working", 600),
    ]


async def test_a_stream_that_fails_gets_its_events_again_until_it_takes_them() -> None:
    clock, flaky = Clock(), Passing(OSError("disk full"), ValueError("odd"), TimeoutError())
    line = delivery(clock, {"a": flaky})
    await clock.finish(line.open())
    await clock.finish(line.send(events(20)))
    await clock.run(0.1)
    assert line.problems == ("sink a: does not deliver (disk full); 20 waiting",)
    await clock.run(5)
    assert flaky.ids == [str(i) for i in range(20)]
    assert line.problems == ()
    await clock.finish(line.close())


async def test_a_stuck_stream_does_not_keep_events_from_the_others_and_is_counted() -> None:
    clock, stuck, well = Clock(), Passing(stuck=True), Passing()
    line = delivery(clock, {"stuck": stuck, "well": well})
    await clock.finish(line.open())
    await clock.finish(line.send(events(30)))
    await clock.finish(line.close(0.5))
    assert len(well.got) == 30
    assert line.dropped == 30
    assert line.counters()["dropped"] == {"stuck": {"closed": 30}, "well": {}}


async def test_a_slow_stream_makes_a_replay_wait_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "CAPACITY", 10)
    clock, slow = Clock(), Passing()
    slow.takes = lambda: clock.sleep(1.0)
    line = delivery(clock, {"slow": slow})
    await clock.finish(line.open())
    await clock.finish(line.send(events(100)))
    assert clock.now >= 8.0
    await clock.finish(line.close(20.0))
    assert len(slow.got) == 100


async def test_a_dead_stream_loses_the_newest_events_when_its_queue_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "CAPACITY", 10)
    clock, dead = Clock(), Passing(*[OSError("gone")] * 100)
    line = delivery(clock, {"dead": dead})
    await clock.finish(line.open())
    await line.send(events(1))
    await clock.until(lambda: bool(line.problems))
    await line.send(events(40))
    assert line.dropped == 30
    assert line.problems == ("sink dead: does not deliver (gone); 1 waiting",)
    await clock.finish(line.close(0.05))
    assert line.dropped == 41


async def test_a_reader_that_went_away_is_told_and_ends_the_attempts() -> None:
    told: list[bool] = []
    clock, out = Clock(), Recorder(BrokenPipeError())
    line = delivery(clock, {}, told=lambda: told.append(True), out=out)
    await clock.finish(line.open())
    for one in events(3):
        await clock.finish(line.send([one]))
        await clock.run(1)
    assert told == [True]
    assert line.dropped == 3
    assert len(out.sends) == 1
    assert line.status()[0].state == "gone"
    await clock.finish(line.close())


async def test_a_configured_stream_gets_what_it_wants_and_an_extra_one_all() -> None:
    clock, choosy, out = Clock(), Passing(), Recorder()
    line = delivery(clock, {"choosy": choosy}, Subscription(severity="critical"), out=out)
    await clock.finish(line.open())
    both: list[Event] = [event("w"), event("c", severity="critical")]
    await clock.finish(line.send(both))
    await clock.finish(line.close())
    assert choosy.ids == ["c"]
    assert out.ids == ["w", "c"]


async def test_a_stream_with_a_rate_gets_a_digest_of_what_is_beyond() -> None:
    clock, sink = Clock(), Passing()
    line = delivery(clock, {"a": sink}, Subscription(rate=10))
    await clock.finish(line.open())
    await line.send(events(50))
    await clock.run(61)
    assert [one.details.get("count") for one in sink.got] == [None] * 20 + [30]
    await line.send(events(50))
    await clock.finish(line.close())
    assert sink.got[-1].details["count"] == 40
    assert line.counters()["suppressed"] == {"a": {"digest": 70}}
