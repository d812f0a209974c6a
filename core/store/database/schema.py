"""The state of a database's schema, and the upgrade at start.

The serving processes do not import Alembic: asking its `ScriptDirectory` takes 0.3 s of each start
and 8.4 MiB of memory for as long as the process lives.  The revisions are told by the names of
their files, which a test compares with what Alembic finds.  A separate process upgrades a schema
that is behind.
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from enum import StrEnum
from pathlib import Path

from sqlalchemy import text

from core.domain.errors import Unavailable
from core.store.database.engine import Database

_PACKAGE = "migrations"


class MigrationFailed(Unavailable):
    """The schema could not be upgraded."""

    code = "migration_failed"

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"migration failed: {detail}",
            user_message=f"The database's schema cannot be brought up to date: {detail}.",
        )
        self.detail = detail


class SchemaTooNew(Unavailable):
    """The database's schema belongs to a later version of Signalbox.

    Attributes:
        own_revision: The newest revision that this version knows.
    """

    code = "schema_too_new"

    def __init__(self) -> None:
        super().__init__(
            "schema is newer than the program",
            user_message="The database's schema is newer than this version of Signalbox.",
        )
        self.own_revision = newest_revision()


class SchemaState(StrEnum):
    """The state of a database's schema compared with this program's revisions.

    `NEWER` means that this program does not know the database's revision.
    """

    CURRENT = "current"
    BEHIND = "behind"
    NEWER = "newer"


def migrations_dir() -> Path:
    """Return the folder of the migrations; it needs only the installed package."""
    found = importlib.util.find_spec(_PACKAGE)
    locations = found.submodule_search_locations if found else None
    if not locations:
        raise RuntimeError(f"the package {_PACKAGE} is not installed")
    return Path(next(iter(locations)))


def revisions() -> frozenset[str]:
    """All revisions that this program has; each follows the one before it in their order."""
    files = (migrations_dir() / "versions").glob("[0-9]*_*.py")
    return frozenset(file.name.partition("_")[0] for file in files)


def newest_revision() -> str:
    """The revision that no other follows."""
    return max(revisions())


async def schema_state(database: Database) -> SchemaState:
    """Compare the database's revision with this program's.

    Raises:
        OSError, DBAPIError: If the database cannot be reached; `translate_errors` handles them.
    """
    known = await asyncio.to_thread(revisions)
    async with database.engine.connect() as connection:
        if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
            return SchemaState.BEHIND
        rows = await connection.scalars(text("SELECT version_num FROM alembic_version"))
        found = set(rows)
    if not found <= known:
        return SchemaState.NEWER
    return SchemaState.CURRENT if found == {max(known)} else SchemaState.BEHIND


async def upgrade_if_behind(database: Database) -> None:
    """Upgrade the schema to the newest revision if it is behind.

    Several processes may call this at the same time: one migrates, the others wait.

    Raises:
        MigrationFailed: If the upgrade fails.
        SchemaTooNew: If the schema belongs to a later version of the program.
        OSError, DBAPIError: If the database cannot be reached; `translate_errors` handles them.
    """
    found = await schema_state(database)
    if found is SchemaState.NEWER:
        raise SchemaTooNew
    if found is SchemaState.CURRENT:
        return
    # The DSN contains a password, and arguments are visible to all users: so it goes to stdin.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "core.store.database.migrate",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        # The folder that contains the package `core`, whether it is installed or not.
        cwd=Path(__file__).parents[3],
    )
    try:
        _, stderr = await process.communicate(database.dsn.encode())
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        lines = stderr.decode(errors="replace").strip().splitlines()
        raise MigrationFailed(lines[-1] if lines else f"exit code {process.returncode}")
