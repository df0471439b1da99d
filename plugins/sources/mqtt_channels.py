"""Which sensors there are behind the topics of a broker, and where in a message each of them speaks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from gridtop.naming import TimeUnit, column_names
from gridtop.text import clean

from .mqtt_payloads import Path, TopicPattern, fill, path_of, topic_pattern
from .mqtt_settings import ReadingSettings

MOST_SENSORS = 10_000
_MOST_TOPICS = 10_000
"""Topics that are remembered with what they mean."""


@dataclass(frozen=True, slots=True)
class Sensor:
    """One series of readings: its name, and where in a message its value and time are.

    `order` puts sensors in an order that does not depend on who spoke first.
    """

    order: tuple[int, int, str]
    name: str
    value: Path
    value_text: str
    time: Path | None
    time_text: str
    time_unit: TimeUnit | None

    @property
    def structured(self) -> bool:
        """Whether its messages are JSON; otherwise they are a number."""
        return bool(self.value) or self.time is not None


class Directory:
    """The sensors that are known; topics with places add to them until `close`.

    `open_ended` says whether there are places of which nobody told what will stand there.
    """

    def __init__(self, readings: Mapping[str, ReadingSettings]) -> None:
        self._patterns: list[tuple[int, TopicPattern, str, ReadingSettings]] = []
        self._by_name: dict[str, Sensor] = {}
        self._topics: dict[str, tuple[Sensor, ...]] = {}
        self._closed = False
        self.open_ended = False
        for index, (name, reading) in enumerate(readings.items()):
            pattern = topic_pattern(reading.topic)
            self._patterns.append((index, pattern, name, reading))
            if all(place in reading.known for place in pattern.places):
                choices = [reading.known[place] for place in pattern.places]
                for number, values in enumerate(itertools.product(*choices)):
                    filled = dict(zip(pattern.places, values, strict=True))
                    self._sensor((index, number, ""), name, filled, reading)
            else:
                self.open_ended = True

    @property
    def sensors(self) -> tuple[Sensor, ...]:
        """The sensors: reading by reading, those that nobody announced by name."""
        return tuple(sorted(self._by_name.values(), key=lambda sensor: sensor.order))

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """What the broker is asked for, each once."""
        return tuple(dict.fromkeys(pattern.subscription for _, pattern, _, _ in self._patterns))

    @property
    def shown(self) -> str:
        """The subscriptions for messages."""
        return clean(", ".join(self.subscriptions))

    def close(self) -> None:
        """From now on nothing new is a sensor."""
        self._closed = True
        self._topics.clear()

    def find(self, topic: str) -> tuple[Sensor, ...]:
        """The sensors that speak on a topic."""
        if (known := self._topics.get(topic)) is not None:
            return known
        found = []
        for index, pattern, name, reading in self._patterns:
            values = pattern.match(topic)
            if values is None:
                continue
            order = (index, 0, fill(name, values))
            if (sensor := self._sensor(order, name, values, reading)) is not None:
                found.append(sensor)
        if len(self._topics) < _MOST_TOPICS:
            self._topics[topic] = tuple(found)
        return tuple(found)

    def _sensor(
        self, order: tuple[int, int, str], template: str, values: dict[str, str], reading: ReadingSettings
    ) -> Sensor | None:
        if any(values[place] not in known for place, known in reading.known.items() if place in values):
            return None
        (name,) = column_names([fill(template, values)])
        if name in self._by_name or self._closed or len(self._by_name) >= MOST_SENSORS:
            return self._by_name.get(name)
        self._by_name[name] = sensor = Sensor(
            order,
            name,
            path_of(reading.value),
            reading.value,
            None if reading.time is None else path_of(reading.time),
            reading.time or "",
            reading.time_unit,
        )
        return sensor
