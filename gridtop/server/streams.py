"""Server-Sent Events: every event rendered once, and shared by however many readers there are."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from typing import TypedDict

from aiohttp import web

from gridtop.errors import GridtopError
from gridtop.events import Event
from gridtop.monitor import Monitor
from gridtop.server.answers import Refusal
from gridtop.server.guards import guard_of, socket_of
from gridtop.server.limits import Slots
from gridtop.server.messages import RENDER, Form, Rendered, as_alert, as_event

HEARTBEAT = 15.0
"""Seconds within which a stream says something, if only that it is alive."""

GATHER = 0.02
"""Seconds between two rounds of writing: what happens in between goes out in one write a reader."""

PAGE = 200
"""Events that are read at once from the past."""

RETRY = 3000
"""Milliseconds after which a browser's EventSource comes back."""

LONGEST_WRITE = 128 << 10
"""Bytes of one write: with the socket's buffer, what a reader that stalls can hold."""

_MOST_KEPT = 1000
_MOST_KEPT_BYTES = 1 << 20
_SEND_BUFFER = 64 << 10
"""Bytes the kernel holds for one stream: a reader that stalls is noticed soon."""

_BEAT = b": hb\n\n"

_log = logging.getLogger("gridtop.server")


class Reach(TypedDict):
    """Which engine speaks, from which journal, and from which event to which it can tell."""

    instance: str
    journal: str
    seq: int
    oldest: int


class Hub:
    """Follows the monitor while anybody reads, and keeps the newest events as they are written.

    `heartbeat` is for tests.
    """

    def __init__(self, monitor: Monitor, *, heartbeat: float = HEARTBEAT) -> None:
        self._monitor = monitor
        self._heartbeat = heartbeat
        self._kept: list[Rendered] = []
        self._bytes = 0
        self._before = 0
        self._newest = 0
        self._joined: dict[tuple[Form, int], tuple[bytes, int]] = {}
        self._readers: set[Reader] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self.closing = False

    @property
    def begins_after(self) -> int:
        """The number of the last event that is not kept here any more."""
        return self._before

    def join(self, reader: Reader) -> None:
        """Wake a reader from now on when there is something to write."""
        self._readers.add(reader)
        if not self._tasks:
            self._kept.clear()
            self._joined.clear()
            self._bytes = 0
            self._before = self._newest = self._monitor.snapshot().seq
            self._tasks = [
                asyncio.create_task(self._follow(), name="events to streams"),
                asyncio.create_task(self._beat(), name="heartbeat of streams"),
            ]
            self._tasks[0].add_done_callback(self._followed)

    def leave(self, reader: Reader) -> None:
        """Wake a reader no more."""
        self._readers.discard(reader)
        if not self._readers:
            self._stop()

    def close(self) -> None:
        """End all streams."""
        self.closing = True
        self._stop()
        self._wake()

    def since(self, form: Form, after: int) -> tuple[bytes, int] | None:
        """What to write after event `after`, and the number it reaches up to; None when that is past."""
        if after < self._before:
            return None
        known = self._joined.get((form, after))
        if known is None:
            known = self._joined[form, after] = self._join(form, after)
        return known

    def _join(self, form: Form, after: int) -> tuple[bytes, int]:
        start = bisect_right(self._kept, after, key=lambda one: one.seq)
        parts: list[bytes] = []
        length, reached = 0, after
        for one in self._kept[start:]:
            part: bytes = getattr(one, form)
            if parts and length + len(part) > LONGEST_WRITE:
                break
            if part:
                parts.append(part)
                length += len(part)
            reached = one.seq
        return b"".join(parts), reached

    async def _follow(self) -> None:
        while True:
            await self._monitor.published(self._newest)
            events = self._monitor.events(self._newest, PAGE)
            if events:
                self._take(events)
                self._wake()
            await asyncio.sleep(GATHER)

    def _take(self, events: Sequence[Event]) -> None:
        if events[0].seq > self._newest + 1:
            # More has happened than the monitor remembers: readers find the rest where the past is kept.
            self._kept.clear()
            self._before, self._bytes = events[0].seq - 1, 0
        for event in events:
            self._kept.append(Rendered(event.seq, as_event(event), as_alert(event)))
            self._bytes += len(self._kept[-1].event)
        self._newest = events[-1].seq
        gone = 0
        while len(self._kept) - gone > _MOST_KEPT or self._bytes > _MOST_KEPT_BYTES:
            self._bytes -= len(self._kept[gone].event)
            self._before = self._kept[gone].seq
            gone += 1
        del self._kept[:gone]
        self._joined.clear()

    def _followed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("streams cannot be served: %s", error, exc_info=error)
            self._stop()
            for reader in self._readers:
                reader.ended = True
            self._wake()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat / 2)
            for reader in self._readers:
                reader.beat()

    def _wake(self) -> None:
        for reader in self._readers:
            reader.wake()

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks = []


