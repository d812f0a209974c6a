"""The HTTP API and the dashboard of a process, on its services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bot.assembly.backend import Backend, utc_now
from bot.assembly.shown_settings import shown_settings
from bot.charts.program import ChartProgram
from bot.web.api.table import ApiServices, api_table
from bot.web.authentication import Authentication
from bot.web.credentials import Credentials
from bot.web.dashboard.charts.program_routes import ChartProgramRoutes
from bot.web.dashboard.routes import dashboard_routes
from bot.web.dashboard.table import dashboard_pages
from bot.web.health import Health
from bot.web.router import api_routes
from bot.web.streams.gate import StreamGate
from core.domain.runs.request import Place

if TYPE_CHECKING:
    from bot.slack.service import SlackService


def add_web(app: web.Application, backend: Backend, health: Health, slack: SlackService) -> None:
    """Add the API, with its document and its page, and the dashboard.

    What they stream ends with the app.
    """
    settings = backend.settings
    authentication = Authentication(
        tokens=Credentials(backend.tokens, backend.sign_ins),
        members=slack,
        auditor=backend.people,
        public_url=settings.node.public_url,
    )
    gate = StreamGate(authentication=authentication, limits=settings.config.api.limits)
    services = _services(backend, health, slack)
    charts = ChartProgramRoutes(ChartProgram(settings.node.home / "cache" / "charts"))
    app.add_routes(
        api_routes(
            api_table(services),
            authentication=authentication,
            auditor=backend.people,
            gate=gate,
            public_url=settings.node.public_url,
        )
    )
    app.add_routes(
        dashboard_routes(
            dashboard_pages(services),
            sign_ins=backend.sign_ins,
            authentication=authentication,
            auditor=backend.people,
            gate=gate,
            feed=backend.feed,
            charts=charts,
            public_url=settings.node.public_url,
        )
    )
    app.cleanup_ctx.append(charts.lifespan)
    app.on_shutdown.append(gate.close)


def _services(backend: Backend, health: Health, slack: SlackService) -> ApiServices:
    channel = backend.settings.config.api.channel

    def place() -> Place | None:
        return None if channel is None else slack.place(channel)

    return ApiServices(
        runs=backend.runs,
        restarts=backend.restarts,
        statuses=backend.statuses,
        watches=backend.watches,
        records=backend.records,
        logs=backend.logs,
        lists=backend.run_lists,
        whole_runs=backend.whole_runs,
        sessions=backend.sessions,
        stats=backend.stats,
        analytics=backend.analytics,
        fleet=backend.fleet,
        workspaces=backend.workspaces,
        resources=backend.resources,
        audit=backend.audit,
        alerts=backend.alerts,
        subscriptions=backend.subscriptions,
        channels=slack,
        dashboard=backend.sign_ins,
        tokens=backend.tokens,
        settings=shown_settings(backend.settings),
        health=health,
        place=place,
        clock=utc_now,
    )
