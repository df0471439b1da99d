"""What is done beside the flow: tasks that end with the run, and end it when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Chores:
    """Tasks that nobody waits for. `failed` is called when one of them has, which is kept as `fault`."""

    def __init__(self, failed: Callable[[], None]) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[Any]] = set()
        self.fault: BaseException | None = None
        """What the first of them died of."""

    def begin(self, chore: Coroutine[Any, Any, object]) -> None:
        """Do something from now on."""
        task = asyncio.create_task(chore)
        self._tasks.add(task)
        task.add_done_callback(self._finish)

    async def wait(self, seconds: float) -> None:
        """Let what is under way come to its end, so long at most."""
        if self._tasks:
            await asyncio.wait(tuple(self._tasks), timeout=seconds)

    async def cancel(self) -> None:
        """End what is under way."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _finish(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fault = self.fault or error
            self._failed()
