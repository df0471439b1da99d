"""Readings of sensors from an MQTT broker, made into frames at one rate (docs/live.md)."""

from __future__ import annotations

import asyncio
import random
import ssl
from asyncio import sleep
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from time import time_ns
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from gridtop.api import Block, Channel, ChannelSet, Host, Quality, SourceError, Statistics
from gridtop.text import clean

from .lines.complaints import Complaints
from .mqtt_channels import Directory, Sensor
from .mqtt_payloads import LARGEST as LARGEST_PAYLOAD
from .mqtt_payloads import Unusable, json_of, number_of, time_of, value_at
from .mqtt_queue import DroppingQueue
from .mqtt_settings import MqttSourceSettings
from .mqtt_statistics import SensorCounts
from .sample_and_hold import HeldFrames, Reading, SampleAndHold

if TYPE_CHECKING:
    from aiomqtt import Client, Message

CADENCE = 0.1
"""Seconds that a block spans, or one frame where that is longer."""
LARGEST = 256
"""Frames in one block at most."""
QUEUE = 10_000
"""Messages that wait to be read; of more, the oldest are dropped."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two tries to connect: twice as long each time."""
_BEHIND = 4.0
"""Seconds of frames that wait for the monitor; of more, the oldest are dropped."""
_AHEAD = 5_000_000_000
"""Nanoseconds that a sensor's clock may be ahead of ours before its times are not used."""
_DOUBT = 1_000_000_000
"""Nanoseconds without the broker after which every value is late: nobody could bring a newer one."""
_KEEPALIVE = 10
"""Seconds of silence after which the broker is asked whether it is still there."""
_GOODBYE = 2.0
"""Seconds that leaving the broker may take."""
_SECOND = 1_000_000_000


