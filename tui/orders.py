"""Keys that tell the monitor something: they wait in line and are obeyed one after the other."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from textual.app import App

from gridtop.client import FASTEST, SLOWEST, Client, Link, Transport
from gridtop.errors import GridtopError

from .screens.ask import Ask
from .view import jumping, recording, seeking
from .view.model import Model

_MARGIN = 2
"""Cells of the banner that an answer leaves free."""

Order = Callable[[Transport], Awaitable[str | None]]
"""Something to tell the monitor, decided on where it stands when its turn comes; gives words to answer."""


@runtime_checkable
class Linked(Protocol):
    """A client that can lose its engine; one that cannot is always connected."""

    @property
    def link(self) -> Link:
        """How well the engine can be reached."""
        ...

    @property
    def can_restart(self) -> bool:
        """Whether `restart` can help."""
        ...

    async def restart(self) -> None:
        """Start the engine again."""
        ...


class Obeying(App[None]):
    """An app whose keys become commands. What an order could not do is said in the banner."""

    client: Client
    model: Model
    _linked: Linked | None
    _orders: asyncio.Queue[tuple[str, Order]]

    def wake(self) -> None:
        """Look at the monitor at once, and paint."""
        raise NotImplementedError

    async def obey(self) -> None:
        """Obey for ever."""
        while True:
            words, order = await self._orders.get()
            try:
                # A fresh look, because several keys may be pressed between two ticks.
                self.model.notice = await order((await self.client.snapshot()).transport) or ""
            except Exception as error:
                self.refuse(words, error)
            self.wake()

    def refuse(self, words: str, error: Exception) -> None:
        """Say why something could not be done, unless the error says itself what cannot be done."""
        said = reason(error)
        self.model.notice = self.model.glyphs.plain(said if "cannot " in said else f"cannot {words}: {said}")

    def _order(self, words: str, order: Order) -> None:
        self._orders.put_nowait((words, order))

    # Transport

    def action_pause(self) -> None:
        """Pause, or go on. A live source cannot wait: its picture stands still, and events still come."""
        if self.model.live or self.model.frozen:
            self.model.freeze()
            self.wake()
            return

        async def order(transport: Transport) -> None:
            stands = transport.state in ("paused", "ended")
            await (self.client.resume() if stands else self.client.pause())

        self._order("pause", order)

    def action_step(self, frames: int) -> None:
        """One frame on or back; a replay that runs is paused first."""

        async def order(transport: Transport) -> None:
            if transport.state == "playing":
                await self.client.pause()
            await self.client.step(frames)

        self._order("step", order)

    def action_speed(self, factor: float) -> None:
        """Change the speed by a factor; 0 means real time."""

        async def order(transport: Transport) -> None:
            asked = transport.speed if math.isfinite(transport.speed) else FASTEST / factor if factor else 1.0
            await self.client.speed(min(max(asked * factor, SLOWEST), FASTEST) if factor else 1.0)

        self._order("change the speed", order)

    def action_seek(self, seconds: float) -> None:
        """Go some seconds on or back."""

        async def order(transport: Transport) -> None:
            await self._go(self._position(transport).moved(seconds))

        self._order("seek", order)

    def action_start(self) -> None:
        """Go to the start of the recording."""
        self._order("go to the start", lambda _: self.client.seek(0))

    def action_event(self, steps: int) -> None:
        """Go to the next event of the log, or the one before."""

        async def order(transport: Transport) -> None:
            rate = self.model.hello.channels.rate if self.model.hello else None
            row = jumping.near_event(self.model.log.lines, transport, rate, steps)
            if row is None:
                raise GridtopError(f"there is no {'later' if steps > 0 else 'earlier'} event in the log")
            await self.client.seek(row)

        self._order("go to an event", order)

    def action_seek_row(self, row: int) -> None:
        """Go to a row."""
        self._order("go there", lambda _: self.client.seek(row))

    def action_go_to(self) -> None:
        """Ask where to go, and go there."""
        position = self.model.position
        if position is None:
            return

        def go(target: seeking.Target | None) -> None:
            if target is not None:
                self._order("go there", lambda _: self._go(target))

        question = "Go to a time or a row"
        self.push_screen(Ask(question, seeking.EXAMPLES, lambda text: seeking.parse(text, position)), go)

    async def _go(self, target: seeking.Target) -> None:
        await (self.client.seek(target) if isinstance(target, int) else self.client.seek_time(target))

    def _position(self, transport: Transport) -> seeking.Position:
        return seeking.Position.of(transport, self.model.hello.channels if self.model.hello else None)

    # Engine

    def action_record(self) -> None:
        """Begin a recording of live data, or end the one that is being made, whoever began it."""

        async def order(_: Transport) -> str:
            before = (await self.client.snapshot()).recording
            await self.client.record(before is None)
            after = (await self.client.snapshot()).recording
            return recording.answer(before, after, self.size.width - _MARGIN, self.model.glyphs)

        self._order("record", order)

    def action_restart(self) -> None:
        """Start this screen's own engine again."""
        self.run_worker(self._restart(), name="restart", exclusive=True, group="restart")

    async def _restart(self) -> None:
        linked = self._linked
        if linked is None or not linked.can_restart or linked.link.state != "ended":
            return
        self.model.notice = "starting the engine"
        self.wake()
        try:
            await linked.restart()
            self.model.begin_anew()
            self.model.notice = ""
        except Exception as error:
            self.refuse("restart the engine", error)
        self.wake()


def reason(error: Exception) -> str:
    """What an exception says, or what it is."""
    return str(error) or type(error).__name__
