"""What can be asked: is it well, what is it, how does it stand, what happened, how do the curves look."""

from __future__ import annotations

import json
from dataclasses import replace

from aiohttp import web

from gridtop import wire
from gridtop.client import Snapshot, TelemetryRequest
from gridtop.monitor import Monitor
from gridtop.server.access import caller_of
from gridtop.server.answers import Refusal, encoded, json_answer, number
from gridtop.server.guards import Caller
from gridtop.server.limits import TICKET_SECONDS, Tickets
from gridtop.server.openapi import document
from gridtop.server.streams import Streams, last_event, reach

PAGE = 500
"""Events in an answer unless asked otherwise."""

_MOST_EVENTS = 5000
_MOST_CHANNELS = 1024
_MOST_BUCKETS = 8192
_LONGEST_WINDOW = 31 * 86400.0


class Questions:
    """Answers about the monitor, none of which changes anything."""

    def __init__(self, monitor: Monitor, streams: Streams, tickets: Tickets[Caller]) -> None:
        self._monitor = monitor
        self._streams = streams
        self._tickets = tickets

    def routes(self) -> list[web.RouteDef]:
        """What is served here."""
        return [
            web.get("/healthz", self._alive),
            web.get("/readyz", self._ready),
            web.get("/v1/hello", self._hello),
            web.get("/v1/snapshot", self._snapshot),
            web.get("/v1/events", self._events),
            web.get("/v1/telemetry", self._telemetry),
            web.get("/v1/statistics", self._statistics),
            web.get("/v1/openapi.json", self._document),
            web.post("/v1/ticket", self._ticket),
        ]

    async def _alive(self, request: web.Request) -> web.Response:
        """Only that the process answers: this is told to anybody."""
        return json_answer({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        snapshot = self._monitor.snapshot()
        reasons = reasons_not_ready(snapshot)
        journal = snapshot.journal
        body = {
            "status": "ready" if not reasons else "not ready",
            "reasons": reasons,
            "state": snapshot.transport.state,
            "seq": snapshot.seq,
            "journal": {"state": journal.state, "problem": journal.problem},
            "sinks": {
                sink.name: {
                    "state": sink.state,
                    "waiting": sink.waiting,
                    "dead": sink.dead,
                    "problem": sink.problem,
                }
                for sink in snapshot.sinks
            },
            "problems": list(snapshot.problems),
        }
        return json_answer(body, 503 if reasons else 200)

    async def _hello(self, request: web.Request) -> web.Response:
        require_open(self._monitor)
        await self._monitor.opened()
        return json_answer(wire.hello_to_json(self._monitor.hello()))

    async def _snapshot(self, request: web.Request) -> web.Response:
        return json_answer(wire.snapshot_to_json(self._monitor.snapshot()))

    async def _statistics(self, request: web.Request) -> web.Response:
        require_open(self._monitor)
        return json_answer(wire.statistics_to_json(self._monitor.statistics()))

    async def _telemetry(self, request: web.Request) -> web.Response:
        channels = request.query.getall("channel", [])
        if len(channels) > _MOST_CHANNELS:
            raise Refusal(400, f"at most {_MOST_CHANNELS} channels at once")
        window = number(request, "window", 60.0, 0.001, _LONGEST_WINDOW)
        buckets = int(number(request, "buckets", 160, 1, _MOST_BUCKETS))
        require_open(self._monitor)
        asked = TelemetryRequest(tuple(channels), window, buckets)
        return json_answer(wire.telemetry_to_json(self._monitor.telemetry(asked)))

    async def _events(self, request: web.Request) -> web.StreamResponse:
        after = int(number(request, "after", 0, 0, 2**53))
        if request.method == "GET" and "text/event-stream" in request.headers.get("Accept", ""):
            last = last_event(request)
            key = caller_of(request).key
            return await self._streams.serve(request, key, "event", after if last is None else last)
        limit = int(number(request, "limit", PAGE, 1, _MOST_EVENTS))
        require_open(self._monitor)
        events = await self._monitor.past_events(after, limit)
        head = json.dumps(reach(self._monitor))
        # The events are the very bytes of the log.
        body = f'{head[:-1]}, "events": [' + ",".join(event.to_json() for event in events) + "]}"
        return web.Response(body=encoded(body), content_type="application/json")

    async def _document(self, request: web.Request) -> web.Response:
        return json_answer(document())

    async def _ticket(self, request: web.Request) -> web.Response:
        ticket = self._tickets.issue(replace(caller_of(request), scope="read"))
        return json_answer({"ticket": ticket, "seconds": TICKET_SECONDS})


def reasons_not_ready(snapshot: Snapshot) -> list[str]:
    """Why the engine does not do its work now, in words; none when it does.

    A sink that cannot deliver is no reason: what is owed to it is kept.
    """
    transport, journal = snapshot.transport, snapshot.journal
    reasons: list[str] = []
    if transport.state == "starting":
        reasons.append("the engine is opening its source")
    if transport.state == "failed":
        reasons.append(transport.problem or "the source failed")
    if journal.state == "degraded":
        reasons.append(f"the journal does not keep events: {journal.problem or 'it cannot be written'}")
    return reasons


def require_open(monitor: Monitor) -> None:
    """Refusal while the source is not open yet."""
    if monitor.starting:
        problems = monitor.snapshot().problems
        raise Refusal(503, problems[0] if problems else "the engine is opening its source")
