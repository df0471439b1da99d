"""Which addresses a webhook may go to: all that an operator can mean, none that leaks a machine's keys."""

from __future__ import annotations

import ipaddress

_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "fd00:ec2::254",
            "fd20:ce::254",
        ),
    )
)
"""Where clouds hand out a machine's credentials, besides 169.254.169.254, which is link-local."""

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Refused(OSError):
    """An address that nothing is ever sent to."""


def check(text: str) -> None:
    """Refused when nothing may be sent to this IP address; ValueError when the text is none."""
    address = _meant(ipaddress.ip_address(text.partition("%")[0]))
    if address.is_link_local:
        kind = "link-local, where clouds keep a machine's credentials"
    elif address in _METADATA:
        kind = "where a cloud keeps a machine's credentials"
    elif address.is_multicast:
        kind = "multicast"
    elif address.is_unspecified or address in _THIS_NETWORK:
        kind = "no address of a receiver"
    elif address.version == 4 and address == ipaddress.IPv4Address(0xFFFFFFFF):
        kind = "broadcast"
    else:
        return
    raise Refused(f"nothing is sent to {text}: it is {kind}")


def check_host(host: str) -> None:
    """Refused or ValueError when a URL's host is an address that nothing is sent to, or one in disguise.

    A name is fine: what it resolves to is checked when it is used.
    """
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        last = host.rstrip(".").rpartition(".")[2].lower()
        if last.isdecimal() or last.startswith("0x"):
            # 2852039166 and 0xa9fea9fe are 169.254.169.254 to a resolver.
            raise ValueError(f"{host} is no name; write an address as 192.0.2.1") from None
        return
    check(host)


def _meant(address: Address) -> Address:
    """The IPv4 address within an IPv6 one that only wraps it."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address
