"""What changes something: the replay's clock, and what an operator tells an alarm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from aiohttp import web

from gridtop.monitor import Monitor
from gridtop.orders import ACTIONS, Order
from gridtop.server.access import caller_of
from gridtop.server.answers import Refusal, body_of, done, no_such, whole
from gridtop.server.questions import require_open


class Commands:
    """Orders to the monitor. They answer without a body when they are obeyed."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    def routes(self) -> list[web.RouteDef]:
        """What is served here."""
        return [
            web.post("/v1/replay/pause", self._pause),
            web.post("/v1/replay/resume", self._resume),
            web.post("/v1/replay/step", self._step),
            web.post("/v1/replay/speed", self._speed),
            web.post("/v1/replay/seek", self._seek),
            web.post("/v1/alarms/{id}/{action}", self._operate),
            web.post("/v1/recording", self._record),
        ]

    async def _pause(self, request: web.Request) -> web.Response:
        require_open(self._monitor)
        self._monitor.replay.pause()
        return done()

    async def _resume(self, request: web.Request) -> web.Response:
        require_open(self._monitor)
        self._monitor.replay.resume()
        return done()

    async def _step(self, request: web.Request) -> web.Response:
        frames = whole((await body_of(request)).get("frames", 1), "frames")
        require_open(self._monitor)
        self._monitor.replay.step(frames)
        return done()

    async def _speed(self, request: web.Request) -> web.Response:
        factor = (await body_of(request)).get("factor")
        if factor == "max":
            factor = math.inf
        elif isinstance(factor, bool) or not isinstance(factor, int | float):
            raise Refusal(400, 'give {"factor": NUMBER}, in times real time, or "max"')
        require_open(self._monitor)
        self._monitor.replay.set_speed(_float(factor))
        return done()

    async def _seek(self, request: web.Request) -> web.Response:
        body = await body_of(request)
        require_open(self._monitor)
        if isinstance(body.get("time"), str):
            await self._monitor.replay.seek_time(_moment(body["time"]))
        else:
            self._monitor.replay.seek(whole(body.get("row"), "row"))
        return done()

    async def _operate(self, request: web.Request) -> web.Response:
        action: Any = request.match_info["action"]
        if action not in ACTIONS:
            raise no_such(request)
        body = await body_of(request)
        reason, seconds = body.get("reason", ""), body.get("seconds", 0)
        if not isinstance(reason, str):
            raise Refusal(400, 'give {"reason": TEXT}')
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise Refusal(400, 'give {"seconds": NUMBER}')
        require_open(self._monitor)
        name = caller_of(request).name
        await self._monitor.operate(Order(action, request.match_info["id"], name, reason, _float(seconds)))
        return done()

    async def _record(self, request: web.Request) -> web.Response:
        on = (await body_of(request)).get("on")
        if not isinstance(on, bool):
            raise Refusal(400, 'give {"on": true} or {"on": false}')
        require_open(self._monitor)
        await self._monitor.record(on)
        return done()


def _float(value: int | float) -> float:
    """A number of JSON, which knows no bounds, as a float, which does."""
    try:
        return float(value)
    except OverflowError:
        raise Refusal(400, "this number is too large") from None


def _moment(text: str) -> np.datetime64:
    try:
        moment = np.datetime64(text.removesuffix("Z"), "ns")
        if not np.isnat(moment):
            return moment
    except ValueError:
        pass
    raise Refusal(400, "time must be ISO 8601 in UTC, such as 2026-01-01T00:00:12.5Z")
