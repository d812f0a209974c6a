"""Migration of a database to a revision of the schema.

`python -m core.store.database.migrate` reads a DSN from its standard input and migrates that
database to the newest revision.
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
from core.process_protection import protect_process
from core.store.database.engine import translate_errors
from core.store.database.migration_loss import MigrationReport, MigrationWatch
from core.store.database.schema import migrations_dir

# Alembic keeps the migration in progress in module globals, so threads must take turns.
_migration_lock = threading.Lock()


class BadRevision(BadRequest):
    """The revision does not exist, or cannot be reached from the database's present one."""

    code = "bad_revision"

    def __init__(self, revision: str, detail: str) -> None:
        super().__init__(
            f"revision {revision}: {detail}",
            user_message=f"The schema cannot be brought to {revision!r}: {detail}.",
        )
        self.revision = revision
        self.detail = detail


def config(dsn: str | None = None) -> Config:
    """Return Alembic's configuration; it needs only the installed package."""
    alembic_config = Config()
    # A percent sign would start an interpolation.
    alembic_config.set_main_option("script_location", str(migrations_dir()).replace("%", "%%"))
    alembic_config.set_main_option("path_separator", "os")
    if dsn is not None:
        alembic_config.attributes["dsn"] = dsn
    return alembic_config


def upgrade(dsn: str, revision: str = "head") -> MigrationReport:
    """Upgrade to a revision.  Blocking; must not be called in the thread of an event loop.

    Threads and processes may call it at the same time: one migrates, the others wait.

    Raises:
        BadRevision: If the revision cannot be reached.
        OSError, DBAPIError: If the database cannot be reached; `translate_errors` handles them.
    """
    return _run_alembic(command.upgrade, dsn, revision, MigrationWatch())


def downgrade(dsn: str, revision: str, *, is_trial: bool = False) -> MigrationReport:
    """Downgrade to a revision; `base` removes the schema.  Otherwise like `upgrade`.

    The report counts what is deleted, which reads every table twice.

    A trial does all of it and rolls it back, so its report is exact.  It holds the locks of the
    downgrade meanwhile, and waits at most 5 s for each.
    """
    watch = MigrationWatch(counts_rows=True, is_trial=is_trial)
    return _run_alembic(command.downgrade, dsn, revision, watch)


def _run_alembic(
    operation: Callable[[Config, str], None], dsn: str, revision: str, watch: MigrationWatch
) -> MigrationReport:
    alembic_config = config(dsn)
    alembic_config.attributes["watch"] = watch
    try:
        with _migration_lock:
            operation(alembic_config, revision)
    except CommandError as error:
        raise BadRevision(revision, str(error).rstrip(".")) from error
    return watch.result


def main() -> None:
    """Upgrade the database whose DSN is on standard input; a failure is reported in one line."""
    protect_process()
    try:
        with translate_errors():
            upgrade(sys.stdin.read())
    except OpsError as error:
        raise SystemExit(str(error)) from error
    except DBAPIError as error:
        raise SystemExit(str(error.orig)) from error


if __name__ == "__main__":
    main()