class Mqtt:
    """The newest reading of each sensor, as frames at the configured rate, with or without the broker."""

    Config: ClassVar[type[MqttSourceSettings]] = MqttSourceSettings
    live = True

    def __init__(self, config: MqttSourceSettings, host: Host) -> None:
        self._config, self._host = config, host
        self._port = config.port_in_use
        self._place = clean(f"{config.host}:{self._port}")
        self.identity = f"mqtt {self._place}"
        self._complaints = Complaints(host.log)
        self._directory = Directory(config.readings)
        self._hold: SampleAndHold | None = None
        self._columns: dict[str, int] = {}  # name of the sensor to column
        self._task: asyncio.Task[None] | None = None
        self._subscribed = asyncio.Event()
        self._heard = asyncio.Event()
        self._away: int | None = None  # since when there is no broker
        self._why_away = ""
        self._counts = SensorCounts((), 0.0, 0.0)
        self._last_message: int | None = None
        self._context: ssl.SSLContext | None = None
        self._early: list[tuple[Message, int]] = []  # what came before the channels were fixed, and when

    async def open(self) -> ChannelSet:
        """The channels of the readings; waits for what the topics with places bring, if there are any.

        Raises SourceError when a file of TLS cannot be used or the readings make no channels.
        """
        if self._config.tls:
            from gridtop.plugins.tls import client_context

            try:
                self._context = client_context(self._config, self._host)
            except OSError as error:
                raise SourceError(f"{self._place}: {error}") from None
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="gridtop mqtt")
        if self._directory.open_ended:
            await self._discover()
        return self._settle()

    async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        """The frames that are due, for ever; `start` means nothing live."""
        hold = self._hold
        if hold is None:
            raise RuntimeError("open() comes first")
        rate, wait = self._config.rate, round(self._config.wait.total_seconds() * _SECOND)
        following, row = hold.number_at(time_ns() - wait) + 1, 0
        hold.begin(following)
        most = max(LARGEST, round(_BEHIND * rate))
        while True:
            due = hold.number_at(time_ns() - wait) - following + 1
            if due < -max(2.0, _BEHIND * rate):
                self._tell("clock_put_back", "the clock of this computer was put back; frames follow it")
                following += due
                hold.begin(following)
            elif due > most:
                self._tell("dropped_frames", "the monitor does not keep up; frames were dropped", due - most)
                following += due - most
                hold.begin(following)
            if due > 0:
                count = min(due, LARGEST)
                yield self._block(hold.make(count), row)
                following, row = following + count, row + count
            until = (hold.time_of(following) + wait - time_ns()) / _SECOND
            until = min(until, 1 / rate + CADENCE)  # or a clock put back would be slept through
            await sleep(max(until, CADENCE if rate * CADENCE > 1 and due <= LARGEST else 0.0))

    async def close(self) -> None:
        """Leave the broker."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            # Saying goodbye to a broker that is gone takes as long as its answer may.
            await asyncio.wait((task,), timeout=_GOODBYE)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    @property
    def problems(self) -> tuple[str, ...]:
        """That the broker is away, in the same words until it is back."""
        return (f"{self._place}: the broker is away: {self._why_away}",) if self._away is not None else ()

    def statistics(self) -> Statistics:
        """What was counted since the start, of the stream and of each sensor (docs/live.md)."""
        now = time_ns()
        since = np.nan if self._last_message is None else (now - self._last_message) / _SECOND
        away = 0.0 if self._away is None else (now - self._away) / _SECOND
        stream: dict[str, float] = {
            **self._complaints.counts,
            "defined_rate": self._config.rate,
            "seconds_since_data": since,
            "seconds_without_broker": away,
        }
        return self._counts.statistics(stream, now)

    # Channels

    async def _discover(self) -> None:
        """Wait until messages have come for a while, so that the sensors behind them are known."""
        await self._subscribed.wait()
        seconds = self._config.discover.total_seconds()
        await sleep(seconds)
        while not self._directory.sensors:
            self._tell("nothing_yet", f"no message on {self._directory.shown} yet; waiting for one")
            self._heard.clear()
            await self._heard.wait()
            await sleep(seconds)

    def _settle(self) -> ChannelSet:
        """Fix the channels, and take in what came until now."""
        names = [sensor.name for sensor in self._directory.sensors]
        try:
            columns = self._host.channel_map.resolve(names)
        except ValueError as error:
            raise SourceError(f"{self._place}: {error}") from None
        if columns.time is not None or columns.labels:
            at = columns.time.position if columns.time else next(iter(columns.labels.values()))
            raise SourceError(
                f"{self._place}: the reading {columns.names[at]!r} would be a time or a label; "
                "give it another name"
            )
        self._columns = {names[position]: column for column, position in enumerate(columns.positions)}
        self._scales, self._offsets, self._invalid = columns.scales, columns.offsets, columns.invalid
        channels = columns.channels
        if self._config.ages:
            channels += tuple(
                Channel(f"{channel.name} age", "age", "s", channel.terminal, channel.phase)
                for channel in channels
            )
        config = self._config
        self._hold = SampleAndHold(
            len(columns.channels),
            config.rate,
            config.late_after.total_seconds(),
            config.lost_after.total_seconds(),
        )
        self._counts = SensorCounts(
            columns.channels, config.late_after.total_seconds(), config.lost_after.total_seconds()
        )
        self._directory.close()
        early, self._early = self._early, []
        for message, arrived in early:
            self._take(message, arrived)
        self._channels = ChannelSet(channels, config.rate, "utc")
        return self._channels

    def _block(self, frames: HeldFrames, row: int) -> Block:
        bad = np.zeros(frames.values.shape, dtype=np.bool_)
        for i, codes in enumerate(self._invalid):
            for code in codes:
                bad[:, i] |= np.abs(frames.values[:, i] - code) <= 1e-6 * abs(code)
        with np.errstate(over="ignore", invalid="ignore"):
            values = (frames.values + 0.0) * self._scales + self._offsets
        infinite = np.isinf(values)
        quality = np.where(infinite, np.uint16(Quality.INFINITE), frames.quality)
        quality[bad] = Quality.BAD
        values[infinite | bad] = np.nan
        if self._away is not None:
            doubtful = frames.time.astype(np.int64) > self._away + _DOUBT
            quality |= np.where(
                doubtful[:, np.newaxis] & ~np.isnan(values), np.uint16(Quality.LATE), np.uint16(0)
            )
        if self._config.ages:
            unknown = np.where(np.isnan(frames.ages), np.uint16(Quality.MISSING), np.uint16(0))
            values, quality = np.hstack([values, frames.ages]), np.hstack([quality, unknown])
        return Block(self._channels, frames.time, values, quality if quality.any() else None, row=row)

    # Messages

    async def _listen(self) -> None:
        """Stay connected, as far as that depends on us."""
        from aiomqtt import MqttError

        pause = FIRST_PAUSE
        while True:
            client = self._client()
            try:
                async with client:
                    for topic in self._directory.subscriptions:
                        await client.subscribe(topic, qos=self._config.qos)
                    self._complaints.counts["connections"] += 1
                    self._away = None
                    self._subscribed.set()
                    pause = FIRST_PAUSE
                    async for message in client.messages:
                        self._receive(message)
            except (MqttError, OSError, ValueError) as error:
                told = clean(str(error) or "no answer", longest=150)
                if self._away is None:
                    self._away, self._why_away = time_ns(), told
                self._tell("lost_connections", f"{told}; connecting again")
            # Not all who lost the same broker come back at the same time.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _client(self) -> Client:
        from aiomqtt import Client

        config = self._config
        secret = config.password
        queue: Any = partial(DroppingQueue, self._complaints, self._place)
        return Client(
            config.host,
            self._port,
            username=config.username,
            password=None if secret is None else secret.get_secret_value(),
            identifier=config.client_id,
            tls_context=self._context,
            timeout=config.timeout.total_seconds(),
            keepalive=_KEEPALIVE,
            queue_type=queue,
            max_queued_incoming_messages=QUEUE,
            logger=self._host.log,
        )

    def _receive(self, message: Message) -> None:
        self._complaints.counts["messages"] += 1
        self._last_message = time_ns()
        self._heard.set()
        if self._hold is not None:
            self._take(message, time_ns())
            return
        self._directory.find(str(message.topic))
        self._early.append((message, time_ns()))
        if len(self._early) > LARGEST:
            del self._early[0]

    def _take(self, message: Message, arrived: int) -> None:
        """Put what a message says where the next frames find it."""
        topic, payload = str(message.topic), message.payload
        shown = f"topic {clean(topic)!r}"
        sensors = self._directory.find(topic)
        if not sensors:
            self._tell("new_topics", f"{shown}: not there when the channels were fixed; ignored")
            return
        if not isinstance(payload, bytes) or len(payload) > LARGEST_PAYLOAD:
            self._tell("long_messages", f"{shown}: longer than {LARGEST_PAYLOAD >> 20} MiB; left out")
            return
        try:
            document = json_of(payload) if any(sensor.structured for sensor in sensors) else None
        except Unusable as error:
            self._tell("garbage_messages", f"{shown}: {error}")
            return
        for sensor in sensors:
            cell = document if sensor.structured else payload.decode("utf-8", "replace")
            self._put(sensor, cell, arrived, bool(message.retain), shown)

    def _put(self, sensor: Sensor, document: object, arrived: int, retained: bool, shown: str) -> None:
        column = self._columns.get(sensor.name)
        if column is None or self._hold is None:
            return
        flags = 0
        value = float("nan")
        try:
            value = number_of(value_at(document, sensor.value, sensor.value_text))
        except Unusable as error:
            self._tell("unusable_values", f"{shown}, {sensor.name!r}: {error}")
            flags = int(Quality.UNREADABLE)
        if np.isinf(value):
            value, flags = float("nan"), int(Quality.INFINITE)
        time = arrived
        if sensor.time is not None:
            try:
                time = time_of(value_at(document, sensor.time, sensor.time_text), sensor.time_unit)
            except Unusable as error:
                self._tell("bad_times", f"{shown}, {sensor.name!r}: {error}; taken when it arrived, as late")
                flags |= int(Quality.LATE)
            if time > arrived + _AHEAD:
                ahead = (time - arrived) / _SECOND
                told = f"{sensor.name!r}: its time is {ahead:,.0f} s ahead of this computer's clock"
                self._tell("future_times", f"{shown}, {told}; taken when it arrived, as late")
                time, flags = arrived, flags | int(Quality.LATE)
        elif retained:  # the broker kept it: nobody knows since when
            flags |= int(Quality.LATE)
        taken = self._hold.put(column, Reading(time, value, flags))
        self._counts.add(column, time, not np.isnan(value), taken)
        if not taken:
            self._complaints.counts["outdated_readings"] += 1
        elif arrived - time > self._config.lost_after.total_seconds() * _SECOND:
            old = (arrived - time) / _SECOND
            self._tell("old_times", f"{shown}, {sensor.name!r}: its time lies {old:,.0f} s back; not used")

    def _tell(self, kind: str, text: str, count: int = 1) -> None:
        self._complaints.tell(kind, f"{self._place}: {text}", count)
