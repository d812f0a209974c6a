"""Tables by month: the migration up and down with data, and what the writers keep unique."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from core.domain.month import Month
from core.store.database import migrate
from core.store.database.engine import Database, open_database
from core.store.partitions import partitions
from core.store.partitions.tables import EVENTS, PARTITIONED_TABLES, is_partition
from core.store.sessions.transcripts import Transcripts
from tests.database import NOW

_BEFORE = "0025"
_INSERTS = (
    "INSERT INTO run_events (run_id, attempt, kind, at) VALUES (:run, 1, 'x', :at)",
    """
    INSERT INTO transcript_entries
        (scope, session_id, subpath, project_key, entry_uuid, entry, stored_at)
    VALUES ('', :session, '', 'p', :uuid, '{"a": 1}', :at)
    """,
    """
    INSERT INTO audit_log (at, action, allowed, actor_role, actor_origin, actor_name)
    VALUES (:at, 'x', true, 1, 'slack', 'ann')
    """,
)
_ROWS = {
    "run_events": "SELECT id, run_id, attempt, kind, at, data::text FROM run_events ORDER BY id",
    "transcript_entries": "SELECT id, scope, session_id, subpath, project_key, entry_uuid,"
    " entry::text, stored_at FROM transcript_entries ORDER BY id",
    "audit_log": "SELECT id, at, action, details::text, actor_name FROM audit_log ORDER BY id",
}


@pytest.fixture
async def older(empty_dsn: str) -> AsyncIterator[Database]:
    """A database at the revision before, with rows of several months."""
    await asyncio.to_thread(migrate.upgrade, empty_dsn, _BEFORE)
    async with open_database(empty_dsn) as database:
        async with database.sessions.begin() as session:
            run = (
                await session.execute(
                    text(
                        """
                        WITH conversation AS (
                            INSERT INTO sessions (id, agent_name, created_at)
                            VALUES (gen_random_uuid(), 'implement', now()) RETURNING id
                        )
                        INSERT INTO workflow_runs
                            (id, run_id, workflow_name, task_input, session_id, status)
                        SELECT gen_random_uuid(), 'run_0123456789ab', 'implement', 'Do it', id,
                            'running' FROM conversation
                        RETURNING id, session_id
                        """
                    )
                )
            ).one()
            for number in range(30):
                values = {
                    "run": run.id,
                    "session": str(run.session_id),
                    "at": NOW - timedelta(days=9 * number),
                    "uuid": str(uuid4()),
                }
                for statement in _INSERTS:
                    used = {name: values[name] for name in values if f":{name}" in statement}
                    await session.execute(text(statement), used)
        yield database


async def rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    async with database.sessions() as session:
        return {
            table: [tuple(row) for row in await session.execute(text(query))]
            for table, query in _ROWS.items()
        }


async def test_rows_stay_up_and_down_and_up_again(older: Database) -> None:
    before = await rows(older)

    up = await asyncio.to_thread(migrate.upgrade, older.dsn)
    after = await rows(older)
    down = await asyncio.to_thread(migrate.downgrade, older.dsn, _BEFORE)
    again = await rows(older)
    await asyncio.to_thread(migrate.upgrade, older.dsn)

    assert all(len(found) == 30 for found in before.values())
    assert before == after == again == await rows(older)
    assert down.deleted_rows == {}
    assert down.deleted_columns == up.deleted_columns == ()


async def test_ids_go_on_after_the_migrations(older: Database) -> None:
    async def next_id() -> int:
        async with older.sessions.begin() as session:
            found = await session.scalar(
                text(
                    "INSERT INTO audit_log (at, action, allowed, actor_role, actor_origin,"
                    " actor_name) VALUES (now(), 'x', true, 1, 'slack', 'ann') RETURNING id"
                )
            )
        assert isinstance(found, int)
        return found

    ids = [await next_id()]
    for act, revision in ((migrate.upgrade, "head"), (migrate.downgrade, _BEFORE)):
        await asyncio.to_thread(act, older.dsn, revision)
        ids.append(await next_id())

    assert ids == sorted(set(ids))


async def test_an_entry_is_stored_once_however_often_it_is_sent(database: Database) -> None:
    """Also if its month has changed meanwhile: no index can tell."""
    store, key = Transcripts(database), {"project_key": "p", "session_id": str(uuid4())}
    lines = [{"type": "user", "uuid": str(uuid4())} for _ in range(3)]
    await store.append(key, lines[:2])
    async with database.sessions.begin() as session:
        await session.execute(
            text("UPDATE transcript_entries SET stored_at = stored_at + interval '40 days'")
        )

    await asyncio.gather(*(store.append(key, [*lines, lines[2]]) for _ in range(5)))

    assert await store.load(key) == lines


async def test_rows_of_partitions_cannot_be_changed_either(database: Database) -> None:
    async with database.sessions() as session:
        found = await partitions.list_partitions(session, EVENTS)
    for partition in found:
        with pytest.raises(DBAPIError, match="only ever added"):
            async with database.sessions.begin() as session:
                await session.execute(text(f"DELETE FROM {partition.name}"))


async def test_every_table_has_its_months_and_a_place_for_the_rest(database: Database) -> None:
    for table in PARTITIONED_TABLES:
        async with database.sessions() as session:
            found = await partitions.list_partitions(session, table)

        assert found[-1].is_default
        assert [one.name for one in found] == [
            *(table.partition(Month.of(one.first)) for one in found if one.first is not None),
            table.default,
        ]
        assert len(found) >= 4
        assert all(is_partition(one.name) for one in found)
        assert not is_partition(table.name)
