"""The syslog sink against real receivers: UDP, TCP, TLS and a local socket."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gridtop.api import DeliveryError, Event
from gridtop.plugins.sinks.syslog import Syslog
from gridtop.plugins.sinks.syslog.messages import Sender
from tests.sinks_at_hand import EVENT, certificates, host

PARTS = re.compile(
    r"<(?P<priority>\d{1,3})>1 (?P<time>\S+) (?P<host>\S+) (?P<app>\S+) (?P<process>\d+) (?P<id>\S+) "
    r'\[gridtop@(?P<number>\d+)(?P<data>(?: [a-z_]+="(?:[^"\\\]]|\\["\\\]])*")*)\] \ufeff(?P<text>.*)',
    re.DOTALL,
)
VALUE = re.compile(r' ([a-z_]+)="((?:[^"\\\]]|\\["\\\]])*)"')


def parts(message: bytes) -> dict[str, str]:
    """What RFC 5424 makes of a message; an error when it is none."""
    match = PARTS.fullmatch(message.decode())
    assert match is not None, message
    return match.groupdict()


def data(message: bytes) -> dict[str, str]:
    """The structured data, unescaped."""
    return {name: re.sub(r"\\(.)", r"\1", value) for name, value in VALUE.findall(parts(message)["data"])}


def sink(address: str, folder: Path = Path(), **settings: Any) -> Syslog:
    config = {"address": address, "hostname": "substation7", "timeout": "2s", **settings}
    return Syslog(Syslog.Config.model_validate(config), host(folder))


@contextlib.contextmanager
def datagrams(family: int = socket.AF_INET, place: Any = ("127.0.0.1", 0)) -> Iterator[socket.socket]:
    with socket.socket(family, socket.SOCK_DGRAM) as receiver:
        receiver.bind(place)
        receiver.settimeout(10)
        yield receiver


class Stream:
    """A receiver of syslog over TCP that counts octets."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.port = 0
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                length = int(await reader.readuntil(b" "))
                self.messages.put_nowait(await reader.readexactly(length))

    async def next(self) -> bytes:
        return await asyncio.wait_for(self.messages.get(), 10)


@contextlib.asynccontextmanager
async def streaming(tls: ssl.SSLContext | None = None) -> AsyncIterator[Stream]:
    receiver = Stream()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for writer in receiver.writers:
            writer.close()


async def sent(event: Event = EVENT, **settings: Any) -> bytes:
    """The message an event becomes, by UDP."""
    with datagrams() as receiver:
        out = sink(f"udp://127.0.0.1:{receiver.getsockname()[1]}", **settings)
        await out.open()
        await out.send([event])
        await out.close()
        return receiver.recv(65536)


async def test_a_message_has_the_parts_of_rfc_5424() -> None:
    message = await sent()
    found = parts(message)
    assert found["priority"] == str(16 * 8 + 2)  # local0, critical
    assert found["time"] == "2026-01-01T00:00:13.250Z"  # when it was published
    assert (found["host"], found["app"], found["id"]) == ("substation7", "gridtop", "raised")
    assert found["text"] == "voltage: R1 A voltage 0.85 pu below 0.9 pu (critical)"
    assert found["number"] == "32473"
    assert data(message) == {
        "id": "0123456789abcdef",
        "seq": "7",
        "time": "2026-01-01T00:00:12.5Z",
        "kind": "alarm",
        "rule": "voltage",
        "severity": "critical",
        "priority": "high",
        "channel": "R1:voltage_pu.A",
        "terminal": "R1",
        "quantity": "voltage_pu",
        "value": "0.85",
        "limit": "0.9",
        "unit": "pu",
        "incident": "0123456789abcdef",
    }


@pytest.mark.parametrize(("severity", "number"), [("info", 6), ("warning", 4), ("critical", 2)])
async def test_facility_and_severity_are_in_the_priority(severity: Any, number: int) -> None:
    message = await sent(replace(EVENT, severity=severity), facility="daemon")
    assert parts(message)["priority"] == str(3 * 8 + number)


async def test_host_application_and_enterprise_number_can_be_set() -> None:
    found = parts(await sent(hostname="rtu-4", app_name="grid-a", enterprise_number=99999))
    assert (found["host"], found["app"], found["number"]) == ("rtu-4", "grid-a", "99999")


async def test_quotes_brackets_and_backslashes_in_values_are_escaped() -> None:
    odd = 'a"b]c\\d'
    message = await sent(replace(EVENT, channel=odd))
    assert b'channel="a\\"b\\]c\\\\d"' in message
    assert data(message)["channel"] == odd


SENDER = Sender(16, "substation7", "gridtop", 32473)
TEXTS = st.text(max_size=400)


@given(rule=TEXTS, channel=TEXTS, text=TEXTS, longest=st.sampled_from([480, 2048, 8192]))
def test_whatever_the_data_say_it_is_one_valid_message_of_bounded_length(
    rule: str, channel: str, text: str, longest: int
) -> None:
    message = SENDER.message(replace(EVENT, rule=rule, channel=channel, message=text), longest)
    assert len(message) <= longest
    assert data(message)["id"] == EVENT.id
    assert not re.search(rb"[\x00-\x1f\x7f]", message)


