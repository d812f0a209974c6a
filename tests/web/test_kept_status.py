"""Statuses that are kept: at any time they are those of a server that keeps nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from core.domain.actor import Role
from core.domain.runs.run import Run, StopReason
from core.domain.runs.step import Step, StepStatus
from core.store import steps
from core.store.database.engine import Database
from core.store.runs import runs
from tests.api import CONSOLE, ApiHarness, Reply, open_api
from tests.database import NOW, running_run

FORMS = ("", "?enhanced=false", "?include_steps=false", "?debug=true", "?include_logs=true")
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
async def plain(database: Database) -> AsyncIterator[ApiHarness]:
    """A server on the same database that keeps nothing."""
    async with open_api(database, has_cache=False) as harness:
        yield harness


async def finish(database: Database, run: Run, reason: StopReason, *, is_saved: bool) -> None:
    async with database.sessions.begin() as session:
        await runs.finish(
            session,
            run.run_id,
            attempt=1,
            stop_reason=reason,
            now=NOW + timedelta(seconds=20),
            result="Done.",
            work_due_at=None if is_saved else LATER,
        )


async def write(database: Database, statement: str) -> None:
    async with database.sessions.begin() as session:
        await session.execute(text(statement))


@pytest.mark.parametrize("reason", [StopReason.SUCCESS, StopReason.KILLED, StopReason.BUDGET])
async def test_each_change_is_answered_at_once(
    api: ApiHarness, plain: ApiHarness, reason: StopReason
) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await running_run(api.database)
    path = f"{CONSOLE}/run/{run.run_id}/status"

    async def answers(api: ApiHarness) -> list[Reply]:
        return [await api.get(f"{path}{form}", token) for form in FORMS]

    async def is_as_without(marks: set[str]) -> None:
        # The first request finds what was kept before the change, the second what was kept since.
        first, second, fresh = await answers(api), await answers(api), await answers(plain)
        assert [one.status for one in first] == [200] * len(FORMS)
        assert [one.body for one in first] == [one.body for one in fresh]
        assert [one.text for one in second] == [one.text for one in fresh]
        assert [one.headers["ETag"] for one in second] == [one.headers["ETag"] for one in fresh]
        assert marks.isdisjoint(one.text for one in fresh)
        marks.update(one.text for one in fresh)

    await finish(api.database, run, reason, is_saved=False)
    seen: set[str] = set()
    await is_as_without(seen)
    async with api.database.sessions.begin() as session:
        done = Step(step_id=1, name="Read", status=StepStatus.COMPLETED, started_at=NOW)
        await steps.replace(session, run.id, [done])
        await runs.change(session, run.run_id, now=LATER, work_due_at=None, final_commit_hash="a")
    await is_as_without(seen)
    async with api.database.sessions.begin() as session:
        await runs.change(session, run.run_id, now=LATER, result="Done, really.")
    await is_as_without(seen)
    # What somebody does by hand raises no version.
    await write(api.database, "UPDATE workflow_runs SET error_message = 'By hand.'")
    await is_as_without(seen)


async def test_what_is_kept_needs_a_token_and_is_not_sent_twice(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await running_run(api.database)
    path = f"{CONSOLE}/run/{run.run_id}/status"
    await finish(api.database, run, StopReason.SUCCESS, is_saved=True)
    known = [await api.get(path, token) for _ in range(2)][1]

    mark = {"If-None-Match": known.headers["ETag"]}
    unchanged = await api.get(path, token, headers=mark)
    refused = [await api.get(path, other, headers=mark) for other in (None, "sbx_none")]

    assert (unchanged.status, unchanged.text) == (304, "")
    assert [one.status for one in refused] == [401, 401]


async def test_a_kept_run_that_is_deleted_is_not_found(api: ApiHarness) -> None:
    token = await api.token(role=Role.VIEWER)
    run = await running_run(api.database)
    path = f"{CONSOLE}/run/{run.run_id}/status"
    await finish(api.database, run, StopReason.SUCCESS, is_saved=True)
    await api.get(path, token)

    await write(api.database, "DELETE FROM workflow_runs")

    assert (await api.get(path, token)).status == 404
