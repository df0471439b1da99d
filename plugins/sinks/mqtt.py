"""Publishes events to an MQTT broker, each under a topic of its own."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from gridtop.api import DeliveryError, Event, Host
from gridtop.plugins.mqtt_broker import BrokerSettings, check_library
from gridtop.plugins.sinks.wording import one_line
from gridtop.plugins.tls import client_context

if TYPE_CHECKING:
    from aiomqtt import Client

_FIELDS = ("rule", "terminal", "channel", "quantity", "severity", "kind", "transition", "incident")
_PLACE = re.compile(r"\{([^{}]*)\}")
_LONGEST_PART = 128
"""Characters of one part of a topic that the data decide."""


class MqttSettings(BrokerSettings):
    """Settings of an MQTT sink."""

    topic: str = Field(
        "gridtop/{rule}/{terminal}",
        min_length=1,
        max_length=1000,
        description=f"where to publish; filled in are {', '.join(_FIELDS)}; an empty one is -",
    )
    qos: Literal[0, 1, 2] = Field(
        1, description="1: the broker confirms each; 0: nobody confirms, events may be lost on the way"
    )
    retain: bool = Field(False, description="true: the broker keeps the last event of each topic")

    @field_validator("topic")
    @classmethod
    def _is_a_topic(cls, value: str) -> str:
        for name in _PLACE.findall(value):
            if name not in _FIELDS:
                raise ValueError(f"{{{name}}} is not known; there are {', '.join(_FIELDS)}")
        fixed = _PLACE.sub("", value)
        if re.search(r"[+#\x00-\x1f{}]", fixed) or value.startswith("$"):
            raise ValueError("no +, #, control characters or single braces in a topic, and no $ at its start")
        return value

    @model_validator(mode="after")
    def _fits(self) -> MqttSettings:
        self.check_login()
        check_library()
        return self


class Mqtt:
    """Keeps one connection; with `qos: 1` an event is delivered when the broker has confirmed it."""

    Config: ClassVar = MqttSettings

    def __init__(self, config: MqttSettings, host: Host) -> None:
        self._config, self._host = config, host
        self._port = config.port_in_use
        self._context: ssl.SSLContext | None = None
        self._client: Client | None = None
        self._limit = config.timeout.total_seconds()
        self.patience = 3 * self._limit + 5

    async def open(self) -> None:
        """Prepare TLS; OSError when `ca_file` or `certificate` cannot be used."""
        if self._config.tls:
            self._context = client_context(self._config, self._host)

    async def send(self, events: Sequence[Event]) -> None:
        """Publish in order; DeliveryError when the broker is away, refuses or does not confirm."""
        from aiomqtt import MqttError

        try:
            client = await self._connected()
            for event in events:
                await client.publish(
                    topic(self._config.topic, event),
                    event.to_json().encode("utf-8", "backslashreplace"),
                    qos=self._config.qos,
                    retain=self._config.retain,
                )
        except (MqttError, OSError, ValueError) as error:
            await self.close()
            text = one_line(str(error) or "no answer", 150)
            raise DeliveryError(f"{self._config.host}:{self._port}: {text}") from error
        except asyncio.CancelledError:
            # Given up while something is under way: what comes next begins anew.
            await self.close()
            raise

    async def close(self) -> None:
        """Say goodbye to the broker."""
        client, self._client = self._client, None
        if client is not None:
            with suppress(Exception):
                await asyncio.wait_for(client.__aexit__(None, None, None), 2)

    async def _connected(self) -> Client:
        if self._client is None:
            from aiomqtt import Client

            if self._config.tls and self._context is None:
                await self.open()
            secret = self._config.password
            # Kept before it is connected: even half a connection is let go of by `close`.
            self._client = Client(
                self._config.host,
                self._port,
                username=self._config.username,
                password=None if secret is None else secret.get_secret_value(),
                identifier=self._config.client_id,
                tls_context=self._context,
                timeout=self._limit,
                logger=self._host.log,
            )
            await self._client.__aenter__()
        return self._client


def topic(template: str, event: Event) -> str:
    """The template filled in. What comes from the data adds no level and no wildcard."""

    def part(match: re.Match[str]) -> str:
        text = one_line(str(getattr(event, match[1])), _LONGEST_PART)
        return re.sub(r"[+#/$\ufffd]", "_", text) or "-"

    return _PLACE.sub(part, template)
