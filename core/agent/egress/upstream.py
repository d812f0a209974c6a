"""The proxy through which the worker itself reaches the internet, if it has one."""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from core.domain.reach.network import canonical_host, is_address

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class ParentProxy:
    """One proxy.

    Attributes:
        is_tls: Whether the connection to the proxy itself is encrypted.
        authorization: The value of the header `Proxy-Authorization`; a secret.
    """

    host: str
    port: int
    is_tls: bool = False
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> ParentProxy:
        """Read a proxy's address, as in `HTTPS_PROXY`.

        Raises:
            ValueError: If it is no such address; the text does not repeat it.
        """
        problem = ValueError("must be the address of a proxy, like http://proxy.example.com:3128")
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            default_port = _DEFAULT_PORTS[parts.scheme]
            port = parts.port or default_port
        except (ValueError, KeyError):
            raise problem from None
        host = canonical_host(parts.hostname or "")
        if host is None:
            raise problem
        authorization = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            authorization = "Basic " + base64.b64encode(pair.encode()).decode("ascii")
        return cls(
            host=host, port=port, is_tls=parts.scheme == "https", authorization=authorization
        )


@dataclass(frozen=True, kw_only=True)
class ParentProxies:
    """The proxies for encrypted and for plain HTTP, and the hosts that need none.

    Attributes:
        exceptions: The entries of `NO_PROXY`: `*`, names (also for the names below them),
            addresses and networks, each with a port or without.
    """

    https: ParentProxy | None = None
    http: ParentProxy | None = None
    exceptions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, *, https: str | None, http: str | None, exceptions: str | None) -> ParentProxies:
        """Read the values of `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.

        Raises:
            ValueError: If an address is wrong.
        """
        return cls(
            https=ParentProxy.parse(https) if https else None,
            http=ParentProxy.parse(http) if http else None,
            exceptions=tuple(entry for entry in re.split(r"[\s,]+", exceptions or "") if entry),
        )

    def for_host(self, host: str, port: int, *, is_tunnel: bool) -> ParentProxy | None:
        """Return the proxy through which to reach a canonical host; `None` is directly."""
        proxy = self.https if is_tunnel else self.http
        if proxy is None or _is_this_machine(host):
            return None
        return None if any(_excepts(entry, host, port) for entry in self.exceptions) else proxy


NO_PARENTS = ParentProxies()


def _is_this_machine(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback if is_address(host) else host == "localhost"


def _excepts(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, colon, port_text = entry.rpartition(":")
    if colon and port_text.isdecimal() and (":" not in name or name.endswith("]")):
        if int(port_text) != port:
            return False
        entry = name
    entry = entry.strip("[]").lower().removeprefix("*").strip(".")
    if not is_address(host):
        return host == entry or host.endswith("." + entry)
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
