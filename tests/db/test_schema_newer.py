"""A database that a newer version of Signalbox has migrated."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.assembly.backend import SchemaBehind, require_current_schema
from bot.assembly.settings import load_settings
from bot.cli.advice import error_line
from bot.cli.doctor import run_doctor
from core.store.database import schema
from core.store.database.engine import Database

UNKNOWN = "9999"


@pytest.fixture
async def own_revision(database: Database) -> AsyncIterator[str]:
    """The database's revision, temporarily replaced by one that this program does not know."""
    own_revision = schema.newest_revision()
    await write_revision(database, UNKNOWN)
    yield own_revision
    await write_revision(database, own_revision)


async def write_revision(database: Database, revision: str) -> None:
    """Write another revision."""
    async with database.engine.begin() as connection:
        statement = text("UPDATE alembic_version SET version_num = :revision")
        await connection.execute(statement, {"revision": revision})


async def test_a_newer_schema_is_distinguished_from_an_old_one(
    database: Database, own_revision: str
) -> None:
    assert await schema.schema_state(database) is schema.SchemaState.NEWER
    with pytest.raises(schema.SchemaTooNew) as refused:
        await require_current_schema(database)
    line = error_line(refused.value)
    assert "Install the newer version" in line
    assert f"`signalbox migrate --down {own_revision}`" in line

    await write_revision(database, "0001")

    assert await schema.schema_state(database) is schema.SchemaState.BEHIND
    with pytest.raises(SchemaBehind):
        await require_current_schema(database)


@pytest.mark.usefixtures("own_revision")
async def test_a_start_does_not_try_to_migrate_a_newer_schema(database: Database) -> None:
    with pytest.raises(schema.SchemaTooNew):
        await schema.upgrade_if_behind(database)


@pytest.mark.usefixtures("own_revision")
async def test_the_doctor_says_that_the_program_is_old(database: Database, tmp_path: Path) -> None:
    said: list[str] = []

    settings = load_settings(DATABASE_URL=database.dsn, SIGNALBOX_HOME=tmp_path)
    status = await run_doctor(settings, echo=said.append)

    assert status == 1
    (line,) = [line for line in said if "schema" in line]
    assert line.startswith("✗ The database's schema is newer than this version")
