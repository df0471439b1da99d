"""`GET /events` and `POST /alert`: alerts of type, count and message, for programs that know only these.

An earlier system spoke like that, and its clients work unchanged.
"""

from __future__ import annotations

import math
import re
from typing import Any

from aiohttp import web

from gridtop.monitor import Monitor
from gridtop.server.access import address_key, caller_of
from gridtop.server.answers import Refusal, body_of, json_answer, number
from gridtop.server.limits import RateLimit
from gridtop.server.streams import Streams, last_event

LONGEST_TYPE = 64
"""Characters."""

LARGEST_COUNT = 1_000_000_000

LONGEST_MESSAGE = 2048
"""Bytes of UTF-8."""

_BLANK = re.compile(r"\s*")


class Alerts:
    """Alerts in and out."""

    def __init__(self, monitor: Monitor, streams: Streams, limit: RateLimit) -> None:
        self._monitor = monitor
        self._streams = streams
        self._limit = limit
        self.limited = 0
        """Alerts that were refused because a client sent too many."""

    def routes(self) -> list[web.RouteDef]:
        """What is served here."""
        return [
            web.get("/events", self._stream, allow_head=False),
            web.post("/alert", self._receive),
        ]

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """From now on, or after the event that a reader saw last."""
        after = last_event(request)
        if after is None and "after" in request.query:
            after = int(number(request, "after", 0, 0, 2**53))
        return await self._streams.serve(request, caller_of(request).key, "alert", after)

    async def _receive(self, request: web.Request) -> web.Response:
        if (wait := self._limit.wait(address_key(request))) > 0:
            self.limited += 1
            seconds = math.ceil(wait)
            sentence = f"too many alerts; the next one in {seconds} s"
            raise Refusal(429, sentence, {"Retry-After": str(seconds)})
        kind, count, message = _alert(await body_of(request))
        if self._monitor.starting:
            raise Refusal(503, "the engine is opening its source", {"Retry-After": "1"})
        event = await self._monitor.report(kind, count, message, caller_of(request).name)
        return json_answer({"status": "success", "id": event.id})


def _alert(body: dict[str, Any]) -> tuple[str, int, str]:
    """Type, count and message; Refusal that names the first of them that is wrong."""
    kind, count, message = body.get("type"), body.get("count"), body.get("message")
    if not isinstance(kind, str) or not 0 < len(kind) <= LONGEST_TYPE or _BLANK.fullmatch(kind):
        raise Refusal(400, f"type must be a text of 1 to {LONGEST_TYPE} characters")
    if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= LARGEST_COUNT:
        raise Refusal(400, f"count must be a whole number from 0 to {LARGEST_COUNT}")
    if not isinstance(message, str) or len(message.encode("utf-8", "replace")) > LONGEST_MESSAGE:
        raise Refusal(400, f"message must be a text of at most {LONGEST_MESSAGE} bytes")
    return kind, count, message
