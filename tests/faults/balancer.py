"""The load balancer between Slack and the bots of a fleet that uses HTTP."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Protocol

import aiohttp
from aiohttp import web

# Longer than Slack waits for an answer.
_ANSWER_SECONDS = 10.0
_POLL_SECONDS = 1.0
_PATH = "/slack/events"
# Headers that belong to one of the two connections and are not forwarded.
_HOP_BY_HOP = frozenset({"Host", "Connection", "Content-Length", "Transfer-Encoding"})

# The ways to cut off the bots: connections end without an answer, are accepted and left without
# one, or get an error.
CUTS = ("dropped", "silent", "unavailable")


class Backend(Protocol):
    """A bot, as far as the balancer uses it."""

    @property
    def url(self) -> str | None:
        """Address of its web server."""
        ...

    async def is_ready(self) -> bool:
        """Whether it reports itself ready."""
        ...


class Balancer:
    """Forwards each delivery to one of the ready bots, in turn; refuses it while they are cut off.

    Attributes:
        url: Where Slack delivers.
        refused: Number of deliveries refused by a cut.
    """

    def __init__(self, bots: Sequence[Backend], http: aiohttp.ClientSession) -> None:
        self.url = ""
        self.refused = 0
        self._bots = bots
        self._http = http
        self._target: str | None = None
        self._cuts: list[str] = []
        self._in_flight: list[web.Request] = []
        self._changed = asyncio.Event()

    async def poll_bots(self) -> None:
        """Poll whether the bots are ready, until cancelled."""
        for turn in itertools.count():
            for bot in (*self._bots[turn % 2 :], *self._bots[: turn % 2]):
                if await bot.is_ready():
                    self._target = bot.url
                    break
            await asyncio.sleep(_POLL_SECONDS)

    def cut(self, how: str) -> None:
        """Let nothing through from now on; a delivery in progress loses its answer."""
        self._cuts.append(how)
        self.refused += len(self._in_flight)
        for request in self._in_flight:
            _abort(request)
        self._change()

    def restore(self, how: str) -> None:
        """End a cut; deliveries pass again when all cuts have ended."""
        self._cuts.remove(how)
        self._change()

    async def wait_for_refused(self, *, more_than: int) -> None:
        """Wait until more than this many deliveries were refused."""
        while self.refused <= more_than:
            await self._changed.wait()

    def _change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Forward or refuse one delivery."""
        body = await request.read()
        if self._cuts:
            return await self._refuse(request)
        self._in_flight.append(request)
        try:
            return await self._forward(request, body)
        finally:
            self._in_flight.remove(request)

    async def _refuse(self, request: web.Request) -> web.StreamResponse:
        how = self._cuts[-1]
        self.refused += 1
        self._change()
        while how == "silent" and self._cuts:
            await self._changed.wait()
        if how != "unavailable":
            _abort(request)
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)

    async def _forward(self, request: web.Request, body: bytes) -> web.StreamResponse:
        headers = {key: value for key, value in request.headers.items() if key not in _HOP_BY_HOP}
        try:
            async with self._http.post(
                f"{self._target}{_PATH}", data=body, headers=headers
            ) as answer:
                slack_headers = {
                    k: v for k, v in answer.headers.items() if k.startswith("X-Slack-")
                }
                return web.Response(
                    status=answer.status,
                    body=await answer.read(),
                    headers=slack_headers,
                    content_type=answer.content_type,
                )
        except TimeoutError:
            return web.Response(status=HTTPStatus.GATEWAY_TIMEOUT)
        except aiohttp.ClientError:
            return web.Response(status=HTTPStatus.BAD_GATEWAY)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


@asynccontextmanager
async def open_balancer(bots: Sequence[Backend]) -> AsyncIterator[Balancer]:
    """Serve until the block ends."""
    limit = aiohttp.ClientTimeout(total=_ANSWER_SECONDS)
    async with aiohttp.ClientSession(timeout=limit) as http:
        balancer = Balancer(bots, http)
        app = web.Application()
        app.router.add_post(_PATH, balancer.handle)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        polling = asyncio.create_task(balancer.poll_bots(), name="balancer")
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            balancer.url = f"http://{host}:{port}{_PATH}"
            yield balancer
        finally:
            polling.cancel()
            await asyncio.wait({polling})
            await runner.cleanup()
