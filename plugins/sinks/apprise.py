"""Notifies people through chat, push and pager services: everything that Apprise knows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field, SecretStr, model_validator

from gridtop.api import DeliveryError, Duration, Event, Host, Settings, Undeliverable
from gridtop.plugins.sinks.blocking import OneAtATime
from gridtop.plugins.sinks.receipts import Receipts
from gridtop.plugins.sinks.several import one_or_several
from gridtop.plugins.sinks.wording import letter, subject, worst

_KINDS = {"critical": "failure", "warning": "warning", "info": "info"}
"""What Apprise calls a notification, which decides its colour or symbol."""


_MOST_SERVICES = 50
_list = one_or_several(_MOST_SERVICES, format="password")
_Urls = Annotated[tuple[SecretStr, ...], _list[0], _list[1]]


class AppriseSettings(Settings):
    """Settings of an Apprise sink."""

    model_config = ConfigDict(hide_input_in_errors=True)

    urls: _Urls = Field(
        min_length=1,
        max_length=_MOST_SERVICES,
        description='services as Apprise URLs, such as "${PAGER_URL}"; all secret',
    )
    timeout: Duration = Field(
        "30s", validate_default=True, description="how long one notification to all services may take"
    )

    @model_validator(mode="after")
    def _fits(self) -> AppriseSettings:
        if not 1 <= self.timeout.total_seconds() <= 300:
            raise ValueError("timeout: from 1s to 5m")
        if find_spec("apprise") is None:
            raise ValueError("apprise is not installed: pip install 'gridtop[chat]'")
        return self


class Apprise:
    """One notification for up to `batch` events; a service that took it gets no second one with a retry."""

    Config: ClassVar = AppriseSettings
    batch: ClassVar[int] = 20
    usual_rate: ClassVar[int] = 10
    """Events a minute: people are woken by this."""

    def __init__(self, config: AppriseSettings, host: Host) -> None:
        self._config, self._host = config, host
        self._services: list[Any] = []
        self._thread = OneAtATime()
        self._receipts = Receipts()
        self._limit = config.timeout.total_seconds()
        self.patience = self._limit + 5

    async def open(self) -> None:
        """Load the services; Undeliverable when Apprise does not understand a URL."""
        self._services = await self._thread.run(self._understood, 60.0)

    async def send(self, events: Sequence[Event]) -> None:
        """Notify every service; DeliveryError when one of them fails."""
        if not self._services:
            await self.open()
        left = self._receipts.without(events, range(len(self._services)))
        failed = await self._thread.run(lambda: self._notify(events, left), self._limit)
        if failed:
            raise DeliveryError(
                f"{len(failed)} of {len(self._services)} services did not take it: {', '.join(failed)}"
            )

    async def close(self) -> None:
        """Nothing is kept open between notifications."""

    def _understood(self) -> list[Any]:
        import apprise

        # Its warnings quote URLs and answers; what failed is told without them.
        logging.getLogger("apprise").setLevel(logging.CRITICAL)
        asset = apprise.AppriseAsset(app_id="gridtop", async_mode=False, secure_logging=True)
        services = []
        for place, url in enumerate(self._config.urls):
            service = apprise.Apprise(asset=asset)  # one each, to know which of them failed
            if not service.add(url.get_secret_value()) or not len(service):
                raise Undeliverable(f"apprise does not understand urls[{place}]")
            services.append(service)
        return services

    def _notify(self, events: Sequence[Event], places: Sequence[object]) -> list[str]:
        """Notify these services; the names of those that failed."""
        failed = []
        for place in places:
            service = self._services[int(str(place))]
            took = service.notify(
                title=f"[gridtop] {subject(events)}",
                body=letter(events),
                notify_type=_KINDS[worst(events)],
                body_format="text",
            )
            if took:
                self._receipts.took(place)
            else:
                failed.append(f"urls[{place}] ({service[0].service_name})")
        return failed
