from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.domain.request import RunFilter
from core.domain.run import (
    AmbiguousRun,
    CommitInfo,
    CostSource,
    DiffStat,
    FileChange,
    IllegalTransition,
    Run,
    RunNotFound,
    RunStatus,
    SessionBusy,
    StaleAttempt,
    StopReason,
    Usage,
    WaitingOn,
)
from core.store import runs, sessions, users
from core.store.engine import Database
from tests.database import NOW, new_run, new_session, running_run, stored_run

LATER = NOW + timedelta(seconds=90)
DIFF = DiffStat(
    files=(
        FileChange(path="a.py", added=3, removed=1),
        FileChange(path="b.png", added=None, removed=None, committed=False),
    ),
    commits=(CommitInfo(sha="a" * 40, subject="Add a"),),
)
FIELDS: dict[str, Any] = {
    "agent_type": "coder",
    "ai_model": "sonnet",
    "session_name": "auth",
    "git_repo": "https://example.org/a.git",
    "git_branch": "main",
    "initial_commit_hash": "1" * 40,
    "final_commit_hash": "2" * 40,
    "diff": DIFF,
    "result": "Done",
    "error_message": "no",
    "workspace_id": "ws_1",
    "workspace_persistent": False,
    "workspace_cleaned_up": True,
    "workspace_path": "/srv/ws 1",
    "cost_usd": Decimal("1.4468734"),
    "cost_source": CostSource.REPORTED,
    "usage": Usage(
        input_tokens=3_000_000_000,
        output_tokens=2,
        cache_read_tokens=3,
        cache_creation_tokens=4,
    ),
    "metadata": {"plan": [1, None]},
    "waiting_on": WaitingOn.APPROVAL,
    "turns": 30,
    "max_turns": 30,
    "budget_usd": Decimal("5.0000000"),
    "timeout": timedelta(minutes=30),
    "tool_calls": 7,
    "tools_used": ("Bash", "Edit"),
    "priority": -3,
    "last_activity_at": NOW,
    "last_activity": "Bash: make",
    "slack_team_id": "T2",
    "slack_channel_id": "C2",
    "thread_key": "run_0",
    "job_id": 2**40,
}


async def test_a_run_comes_back_as_it_was_added(database: Database) -> None:
    conversation = new_session()
    run = new_run(
        conversation.id,
        **FIELDS,
        attempt=3,
        kill_requested_at=LATER,
        worker_id="w1",
        request_key="trigger-1",
    )
    async with database.sessions.begin() as session:
        await sessions.add(session, conversation)
        await runs.add(session, run)

    async with database.sessions() as session:
        assert await runs.get(session, run.run_id) == run
        assert await runs.get_by_uuid(session, run.id) == run
        assert await runs.find_request(session, "trigger-1") == run


async def test_every_field_that_can_change_changes(database: Database) -> None:
    before = await stored_run(database)

    async with database.sessions.begin() as session:
        after = await runs.change(session, before.run_id, now=LATER, **FIELDS)

    expected = replace(before, **FIELDS, updated_at=LATER, version=before.version + 1)
    assert after == expected
    async with database.sessions() as session:
        assert await runs.get(session, before.run_id) == expected


async def test_a_status_is_not_a_field_to_change(database: Database) -> None:
    run = await stored_run(database)

    async with database.sessions() as session:
        with pytest.raises(TypeError, match="status"):
            await runs.change(session, run.run_id, now=NOW, status=RunStatus.KILLED)


async def test_metadata_is_merged(database: Database) -> None:
    run = await stored_run(database, metadata={"kept": 1, "replaced": 1})

    async with database.sessions.begin() as session:
        await runs.merge_metadata(session, run.run_id, {"replaced": 2}, now=NOW)
        after = await runs.change(session, run.run_id, now=NOW, metadata={"new": {"a": None}})

    assert after.metadata == {"kept": 1, "replaced": 2, "new": {"a": None}}


async def test_a_busy_session_refuses_and_the_transaction_goes_on(database: Database) -> None:
    live = await stored_run(database)

    async with database.sessions.begin() as session:
        with pytest.raises(SessionBusy) as refused:
            await runs.add(session, new_run(live.session_id))
        elsewhere = new_session()
        await sessions.add(session, elsewhere)

    assert refused.value.live_run_id == live.run_id
    async with database.sessions() as session:
        assert await sessions.get(session, elsewhere.id) == elsewhere
        assert await runs.live_of_session(session, live.session_id) == live


async def test_an_ended_run_frees_its_session(database: Database) -> None:
    first = await running_run(database)
    async with database.sessions.begin() as session:
        await runs.finish(
            session, first.run_id, attempt=1, stop_reason=StopReason.MAX_TURNS, now=LATER
        )

    second = await stored_run(
        database,
        session_id=first.session_id,
        parent_run_id=first.id,
        thread_key=first.thread_key,
        created_at=LATER,
    )

    async with database.sessions() as session:
        legs = await runs.legs_of_session(session, first.session_id)
        thread = await runs.of_thread(session, first.run_id)
    assert [leg.run_id for leg in legs] == [first.run_id, second.run_id]
    assert thread == legs


