"""Sends each event in an HTTP request of its own, and reads from the answer whether it will ever be taken."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import json
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar

from gridtop.api import DeliveryError, Event, Host, ReceiverGone, Undeliverable
from gridtop.plugins.sinks.reasons import reason
from gridtop.plugins.sinks.webhook.addresses import Refused, check, check_host
from gridtop.plugins.sinks.webhook.settings import WebhookSettings, origin
from gridtop.plugins.sinks.webhook.signatures import key_of, signature
from gridtop.plugins.tls import client_context

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession
    from aiohttp.abc import AbstractResolver, ResolveResult

LONGEST_WAIT = 86_400.0
"""Seconds a receiver may ask us to wait: a day."""

_TEMPORARY = {408, 425, 429}
_LARGEST_ANSWER = 65_536
"""Bytes of an answer that are read, only so that its connection can be used again."""


class Webhook:
    """One request an event; no redirects, no proxies, no cookies, and only to addresses that were checked."""

    Config: ClassVar = WebhookSettings
    batch: ClassVar[int] = 1
    at_once: ClassVar[int] = 4

    def __init__(self, config: WebhookSettings, host: Host) -> None:
        self._config, self._host = config, host
        self._where = origin(config.url)
        self._keys = [key_of(secret.get_secret_value()) for secret in config.secret]
        self._session: ClientSession | None = None
        self.patience = config.timeout.total_seconds() + 5

    async def open(self) -> None:
        """Prepare a session; OSError when `ca_file` or `certificate` cannot be used."""
        import aiohttp
        from yarl import URL

        # The library reads the URL in its own way, and looks up no address that is written in it.
        check_host(URL(self._config.url.get_secret_value()).host or "")
        await self.close()
        context = client_context(self._config, self._host) if self._where.startswith("https:") else False
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=context, resolver=_resolver(), use_dns_cache=False, limit=self.at_once
            ),
            timeout=aiohttp.ClientTimeout(total=self._config.timeout.total_seconds()),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "gridtop"},
            trust_env=False,
        )

    async def send(self, events: Sequence[Event]) -> None:
        """Send each event; DeliveryError, Undeliverable or ReceiverGone as the receiver says."""
        if self._session is None:
            await self.open()
        for event in events:
            await self._send(event)

    async def close(self) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send(self, event: Event) -> None:
        import aiohttp

        assert self._session is not None
        body = self._body(event)
        try:
            async with self._session.request(
                self._config.method,
                self._config.url.get_secret_value(),
                data=body,
                headers=self._headers(event, body),
                allow_redirects=False,
            ) as response:
                status, wait = response.status, response.headers.get("Retry-After", "")
                await _drain(response)
        except (aiohttp.ClientError, OSError) as error:
            # Not chained: what the library says quotes the URL, and a URL may hold a secret.
            raise DeliveryError(f"{self._where}: {_why(error)}") from None
        self._judge(status, wait)

    def _body(self, event: Event) -> bytes:
        if self._config.body == "alert":
            return json.dumps(event.as_alert(), allow_nan=False).encode()
        return event.to_json().encode("utf-8", "backslashreplace")  # which still is JSON

    def _headers(self, event: Event, body: bytes) -> dict[str, str]:
        timestamp = int(time.time())
        headers = {name: value.get_secret_value() for name, value in self._config.headers.items()}
        headers |= {
            "Content-Type": "application/json",
            "Idempotency-Key": event.id,
            "webhook-id": event.id,
            "webhook-timestamp": str(timestamp),
        }
        if self._keys:
            headers["webhook-signature"] = signature(self._keys, event.id, timestamp, body)
        return headers

    def _judge(self, status: int, wait: str) -> None:
        """Raise what an answer means, unless it means that the event was taken."""
        if 200 <= status < 300:
            return
        says = f"{self._where} answers {_named(status)}"
        if status == HTTPStatus.GONE:
            raise ReceiverGone(f"{says}: it wants no more events")
        if status in _TEMPORARY or status >= 500:
            raise DeliveryError(says, retry_after(wait, time.time()))
        if status < 400:
            raise Undeliverable(f"{says}, and redirects are not followed: put the final URL into url")
        raise Undeliverable(says)


def retry_after(text: str, now: float) -> float | None:
    """Seconds to wait by a Retry-After header: a number of seconds, or a date; None when it says nothing.

    `now` is in seconds since 1970. RFC 9110, 10.2.3.
    """
    text = text.strip()
    if text.isascii() and text.isdecimal():
        return min(float(text[:12]), LONGEST_WAIT)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max(0.0, (date - datetime.fromtimestamp(now, UTC)).total_seconds()), LONGEST_WAIT)


def _resolver() -> AbstractResolver:
    """Looks a name up anew for each connection and hands on only addresses that may be sent to."""
    from aiohttp.abc import AbstractResolver

    class Checked(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
            allowed: list[ResolveResult] = []
            refusal = Refused(f"{host} has no address")
            for kind, _, protocol, _, place in found:
                try:
                    check(str(place[0]))
                except Refused as error:
                    refusal = error
                    continue
                flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
                allowed.append(
                    {
                        "hostname": host,
                        "host": str(place[0]),
                        "port": int(place[1]),
                        "family": kind,
                        "proto": protocol,
                        "flags": flags,
                    }
                )
            if not allowed:
                raise refusal
            return allowed

        async def close(self) -> None:
            """Nothing is kept."""

    return Checked()


async def _drain(response: ClientResponse) -> None:
    """Read what little there is of an answer; its status has said everything."""
    read = 0
    with contextlib.suppress(Exception):
        async with asyncio.timeout(1):
            async for piece in response.content.iter_any():
                read += len(piece)
                if read > _LARGEST_ANSWER:
                    return


def _why(error: BaseException) -> str:
    inner: Any = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    return str(inner) if isinstance(inner, Refused) else reason(inner)


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
