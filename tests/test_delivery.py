"""Delivery: every sink gets every event at least once and in order, whatever happens to the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from gridtop.api import DeliveryError, Event, ReceiverGone, Undeliverable
from gridtop.delivery import Delivery
from gridtop.errors import ConfigurationError
from gridtop.subscriptions import Subscription
from tests.outboxes import Clock, MemoryOutbox, Recorder, event, events


class Setting:
    """Sinks that share an outbox, with what was published about them."""

    def __init__(self, rate: int | None = None, **sinks: Recorder) -> None:
        self.clock = Clock()
        self.outbox = MemoryOutbox(self.clock, *sinks)
        self.sinks = sinks
        self.notices: list[Event] = []
        self.delivery = Delivery(
            self.outbox,
            {name: (sink, Subscription(rate=rate)) for name, sink in sinks.items()},
            publish=self.notices.append,
            wall=self.clock.wall,
            clock=self.clock.monotonic,
            sleep=self.clock.sleep,
            random=lambda: 0.5,
        )

    async def send(self, *new: Event) -> None:
        await self.delivery.send(self.outbox.add(*new))

    def told(self, trouble: str) -> list[Event]:
        return [notice for notice in self.notices if notice.details["trouble"] == trouble]

    def count(self, counted: Any, sink: str) -> dict[str, int]:
        return dict(self.delivery.counters()[counted][sink])


Start = Callable[..., Coroutine[Any, Any, Setting]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    settings: list[Setting] = []

    async def opened(rate: int | None = None, **sinks: Recorder) -> Setting:
        setting = Setting(rate, **sinks)
        settings.append(setting)
        await setting.clock.finish(setting.delivery.open())
        return setting

    yield opened
    for setting in settings:
        await setting.clock.finish(setting.delivery.close(0.1))


async def test_every_sink_gets_every_event_in_order_in_batches(start: Start) -> None:
    first, second = Recorder(), Recorder()
    setting = await start(a=first, b=second)
    await setting.send(*events(600))
    await setting.clock.run(0.1)
    assert first.ids == second.ids == [str(i) for i in range(600)]
    assert max(map(len, first.sends)) == 64
    assert not any(setting.outbox.owed.values())
    assert setting.count("delivered", "a") == {"": 600}
    assert [status.delivered for status in setting.delivery.status()] == [600, 600]


async def test_what_is_owed_from_an_earlier_run_is_delivered_without_anything_new(start: Start) -> None:
    clock_and_outbox = Setting(a=Recorder())
    clock_and_outbox.outbox.add(*events(3))
    await clock_and_outbox.clock.finish(clock_and_outbox.delivery.open())
    await clock_and_outbox.clock.run(0.1)
    assert clock_and_outbox.sinks["a"].ids == ["0", "1", "2"]
    await clock_and_outbox.clock.finish(clock_and_outbox.delivery.close())


async def test_a_stuck_or_dead_sink_delays_neither_the_others_nor_the_caller(start: Start) -> None:
    stuck, dead, well = Recorder(stuck=True), Recorder(*[OSError("down")] * 1000), Recorder()
    setting = await start(stuck=stuck, dead=dead, well=well)
    for one in events(30):
        await setting.send(one)
    await setting.clock.run(0.01)
    assert len(well.got) == 30
    await setting.clock.finish(setting.delivery.close(1.0))
    assert len(setting.outbox.owed["stuck"]) == len(setting.outbox.owed["dead"]) == 30
    assert setting.delivery.dropped == 0


async def test_a_clear_is_never_tried_before_its_raise_is_through(start: Start) -> None:
    sink = Recorder(*[OSError("down")] * 3)
    setting = await start(a=sink)
    await setting.send(event("raise 1", "1"))
    await setting.clock.run(0)
    await setting.send(event("clear 1", "1"), event("raise 2", "2"))
    await setting.clock.run(60)
    assert sorted(sink.ids) == ["clear 1", "raise 1", "raise 2"]
    assert sink.ids.index("raise 1") < sink.ids.index("clear 1")
    tried = [one.id for batch in sink.sends for one in batch]
    assert tried.index("clear 1") > max(i for i, name in enumerate(tried) if name == "raise 1")


async def test_several_sends_are_under_way_at_once_where_a_sink_allows_that(start: Start) -> None:
    class Parallel(Recorder):
        batch, at_once = 1, 3

    class Greedy(Recorder):
        batch, at_once = 1, 50

    setting = Setting(a=Parallel(), b=Greedy(), c=Recorder())
    for sink in setting.sinks.values():
        sink.takes = lambda: setting.clock.sleep(1.0)
    await setting.clock.finish(setting.delivery.open())
    await setting.send(*events(12))
    await setting.clock.run(30)
    assert {name: sink.most_under_way for name, sink in setting.sinks.items()} == {"a": 3, "b": 4, "c": 1}
    assert sorted(map(int, setting.sinks["a"].ids)) == list(range(12))
    assert all(len(batch) == 1 for batch in setting.sinks["a"].sends)
    await setting.clock.finish(setting.delivery.close())


async def test_events_of_one_incident_are_never_under_way_together(start: Start) -> None:
    class Parallel(Recorder):
        batch, at_once = 1, 4

    sink = Parallel()
    setting = await start(a=sink)
    sink.takes = lambda: setting.clock.sleep(1.0)
    await setting.send(*(event(f"{i}", "one incident") for i in range(5)))
    await setting.clock.run(30)
    assert sink.ids == ["0", "1", "2", "3", "4"]
    assert sink.most_under_way == 1


async def test_failures_are_retried_after_longer_and_longer_pauses(start: Start) -> None:
    sink = Recorder(OSError("one"), ValueError("two"), OSError("three"), DeliveryError("four"))
    setting = await start(a=sink)
    times: list[float] = []
    sink.takes = lambda: asyncio.sleep(0, times.append(setting.clock.now))
    await setting.send(event("e"))
    await setting.clock.run(60)
    # Half of 1, 2, 4 and 8 s, because chance is 0.5 here.
    assert times == pytest.approx([0.0, 0.5, 1.5, 3.5, 7.5])
    assert sink.ids == ["e"]
    assert setting.delivery.problems == ()
    assert setting.count("failed", "a") == {"error": 4}


async def test_retry_after_is_heeded_for_all_that_is_owed_up_to_an_hour(start: Start) -> None:
    sink = Recorder(
        DeliveryError("slow down", retry_after=120), None, DeliveryError("later", retry_after=1e9)
    )
    setting = await start(a=sink)
    await setting.send(event("0"))
    await setting.clock.run(1)
    await setting.send(event("1"))
    await setting.clock.run(118)
    assert len(sink.sends) == 1
    assert setting.delivery.problems == ("sink a: does not deliver (slow down); 2 waiting",)
    assert setting.delivery.status()[0].state == "retrying"
    await setting.clock.run(2)
    assert sorted(sink.ids) == ["0", "1"]
    await setting.send(event("2"))
    await setting.clock.run(3590)
    assert len(sink.got) == 2
    await setting.clock.run(20)
    assert len(sink.got) == 3


async def test_a_send_that_hangs_is_a_failure(start: Start) -> None:
    class Impatient(Recorder):
        patience = 5.0

    patient, impatient = Recorder(stuck=True), Impatient(stuck=True)
    setting = await start(patient=patient, impatient=impatient)
    await setting.send(event("e"))
    await setting.clock.run(6)
    assert setting.count("failed", "impatient") == {"timeout": 1}
    assert setting.count("failed", "patient") == {}
    await setting.clock.run(25)
    assert setting.count("failed", "patient") == {"timeout": 1}
    patient.stuck = impatient.stuck = False
    await setting.clock.run(60)
    assert patient.ids == impatient.ids == ["e"]


async def test_five_failures_in_a_row_make_a_sink_rest_with_single_probes(start: Start) -> None:
    sink = Recorder(*[OSError("down")] * 1000)
    setting = await start(a=sink)
    await setting.send(*events(10))
    await setting.clock.until(lambda: setting.delivery.status()[0].state == "resting")
    assert [len(batch) for batch in sink.sends] == [10] * 5
    started = setting.clock.now
    await setting.send(*events(500, first=10))
    await setting.clock.run(10 * 60)
    assert setting.delivery.problems == ("sink a: rests, because it does not deliver (down); 510 waiting",)
    probes = sink.sends[5:]
    assert len(probes) == (setting.clock.now - started) // 30
    assert all(len(batch) == 1 for batch in probes)
    sink.failures.clear()
    await setting.clock.run(35)
    assert len(sink.got) == 510
    assert setting.delivery.problems == ()
    assert [notice.details["trouble"] for notice in setting.notices] == ["resting", "working"]


async def test_probes_are_not_put_to_the_account_of_an_event_so_that_an_outage_kills_none(
    start: Start,
) -> None:
    sink = Recorder(*[OSError("down")] * 100_000)
    setting = await start(a=sink)
    await setting.send(*events(3))
    await setting.clock.run(20 * 3600)
    assert len(sink.sends) > 2000
    sink.failures.clear()
    await setting.clock.run(31)
    assert sorted(sink.ids) == ["0", "1", "2"]


async def test_after_a_day_of_failures_an_event_becomes_a_dead_letter(start: Start) -> None:
    sink = Recorder(*[OSError("down")] * 100_000)
    setting = await start(a=sink)
    await setting.send(event("e"))
    await setting.clock.run(23.9 * 3600)
    assert setting.outbox.fate["a"] == {}
    await setting.clock.run(0.2 * 3600)
    assert setting.outbox.fate["a"] == {1: "dead"}
    assert setting.outbox.reasons["a", 1] == "down"
    assert setting.count("dead", "a") == {"age": 1}


async def test_an_old_event_is_tried_several_times_after_the_engine_was_off_for_days(start: Start) -> None:
    sink = Recorder(OSError("not up yet"), OSError("not up yet"))
    setting = Setting(a=sink)
    setting.outbox.add(event("e"))
    setting.clock.now += 3 * 24 * 3600
    await setting.clock.finish(setting.delivery.open())
    await setting.clock.run(60)
    assert sink.ids == ["e"]
    await setting.clock.finish(setting.delivery.close())


async def test_an_event_that_fails_thirty_times_while_others_pass_becomes_a_dead_letter(
    start: Start,
) -> None:
    bad = OSError("status 500")
    sink = Recorder(refuse=lambda one: bad if one.id == "bad" else None)
    setting = await start(a=sink)
    await setting.send(event("bad"))
    for i in range(2000):
        await setting.send(event(str(i)))
        await setting.clock.run(10)
    assert setting.outbox.fate["a"].pop(1) == "dead"
    assert set(setting.outbox.fate["a"].values()) == {"delivered"}
    assert len(setting.outbox.fate["a"]) == 2000
    assert setting.count("dead", "a") == {"tries": 1}


async def test_one_event_that_makes_the_receiver_fail_does_not_keep_it_from_the_others(start: Start) -> None:
    bad = OSError("status 500")
    sink = Recorder(refuse=lambda one: bad if one.id == "7" else None)
    setting = await start(a=sink)
    await setting.send(*events(64))
    await setting.clock.run(600)
    assert len(sink.got) == 63


async def test_an_undeliverable_event_does_not_bury_the_rest_of_its_batch(start: Start) -> None:
    wrong = Undeliverable("too long")
    sink = Recorder(refuse=lambda one: wrong if one.id in ("3", "5") else None)
    setting = await start(a=sink)
    await setting.send(*events(10))
    await setting.clock.run(1)
    assert sink.ids == ["0", "1", "2", "4", "6", "7", "8", "9"]
    assert {seq for seq, fate in setting.outbox.fate["a"].items() if fate == "dead"} == {4, 6}
    assert setting.outbox.reasons["a", 4] == "too long"
    assert setting.count("dead", "a") == {"refused": 2}
    assert setting.delivery.problems == ()
    assert setting.delivery.status()[0].dead == 2


async def test_the_end_of_an_alarm_is_told_though_its_beginning_was_refused(start: Start) -> None:
    sink = Recorder(refuse=lambda one: Undeliverable("no") if one.id == "raise" else None)
    setting = await start(a=sink)
    await setting.send(event("raise", "1"), event("clear", "1"))
    await setting.clock.run(1)
    assert sink.ids == ["clear"]


async def test_dead_letters_are_told_once_an_hour_with_their_number(start: Start) -> None:
    sink = Recorder(refuse=lambda one: Undeliverable("bad token"))
    setting = await start(a=sink)
    for one in events(10):
        await setting.send(one)
        await setting.clock.run(60)
    (notice,) = setting.notices
    assert (notice.kind, notice.rule, notice.severity) == ("system", "a", "warning")
    assert "bad token" in notice.message
    assert "gridtop outbox" in notice.message
    assert notice.details["count"] == 1
    await setting.clock.run(3600)
    assert [one.details["count"] for one in setting.told("dead_letters")] == [1, 9]
    assert setting.notices[0].id != setting.notices[1].id
    await setting.clock.run(4 * 3600)
    assert len(setting.notices) == 2


async def test_a_sink_never_gets_events_about_itself_and_others_do(start: Start) -> None:
    bad, well = Recorder(refuse=lambda one: Undeliverable("no")), Recorder()
    setting = await start(bad=bad, well=well)
    await setting.send(event("e"))
    await setting.clock.run(1)
    for _ in range(5):
        await setting.send(*setting.notices)
        await setting.clock.run(3601)
    assert len(setting.notices) == 1
    assert [one.rule for one in well.got] == ["r"] + ["bad"] * 5
    assert [one.rule for batch in bad.sends for one in batch] == ["r"]
    assert not setting.outbox.owed["bad"]
    assert setting.count("suppressed", "bad") == {"itself": 5}


async def test_a_receiver_that_wants_no_more_is_left_alone_and_what_is_owed_is_kept(start: Start) -> None:
    gone, well = Recorder(ReceiverGone("status 410")), Recorder()
    setting = await start(gone=gone, well=well)
    await setting.send(*events(3))
    await setting.clock.run(1)
    await setting.send(*events(3, first=3))
    await setting.clock.run(24 * 3600)
    assert len(gone.sends) == 1
    assert sorted(setting.outbox.owed["gone"]) == [1, 2, 3, 4, 5, 6]
    assert len(well.got) == 6
    status = setting.delivery.status()[0]
    assert (status.state, status.waiting, status.problem) == (
        "gone",
        6,
        "its receiver wants no more (status 410)",
    )
    assert len(setting.told("gone")) == 1


async def test_a_broken_outbox_stops_nothing_for_good_and_sends_nothing_twice(start: Start) -> None:
    sink = Recorder()
    setting = await start(a=sink)
    sink.takes = lambda: asyncio.sleep(0, setattr(setting.outbox, "broken", True))
    await setting.send(event("0"))
    await setting.clock.run(600)
    assert sink.ids == ["0"]
    assert setting.delivery.problems == (
        "sink a: has an outbox that cannot be written (no space left on the disk); 0 waiting",
    )
    sink.takes = None
    setting.outbox.broken = False
    await setting.clock.run(60)
    assert not setting.outbox.owed["a"]
    assert setting.delivery.problems == ()
    await setting.send(event("1"))
    await setting.clock.run(1)
    assert sink.ids == ["0", "1"]


async def test_a_clock_that_is_set_back_does_not_stop_the_attempts(start: Start) -> None:
    sink = Recorder(OSError("down"))
    setting = await start(a=sink)
    await setting.send(event("0"))
    await setting.clock.run(0.1)
    setting.clock.set_back = 3600.0
    await setting.send(event("1"))
    await setting.clock.run(10)
    assert sorted(sink.ids) == ["0", "1"]


async def test_closing_delivers_what_is_owed_and_waits_for_nothing_that_cannot_be(start: Start) -> None:
    slow, resting = Recorder(), Recorder(*[OSError("down")] * 100)
    setting = Setting(slow=slow, resting=resting)
    slow.takes = lambda: setting.clock.sleep(0.5)
    await setting.clock.finish(setting.delivery.open())
    await setting.send(event("0"))
    await setting.clock.until(lambda: setting.delivery.status()[1].state == "resting")
    await setting.send(*events(100, first=1))
    began = setting.clock.now
    await setting.clock.finish(setting.delivery.close(10.0))
    assert len(slow.got) == 101
    assert setting.clock.now - began < 2.0
    assert len(setting.outbox.owed["resting"]) == 101
    assert slow.closed
    assert resting.closed


async def test_closing_ends_at_its_deadline_with_the_rest_still_owed(start: Start) -> None:
    stuck = Recorder(stuck=True)
    setting = Setting(stuck=stuck)
    await setting.clock.finish(setting.delivery.open())
    await setting.send(*events(5))
    began = setting.clock.now
    await setting.clock.finish(setting.delivery.close(10.0))
    assert setting.clock.now - began == pytest.approx(10.0)
    assert len(setting.outbox.owed["stuck"]) == 5
    assert stuck.closed
    assert setting.delivery.status()[0].waiting == 5


async def test_a_sink_that_cannot_be_opened_for_a_reason_of_configuration_stops_the_start() -> None:
    class Wrong(Recorder):
        async def open(self) -> None:
            raise ConfigurationError("no such folder")

    with pytest.raises(ConfigurationError, match="no such folder"):
        await Setting(wrong=Wrong(), well=Recorder()).delivery.open()


async def test_a_sink_that_cannot_be_opened_now_is_opened_with_the_first_event_that_it_can(
    start: Start,
) -> None:
    class Late(Recorder):
        refusals = 3
        opened = 0

        async def open(self) -> None:
            self.refusals -= 1
            if self.refusals >= 0:
                raise OSError("no network")
            self.opened += 1

    sink = Late()
    setting = await start(a=sink)
    assert setting.delivery.problems == ("sink a: cannot be opened (no network); 0 waiting",)
    await setting.send(*events(3))
    await setting.clock.run(60)
    assert sink.ids == ["0", "1", "2"]
    assert sink.opened == 1


async def test_a_sink_that_hangs_while_it_opens_does_not_keep_the_monitor_from_starting() -> None:
    class Hanging(Recorder):
        async def open(self) -> None:
            await asyncio.Event().wait()

    setting = Setting(hanging=Hanging(), well=Recorder())
    await setting.clock.finish(setting.delivery.open())
    assert setting.clock.now <= 5.0
    await setting.send(event("e"))
    await setting.clock.run(1)
    assert setting.sinks["well"].ids == ["e"]
    await setting.clock.finish(setting.delivery.close(1.0))
