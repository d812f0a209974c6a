"""Add messages to workers; remove the unused notification of kills."""

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TABLE = """
    CREATE TABLE worker_messages (
        id BIGINT GENERATED ALWAYS AS IDENTITY,
        worker_id TEXT NOT NULL,
        run_id UUID NOT NULL,
        attempt INTEGER NOT NULL,
        kind VARCHAR(50) NOT NULL,
        payload JSONB DEFAULT '{}' NOT NULL,
        created_at TIMESTAMP WITH TIME ZONE NOT NULL,
        handled_at TIMESTAMP WITH TIME ZONE,
        outcome VARCHAR(50),
        CONSTRAINT pk_worker_messages PRIMARY KEY (id),
        CONSTRAINT valid_message_outcome CHECK (outcome IN ('handled', 'ignored', 'unknown')),
        CONSTRAINT fk_worker_messages_run_id FOREIGN KEY (run_id) REFERENCES workflow_runs (id)
    )
"""
_INDEX = """
    CREATE INDEX idx_worker_messages_unhandled ON worker_messages (worker_id, id)
        WHERE handled_at IS NULL
"""
_NOTIFY_RUN = """
    CREATE OR REPLACE FUNCTION signalbox_notify_run() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('signalbox_runs', NEW.run_id);
        RETURN NULL;
    END
    $$
"""
_NOTIFY_RUN_AND_KILL = """
    CREATE OR REPLACE FUNCTION signalbox_notify_run() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('signalbox_runs', NEW.run_id);
        IF NEW.kill_requested_at IS NOT NULL
            AND (TG_OP = 'INSERT' OR OLD.kill_requested_at IS NULL)
        THEN
            PERFORM pg_notify('signalbox_kills', NEW.run_id);
        END IF;
        RETURN NULL;
    END
    $$
"""


def upgrade() -> None:
    for statement in (_TABLE, _INDEX, _NOTIFY_RUN):
        op.execute(statement)


def downgrade() -> None:
    op.execute(_NOTIFY_RUN_AND_KILL)
    op.execute("DROP TABLE worker_messages")
