"""The receiving end of a UDP socket, for whoever wants datagrams handed on and nothing else."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Any

Address = tuple[str, int]


class Postman(asyncio.DatagramProtocol):
    """Hands datagrams on with their sender's address; `full` says that no more can be sent for now."""

    def __init__(self, received: Callable[[bytes, Address], object]) -> None:
        self._received = received
        self.full = False

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """A datagram came."""
        self._received(data, addr[:2])

    def pause_writing(self) -> None:
        """The system takes no more."""
        self.full = True

    def resume_writing(self) -> None:
        """It does again."""
        self.full = False

    def error_received(self, exc: Exception) -> None:
        """The other end's port is closed, perhaps only for now: that nothing comes says so."""


def is_group(address: str) -> bool:
    """Whether an address is that of a multicast group, IPv4 or IPv6."""
    try:
        return ipaddress.ip_address(address).is_multicast
    except ValueError:
        return False


class Membership:
    """A socket at which the datagrams of a multicast group arrive, from `join` to `leave`.

    `interface` is the name of the network interface by which they come, or for IPv4 its address; the system
    chooses one when it is empty. Several readers on one computer each get all of them.
    """

    def __init__(self, group: str, port: int, interface: str = "") -> None:
        self.socket, self._level, self._leave, self._request = _joined(group, port, interface)

    def leave(self) -> None:
        """Tell the network that nobody here wants them any more. Legal twice, and after the socket closed."""
        with suppress(OSError):
            self.socket.setsockopt(self._level, self._leave, self._request)


def _joined(group: str, port: int, interface: str) -> tuple[socket.socket, int, int, bytes]:
    """A socket in a group, and how to leave it; OSError, ValueError when the interface cannot be one."""
    address = ipaddress.ip_address(group)
    if isinstance(address, ipaddress.IPv6Address):
        family, level = socket.AF_INET6, socket.IPPROTO_IPV6
        join, leave = socket.IPV6_JOIN_GROUP, socket.IPV6_LEAVE_GROUP
        index = _index(interface or address.scope_id or "")
        request = address.packed + struct.pack("@I", index)
        here: tuple[Any, ...] = (group.partition("%")[0], port, 0, index)
    else:
        family, level = socket.AF_INET, socket.IPPROTO_IP
        join, leave = socket.IP_ADD_MEMBERSHIP, socket.IP_DROP_MEMBERSHIP
        request = address.packed + _ip_of(interface)
        here = (group, port)
    one = socket.socket(family, socket.SOCK_DGRAM)
    try:
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Bound to the group, so that nothing comes that was sent to another one, or to this computer alone.
        one.bind(here)
        one.setsockopt(level, join, request)
    except BaseException:
        one.close()
        raise
    return one, level, leave, request


def _ip_of(interface: str) -> bytes:
    """The end of an ip_mreq by address, or of an ip_mreqn by index (ip(7))."""
    if not interface:
        return bytes(4)
    try:
        return ipaddress.IPv4Address(interface).packed
    except ValueError:
        return struct.pack("@4si", bytes(4), _index(interface))


def _index(interface: str) -> int:
    return socket.if_nametoindex(interface) if interface else 0
