"""Datagrams sent to a multicast group: joined, shared, left, and read only from the device configured."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from pydantic import ValidationError

from gridtop.api import Host
from gridtop.naming import ChannelMap
from gridtop.plugins.sources.c37118 import C37118
from gridtop.synchrophasor.configuration import encode_configuration
from gridtop.synchrophasor.connection import Connection, Target
from gridtop.synchrophasor.datagrams import Membership, is_group
from gridtop.synchrophasor.stream import Stream
from tests.c37118_devices import LoopbackPmu, configuration, data, eventually

GROUP, LOOPBACK = "239.255.118.37", "127.0.0.1"
OF = configuration()


class Sender:
    """A device on loopback that sends to the group, from a socket of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
        self.socket.bind((LOOPBACK, 0))

    def send(self, frames: Sequence[bytes]) -> None:
        for frame in frames:
            self.socket.sendto(frame, (GROUP, self._port))


@pytest.fixture
def sender() -> Iterator[Sender]:
    """Of a port that is free; the test is skipped where the system does no multicast on loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((LOOPBACK, 0))
        port = int(one.getsockname()[1])
    made = None
    try:
        made = Sender(port)
        member = Membership(GROUP, port, LOOPBACK)
        with member.socket as inbox:
            made.send([b"is anybody there"])
            inbox.settimeout(2)
            assert inbox.recv(100) == b"is anybody there"
    except OSError as error:
        if made is not None:
            made.socket.close()
        pytest.skip(f"no multicast on loopback: {error}")
    yield made
    made.socket.close()


def port_of(sender: Sender) -> int:
    return sender._port


@contextlib.asynccontextmanager
async def connected(sender: Sender, host: str = LOOPBACK) -> AsyncIterator[Stream]:
    stream = Stream(7)
    target = Target(
        host, transport="udp", udp_port=port_of(sender), listen=GROUP, interface=LOOPBACK, timeout=5.0
    )
    task = asyncio.create_task(Connection(target, stream).run())
    try:
        await eventually(lambda: stream.counts.connections == 1)
        yield stream
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def members() -> int:
    """How many sockets of this computer are in the group, by its own count; skipped where it does not say."""
    path = Path("/proc/net/igmp")
    if not path.exists():
        pytest.skip("the system does not say who is in a group")
    wanted = "".join(f"{byte:02X}" for byte in reversed(socket.inet_aton(GROUP)))
    found = [line.split() for line in path.read_text().splitlines() if wanted in line]
    return sum(int(words[1]) for words in found)


async def test_several_readers_of_one_computer_each_get_all_frames(sender: Sender) -> None:
    async with connected(sender) as one, connected(sender) as other:
        sender.send([*encode_configuration(OF), *data(OF, 5)])
        await eventually(lambda: one.counts.frames == other.counts.frames == 5)


async def test_a_group_is_left_when_the_connection_ends(sender: Sender) -> None:
    before = members()
    async with connected(sender):
        assert members() == before + 1
    assert members() == before


async def test_who_is_not_configured_is_not_read_in_a_group_either(sender: Sender) -> None:
    async with connected(sender, host="127.0.0.2") as stream:
        sender.send(encode_configuration(OF))
        await eventually(lambda: stream.counts.intruders == 1)
        assert stream.configuration is None


async def test_what_is_sent_to_another_group_or_to_this_computer_is_not_taken(sender: Sender) -> None:
    port = port_of(sender)
    other = Membership("239.255.118.38", port, LOOPBACK)  # what one program joined, all would get
    async with connected(sender) as stream:
        for address in ("239.255.118.38", LOOPBACK):
            with contextlib.suppress(ConnectionRefusedError):
                sender.socket.sendto(encode_configuration(OF)[0], (address, port))
        sender.send([*encode_configuration(OF), *data(OF, 1)])
        await eventually(lambda: stream.counts.frames == 1)
        assert stream.counts.bytes == sum(map(len, [*encode_configuration(OF), *data(OF, 1)]))
    other.socket.close()


async def test_data_in_a_group_and_commands_over_tcp_are_a_source(sender: Sender) -> None:
    async with LoopbackPmu(OF) as device:
        settings = {
            "address": f"{LOOPBACK}:{device.port}",
            "id": 7,
            "configuration": "cfg2",
            "transport": "tcp+udp",
            "udp_port": port_of(sender),
            "listen": GROUP,
            "interface": LOOPBACK,
        }
        host = Host("live", Path(), Path(), logging.getLogger("tests"), ChannelMap())
        one = C37118(C37118.Config.model_validate(settings), host)
        await one.open()
        try:
            await asyncio.wait_for(device.started.wait(), 5)
            sender.send(data(OF, 3))
            await eventually(lambda: one.statistics().stream["frames"] == 3)
        finally:
            await one.close()


async def test_an_interface_that_is_not_there_is_a_problem_in_words(sender: Sender) -> None:
    stream = Stream(7)
    target = Target(LOOPBACK, transport="udp", udp_port=port_of(sender), listen=GROUP, interface="no-such")
    connection = Connection(target, stream)
    task = asyncio.create_task(connection.run())
    await eventually(lambda: stream.counts.failures == 1)
    task.cancel()
    assert f"datagrams cannot be received at group {GROUP}, port {port_of(sender)}: " in connection.problem


def test_an_ipv6_group_is_joined_on_the_interface_that_is_named() -> None:
    try:
        member = Membership("ff15::118:37", 0, "lo")
    except OSError as error:
        if error.errno not in (None, errno.ENODEV, errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
        pytest.skip(f"no IPv6 multicast on loopback: {error}")
    port = member.socket.getsockname()[1]
    with member.socket as inbox, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sending:
        sending.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, socket.if_nametoindex("lo"))
        try:
            sending.sendto(b"hello", ("ff15::118:37", port))
            inbox.settimeout(2)
            assert inbox.recv(10) == b"hello"
        except OSError as error:
            pytest.skip(f"no IPv6 multicast on loopback: {error}")
        member.leave()
        member.leave()


@pytest.mark.parametrize(
    ("address", "group"),
    [
        ("239.1.2.3", True),
        ("ff02::1%eth0", True),
        ("ff15::1", True),
        ("192.0.2.1", False),
        ("pmu", False),
        ("", False),
    ],
)
def test_groups_are_told_from_addresses(address: str, group: bool) -> None:
    assert is_group(address) is group


def test_a_group_goes_with_datagrams_and_an_interface_with_a_group() -> None:
    for settings, words in (
        ({"listen": GROUP}, "goes with transport"),
        ({"listen": GROUP, "transport": "udp+commands"}, "goes with transport"),
        ({"interface": "eth1"}, "name the group in `listen`"),
        ({"interface": "eth1", "listen": "0.0.0.0", "transport": "udp", "udp_port": 4713}, "name the group"),
    ):
        with pytest.raises(ValidationError, match=words):
            C37118.Config.model_validate({"address": "192.0.2.10", "id": 7, **settings})
