"""The writer's thread: what waits is done in one transaction, and everybody hears when it is on disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from gridtop.journal.ledger import Ledger
from gridtop.journal.sheet import Sheet

_log = logging.getLogger("gridtop")

Outcome = TypeVar("Outcome")

LARGEST_GROUP = 1024
"""Jobs in one transaction at most."""

_IDLE = 1.0
"""Seconds without work after which the thread looks at the clock."""


class _Job:
    """Work on a sheet within a transaction, and the future of the one who waits for it."""

    def __init__(self, work: Callable[[Sheet], Any]) -> None:
        self.work = work
        self.outcome: Any = None
        self.failure: Exception | None = None
        self.done: Future[Any] = Future()
        self.done.set_running_or_notify_cancel()  # who stops waiting does not stop the work


class _Alone(_Job):
    """Work outside any transaction."""

    def __init__(self, work: Callable[[], Any], *, last: bool = False) -> None:
        super().__init__(lambda sheet: work())
        self.last = last


class Writer:
    """Runs jobs on a ledger in a thread of its own, in the order in which they were asked for."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._queue: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="journal", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    async def ask(self, work: Callable[[Sheet], Outcome]) -> Outcome:
        """The outcome of work within a transaction, once that is on disk; or its exception."""
        return await self._wait(_Job(work))  # type: ignore[no-any-return]

    async def alone(self, work: Callable[[], Outcome]) -> Outcome:
        """The outcome of work between transactions."""
        return await self._wait(_Alone(work))  # type: ignore[no-any-return]

    async def stop(self, work: Callable[[], object]) -> None:
        """Do this last of all and end the thread."""
        await self._wait(_Alone(work, last=True))

    async def _wait(self, job: _Job) -> Any:
        self._queue.put(job)
        return await asyncio.wrap_future(job.done)

    def _serve(self) -> None:
        going = True
        while going:
            group, after = self._next()
            if group:
                self._do(group)
            if after is not None:
                self._do_alone(after)
                going = not after.last
            if going:
                try:
                    self._ledger.idle()
                except Exception:
                    _log.exception("journal: cannot be looked after")

    def _next(self) -> tuple[list[_Job], _Alone | None]:
        """What waits: jobs to be done together, and one to be done alone after them."""
        group: list[_Job] = []
        with contextlib.suppress(queue.Empty):
            job = self._queue.get(timeout=_IDLE)
            while True:
                if isinstance(job, _Alone):
                    return group, job
                group.append(job)
                if len(group) == LARGEST_GROUP:
                    break
                job = self._queue.get_nowait()
        return group, None

    def _do(self, group: list[_Job]) -> None:
        try:
            self._ledger.run(group)
        except Exception as error:
            _log.exception("journal: nothing could be written")
            for job in group:
                job.failure = job.failure or error
        for job in group:
            _settle(job)

    @staticmethod
    def _do_alone(job: _Alone) -> None:
        try:
            job.outcome = job.work(None)  # type: ignore[arg-type]
        except Exception as error:
            job.failure = error
        _settle(job)


def _settle(job: _Job) -> None:
    if job.failure is not None:
        job.done.set_exception(job.failure)
    else:
        job.done.set_result(job.outcome)
