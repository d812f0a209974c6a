"""How Alembic reaches the database: one connection, one transaction, one migrator at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.base import ischema_names

from core.queue.engine_internals.statements import SCHEMA as ENGINE_SCHEMA
from core.store.database.advisory_locks import AdvisoryLock
from core.store.database.engine import open_database
from core.store.database.migration_loss import MigrationWatch
from core.store.partitions.tables import is_partition
from core.store.tables import (
    analytics,
    attempts,
    audit,
    dashboard,
    drawables,
    events,
    failures,
    feed,
    fleet,
    runs,
    sessions,
    slack,
    steps,
    terminations,
    tokens,
    users,
)
from core.store.tables.alerts import episodes, subscriptions
from core.store.tables.base import Row
from core.store.tables.homes import workspaces
from core.store.tables.resources import samples
from core.store.tables.work import carried_work, checkpoints, patches

# A type that SQLAlchemy does not know when it reads a schema.
ischema_names["xid8"] = feed.TransactionId
# Importing them is what puts their tables into the metadata.
_MODELS = (
    users,
    sessions,
    runs,
    attempts,
    steps,
    events,
    terminations,
    failures,
    fleet,
    carried_work,
    checkpoints,
    patches,
    slack,
    audit,
    feed,
    drawables,
    tokens,
    dashboard,
    subscriptions,
    episodes,
    workspaces,
    samples,
    analytics,
)


def _include_name(name: str | None, kind: str, parents: Any) -> bool:  # noqa: ARG001
    # The job engine's tables are its own; a revision installs them, no model describes them.  A
    # partition is a part of a table that a model describes.
    if kind == "schema":
        return name != ENGINE_SCHEMA
    return not (kind == "table" and name is not None and is_partition(name))


class _TrialEnded(Exception):
    """No error: it rolls the transaction back, so that nothing of the migration remains."""


def _migrate(connection: Connection) -> None:
    watch: MigrationWatch | None = context.config.attributes.get("watch")
    context.configure(
        connection=connection,
        target_metadata=Row.metadata,
        include_name=_include_name,
        compare_server_default=True,
    )
    with context.begin_transaction():
        # Waits for as long as the other one migrates, and the lock goes with the transaction.
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(
            text("SELECT pg_advisory_xact_lock(:key)"), {"key": AdvisoryLock.MIGRATION.value}
        )
        if watch is not None:
            watch.begin(connection)
        context.run_migrations()
        if watch is not None:
            watch.end(connection)
            if watch.is_trial:
                raise _TrialEnded


async def _run_online(dsn: str) -> None:
    async with (
        open_database(dsn, pool_size=1, statement_timeout=None) as database,
        database.engine.connect() as connection,
    ):
        try:
            await connection.run_sync(_migrate)
        except _TrialEnded:
            return
        await connection.commit()


def _dsn() -> str:
    """Given by the caller, or by hand: `alembic -x dsn=postgresql://… upgrade head`."""
    given = context.config.attributes.get("dsn") or context.get_x_argument(as_dictionary=True).get(
        "dsn"
    )
    if not given:
        raise SystemExit(
            "Say which database: alembic -x dsn=postgresql://… (or: signalbox migrate)"
        )
    return str(given)


if context.is_offline_mode():
    raise SystemExit("The revisions look at the database they change: give one, without --sql.")
asyncio.run(_run_online(_dsn()))
