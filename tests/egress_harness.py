"""An egress proxy on a port of this machine, and servers that record what reaches them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from core.agent.egress.proxy import EgressProxy
from core.agent.egress.resolve import Address
from core.agent.egress.targets import Endpoint
from core.agent.egress.upstream import NO_PARENTS, ParentProxies
from core.domain.reach.network import NetworkPolicy
from core.domain.runs.event import HostRefused
from tests.limits import limit

NO_MODEL = Endpoint(host="model.test", port=443)
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Origin:
    """A server, and all bytes of each connection to it."""

    port: int = 0
    received: list[bytearray] = field(default_factory=list)


@asynccontextmanager
async def open_origin(
    answer: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    *,
    ends: bool = False,
) -> AsyncIterator[Origin]:
    """A server that sends `answer` after the first bytes, and reads until the end.

    With `ends` it sends nothing after the answer, as a server does whose answer has no length.
    """
    origin = Origin()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received = bytearray()
        origin.received.append(received)
        try:
            while chunk := await reader.read(65536):
                if not received:
                    writer.write(answer)
                    if ends:
                        writer.write_eof()
                received += chunk
        except ConnectionError:
            pass
        writer.close()

    async with open_server(handle) as port:
        origin.port = port
        yield origin


@asynccontextmanager
async def open_server(handler: Handler) -> AsyncIterator[int]:
    """A server on loopback; yields its port."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def hosts_file(addresses: Mapping[str, str]) -> Callable[[str, int], Awaitable[Sequence[Address]]]:
    """A resolver that knows these names only."""

    async def resolve(host: str, port: int) -> Sequence[Address]:
        if host not in addresses:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(addresses[host], port)]

    return resolve


LOCAL_HOSTS = hosts_file({"api.example.test": "127.0.0.1", "evil.test": "127.0.0.1"})


@dataclass
class RunningProxy:
    """A proxy, its port, and the refusals that it reported."""

    proxy: EgressProxy
    port: int
    refused: list[HostRefused]

    async def ask(self, request: bytes, *, half_close: bool = False) -> bytes:
        """Send bytes, and return all that comes back until the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(request)
            if half_close:
                writer.write_eof()
            async with limit(60):
                return await reader.read()
        finally:
            writer.close()


@asynccontextmanager
async def open_proxy(
    *hosts: str,
    resolve: Callable[[str, int], Awaitable[Sequence[Address]]] = LOCAL_HOSTS,
    model: Endpoint = NO_MODEL,
    parents: ParentProxies = NO_PARENTS,
    max_connections: int = 16,
) -> AsyncIterator[RunningProxy]:
    """A proxy for a list of hosts, or for `none` if the list is empty."""
    policy = NetworkPolicy.parse(list(hosts) or "none")
    refused: list[HostRefused] = []
    listener = socket.create_server(("127.0.0.1", 0))
    async with EgressProxy(
        "run_0a1b2c3d4e5f",
        policy,
        model=model,
        on_refused=refused.append,
        resolve=resolve,
        parents=parents,
        max_connections=max_connections,
    ) as proxy:
        proxy.serve(listener)
        yield RunningProxy(proxy, listener.getsockname()[1], refused)
