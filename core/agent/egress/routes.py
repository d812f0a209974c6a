"""Decides whether an endpoint may be reached, and connects to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import h11

from core.agent.egress.http_peer import CHUNK_BYTES, ConnectionLost, HttpPeer
from core.agent.egress.resolve import (
    Address,
    ForbiddenAddress,
    Resolve,
    resolve_any,
    resolve_listed,
)
from core.agent.egress.targets import Endpoint
from core.agent.egress.upstream import NO_PARENTS, ParentProxies, ParentProxy
from core.domain.reach.network import NetworkPolicy, is_address

# Of one address; a name can have several.
CONNECT_SECONDS = 10
# Name resolution, all addresses, and a parent proxy's answer together.
ROUTE_SECONDS = 30
_MODEL = Endpoint(host="api.anthropic.com", port=443)


class Refused(Exception):
    """The policy does not permit an endpoint.

    Attributes:
        address: The forbidden address to which a listed name leads; `None` if it is not listed.
    """

    def __init__(self, endpoint: Endpoint, address: str | None = None) -> None:
        super().__init__(str(endpoint))
        self.endpoint = endpoint
        self.address = address


class Unreachable(Exception):
    """A permitted endpoint did not answer; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Route:
    """An open connection to an endpoint, or to the parent proxy that forwards to it.

    Attributes:
        parent: The parent proxy, if plain HTTP requests have to be addressed to one.
        early_bytes: What the endpoint sent before anything was sent to it.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    parent: ParentProxy | None = None
    early_bytes: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Routes:
    """The endpoints that one attempt may reach.

    Attributes:
        model: Always permitted, wherever its name leads.
        resolve: For listed hosts.  With a parent proxy that one resolves the names.
    """

    policy: NetworkPolicy
    model: Endpoint
    resolve: Resolve = resolve_listed
    parents: ParentProxies = NO_PARENTS

    async def open(self, endpoint: Endpoint, *, is_tunnel: bool) -> Route:
        """Connect to an endpoint; nothing but this endpoint is connected to.

        Raises:
            Refused: If it is not permitted.
            Unreachable: If it does not answer.
        """
        if not self._permits(endpoint):
            raise Refused(endpoint)
        parent = self.parents.for_host(endpoint.host, endpoint.port, is_tunnel=is_tunnel)
        try:
            async with asyncio.timeout(ROUTE_SECONDS):
                if parent is not None:
                    return await _open_through(parent, endpoint, is_tunnel=is_tunnel)
                reader, writer = await _connect(await self._resolve(endpoint))
                return Route(reader=reader, writer=writer)
        except ForbiddenAddress as error:
            raise Refused(endpoint, error.address) from error
        except TimeoutError as error:
            raise Unreachable(f"{endpoint} did not answer in time") from error
        except socket.gaierror as error:
            raise Unreachable(f"the name {endpoint.host} was not found") from error
        except (OSError, ConnectionLost, h11.RemoteProtocolError) as error:
            raise Unreachable(f"{endpoint} cannot be reached: {error}") from error

    def _permits(self, endpoint: Endpoint) -> bool:
        if not endpoint.is_canonical:
            return False
        return endpoint == self.model or self.policy.permits(endpoint.host, endpoint.port)

    async def _resolve(self, endpoint: Endpoint) -> Iterable[Address]:
        if is_address(endpoint.host):
            return [(endpoint.host, endpoint.port)]
        resolve = resolve_any if endpoint == self.model else self.resolve
        return await resolve(endpoint.host, endpoint.port)


def model_endpoint(base_url: str | None) -> Endpoint:
    """The endpoint of the model for a value of `ANTHROPIC_BASE_URL`.

    Raises:
        ValueError: If the URL names no host.
    """
    if not base_url:
        return _MODEL
    parts = urlsplit(base_url)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        raise ValueError("must be an http(s) URL like https://api.anthropic.com")
    return Endpoint.of(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))


async def _connect(
    addresses: Iterable[Address], *, is_tls: bool = False, server_name: str | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    failure: OSError = OSError("it has no address")
    for host, port in addresses:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    host,
                    port,
                    limit=CHUNK_BYTES,
                    ssl=is_tls or None,
                    server_hostname=server_name if is_tls else None,
                )
        except OSError as error:
            failure = error
        else:
            connection: socket.socket = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            return reader, writer
    raise failure


async def _open_through(parent: ParentProxy, endpoint: Endpoint, *, is_tunnel: bool) -> Route:
    reader, writer = await _connect(
        await resolve_any(parent.host, parent.port), is_tls=parent.is_tls, server_name=parent.host
    )
    if not is_tunnel:
        return Route(reader=reader, writer=writer, parent=parent)
    try:
        early_bytes = await _ask_for_tunnel(reader, writer, parent, endpoint)
    except BaseException:
        writer.transport.abort()
        raise
    return Route(reader=reader, writer=writer, early_bytes=early_bytes)


async def _ask_for_tunnel(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    parent: ParentProxy,
    endpoint: Endpoint,
) -> bytes:
    peer = HttpPeer(h11.CLIENT, reader, writer, on_activity=lambda: None)
    headers = [("Host", str(endpoint))]
    if parent.authorization is not None:
        headers.append(("Proxy-Authorization", parent.authorization))
    await peer.send(h11.Request(method="CONNECT", target=str(endpoint), headers=headers))
    await peer.send(h11.EndOfMessage())
    event = await peer.receive()
    while isinstance(event, h11.InformationalResponse):
        event = await peer.receive()
    if not isinstance(event, h11.Response) or not 200 <= event.status_code < 300:
        status = event.status_code if isinstance(event, h11.Response) else "nothing"
        raise Unreachable(f"the proxy of this machine answered {status} for {endpoint}")
    return peer.early_bytes
