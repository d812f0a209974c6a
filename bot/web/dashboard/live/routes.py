"""The routes of live updates: each page has one, at its own address below `/live`."""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from bot.web.dashboard.live.pages import LivePages
from bot.web.dashboard.page import AnyPage
from bot.web.dashboard.router import PageRouter
from bot.web.errors import error_response, failure_response
from bot.web.streams.gate import StreamGate
from bot.web.streams.respond import send_stream
from core.domain.errors import OpsError

LIVE_ROOT = "/live"


@dataclass(frozen=True)
class LiveRoutes:
    """Answers requests for live updates."""

    router: PageRouter
    live: LivePages
    gate: StreamGate

    def routes(self) -> list[web.RouteDef]:
        """The routes of all pages that change."""
        return [
            web.get(f"{LIVE_ROOT}{page.path}", _LiveEndpoint(page, self).handle, allow_head=False)
            for page in self.router.pages
            if page.changes
        ]


@dataclass(frozen=True)
class _LiveEndpoint:
    page: AnyPage
    live_routes: LiveRoutes

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, in any case."""
        routes, page = self.live_routes, self.page
        try:
            url = request.path_qs.removeprefix(LIVE_ROOT)
            call = await routes.router.call_of(page, request, url=url)
            with routes.gate.place(request, page.role) as place:
                async with routes.live.open(page, call) as events:
                    return await send_stream(request, events, place)
        except OpsError as error:
            return error_response(error)
        except (web.HTTPException, web.RequestPayloadError):
            raise
        except Exception as error:  # noqa: BLE001 - the end of the request, which logs it
            return failure_response(error, request)
