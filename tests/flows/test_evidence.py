"""Steps, tests and results of runs of the real agent program, as a status reports them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from bot.sandbox.model.plan import PlanStep, create_plan, update_plan
from bot.sandbox.model.script import Conversation, Play, Script, ToolCall, Turn, bash, play_in_order
from core.domain.progress.enrichment import Enrichment
from core.domain.runs.request import ContinueRequest
from core.domain.runs.run import CostSource, Run, StopReason
from core.domain.runs.step import StepStatus
from core.services.context import ServiceContext
from core.services.runs.status import StatusService
from tests.core_harness import CoreHarness, core_harness

__all__ = ["core_harness"]

DONE, PENDING = StepStatus.COMPLETED, StepStatus.PENDING
PLAN = (PlanStep("Read the code", "Reading"), PlanStep("Test it", "Testing"))
# Its summary is beyond what an event keeps of an output.
TESTS = (
    "printf 'import unittest\\nclass T(unittest.TestCase):\\n"
    " def test_a(self): pass\\n def test_b(self): pass\\n' > test_it.py;"
    " seq 1 3000; python3 -B -m unittest test_it 2>&1"
)
COMMIT = "git add -A; git commit -qm 'Add tests'"
REPORT = "## Summary\n\nIt is tested.\n\n## What I did\n- Added tests\n- Ran them"


def script(*stages: Turn | Play) -> Script:
    return Script(name="evidence", description="", play=play_in_order(*stages))


def planned(done: int, *calls: ToolCall, text: str = "") -> Play:
    def play(conversation: Conversation) -> Turn:
        return Turn(text=text, calls=(*update_plan(conversation, PLAN, done=done), *calls))

    return play


async def status(core_harness: CoreHarness, run: Run) -> tuple[Run, Enrichment]:
    at = run.created_at + timedelta(hours=1)
    service = StatusService(ServiceContext(core_harness.backend.database, lambda: at))
    report = await service.status(run.run_id, by=core_harness.operator)
    assert report.enrichment is not None
    return report.run, report.enrichment


async def test_a_planned_run_reports_steps_tests_and_its_summary(
    core_harness: CoreHarness,
) -> None:
    core_harness.model.script = script(
        Turn(text="I make a plan.", calls=create_plan(PLAN)),
        planned(0, bash("ls", "Look")),
        planned(1, bash(TESTS, "Run the tests"), text="I know the code."),
        planned(2, bash(COMMIT, "Commit"), text="Both tests pass."),
        Turn(text=REPORT),
    )

    async with core_harness.worker():
        seen = await core_harness.wait_until_ended(await core_harness.start("Test it"))
    run, found = await status(core_harness, seen.run)

    assert run.stop_reason is StopReason.SUCCESS, run.error_message
    assert found.step_by_step_results is not None
    first, second = found.step_by_step_results
    assert [first.step_id, second.step_id] == [1, 2]
    assert [first.name, second.name] == ["Read the code", "Test it"]
    assert [first.status, second.status] == [DONE, DONE]
    assert (first.tools_used, second.tools_used) == (("Bash",), ("Bash",))
    assert (first.result, second.result) == ("I know the code.", "Both tests pass.")
    assert first.duration_seconds is not None
    assert second.duration_seconds is not None
    assert run.cost_source is CostSource.REPORTED
    assert run.cost_usd is not None
    costs = [step.cost_usd or Decimal(0) for step in (first, second)]
    assert all(costs)
    assert sum(costs) < run.cost_usd
    assert found.final_result == REPORT
    summary = found.workflow_summary
    assert summary is not None
    assert summary.tests_passed == 2
    assert summary.tests_failed == 0
    assert summary.deployment_ready is True
    assert summary.success_rate == 100
    assert summary.major_achievements == ("Added tests", "Ran them")
    assert summary.files_modified == 1


async def test_a_continued_run_keeps_the_ids_of_its_steps(core_harness: CoreHarness) -> None:
    core_harness.model.script = script(
        Turn(calls=create_plan(PLAN)),
        planned(0, bash("ls", "Look")),
        planned(1, bash("ls", "Look")),
        planned(2, bash("ls", "Look")),
        Turn(text="Done."),
    )

    async with core_harness.worker():
        first = await core_harness.start("Test it", max_turns=3)
        one = await core_harness.wait_until_ended(first)
        continued = await core_harness.backend.runs.continue_run(
            ContinueRequest(
                target=first.run_id, request_key="c", message="Go on", additional_turns=20
            ),
            by=core_harness.operator,
        )
        two = await core_harness.wait_until_ended(continued.run)

    assert one.run.stop_reason is StopReason.MAX_TURNS, one.run.error_message
    assert [(step.step_id, step.name, step.status) for step in one.steps] == [
        (1, "Read the code", DONE),
        (2, "Test it", PENDING),
    ]
    assert two.run.stop_reason is StopReason.SUCCESS, two.run.error_message
    assert [(step.step_id, step.name, step.status) for step in two.steps] == [
        (1, "Read the code", DONE),
        (2, "Test it", DONE),
    ]
    assert two.steps[0].tool_calls == 0


async def test_steps_that_the_agent_announces_stand_in_for_a_plan(
    core_harness: CoreHarness,
) -> None:
    core_harness.model.script = script(
        Turn(text="Step 1/2: Look around", calls=(bash("ls", "Look"),)),
        Turn(text="## Step 2/2 – Write it down", calls=(bash("echo 1 > a", "Write"),)),
        Turn(text="Done."),
    )

    async with core_harness.worker():
        seen = await core_harness.wait_until_ended(await core_harness.start("Do it"))
    _, found = await status(core_harness, seen.run)

    assert found.step_by_step_results is not None
    assert [(one.name, one.status) for one in found.step_by_step_results] == [
        ("Look around", DONE),
        ("Write it down", DONE),
    ]
    assert found.workflow_summary is not None
    assert found.workflow_summary.success_rate is None
    assert found.workflow_summary.tests_passed is None
    assert found.workflow_summary.deployment_ready is None
