"""With many runs: every filter of the list and the status are served by indexes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pydantic_core import to_json
from sqlalchemy import Select

from benchmarks.seed.load import NotEmpty, new_database, seed
from benchmarks.seed.plans import END, SESSION, USER, repository_address, run_id, uuid_hex
from bot.web.api.run_status import RunStatuses
from bot.web.api.status_answer import StatusAnswer, StatusQuery, status_fields
from bot.web.api.values import RunPath
from bot.web.route import Call, CheckedAnswer, NoParameters
from core.domain.actor import Actor, Origin, Role
from core.domain.paging import COUNT_LIMIT, PageKey
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.search import RunSearch
from core.services.context import ServiceContext
from core.services.runs.enrichment import EVENTS
from core.services.runs.recent_runs import CacheLimits, RecentRuns
from core.services.runs.status import StatusService
from core.store.database import migrate
from core.store.database.engine import Database, open_database
from core.store.runs import listing, status_read

RUNS = 10_000
OWNER = UUID(uuid_hex(1, USER, 3))
PERSON = Actor(role=Role.VIEWER, origin=Origin.API, name="ann")
SEARCHES = {
    "everything": RunSearch(),
    "one status": RunSearch(statuses=frozenset({RunStatus.COMPLETED})),
    "two statuses": RunSearch(statuses=frozenset({RunStatus.FAILED, RunStatus.KILLED})),
    "live": RunSearch(statuses=frozenset({RunStatus.PENDING, RunStatus.RUNNING})),
    "workflow": RunSearch(workflow="architect"),
    "session": RunSearch(session_id=UUID(uuid_hex(1, SESSION, 77))),
    "mine": RunSearch(is_mine=True),
    "repository": RunSearch(repository=repository_address(40)),
    "branch": RunSearch(branch="main"),
    "stop reason": RunSearch(stop_reason=StopReason.BUDGET),
    "outcome": RunSearch(outcome=Outcome.ATTENTION),
    "since": RunSearch(since=END - timedelta(days=9)),
    "until": RunSearch(until=END - timedelta(days=700)),
    "several": RunSearch(
        statuses=frozenset({RunStatus.COMPLETED}), workflow="fix", outcome=Outcome.ATTENTION
    ),
}


class _NoChanges:
    async def wait_for_change(self, run: Run, *, by: Actor, seconds: float) -> None:
        raise AssertionError("no request here waits")


@pytest.fixture(scope="module")
def seeded_dsn(postgres_dsn: str) -> Iterator[str]:
    """A database with many runs beside the one of the other tests."""

    async def make() -> str:
        dsn = await new_database(postgres_dsn, "many_runs")
        await asyncio.to_thread(migrate.upgrade, dsn)
        await seed(dsn, runs=RUNS, report=lambda _: None)
        return dsn

    async def drop() -> None:
        connection = await asyncpg.connect(postgres_dsn, timeout=10)
        await connection.execute("DROP DATABASE many_runs WITH (FORCE)")
        await connection.close(timeout=5)

    with ThreadPoolExecutor(1) as thread:  # a thread without an event loop
        try:
            yield thread.submit(asyncio.run, make()).result()
        finally:
            thread.submit(asyncio.run, drop()).result()


@pytest.fixture
async def many(seeded_dsn: str) -> AsyncIterator[Database]:
    """The database with many runs."""
    async with open_database(seeded_dsn, pool_size=2) as opened:
        yield opened


async def scans(database: Database, statement: str, *arguments: Any) -> set[tuple[str, str]]:
    """Kind and table of each node of the statement's plan that reads a table."""
    connection = await asyncpg.connect(database.dsn, timeout=10)
    try:
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
    finally:
        await connection.close(timeout=5)
    found, pending = set(), [json.loads(plan)[0]["Plan"]]
    while pending:
        node = pending.pop()
        pending += node.get("Plans", [])
        if "Relation Name" in node:
            found.add((node["Node Type"], node["Relation Name"]))
    return found


