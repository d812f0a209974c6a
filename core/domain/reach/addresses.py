"""Hosts and their addresses: one way to write a host, and which addresses are public."""

from __future__ import annotations

import ipaddress
import re

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_MAX_NAME_LENGTH = 253
# Underscores are in no host name, but in names that private resolvers know.
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
# A name whose last label looks so is an IPv4 address for many programs: 127.1, 0x7f.1, 2130706433.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
# RFC 6761: these names mean the machine itself, whatever a name server says.
_LOOPBACK_NAME = re.compile(r"(.+\.)?localhost")

# IPv6 addresses outside of it are for private use, or for no use yet.
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Addresses that carry an IPv4 address: 6to4 in bits 16 to 47 (RFC 3056), NAT64 in the last 32
# (RFC 6052).
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Not public either, although some versions of Python count them as global: protocol assignments,
# relays of 6to4, documentation (RFC 9637).
_RESERVED = (
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("3fff::/20"),
)


def canonical_host(host: str) -> str | None:
    """Return the one way to write a host name or an IP address, or `None` if it is neither.

    Names are lower-case ASCII without a final dot.  An IPv4 address inside an IPv6 address
    (`::ffff:10.0.0.1`) is the IPv4 address.  Other notations of IPv4 (`127.1`, `0x7f000001`,
    `2130706433`) and IPv6 addresses with a zone are refused: programs disagree on them.
    """
    address = as_address(host)
    if address is not None:
        return str(address)
    name = host.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _MAX_NAME_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        return None
    return None if _NUMBER.fullmatch(labels[-1]) else name


def as_address(host: str) -> IPAddress | None:
    """Return the IP address that a host is written as; `None` for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return None if address.scope_id is not None else address.ipv4_mapped or address
    return address


def is_loopback_name(host: str) -> bool:
    """Return whether a canonical host is a name of the machine itself, such as `localhost`."""
    return _LOOPBACK_NAME.fullmatch(host) is not None


def is_public(address: IPAddress) -> bool:
    """Return whether an address is one of the internet.

    Not public are loopback, link-local, private, shared (100.64.0.0/10), multicast, unspecified,
    documentation and reserved addresses, and IPv6 addresses that lead to such an IPv4 address.
    """
    if isinstance(address, ipaddress.IPv6Address):
        carried = _carried_ipv4(address)
        if carried is not None:
            return is_public(carried)
        if address not in _GLOBAL_UNICAST:
            return False
    is_reserved = any(address in network for network in _RESERVED)
    return address.is_global and not address.is_multicast and not is_reserved


def _carried_ipv4(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _SIX_TO_FOUR:
        return ipaddress.IPv4Address(address.packed[2:6])
    if address in _NAT64:
        return ipaddress.IPv4Address(address.packed[-4:])
    return None
