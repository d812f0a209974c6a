"""The MCP server over HTTP ("streamable HTTP"), as a route of aiohttp.

Stateless: a request needs nothing of an earlier one, so any process can answer it.  The library
speaks ASGI; the adapter here translates one request and its response.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings

from bot.mcp.server import Context, build_server
from bot.mcp.tools import Tools
from core.domain.actor import Actor

PATH = "/mcp"
_ACTOR = "signalbox.actor"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

# Who makes a request, or the response that refuses it.  Called before the body is read.
Authenticate = Callable[[web.Request], Awaitable[Actor | web.StreamResponse]]
_Message = MutableMapping[str, Any]


class McpEndpoint:
    """The route, and what must run while it serves."""

    def __init__(
        self,
        tools: Tools,
        authenticate: Authenticate,
        *,
        version: str,
        public_url: str | None = None,
    ) -> None:
        """`public_url` names the host by which clients elsewhere know this server."""
        self._authenticate = authenticate
        self._sessions = StreamableHTTPSessionManager(
            app=build_server(tools, _actor_of, version=version),
            stateless=True,
            security_settings=security_settings(public_url),
        )

    def routes(self) -> list[web.RouteDef]:
        """The route `POST /mcp`.

        GET would be a stream of what the server says unasked, and DELETE the end of a session:
        there is neither, and a client that gets a 405 does without.
        """
        return [web.post(PATH, self._handle)]

    async def lifespan(self, _: web.Application) -> AsyncIterator[None]:
        """For `Application.cleanup_ctx`: the library's tasks, in a task of their own."""
        started = asyncio.Event()
        task = asyncio.create_task(self._run(started), name="mcp sessions")
        starting = asyncio.create_task(started.wait(), name="mcp start")
        try:
            await asyncio.wait({task, starting}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                # It can only have failed.
                task.result()
            yield
        finally:
            starting.cancel()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, started: asyncio.Event) -> None:
        async with self._sessions.run():
            started.set()
            await asyncio.Event().wait()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        found = await self._authenticate(request)
        if isinstance(found, web.StreamResponse):
            return found
        # Here, because a body that is too long must end the request as aiohttp ends it: with 413.
        exchange = _Exchange(request, await request.read())
        await self._sessions.handle_request(
            _scope_of(request, found), exchange.receive, exchange.send
        )
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
