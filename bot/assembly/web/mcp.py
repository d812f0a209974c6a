"""The MCP endpoint of a process: its tools on the services, for callers with a token of the API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bot.assembly.backend import Backend, utc_now
from bot.assembly.web.monitoring import own_version
from bot.mcp.http import Authenticate, McpEndpoint
from bot.mcp.tools import Tools
from bot.web.auditor import Auditor
from bot.web.authentication import Authentication
from bot.web.errors import error_response, failure_response
from bot.web.router import require_role
from core.domain.actor import Action, Actor, Origin, Role
from core.domain.errors import OpsError
from core.domain.runs.request import Place

if TYPE_CHECKING:
    from bot.slack.service import SlackService


def mcp_endpoint(backend: Backend, slack: SlackService) -> McpEndpoint:
    """The endpoint, with the tokens, the rights and the channel of the HTTP API."""
    settings = backend.settings
    channel = settings.config.api.channel

    def place() -> Place | None:
        return None if channel is None else slack.place(channel)

    return McpEndpoint(
        Tools(
            runs=backend.runs,
            restarts=backend.restarts,
            statuses=backend.statuses,
            feed=backend.feed,
            clock=utc_now,
            place=place,
        ),
        by_token(
            Authentication(
                tokens=backend.tokens, members=slack, auditor=backend.people, origin=Origin.MCP
            ),
            backend.people,
        ),
        version=own_version(),
        public_url=settings.node.public_url,
    )


def by_token(authentication: Authentication, auditor: Auditor) -> Authenticate:
    """Admit requests that have a valid token, of a viewer or more; refuse others as the API does.

    What a tool needs beyond that, its service checks.
    """

    async def authenticate(request: web.Request) -> Actor | web.StreamResponse:
        try:
            actor = await authentication.actor_of(request, Action.VIEW)
            await require_role(actor, Role.VIEWER, Action.VIEW, auditor)
        except OpsError as error:
            return error_response(error)
        except Exception as error:  # noqa: BLE001 - the end of the request, which logs it
            return failure_response(error, request)
        return actor

    return authenticate
