"""Checkpoints: points of a session from which one can restart."""

from collections.abc import Sequence

from alembic import op

revision: str = "0018"
down_revision: str | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    """
CREATE TABLE checkpoints (
    id UUID NOT NULL,
    session_id UUID NOT NULL,
    run_id UUID NOT NULL,
    attempt INTEGER NOT NULL,
    number INTEGER NOT NULL,
    taken_at TIMESTAMP WITH TIME ZONE NOT NULL,
    reason VARCHAR(50) NOT NULL,
    step_id INTEGER,
    step_name TEXT,
    message_uuid UUID,
    is_call_open BOOLEAN DEFAULT false NOT NULL,
    commit VARCHAR(64) NOT NULL,
    head_commit VARCHAR(64),
    base_commit VARCHAR(64),
    branch TEXT,
    "references" JSONB DEFAULT '{}' NOT NULL,
    turns INTEGER DEFAULT 0 NOT NULL,
    cost_usd NUMERIC(14, 7),
    tool_calls INTEGER DEFAULT 0 NOT NULL,
    files_changed INTEGER,
    lines_added INTEGER,
    lines_removed INTEGER,
    size_bytes BIGINT DEFAULT 0 NOT NULL,
    previous_id UUID,
    not_stored VARCHAR(50),
    bundle BYTEA,
    CONSTRAINT pk_checkpoints PRIMARY KEY (id),
    CONSTRAINT fk_checkpoints_session_id FOREIGN KEY (session_id) REFERENCES sessions (id),
    CONSTRAINT fk_checkpoints_run_id FOREIGN KEY (run_id) REFERENCES workflow_runs (id),
    CONSTRAINT fk_checkpoints_previous_id FOREIGN KEY (previous_id) REFERENCES checkpoints (id),
    CONSTRAINT valid_checkpoint_reason CHECK (reason IN (
        'before_kill', 'interval', 'leg_ended', 'step_ended'
    )),
    CONSTRAINT valid_not_stored CHECK (not_stored IN ('failed', 'too_large')),
    CONSTRAINT bundle_or_why_there_is_none CHECK ((bundle IS NULL) = (not_stored IS NOT NULL)),
    CONSTRAINT valid_checkpoint_number CHECK (number >= 1)
)
    """,
    "CREATE UNIQUE INDEX uq_checkpoints_number ON checkpoints (session_id, number)",
    "CREATE INDEX idx_checkpoints_run_id ON checkpoints (run_id)",
    "CREATE INDEX idx_checkpoints_previous_id ON checkpoints (previous_id)",
    # A bundle is compressed already.
    "ALTER TABLE checkpoints ALTER COLUMN bundle SET STORAGE EXTERNAL",
)
_DOWN = ("DROP TABLE checkpoints",)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
