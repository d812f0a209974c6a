"""The HTTP API of a process, on its services."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bot.assembly.backend import Backend, utc_now
from bot.web.api.table import ApiServices, api_table
from bot.web.authentication import Authentication
from bot.web.health import Health
from bot.web.router import api_routes
from core.domain.runs.request import Place

if TYPE_CHECKING:
    from bot.slack.service import SlackService


def routes_of_api(backend: Backend, health: Health, slack: SlackService) -> list[web.RouteDef]:
    """All routes of the API, with its document and its page."""
    settings = backend.settings
    channel = settings.config.api.channel

    def place() -> Place | None:
        return None if channel is None else slack.place(channel)

    return api_routes(
        api_table(
            ApiServices(
                runs=backend.runs,
                statuses=backend.statuses,
                records=backend.records,
                lists=backend.run_lists,
                sessions=backend.sessions,
                stats=backend.stats,
                fleet=backend.fleet,
                audit=backend.audit,
                health=health,
                place=place,
                clock=utc_now,
            )
        ),
        authentication=Authentication(tokens=backend.tokens, members=slack, auditor=backend.people),
        auditor=backend.people,
        public_url=settings.node.public_url,
    )
