"""With many runs: every filter of the list and the status are served by indexes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import fields
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from pydantic_core import to_json
from sqlalchemy import Select, text

from benchmarks.seed.load import Connection, NotEmpty, new_database, seed
from benchmarks.seed.plans import END, SESSION, USER, repository_address, run_id, uuid_hex
from bot.web.api.statuses.keeping import BATCH, AnswerKeeping
from bot.web.api.statuses.run_status import USUAL_QUERY, RunStatuses, form_of
from bot.web.api.statuses.status_answer import StatusAnswer, StatusQuery, status_fields
from bot.web.api.values import RunPath
from bot.web.route import Call, CheckedAnswer, NoParameters
from core.domain.actor import Actor, Origin, Role
from core.domain.paging import COUNT_LIMIT, PageKey
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.search import RunSearch
from core.services.context import ServiceContext
from core.services.runs.enrichment import EVENTS
from core.services.runs.recent_runs import CacheLimits, KeptAnswer, RecentRuns
from core.services.runs.status import StatusService
from core.store.analytics.facts import FACTS
from core.store.database import migrate
from core.store.database.engine import Database, open_database
from core.store.partitions import partitions
from core.store.partitions.tables import EVENTS as EVENTS_TABLE
from core.store.partitions.tables import is_partition
from core.store.runs import listing, status_answers, status_read

RUNS = 10_000
OWNER = UUID(uuid_hex(1, USER, 3))
WHOSE = listing.Whose(asker=OWNER, owners=[OWNER])
PERSON = Actor(role=Role.VIEWER, origin=Origin.API, name="ann")
SEARCHES = {
    "everything": RunSearch(),
    "one status": RunSearch(statuses=frozenset({RunStatus.COMPLETED})),
    "two statuses": RunSearch(statuses=frozenset({RunStatus.FAILED, RunStatus.KILLED})),
    "live": RunSearch(statuses=frozenset({RunStatus.PENDING, RunStatus.RUNNING})),
    "workflow": RunSearch(workflow="architect"),
    "session": RunSearch(session_id=UUID(uuid_hex(1, SESSION, 77))),
    "mine": RunSearch(is_mine=True),
    "waiting": RunSearch(is_waiting=True),
    "owner": RunSearch(owner="ann"),
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
        await seed(dsn, runs=RUNS, report=lambda _: None, has_answers=False)
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


@asynccontextmanager
async def rolled_back(connection: Connection) -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def scans(database: Database, statement: str, *arguments: Any) -> set[tuple[str, str]]:
    connection = await asyncpg.connect(database.dsn, timeout=10)
    try:
        return await scans_over(connection, statement, *arguments)
    finally:
        await connection.close(timeout=5)


async def scans_over(
    connection: Connection, statement: str, *arguments: Any
) -> set[tuple[str, str]]:
    """Kind and table of each node of the statement's plan that reads a table."""
    plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *arguments)
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
        listing.page_query(search, WHOSE, None, 51),
        listing.page_query(search, WHOSE, after, 51),
        listing.count_query(search, WHOSE, COUNT_LIMIT + 1),
    ):
        found = await scans_of(many, query)
        assert found
        assert "Seq Scan" not in {kind for kind, _ in found}, (name, found)


async def test_runs_without_an_owner_are_found_by_an_index(many: Database) -> None:
    found = await scans_of(
        many, listing.page_query(RunSearch(is_mine=True), listing.Whose(), None, 51)
    )

    assert "Seq Scan" not in {kind for kind, _ in found}


def test_the_list_covers_every_filter() -> None:
    used = {
        field.name
        for search in SEARCHES.values()
        for field in fields(RunSearch)
        if getattr(search, field.name) != getattr(RunSearch(), field.name)
    }

    # A text is served by none: it is looked for in a part of the list that has a limit.
    assert used == {field.name for field in fields(RunSearch)} - {"text", "text_window"}


async def test_a_status_is_read_by_indexes(many: Database) -> None:
    found = await scans(many, status_read.statement_for(EVENTS), run_id(1, 5))

    read = {EVENTS_TABLE.name if is_partition(table) else table for _, table in found}
    assert read == {"workflow_runs", "workflow_steps", "run_events"}
    assert {kind for kind, _ in found} <= {"Index Scan", "Bitmap Heap Scan"}, found


