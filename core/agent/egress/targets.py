"""What a request to the proxy asks for: a host and a port, read in one way only.

A proxy that reads an address in another way than it connects can be led to another host.  So
what is checked here, character by character, is also what is resolved and connected to; anything
that could be read in two ways is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from core.domain.reach.network import canonical_host

HTTP_PORT = 80
# A name or an address in brackets; no user, path, zone, space or control character.
_AUTHORITY = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::([0-9]{1,5}))?", re.IGNORECASE)
_ABSOLUTE_FORM = re.compile(
    r"http://([^/?]+)(/[^\x00-\x20\x7f#]*|\?[^\x00-\x20\x7f#]*|)", re.IGNORECASE
)


class BadTarget(Exception):
    """A request whose target is not one host and one port.  The text says how to write it."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A port of a host.

    Attributes:
        host: The canonical host, or the written one if it has no canonical form.
        is_canonical: Whether `host` is canonical.  Nothing is connected to otherwise.
    """

    host: str
    port: int
    is_canonical: bool = True

    @classmethod
    def of(cls, host: str, port: int) -> Endpoint:
        """Return the endpoint for a host in any notation."""
        canonical = canonical_host(host)
        return cls(host=canonical or host.lower(), port=port, is_canonical=canonical is not None)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, kw_only=True)
class HttpTarget:
    """The target of a plain HTTP request.

    Attributes:
        origin_form: What the server itself is asked for: path and query.
    """

    endpoint: Endpoint
    origin_form: str

    @property
    def authority(self) -> str:
        """The value of the `Host` header: the host, with a port other than 80."""
        named = str(self.endpoint)
        return named.removesuffix(f":{HTTP_PORT}") if self.endpoint.port == HTTP_PORT else named


def connect_target(target: bytes) -> Endpoint:
    """Read the target of `CONNECT`: `host:port`.

    Raises:
        BadTarget: If it is anything else.
    """
    return _endpoint(target.decode("latin-1"), default_port=None)


def http_target(target: bytes) -> HttpTarget:
    """Read the target of another method: `http://host[:port]/path`.

    Raises:
        BadTarget: If it is anything else.
    """
    found = _ABSOLUTE_FORM.fullmatch(target.decode("latin-1"))
    if found is None:
        raise BadTarget("this is a proxy: ask for http://host/path, or use CONNECT host:port")
    path = found[2]
    return HttpTarget(
        endpoint=_endpoint(found[1], default_port=HTTP_PORT),
        origin_form=path if path.startswith("/") else "/" + path,
    )


def _endpoint(authority: str, *, default_port: int | None) -> Endpoint:
    found = _AUTHORITY.fullmatch(authority)
    port_text = found[3] if found is not None else None
    port = default_port if port_text is None else int(port_text)
    if found is None or port is None or not 1 <= port <= 65535:
        raise BadTarget("name one host and one port, like example.com:443")
    return Endpoint.of(found[1] or found[2], port)
