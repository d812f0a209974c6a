"""Trials of the MCP servers of all workflows on this machine, as `signalbox doctor` makes them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from bot.assembly.settings import Settings
from bot.assembly.worker_runtime import find_agent_isolation, network_access
from core.agent.egress.resolve import resolve_listed
from core.agent.protocol import Launch
from core.agent.server_probe import probe_servers
from core.domain.errors import OpsError
from core.domain.workflow import WorkflowDefinition


async def try_servers(
    settings: Settings, definitions: Iterable[WorkflowDefinition]
) -> AsyncIterator[tuple[str, str, str | None]]:
    """Try the servers of each definition, isolated as an agent is here.

    Yields:
        The workflow, the server, and why it does not connect; `None` if it does.

    Raises:
        OpsError: If agents cannot be started here at all, or nothing would keep them to the hosts
            that the settings list.
    """
    with_servers = [one for one in definitions if one.mcp_servers]
    if not with_servers:
        return
    found = await asyncio.to_thread(find_agent_isolation, settings)
    network = network_access(settings, found, with_servers, resolve_listed)
    home = settings.node.home / "agents"
    await asyncio.to_thread(home.mkdir, mode=0o700, parents=True, exist_ok=True)
    for definition in with_servers:
        folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="doctor-", dir=home))
        try:
            await asyncio.to_thread((folder / "work").mkdir)
            policy = network.policy
            if definition.network is not None:
                policy = policy.narrowed_to(definition.network)
            launch = Launch(
                run_id=f"run_{uuid4().hex[:12]}",
                session_id=uuid4(),
                resume=False,
                prompt="",
                prompt_uuid=uuid4(),
                definition=definition,
                model=definition.model,
                max_turns=1,
                budget_usd=None,
                cwd=folder / "work",
                state_dir=folder / "state",
                credentials=settings.agent_environment,
                secrets=tuple(one.get_secret_value() for one in settings.secrets),
                isolation=found.isolation,
                network=replace(network, policy=policy),
                shares_proxy_password=settings.config.agent.share_proxy_password,
            )
            for server, problem in (await _probe(launch)).items():
                yield definition.name, server, problem
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _probe(launch: Launch) -> dict[str, str | None]:
    try:
        return dict(await probe_servers(launch))
    except OpsError as error:
        return dict.fromkeys(launch.definition.mcp_servers, error.user_message.rstrip("."))
