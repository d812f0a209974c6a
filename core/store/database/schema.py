"""Whether a database has this program's schema, and how a start gives it that.

Alembic is kept out of the processes that serve: importing it to ask its `ScriptDirectory` takes
0.3 s of each start and 8.4 MiB of memory for as long as the process lives.  The revisions are
told by their files' names instead, which a test compares with what Alembic finds, and a schema
that is behind is brought up to date by a process of its own.
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
    """The schema could not be brought up to date."""

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"migration failed: {detail}",
            user_message=f"The database's schema cannot be brought up to date: {detail}. "
            "`signalbox migrate` tries again and says more.",
        )


class SchemaTooNew(Unavailable):
    """The database's schema is of a version of Signalbox that came after this one."""

    def __init__(self) -> None:
        super().__init__(
            "schema is newer than the program",
            user_message="The database's schema is newer than this version of Signalbox: install "
            "the newer version, or go back to this one's schema with the newer version's "
            f"`signalbox migrate --down {newest_revision()}`.",
        )


class SchemaState(StrEnum):
    """How a database's schema stands to this program's.

    `NEWER` means that its revision is none of this program's.
    """

    CURRENT = "current"
    BEHIND = "behind"
    NEWER = "newer"


def migrations_dir() -> Path:
    """Where the revisions are, also where only the installed package is there."""
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
        OSError, DBAPIError: If the database cannot be reached; `translate_errors` knows them.
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
    """Go up to the newest revision, unless the database is there.

    Several processes may do so at once: one migrates, the others wait.

    Raises:
        MigrationFailed: If it cannot be done.
        SchemaTooNew: If the database is ahead of this program.
        OSError, DBAPIError: If the database cannot be reached; `translate_errors` knows them.
    """
    found = await schema_state(database)
    if found is SchemaState.NEWER:
        raise SchemaTooNew
    if found is SchemaState.CURRENT:
        return
    # The address holds a password, and arguments can be read by every user of the machine.
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "core.store.database.migrate",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        # Where this package is found, installed or not.
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
