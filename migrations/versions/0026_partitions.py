"""Events, transcripts and the audit log by month, so that old months are dropped as a whole.

The rows that there are stay where they are: their table becomes the partition of everything before
the next month.  Its new key is the only thing that is built; that takes about a second for each
million rows, during which the table is locked.

What must be unique or refer to other tables, and cannot across partitions, is kept by the writers:
see `docs/decisions/0022-partitions.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import sqlalchemy as sa
from alembic import op

revision: str = "0026"
down_revision: str | None = "0025"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The clock makes the further ones.
_MONTHS_AHEAD = 3


@dataclass(frozen=True, kw_only=True)
class _Table:
    """A table, as it is before and after.

    Attributes:
        column: The time by which it is partitioned.
        columns: Beside `id`, in their order.
        indexes: Of both, by their names.
        only_before: Further indexes and constraints of the plain table.
        only_after: Further indexes of the partitioned table.
        is_append_only: Whether a trigger refuses changes.
    """

    name: str
    column: str
    columns: str
    indexes: Mapping[str, str]
    only_before: Mapping[str, str]
    only_after: Mapping[str, str]
    is_append_only: bool


_UUIDS = "(session_id, scope, subpath, entry_uuid)"
_TABLES = (
    _Table(
        name="run_events",
        column="at",
        columns="""
            run_id uuid NOT NULL,
            attempt integer NOT NULL,
            kind varchar(50) NOT NULL,
            at timestamptz NOT NULL,
            data jsonb DEFAULT '{}' NOT NULL
        """,
        indexes=MappingProxyType(
            {"idx_run_events_run_id": "CREATE INDEX {index} ON {table} (run_id, id)"}
        ),
        only_before=MappingProxyType(
            {
                "fk_run_events_run_id": "ALTER TABLE {table} ADD CONSTRAINT {index}"
                " FOREIGN KEY (run_id) REFERENCES workflow_runs (id)"
            }
        ),
        only_after=MappingProxyType({}),
        is_append_only=True,
    ),
    _Table(
        name="transcript_entries",
        column="stored_at",
        columns="""
            scope text NOT NULL,
            session_id text NOT NULL,
            subpath text NOT NULL,
            project_key text NOT NULL,
            entry_uuid text,
            entry json NOT NULL,
            stored_at timestamptz DEFAULT clock_timestamp() NOT NULL
        """,
        indexes=MappingProxyType(
            {
                "idx_transcript_entries_session": "CREATE INDEX {index} ON {table}"
                " (session_id, scope, subpath, id)",
                "idx_transcript_entries_project": "CREATE INDEX {index} ON {table}"
                " (project_key, session_id) WHERE subpath = ''",
            }
        ),
        only_before=MappingProxyType(
            {
                "uq_transcript_entries_uuid": "CREATE UNIQUE INDEX {index} ON {table}"
                f" {_UUIDS} WHERE entry_uuid IS NOT NULL"
            }
        ),
        only_after=MappingProxyType(
            {
                "idx_transcript_entries_uuid": "CREATE INDEX {index} ON {table}"
                f" {_UUIDS} WHERE entry_uuid IS NOT NULL"
            }
        ),
        is_append_only=False,
    ),
    _Table(
        name="audit_log",
        column="at",
        columns="""
            at timestamptz NOT NULL,
            action text NOT NULL,
            allowed boolean NOT NULL,
            run_id uuid,
            reason text,
            details jsonb DEFAULT '{}' NOT NULL,
            actor_role integer NOT NULL,
            actor_origin varchar(50) NOT NULL,
            actor_user_id uuid,
            actor_external_id text,
            actor_team_id text,
            actor_name text NOT NULL
        """,
        indexes=MappingProxyType(
            {
                "idx_audit_log_actor_user_id": "CREATE INDEX {index} ON {table} (actor_user_id)",
                "idx_audit_log_at": "CREATE INDEX {index} ON {table} (at)",
                "idx_audit_log_run_id": "CREATE INDEX {index} ON {table} (run_id)",
            }
        ),
        only_before=MappingProxyType(
            {
                "fk_audit_log_actor_user_id": "ALTER TABLE {table} ADD CONSTRAINT {index}"
                " FOREIGN KEY (actor_user_id) REFERENCES users (id)"
            }
        ),
        only_after=MappingProxyType({}),
        is_append_only=True,
    ),
)
_TRIGGER = """
CREATE TRIGGER signalbox_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION signalbox_refuse_change()
"""
_APPEND = """
CREATE OR REPLACE FUNCTION signalbox_append_transcript(
    in_scope text, in_session text, in_subpath text, in_project text, uuids text[], entries text[],
    in_run text, in_attempt integer
) RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(in_session || in_scope, 20));
    INSERT INTO transcript_entries
        (scope, session_id, subpath, project_key, entry_uuid, entry)
    SELECT in_scope, in_session, in_subpath, in_project, item.uuid, item.entry::json
    FROM unnest(uuids, entries) WITH ORDINALITY AS item (uuid, entry, position)
    WHERE (in_attempt IS NULL OR EXISTS (
        SELECT FROM workflow_runs
        WHERE workflow_runs.run_id = in_run AND workflow_runs.attempt = in_attempt
            AND workflow_runs.session_id::text = in_session
    )){condition}
    ORDER BY item.position{conflict};
