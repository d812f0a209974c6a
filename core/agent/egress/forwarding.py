"""Forwards one plain HTTP request to its server, and the answer back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

import h11

from core.agent.egress.http_peer import ConnectionLost, HttpPeer
from core.agent.egress.routes import Route
from core.agent.egress.targets import HttpTarget

Header = tuple[bytes, bytes]
# Headers for the next connection only (RFC 9110, 7.6.1); `Connection` can name more.
_HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization",
        b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip
# What `Connection` names must not take away how the message is delimited.
_FRAMING = frozenset({b"content-length", b"host"})


async def forward(client: HttpPeer, request: h11.Request, target: HttpTarget, route: Route) -> None:
    """Send the request in a form that names no other host, and its answer to the client.

    The head is written anew: nothing that only one of the two sides would understand passes.

    Raises:
        h11.RemoteProtocolError: If one of the sides does not speak HTTP/1.
        ConnectionLost: If one of the sides closed its connection too early.
        OSError: If a connection failed.
    """
    server = HttpPeer(h11.CLIENT, route.reader, route.writer, on_activity=client.on_activity)
    await server.send(_request_for(request, target, route))
    upload = asyncio.create_task(_copy_body(client, server), name="forward request body")
    answer = asyncio.create_task(_copy_answer(server, client), name="forward answer")
    try:
        # A server may answer before it has read everything, or without reading it.
        await asyncio.wait({upload, answer}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            # A server that has closed the connection has perhaps answered before that.
            with suppress(OSError):
                upload.result()
        await answer
    finally:
        for task in (upload, answer):
            task.cancel()
        await asyncio.wait({upload, answer})


def _request_for(request: h11.Request, target: HttpTarget, route: Route) -> h11.Request:
    headers = [*_end_to_end(request.headers), (b"connection", b"close")]
    headers = [(name, text) for name, text in headers if name != b"host"]
    headers.insert(0, (b"host", target.authority.encode("ascii")))
    if any(name == b"transfer-encoding" for name, _ in request.headers):
        headers.append((b"transfer-encoding", b"chunked"))
    form = target.origin_form
    if route.parent is not None:
        form = f"http://{target.authority}{form}"
        if route.parent.authorization is not None:
            headers.append((b"proxy-authorization", route.parent.authorization.encode("ascii")))
    return h11.Request(method=request.method, target=form.encode("latin-1"), headers=headers)


async def _copy_body(source: HttpPeer, sink: HttpPeer) -> None:
    while True:
        event = await source.receive()
        if not isinstance(event, h11.Data | h11.EndOfMessage):
            raise ConnectionLost
        await sink.send(event)
        if isinstance(event, h11.EndOfMessage):
            return


async def _copy_answer(server: HttpPeer, client: HttpPeer) -> None:
    event = await server.receive()
    while isinstance(event, h11.InformationalResponse):
        await client.send(event)
        event = await server.receive()
    if not isinstance(event, h11.Response):
        raise ConnectionLost
    headers = [*_end_to_end(event.headers), (b"connection", b"close")]
    if any(name == b"transfer-encoding" for name, _ in event.headers):
        headers = [(name, text) for name, text in headers if name != b"content-length"]
    await client.send(
        h11.Response(status_code=event.status_code, headers=headers, reason=event.reason)
    )
    await _copy_body(server, client)


def _end_to_end(headers: Iterable[Header]) -> list[Header]:
    """The headers without those that are for one connection only; names are in lower case."""
    pairs = list(headers)
    named = {
        token.strip().lower()
        for name, text in pairs
        if name == b"connection"
        for token in text.split(b",")
    }
    dropped = _HOP_BY_HOP | (named - _FRAMING)
    return [(name, text) for name, text in pairs if name not in dropped]
