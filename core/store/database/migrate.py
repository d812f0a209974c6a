"""Bringing a database to a revision of the schema.

`python -m core.store.database.migrate` brings the database whose address is on its input to the
newest one.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from core.domain.errors import BadRequest, OpsError
from core.store.database.engine import translate_errors
from core.store.database.schema import migrations_dir

# Alembic keeps what it works on in globals of its module.
_migration_lock = threading.Lock()


class BadRevision(BadRequest):
    """A revision that there is not, or that cannot be gone to from here."""

    code = "bad_revision"

    def __init__(self, revision: str, detail: str) -> None:
        super().__init__(
            f"revision {revision}: {detail}",
            user_message=f"The schema cannot be brought to {revision!r}: {detail}.",
        )
        self.revision = revision
        self.detail = detail


def config(dsn: str | None = None) -> Config:
    """Alembic's configuration, also where only the installed package is there."""
    alembic_config = Config()
    # A percent sign in a path would be taken for an interpolation.
    alembic_config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    alembic_config.set_main_option("path_separator", "os")
    if dsn is not None:
        alembic_config.attributes["dsn"] = dsn
    return alembic_config


def upgrade(dsn: str, revision: str = "head") -> None:
    """Go up to a revision.  Blocks; not to be called in an event loop's thread.

    Several threads and processes may call it at once: one migrates, the others wait.

    Raises:
        BadRevision: If that revision cannot be gone to.
        OSError, DBAPIError: If the database cannot be reached; `translate_errors` knows them.
    """
    _run_alembic(command.upgrade, dsn, revision)


def downgrade(dsn: str, revision: str) -> None:
    """Go down to a revision (`base` for nothing at all).  As `upgrade` otherwise."""
    _run_alembic(command.downgrade, dsn, revision)


def _run_alembic(operation: Callable[[Config, str], None], dsn: str, revision: str) -> None:
    try:
        with _migration_lock:
            operation(config(dsn), revision)
    except CommandError as error:
        raise BadRevision(revision, str(error).rstrip(".")) from error


def main() -> None:
    """Bring the database on standard input up to date; one line says why not."""
    try:
        with translate_errors():
            upgrade(sys.stdin.read())
    except OpsError as error:
        raise SystemExit(str(error)) from error
    except DBAPIError as error:
        raise SystemExit(str(error.orig)) from error


if __name__ == "__main__":
    main()