class Reader:
    """One stream: where it stands, and whether it was silent for long."""

    def __init__(self, monitor: Monitor, hub: Hub, form: Form, after: int) -> None:
        self._monitor = monitor
        self._hub = hub
        self._form: Form = form
        self._after = after
        self._waiter: asyncio.Future[None] | None = None
        self._silent = False
        self._due = False
        self.ended = False

    def wake(self) -> None:
        """There is something new, or the end."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self) -> None:
        """The client has gone."""
        self.ended = True
        self.wake()

    def beat(self) -> None:
        """Half a heartbeat has passed: say something if nothing was said in it."""
        if self._silent:
            self._due = True
            self.wake()
        self._silent = True

    async def write_to(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write until the hub closes or the client goes."""
        await write(self._greeting())
        while not (self.ended or self._hub.closing):
            found = self._hub.since(self._form, self._after)
            if found is None:
                await self._write_the_past(write)
                continue
            text, reached = found
            moved = reached > self._after
            self._after = reached
            if text:
                self._silent = False
                await write(text)
            elif not moved:
                await self._wait()
                if self._due:
                    self._due = False
                    await write(_BEAT)

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def _write_the_past(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write one page of events that the hub does not keep."""
        events = await self._monitor.past_events(self._after, PAGE)
        if not events:
            # What was asked for is gone, and nothing newer is kept elsewhere.
            self._after = self._hub.begins_after
            await write(self._resync())
            return
        if events[-1].seq - self._after > len(events):
            await write(self._resync())
        parts: list[bytes] = []
        length = 0
        for event in events:
            part = RENDER[self._form](event)
            if parts and length + len(part) > LONGEST_WRITE:
                await write(b"".join(parts))
                parts, length = [], 0
            parts.append(part)
            length += len(part)
        self._after = events[-1].seq
        if length:
            self._silent = False
            await write(b"".join(parts))
        await asyncio.sleep(0)  # a long past is written page by page, and others have their turn

    def _greeting(self) -> bytes:
        """The beginning of a stream; a reader whose number is of no event of this engine begins again."""
        here = reach(self._monitor)
        greeting = f"retry: {RETRY}\n\n".encode()
        if self._form == "event":
            greeting += f"event: hello\ndata: {json.dumps(here)}\n\n".encode()
        if self._after > here["seq"]:
            self._after = 0
            greeting += self._resync()
        return greeting

    def _resync(self) -> bytes:
        """What tells a reader that events are gone; plain readers of alerts would not understand it."""
        if self._form == "alert":
            return b": events that came before are gone\n\n"
        return f"event: resync\ndata: {json.dumps(reach(self._monitor))}\n\n".encode()


class Streams:
    """Serves both streams to as many readers as each client may have."""

    def __init__(self, monitor: Monitor, slots: Slots, *, heartbeat: float = HEARTBEAT) -> None:
        self._monitor = monitor
        self._slots = slots
        self._hub = Hub(monitor, heartbeat=heartbeat)

    @property
    def open(self) -> int:
        """How many streams are open."""
        return self._slots.taken

    def close(self) -> None:
        """End all streams."""
        self._hub.close()

    async def serve(
        self, request: web.Request, client: str, form: Form, after: int | None
    ) -> web.StreamResponse:
        """Write events after a number (None: from now on) until the client goes.

        Waits for the source to open, for until then nobody knows which events there are. Refusal when the
        client has too many streams, or the source cannot be opened.
        """
        with self._slots.one(client) as free:
            if not free:
                sentence = f"{self._slots.most} streams are open already"
                raise Refusal(503, sentence, {"Retry-After": "15"})
            socket_of(request).setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            response = web.StreamResponse(
                headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
            )
            try:
                await self._monitor.opened()
            except GridtopError as error:
                raise Refusal(503, str(error)) from error
            if after is None:
                after = self._monitor.snapshot().seq
            reader = Reader(self._monitor, self._hub, form, after)
            guard_of(request).when_lost(reader.end)
            self._hub.join(reader)
            try:
                await response.prepare(request)
                await reader.write_to(response.write)
            finally:
                self._hub.leave(reader)
            return response


def reach(monitor: Monitor) -> Reach:
    """Whose events these are, and the numbers of the newest one and of the oldest that is kept (0: none)."""
    seq, oldest = monitor.snapshot().seq, monitor.oldest
    oldest = oldest if oldest <= seq else 0
    return {"instance": monitor.instance, "journal": monitor.journal, "seq": seq, "oldest": oldest}


def last_event(request: web.Request) -> int | None:
    """The number that a returning reader says it read last."""
    last = request.headers.get("Last-Event-ID", "")
    return int(last) if last.isascii() and last.isdigit() and len(last) <= 16 else None
