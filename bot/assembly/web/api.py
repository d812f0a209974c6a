"""The HTTP API of a process, on its services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bot.assembly.backend import Backend, utc_now
from bot.web.api.table import ApiServices, api_table
from bot.web.authentication import Authentication
from bot.web.health import Health
from bot.web.router import api_routes
from bot.web.streams.gate import StreamGate
from core.domain.runs.request import Place

if TYPE_CHECKING:
    from bot.slack.service import SlackService


def add_api(app: web.Application, backend: Backend, health: Health, slack: SlackService) -> None:
    """Add all routes of the API, with its document and its page; its streams end with the app."""
    settings = backend.settings
    channel = settings.config.api.channel

    def place() -> Place | None:
        return None if channel is None else slack.place(channel)

    authentication = Authentication(tokens=backend.tokens, members=slack, auditor=backend.people)
    gate = StreamGate(authentication=authentication, limits=settings.config.api.limits)
    routes = api_routes(
        api_table(
            ApiServices(
                runs=backend.runs,
                statuses=backend.statuses,
                watches=backend.watches,
                records=backend.records,
                lists=backend.run_lists,
                sessions=backend.sessions,
                stats=backend.stats,
                fleet=backend.fleet,
                audit=backend.audit,
                alerts=backend.alerts,
                subscriptions=backend.subscriptions,
                channels=slack,
                health=health,
                place=place,
                clock=utc_now,
            )
        ),
        authentication=authentication,
        auditor=backend.people,
        gate=gate,
        public_url=settings.node.public_url,
    )
    app.add_routes(routes)
    app.on_shutdown.append(gate.close)
