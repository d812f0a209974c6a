"""The fleet: workers, caps, carried work; what a kill waited for and cleared away."""

from collections.abc import Sequence

from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    """
CREATE TABLE workers (
    worker_id TEXT NOT NULL,
    node TEXT NOT NULL,
    host TEXT NOT NULL,
    slots INTEGER NOT NULL,
    state VARCHAR(50) NOT NULL,
    program_version TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    heartbeat_at TIMESTAMP WITH TIME ZONE NOT NULL,
    stopped_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_workers PRIMARY KEY (worker_id),
    CONSTRAINT valid_worker_state CHECK (state IN ('draining', 'gone', 'up'))
)
    """,
    "CREATE INDEX idx_workers_heartbeat_at ON workers (heartbeat_at)",
    "CREATE INDEX idx_workers_node ON workers (node)",
    """
CREATE TABLE fleet_caps (
    name VARCHAR(50) NOT NULL,
    runs INTEGER NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_fleet_caps PRIMARY KEY (name),
    CONSTRAINT valid_cap CHECK (runs >= 1)
)
    """,
    """
CREATE TABLE carried_work (
    id UUID NOT NULL,
    session_id UUID NOT NULL,
    run_id UUID NOT NULL,
    attempt INTEGER NOT NULL,
    branch TEXT,
    base_commit VARCHAR(64),
    commit VARCHAR(64) NOT NULL,
    head_commit VARCHAR(64),
    uncommitted BOOLEAN NOT NULL,
    "references" JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    bundle BYTEA NOT NULL,
    CONSTRAINT pk_carried_work PRIMARY KEY (id),
    CONSTRAINT fk_carried_work_session_id FOREIGN KEY (session_id) REFERENCES sessions (id),
    CONSTRAINT fk_carried_work_run_id FOREIGN KEY (run_id) REFERENCES workflow_runs (id)
)
    """,
    "CREATE INDEX idx_carried_work_session ON carried_work (session_id, created_at)",
    "CREATE INDEX idx_carried_work_run_id ON carried_work (run_id)",
    # A bundle is compressed already.
    "ALTER TABLE carried_work ALTER COLUMN bundle SET STORAGE EXTERNAL",
    "ALTER TABLE sessions ADD COLUMN workspace_node TEXT",
    """
ALTER TABLE workflow_runs
    ADD COLUMN on_worker_lost VARCHAR(50) DEFAULT 'resume' NOT NULL,
    ADD COLUMN queue_reason VARCHAR(50),
    ADD CONSTRAINT valid_on_worker_lost CHECK (on_worker_lost IN ('fail', 'resume')),
    ADD CONSTRAINT valid_queue_reason CHECK (queue_reason IN ('fleet', 'person', 'repository'))
    """,
    "ALTER TABLE workflow_processes ADD COLUMN gone_at TIMESTAMP WITH TIME ZONE",
    """
CREATE INDEX idx_workflow_runs_live ON workflow_runs (priority DESC, created_at)
    WHERE status IN ('pending', 'running')
    """,
    """
ALTER TABLE terminations
    ADD COLUMN waited_for JSONB DEFAULT '[]' NOT NULL,
    ADD COLUMN cleanup JSONB DEFAULT '{}' NOT NULL
    """,
    "CREATE INDEX idx_slack_messages_gone ON slack_messages (channel_id) WHERE state = 'gone'",
)
_DOWN = (
    "DROP INDEX idx_slack_messages_gone",
    "ALTER TABLE terminations DROP COLUMN waited_for, DROP COLUMN cleanup",
    "DROP INDEX idx_workflow_runs_live",
    "ALTER TABLE workflow_processes DROP COLUMN gone_at",
    "ALTER TABLE workflow_runs DROP COLUMN on_worker_lost, DROP COLUMN queue_reason",
    "ALTER TABLE sessions DROP COLUMN workspace_node",
    "DROP TABLE carried_work",
    "DROP TABLE fleet_caps",
    "DROP TABLE workers",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