async def test_a_new_leg_is_ahead_of_all_that_its_thread_has_shown(database: Database) -> None:
    first = await running_run(database)
    async with database.sessions.begin() as session:
        ended = await runs.finish(
            session, first.run_id, attempt=1, stop_reason=StopReason.BUDGET, now=LATER
        )
    second = await stored_run(
        database, session_id=first.session_id, thread_key=first.thread_key, created_at=LATER
    )

    async with database.sessions.begin() as session:
        cleaned = await runs.change(session, first.run_id, now=LATER, workspace_cleaned_up=True)

    assert first.version < ended.version < second.version < cleaned.version


async def test_begin_keeps_the_first_start(database: Database) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        requeued = await runs.requeue(session, run.run_id, attempt=1, now=LATER)
    async with database.sessions.begin() as session:
        again = await runs.begin(session, run.run_id, attempt=2, worker_id="w2", now=LATER)

    assert (requeued.status, requeued.attempt, requeued.worker_id, requeued.job_id) == (
        RunStatus.PENDING,
        2,
        None,
        None,
    )
    assert (again.status, again.started_at, again.worker_id) == (RunStatus.RUNNING, NOW, "w2")


async def test_begin_refuses_a_run_that_is_to_be_killed(database: Database) -> None:
    run = await stored_run(database)
    async with database.sessions.begin() as session:
        wished = await runs.wish_killed(session, run.run_id, now=NOW)
        again = await runs.wish_killed(session, run.run_id, now=LATER)

    async with database.sessions() as session:
        with pytest.raises(IllegalTransition):
            await runs.begin(session, run.run_id, attempt=1, worker_id="w1", now=LATER)
    assert wished.kill_requested_at == again.kill_requested_at == NOW


async def test_finish_writes_the_whole_end(database: Database) -> None:
    run = await running_run(database, waiting_on=WaitingOn.BUDGET)

    async with database.sessions.begin() as session:
        ended = await runs.finish(
            session,
            run.run_id,
            attempt=1,
            stop_reason=StopReason.SUCCESS,
            now=LATER,
            result="All done\x00",
            diff=DIFF,
            turns=4,
        )

    assert ended.status is RunStatus.COMPLETED
    assert ended.stop_reason is StopReason.SUCCESS
    assert ended.result == "All done\ufffd"
    assert (ended.completed_at, ended.duration) == (LATER, timedelta(seconds=90))
    assert (ended.waiting_on, ended.diff, ended.turns) == (None, DIFF, 4)


async def test_a_final_status_stays(database: Database) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        await runs.finish(session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW)

    async with database.sessions() as session:
        with pytest.raises(IllegalTransition) as refused:
            await runs.finish(
                session, run.run_id, attempt=None, stop_reason=StopReason.KILLED, now=LATER
            )
        with pytest.raises(IllegalTransition):
            await runs.wish_killed(session, run.run_id, now=LATER)
        with pytest.raises(IllegalTransition):
            await runs.requeue(session, run.run_id, attempt=1, now=LATER)
        with pytest.raises(StaleAttempt):
            await runs.change(session, run.run_id, now=LATER, attempt=1, turns=9)
    assert refused.value.present is RunStatus.COMPLETED


async def test_a_pending_run_is_killed_without_an_attempt(database: Database) -> None:
    run = await stored_run(database)

    async with database.sessions.begin() as session:
        killed = await runs.finish(
            session, run.run_id, attempt=None, stop_reason=StopReason.KILLED, now=LATER
        )

    assert (killed.status, killed.duration) == (RunStatus.KILLED, None)


async def test_only_a_kill_ends_whatever_attempt_there_is(database: Database) -> None:
    run = await running_run(database)

    async with database.sessions() as session:
        with pytest.raises(ValueError, match="attempt"):
            await runs.finish(
                session, run.run_id, attempt=None, stop_reason=StopReason.TIMEOUT, now=NOW
            )


async def test_a_lost_worker_writes_no_more(database: Database) -> None:
    run = await running_run(database)
    async with database.sessions.begin() as session:
        await runs.requeue(session, run.run_id, attempt=1, now=NOW)
        await runs.begin(session, run.run_id, attempt=2, worker_id="w2", now=NOW)

    async with database.sessions() as session:
        with pytest.raises(StaleAttempt):
            await runs.change(session, run.run_id, now=LATER, attempt=1, turns=9)
        with pytest.raises(StaleAttempt):
            await runs.requeue(session, run.run_id, attempt=1, now=LATER)
        with pytest.raises(StaleAttempt):
            await runs.begin(session, run.run_id, attempt=1, worker_id="w1", now=LATER)
        with pytest.raises(StaleAttempt):
            await runs.finish(
                session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=LATER
            )
        present = await runs.change(session, run.run_id, now=LATER, attempt=2, turns=1)
    assert present.turns == 1


