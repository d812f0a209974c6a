"""Whether a database has this program's schema, and how a start gives it that.

Alembic is kept out of the processes that serve: it would stay in their memory (10 MiB) for
as long as they live.  Which revision is the newest is read from the revisions' text, and a
schema that is behind is brought up to date by a process of its own.
"""

from __future__ import annotations

import ast
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

    code = "migration_failed"

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"migration failed: {detail}",
            user_message=f"The database's schema cannot be brought up to date: {detail}.",
        )
        self.detail = detail


class SchemaTooNew(Unavailable):
    """The database's schema is of a version of Signalbox that came after this one.

    Attributes:
        own_revision: The newest revision that this version knows.
    """

    code = "schema_too_new"

    def __init__(self) -> None:
        super().__init__(
            "schema is newer than the program",
            user_message="The database's schema is newer than this version of Signalbox.",
        )
        self.own_revision = ", ".join(sorted(newest_revisions()))


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


def newest_revisions() -> frozenset[str]:
    """The revisions that no other follows; one, unless branches wait to be merged."""
    revisions, superseded = _revisions()
    return revisions - superseded


def _revisions() -> tuple[frozenset[str], frozenset[str]]:
    """All that this program has, and those that another one follows."""
    revisions: set[str] = set()
    superseded: set[str] = set()
    for path in (migrations_dir() / "versions").glob("*.py"):
        for statement in ast.parse(path.read_text(encoding="utf-8")).body:
            match statement:
                case ast.AnnAssign(
                    target=ast.Name(id="revision" | "down_revision" as name),
                    value=ast.Constant(value=str(revision)),
                ):
                    (revisions if name == "revision" else superseded).add(revision)
    return frozenset(revisions), frozenset(superseded)


async def is_current(database: Database) -> bool:
    """Whether the database is at the newest revision; raises as `schema_state`."""
    return await schema_state(database) is SchemaState.CURRENT


async def schema_state(database: Database) -> SchemaState:
    """Compare the database's revision with this program's.

    Raises:
        OSError, DBAPIError: If the database cannot be reached; `translate_errors` knows them.
    """
    known, superseded = await asyncio.to_thread(_revisions)
    async with database.engine.connect() as connection:
        if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
            return SchemaState.BEHIND
        rows = await connection.scalars(text("SELECT version_num FROM alembic_version"))
        found = set(rows)
    if not found <= known:
        return SchemaState.NEWER
    return SchemaState.CURRENT if found == known - superseded else SchemaState.BEHIND


async def upgrade_if_behind(database: Database) -> None:
    """Go up to the newest revision, unless the database is there.

    Several processes may do so at once: one migrates, the others wait.

    Raises:
        NotMigrated: If it cannot be done.
        SchemaNewer: If the database is ahead of this program.
        OSError, DBAPIError: If the database cannot be reached; `translate_errors` knows them.
    """
    found = await schema_state(database)
    if found is SchemaState.NEWER:
        raise SchemaTooNew
    if found is SchemaState.CURRENT:
        return
    # The address holds a password, so it is not an argument, which everybody may read.
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
