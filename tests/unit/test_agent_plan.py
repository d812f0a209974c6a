import json
from typing import Any

import pytest

from core.agent.plan import Plan, task_files
from core.domain.runs.event import PlanItem, ToolFinished, ToolStarted
from core.domain.runs.step import StepStatus


def call(
    plan: Plan,
    name: str,
    output: str = "",
    *,
    is_error: bool = False,
    is_subagent: bool = False,
    **given: Any,
) -> Plan:
    started = ToolStarted(
        tool_use_id="t", name=name, summary="", input=given, is_subagent=is_subagent
    )
    finished = ToolFinished(
        tool_use_id="t", is_error=is_error, output=output, is_subagent=is_subagent
    )
    return plan.apply(started).apply(finished)


def create(plan: Plan, number: int, subject: str) -> Plan:
    text = f"Task #{number} created successfully: {subject}"
    return call(plan, "TaskCreate", text, subject=subject, activeForm=f"{subject}ing")


def shown(plan: Plan) -> list[tuple[str, str, str]]:
    return [(item.source_id, item.name, item.status.value) for item in plan.items]


def test_a_task_gets_its_id_from_the_result() -> None:
    plan = create(create(Plan(), 1, "Look"), 2, "Write")

    assert shown(plan) == [("1", "Look", "pending"), ("2", "Write", "pending")]
    assert plan.items[0].active_name == "Looking"


def test_nothing_changes_before_the_call_returns() -> None:
    started = ToolStarted(tool_use_id="t", name="TaskCreate", summary="", input={"subject": "A"})

    assert Plan().apply(started).items == ()


def test_results_out_of_order_keep_the_numbers_in_order() -> None:
    plan = create(create(create(Plan(), 1, "A"), 3, "C"), 2, "B")

    assert [item.name for item in plan.items] == ["A", "B", "C"]


def test_an_update_changes_status_and_name() -> None:
    plan = create(Plan(), 1, "Look")

    plan = call(plan, "TaskUpdate", taskId="1", status="in_progress", subject="Look closer")

    assert shown(plan) == [("1", "Look closer", "in_progress")]


def test_a_status_counts_from_the_time_of_the_call() -> None:
    started = ToolStarted(
        tool_use_id="t",
        name="TaskUpdate",
        summary="",
        input={"taskId": "1", "status": "in_progress"},
    )

    plan = create(Plan(), 1, "Look").apply(started)

    assert shown(plan) == [("1", "Look", "in_progress")]


def test_a_failed_update_is_reverted() -> None:
    plan = call(
        create(Plan(), 1, "Look"), "TaskUpdate", is_error=True, taskId="1", status="completed"
    )

    assert shown(plan) == [("1", "Look", "pending")]


def test_a_refused_list_is_reverted() -> None:
    plan = call(create(Plan(), 1, "Look"), "TodoWrite", is_error=True, todos=[{"content": "B"}])

    assert shown(plan) == [("1", "Look", "pending")]


def test_a_deleted_task_is_skipped() -> None:
    plan = call(create(Plan(), 1, "Look"), "TaskUpdate", taskId="1", status="deleted")

    assert shown(plan) == [("1", "Look", "skipped")]


def test_an_unknown_status_changes_nothing() -> None:
    plan = call(create(Plan(), 1, "Look"), "TaskUpdate", taskId="1", status="pondering")

    assert shown(plan) == [("1", "Look", "pending")]


def test_an_update_of_a_task_unknown_to_the_program_changes_nothing() -> None:
    plan = call(Plan(), "TaskUpdate", "Task not found", taskId="9", status="completed")

    assert plan.items == ()


def test_an_update_of_a_task_known_to_the_program_adds_it() -> None:
    plan = call(create(Plan(), 4, "Later"), "TaskUpdate", "ok", taskId="3", status="completed")

    assert shown(plan) == [("3", "Task #3", "completed"), ("4", "Later", "pending")]


@pytest.mark.parametrize("flaw", ["is_error", "is_subagent"])
def test_failed_calls_and_subagents_leave_the_plan_alone(flaw: str) -> None:
    text = "Task #1 created successfully: A"

    plan = call(Plan(), "TaskCreate", text, subject="A", **{flaw: True})

    assert plan.items == ()


def test_the_older_todo_tool_replaces_the_whole_list() -> None:
    plan = call(
        Plan(), "TodoWrite", todos=[{"content": "A", "status": "completed", "activeForm": "As"}]
    )
    plan = call(
        plan,
        "TodoWrite",
        todos=[
            {"content": "A", "status": "completed"},
            {"content": "B", "status": "in_progress"},
            "not a todo",
        ],
    )

    assert shown(plan) == [("1", "A", "completed"), ("2", "B", "in_progress")]


@pytest.mark.parametrize("todos", [None, 3, {}])
def test_a_malformed_list_is_no_list(todos: object) -> None:
    plan = call(create(Plan(), 1, "A"), "TodoWrite", todos=todos)

    assert shown(plan) == [("1", "A", "pending")]


def test_other_tools_do_not_change_the_plan() -> None:
    started = ToolStarted(tool_use_id="t", name="Bash", summary="")

    assert Plan().apply(started) == Plan()


def test_a_resumed_plan_continues_its_numbers() -> None:
    earlier = create(create(Plan(), 1, "A"), 2, "B").items

    plan = create(Plan(items=earlier), 3, "C")

    assert [item.source_id for item in plan.items] == ["1", "2", "3"]


def test_the_programs_files_contain_the_list_and_its_highest_number() -> None:
    items = (
        PlanItem(source_id="1", name="A", status=StepStatus.COMPLETED, active_name="Doing A"),
        PlanItem(source_id="2", name="B", status=StepStatus.FAILED),
        PlanItem(source_id="7", name="gone", status=StepStatus.SKIPPED),
        PlanItem(source_id="phase:run", name="Run", status=StepStatus.COMPLETED),
    )

    files = task_files(items)

    assert set(files) == {"1.json", "2.json", ".highwatermark"}
    assert files[".highwatermark"] == "7"
    assert json.loads(files["1.json"])["status"] == "completed"
    assert json.loads(files["2.json"])["status"] == "pending"


def test_a_full_plan_takes_no_new_item_but_changes() -> None:
    todos = [{"content": f"Item {number}"} for number in range(1_000)]
    plan = call(Plan(), "TodoWrite", todos=todos)

    plan = create(plan, 5_000, "One more")
    plan = call(plan, "TaskUpdate", taskId="100", status="completed")

    assert len(plan.items) == 100
    assert plan.items[-1].status is StepStatus.COMPLETED


@pytest.mark.parametrize("task_id", ["9" * 21, "9" * 3_000, "x" * 50])
def test_an_id_that_is_no_name_of_a_file_makes_no_item(task_id: str) -> None:
    plan = call(Plan(), "TaskCreate", f"Task #{task_id} created", subject="A")

    plan = call(plan, "TaskUpdate", taskId=task_id, status="completed")

    assert plan.items == ()
    item = PlanItem(source_id=task_id, name="A", status=StepStatus.PENDING)
    assert list(task_files([item])) == [".highwatermark"]


def test_only_the_last_calls_without_a_result_are_kept() -> None:
    plan = Plan()

    for number in range(1_000):
        started = ToolStarted(tool_use_id=str(number), name="TaskCreate", summary="")
        plan = plan.apply(started)

    assert list(plan.pending_calls) == [str(number) for number in range(900, 1_000)]