END
$$
"""
# The lock makes it sure that nobody adds the same entry between this look and the insert.
_IS_NEW = """
    AND (item.uuid IS NULL OR NOT EXISTS (
        SELECT FROM transcript_entries stored
        WHERE stored.session_id = in_session AND stored.scope = in_scope
            AND stored.subpath = in_subpath AND stored.entry_uuid = item.uuid
    ) AND NOT EXISTS (
        SELECT FROM unnest(uuids) WITH ORDINALITY AS earlier (uuid, position)
        WHERE earlier.uuid = item.uuid AND earlier.position < item.position
    ))"""


def upgrade() -> None:
    for table in _TABLES:
        _partition(table)
    op.execute(_APPEND.format(condition=_IS_NEW, conflict=""))


def downgrade() -> None:
    for table in reversed(_TABLES):
        _make_plain(table)
    op.execute(_APPEND.format(condition="", conflict="\n    ON CONFLICT DO NOTHING"))


def _partition(table: _Table) -> None:
    name, old = table.name, f"{table.name}_before"
    next_id = _next_id(name)
    op.execute(f"ALTER TABLE {name} RENAME TO {old}")
    for index in table.only_before:
        if index.startswith("fk_"):
            op.execute(f"ALTER TABLE {old} DROP CONSTRAINT {index}")
        else:
            op.execute(f"DROP INDEX {index}")
    for index in table.indexes:
        op.execute(f"ALTER INDEX {index} RENAME TO {index}_before")
    op.execute(f"ALTER TABLE {old} DROP CONSTRAINT pk_{name}")
    op.execute(f"ALTER TABLE {old} ALTER COLUMN id DROP IDENTITY")
    op.execute(
        f"""
        CREATE TABLE {name} (
            id bigint GENERATED ALWAYS AS IDENTITY (START WITH {next_id}),
            {table.columns},
            CONSTRAINT pk_{name} PRIMARY KEY (id, {table.column})
        ) PARTITION BY RANGE ({table.column})
        """
    )
    for index, statement in {**table.indexes, **table.only_after}.items():
        op.execute(statement.format(index=index, table=name))
    if table.is_append_only:
        op.execute(_TRIGGER.format(table=name))
    first = _first_month(old, table.column)
    if op.get_bind().scalar(sa.text(f"SELECT EXISTS (SELECT FROM {old})")):  # noqa: S608
        op.execute(f"ALTER TABLE {old} ADD CONSTRAINT pk_{old} PRIMARY KEY (id, {table.column})")
        first = _next_month(first)
        op.execute(
            f"ALTER TABLE {name} ATTACH PARTITION {old}"
            f" FOR VALUES FROM (MINVALUE) TO ('{_start(first)}')"
        )
    else:
        op.execute(f"DROP TABLE {old}")
    for _ in range(_MONTHS_AHEAD + 1):
        following = _next_month(first)
        part = f"{name}_{first[0]:04}_{first[1]:02}"
        op.execute(
            f"CREATE TABLE {part} PARTITION OF {name}"
            f" FOR VALUES FROM ('{_start(first)}') TO ('{_start(following)}')"
        )
        if table.is_append_only:
            op.execute(_TRIGGER.format(table=part))
        first = following
    op.execute(f"CREATE TABLE {name}_default PARTITION OF {name} DEFAULT")
    if table.is_append_only:
        op.execute(_TRIGGER.format(table=f"{name}_default"))


def _make_plain(table: _Table) -> None:
    name, new = table.name, f"{table.name}_plain"
    next_id = _next_id(name)
    op.execute(
        f"""
        CREATE TABLE {new} (
            id bigint GENERATED ALWAYS AS IDENTITY (START WITH {next_id}),
            {table.columns}
        )
        """
    )
    op.execute(
        f"INSERT INTO {new} OVERRIDING SYSTEM VALUE SELECT * FROM {name} ORDER BY id"  # noqa: S608
    )
    op.execute(f"DROP TABLE {name}")
    op.execute(f"ALTER TABLE {new} RENAME TO {name}")
    op.execute(f"ALTER TABLE {name} ADD CONSTRAINT pk_{name} PRIMARY KEY (id)")
    for index, statement in {**table.indexes, **table.only_before}.items():
        op.execute(statement.format(index=index, table=name))
    if table.is_append_only:
        op.execute(_TRIGGER.format(table=name))


def _next_id(name: str) -> int:
    sequence = op.get_bind().scalar(sa.text(f"SELECT pg_get_serial_sequence('{name}', 'id')"))
    found = op.get_bind().scalar(
        sa.text(
            f"SELECT CASE WHEN is_called THEN last_value + 1 ELSE last_value END FROM {sequence}"  # noqa: S608
        )
    )
    return int(found or 1)


def _first_month(old: str, column: str) -> tuple[int, int]:
    """The present month, or a later one that has rows already."""
    row = (
        op.get_bind()
        .execute(
            sa.text(
                f"SELECT greatest(now(), max({column})) AT TIME ZONE 'UTC' AS at FROM {old}"  # noqa: S608
            )
        )
        .one()
    )
    return row.at.year, row.at.month


def _next_month(month: tuple[int, int]) -> tuple[int, int]:
    year, number = month
    return (year + 1, 1) if number == 12 else (year, number + 1)


def _start(month: tuple[int, int]) -> str:
    return f"{month[0]:04}-{month[1]:02}-01 00:00:00+00"
