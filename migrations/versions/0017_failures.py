"""Failed attempts with class, evidence and decision; when a run is tried again."""

from collections.abc import Sequence

from alembic import op

revision: str = "0017"
down_revision: str | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    "ALTER TABLE workflow_runs ADD COLUMN retry_at TIMESTAMP WITH TIME ZONE",
    """
CREATE TABLE failure_analyses (
    run_id UUID NOT NULL,
    attempt INTEGER NOT NULL,
    workflow_name VARCHAR(100) NOT NULL,
    failed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    failure_class VARCHAR(50) NOT NULL,
    stop_reason VARCHAR(50) NOT NULL,
    cause VARCHAR(50),
    subject TEXT,
    error TEXT,
    evidence JSONB DEFAULT '{}' NOT NULL,
    advice VARCHAR(50) NOT NULL,
    resets_at TIMESTAMP WITH TIME ZONE,
    turns INTEGER DEFAULT '0' NOT NULL,
    action VARCHAR(50) NOT NULL,
    decision JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_failure_analyses PRIMARY KEY (run_id, attempt),
    CONSTRAINT valid_failed_attempt CHECK (attempt >= 1),
    CONSTRAINT valid_action CHECK (action IN ('retry', 'stop', 'wait')),
    CONSTRAINT fk_failure_analyses_run_id FOREIGN KEY(run_id) REFERENCES workflow_runs (id)
)
    """,
    """
CREATE INDEX idx_failure_analyses_retries
    ON failure_analyses (workflow_name, failure_class, failed_at DESC)
    WHERE action = 'retry'
    """,
)
_DOWN = (
    "DROP TABLE failure_analyses",
    "ALTER TABLE workflow_runs DROP COLUMN retry_at",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
