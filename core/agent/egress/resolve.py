"""Names are resolved here, in the worker; an agent with its own network has no resolver."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence

from core.domain.reach.network import is_address

Address = tuple[str, int]
# From a canonical host and a port to what may be connected to.  What a resolver returns is trusted.
Resolve = Callable[[str, int], Awaitable[Sequence[Address]]]

# The only name that may lead to this machine, because it says so.
_THIS_MACHINE = "localhost"
# Clouds give a machine's credentials at these addresses, without a password; the usual one,
# 169.254.169.254, is link-local and so refused already.
_METADATA_ADDRESSES = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")
)

# The IPv6 addresses by which networks without IPv4 reach IPv4 hosts (RFC 6052).
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class ForbiddenAddress(Exception):
    """A listed name leads to addresses at which no listed name may be.

    Attributes:
        address: One of them.
    """

    def __init__(self, host: str, address: str) -> None:
        super().__init__(f"{host} leads to {address}")
        self.address = address


async def resolve_any(host: str, port: int) -> Sequence[Address]:
    """Resolve a host whose name an administrator has chosen, such as the model's.

    Raises:
        OSError: If the name does not exist, or no resolver answers.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    return list(dict.fromkeys((str(address[0]), port) for *_, address in found))


async def resolve_listed(
    host: str, port: int, *, lookup: Resolve = resolve_any
) -> Sequence[Address]:
    """Resolve a host of the list; an address needs no resolution and is taken as it is.

    Who controls the name server of a listed name must not thereby reach this machine or its
    cloud's metadata service.  Addresses of private networks are allowed: the name was listed.

    Raises:
        ForbiddenAddress: If the name leads to this machine, its link or a metadata service only.
        OSError: If the name does not exist, or no resolver answers.
    """
    if is_address(host):
        return [(host, port)]
    found = await lookup(host, port)
    if host == _THIS_MACHINE:
        return found
    allowed = [address for address in found if not is_forbidden(address[0])]
    if found and not allowed:
        raise ForbiddenAddress(host, found[0][0])
    return allowed


def is_forbidden(text: str) -> bool:
    """Return whether no listed name may lead to this IP address."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        address = _embedded_ipv4(address) or address
    return (
        address.is_loopback
        or address.is_link_local
        or address.is_unspecified
        or address.is_multicast
        or address.is_reserved
        or address in _METADATA_ADDRESSES
    )


def _embedded_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped
