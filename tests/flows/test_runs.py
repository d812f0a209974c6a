import asyncio
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from core.agent.process.ladder import find_tree
from core.domain.actor import Role
from core.domain.errors import BadRequest, OpsError, Refused
from core.domain.kills.termination import Phase
from core.domain.runs.request import ContinueRequest, KillRequest
from core.domain.runs.run import CostSource, Run, RunStatus, SessionBusy, StopReason
from core.domain.runs.snapshot import RunSnapshot
from core.services.runs import AlreadyEnded
from tests.workplace import Office, office

__all__ = ["office"]


async def in_mid_tool(office: Office, task: str) -> Run:
    """Start a run and wait until its agent is inside the tool call of its scenario."""
    run = await office.start(task)
    await office.until(run, lambda seen: seen.run.tool_calls >= 1)
    return run


def kill(run: Run, **wishes: object) -> KillRequest:
    return KillRequest(named=run.run_id, **wishes)  # type: ignore[arg-type]


async def killed(office: Office, run: Run, **wishes: object) -> RunSnapshot:
    await office.workplace.runs.kill(kill(run, **wishes), by=office.boss)
    return await office.ended(run, within=15)


async def test_a_run_works_commits_and_completes(office: Office) -> None:
    async with office.worker():
        run = await office.start("Add rate limiting to the API")
        seen = await office.ended(run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.stop_reason is StopReason.SUCCESS
    assert seen.run.cost_source is CostSource.REPORTED
    assert seen.run.cost_usd
    assert seen.run.turns > 3
    assert seen.run.tool_calls > 3
    assert seen.run.diff is not None
    assert seen.run.diff.commits
    assert seen.run.diff.added_lines > 0
    assert seen.run.result
    assert "Summary" in seen.run.result
    assert {step.status for step in seen.steps} == {"completed"}


async def test_the_same_request_starts_once(office: Office) -> None:
    first = await office.start("Once", request_key="trigger-1")
    second = await office.start("Once", request_key="trigger-1")

    assert second.run_id == first.run_id


@pytest.mark.parametrize("scenario", ["kill-me", "kill-stubborn", "kill-escaped", "kill-hostile"])
async def test_a_kill_in_mid_tool_leaves_nothing_running(office: Office, scenario: str) -> None:
    async with office.worker():
        run = await in_mid_tool(office, f"[scenario: {scenario}] work")
        seen = await killed(office, run, reason="enough")

    assert seen.run.status is RunStatus.KILLED
    assert seen.termination is not None
    assert seen.termination.phase is Phase.CONFIRMED
    assert seen.termination.survivors == ()
    assert seen.termination.processes_seen > 0
    assert seen.termination.reason == "enough"
    assert seen.termination.elapsed is not None
    assert seen.termination.elapsed < timedelta(seconds=10)
    assert list(seen.termination.phases)[:2] == [Phase.REQUESTED, Phase.ACKNOWLEDGED]
    assert find_tree(run.run_id, None) == ()


async def test_force_skips_the_grace(office: Office) -> None:
    async with office.worker():
        run = await in_mid_tool(office, "[scenario: kill-me] work")
        seen = await killed(office, run, force=True)

    assert seen.termination is not None
    assert Phase.INTERRUPTED not in seen.termination.phases
    assert seen.termination.phase is Phase.CONFIRMED


async def test_force_can_be_asked_for_while_a_kill_waits(office: Office) -> None:
    async with office.worker():
        run = await in_mid_tool(office, "[scenario: kill-hostile] work")
        await office.workplace.runs.kill(kill(run), by=office.boss)
        await office.workplace.runs.kill(kill(run, force=True), by=office.boss)
        seen = await office.ended(run, within=15)

    assert seen.termination is not None
    assert seen.termination.force
    assert seen.termination.phase is Phase.CONFIRMED


async def test_a_pending_run_is_killed_at_once(office: Office) -> None:
    run = await office.start("Never begins")

    termination = await office.workplace.runs.kill(kill(run), by=office.boss)

    assert termination.phase is Phase.CONFIRMED
    assert (await office.look(run)).run.status is RunStatus.KILLED
    async with office.worker() as node:
        assert node.worker.active == 0
    assert (await office.look(run)).run.started_at is None


async def test_killing_twice_is_one_termination(office: Office) -> None:
    async with office.worker():
        run = await in_mid_tool(office, "[scenario: kill-me] work")
        first = await office.workplace.runs.kill(kill(run), by=office.boss)
        second = await office.workplace.runs.kill(kill(run), by=office.boss)
        await office.ended(run, within=15)
        third = await office.workplace.runs.kill(kill(run), by=office.boss)

    assert first.id == second.id == third.id


async def test_a_completed_run_cannot_be_killed(office: Office) -> None:
    async with office.worker():
        run = await office.start("[scenario: long] [turns: 2] quick")
        await office.ended(run)

        with pytest.raises(AlreadyEnded) as refused:
            await office.workplace.runs.kill(kill(run), by=office.boss)

    assert "already ended" in refused.value.user_message


async def test_another_runner_may_not_kill_and_the_refusal_is_polite(office: Office) -> None:
    other = await office.workplace.people.actor(
        team_id="T1", user_id="U2", name="Bob", role=Role.RUNNER
    )
    run = await office.start("Mine")

    with pytest.raises(Refused) as refused:
        await office.workplace.runs.kill(kill(run), by=other)

    assert "operator" in refused.value.user_message
    assert (await office.look(run)).run.is_live


async def test_the_turn_limit_is_continued_in_the_same_session(office: Office) -> None:
    async with office.worker():
        run = await office.start("[scenario: max-turns] [turns: 12] long work", max_turns=5)
        stopped = (await office.ended(run)).run
        leg = await office.workplace.runs.continue_run(
            ContinueRequest(named=run.run_id, request_key="click-1", additional_turns=20),
            by=office.boss,
        )
        again = await office.workplace.runs.continue_run(
            ContinueRequest(named=run.run_id, request_key="click-2", additional_turns=20),
            by=office.boss,
        )
        seen = await office.ended(leg.run)

    assert stopped.stop_reason is StopReason.MAX_TURNS
    assert stopped.status is RunStatus.FAILED
    assert stopped.can_continue
    assert (stopped.turns, stopped.max_turns) == (5, 5)
    assert again.run.run_id == leg.run.run_id
    assert not again.is_new
    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.session_id == run.session_id
    assert seen.run.workspace_path == stopped.workspace_path
    assert seen.run.parent_run_id == run.id
    assert seen.leg == 2
    assert seen.total is not None
    assert seen.total.cost_usd == (stopped.cost_usd or 0) + (seen.run.cost_usd or 0)


async def test_a_killed_run_can_be_continued(office: Office) -> None:
    async with office.worker():
        run = await in_mid_tool(office, "[scenario: kill-me] work")
        await killed(office, run)
        leg = await office.workplace.runs.continue_run(
            ContinueRequest(
                named=run.run_id, request_key="c", message="[scenario: work] Do something else"
            ),
            by=office.boss,
        )
        seen = await office.ended(leg.run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message


async def test_a_busy_session_names_its_live_run(office: Office) -> None:
    run = await office.start("First", session_name="auth")

    with pytest.raises(SessionBusy) as refused:
        await office.start("Second", session_name="auth")
    with pytest.raises(SessionBusy):
        await office.workplace.runs.continue_run(
            ContinueRequest(named=run.run_id, request_key="c"), by=office.boss
        )

    assert run.run_id in refused.value.user_message


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("crash", StopReason.AGENT_ERROR),
        ("no-result", StopReason.NO_RESULT),
        ("401", StopReason.API_ERROR),
        ("api-500", StopReason.API_ERROR),
        ("garbage", StopReason.API_ERROR),
    ],
)
async def test_each_failure_has_its_reason_and_a_message(
    office: Office, scenario: str, reason: StopReason
) -> None:
    async with office.worker():
        run = await office.start(f"[scenario: {scenario}] [times: forever] work")
        seen = await office.ended(run)

    assert seen.run.status is RunStatus.FAILED
    assert seen.run.stop_reason is reason
    assert seen.run.error_message
    assert find_tree(run.run_id, None) == ()


async def test_a_model_that_never_answers_ends_at_the_time_limit(office: Office) -> None:
    async with office.worker():
        run = await office.start("[scenario: hang] work", timeout=timedelta(seconds=10))
        seen = await office.ended(run)

    assert seen.run.stop_reason is StopReason.TIMEOUT
    assert seen.run.can_continue
    assert find_tree(run.run_id, None) == ()


async def test_a_budget_stops_a_run(office: Office) -> None:
    async with office.worker():
        run = await office.start("[scenario: budget] work", budget_usd=Decimal("0.01"))
        seen = await office.ended(run)

    assert seen.run.stop_reason is StopReason.BUDGET
    assert seen.run.cost_source is CostSource.REPORTED


async def test_a_folder_that_is_no_repository_says_so(office: Office, tmp_path: Path) -> None:
    async with office.worker():
        run = await office.start("work", repo=str(tmp_path))
        seen = await office.ended(run)

    assert seen.run.stop_reason is StopReason.WORKSPACE_ERROR
    assert seen.run.error_message


async def test_a_password_in_a_repository_address_is_refused(office: Office) -> None:
    with pytest.raises(BadRequest) as refused:
        await office.start("work", repo="https://me:hunter22@example.invalid/r.git")

    assert "hunter22" not in refused.value.user_message
    assert "hunter22" not in str(refused.value)


async def test_an_unknown_workflow_is_refused_with_the_nearest(office: Office) -> None:
    with pytest.raises(OpsError) as refused:
        await office.start("work", workflow="implemnt")

    assert "implement" in refused.value.user_message


async def test_a_stopping_worker_hands_its_run_over_and_another_goes_on(office: Office) -> None:
    async with office.worker():
        run = await in_mid_tool(office, "[scenario: long] [turns: 30] [delay: 0.3s] work")
    handed_over = (await office.look(run)).run
    async with office.worker():
        seen = await office.ended(run)

    assert handed_over.status is RunStatus.PENDING
    assert handed_over.attempt == 2
    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.session_id == run.session_id


async def test_a_run_whose_process_is_torn_down_is_handed_over_and_has_not_ended(
    office: Office,
) -> None:
    async with office.worker():
        run = await in_mid_tool(office, "[scenario: long] [turns: 12] [delay: 0.3s] work")
        # As the event loop does at its end to all that a stop has left behind.
        (work,) = (one for one in asyncio.all_tasks() if one.get_name() == f"work {run.run_id}")
        work.cancel()
        seen = await office.ended(run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    assert seen.run.attempt == 2


async def test_a_kill_that_meets_the_very_start_is_heard(office: Office) -> None:
    async with office.worker():
        for _ in range(5):
            run = await office.start("[scenario: kill-me] work")
            await office.until(run, lambda seen: seen.run.status is RunStatus.RUNNING)
            seen = await killed(office, run)

            assert seen.run.status is RunStatus.KILLED
            assert seen.termination is not None
            assert seen.termination.phase is Phase.CONFIRMED
            assert find_tree(run.run_id, None) == ()


async def test_a_kill_that_meets_the_end_is_concluded_whatever_wins(office: Office) -> None:
    async with office.worker():
        run = await office.start("[scenario: long] [turns: 2] quick")
        await office.until(run, lambda seen: seen.run.tool_calls >= 2 or not seen.run.is_live)
        with suppress(AlreadyEnded):
            await office.workplace.runs.kill(kill(run), by=office.boss)
        await office.ended(run)
        seen = await office.until(
            run,
            lambda now: now.termination is None or now.termination.phase is Phase.CONFIRMED,
        )

    assert seen.run.status in (RunStatus.COMPLETED, RunStatus.KILLED)


async def test_output_that_no_database_keeps_fails_no_run(office: Office) -> None:
    async with office.worker():
        run = await office.start("Print \x00 and \ud83d alone")
        seen = await office.ended(run)

    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
