"""Finds the MCP servers that an agent was to have and does not: the program itself says nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Protocol

from core.agent import program_values as read
from core.domain.redact import redact
from core.domain.runs.event import McpServerFailed
from core.domain.workflow import WorkflowDefinition

_CONNECTED = "connected"
# Switched off on purpose, by settings of the repository.
_DISABLED = "disabled"
_STATUS_WORDS = {
    "pending": "it had not answered when the agent began",
    "needs-auth": "it asks for a login",
}
_NOT_FOUND = "Executable not found"
_LEFT_OUT = (
    "left out, since this worker does not isolate agents and the workflow may change nothing"
)
_NOT_TAKEN = "the agent program did not take its definition"
_MAX_REASON_CHARS = 300
_MAX_SERVERS = 50
_STATUS_LIMIT = timedelta(seconds=3)
_SETTLED_LIMIT = timedelta(seconds=35)
_POLL = timedelta(milliseconds=200)


class StatusSource(Protocol):
    """Tells the state of MCP servers; the SDK's client does."""

    async def get_mcp_status(self) -> Any:
        """The program's answer: `{"mcpServers": [{"name": …, "status": …, "error": …}]}`."""
        ...


class ServerCheck:
    """Checks the servers of one agent, and reports each that failed once.

    Args:
        source: Tells why a server failed.
        definition: The workflow, with the servers that it is to have.
        given: The names of those that the agent program was given.
        secrets: Texts to redact from reasons.
    """

    def __init__(
        self,
        source: StatusSource,
        definition: WorkflowDefinition,
        *,
        given: Collection[str],
        secrets: Collection[str] = (),
    ) -> None:
        self._source = source
        self._servers = definition.mcp_servers
        self._given = frozenset(given)
        self._secrets = tuple(secrets)
        self._told: set[str] = set()

    async def failures(self, reported: Any) -> list[McpServerFailed]:
        """The servers that did not connect, and why; not those that were returned before.

        Args:
            reported: `mcp_servers` of the program's first message.
        """
        states = _states(reported)
        for name in self._servers:
            states.setdefault(name, ("", None))
        failed = {
            name
            for name, (status, _) in states.items()
            if status not in (_CONNECTED, _DISABLED) and name not in self._told
        }
        if failed & {name for name, (status, _) in states.items() if status}:
            states |= await self._newest_states()
            failed = {name for name in failed if states[name][0] != _CONNECTED}
        self._told |= failed
        return [
            McpServerFailed(name=name, reason=self._reason(name, *states[name]))
            for name in sorted(failed)
        ]

    async def settled_failures(self) -> list[McpServerFailed]:
        """Wait until each server has connected or failed, and return those that failed.

        Takes 35 s at most; the program itself gives a server 30 s.
        """
        deadline = time.monotonic() + _SETTLED_LIMIT.total_seconds()
        while True:
            states = await self._newest_states()
            is_settled = bool(states) and all(status != "pending" for status, _ in states.values())
            if is_settled or time.monotonic() >= deadline:
                break
            await asyncio.sleep(_POLL.total_seconds())
        return await self.failures(
            [{"name": name, "status": status} for name, (status, _) in states.items()]
        )

    async def _newest_states(self) -> dict[str, tuple[str, str | None]]:
        try:
            async with asyncio.timeout(_STATUS_LIMIT.total_seconds()):
                answer = await self._source.get_mcp_status()
        except Exception:  # noqa: BLE001 - the SDK raises bare exceptions; it is asked for a reason
            return {}
        return _states(answer.get("mcpServers") if isinstance(answer, Mapping) else None)

    def _reason(self, name: str, status: str, error: str | None) -> str:
        return redact(
            failure_reason(
                status, error, server=self._servers.get(name), is_given=name in self._given
            ),
            secrets=self._secrets,
        )[:_MAX_REASON_CHARS]


def failure_reason(
    status: str, error: str | None, *, server: Mapping[str, Any] | None, is_given: bool = True
) -> str:
    """Say why a server did not connect, as the end of a sentence.

    Args:
        status: The program's status of it; empty if the program does not name it.
        error: The program's words.
        server: Its definition, if it is one of the workflow's.
        is_given: Whether the program was given it.
    """
    if not is_given and server is not None:
        return _LEFT_OUT
    if not status:
        return _NOT_TAKEN
    if status in _STATUS_WORDS:
        return _STATUS_WORDS[status]
    if error is not None and error.startswith(_NOT_FOUND) and server is not None:
        return f"there is no program {server.get('command')} on the worker"
    return error or "the connection failed"


def _states(reported: Any) -> dict[str, tuple[str, str | None]]:
    """Name → status and error, of what has both a name and a status."""
    found: dict[str, tuple[str, str | None]] = {}
    for one in reported[:_MAX_SERVERS] if isinstance(reported, list) else []:
        if isinstance(one, Mapping):
            name, status = read.identifier(one.get("name")), read.word(one.get("status"))
            if name is not None and status is not None:
                found[name] = status, read.word(one.get("error"), max_chars=_MAX_REASON_CHARS)
    return found
