"""The history of runs by day, workflow, repository and person; triggers mark what has changed.

The days before are only marked: the clock computes them one after the other, and until then they
are computed when somebody asks.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0025"
down_revision: str | None = "0024"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TABLES = (
    """
CREATE TABLE analytics_days (
    grain smallint NOT NULL,
    day date NOT NULL,
    workflow_name varchar(100) NOT NULL,
    repository varchar(500) NOT NULL,
    person uuid NOT NULL,
    completed integer NOT NULL,
    attention integer NOT NULL,
    failed integer NOT NULL,
    killed integer NOT NULL,
    reason_success integer NOT NULL,
    reason_max_turns integer NOT NULL,
    reason_budget integer NOT NULL,
    reason_timeout integer NOT NULL,
    reason_killed integer NOT NULL,
    reason_usage_limit integer NOT NULL,
    reason_api_error integer NOT NULL,
    reason_agent_error integer NOT NULL,
    reason_no_result integer NOT NULL,
    reason_worker_lost integer NOT NULL,
    reason_workspace_error integer NOT NULL,
    reason_setup_error integer NOT NULL,
    durations integer NOT NULL,
    duration_seconds bigint NOT NULL,
    duration_histogram numeric NOT NULL,
    reported_usd numeric(18, 7) NOT NULL,
    reported_runs integer NOT NULL,
    estimated_usd numeric(18, 7) NOT NULL,
    estimated_runs integer NOT NULL,
    unknown_runs integer NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_tokens bigint NOT NULL,
    cache_creation_tokens bigint NOT NULL,
    unknown_usage integer NOT NULL,
    turns bigint NOT NULL,
    tool_calls bigint NOT NULL,
    kills integer NOT NULL,
    kills_confirmed integer NOT NULL,
    kills_unconfirmed integer NOT NULL,
    kill_times integer NOT NULL,
    kill_milliseconds bigint NOT NULL,
    kill_histogram numeric NOT NULL,
    CONSTRAINT pk_analytics_days PRIMARY KEY (grain, day, workflow_name, repository, person)
)
    """,
    """
CREATE INDEX idx_analytics_days_workflow ON analytics_days (workflow_name, day) WHERE grain = 0
    """,
    """
CREATE INDEX idx_analytics_days_repository ON analytics_days (repository, day) WHERE grain = 0
    """,
    "CREATE INDEX idx_analytics_days_person ON analytics_days (person, day) WHERE grain = 0",
    """
CREATE TABLE analytics_marks (
    id bigint GENERATED ALWAYS AS IDENTITY,
    day date NOT NULL,
    CONSTRAINT pk_analytics_marks PRIMARY KEY (id)
)
    """,
    "CREATE INDEX idx_analytics_marks_day ON analytics_marks (day)",
    """
INSERT INTO analytics_marks (day)
SELECT (completed_at AT TIME ZONE 'UTC')::date FROM workflow_runs WHERE completed_at IS NOT NULL
UNION
SELECT (requested_at AT TIME ZONE 'UTC')::date FROM terminations
ORDER BY 1
    """,
)
# What a day is made of.  Progress of live runs changes none of it: the condition of the trigger
# turns it away before the function is called.
_CHANGED = " OR ".join(
    f"OLD.{column} IS DISTINCT FROM NEW.{column}"
    for column in (
        "completed_at",
        "started_at",
        "status",
        "stop_reason",
        "outcome",
        "duration_seconds",
        "tool_calls",
        "workflow_name",
        "git_repo",
        "user_id",
    )
)
_TRIGGERS = (
    """
