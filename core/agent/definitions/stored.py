"""Workflow definitions as they are stored with the runs that used them.

A run can be restarted with the instructions that it had.  What an agent may do (tools, servers,
network) is not taken from a stored definition while the workflow exists: a team that has taken a
right away from it means all runs from then on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from core.domain.errors import Conflict
from core.domain.workflow import WorkflowDefinition

# Of no influence on a run.
_IGNORED = ("name", "description", "aliases")
_ADAPTER = TypeAdapter(WorkflowDefinition)


class UnreadableDefinition(Conflict):
    """A stored definition cannot be read any more: another version of Signalbox wrote it."""

    code = "unreadable_definition"

    def __init__(self, digest: str) -> None:
        super().__init__(
            f"definition {digest} is unreadable",
            user_message="The workflow definition that was stored with this run cannot be read by "
            "this version. Restart it with the present definition.",
        )
        self.digest = digest


@dataclass(frozen=True, kw_only=True)
class StoredDefinition:
    """One row of `workflow_definitions`.

    Attributes:
        digest: Tells whether two definitions are the same, whatever they are called.
        content: All fields as JSON.  Of MCP servers only the names: their commands and headers
            may contain secrets, which the database must not have.
    """

    digest: str
    name: str
    content: Mapping[str, Any]


def stored_form(definition: WorkflowDefinition) -> StoredDefinition:
    """What is stored of a definition."""
    named = replace(definition, mcp_servers={name: {} for name in sorted(definition.mcp_servers)})
    content = _ADAPTER.dump_python(named, mode="json")
    told = {name: value for name, value in content.items() if name not in _IGNORED}
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:32]
    return StoredDefinition(digest=digest, name=definition.name, content=content)


def read_stored(stored: StoredDefinition) -> WorkflowDefinition:
    """The definition as it was, its MCP servers without their configuration.

    Raises:
        UnreadableDefinition: If it has fields or values that this version does not know.
    """
    try:
        return _ADAPTER.validate_python(dict(stored.content))
    except ValidationError as error:
        raise UnreadableDefinition(stored.digest) from error


def with_present_rights(
    stored: WorkflowDefinition, present: WorkflowDefinition | None
) -> WorkflowDefinition:
    """The stored instructions, with what the present definition lets an agent do.

    Args:
        stored: As `read_stored` returns it.
        present: The workflow as it is now; `None` if it was removed.  Then the rights are the
            stored ones, without MCP servers.
    """
    if present is None:
        return replace(stored, mcp_servers={})
    return replace(present, prompt=stored.prompt)