async def test_a_status_leaves_out_the_months_before_its_run(many: Database) -> None:
    async with many.sessions() as session:
        newest = await session.scalar(
            text("SELECT run_id FROM workflow_runs ORDER BY created_at DESC LIMIT 1")
        )
        months = await partitions.list_partitions(session, EVENTS_TABLE)
    connection = await asyncpg.connect(many.dsn, timeout=10)
    try:
        plan = await connection.fetch(
            f"EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) {status_read.statement_for(EVENTS)}",
            newest,
        )
    finally:
        await connection.close(timeout=5)

    looked_at = [
        row[0] for row in plan if " on run_events_" in row[0] and "never executed" not in row[0]
    ]
    assert len(months) > 20
    assert 0 < len(looked_at) < 8, "\n".join(row[0] for row in plan)


async def test_days_of_the_history_are_computed_by_indexes(many: Database) -> None:
    """Also of many days at once, as after a migration."""
    days = [END.date() - timedelta(days=number) for number in range(100)]

    found = await scans(many, FACTS.replace("CAST(:days AS date[])", "$1::date[]"), days)

    assert {table for _, table in found} == {"workflow_runs", "terminations", "ledger_entries"}
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
    await keeping.answers.close()


async def test_stored_answers_are_the_ones_that_are_made(many: Database) -> None:
    context = ServiceContext(many, lambda: END + timedelta(hours=1))
    plain = StatusService(context, RecentRuns(CacheLimits(is_on=False)))
    keeping = StatusService(context)
    chosen = [run_id(1, number) for number in [*range(0, 300, 3), *range(RUNS - 8, RUNS)]]
    await AnswerKeeping(keeping, context.clock).keep(chosen)
    await keeping.answers.close()
    other, form = StatusService(context), form_of(USUAL_QUERY)

    found = {one: await other.kept(one, form, by=PERSON) for one in chosen}

    for one, stored in found.items():
        report = await plain.status(one, by=PERSON)
        made = to_json(status_fields(report, USUAL_QUERY, now=context.clock()))
        assert stored is None if report.run.is_live else stored and stored.written == made
    assert {type(one) for one in found.values()} == {type(None), KeptAnswer}


async def test_answers_for_all_earlier_runs_are_made_in_parts(many: Database) -> None:
    context = ServiceContext(many, lambda: END + timedelta(hours=1))
    statuses = StatusService(context)
    keeping = AnswerKeeping(statuses, context.clock)

    kept = [await keeping.keep_due() for _ in range(3)]

    assert all(0 < count <= 2 * BATCH for count in kept)
    async with many.sessions() as session:
        stored = await session.scalar(text("SELECT count(*) FROM status_answers"))
    assert stored is not None
    assert stored >= sum(kept)
    await statuses.answers.close()


async def test_a_stored_answer_is_read_by_indexes(many: Database) -> None:
    # In a transaction that is rolled back: the other tests count what they store themselves.
    connection = await asyncpg.connect(many.dsn, timeout=10)
    try:
        async with rolled_back(connection):
            await connection.execute("""
                INSERT INTO status_answers (run_id, version, written_by, edition, etag, answer)
                SELECT id, version, xmin::text::bigint, 'edition', 'etag', '{}' FROM workflow_runs
                ON CONFLICT DO NOTHING
            """)
            await connection.execute("ANALYZE status_answers")
            found = await scans_over(connection, status_answers.READ, run_id(1, 5), "edition")
    finally:
        await connection.close(timeout=5)

    assert {table for _, table in found} == {"workflow_runs", "status_answers"}
    assert {kind for kind, _ in found} <= {"Index Scan", "Bitmap Heap Scan"}, found


async def test_seeding_deletes_no_runs(many: Database) -> None:
    with pytest.raises(NotEmpty):
        await seed(many.dsn, runs=10)

    async with many.sessions() as session:
        assert (
            await listing.count(session, SEARCHES["session"], whose=listing.Whose(), at_most=10)
            >= 1
        )
