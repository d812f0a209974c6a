"""`signalbox migrate`: what it says that it did, and what it asks before it deletes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from bot.assembly.settings import load_settings
from bot.cli.migrate import ConsentNeeded, RevisionNeeded, run_migration
from core.store.database.connect import server_of
from core.store.database.engine import DatabaseUnavailable, open_database
from core.store.database.schema import newest_revision
from tests.database import stored_run
from tests.limits import limit

NEWEST = newest_revision()
OLD = "0003"

Migrate = Callable[..., Awaitable[str]]


@pytest.fixture
def migrate(empty_dsn: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Migrate:
    """Run the command on a database of the test's own, and return what it printed."""

    async def run(revision: str = "head", *, down: bool = False, yes: bool = False) -> str:
        settings = load_settings(DATABASE_URL=empty_dsn, SIGNALBOX_HOME=tmp_path)
        await run_migration(settings, revision=revision, down=down, yes=yes)
        return capsys.readouterr().out.strip()

    return run


@pytest.fixture
def place(empty_dsn: str) -> str:
    """How the database is called in the texts."""
    return f"the database `{urlsplit(empty_dsn).path[1:]}` on {server_of(empty_dsn)}"


async def revision_of(dsn: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval("SELECT version_num FROM alembic_version")
    finally:
        await connection.close(timeout=5)


async def store_runs(dsn: str, count: int) -> None:
    async with open_database(dsn) as database:
        for _ in range(count):
            await stored_run(database)


async def test_what_was_done_is_said_and_where(migrate: Migrate, place: str) -> None:
    first = await migrate()
    second = await migrate()

    assert first == f"Migrated {place} from no schema to {NEWEST}."
    assert second == f"Nothing to do: {place} is at {NEWEST}, the newest revision."


async def test_an_older_revision_is_not_taken_for_the_newest(migrate: Migrate, place: str) -> None:
    await migrate()

    assert await migrate(OLD) == (
        f"Nothing was done: {place} is at {NEWEST}, which is newer than {OLD}. "
        f"`signalbox migrate --down {OLD}` goes back to it."
    )


async def test_going_down_names_the_database_and_the_rows_and_changes_nothing(
    migrate: Migrate, place: str, empty_dsn: str
) -> None:
    await migrate()
    await store_runs(empty_dsn, 2)

    with pytest.raises(ConsentNeeded) as refused:
        await migrate("base", down=True)

    said = refused.value.user_message
    assert said.startswith(f"Going down from {NEWEST} to no schema deletes from {place}: ")
    assert "2 rows of workflow_runs" in said
    assert "2 rows of sessions" in said
    assert "Nothing was changed." in said
    assert "`--yes`" in said
    assert await revision_of(empty_dsn) == NEWEST


async def test_with_consent_it_goes_down_and_says_what_it_deleted(
    migrate: Migrate, place: str, empty_dsn: str
) -> None:
    await migrate()
    await store_runs(empty_dsn, 1)

    said = await migrate("base", down=True, yes=True)

    assert said.startswith(f"Migrated {place} from {NEWEST} to no schema. Deleted: ")
    assert "1 row of workflow_runs" in said
    assert await revision_of(empty_dsn) is None
    again = await migrate("base", down=True)
    assert again == f"Nothing to do: {place} is at no schema."


async def test_a_part_of_the_way_deletes_columns_but_no_rows_of_what_remains(
    migrate: Migrate, empty_dsn: str
) -> None:
    await migrate()
    await store_runs(empty_dsn, 1)

    said = await migrate(OLD, down=True, yes=True)

    assert "the column workers.is_isolated" in said
    assert "of workflow_runs" not in said
    assert await revision_of(empty_dsn) == OLD


async def test_going_down_without_a_revision_names_those_there_are(migrate: Migrate) -> None:
    with pytest.raises(RevisionNeeded) as refused:
        await migrate(down=True)

    assert OLD in refused.value.user_message
    assert "`base`" in refused.value.user_message


async def test_the_question_does_not_wait_long_for_a_database_in_use(
    migrate: Migrate, empty_dsn: str
) -> None:
    await migrate()
    connection = await asyncpg.connect(empty_dsn, timeout=10)
    try:
        async with connection.transaction(), limit(60):
            await connection.execute("LOCK TABLE workflow_runs IN ROW EXCLUSIVE MODE")
            with pytest.raises(DatabaseUnavailable):
                await migrate("base", down=True)
    finally:
        await connection.close(timeout=5)

    assert await revision_of(empty_dsn) == NEWEST


@pytest.mark.parametrize(
    ("dsn", "server"),
    [
        ("postgresql://me:hunter2@db.example.com/x", "db.example.com:5432"),
        ("postgresql://db.example.com:6000/x", "db.example.com:6000"),
        ("postgresql://me:pw@/x?host=/run/postgresql", "the socket in /run/postgresql"),
        ("postgresql://me:pw@a:1,b:2/x", "a:1,b:2"),
        ("postgresql://", "localhost:5432"),
        ("postgresql://[::1]/x", "[::1]:5432"),
    ],
)
def test_a_server_is_named_without_the_login(dsn: str, server: str) -> None:
    assert server_of(dsn) == server
