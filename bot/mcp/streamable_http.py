"""The MCP library's server over HTTP, behind an adapter from aiohttp.

Stateless: a request needs nothing of an earlier one, so any process can answer it.  The library
speaks ASGI; the adapter here translates one request and its response.
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from bot.mcp.server import Context, build_server
from bot.mcp.tools import Tools
from core.domain.actor import Actor

_ACTOR = "signalbox.actor"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

_Message = MutableMapping[str, Any]


class StreamableHttp:
    """Answers requests while `run` runs."""

    def __init__(self, tools: Tools, *, version: str, public_url: str | None) -> None:
        """`public_url` names the host by which clients elsewhere know this server."""
        self._is_started = asyncio.Event()
        self._sessions = StreamableHTTPSessionManager(
            app=build_server(tools, _actor_of, version=version),
            stateless=True,
            security_settings=security_settings(public_url),
        )

    async def run(self) -> None:
        """Run the library's tasks until this one is cancelled; once for each instance."""
        async with self._sessions.run():
            self._is_started.set()
            await asyncio.Event().wait()

    async def wait_until_started(self, run: asyncio.Task[None]) -> None:
        """Wait until requests can be handled; raises what ended `run` before."""
        starting = asyncio.create_task(self._is_started.wait(), name="mcp start")
        try:
            await asyncio.wait({run, starting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            starting.cancel()
        if run.done():
            # It can only have failed.
            run.result()

    async def handle(self, request: web.Request, body: bytes, *, by: Actor) -> web.StreamResponse:
        """Answer a request of an actor; returns the answer that was sent."""
        exchange = _Exchange(request, body)
        await self._sessions.handle_request(_scope_of(request, by), exchange.receive, exchange.send)
        return exchange.response


def security_settings(public_url: str | None) -> TransportSecuritySettings:
    """Only the names of this machine, and the public one, are answered.

    A page whose name leads to this machine could call it otherwise.
    """
    hosts: Sequence[str] = _LOOPBACK
    public = urlsplit(public_url or "").netloc
    names = [*(f"{host}:*" for host in hosts), *hosts, *([public] if public else [])]
    origins = [f"{scheme}://{name}" for name in names for scheme in ("http", "https")]
    return TransportSecuritySettings(allowed_hosts=names, allowed_origins=origins)


async def _actor_of(context: Context) -> Actor:
    if context.request is None:
        raise LookupError("a call over HTTP without its request")
    actor: Actor = context.request.scope[_ACTOR]
    return actor


def _scope_of(request: web.Request, actor: Actor) -> _Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": request.path,
        "raw_path": request.raw_path.encode(),
        "query_string": request.query_string.encode(),
        "headers": [(name.lower(), value) for name, value in request.raw_headers],
        "client": None,
        "server": None,
        _ACTOR: actor,
    }


class _Exchange:
    """One request and its response, in the words of ASGI."""

    def __init__(self, request: web.Request, body: bytes) -> None:
        self._request = request
        self._body = body
        self._is_read = False
        self._is_lost = asyncio.Event()
        self.response = web.StreamResponse(status=500)

    async def receive(self) -> _Message:
        """The body, once; then that the client has gone, if it goes."""
        if self._is_read:
            await self._is_lost.wait()
            return {"type": "http.disconnect"}
        self._is_read = True
        return {"type": "http.request", "body": self._body, "more_body": False}

    async def send(self, message: _Message) -> None:
        """Begin the response, or write a part of it; nothing once the client has gone."""
        try:
            await self._send(message)
        except ConnectionResetError:
            self._is_lost.set()

    async def _send(self, message: _Message) -> None:
        if message["type"] == "http.response.start":
            self.response = web.StreamResponse(status=message["status"])
            for name, value in message.get("headers", ()):
                self.response.headers.add(name.decode("latin-1"), value.decode("latin-1"))
            await self.response.prepare(self._request)
            return
        if body := message.get("body", b""):
            await self.response.write(body)
        if not message.get("more_body", False):
            await self.response.write_eof()
