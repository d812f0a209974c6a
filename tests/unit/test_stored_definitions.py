"""Workflow definitions as they are stored with runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.agent.definitions.catalog import load_catalog
from core.agent.definitions.stored import (
    UnreadableDefinition,
    read_stored,
    stored_form,
    with_present_rights,
)
from core.domain.reach.network import NetworkPolicy
from core.domain.workflow import PermissionMode, WorkflowDefinition

SERVERS = {"linear": {"command": "npx", "env": {"TOKEN": "very-secret"}}}
DEFINITION = WorkflowDefinition(
    name="fix",
    description="Fix it",
    prompt="Be careful.",
    allowed_tools=("Bash", "Read"),
    mcp_servers=SERVERS,
    network=NetworkPolicy.parse(["api.example.com", "*.example.org:8443"]),
)


@pytest.mark.parametrize("name", [one.name for one in load_catalog().all])
def test_a_shipped_definition_is_read_as_it_was(name: str) -> None:
    definition = load_catalog().get(name)

    assert read_stored(stored_form(definition)) == definition


def test_the_database_gets_the_names_of_servers_and_nothing_else_of_them() -> None:
    stored = stored_form(DEFINITION)

    assert "very-secret" not in str(stored.content)
    assert read_stored(stored) == replace(DEFINITION, mcp_servers={"linear": {}})


def test_a_definition_is_the_same_under_another_name() -> None:
    renamed = replace(DEFINITION, name="repair", description="Mend it", aliases=("mend",))

    assert stored_form(renamed).digest == stored_form(DEFINITION).digest
    changed = replace(DEFINITION, prompt="Be quick.")
    assert stored_form(changed).digest != stored_form(DEFINITION).digest


def test_rights_are_the_present_ones_while_the_workflow_exists() -> None:
    present = replace(
        DEFINITION,
        prompt="Be quick.",
        allowed_tools=("Read",),
        permission_mode=PermissionMode.PLAN,
        read_only=True,
    )

    followed = with_present_rights(DEFINITION, present)

    assert followed == replace(present, prompt="Be careful.")


def test_a_removed_workflow_has_no_servers_any_more() -> None:
    followed = with_present_rights(read_stored(stored_form(DEFINITION)), None)

    assert followed == replace(DEFINITION, mcp_servers={})


def test_what_another_version_has_written_is_refused_in_words() -> None:
    stored = stored_form(DEFINITION)

    with pytest.raises(UnreadableDefinition):
        read_stored(replace(stored, content={**stored.content, "permission_mode": "unheard-of"}))
