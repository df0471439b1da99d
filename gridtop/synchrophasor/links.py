"""The way to a PMU: TCP, UDP, or commands over TCP and data over UDP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

from gridtop.errors import Exit, GridtopError
from gridtop.synchrophasor.datagrams import Address, Postman
from gridtop.synchrophasor.frames import Splitter
from gridtop.text import clean

CONNECT_S = 5.0
"""How long a connection may take."""
FIRST_BYTES = 64
"""What is kept of the first bytes that came, to tell what answers."""

_READ_BYTES = 1 << 16
_USUAL_PORT = 4712


class ProbeError(GridtopError):
    """What was to be reached cannot be: the message says why, and what to do."""

    code = Exit.PROBE


class Arrival(NamedTuple):
    """A whole frame, and when it came: nanoseconds since 1970."""

    time: int
    frame: bytes


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach a PMU: `udp` for commands and data; `data_port` for data by UDP to that port of ours."""

    host: str
    port: int
    udp: bool = False
    data_port: int | None = None

    def __str__(self) -> str:
        shown = f"[{clean(self.host)}]" if ":" in self.host else clean(self.host)
        return f"{shown}:{self.port}"


class Link:
    """A link over TCP, UDP or both: `async with Link(way) as link`. ProbeError when it cannot be had.

    bytes_received  all that came
    first_bytes     the first of them
    closed          the other end has hung up

    `record` is given all bytes as they come, with the time of their arrival.
    """

    def __init__(
        self,
        way: Way,
        wall: Callable[[], int] = time.time_ns,
        record: Callable[[int, bytes], object] = lambda arrival, data: None,
    ) -> None:
        self._way, self._wall, self._record = way, wall, record
        # Each kind of transport has its own: a frame may be under way in one while the other brings some.
        self._splitter, self._datagram_splitter = Splitter(), Splitter()
        self.bytes_received = 0
        self.first_bytes = b""
        self.closed = False
        self._frames: asyncio.Queue[Arrival | None] = asyncio.Queue()
        self._writer: asyncio.StreamWriter | None = None
        self._datagrams: asyncio.DatagramTransport | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Link:
        way = self._way
        try:
            if way.udp:
                await self._open_datagrams(remote=(way.host, way.port))
            else:
                connecting = asyncio.open_connection(way.host, way.port)
                reader, writer = await asyncio.wait_for(connecting, CONNECT_S)
                self._writer = writer
                self._reading = asyncio.create_task(self._read(reader))
                if way.data_port is not None:
                    local = writer.get_extra_info("sockname")[0]
                    await self._open_datagrams(local=(local, way.data_port))
        except OSError as error:  # TimeoutError is one
            await self.close()
            raise ProbeError(_unreachable(way, error)) from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def bad_crc(self) -> int:
        """Damaged frames that have come."""
        return self._splitter.bad_crc + self._datagram_splitter.bad_crc

    @property
    def skipped(self) -> int:
        """Bytes that have come and were no part of a whole frame."""
        return self._splitter.skipped + self._datagram_splitter.skipped

    def send(self, frame: bytes) -> None:
        """Send a command; to nobody when the other end has hung up."""
        if self._writer is not None:
            if not self.closed:
                self._writer.write(frame)
        elif self._datagrams is not None:
            self._datagrams.sendto(frame)

    async def receive(self, seconds: float) -> Arrival | None:
        """The next whole frame; None when none comes in that time, or at the end."""
        if self.closed and self._frames.empty():
            return None
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self._frames.get(), max(0.0, seconds))
        return None

    async def close(self) -> None:
        """Hang up; legal twice."""
        if self._datagrams is not None:
            self._datagrams.close()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while received := await reader.read(_READ_BYTES):
                self._take(received, self._splitter.feed(received))
        self.closed = True
        self._frames.put_nowait(None)

    def _take(self, received: bytes, frames: list[bytes]) -> None:
        now = self._wall()
        self._record(now, received)
        self.bytes_received += len(received)
        self.first_bytes += received[: FIRST_BYTES - len(self.first_bytes)]
        for frame in frames:
            self._frames.put_nowait(Arrival(now, frame))

    def _take_datagram(self, received: bytes, address: Address) -> None:
        self._take(received, self._datagram_splitter.feed_datagram(received))

    async def _open_datagrams(self, local: Address | None = None, remote: Address | None = None) -> None:
        loop = asyncio.get_running_loop()
        self._datagrams, _ = await loop.create_datagram_endpoint(
            lambda: Postman(self._take_datagram), local_addr=local, remote_addr=remote
        )


def _unreachable(way: Way, error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        hint = "" if way.port == _USUAL_PORT else f" ({_USUAL_PORT} is the usual one)"
        return f"nobody listens at {way}: is the PMU switched on, and is the port right{hint}?"
    if isinstance(error, socket.gaierror):
        return f"no computer is called {clean(way.host)!r}: check the name, or write the address in numbers"
    if isinstance(error, TimeoutError):
        return (
            f"{way} does not answer within {CONNECT_S:g} s: is it switched on and on this network, "
            "and does no firewall stand between?"
        )
    if way.data_port is not None and "address already in use" in str(error).lower():
        return f"another program listens at UDP port {way.data_port} already: end it, or use another port"
    return f"{way} cannot be reached: {(error.strerror or str(error)).lower()}"
