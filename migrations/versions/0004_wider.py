"""Doubts about late calls; kills by time; SHA-256 commits, branches of any length."""

from collections.abc import Sequence

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    """
CREATE TABLE slack_doubts (
    thread_key TEXT NOT NULL,
    slot TEXT NOT NULL,
    doubt VARCHAR(50) NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_slack_doubts PRIMARY KEY (thread_key, slot, doubt),
    CONSTRAINT valid_doubt CHECK (doubt IN ('overwritten', 'posted_twice'))
)
    """,
    "CREATE INDEX idx_terminations_requested_at ON terminations (requested_at)",
    """
ALTER TABLE workflow_runs
    ALTER COLUMN git_branch TYPE TEXT,
    ALTER COLUMN initial_commit_hash TYPE VARCHAR(64),
    ALTER COLUMN final_commit_hash TYPE VARCHAR(64)
    """,
)

# What does not fit any more is cut: the workspace has the whole of it.
_DOWN = (
    """
ALTER TABLE workflow_runs
    ALTER COLUMN git_branch TYPE VARCHAR(255) USING left(git_branch, 255),
    ALTER COLUMN initial_commit_hash TYPE VARCHAR(40) USING left(initial_commit_hash, 40),
    ALTER COLUMN final_commit_hash TYPE VARCHAR(40) USING left(final_commit_hash, 40)
    """,
    "DROP INDEX idx_terminations_requested_at",
    "DROP TABLE slack_doubts",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
