"""The checks of `signalbox doctor` of what agents get, and what they are kept from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from bot.assembly.server_trials import try_servers
from bot.assembly.settings import Settings
from bot.assembly.worker_runtime import find_agent_isolation, proxy_warning
from bot.cli.advice import error_line
from bot.cli.check_result import WORKER_PARTS, CheckResult, failed, passed, warned
from core.agent.definitions.catalog import load_catalog
from core.domain.errors import OpsError
from core.domain.isolation import IsolationMode


async def check_isolation(settings: Settings) -> AsyncIterator[CheckResult]:
    """Check whether agents are isolated, and from all of the machine that is private."""
    try:
        found = await asyncio.to_thread(find_agent_isolation, settings)
    except OpsError as error:
        yield failed(error_line(error), stops=WORKER_PARTS)
        return
    if found.has_notices:
        yield warned(f"agents are isolated by {found.status.detail}.")
    elif found.status.is_active:
        yield passed(f"agents are isolated by {found.status.detail}")
    elif settings.config.agent.isolation is IsolationMode.NONE:
        yield warned(
            "agents are not isolated: `[agent] isolation` is `none`. They can read and change what "
            "this user can."
        )
    else:
        yield warned(f"agents would not be isolated here: {found.status.detail}.")
    if found.isolation is None and not settings.config.agent.network.is_open:
        yield failed(
            "`[agent] network` cannot be enforced, since agents are not isolated.",
            stops=WORKER_PARTS,
        )
    for path in settings.config.agent.share:
        if not path.exists():
            yield warned(f"`[agent] share` names {path}, which does not exist.")


async def check_agent_environment(settings: Settings) -> AsyncIterator[CheckResult]:
    """Check what agents need to reach their model."""
    names = sorted(settings.agent.credentials)
    if not {"ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"} & set(names):
        yield warned(
            "no ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN: agents cannot reach their model.",
            spoils_runs=True,
        )
    else:
        yield passed(f"the agent's credentials: {', '.join(names)}")
    if problem := proxy_warning(settings):
        yield warned(f"{problem}.")


async def check_servers(settings: Settings) -> AsyncIterator[CheckResult]:
    """Try the MCP servers of all workflows."""
    try:
        catalog = await asyncio.to_thread(load_catalog, settings.node.workflows)
        async for workflow, server, problem in try_servers(settings, catalog.all):
            named = f"MCP server {server} of {workflow}"
            if problem is None:
                yield passed(f"{named} connects")
            else:
                yield warned(f"{named} does not connect: {problem}.")
    except OpsError as error:
        yield warned(f"MCP servers are not tried: {error_line(error)}")
