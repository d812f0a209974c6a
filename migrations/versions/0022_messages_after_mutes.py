"""Messages about alerts that fired in a mute, or before a channel was subscribed."""

from collections.abc import Sequence

from alembic import op

revision: str = "0022"
down_revision: str | None = "0021"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_DROP = "ALTER TABLE alert_groups DROP CONSTRAINT valid_group_type"
_UP = (
    _DROP,
    """
ALTER TABLE alert_groups ADD CONSTRAINT valid_group_type
    CHECK (type IN ('alerts', 'quiet', 'muted', 'earlier', 'summary'))
    """,
)
_DOWN = (
    _DROP,
    # The nearest kind of message that the older program knows.
    "UPDATE alert_groups SET type = 'quiet' WHERE type IN ('muted', 'earlier')",
    """
ALTER TABLE alert_groups ADD CONSTRAINT valid_group_type
    CHECK (type IN ('alerts', 'quiet', 'summary'))
    """,
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
