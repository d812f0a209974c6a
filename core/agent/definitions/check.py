"""Checks of definitions against the settings: a workflow may only be stricter than these.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from core.agent.definitions.definition import BadDefinition
from core.agent.definitions.tool_effects import ToolEffect, effect_of
from core.domain.isolation import IsolationMode
from core.domain.reach.network import NetworkPolicy
from core.domain.workflow import WorkflowDefinition

# From the least strict to the strictest.
_BY_STRICTNESS = (IsolationMode.NONE, IsolationMode.AUTO, IsolationMode.REQUIRED)
_MAX_NAMED = 5


def check_definitions(
    definitions: Iterable[WorkflowDefinition], *, isolation: IsolationMode, network: NetworkPolicy
) -> tuple[str, ...]:
    """Check definitions against `isolation` and `network` of the settings' `[agent]`.

    Returns:
        Warnings, one line each: what loads, but works differently than its file promises.

    Raises:
        BadDefinition: If a definition asks for more than the settings give.
    """
    warnings: list[str] = []
    for definition in definitions:
        _check_isolation(definition, isolation)
        _check_network(definition, network, isolation)
        warnings += _warnings(definition, isolation)
        warnings += _unreachable_servers(definition, network)
    return tuple(warnings)


def _check_isolation(definition: WorkflowDefinition, limit: IsolationMode) -> None:
    wanted = definition.isolation
    if wanted is not None and _BY_STRICTNESS.index(wanted) < _BY_STRICTNESS.index(limit):
        raise BadDefinition(
            _file_of(definition),
            "isolation",
            f"`{wanted}` is less than `{limit}`, which signalbox.toml sets for every workflow; "
            f"remove the key, or change `[agent] isolation` there",
        )


def _check_network(
    definition: WorkflowDefinition, limit: NetworkPolicy, isolation: IsolationMode
) -> None:
    if definition.network is None:
        return
    excess = definition.network.excess_over(limit)
    if excess:
        raise BadDefinition(
            _file_of(definition),
            "network",
            f"{_named(excess)} is more than signalbox.toml allows; remove that, or extend "
            "`[agent] network` there",
        )
    if not definition.network.is_open and isolation is IsolationMode.NONE:
        raise BadDefinition(
            _file_of(definition),
            "network",
            "cannot be enforced, since `[agent] isolation` in signalbox.toml is `none`; set that "
            "to `auto`, or remove the key",
        )


def _warnings(definition: WorkflowDefinition, isolation: IsolationMode) -> Iterator[str]:
    if isolation is not IsolationMode.NONE:
        return
    file = _file_of(definition)
    if definition.isolation is IsolationMode.REQUIRED:
        yield (
            f"{file}, `isolation`: its runs are refused, since `[agent] isolation` in "
            "signalbox.toml is `none`"
        )
    elif definition.read_only:
        refused = [
            rule for rule in definition.allowed_tools if effect_of(rule) is not ToolEffect.READS
        ]
        without = f", so it works without {_named(refused)}" if refused else ""
        yield (
            f"{file}, `read_only`: nothing but the agent's permissions keeps it, since `[agent] "
            f"isolation` in signalbox.toml is `none`{without}"
        )


def _unreachable_servers(definition: WorkflowDefinition, limit: NetworkPolicy) -> Iterator[str]:
    """MCP servers on hosts that the workflow's agents may not reach."""
    policy = limit if definition.network is None else limit.narrowed_to(definition.network)
    for name, server in definition.mcp_servers.items():
        parts = urlsplit(str(server.get("url") or ""))
        port = parts.port or (80 if parts.scheme == "http" else 443)
        if parts.hostname and not policy.permits(parts.hostname, port):
            yield (
                f"{_file_of(definition)}, `mcp_servers`: `{name}` cannot connect, since its agents "
                f"may not reach `{parts.hostname}:{port}`; list that host under `network`"
            )


def _file_of(definition: WorkflowDefinition) -> str:
    return f"{definition.name}.md"


def _named(entries: Iterable[str]) -> str:
    named = [f"`{entry}`" for entry in entries]
    more = f" and {len(named) - _MAX_NAMED} more" if len(named) > _MAX_NAMED else ""
    return ", ".join(named[:_MAX_NAMED]) + more
