"""Queries for runs: by name, by filter, in the queue, in their session."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from core.domain.runs.errors import AmbiguousRun, RunNotFound
from core.domain.runs.request import RunFilter
from core.domain.runs.run import CostSource, Run, StopReason
from core.domain.sessions.ledger import EntrySource
from core.store import users
from core.store.database.engine import Database
from core.store.fleet import pending
from core.store.runs import run_queries, runs
from tests.database import NOW, running_run, stored_run
from tests.db.run_fields import LATER
from tests.ledger_rows import spent


@pytest.mark.parametrize(
    "named", ["run_abc000000000", "abc000000000", " RUN_ABC00 ", "abc000", "ab"]
)
async def test_a_run_is_found_by_a_prefix_of_its_id(database: Database, named: str) -> None:
    run = await stored_run(database, run_id="run_abc000000000")
    await stored_run(database, run_id="run_bbc000000000")

    async with database.sessions() as session:
        assert await run_queries.resolve(session, named) == run


@pytest.mark.parametrize("named", ["", "run_", "_", "%", "run", "abd", "a\x00b", "a_c", "ab\\"])
async def test_a_prefix_of_no_id_finds_nothing(database: Database, named: str) -> None:
    await stored_run(database, run_id="run_abc000000000")

    async with database.sessions() as session:
        with pytest.raises(RunNotFound):
            await run_queries.resolve(session, named)


async def test_several_matches_are_named(database: Database) -> None:
    for number in (1, 2):
        await stored_run(database, run_id=f"run_abc{number}")
    exact = await stored_run(database, run_id="run_abc")

    async with database.sessions() as session:
        with pytest.raises(AmbiguousRun) as refused:
            await run_queries.resolve(session, "ab")
        assert await run_queries.resolve(session, "abc") == exact
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
            listed = await run_queries.recent(session, wanted, user_id=ana.id, limit=limit)
            return [run.run_id for run in listed]

        assert await found(RunFilter()) == [failed.run_id, live.run_id]
        assert await found(RunFilter(), limit=1) == [failed.run_id]
        assert await found(RunFilter(mine=True)) == [live.run_id]
        assert await found(RunFilter(live=True)) == [live.run_id]
        assert await found(RunFilter(failed=True)) == [failed.run_id]
        assert await found(RunFilter(workflow="review")) == [live.run_id]
        nobodys = await run_queries.recent(session, RunFilter(mine=True), user_id=None)
        assert [run.run_id for run in nobodys] == [failed.run_id]


async def test_the_queue_is_ordered_by_priority_then_age(database: Database) -> None:
    late = await stored_run(database, created_at=LATER)
    early = await stored_run(database)
    urgent = await stored_run(database, created_at=LATER, priority=5)
    started = await running_run(database)

    async with database.sessions() as session:
        places = [
            await pending.queue_position(session, run.run_id)
            for run in (urgent, early, late, started)
        ]
    assert places == [1, 2, 3, None]


async def test_a_session_has_the_totals_of_its_runs(database: Database) -> None:
    async def run_of(session_id: UUID | None = None, **fields: Any) -> Run:
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

    first = await run_of(turns=30)
    async with database.sessions() as session:
        unknown = (await run_queries.totals_of_sessions(session, [first.session_id]))[
            first.session_id
        ]
    second = await run_of(first.session_id, turns=5)
    await spent(database, second, "1.4468734")
    async with database.sessions() as session:
        reported = (await run_queries.totals_of_sessions(session, [first.session_id]))[
            first.session_id
        ]
    await spent(database, await run_of(first.session_id), "0.1", EntrySource.ESTIMATED)
    async with database.sessions() as session:
        mixed = (await run_queries.totals_of_sessions(session, [first.session_id]))[
            first.session_id
        ]

    assert (unknown.legs, unknown.turns, unknown.cost_usd, unknown.cost_source) == (
        1,
        30,
        None,
        None,
    )
    assert (reported.turns, reported.cost_usd) == (35, Decimal("1.4468734"))
    assert reported.cost_source is CostSource.REPORTED
    assert (mixed.legs, mixed.cost_source) == (3, CostSource.ESTIMATED)