async def test_a_udp_packet_is_cut_at_2048_bytes_and_not_within_a_character() -> None:
    message = await sent(replace(EVENT, message="電" * 2000))
    assert 2045 <= len(message) <= 2048
    assert parts(message)["text"].startswith("voltage: 電電電")


async def test_tcp_counts_octets_and_keeps_its_connection() -> None:
    async with streaming() as receiver:
        out = sink(f"tcp://127.0.0.1:{receiver.port}")
        events = [replace(EVENT, id=f"{number:016x}", message="Δ\n" * number) for number in range(50)]
        await out.send(events[:20])
        await out.send(events[20:])
        assert [data(await receiver.next())["id"] for _ in events] == [event.id for event in events]
        assert receiver.connections == 1
        await out.close()


async def test_a_tcp_receiver_that_closed_is_connected_to_again() -> None:
    async with streaming() as receiver:
        out = sink(f"tcp://127.0.0.1:{receiver.port}")
        await out.send([EVENT])
        await receiver.next()
        receiver.writers[0].close()
        await receiver.writers[0].wait_closed()
        while out._line is not None and out._line.usable():  # the end is on its way
            await asyncio.sleep(0.001)
        await out.send([EVENT])
        assert data(await receiver.next())["id"] == EVENT.id
        assert receiver.connections == 2
        await out.close()


async def test_tls_checks_the_certificate(tmp_path: Path) -> None:
    own = certificates(tmp_path)
    async with streaming(own.server) as receiver:
        trusting = sink(f"tls://localhost:{receiver.port}", tmp_path, ca_file="ca.pem")
        await trusting.open()
        await trusting.send([EVENT])
        assert parts(await receiver.next())["app"] == "gridtop"
        await trusting.close()
        with pytest.raises(DeliveryError, match="its certificate is not trusted"):
            await sink(f"tls://localhost:{receiver.port}").send([EVENT])
        assert receiver.messages.empty()


async def test_the_machines_own_socket() -> None:
    # A socket's path must be short.
    with (
        tempfile.TemporaryDirectory() as folder,
        datagrams(socket.AF_UNIX, f"{folder}/log") as receiver,
    ):
        out = sink(f"unix:{folder}/log")
        await out.send([EVENT, EVENT])
        assert parts(receiver.recv(65536)) == parts(receiver.recv(65536))
        await out.close()


async def test_a_local_socket_that_is_not_there_is_temporary() -> None:
    with tempfile.TemporaryDirectory() as folder:
        out = sink(f"unix:{folder}/log")
        await out.open()
        with pytest.raises(DeliveryError, match="unix:.*/log: no such file or directory"):
            await out.send([EVENT])
        with datagrams(socket.AF_UNIX, f"{folder}/log") as receiver:
            await out.send([EVENT])
            assert data(receiver.recv(65536))["id"] == EVENT.id
        await out.close()


async def test_a_udp_port_that_nobody_listens_on_is_noticed() -> None:
    with datagrams() as receiver:
        port = receiver.getsockname()[1]
    out = sink(f"udp://127.0.0.1:{port}")
    # The first packet tells; what tells of it is the second.
    with pytest.raises(DeliveryError, match=f"udp://127.0.0.1:{port}: connection refused"):
        await out.send([EVENT] * 20)


async def test_a_tcp_receiver_that_is_away_is_temporary() -> None:
    async with streaming() as receiver:
        pass
    with pytest.raises(DeliveryError, match="tcp://127.0.0.1:[0-9]+: connect"):
        await sink(f"tcp://127.0.0.1:{receiver.port}").send([EVENT])


async def test_a_tcp_receiver_that_takes_nothing_is_temporary() -> None:
    many = [replace(EVENT, message="x" * 8000)] * 4000  # more than the buffers between hold
    with socket.create_server(("127.0.0.1", 0)) as never_read:
        never_read.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        out = sink(f"tcp://127.0.0.1:{never_read.getsockname()[1]}", timeout="300ms")
        with pytest.raises(DeliveryError, match="no answer in time"):
            await out.send(many)


async def test_closing_is_legal_without_opening_and_twice() -> None:
    out = sink("udp://127.0.0.1:514")
    await out.close()
    await out.close()


@pytest.mark.parametrize(
    "address",
    ["", "localhost", "http://x:1", "udp://", "tcp://h:0", "tls://h:70000", "unix:log", "udp://u@h"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="is no address; write udp://host:514"):
        Syslog.Config.model_validate({"address": address})


@pytest.mark.parametrize(
    "settings",
    [{"facility": "mail9"}, {"hostname": "two words"}, {"app_name": "Δ"}, {"enterprise_number": 0}],
)
def test_other_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Syslog.Config.model_validate(settings)
