"""Runs as rows: storing, changing, merging and refusing."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from core.domain.runs.errors import RunNotFound, SessionBusy
from core.domain.runs.run import RunStatus, StopReason
from core.store.database.engine import Database
from core.store.runs import run_queries, runs
from core.store.sessions import sessions
from tests.database import NOW, new_run, new_session, running_run, stored_run
from tests.db.run_fields import FIELDS, LATER

pytestmark = pytest.mark.any_speed


async def test_a_run_is_read_as_it_was_added(database: Database) -> None:
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
        assert await run_queries.get(session, run.run_id) == run
        assert await run_queries.get_by_uuid(session, run.id) == run
        assert await run_queries.find_by_request(session, "trigger-1") == run


async def test_every_field_that_can_change_changes(database: Database) -> None:
    before = await stored_run(database)

    async with database.sessions.begin() as session:
        after = await runs.change(session, before.run_id, now=LATER, **FIELDS)

    expected = replace(before, **FIELDS, updated_at=LATER, version=before.version + 1)
    assert after == expected
    async with database.sessions() as session:
        assert await run_queries.get(session, before.run_id) == expected


async def test_a_status_is_not_a_field_to_change(database: Database) -> None:
    run = await stored_run(database)

    async with database.sessions() as session:
        with pytest.raises(TypeError, match="status"):
            await runs.change(  # type: ignore[call-arg]
                session, run.run_id, now=NOW, status=RunStatus.KILLED
            )


async def test_metadata_is_merged(database: Database) -> None:
    run = await stored_run(database, metadata={"kept": 1, "replaced": 1})

    async with database.sessions.begin() as session:
        await runs.merge_metadata(session, run.run_id, {"replaced": 2}, now=NOW)
        after = await runs.change(session, run.run_id, now=NOW, metadata={"new": {"a": None}})

    assert after.metadata == {"kept": 1, "replaced": 2, "new": {"a": None}}


async def test_a_busy_session_refuses_and_the_transaction_continues(database: Database) -> None:
    live = await stored_run(database)

    async with database.sessions.begin() as session:
        with pytest.raises(SessionBusy) as refused:
            await runs.add(session, new_run(live.session_id))
        elsewhere = new_session()
        await sessions.add(session, elsewhere)

    assert refused.value.live_run_id == live.run_id
    async with database.sessions() as session:
        assert await sessions.get(session, elsewhere.id) == elsewhere
        assert await run_queries.live_of_session(session, live.session_id) == live


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
        legs = await run_queries.legs_of_session(session, first.session_id)
        thread = await run_queries.of_thread(session, first.run_id)
    assert [leg.run_id for leg in legs] == [first.run_id, second.run_id]
    assert thread == legs


async def test_a_new_run_of_a_thread_has_a_version_above_all_shown_ones(database: Database) -> None:
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


async def test_an_unknown_run_raises_not_found(database: Database) -> None:
    async with database.sessions() as session:
        with pytest.raises(RunNotFound):
            await runs.change(session, "run_nope", now=NOW, attempt=1, turns=1)
        with pytest.raises(RunNotFound):
            await runs.request_kill(session, "run_nope", now=NOW)
        with pytest.raises(RunNotFound):
            await run_queries.get_by_uuid(session, uuid4())
