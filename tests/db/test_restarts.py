"""Restarts as rows: the point, the preview, and that one run is started."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from core.domain.actor import Action
from core.domain.runs.checkpoint import CheckpointNotFound, NotStored
from core.domain.runs.restarts.errors import RunStillLive
from core.domain.runs.restarts.origin import RestartOrigin
from core.domain.runs.restarts.request import RestartMode
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.session import MessageType
from core.services.context import NotAllowed
from core.store.database.engine import Database
from core.store.runs import run_queries, runs
from core.store.sessions import messages, sessions, transcript_forks
from core.store.sessions.transcripts import Transcripts
from core.store.tables.audit import AuditRow
from tests.database import NOW, running_run
from tests.db.test_continuations import runner
from tests.restart_rows import (
    ENTRY,
    OPERATOR,
    PLACE,
    ended,
    preview,
    request,
    restart,
    service,
    with_checkpoint,
)


async def test_a_restart_from_the_start_says_the_first_task_in_a_new_session(
    database: Database,
) -> None:
    old = await ended(database, initial_commit_hash="a" * 40)

    started = await restart(database, old)

    new = started.run
    assert (started.is_new, started.continued) == (True, old.run_id)
    assert new.session_id != old.session_id
    assert new.task_input == old.task_input
    assert (new.parent_run_id, new.restarted_from_checkpoint_id) == (old.id, None)
    assert RestartOrigin.of(new) == RestartOrigin(run_id=old.run_id, base_commit="a" * 40)
    assert new.thread_key == new.run_id
    assert new.slack_channel_id == (old.slack_channel_id or PLACE.channel_id)
    async with database.sessions() as session:
        (said,) = await messages.of_session(session, new.session_id)
        conversation = await sessions.get(session, new.session_id)
    assert (said.text_content, said.message_type) == (old.task_input, MessageType.WORKFLOW_START)
    assert conversation.workspace_id == new.workspace_id != old.workspace_id


async def test_a_restart_from_a_checkpoint_keeps_where_it_comes_from(database: Database) -> None:
    old = await ended(database)
    checkpoint = await with_checkpoint(database, old)

    new = (await restart(database, old, checkpoint=1, message="Try again.")).run

    assert new.restarted_from_checkpoint_id == checkpoint.id
    origin = RestartOrigin.of(new)
    assert origin is not None
    assert (origin.checkpoint, origin.message_uuid) == (1, str(ENTRY))
    async with database.sessions() as session:
        (said,) = await messages.of_session(session, new.session_id)
        (entry,) = (
            await session.scalars(select(AuditRow).where(AuditRow.action == Action.RESTART))
        ).all()
    assert (said.text_content, said.message_type) == ("Try again.", MessageType.INTERVENTION)
    assert entry.allowed
    assert (entry.details["of"], entry.details["checkpoint"]) == (old.run_id, 1)


async def test_a_preview_tells_what_came_after_the_checkpoint(database: Database) -> None:
    old = await ended(database)
    await with_checkpoint(database, old)

    found = await preview(database, old, checkpoint=1)

    gone = found.discarded
    assert found.blocking == ()
    assert [step.name for step in gone.steps] == ["Step 2", "Step 3"]
    assert [commit.subject for commit in gone.commits] == ["Later"]
    assert (gone.spent_usd, gone.total_usd) == (Decimal("0.20"), Decimal("0.30"))
    assert [one.number for one in found.checkpoints] == [1]
    async with database.sessions() as session:
        assert len(await run_queries.legs_of_session(session, old.session_id)) == 1


async def test_a_live_run_is_refused(database: Database) -> None:
    run = await running_run(database)

    with pytest.raises(RunStillLive):
        await restart(database, run)


async def test_an_unknown_checkpoint_is_refused(database: Database) -> None:
    with pytest.raises(CheckpointNotFound):
        await restart(database, await ended(database), checkpoint=7)


async def test_somebody_elses_run_needs_an_operator(database: Database) -> None:
    old = await ended(database)
    ben = await runner(database, "Ben")

    with pytest.raises(NotAllowed):
        await service(database).preview(request(old), by=ben)


async def test_a_repeated_request_starts_one_run(database: Database) -> None:
    old = await ended(database)
    wanted = request(old)
    restarts = service(database)

    first, second = await asyncio.gather(
        restarts.restart(wanted, by=OPERATOR, place=PLACE),
        restarts.restart(wanted, by=OPERATOR, place=PLACE),
    )

    assert first.run.id == second.run.id
    assert [first.is_new, second.is_new].count(True) == 1


async def test_a_second_click_finds_the_live_restart_and_a_message_starts_another(
    database: Database,
) -> None:
    old = await ended(database)
    await with_checkpoint(database, old)

    first = await restart(database, old, checkpoint=1)
    again = await restart(database, old, checkpoint=1)
    other_point = await restart(database, old)
    with_message = await restart(database, old, checkpoint=1, message="Otherwise.")

    assert (again.is_new, again.run.id) == (False, first.run.id)
    assert other_point.is_new
    assert with_message.is_new
    assert len({first.run.id, other_point.run.id, with_message.run.id}) == 3


async def test_files_alone_go_back_in_the_next_run_of_the_session(database: Database) -> None:
    old = await ended(database)
    checkpoint = await with_checkpoint(database, old, not_stored=NotStored.TOO_LARGE)
    wanted = request(old, checkpoint=1, mode=RestartMode.FILES)
    restarts = service(database)

    started = await restarts.restart(wanted, by=OPERATOR, place=PLACE)
    again = await restarts.restart(wanted, by=OPERATOR, place=PLACE)

    new = started.run
    assert (new.session_id, new.parent_run_id) == (old.session_id, old.id)
    assert new.restarted_from_checkpoint_id == checkpoint.id
    origin = RestartOrigin.of(new)
    assert origin is not None
    assert not origin.is_fork
    assert "put back to an earlier state" in new.task_input
    assert (again.is_new, again.run.id) == (False, new.id)


async def test_a_restart_of_a_restart_begins_with_the_first_run_of_all(
    database: Database,
) -> None:
    old = await ended(database, initial_commit_hash="a" * 40)
    await with_checkpoint(database, old)
    fork = (await restart(database, old, checkpoint=1)).run
    async with database.sessions.begin() as session:
        await runs.begin(session, fork.run_id, attempt=1, worker_id="w1", now=NOW)
        await runs.finish(session, fork.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=NOW)

    again = (await restart(database, fork)).run
    at_checkpoint = (await restart(database, fork, checkpoint=1)).run

    assert again.task_input == old.task_input
    assert RestartOrigin.of(again) == RestartOrigin(run_id=old.run_id, base_commit="a" * 40)
    assert again.parent_run_id == fork.id
    origin = RestartOrigin.of(at_checkpoint)
    assert origin is not None
    assert (origin.run_id, origin.session_id) == (old.run_id, str(old.session_id))
    assert at_checkpoint.status is RunStatus.PENDING


async def lines(database: Database, session_id: UUID) -> list[str]:
    async with database.sessions() as session:
        return list(await transcript_forks.lines_of(session, session_id))


async def test_a_fork_has_the_conversation_up_to_the_entry_once(database: Database) -> None:
    old, target = await ended(database), uuid4()

    for _ in range(2):
        async with database.sessions.begin() as session:
            assert await transcript_forks.fork(
                session, source=old.session_id, target=target, up_to=ENTRY
            )

    forked = await Transcripts(database).load({"project_key": "other", "session_id": str(target)})
    assert forked is not None
    assert [entry["uuid"] for entry in forked] == [str(old.id), str(ENTRY)]
    assert {entry["sessionId"] for entry in forked} == {str(target)}
    assert forked[1]["forkedFrom"] == {
        "sessionId": str(old.session_id),
        "messageUuid": str(ENTRY),
    }
    assert len(await lines(database, old.session_id)) == 4


async def test_a_fork_at_an_entry_that_is_gone_writes_nothing(database: Database) -> None:
    old, target = await ended(database), uuid4()

    async with database.sessions.begin() as session:
        assert not await transcript_forks.fork(
            session, source=old.session_id, target=target, up_to=uuid4()
        )

    assert await lines(database, target) == []
