"""Work that ends early when somebody says so."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

Outcome = TypeVar("Outcome")


async def until_stopped(stopping: asyncio.Event, work: Coroutine[object, object, Outcome]) -> Outcome | None:
    """The outcome of work; None when it was cancelled because the event came first. Raises what it raises."""
    task = asyncio.create_task(work)
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.cancel()
        if not task.done():
            task.cancel()
        await asyncio.gather(task, stop, return_exceptions=True)
    return None if task.cancelled() else task.result()
