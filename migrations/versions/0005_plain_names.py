"""Rename tables, constraints and triggers to plain names."""

from collections.abc import Sequence

from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TABLE = (
    "ALTER TABLE {old} RENAME TO {new}",
    "ALTER TABLE {new} RENAME CONSTRAINT pk_{old} TO pk_{new}",
)
_CONSTRAINTS = (
    ("slack_messages", "valid_shown_state", "valid_slack_message_state"),
    ("slack_uncertain_writes", "valid_doubt", "valid_uncertain_write_kind"),
)
_OLD, _NEW = "slack_doubts", "slack_uncertain_writes"
_APPEND_ONLY = ("run_events", "audit_log")


def upgrade() -> None:
    for statement in _TABLE:
        op.execute(statement.format(old=_OLD, new=_NEW))
    op.execute(f"ALTER TABLE {_NEW} RENAME COLUMN doubt TO kind")
    for table, old, new in _CONSTRAINTS:
        op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {old} TO {new}")
    for table in _APPEND_ONLY:
        op.execute(f"ALTER TRIGGER signalbox_only_added ON {table} RENAME TO signalbox_append_only")


def downgrade() -> None:
    for table in _APPEND_ONLY:
        op.execute(f"ALTER TRIGGER signalbox_append_only ON {table} RENAME TO signalbox_only_added")
    for table, old, new in _CONSTRAINTS:
        op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {new} TO {old}")
    op.execute(f"ALTER TABLE {_NEW} RENAME COLUMN kind TO doubt")
    for statement in _TABLE:
        op.execute(statement.format(old=_NEW, new=_OLD))
