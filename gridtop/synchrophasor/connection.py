"""The connection to a PMU or concentrator: commands and data over TCP or UDP, or spontaneous datagrams.

It goes on for ever: what fails is tried again after a while, 1 s at first and 30 s at most, with jitter, so
that a hundred monitors do not all knock at the same time.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from gridtop.synchrophasor.datagrams import Address, Membership, Postman, is_group
from gridtop.synchrophasor.frames import Command, encode_command
from gridtop.synchrophasor.stream import Stream

Transport = Literal["tcp", "tcp+udp", "udp", "udp+commands"]

SHORTEST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds before another attempt to connect."""

_PAUSE = 0.1
"""Seconds between STOP and the next command: some devices lose a command that comes with another."""
_TRIES = 3
_EXTRA_PATIENCE = 1.0
"""Seconds that a device gets for CFG-3, which older ones do not know."""
_BETWEEN_WISHES = 2.0
_LOOK = 0.25
_READ_BYTES = 1 << 16


class ConnectionProblem(Exception):
    """Why a connection is given up; the text is for people."""


class _Silence(ConnectionProblem):
    """Nothing comes any more."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a stream comes from.

    host, port   the device, for commands and, with `tcp`, for data
    transport    `tcp`, `tcp+udp` (data as datagrams), `udp` (datagrams by themselves; no commands) or
                 `udp+commands` (both as datagrams)
    udp_port     where datagrams arrive on this computer, at `listen` (all of its addresses when empty); any
                 free one when 0
    timeout      seconds without data after which the connection is made anew
    interface    with a multicast group at `listen`, the network interface by which it is joined: its name, or
                 for IPv4 its address; the system's choice when empty
    """

    host: str
    port: int = 4712
    transport: Transport = "tcp"
    udp_port: int = 0
    listen: str = ""
    timeout: float = 5.0
    interface: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host} (datagrams at {self.udp_port})" if self.transport == "udp" else f"{host}:{self.port}"


