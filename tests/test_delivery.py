"""Delivery: every sink gets every event in order, whatever happens to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from gridtop import delivery
from gridtop.api import Event, Settings
from gridtop.delivery import Delivery
from gridtop.errors import ConfigurationError


class Recorder:
    """A sink that keeps what it got, failing as it is told."""

    Config = Settings

    def __init__(self, *failures: BaseException, stuck: bool = False) -> None:
        self.got: list[str] = []
        self.failures = list(failures)
        self.stuck = stuck
        self.closed = False

    async def open(self) -> None:
        pass

    async def send(self, events: Sequence[Event]) -> None:
        if self.stuck:
            await asyncio.Event().wait()
        if self.failures:
            raise self.failures.pop(0)
        self.got += [event.id for event in events]

    async def close(self) -> None:
        self.closed = True


def events(n: int) -> list[Event]:
    return [
        Event(id=str(i), kind="alarm", transition="raised", severity="warning", rule="r", message="m", row=i)
        for i in range(n)
    ]


@pytest.fixture(autouse=True)
def _quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_RETRY", 0.001)


async def delivered(
    sinks: dict[str, Recorder], n: int, then: Callable[[Delivery], None] | None = None
) -> Delivery:
    line = Delivery(sinks)
    await line.open()
    for event in events(n):
        await line.send([event])
    if then:
        then(line)
    await line.close(0.5)
    return line


async def test_every_sink_gets_every_event_in_order() -> None:
    first, second = Recorder(), Recorder()
    await delivered({"a": first, "b": second}, 600)
    assert first.got == second.got == [str(i) for i in range(600)]
    assert first.closed


async def test_a_sink_that_fails_gets_its_events_again_until_it_takes_them() -> None:
    flaky = Recorder(OSError("disk full"), ValueError("odd"), TimeoutError())
    line = await delivered({"a": flaky}, 20)
    assert flaky.got == [str(i) for i in range(20)]
    assert line.problems == ()


async def test_a_stuck_sink_does_not_keep_events_from_the_others_and_is_counted() -> None:
    stuck, well = Recorder(stuck=True), Recorder()
    line = await delivered({"stuck": stuck, "well": well}, 30)
    assert well.got == [str(i) for i in range(30)]
    assert line.dropped == 30


async def test_a_dead_sink_loses_the_newest_events_when_its_queue_is_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "CAPACITY", 10)
    monkeypatch.setattr(delivery, "_FIRST_RETRY", 60.0)
    dead = Recorder(*[OSError("gone")] * 100)
    line = Delivery({"dead": dead})
    await line.open()
    await line.send(events(1))
    while not line.problems:
        await asyncio.sleep(0)
    await line.send(events(40))
    assert line.dropped == 30
    assert line.problems == ("sink dead: does not deliver (gone); 1 waiting",)
    await line.close(0.05)
    assert line.dropped == 41


async def test_a_reader_that_went_away_is_told_and_ends_the_attempts() -> None:
    told: list[bool] = []
    line = Delivery({"out": Recorder(BrokenPipeError())}, on_broken_pipe=lambda: told.append(True))
    await line.open()
    await line.send(events(1))
    await line.close()
    assert told == [True]
    assert line.dropped == 1


async def test_a_sink_that_cannot_be_opened_for_a_reason_of_configuration_stops_the_start() -> None:
    class Wrong(Recorder):
        async def open(self) -> None:
            raise ConfigurationError("no such folder")

    with pytest.raises(ConfigurationError, match="no such folder"):
        await Delivery({"wrong": Wrong()}).open()
