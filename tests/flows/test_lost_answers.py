"""Commits whose answers are lost on the way: what was done is done, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.runs.event import EventKind
from core.domain.runs.run import RunStatus
from core.runner.execution.ledger import Ledger
from core.services.work import Work
from core.store import events
from core.store.database.engine import DatabaseUnavailable
from tests.unit.repositories import commit, git
from tests.workplace import Office, office

__all__ = ["office"]

# Rows that a transaction has written itself.
_OWN = "SELECT count(*) FROM {table} WHERE xmin = pg_current_xact_id()::xid"


@dataclass(frozen=True)
class Forgetful(Work):
    """A database whose answer to one commit is lost: the first that writes to a table."""

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


def forgetting(office: Office, table: str) -> tuple[Office, Forgetful]:
    work = Forgetful(office.workplace.database, office.workplace.work.clock, table)
    return replace(office, workplace=replace(office.workplace, work=work)), work


async def test_a_run_whose_beginning_was_not_heard_of_is_executed(office: Office) -> None:
    forgetful, work = forgetting(office, "workflow_processes")
    run = await office.start("Add rate limiting to the API")
    async with forgetful.worker():
        ended = (await office.ended(run)).run

    assert work.lost == ["workflow_processes"]
    assert ended.status is RunStatus.COMPLETED, ended.error_message
    assert ended.attempt == 1
    async with office.workplace.database.sessions() as session:
        told = await events.of_run(session, run.id, kinds=(EventKind.RUN_STARTED,))
    assert len(told) == 1


async def test_work_whose_storing_was_not_heard_of_is_carried(office: Office) -> None:
    forgetful, work = forgetting(office, "carried_work")
    run = await office.start("Add rate limiting to the API")
    async with forgetful.worker():
        seen = await office.ended(run)

    assert work.lost == ["carried_work"]
    assert seen.run.status is RunStatus.COMPLETED, seen.run.error_message
    async with office.workplace.database.sessions() as session:
        told = await events.of_run(session, run.id, kinds=(EventKind.WORK_CARRIED,))
    assert not [one for one in told if "failed" in one.data]


async def test_an_agent_is_heard_while_its_process_cannot_be_noted(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise DatabaseUnavailable("connection refused")

    monkeypatch.setattr(Ledger, "agent_ready", away)
    run = await office.start("[scenario: long] [turns: 40] [delay: 0.2s] work")
    async with office.worker():
        await office.until(run, lambda seen: seen.run.tool_calls >= 1)
    handed_over = (await office.look(run)).run

    assert handed_over.status is RunStatus.PENDING
    assert handed_over.tool_calls >= 1


async def test_a_repository_of_long_commit_names_can_be_worked_on(
    office: Office, tmp_path: Path
) -> None:
    path = tmp_path / "sha256"
    path.mkdir()
    git(path, "init", "-q", "--object-format=sha256")
    commit(path, "app.py", "print('hello')\n", "Begin")
    async with office.worker():
        run = await office.start("Add rate limiting to the API", repo=str(path))
        ended = (await office.ended(run)).run

    assert ended.status is RunStatus.COMPLETED, ended.error_message
    assert len(ended.final_commit_hash or "") == 64