class Connection:
    """Keeps a stream connected for as long as `run` runs.

    problem   why there is no connection just now; empty when there is
    outage    why there are no data: the same words from the first problem until data have come again
    ready     set while data are asked for and the configuration is known

    `clock` gives the arrival of what comes. `tap` is given all bytes as they come, with nothing left out.
    """

    def __init__(
        self,
        target: Target,
        stream: Stream,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        tap: Callable[[bytes], None] | None = None,
    ) -> None:
        self.target, self.stream = target, stream
        self.problem = f"{target} has not answered yet"
        self.outage = ""
        self.ready = asyncio.Event()
        self._clock, self._sleep, self._chance, self._tap = clock, sleep, chance, tap
        self._writer: asyncio.StreamWriter | None = None
        self._endpoint: asyncio.DatagramTransport | None = None
        self._membership: Membership | None = None
        self._came = asyncio.Event()
        self._allowed: frozenset[str] = frozenset()
        self._device: tuple[Any, ...] = ()
        self._asked_at = -_BETWEEN_WISHES
        self._port = 0

    @property
    def udp_port(self) -> int:
        """The port at which datagrams arrive: the one that was found when the target's is 0."""
        return self._port or self.target.udp_port

    async def run(self) -> None:
        """Connect, converse, and begin again when that ends; never returns."""
        wait = SHORTEST_WAIT
        while True:
            try:
                await self._once()
            except ConnectionProblem as error:
                self._lost(str(error))
            except OSError as error:
                self._lost(f"{self.target}: {_words(error)}")
            self.ready.clear()
            self.stream.counts.failures += 1
            if self.stream.data_arrival is not None:
                wait = SHORTEST_WAIT
            await self._sleep(wait * (0.5 + 0.5 * self._chance()))
            wait = min(2 * wait, LONGEST_WAIT)

    def _lost(self, words: str) -> None:
        self.problem = words
        self.outage = self.outage or words

    async def send(self, command: Command) -> None:
        """Send a command; OSError when the device does not take it, nothing where there is no way to it."""
        frame = encode_command(self.stream.idcode, command)
        if self.target.transport == "udp+commands" and self._endpoint is not None:
            self._endpoint.sendto(frame, self._device)
        if self._writer is None:
            return
        self._writer.write(frame)
        try:
            async with asyncio.timeout(self.target.timeout):
                await self._writer.drain()
        except TimeoutError:
            raise ConnectionProblem(f"{self.target} takes no commands any more") from None

    async def _once(self) -> None:
        """One connection, from beginning to end, which is always an exception."""
        target = self.target
        tasks: list[asyncio.Task[None]] = []
        try:
            if target.transport != "tcp":
                self._endpoint = await self._listen()
            if target.transport.startswith("tcp"):
                tasks.append(asyncio.create_task(self._read(await self._connect())))
            self.stream.begin()
            await (self._overhear(tasks) if target.transport == "udp" else self._converse(tasks))
        except _Silence:
            # What is said now into a cut line may arrive when it is whole again, and stop the next stream.
            if self._writer is not None:
                self._writer.transport.abort()
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._hang_up()

    async def _connect(self) -> asyncio.StreamReader:
        try:
            async with asyncio.timeout(self.target.timeout):
                reader, self._writer = await asyncio.open_connection(self.target.host, self.target.port)
        except TimeoutError:
            raise ConnectionProblem(f"{self.target} does not answer") from None
        except ConnectionRefusedError:
            raise ConnectionProblem(f"nobody listens at {self.target} (connection refused)") from None
        except (OSError, UnicodeError) as error:  # a host name may be none
            raise ConnectionProblem(f"{self.target}: {_words(error)}") from None
        return reader

    async def _hang_up(self) -> None:
        if self._endpoint is not None:
            if self.target.transport == "udp+commands":
                await self.send(Command.STOP)
            if self._membership is not None:
                self._membership.leave()
            self._endpoint.close()
            self._endpoint = self._membership = None
        writer, self._writer = self._writer, None
        if writer is None:
            return
        with suppress(OSError, RuntimeError):
            if not writer.is_closing():
                writer.write(encode_command(self.stream.idcode, Command.STOP))
            writer.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await writer.wait_closed()

    async def _listen(self) -> asyncio.DatagramTransport:
        loop, target = asyncio.get_running_loop(), self.target
        try:
            found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_DGRAM)
        except (OSError, UnicodeError) as error:
            raise ConnectionProblem(f"{target.host}: {_words(error)}") from None
        self._allowed = frozenset(str(address[4][0]) for address in found)
        self._device = found[0][4]
        family = found[0][0]
        here = target.listen or ("::" if family == socket.AF_INET6 else "0.0.0.0")
        where: dict[str, Any] = {"local_addr": (here, target.udp_port)}
        try:
            if is_group(target.listen):
                self._membership = Membership(target.listen, target.udp_port, target.interface)
                where = {"sock": self._membership.socket}
            endpoint, _ = await loop.create_datagram_endpoint(lambda: Postman(self._take_datagram), **where)
        except OSError as error:
            at = f"group {target.listen}, port" if is_group(target.listen) else "port"
            raise ConnectionProblem(
                f"datagrams cannot be received at {at} {target.udp_port}: {_words(error)}"
            ) from None
        self._port = int(endpoint.get_extra_info("sockname")[1])
        return endpoint

    def _take_datagram(self, data: bytes, sender: Address) -> None:
        if sender[0] not in self._allowed:
            self.stream.counts.intruders += 1
            return
        self._take(data, datagram=True)

    def _take(self, data: bytes, datagram: bool = False) -> None:
        if self._tap is not None:
            self._tap(data)
        self.stream.receive(data, self._clock(), datagram=datagram)
        self._came.set()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(_READ_BYTES):
            self._take(data)
        raise ConnectionProblem(f"{self.target} has closed the connection")

    async def _converse(self, tasks: list[asyncio.Task[None]]) -> None:
        """Stop what may still flow, learn the configuration, start the data, and keep watch."""
        stream = self.stream
        await self.send(Command.STOP)
        await self._sleep(_PAUSE)
        first = stream.wishes.pop(0)
        for _ in range(_TRIES):
            await self.send(first)
            if await self._until(lambda: bool(stream.seen), self.target.timeout, tasks):
                break
        else:
            raise ConnectionProblem(
                f"{self.target} sends no configuration: is {stream.idcode} the ID of its stream?"
            )
        if Command.SEND_CFG3 in stream.wishes:
            stream.wishes.remove(Command.SEND_CFG3)
            await self.send(Command.SEND_CFG3)
            await self._until(lambda: stream.knows_all, _EXTRA_PATIENCE, tasks)
        await self.send(Command.START)
        await self._watch(tasks)

    async def _overhear(self, tasks: list[asyncio.Task[None]]) -> None:
        """Wait for a configuration that comes by itself, and keep watch."""
        while not self.stream.seen:
            self._lost(f"no configuration has come yet from {self.target}; devices send one each minute")
            await self._until(lambda: bool(self.stream.seen), self.target.timeout, tasks)
        await self._watch(tasks, for_ever=True)

    async def _watch(self, tasks: list[asyncio.Task[None]], for_ever: bool = False) -> None:
        """Until the data stop or the connection is lost, send what the stream wishes."""
        self.problem = ""
        self.ready.set()
        since = self._clock()
        while True:
            await self._sleep(_LOOK)
            _raise_of(tasks)
            last = self.stream.data_arrival
            silent = self._clock() - (since if last is None else max(last, since))
            if silent > self.target.timeout:
                words = f"no data from {self.target} for {self.target.timeout:g} s"
                if not for_ever:
                    raise _Silence(words)
                self._lost(words)
            elif last is not None:
                self.problem = self.outage = ""
            if self.stream.wishes and self._clock() - self._asked_at >= _BETWEEN_WISHES:
                self._asked_at = self._clock()
                await self.send(self.stream.wishes.pop(0))

    async def _until(
        self, happened: Callable[[], bool], seconds: float, tasks: list[asyncio.Task[None]]
    ) -> bool:
        """Whether it happened within so many seconds; raises what ended the connection."""
        end = self._clock() + seconds
        while not happened():
            _raise_of(tasks)
            left = end - self._clock()
            if left <= 0:
                return False
            self._came.clear()
            waiting = asyncio.create_task(self._came.wait())
            try:
                await asyncio.wait((waiting, *tasks), timeout=left, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiting.cancel()
        return True


def _raise_of(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if task.done():
            task.result()


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
