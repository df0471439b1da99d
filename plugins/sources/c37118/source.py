"""A PMU or concentrator as a live source: blocks of what came in a tenth of a second, for ever."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from gridtop.api import Block, ChannelSet, Duration, Host, Settings, SourceError, Statistics
from gridtop.plugins.sources.c37118.assembly import Assembly

if TYPE_CHECKING:
    from gridtop.synchrophasor.connection import Connection

TICK = 0.1
"""Seconds between two blocks."""
_SLOW_ANSWER = 2.0
"""Seconds after which the start says that it waits for an answer; what fails is said at once."""
PORT = 4712
"""Where devices usually listen."""


class C37118Config(Settings):
    """The settings of `type: c37118`."""

    address: str = Field(
        min_length=1,
        description="the device, host:port; port 4712 when not given. Nothing else is ever connected to",
        examples=["192.0.2.10:4712", "[2001:db8::10]:4712", "pmu1.example"],
    )
    id: int = Field(ge=1, le=65534, description="the IDCODE of its data stream")
    transport: Literal["tcp", "tcp+udp", "udp", "udp+commands"] = Field(
        "tcp",
        description="tcp; tcp+udp: commands over TCP, data as datagrams; udp: datagrams that come by "
        "themselves, no commands; udp+commands: both as datagrams",
    )
    udp_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="where datagrams arrive on this computer, with tcp+udp and udp; with udp+commands any "
        "free one when not given",
    )
    listen: str = Field(
        "",
        description="this computer's address at which datagrams arrive, all of its addresses when empty; "
        "or the multicast group that they are sent to",
        examples=["239.1.2.3"],
    )
    interface: str = Field(
        "",
        description="of a multicast group, the network interface by which it comes: its name, or for IPv4 "
        "its address; the system chooses when empty",
        examples=["eth1", "192.0.2.1"],
    )
    configuration: Literal["auto", "cfg1", "cfg2", "cfg3"] = Field(
        "auto", description="which configuration frame to ask for; auto: CFG-2, and CFG-3 where there is one"
    )
    terminals: dict[str | int, str] = Field(
        {},
        description="what a PMU is called here, by its station name or its own IDCODE: {7734: R1}; "
        "else by its station name",
    )
    silence: Duration = Field(
        "1s",
        validate_default=True,
        description="after so long without a frame, frames without values say that data are missing",
    )
    timeout: Duration = Field(
        "5s", validate_default=True, description="after so long without an answer it connects anew"
    )
    patience: Duration | None = Field(
        None,
        description="how long the start waits for the configuration; 30s, and with udp, where it comes once "
        "a minute, 90s",
    )
    ahead: Duration = Field(
        "1d",
        validate_default=True,
        description="frames further ahead of this computer's clock are not used: a leap to the year 2036 "
        "would leave nothing to come after it",
    )

    @field_validator("address")
    @classmethod
    def _readable(cls, text: str) -> str:
        host_and_port(text)
        return text

    @field_validator("silence", "timeout", "patience")
    @classmethod
    def _positive(cls, value: Duration | None) -> Duration | None:
        if value is not None and not value:
            raise ValueError("must be longer than 0s")
        return value

    @model_validator(mode="after")
    def _agree(self) -> C37118Config:
        from gridtop.synchrophasor.datagrams import is_group

        if self.transport == "tcp" and self.udp_port is not None:
            raise ValueError(
                "udp_port: with transport tcp no datagrams come; say transport: tcp+udp, udp or udp+commands"
            )
        if self.transport in ("tcp+udp", "udp") and self.udp_port is None:
            raise ValueError(f"udp_port: say where datagrams arrive with transport {self.transport}")
        if is_group(self.listen) and self.transport not in ("tcp+udp", "udp"):
            raise ValueError("listen: a multicast group goes with transport tcp+udp or udp")
        if self.interface and not is_group(self.listen):
            raise ValueError("interface: it is where a multicast group is joined; name the group in `listen`")
        return self


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of `host:port`, `host`, or `[2001:db8::1]:port`; ValueError when it is none of these."""
    wrong = ValueError(f"{address!r} is not an address; write it like 192.0.2.10:{PORT}")
    if address.startswith("["):
        host, bracket, rest = address[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise wrong
        port = rest[1:]
    elif address.count(":") > 1:
        host, port = address, ""
    else:
        host, _, port = address.partition(":")
        if address.endswith(":"):
            raise wrong
    if not host or any(character.isspace() or character == "/" for character in host):
        raise wrong
    if not port:
        return host, PORT
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise wrong
    return host, int(port)


class C37118:
    """A stream of synchrophasors. When it falls silent, missing data take its place until it is back."""

    Config: ClassVar[type[C37118Config]] = C37118Config
    live = True

    def __init__(self, config: C37118Config, host: Host) -> None:
        self._config, self._host = config, host
        self.identity = f"c37118 {config.address} id={config.id}"
        self._connection: Connection | None = None
        self._assembly: Assembly | None = None
        self._task: asyncio.Task[None] | None = None
        self._told = ""

    async def open(self) -> ChannelSet:
        """Connect and learn the channels; SourceError when that does not work within the patience."""
        from gridtop.synchrophasor.connection import Connection, Target
        from gridtop.synchrophasor.stream import Stream

        config = self._config
        host, port = host_and_port(config.address)
        target = Target(
            host,
            port,
            config.transport,
            config.udp_port or 0,
            config.listen,
            config.timeout.total_seconds(),
            config.interface,
        )
        stream = Stream(config.id, config.configuration)
        self._connection = connection = Connection(target, stream)
        self._assembly = Assembly(
            stream,
            self._host.channel_map,
            config.terminals,
            silence=config.silence.total_seconds(),
            ahead=config.ahead.total_seconds(),
            wall=time.time_ns,
            log=self._host.log,
        )
        self._task = asyncio.create_task(connection.run(), name=f"c37118 {config.address}")
        try:
            async with asyncio.timeout(self._patience):
                await self._until_ready(connection)
            assert stream.configuration is not None
            return self._assembly.open(stream.configuration)
        except TimeoutError:
            await self.close()
            raise SourceError(
                f"{connection.problem}; `gridtop probe {config.address} --id {config.id}` says more"
            ) from None
        except SourceError:
            await self.close()
            raise

    async def blocks(self, start: int = 0) -> AsyncIterator[Block]:
        """What came, ten times a second; in silence, frames without values. `start` means nothing live."""
        assembly, task = self._assembly, self._task
        if assembly is None or task is None:
            raise RuntimeError("blocks() comes after open()")
        assembly.begin()
        begun, tick = time.monotonic(), 0
        while True:
            for block in assembly.blocks(time.monotonic()):
                yield block
            self._tell()
            if task.done():
                raise SourceError(f"the connection to {self._config.address} broke down: {_why(task)}")
            # Ticks are counted from the beginning, so that no delay adds up.
            tick = max(tick, int((time.monotonic() - begun) / TICK)) + 1
            await asyncio.sleep(max(0.0, begun + tick * TICK - time.monotonic()))

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now: no connection, channels that the device has not any more, a clock that leaps."""
        outage = self._connection.outage if self._connection is not None else ""
        of_data = self._assembly.problems if self._assembly is not None else ()
        lost = (f"the connection is lost: {outage}",) if outage else ()
        return (*lost, *(f"{self._config.address}: {text}" for text in of_data))

    async def close(self) -> None:
        """Ask the device to stop and hang up."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    def statistics(self) -> Statistics:
        """What has been counted of the stream and of each device since `open`."""
        if self._assembly is None:
            raise RuntimeError("statistics() comes after open()")
        return self._assembly.statistics(time.monotonic())

    async def _until_ready(self, connection: Connection) -> None:
        """Wait for the configuration; say early what it waits for, and again when that changes."""
        first, loop = connection.problem, asyncio.get_running_loop()
        begun = loop.time()
        while not connection.ready.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await connection.ready.wait()
                    break
            problem = connection.problem
            if problem != self._told and (problem != first or loop.time() - begun >= _SLOW_ANSWER):
                self._told = problem
                self._host.log.warning("%s; trying until %g s have passed", problem, self._patience)
        self._told = ""

    @property
    def _patience(self) -> float:
        if self._config.patience is not None:
            return self._config.patience.total_seconds()
        return 90.0 if self._config.transport == "udp" else 30.0

    def _tell(self) -> None:
        """Log when the connection is lost, and when it is back."""
        problem = self._connection.problem if self._connection is not None else ""
        if problem != self._told:
            if problem:
                self._host.log.warning("%s; trying again", problem)
            else:
                self._host.log.info("connected to %s again", self._config.address)
            self._told = problem


def _why(task: asyncio.Task[None]) -> str:
    return "it was cancelled" if task.cancelled() else repr(task.exception())
