"""All routes of the dashboard for aiohttp."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from bot.web.auditor import Auditor
from bot.web.authentication import Authentication
from bot.web.dashboard.charts.program_routes import ChartProgramRoutes
from bot.web.dashboard.live.pages import LivePages
from bot.web.dashboard.live.routes import LiveRoutes
from bot.web.dashboard.page import AnyPage
from bot.web.dashboard.renderer import Renderer
from bot.web.dashboard.router import PageRouter
from bot.web.dashboard.sign_in_routes import SignInRoutes, SignIns
from bot.web.streams.gate import StreamGate
from core.services.feed import FeedService


def dashboard_routes(
    pages: Sequence[AnyPage],
    *,
    sign_ins: SignIns,
    authentication: Authentication,
    auditor: Auditor,
    gate: StreamGate,
    feed: FeedService,
    charts: ChartProgramRoutes,
    public_url: str | None,
) -> list[web.RouteDef]:
    """The routes of all pages, their live updates, their files, and of signing in and out.

    The caller closes the gate when the application shuts down, and adds the lifespan of `charts`.
    """
    renderer = Renderer(chart_program=charts.url)
    router = PageRouter(pages, renderer, authentication, auditor, on_page=charts.want)
    return [
        *renderer.files.routes(),
        *charts.routes(),
        *SignInRoutes(sign_ins, router, authentication, public_url).routes(),
        *LiveRoutes(router, LivePages(feed, renderer), gate).routes(),
        *router.routes(),
    ]
