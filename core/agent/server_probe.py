"""Tries the MCP servers of a workflow as its agents would use them, without asking a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.agent.protocol import Launch
from core.agent.session import open_agent


class _NoTranscripts:
    """Keeps nothing: a program without a task has no conversation."""

    async def append(self, key: Any, entries: Any) -> None:
        """Forget the entries."""

    async def load(self, key: Any) -> Any:  # noqa: ARG002 - the protocol has it
        """Return that there are none."""
        return None

    async def list_subkeys(self, key: Any) -> Any:  # noqa: ARG002 (as above)
        """Return that there are none."""
        return []


async def probe_servers(launch: Launch) -> Mapping[str, str | None]:
    """Start the agent program for a launch without a task, and see which servers connect.

    Takes about 40 s at most; nothing of the program is left.

    Returns:
        For each server of the definition why it did not connect, `None` if it did.

    Raises:
        AgentFailed: If the program does not start.
    """
    async with open_agent(launch, _NoTranscripts()) as agent:
        failed = {one.name: one.reason for one in await agent.servers.settled_failures()}
    return {name: failed.get(name) for name in launch.definition.mcp_servers}