CREATE FUNCTION signalbox_mark_run_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO analytics_marks (day)
    SELECT DISTINCT (at AT TIME ZONE 'UTC')::date
    FROM unnest(ARRAY[
        CASE WHEN TG_OP <> 'INSERT' THEN OLD.completed_at END,
        CASE WHEN TG_OP <> 'DELETE' THEN NEW.completed_at END
    ]) AS changed (at)
    WHERE at IS NOT NULL;
    -- Its kills are told apart by what the run belongs to, too.
    IF TG_OP = 'UPDATE' AND (
        OLD.completed_at IS DISTINCT FROM NEW.completed_at
        OR OLD.workflow_name <> NEW.workflow_name
        OR OLD.git_repo IS DISTINCT FROM NEW.git_repo
        OR OLD.user_id IS DISTINCT FROM NEW.user_id
    ) THEN
        INSERT INTO analytics_marks (day)
        SELECT DISTINCT (requested_at AT TIME ZONE 'UTC')::date
        FROM terminations WHERE run_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$
    """,
    """
CREATE TRIGGER signalbox_run_day_added AFTER INSERT ON workflow_runs
    FOR EACH ROW WHEN (NEW.completed_at IS NOT NULL)
    EXECUTE FUNCTION signalbox_mark_run_day()
    """,
    f"""
CREATE TRIGGER signalbox_run_day_changed AFTER UPDATE ON workflow_runs
    FOR EACH ROW WHEN (
        (NEW.completed_at IS NOT NULL OR OLD.completed_at IS NOT NULL) AND ({_CHANGED})
    )
    EXECUTE FUNCTION signalbox_mark_run_day()
    """,
    """
CREATE TRIGGER signalbox_run_day_removed AFTER DELETE ON workflow_runs
    FOR EACH ROW WHEN (OLD.completed_at IS NOT NULL)
    EXECUTE FUNCTION signalbox_mark_run_day()
    """,
    # An entry is written about once a second while its run goes on; then the run has no day yet.
    """
CREATE FUNCTION signalbox_mark_ledger_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO analytics_marks (day)
    SELECT (completed_at AT TIME ZONE 'UTC')::date FROM workflow_runs
    WHERE id = CASE WHEN TG_OP = 'DELETE' THEN OLD.run_id ELSE NEW.run_id END
        AND completed_at IS NOT NULL;
    RETURN NULL;
END
$$
    """,
    """
CREATE TRIGGER signalbox_ledger_day AFTER INSERT OR UPDATE OR DELETE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION signalbox_mark_ledger_day()
    """,
    """
CREATE FUNCTION signalbox_mark_kill_day() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO analytics_marks (day)
    VALUES ((
        CASE WHEN TG_OP = 'DELETE' THEN OLD.requested_at ELSE NEW.requested_at END
        AT TIME ZONE 'UTC'
    )::date);
    RETURN NULL;
END
$$
    """,
    """
CREATE TRIGGER signalbox_kill_day AFTER INSERT OR DELETE ON terminations
    FOR EACH ROW EXECUTE FUNCTION signalbox_mark_kill_day()
    """,
    """
CREATE TRIGGER signalbox_kill_day_changed AFTER UPDATE ON terminations
    FOR EACH ROW WHEN (OLD.phase <> NEW.phase OR OLD.phases <> NEW.phases)
    EXECUTE FUNCTION signalbox_mark_kill_day()
    """,
)
_DOWN = (
    "DROP TRIGGER signalbox_kill_day_changed ON terminations",
    "DROP TRIGGER signalbox_kill_day ON terminations",
    "DROP TRIGGER signalbox_ledger_day ON ledger_entries",
    "DROP TRIGGER signalbox_run_day_removed ON workflow_runs",
    "DROP TRIGGER signalbox_run_day_changed ON workflow_runs",
    "DROP TRIGGER signalbox_run_day_added ON workflow_runs",
    "DROP FUNCTION signalbox_mark_kill_day()",
    "DROP FUNCTION signalbox_mark_ledger_day()",
    "DROP FUNCTION signalbox_mark_run_day()",
    "DROP TABLE analytics_marks",
    "DROP TABLE analytics_days",
)


def upgrade() -> None:
    for statement in (*_TABLES, *_TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
