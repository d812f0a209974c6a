"""Signs of life are in the row at once, but nothing is drawn or streamed because of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from core.domain.runs.activity.awaited import AWAITED_KEY, Awaited, AwaitedKind
from core.domain.runs.errors import RunNotFound, StaleAttempt
from core.domain.runs.run import StopReason
from core.store.database.engine import Database
from core.store.runs import run_queries, runs, signs_of_life
from core.store.tables.feed import ChangeRow
from tests.database import NOW, running_run

HEARD = NOW + timedelta(minutes=1)
AWAITED = Awaited(
    kind=AwaitedKind.TOOL,
    since=HEARD,
    heard_at=HEARD,
    name="Bash: make test",
    output_at=HEARD + timedelta(minutes=2),
    busy_at=HEARD + timedelta(minutes=3),
    watched_since=HEARD + timedelta(seconds=30),
    is_output_known=True,
    expected_at=HEARD + timedelta(minutes=4),
)


async def changes_count(database: Database) -> int:
    async with database.sessions() as session:
        return await session.scalar(select(func.count()).select_from(ChangeRow)) or 0


async def record(database: Database, run_id: str, *, attempt: int = 1) -> None:
    async with database.sessions.begin() as session:
        await signs_of_life.record(
            session, run_id, attempt=attempt, metadata={AWAITED_KEY: AWAITED.to_json()}
        )


async def test_a_sign_is_stored_without_a_new_version(database: Database) -> None:
    run = await running_run(database)
    before = await changes_count(database)

    await record(database, run.run_id)

    async with database.sessions() as session:
        stored = await run_queries.get(session, run.run_id)
    assert Awaited.of_run(stored) == AWAITED
    assert (stored.version, stored.updated_at) == (run.version, run.updated_at)
    assert await changes_count(database) == before


async def test_a_sign_of_an_attempt_that_is_over_is_refused(database: Database) -> None:
    run = await running_run(database)

    with pytest.raises(StaleAttempt):
        await record(database, run.run_id, attempt=2)
    with pytest.raises(RunNotFound):
        await record(database, "run_000000000000")
    async with database.sessions.begin() as session:
        await runs.finish(session, run.run_id, attempt=1, stop_reason=StopReason.SUCCESS, now=HEARD)
    with pytest.raises(StaleAttempt):
        await record(database, run.run_id)
