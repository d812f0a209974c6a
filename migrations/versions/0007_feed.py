"""The feed of changes, filled by triggers in the transaction of each change."""

from collections.abc import Sequence

from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    """
CREATE TABLE changes (
    transaction XID8 DEFAULT pg_current_xact_id() NOT NULL,
    number BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    kind VARCHAR(50) NOT NULL,
    subject TEXT NOT NULL,
    what TEXT NOT NULL,
    CONSTRAINT pk_changes PRIMARY KEY (transaction, number),
    CONSTRAINT valid_change_kind CHECK (kind IN ('run', 'worker'))
)
    """,
    "CREATE INDEX idx_changes_at ON changes USING brin (at)",
    """
CREATE FUNCTION signalbox_record_added_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (kind, subject, what) SELECT 'run', run_id, 'added' FROM added;
    IF FOUND THEN
        PERFORM pg_notify('signalbox_changes', '');
    END IF;
    RETURN NULL;
END
$$
    """,
    # One statement of ours changes one run or twenty: a row each, one INSERT, one NOTIFY.
    """
CREATE FUNCTION signalbox_record_changed_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (kind, subject, what)
        SELECT 'run', after.run_id, CASE
            WHEN after.status <> before.status THEN after.status
            WHEN after.kill_requested_at IS NOT NULL AND before.kill_requested_at IS NULL
                THEN 'kill_requested'
            ELSE 'progress'
        END
        FROM after JOIN before USING (id)
        WHERE after.version <> before.version
            OR after.status <> before.status
            OR after.kill_requested_at IS DISTINCT FROM before.kill_requested_at;
    IF FOUND THEN
        PERFORM pg_notify('signalbox_changes', '');
    END IF;
    RETURN NULL;
END
$$
    """,
    """
CREATE TRIGGER signalbox_runs_added AFTER INSERT ON workflow_runs
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION signalbox_record_added_runs()
    """,
    """
CREATE TRIGGER signalbox_runs_changed AFTER UPDATE ON workflow_runs
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION signalbox_record_changed_runs()
    """,
    # A row at a time: the heartbeats of workers are turned away before any function is called.
    """
CREATE FUNCTION signalbox_record_worker() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (kind, subject, what) VALUES ('worker', NEW.worker_id, NEW.state);
    PERFORM pg_notify('signalbox_changes', '');
    RETURN NULL;
END
$$
    """,
    """
CREATE TRIGGER signalbox_worker_added AFTER INSERT ON workers
    FOR EACH ROW EXECUTE FUNCTION signalbox_record_worker()
    """,
    """
CREATE TRIGGER signalbox_worker_changed AFTER UPDATE ON workers
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION signalbox_record_worker()
    """,
    "DROP TRIGGER signalbox_run_added ON workflow_runs",
    "DROP TRIGGER signalbox_run_changed ON workflow_runs",
    "DROP FUNCTION signalbox_notify_run()",
)
_DOWN = (
    """
CREATE FUNCTION signalbox_notify_run() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('signalbox_runs', NEW.run_id);
    RETURN NULL;
END
$$
    """,
    """
CREATE TRIGGER signalbox_run_added AFTER INSERT ON workflow_runs
    FOR EACH ROW EXECUTE FUNCTION signalbox_notify_run()
    """,
    """
CREATE TRIGGER signalbox_run_changed AFTER UPDATE ON workflow_runs
    FOR EACH ROW
    WHEN (
        OLD.version IS DISTINCT FROM NEW.version
        OR OLD.status IS DISTINCT FROM NEW.status
        OR OLD.kill_requested_at IS DISTINCT FROM NEW.kill_requested_at
    )
    EXECUTE FUNCTION signalbox_notify_run()
    """,
    "DROP TRIGGER signalbox_worker_changed ON workers",
    "DROP TRIGGER signalbox_worker_added ON workers",
    "DROP FUNCTION signalbox_record_worker()",
    "DROP TRIGGER signalbox_runs_changed ON workflow_runs",
    "DROP TRIGGER signalbox_runs_added ON workflow_runs",
    "DROP FUNCTION signalbox_record_changed_runs()",
    "DROP FUNCTION signalbox_record_added_runs()",
    "DROP TABLE changes",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
