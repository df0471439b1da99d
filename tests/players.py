"""Monitors of small recordings that are stepped to a row, stopped there, and started again."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from gridtop.config import Configuration, load
from gridtop.events import Event
from gridtop.journal.reading import Reader
from gridtop.monitor import Monitor
from gridtop.orders import Order

RATE = 30
HEALTHY, LOW, BAD = "132000", "118000", "100000"
"""Phase voltages of a 230 kV line: 0.99, 0.89 and 0.75 pu."""

STORY = """\
source: {type: replay, path: story.csv, rate: 30, speed: 0.1}
site: {nominal: {voltage_ll: 230 kV}}
limits:
  sag: {on: "R1:voltage_pu", low: {warning: 0.95, critical: 0.8}, on_delay: 1s, off_delay: 1s}
  trip: {on: "R2:voltage_pu", low: {critical: 0.8}, latch: true}
  other: {on: "R2:voltage_pu", low: {warning: 0.95}, on_delay: {warning: 2s}}
sinks: {}
"""


def rows(*stretches: tuple[int, str, str]) -> str:
    """A recording of two terminals, from numbers of frames and the voltages of both in them."""
    lines = [f"{one},{other}\n" for frames, one, other in stretches for _ in range(frames)]
    return "R1-PM1:V,R2-PM1:V\n" + "".join(lines)


TOLD = rows(
    (60, HEALTHY, HEALTHY),
    (20, LOW, HEALTHY),  # too short for an alarm
    (40, HEALTHY, BAD),
    (90, LOW, BAD),
    (60, BAD, HEALTHY),
    (60, LOW, LOW),
    (120, HEALTHY, LOW),
    (90, BAD, HEALTHY),
    (90, HEALTHY, HEALTHY),
    (60, BAD, BAD),
)
FRAMES = TOLD.count("\n") - 1


def story(folder: Path, recording: str = TOLD, config: str = STORY) -> Path:
    """A configuration and its recording."""
    (folder / "story.csv").write_text(recording)
    (folder / "config.yaml").write_text(config)
    return folder / "config.yaml"


def read(config: Path, *overrides: str) -> Configuration:
    """The configuration with a journal beside it."""
    place = f"journal.path={config.parent / 'j.db'}"
    return load(config, overrides=[place, *overrides], environment=os.environ)


class Heard:
    """A stream that remembers what it was sent."""

    durable = False

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def open(self) -> None:
        pass

    async def send(self, events: Sequence[Event]) -> None:
        self.events += events

    async def close(self) -> None:
        pass


class Player:
    """A monitor whose replay stands still unless it is stepped."""

    def __init__(self, monitor: Monitor, heard: Heard) -> None:
        self.monitor, self.heard = monitor, heard

    @property
    def row(self) -> int:
        """The next row to be judged."""
        return self.monitor.replay.transport().row

    async def go_to(self, row: int) -> None:
        """Judge all rows before this one."""
        ahead = row - self.row
        aim = self.monitor.snapshot().counts.frames + ahead
        self.monitor.replay.step(ahead)
        while self.monitor.snapshot().counts.frames < aim:
            await asyncio.sleep(0.001)
        await self.settle()

    async def settle(self) -> None:
        """Wait until what is under way is committed and told."""
        await self.monitor.operate(Order("acknowledge", "of nobody"))

    async def tell(self, action: Any, rule: str, seconds: float = 0.0) -> None:
        """An order to the alarm of a rule."""
        [alarm] = [alarm for alarm in self.monitor.snapshot().alarms if alarm.rule == rule]
        await self.monitor.operate(Order(action, alarm.id, "anna", "seen to", seconds))

    def states(self) -> dict[str, tuple[str, str]]:
        """By rule, the state of its alarm and its incident."""
        return {alarm.rule: (alarm.state, alarm.id) for alarm in self.monitor.snapshot().alarms}


class Clock:
    """Passes a little each time that somebody looks at it, then stands still."""

    def __init__(self) -> None:
        self.now, self.step = 0.0, 0.05

    def __call__(self) -> float:
        self.now += self.step
        return self.now


@contextlib.asynccontextmanager
async def playing(configuration: Configuration, **options: Any) -> AsyncIterator[Player]:
    """A monitor that is ready to be stepped, from where the last one stopped and one frame on."""
    heard = Heard()
    options = {"clock": (clock := Clock()), **options}
    monitor = Monitor(configuration, streams={"heard": heard}, **options)  # type: ignore[dict-item]
    running = asyncio.create_task(monitor.run())
    try:
        opened = asyncio.create_task(monitor.opened())
        await asyncio.wait((running, opened), return_when=asyncio.FIRST_COMPLETED)
        opened.cancel()
        if running.done():
            await running  # says why
        while not monitor.snapshot().counts.frames and monitor.snapshot().transport.state != "ended":
            await asyncio.sleep(0.001)
        clock.step = 0.0
        monitor.replay.pause()
        yield Player(monitor, heard)
    finally:
        monitor.stop()
        await running


async def played(configuration: Configuration, **options: Any) -> Heard:
    """What is heard of a run to the end of the recording."""
    heard, fast = Heard(), replace(configuration, speed=math.inf)
    await Monitor(fast, streams={"heard": heard}, stop_at_end=True, **options).run()  # type: ignore[dict-item]
    return heard


def kept(path: Path) -> list[Event]:
    """What is in the journal, the oldest first."""
    with Reader(path) as reader:
        return [event for _, event in reader.all_events(0) if event is not None]


def told(events: Iterable[Event]) -> list[dict[str, Any]]:
    """What must be the same in every run: all but the wall clock and, for streams, the number."""
    return [event.to_dict() | {"wall": None, "seq": None} for event in events]
