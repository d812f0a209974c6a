"""Bringing a database to a revision of the schema."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text

from core.domain.errors import BadRequest
from core.store.engine import Database

_PACKAGE = "migrations"
# Alembic keeps what it works on in globals of its module.
_one_at_a_time = threading.Lock()


class BadRevision(BadRequest):
    """A revision that there is not, or that cannot be gone to from here."""

    def __init__(self, revision: str, why: str) -> None:
        super().__init__(
            f"revision {revision}: {why}",
            user_message=f"The schema cannot be brought to {revision!r}: {why}. `head` is the "
            "newest revision, `base` no schema at all.",
        )


def config(dsn: str | None = None) -> Config:
    """Alembic's configuration, also where only the installed package is there."""
    found = importlib.util.find_spec(_PACKAGE)
    places = found.submodule_search_locations if found else None
    if not places:
        raise RuntimeError(f"the package {_PACKAGE} is not installed")
    made = Config()
    # A percent sign in a path would be taken for an interpolation.
    made.set_main_option("script_location", str(Path(next(iter(places)))).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    if dsn is not None:
        made.attributes["dsn"] = dsn
    return made


def upgrade(dsn: str, revision: str = "head") -> None:
    """Go up to a revision.  Blocks; not to be called in an event loop's thread.

    Several threads and processes may call it at once: one migrates, the others wait.

    Raises:
        BadRevision: If that revision cannot be gone to.
        OSError, DBAPIError: If the database cannot be reached; `translating` knows them.
    """
    _move(command.upgrade, dsn, revision)


def downgrade(dsn: str, revision: str) -> None:
    """Go down to a revision (`base` for nothing at all).  As `upgrade` otherwise."""
    _move(command.downgrade, dsn, revision)


def _move(move: Callable[[Config, str], None], dsn: str, revision: str) -> None:
    try:
        with _one_at_a_time:
            move(config(dsn), revision)
    except CommandError as error:
        raise BadRevision(revision, str(error).rstrip(".")) from error


async def is_current(database: Database) -> bool:
    """Whether the database is at the newest revision.

    Raises:
        OSError, DBAPIError: If the database cannot be reached; `translating` knows them.
    """
    heads = await asyncio.to_thread(
        lambda: ScriptDirectory.from_config(config()).get_heads(),
    )
    async with database.engine.connect() as connection:
        if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
            return False
        found = await connection.scalars(text("SELECT version_num FROM alembic_version"))
        return set(found) == set(heads)
