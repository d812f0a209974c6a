"""Workflow definitions as the runs used them, so that a restart can follow them again."""

from collections.abc import Sequence

from alembic import op

revision: str = "0021"
down_revision: str | None = "0020"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    """
CREATE TABLE workflow_definitions (
    digest VARCHAR(64) NOT NULL,
    name VARCHAR(100) NOT NULL,
    content JSONB NOT NULL,
    first_used_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_workflow_definitions PRIMARY KEY (digest)
)
    """,
)
_DOWN = ("DROP TABLE workflow_definitions",)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
