"""What a migration does to a database: from which revision to which, and what it deletes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

# Tables and columns are compared by number, since revisions also rename them.  A table that was
# made anew, with or without partitions, is compared with the one that had its name.
_TABLES = """
    SELECT c.oid::bigint AS id, c.oid::regclass::text AS name
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
      AND c.relnamespace NOT IN (
          SELECT oid FROM pg_namespace WHERE nspname LIKE 'pg\\_%' OR nspname = 'information_schema'
      )
      AND c.relname <> 'alembic_version'
"""
_COLUMNS = """
    SELECT attrelid::bigint AS table_id, attnum AS number, attname AS name
    FROM pg_attribute
    WHERE attnum > 0 AND NOT attisdropped
"""
# A trial waits no longer for the locks of processes that use the database meanwhile.
_TRIAL_LOCK_TIMEOUT = "5s"


@dataclass(frozen=True, kw_only=True)
class MigrationReport:
    """What a migration did, or would do.

    Attributes:
        database: The name of the database.
        before: The revision before it; `None` if there was no schema.
        after: The revision after it; `None` if there is no schema.
        deleted_rows: How many rows it deleted, by the former name of the table; only those of
            which some were.
        deleted_columns: Columns of tables that remain, as `table.column`.
    """

    database: str
    before: str | None
    after: str | None
    deleted_rows: Mapping[str, int]
    deleted_columns: tuple[str, ...]


@dataclass(kw_only=True)
class MigrationWatch:
    """Compares a database before and after a migration, in the migration's own transaction.

    Attributes:
        counts_rows: Whether to count what is deleted.  It reads all tables twice, so an upgrade,
            for which many processes may wait, does without it.
        is_trial: Whether the transaction is rolled back afterwards.
    """

    counts_rows: bool = False
    is_trial: bool = False
    _before: _State | None = field(default=None, init=False)
    _report: MigrationReport | None = field(default=None, init=False)

    @property
    def result(self) -> MigrationReport:
        """What the migration did, once it has ended."""
        if self._report is None:
            raise RuntimeError("no migration was watched")
        return self._report

    def begin(self, connection: Connection) -> None:
        """Remember what is there."""
        if self.is_trial:
            connection.execute(text(f"SET LOCAL lock_timeout = '{_TRIAL_LOCK_TIMEOUT}'"))
        self._before = _State.read(connection, counts_rows=self.counts_rows)

    def end(self, connection: Connection) -> None:
        """Compare it with what is there now."""
        if self._before is None:
            raise RuntimeError("`begin` was not called")
        before = self._before
        after = _State.read(connection, counts_rows=self.counts_rows)
        lost = {
            before.tables[table]: count - after.rows.get(after.successor(table, before), 0)
            for table, count in before.rows.items()
        }
        columns = (
            f"{before.tables[table]}.{name}"
            for (table, number), name in before.columns.items()
            if table in after.tables and (table, number) not in after.columns
        )
        self._report = MigrationReport(
            database=before.database,
            before=before.revision,
            after=after.revision,
            deleted_rows={name: count for name, count in sorted(lost.items()) if count > 0},
            deleted_columns=tuple(sorted(columns)),
        )


@dataclass(frozen=True, kw_only=True)
class _State:
    database: str
    revision: str | None
    tables: Mapping[int, str]
    rows: Mapping[int, int]
    columns: Mapping[tuple[int, int], str]

    def successor(self, table: int, before: _State) -> int:
        """The number that a table of an earlier state has now; its old one if it is gone."""
        if table in self.tables:
            return table
        name = before.tables[table]
        made = [number for number, now in self.tables.items() if now == name]
        return made[0] if made and made[0] not in before.tables else table

    @classmethod
    def read(cls, connection: Connection, *, counts_rows: bool) -> _State:
        tables = {row.id: row.name for row in connection.execute(text(_TABLES))}
        return cls(
            database=str(connection.scalar(text("SELECT current_database()"))),
            revision=_revision(connection),
            tables=tables,
            rows={table: _count(connection, name) for table, name in tables.items()}
            if counts_rows
            else {},
            columns={
                (row.table_id, row.number): row.name
                for row in connection.execute(text(_COLUMNS))
                if row.table_id in tables
            },
        )


def _revision(connection: Connection) -> str | None:
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    found = connection.scalars(text("SELECT version_num FROM alembic_version")).all()
    return ", ".join(sorted(found)) or None


def _count(connection: Connection, table: str) -> int:
    # Postgres itself wrote the name, with quotes where it needs them.
    return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)  # noqa: S608
