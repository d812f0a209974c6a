from core.agent.policy import ALWAYS_DENIED_TOOLS, allowed_rules, denial_message, denied_tools
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
