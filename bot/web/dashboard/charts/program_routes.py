"""The route of the program that draws charts."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from aiohttp import web

from bot.charts.children import ChartsFailed
from bot.charts.program import ChartProgram
from bot.web.dashboard.headers import ASSET_HEADERS

log = logging.getLogger(__name__)

_ROOT = "/charts"


@dataclass
class ChartProgramRoutes:
    """Serves the program under an address that changes with it, so that browsers keep it."""

    program: ChartProgram
    _preparation: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The address."""
        return f"{_ROOT}/{self.program.key}.js"

    async def lifespan(self, _: web.Application) -> AsyncIterator[None]:
        """For `Application.cleanup_ctx`: ends what `want` has started."""
        yield
        if self._preparation is not None:
            self._preparation.cancel()
            with suppress(asyncio.CancelledError):
                await self._preparation

    def want(self) -> None:
        """Have the program ready soon: somebody looks at pages.  The first call counts."""
        if self._preparation is None:
            self._preparation = asyncio.create_task(self.program.prepare(), name="chart program")

    async def serve(self, request: web.Request) -> web.Response:
        """Answer with the program."""
        if request.match_info["key"] != self.program.key:
            raise web.HTTPNotFound
        try:
            content = await self.program.content()
        except ChartsFailed as error:
            log.warning(
                "charts cannot be drawn in browsers: %s",
                error,
                extra={"event": "chart_program.missing"},
            )
            raise web.HTTPServiceUnavailable from error
        encoded = "gzip" in request.headers.get("Accept-Encoding", "")
        return web.Response(
            body=content if encoded else await asyncio.to_thread(gzip.decompress, content),
            content_type="text/javascript",
            charset="utf-8",
            headers={
                **ASSET_HEADERS,
                "Vary": "Accept-Encoding",
                **({"Content-Encoding": "gzip"} if encoded else {}),
            },
        )

    def routes(self) -> list[web.RouteDef]:
        """The route."""
        return [web.get(f"{_ROOT}/{{key}}.js", self.serve)]
