"""The settings of the source `type: mqtt`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from gridtop.api import Duration, Settings
from gridtop.naming import TimeUnit
from gridtop.plugins.mqtt_broker import BrokerSettings, check_library

from .mqtt_payloads import path_of, places_in, topic_pattern


class ReadingSettings(Settings):
    """Where the readings of a channel come from."""

    topic: str = Field(
        description="its topic; {name} and + stand for any one level, # at the end for the rest"
    )
    value: str = Field(
        "", description="where in the JSON its value is: phases[0].voltage; without, the message is a number"
    )
    time: str | None = Field(
        None, min_length=1, description="where in the JSON its time is; without, when it arrives"
    )
    time_unit: TimeUnit | None = Field(
        None, description="s, ms, us or ns since 1970, or iso; told by its size when not given"
    )
    known: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="what stands in a place of the topic: {device: [r1, r2]}; otherwise what comes at first",
    )

    @field_validator("topic")
    @classmethod
    def _is_a_topic(cls, value: str) -> str:
        topic_pattern(value)
        return value

    @field_validator("value", "time")
    @classmethod
    def _is_a_path(cls, value: str | None) -> str | None:
        if value is not None:
            path_of(value)
        return value

    @model_validator(mode="after")
    def _knows_its_places(self) -> ReadingSettings:
        if unknown := self.known.keys() - set(topic_pattern(self.topic).places):
            raise ValueError(f"known: there is no {{{min(unknown)}}} in the topic")
        if self.time_unit is not None and self.time is None:
            raise ValueError("time_unit: only with time:")
        return self


class MqttSourceSettings(BrokerSettings):
    """Settings of an MQTT source."""

    readings: dict[str, ReadingSettings] = Field(
        min_length=1,
        description="channel to where it comes from; a {name} of the topic stands in the channel",
    )
    rate: float = Field(1.0, gt=0, le=120, allow_inf_nan=False, description="frames per second")
    late_after: Duration = Field(
        "5s", validate_default=True, description="an older value has the flag late, and raises no grid alarm"
    )
    lost_after: Duration = Field("60s", validate_default=True, description="an older value is no value")
    wait: Duration = Field(
        "500ms", validate_default=True, description="how long after its time a frame is made"
    )
    discover: Duration = Field(
        "5s", validate_default=True, description="how long topics with places are listened to at the start"
    )
    ages: bool = Field(False, description="true: a channel with the age of each value, in seconds")
    qos: Literal[0, 1] = Field(0, description="1: the broker sends again what was lost on the way")

    @model_validator(mode="after")
    def _fits(self) -> MqttSourceSettings:
        for name, reading in self.readings.items():
            wanted, there = places_in(name), set(topic_pattern(reading.topic).places)
            if wanted != there:
                odd = min(wanted ^ there)
                where = (
                    "not in its topic" if odd in wanted else "in the topic; put it in the name, or write +"
                )
                raise ValueError(f"readings: {name}: {{{odd}}} is {where}")
        self.check_login()
        if self.lost_after < self.late_after:
            raise ValueError("lost_after: not before late_after")
        if self.wait.total_seconds() > 60:
            raise ValueError("wait: up to 60s")
        check_library()
        return self