async def test_an_unknown_run_is_said_to_be_unknown(database: Database) -> None:
    async with database.sessions() as session:
        with pytest.raises(RunNotFound):
            await runs.change(session, "run_nope", now=NOW, attempt=1, turns=1)
        with pytest.raises(RunNotFound):
            await runs.wish_killed(session, "run_nope", now=NOW)
        with pytest.raises(RunNotFound):
            await runs.get_by_uuid(session, uuid4())


@pytest.mark.parametrize(
    "named", ["run_abc000000000", "abc000000000", " RUN_ABC00 ", "abc000", "ab"]
)
async def test_a_run_is_found_by_its_beginning(database: Database, named: str) -> None:
    run = await stored_run(database, run_id="run_abc000000000")
    await stored_run(database, run_id="run_bbc000000000")

    async with database.sessions() as session:
        assert await runs.resolve(session, named) == run


@pytest.mark.parametrize("named", ["", "run_", "_", "%", "run", "abd", "a\x00b", "a_c", "ab\\"])
async def test_what_no_id_begins_with_is_not_found(database: Database, named: str) -> None:
    await stored_run(database, run_id="run_abc000000000")

    async with database.sessions() as session:
        with pytest.raises(RunNotFound):
            await runs.resolve(session, named)


async def test_several_matches_are_named(database: Database) -> None:
    for number in (1, 2):
        await stored_run(database, run_id=f"run_abc{number}")
    exact = await stored_run(database, run_id="run_abc")

    async with database.sessions() as session:
        with pytest.raises(AmbiguousRun) as refused:
            await runs.resolve(session, "ab")
        assert await runs.resolve(session, "abc") == exact
    assert refused.value.matches == ("run_abc", "run_abc1", "run_abc2")


async def test_recent_runs_are_filtered(database: Database) -> None:
    async with database.sessions.begin() as session:
        ana = await users.ensure(
            session, slack_team_id="T1", slack_user_id="U1", name="ana", now=NOW
        )
    live = await stored_run(database, user_id=ana.id, workflow_name="review")
    failed = await running_run(database, created_at=LATER)
    async with database.sessions.begin() as session:
        await runs.finish(
            session, failed.run_id, attempt=1, stop_reason=StopReason.TIMEOUT, now=LATER
        )

    async with database.sessions() as session:

        async def found(wanted: RunFilter, limit: int = 20) -> list[str]:
            listed = await runs.recent(session, wanted, user_id=ana.id, limit=limit)
            return [run.run_id for run in listed]

        assert await found(RunFilter()) == [failed.run_id, live.run_id]
        assert await found(RunFilter(), limit=1) == [failed.run_id]
        assert await found(RunFilter(mine=True)) == [live.run_id]
        assert await found(RunFilter(live=True)) == [live.run_id]
        assert await found(RunFilter(failed=True)) == [failed.run_id]
        assert await found(RunFilter(workflow="review")) == [live.run_id]
        nobodys = await runs.recent(session, RunFilter(mine=True), user_id=None)
        assert [run.run_id for run in nobodys] == [failed.run_id]


async def test_the_queue_goes_by_priority_then_age(database: Database) -> None:
    late = await stored_run(database, created_at=LATER)
    early = await stored_run(database)
    urgent = await stored_run(database, created_at=LATER, priority=5)
    started = await running_run(database)

    async with database.sessions() as session:
        places = [
            await runs.queue_position(session, run.run_id) for run in (urgent, early, late, started)
        ]
    assert places == [1, 2, 3, None]


async def test_a_session_adds_its_legs_up(database: Database) -> None:
    async def leg(session_id: UUID | None = None, **fields: Any) -> Run:
        named = {} if session_id is None else {"session_id": session_id}
        run = await running_run(database, **named)
        async with database.sessions.begin() as session:
            return await runs.finish(
                session,
                run.run_id,
                attempt=1,
                stop_reason=StopReason.MAX_TURNS,
                now=LATER,
                **fields,
            )

    first = await leg(turns=30)
    async with database.sessions() as session:
        unknown = await runs.total_of_session(session, first.session_id)
    await leg(
        first.session_id,
        turns=5,
        cost_usd=Decimal("1.4468734"),
        cost_source=CostSource.REPORTED,
    )
    async with database.sessions() as session:
        reported = await runs.total_of_session(session, first.session_id)
    await leg(first.session_id, cost_usd=Decimal("0.1"), cost_source=CostSource.ESTIMATED)
    async with database.sessions() as session:
        mixed = await runs.total_of_session(session, first.session_id)

    assert (unknown.legs, unknown.turns, unknown.cost_usd, unknown.cost_source) == (
        1,
        30,
        None,
        None,
    )
    assert (reported.turns, reported.cost_usd) == (35, Decimal("1.4468734"))
    assert reported.cost_source is CostSource.REPORTED
    assert (mixed.legs, mixed.cost_source) == (3, CostSource.ESTIMATED)
