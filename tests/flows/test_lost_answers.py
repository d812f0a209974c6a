"""Commits whose answers are lost: their effects happen exactly once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.event import EventKind
from core.domain.runs.run import RunStatus
from core.services.context import ServiceContext
from core.store import events
from core.store.database.engine import DatabaseUnavailable
from tests.core_harness import CoreHarness, core_harness
from tests.lasting import LASTING, MANY_TURNS, LastingWork
from tests.unit.repositories import commit, git

__all__ = ["core_harness"]

# Rows that the transaction itself has written.
_OWN = "SELECT count(*) FROM {table} WHERE xmin = pg_current_xact_id()::xid"

_OWN_AGENTS = _OWN.format(table="workflow_processes") + " AND agent_pid IS NOT NULL"


@dataclass(frozen=True)
class LostCommitWork(ServiceContext):
    """A database that loses the answer to one commit: the first that writes to a table."""

    table: str = ""
    lost: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        is_it = False
        async with super().transaction() as session:
            yield session
            if not self.lost:
                is_it = bool(await session.scalar(text(_OWN.format(table=self.table))))
        if is_it:
            self.lost.append(self.table)
            raise DatabaseUnavailable("connection was closed in the middle of operation")


class AgentsNotRecorded(ServiceContext):
    """A database that cannot be reached whenever an agent's process is to be recorded."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        async with super().transaction() as session:
            yield session
            if await session.scalar(text(_OWN_AGENTS)):
                raise DatabaseUnavailable("connection refused")


def with_lost_commit(core_harness: CoreHarness, table: str) -> tuple[CoreHarness, LostCommitWork]:
    work = LostCommitWork(core_harness.backend.database, core_harness.backend.context.clock, table)
    return replace(core_harness, backend=replace(core_harness.backend, context=work)), work


async def test_a_run_is_executed_although_the_answer_to_its_start_was_lost(
    core_harness: CoreHarness,
) -> None:
    forgetful, work = with_lost_commit(core_harness, "workflow_processes")
    run = await core_harness.start("Add rate limiting to the API")
    async with forgetful.worker():
        ended = (await core_harness.wait_until_ended(run)).run

    assert work.lost == ["workflow_processes"]
    assert ended.status is RunStatus.COMPLETED, ended.error_message
    assert ended.attempt == 1
    async with core_harness.backend.database.sessions() as session:
        events_found = await events.of_run(session, run.id, kinds=(EventKind.RUN_STARTED,))
    assert len(events_found) == 1


async def test_work_is_carried_although_the_answer_to_its_commit_was_lost(
    core_harness: CoreHarness,
) -> None:
    forgetful, work = with_lost_commit(core_harness, "carried_work")
    run = await core_harness.start("Add rate limiting to the API")
    async with forgetful.worker():
        seen = await core_harness.wait_until_ended(run)

    assert work.lost == ["carried_work"]
    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    async with core_harness.backend.database.sessions() as session:
        events_found = await events.of_run(session, run.id, kinds=(EventKind.WORK_CARRIED,))
    assert not [one for one in events_found if "failed" in one.data]


async def test_an_agents_events_are_read_while_its_process_cannot_be_recorded(
    core_harness: CoreHarness,
) -> None:
    context = core_harness.backend.context
    refusing = AgentsNotRecorded(core_harness.backend.database, context.clock)
    refused = replace(core_harness, backend=replace(core_harness.backend, context=refusing))
    LastingWork(core_harness.model)
    run = await core_harness.start(LASTING, max_turns=MANY_TURNS)
    async with refused.worker():
        await core_harness.wait_until(run, lambda seen: seen.run.tool_calls >= 1)
    run_with_workspace_on = (await core_harness.read_run(run)).run

    assert run_with_workspace_on.status is RunStatus.PENDING
    assert run_with_workspace_on.tool_calls >= 1


async def test_a_repository_with_long_commit_names_can_be_used(
    core_harness: CoreHarness, tmp_path: Path
) -> None:
    path = tmp_path / "sha256"
    path.mkdir()
    git(path, "init", "-q", "--object-format=sha256")
    commit(path, "app.py", "print('hello')\n", "Begin")
    async with core_harness.worker():
        run = await core_harness.start("Add rate limiting to the API", repo=str(path))
        ended = (await core_harness.wait_until_ended(run)).run

    assert ended.status is RunStatus.COMPLETED, ended.error_message
    assert len(ended.final_commit_hash or "") == 64
