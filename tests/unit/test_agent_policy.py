from dataclasses import replace

from core.agent.policy import (
    ALWAYS_DENIED_TOOLS,
    allowed_rules,
    denial_message,
    denied_tools,
    effective_definition,
)
from core.domain.workflow import PermissionMode, WorkflowDefinition

DEFINITION = WorkflowDefinition(
    name="review",
    description="",
    prompt="",
    allowed_tools=("Read", "Bash(git log:*)"),
    disallowed_tools=("Write",),
)


def test_a_plan_is_always_allowed() -> None:
    rules = allowed_rules(DEFINITION)

    assert rules[:2] == ("Read", "Bash(git log:*)")
    assert {"TaskCreate", "TaskUpdate", "TodoWrite"} <= set(rules)


def test_tools_that_reach_beyond_a_run_are_always_denied() -> None:
    assert set(denied_tools(DEFINITION)) == {"Write", *ALWAYS_DENIED_TOOLS}


def test_a_refusal_names_the_tool_and_what_is_permitted() -> None:
    text = denial_message("WebFetch", DEFINITION)

    assert "WebFetch" in text
    assert "Bash(git log:*)" in text
    assert "review" in text


def test_a_question_is_answered_with_an_alternative() -> None:
    assert "Nobody can answer" in denial_message("AskUserQuestion", DEFINITION)


def test_a_planning_workflow_ends_with_its_plan() -> None:
    planning = WorkflowDefinition(
        name="plan", description="", prompt="", permission_mode=PermissionMode.PLAN
    )

    assert "final answer" in denial_message("ExitPlanMode", planning)
    assert "Carry it out" in denial_message("ExitPlanMode", DEFINITION)


READ_ONLY = replace(
    DEFINITION,
    allowed_tools=("Read", "Write", "Bash(ls:*)", "Bash(git show:*)", "Bash(make test)"),
    disallowed_tools=("WebFetch", "Write"),
    read_only=True,
    permission_mode=PermissionMode.ACCEPT_EDITS,
    setting_sources=("project",),
    mcp_servers={"local": {"command": "server"}, "remote": {"url": "https://mcp.example"}},
)


def test_without_isolation_a_read_only_workflow_keeps_only_what_changes_nothing() -> None:
    effective = effective_definition(READ_ONLY, is_isolated=False)

    assert effective.allowed_tools == ("Read", "Bash(ls:*)")
    assert effective.disallowed_tools == ("WebFetch", "Write", "Edit", "MultiEdit", "NotebookEdit")
    assert effective.permission_mode is PermissionMode.DEFAULT
    assert effective.setting_sources == ()
    assert effective.mcp_servers == {"remote": {"url": "https://mcp.example"}}


def test_without_isolation_a_read_only_plan_stays_a_plan() -> None:
    planning = replace(READ_ONLY, permission_mode=PermissionMode.PLAN)

    assert effective_definition(planning, is_isolated=False).permission_mode is PermissionMode.PLAN


def test_with_isolation_a_read_only_workflow_keeps_everything() -> None:
    assert effective_definition(READ_ONLY, is_isolated=True) == READ_ONLY


def test_a_workflow_that_may_write_needs_no_isolation() -> None:
    writing = replace(READ_ONLY, read_only=False)

    assert effective_definition(writing, is_isolated=False) == writing
