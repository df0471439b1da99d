"""Where bytes come from over TCP: a connection made by us, or by a sender on this computer."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

from gridtop.api import SourceError
from gridtop.text import clean

from .complaints import Complaints
from .feeds import PIECE, Restart

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two tries to connect: twice as long each time."""
_CONNECTING = 10.0
"""Seconds an answer to a connection may take."""
_WAITING = 16
"""Pieces of a sender that wait to be cut into lines."""


class Calling:
    """Connects to a sender, and again whenever the connection ends or is silent for too long.

    `silence` is in seconds, None for any.
    """

    patient = False

    def __init__(
        self, host: str, port: int, silence: float | None, shown: str, complaints: Complaints
    ) -> None:
        self._host, self._port = host, port
        self._silence = silence
        self._shown = shown
        self._complaints = complaints
        self.problem = ""

    async def pieces(self) -> AsyncIterator[bytes | Restart]:
        """What the sender says; it never ends."""
        pause, number = FIRST_PAUSE, 0
        while True:
            try:
                async with asyncio.timeout(_CONNECTING):
                    reader, writer = await asyncio.open_connection(self._host, self._port)
            except (OSError, TimeoutError) as error:
                self._lost("there is no connection", _words(error))
                self._complaints.tell("failed_connections", f"{self._shown}: {_words(error)}; trying again")
            else:
                _keep_alive(writer)
                number += 1
                self._complaints.counts["connections"] += 1
                yield Restart(f"connection {number}, ")
                heard = False
                try:
                    async for piece in _spoken(reader, self._silence):
                        heard, self.problem = True, ""
                        yield piece
                    told = "the connection was closed"
                except (OSError, TimeoutError) as error:
                    told = _words(error)
                finally:
                    writer.close()
                self._lost("the connection is lost", told)
                self._complaints.tell("lost_connections", f"{self._shown}: {told}; connecting again")
                pause = FIRST_PAUSE if heard else pause
            # Not all who lost the same sender come back at the same time.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def close(self) -> None:
        """Nothing is left open when `pieces` has ended."""

    def _lost(self, what: str, why: str) -> None:
        self.problem = self.problem or f"{self._shown}: {what}: {why}"


class Listening:
    """Waits for a sender on this computer, one at a time: a second one is turned away and counted.

    `silence` is in seconds, None for any.
    """

    patient = False

    def __init__(
        self, host: str, port: int, silence: float | None, shown: str, complaints: Complaints
    ) -> None:
        self._host, self._port = host, port
        self._silence = silence
        self._shown = shown
        self._complaints = complaints
        self.problem = f"{shown}: no sender has connected yet"
        self._server: asyncio.Server | None = None
        self._queue: asyncio.Queue[bytes | Restart] = asyncio.Queue(_WAITING)
        self._writer: asyncio.StreamWriter | None = None
        self._number = 0

    async def pieces(self) -> AsyncIterator[bytes | Restart]:
        """What senders say, one after the other; it never ends."""
        try:
            self._server = await asyncio.start_server(self._serve, self._host, self._port)
        except OSError as error:
            raise SourceError(f"{self._shown}: cannot listen: {_words(error)}") from None
        while True:
            yield await self._queue.get()

    async def close(self) -> None:
        """Listen no more, and end the connection."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        if self._writer is not None:
            self._writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._writer is not None:
            self._complaints.tell("refused_connections", f"{self._shown}: a second sender was turned away")
            writer.close()
            return
        self._writer, self.problem = writer, ""
        self._number += 1
        self._complaints.counts["connections"] += 1
        try:
            await self._queue.put(Restart(f"connection {self._number}, "))
            async for piece in _spoken(reader, self._silence):
                await self._queue.put(piece)
        except (OSError, TimeoutError) as error:
            self._complaints.tell("lost_connections", f"{self._shown}: {_words(error)}")
        finally:
            self._writer = None
            self.problem = self.problem or f"{self._shown}: the sender is gone"
            writer.close()


async def _spoken(reader: asyncio.StreamReader, silence: float | None) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(silence):
                piece = await reader.read(PIECE)
        except TimeoutError:
            raise TimeoutError(f"nothing was said for {silence:g} s") from None
        if not piece:
            return
        yield piece


def _keep_alive(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)  # its own text repeats the address
    return clean(getattr(error, "strerror", None) or str(error) or "no answer", longest=150)
