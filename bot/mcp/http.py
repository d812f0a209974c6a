"""The MCP endpoint as a route of aiohttp ("streamable HTTP").

The library behind it costs about a second and 30 MB.  Most bots never get a request for it, so it
is loaded at the first one that has a valid token.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web

from bot.mcp.tools import Tools
from core.domain.actor import Actor

if TYPE_CHECKING:
    from bot.mcp.streamable_http import StreamableHttp

log = logging.getLogger(__name__)

PATH = "/mcp"
_LIBRARY_USER = "bot.mcp.streamable_http"

# Who makes a request, or the response that refuses it.  Called before the body is read.
Authenticate = Callable[[web.Request], Awaitable[Actor | web.StreamResponse]]


class McpEndpoint:
    """The route, and what runs while it serves."""

    def __init__(
        self,
        tools: Tools,
        authenticate: Authenticate,
        *,
        version: str,
        public_url: str | None = None,
    ) -> None:
        """`public_url` names the host by which clients elsewhere know this server."""
        self._tools = tools
        self._authenticate = authenticate
        self._version = version
        self._public_url = public_url
        self._starting = asyncio.Lock()
        self._server: StreamableHttp | None = None
        self._task: asyncio.Task[None] | None = None

    def routes(self) -> list[web.RouteDef]:
        """The route `POST /mcp`.

        GET would be a stream of what the server says unasked, and DELETE the end of a session:
        there is neither, and a client that gets a 405 does without.
        """
        return [web.post(PATH, self._handle)]

    async def lifespan(self, _: web.Application) -> AsyncIterator[None]:
        """For `Application.cleanup_ctx`: ends what the first request started."""
        yield
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        found = await self._authenticate(request)
        if isinstance(found, web.StreamResponse):
            return found
        # Here, because a body that is too long must end the request as aiohttp ends it: with 413.
        body = await request.read()
        server = await self._started_server()
        return await server.handle(request, body, by=found)

    async def _started_server(self) -> StreamableHttp:
        async with self._starting:
            if self._server is None:
                # In a thread: an import would stop everything else in this process meanwhile.
                module = await asyncio.to_thread(importlib.import_module, _LIBRARY_USER)
                server: StreamableHttp = module.StreamableHttp(
                    self._tools, version=self._version, public_url=self._public_url
                )
                self._task = asyncio.create_task(server.run(), name="mcp sessions")
                await server.wait_until_started(self._task)
                self._server = server
                log.info("the first MCP client came", extra={"event": "mcp_endpoint.started"})
        return self._server
