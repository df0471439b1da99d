"""What the API says: JSON, refusals in words, and what a request carries in its body and its query."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from gridtop.text import clean

LARGEST_BODY = 64 << 10
"""Bytes of a request's body."""

BODY_SECONDS = 10.0
"""How long a body may take to arrive."""


SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "gridtop",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Headers of every answer: it is data, never a page, and nobody keeps it."""


class Refusal(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.headers = headers or {}


def encoded(text: str) -> bytes:
    """UTF-8. A lone surrogate has none, but its Python escape happens to be its JSON escape."""
    return text.encode("utf-8", "backslashreplace")


def json_answer(body: Any, status: int = 200) -> web.Response:
    """A body of JSON."""
    return web.Response(
        body=json.dumps(body, allow_nan=False), content_type="application/json", status=status
    )


def done() -> web.Response:
    """A command was obeyed: there is nothing to say."""
    return web.Response(status=204)


def failure(status: int, sentence: str, exit_code: int | None = None) -> web.Response:
    """An error in words, and the exit code that a command line would end with."""
    body: dict[str, Any] = {"error": sentence}
    return json_answer(body if exit_code is None else body | {"exit": exit_code}, status)


def no_such(request: web.Request) -> Refusal:
    """There is nothing at this address."""
    return Refusal(404, f"there is no {clean(request.path)}")


async def body_of(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body; empty when there is no body. Refusal when it is something else."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = json.loads(await request.read() or b"{}", parse_constant=_no_constant)
    except TimeoutError:
        raise Refusal(408, f"the body took longer than {BODY_SECONDS:g} s to arrive") from None
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refusal(400, "the body is not a JSON object")
    return body


def number(request: web.Request, name: str, default: float, low: float, high: float) -> float:
    """A number in the query within bounds; Refusal when it is something else."""
    try:
        value = float(request.query.get(name, default))
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise Refusal(400, f"{name} must be a number from {low:g} to {high:g}")
    return value


def whole(value: Any, name: str) -> int:
    """A whole number in a body; Refusal when it is something else."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) > 2**53:
        raise Refusal(400, f'give {{"{name}": WHOLE NUMBER}}')
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
