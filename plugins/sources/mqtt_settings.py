"""The settings of the source `type: mqtt`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from gridtop.api import Duration, Settings
from gridtop.naming import TimeUnit
from gridtop.plugins.sinks.tls import CaFile, OwnCertificate, Verify

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


class MqttSourceSettings(Settings):
    """Settings of an MQTT source."""

    model_config = ConfigDict(hide_input_in_errors=True)

    host: str = Field(min_length=1, description="the broker")
    port: int | None = Field(
        None, ge=1, le=65535, description="its port; if not given, 8883 with TLS and 1883 without"
    )
    tls: bool = Field(False, description="speak TLS")
    username: str | None = Field(None, description="whom to log in as; only with TLS")
    password: SecretStr | None = Field(None, description='the password, such as "${MQTT_PASSWORD}"')
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
    client_id: str | None = Field(
        None, min_length=1, max_length=128, description="the name at the broker; if not given, any"
    )
    timeout: Duration = Field("10s", validate_default=True, description="how long to wait for the broker")
    ca_file: CaFile = None
    certificate: OwnCertificate = None
    verify: Verify = True

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
        if self.password is not None and self.username is None:
            raise ValueError("a password needs a username")
        if self.username is not None and not self.tls:
            raise ValueError("a password is never sent without TLS: tls: true")
        if not 1 <= self.timeout.total_seconds() <= 300:
            raise ValueError("timeout: from 1s to 5m")
        if self.lost_after < self.late_after:
            raise ValueError("lost_after: not before late_after")
        if self.wait.total_seconds() > 60:
            raise ValueError("wait: up to 60s")
        if find_spec("aiomqtt") is None:
            raise ValueError("aiomqtt is not installed: pip install 'gridtop[mqtt]'")
        return self