async def scans_of(database: Database, query: Select[Any]) -> set[tuple[str, str]]:
    compiled = query.compile(
        dialect=database.engine.dialect, compile_kwargs={"render_postcompile": True}
    )
    assert compiled.positiontup is not None
    arguments = [compiled.params[name] for name in compiled.positiontup]
    return await scans(database, str(compiled), *arguments)


@pytest.mark.parametrize("name", SEARCHES)
async def test_a_filter_of_the_list_is_served_by_an_index(many: Database, name: str) -> None:
    search = SEARCHES[name]
    after = PageKey(at=END - timedelta(days=300), id=OWNER)

    for query in (
        listing.page_query(search, OWNER, None, 51),
        listing.page_query(search, OWNER, after, 51),
        listing.count_query(search, OWNER, COUNT_LIMIT + 1),
    ):
        found = await scans_of(many, query)
        assert found
        assert "Seq Scan" not in {kind for kind, _ in found}, (name, found)


async def test_runs_without_an_owner_are_found_by_an_index(many: Database) -> None:
    found = await scans_of(many, listing.page_query(RunSearch(is_mine=True), None, None, 51))

    assert "Seq Scan" not in {kind for kind, _ in found}


def test_the_list_covers_every_filter() -> None:
    used = {
        field.name
        for search in SEARCHES.values()
        for field in fields(RunSearch)
        if getattr(search, field.name) != getattr(RunSearch(), field.name)
    }

    assert used == {field.name for field in fields(RunSearch)}


async def test_a_status_is_read_by_indexes(many: Database) -> None:
    found = await scans(many, status_read.statement_for(EVENTS), run_id(1, 5))

    assert {table for _, table in found} == {"workflow_runs", "workflow_steps", "run_events"}
    assert {kind for kind, _ in found} <= {"Index Scan", "Bitmap Heap Scan"}, found


async def test_what_is_written_unchecked_is_what_the_model_of_the_answer_writes(
    many: Database,
) -> None:
    now = END + timedelta(hours=1)
    context = ServiceContext(many, lambda: now)
    service = StatusService(context, RecentRuns(CacheLimits(is_on=False)))
    live = range(RUNS - 8, RUNS)
    for number in [*range(0, 300, 3), *live]:
        for query in (StatusQuery(), StatusQuery(include_steps=False, enhanced=number % 2 == 0)):
            report = await service.status(run_id(1, number), by=PERSON, is_enhanced=query.enhanced)
            answered = status_fields(report, query, now=now)

            checked = StatusAnswer(**answered)

            assert checked.model_dump_json(exclude_unset=True) == to_json(answered).decode()
            by_parts = await service.status(
                run_id(1, number)[:14], by=PERSON, is_enhanced=query.enhanced
            )
            assert report == by_parts


async def test_kept_answers_are_the_ones_without_a_cache(many: Database) -> None:
    context = ServiceContext(many, lambda: END + timedelta(hours=1))
    keeping, plain = [
        StatusService(context, RecentRuns(CacheLimits(is_on=is_on))) for is_on in (True, False)
    ]
    queries = [
        StatusQuery(enhanced=enhanced, include_steps=steps, include_logs=logs)
        for enhanced, steps, logs in ((True, True, False), (True, False, False),
                                      (False, True, False), (True, True, True))
    ]  # fmt: skip

    async def answer(service: StatusService, number: int, query: StatusQuery) -> CheckedAnswer:
        routes = RunStatuses(service, _NoChanges(), context.clock)
        path = RunPath(run_id=run_id(1, number))
        return await routes.status(
            Call(actor=PERSON, path=path, query=query, body=NoParameters(), request_key="")
        )

    for number in [*range(120), *range(RUNS - 8, RUNS)]:
        for query in queries:
            fresh = await answer(plain, number, query)
            first, second = [await answer(keeping, number, query) for _ in range(2)]
            assert first == second == fresh

    assert keeping.cache.used_bytes > 300 * 1_000
    assert plain.cache.used_bytes == 0


async def test_seeding_deletes_no_runs(many: Database) -> None:
    with pytest.raises(NotEmpty):
        await seed(many.dsn, runs=10)

    async with many.sessions() as session:
        assert await listing.count(session, SEARCHES["session"], user_id=None, at_most=10) >= 1
