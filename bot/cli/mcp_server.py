"""`signalbox mcp`: the MCP server on a pipe, on the database of this machine's settings."""

from __future__ import annotations

import os
import pwd

from bot.assembly.backend import open_backend, utc_now
from bot.assembly.settings import Settings
from bot.assembly.web.monitoring import own_version
from bot.mcp.server import Context, build_server
from bot.mcp.stdio import serve_stdio
from bot.mcp.tools import Tools
from core.domain.actor import Actor, Identity, Origin, Role


async def run_mcp(settings: Settings, *, role: Role) -> None:
    """Serve one client until it closes the pipe.

    The person who starts this has the database's address, so the role protects against mistakes
    of the client, not against that person.

    Raises:
        SchemaBehind, SchemaTooNew: If the database's schema is not this program's.
        Unavailable: If the database cannot be reached.
    """
    async with open_backend(settings, migrates=False) as backend:
        user = account_name()
        identity = Identity(origin=Origin.MCP, external_id=f"local:{user}", name=user)
        actor = await backend.people.ensure_actor(identity, role=role)

        async def actor_of(_: Context) -> Actor:
            return actor

        tools = Tools(
            runs=backend.runs,
            restarts=backend.restarts,
            statuses=backend.statuses,
            feed=backend.feed,
            clock=utc_now,
        )
        await serve_stdio(build_server(tools, actor_of, version=own_version()))


def account_name() -> str:
    """The name of this process's account, as the audit log has it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # A container may run under a number without a name.
        return f"uid {os.getuid()}"
