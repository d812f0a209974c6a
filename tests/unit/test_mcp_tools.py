"""What a client is shown of the tools, and what it is told about wrong arguments."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from typer.testing import CliRunner

from bot.cli.main import app
from bot.mcp.arguments import Arguments, GetWorkflowStatus, KillWorkflow, RunWorkflow, problem_words
from bot.mcp.results import run_result
from bot.mcp.server import tool_list
from core.agent.definitions.catalog import load_catalog
from core.domain.runs.outcome import Outcome, OutcomeReason
from core.domain.runs.run import RunStatus, StopReason
from tests.unit.view_helpers import make_run, make_snapshot

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TOOLS = {tool.name: tool for tool in tool_list(load_catalog().all)}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def test_the_tools_are_those_of_the_contract() -> None:
    assert set(TOOLS) == {
        "run_workflow",
        "get_workflow_status",
        "list_runs",
        "continue_workflow",
        "restart_workflow",
        "kill_workflow",
    }


@pytest.mark.parametrize("name", TOOLS)
def test_each_schema_is_valid_and_of_an_object(name: str) -> None:
    tool = TOOLS[name]

    for schema in (tool.input_schema, tool.output_schema):
        assert schema is not None
        Draft202012Validator.check_schema(schema)
        assert schema["type"] == "object"
    assert tool.input_schema["additionalProperties"] is False


def test_annotations_tell_what_reads_and_what_destroys() -> None:
    hints = {
        name: (tool.annotations.read_only_hint, tool.annotations.destructive_hint)
        for name, tool in TOOLS.items()
        if tool.annotations is not None
    }

    assert hints == {
        "run_workflow": (False, False),
        "get_workflow_status": (True, None),
        "list_runs": (True, None),
        "continue_workflow": (False, False),
        "restart_workflow": (False, False),
        "kill_workflow": (False, True),
    }


def test_the_workflows_are_in_the_description() -> None:
    description = TOOLS["run_workflow"].description or ""

    for workflow in load_catalog().all:
        assert f"- {workflow.name}: {workflow.description}" in description


@given(arguments=st.dictionaries(st.sampled_from(sorted(RunWorkflow.model_fields)), JSON))
def test_wrong_arguments_are_named_and_not_quoted(arguments: dict[str, Any]) -> None:
    secret = "s3cr3t-value"
    try:
        RunWorkflow.model_validate({**arguments, "workflow_name": [secret]})
    except ValidationError as error:
        words = problem_words(error)
    else:
        pytest.fail("a list is no name")

    assert words.startswith("The arguments are wrong. `")
    assert words.endswith("Correct them and call again.")
    assert secret not in words
    assert "\n" not in words


@pytest.mark.parametrize(
    ("kind", "arguments", "part"),
    [
        (RunWorkflow, {"workflow_name": "fix", "message": "\ud800"}, "`message`: "),
        (RunWorkflow, {"workflow_name": "fix", "message": "x", "budget_usd": "nan"}, "budget_usd"),
        (GetWorkflowStatus, {"run_id": "run_1", "wait_seconds": 301}, "less than or equal to 300"),
        (KillWorkflow, {}, "`run_id`: Field required"),
    ],
)
def test_what_cannot_be_stored_or_waited_for_is_refused(
    kind: type[Arguments], arguments: dict[str, Any], part: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(arguments)

    assert part in problem_words(caught.value)


@given(budget=st.floats(min_value=0.0001, max_value=10_000))
def test_a_budget_keeps_its_digits(budget: float) -> None:
    given_arguments = RunWorkflow(workflow_name="fix", message="x", budget_usd=budget)

    assert given_arguments.budget is not None
    assert float(given_arguments.budget) == budget


def test_a_run_with_failing_tests_is_not_simply_completed() -> None:
    run = make_run(
        status=RunStatus.COMPLETED,
        stop_reason=StopReason.SUCCESS,
        outcome=Outcome.ATTENTION,
        outcome_reasons=(OutcomeReason.TESTS_FAILED,),
        metadata={"tests": {"passed": 3, "failed": 1, "command": "pytest"}},
    )

    found = run_result(make_snapshot(run), now=NOW)

    assert found.summary == "Finished, 1 test fails"
    assert (found.status, found.outcome, found.outcome_reasons) == (
        "completed",
        "attention",
        ["tests_failed"],
    )


def test_what_is_unknown_is_null() -> None:
    run = make_run(status=RunStatus.PENDING, cost_usd=None, diff=None, started_at=None)

    found = run_result(make_snapshot(run), now=NOW)

    assert (found.cost_usd, found.commits, found.files_changed, found.elapsed_seconds) == (
        None,
        None,
        None,
        None,
    )


def test_the_cost_is_exact_and_a_long_text_is_cut() -> None:
    run = make_run(
        status=RunStatus.FAILED,
        stop_reason=StopReason.MAX_TURNS,
        cost_usd=Decimal("1.4468734"),
        turns=30,
        max_turns=30,
        error_message="x" * 30_000,
        started_at=NOW - timedelta(seconds=90),
        completed_at=NOW - timedelta(seconds=30),
    )

    found = run_result(make_snapshot(run), now=NOW)

    assert found.cost_usd == 1.4468734
    assert found.elapsed_seconds == 60
    assert found.summary.startswith("Stopped at its turn limit (30/30), not finished")
    assert (found.error or "").endswith("\n… (10,000 more characters)")
    assert found.can_continue


def test_an_unknown_role_is_named() -> None:
    answer = CliRunner().invoke(app, ["mcp", "--role", "king"])

    assert answer.exit_code == 2
    assert "'king' is none of viewer, runner, operator, admin." in answer.output
