"""Takes syslog messages where they belong: UDP, TCP, TLS, or the machine's own socket."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, Literal, NamedTuple, Protocol

from pydantic import Field, field_validator

from gridtop.api import DeliveryError, Duration, Event, Host, Settings
from gridtop.plugins.sinks.reasons import reason
from gridtop.plugins.sinks.syslog.messages import FACILITIES, Sender, printable
from gridtop.plugins.tls import CaFile, OwnCertificate, Verify, client_context

EXAMPLE_ENTERPRISE = 32473
"""The private enterprise number that RFC 5612 sets aside for documentation."""

_PORTS = {"udp": 514, "tcp": 601, "tls": 6514}
_LONGEST = {"udp": 2048, "tcp": 8192, "tls": 8192, "unix": 8192}
"""Bytes of a message that a receiver should take (RFC 5424, 6.1; RFC 5425, 4.3.1)."""

_Facility = Literal[
    "user", "daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"
]


class Address(NamedTuple):
    """Where a receiver is: `path` of a local socket, else host and port."""

    transport: str
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{host}:{self.port}"


def address_of(text: str) -> Address:
    """`udp://host:514`, `tcp://host:601`, `tls://host:6514` or `unix:/dev/log`; else ValueError."""
    if match := re.fullmatch(r"unix:(?://)?(/[^\0]{1,100})", text):
        return Address("unix", path=match[1])
    match = re.fullmatch(r"(udp|tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+)(?::(\d{1,5}))?/?", text)
    port = int(match[3] or _PORTS[match[1]]) if match else 0
    if match is None or not 1 <= port <= 65535:
        raise ValueError(
            f"{text!r} is no address; write udp://host:514, tcp://host:601, tls://host:6514 or unix:/dev/log"
        )
    return Address(match[1], match[2].strip("[]"), port)


class SyslogSettings(Settings):
    """Settings of a syslog sink."""

    address: str = Field(
        "unix:/dev/log",
        description="udp://host:514, tcp://host:601, tls://host:6514 or unix:/dev/log",
    )
    facility: _Facility = Field("local0", description="which of the receiver's drawers")
    app_name: str = Field(
        "gridtop", min_length=1, max_length=48, description="the application in each message"
    )
    hostname: str | None = Field(
        None, min_length=1, max_length=255, description="the host in each message; if not given, this machine"
    )
    enterprise_number: int = Field(
        EXAMPLE_ENTERPRISE,
        ge=1,
        le=2**32 - 1,
        description="in the name of the structured data, gridtop@NUMBER; 32473 is the one for examples, put "
        "your organisation's there",
    )
    timeout: Duration = Field("10s", validate_default=True, description="how long to wait for a connection")
    ca_file: CaFile = None
    certificate: OwnCertificate = None
    verify: Verify = True

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        address_of(value)
        return value

    @field_validator("app_name", "hostname")
    @classmethod
    def _is_printable(cls, value: str | None) -> str | None:
        if value is not None and printable(value, len(value)) != value:
            raise ValueError("should be ASCII without spaces")
        return value

    @field_validator("timeout")
    @classmethod
    def _waits(cls, value: Duration) -> Duration:
        if not 0.1 <= value.total_seconds() <= 300:
            raise ValueError("from 100ms to 5m")
        return value


class _Line(Protocol):
    """A way to the receiver."""

    async def send(self, messages: Sequence[bytes]) -> None: ...

    def usable(self) -> bool: ...

    async def close(self) -> None: ...


class Syslog:
    """One message an event. The protocol has no answer, so delivered means: given to the network."""

    Config: ClassVar = SyslogSettings

    def __init__(self, config: SyslogSettings, host: Host) -> None:
        self._config, self._host = config, host
        self._address = address_of(config.address)
        name = printable(config.hostname or socket.gethostname(), 255)
        self._sender = Sender(FACILITIES[config.facility], name, config.app_name, config.enterprise_number)
        self._context: ssl.SSLContext | None = None
        self._line: _Line | None = None
        self.patience = 2 * config.timeout.total_seconds() + 5

    async def open(self) -> None:
        """Prepare TLS; OSError when `ca_file` or `certificate` cannot be used."""
        if self._address.transport == "tls":
            self._context = client_context(self._config, self._host)

    async def send(self, events: Sequence[Event]) -> None:
        """Hand the messages to the network; DeliveryError when there is no way to the receiver."""
        if self._context is None:
            await self.open()
        longest = _LONGEST[self._address.transport]
        messages = [self._sender.message(event, longest) for event in events]
        limit = self._config.timeout.total_seconds()
        try:
            if self._line is not None and not self._line.usable():
                await self.close()
            if self._line is None:
                self._line = await asyncio.wait_for(self._connected(), limit)
            await asyncio.wait_for(self._line.send(messages), limit)
        except (OSError, EOFError) as error:
            await self.close()
            raise DeliveryError(f"{self._address}: {reason(error)}") from error

    async def close(self) -> None:
        """Close the connection."""
        line, self._line = self._line, None
        if line is not None:
            await line.close()

    async def _connected(self) -> _Line:
        address = self._address
        if address.transport == "unix":
            return await _Datagrams.to(socket.AF_UNIX, address.path)
        if address.transport == "udp":
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
            return await _Datagrams.to(found[0][0], found[0][4])
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=self._context)
        return _Stream(reader, writer)


class _Datagrams:
    """One packet a message. Connected, so that a port nobody listens on is an error at the next packet."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    @classmethod
    async def to(cls, family: int, place: object) -> _Datagrams:
        opened = socket.socket(family, socket.SOCK_DGRAM)
        try:
            opened.setblocking(False)
            opened.connect(place)  # type: ignore[arg-type]  # never waits for a datagram socket
        except BaseException:
            opened.close()
            raise
        return cls(opened)

    async def send(self, messages: Sequence[bytes]) -> None:
        loop = asyncio.get_running_loop()
        for message in messages:
            await loop.sock_sendall(self._socket, message)

    def usable(self) -> bool:
        return True

    async def close(self) -> None:
        self._socket.close()


class _Stream:
    """Messages one behind the other, each with its length before it (RFC 6587 3.4.1, RFC 5425 4.3)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        # Wait until the system has taken everything, not until little is left. (With 0, TLS waits for ever.)
        writer.transport.set_write_buffer_limits(high=1)

    async def send(self, messages: Sequence[bytes]) -> None:
        self._writer.write(b"".join(b"%d %s" % (len(message), message) for message in messages))
        await self._writer.drain()
        if not self.usable():
            raise ConnectionResetError("closed by the receiver")

    def usable(self) -> bool:
        # A receiver never sends; when reading comes to an end it has gone.
        return not (self._reader.at_eof() or self._writer.is_closing())

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError, EOFError, TimeoutError):
            await asyncio.wait_for(self._writer.wait_closed(), 1)
