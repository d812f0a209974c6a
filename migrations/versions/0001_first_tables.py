"""The first tables.

Kept as SQL, since it is what was released: the models may change, this does not.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TABLES = (
    """
CREATE TABLE users (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    slack_team_id VARCHAR(32),
    slack_user_id VARCHAR(32),
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (id)
)
    """,
    """
CREATE TABLE sessions (
    id UUID NOT NULL,
    agent_name TEXT NOT NULL,
    name TEXT,
    user_id UUID,
    git_repo TEXT,
    git_branch TEXT,
    workspace_id TEXT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT fk_sessions_user_id FOREIGN KEY(user_id) REFERENCES users (id)
)
    """,
    """
CREATE TABLE workflow_runs (
    id UUID DEFAULT gen_random_uuid() NOT NULL,
    run_id VARCHAR(255) COLLATE "C" NOT NULL,
    workflow_name VARCHAR(100) NOT NULL,
    agent_type VARCHAR(100),
    ai_model VARCHAR(100),
    task_input TEXT NOT NULL,
    session_id UUID NOT NULL,
    session_name VARCHAR(255),
    git_repo VARCHAR(500),
    git_branch VARCHAR(255),
    initial_commit_hash VARCHAR(40),
    final_commit_hash VARCHAR(40),
    git_diff_added_lines INTEGER DEFAULT '0',
    git_diff_removed_lines INTEGER DEFAULT '0',
    git_diff_files_changed INTEGER DEFAULT '0',
    git_diff_stats JSONB DEFAULT '{}',
    status VARCHAR(50) DEFAULT 'pending' NOT NULL,
    result TEXT,
    error_message TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    updated_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    completed_at TIMESTAMP WITH TIME ZONE,
    duration_seconds INTEGER,
    workspace_id VARCHAR(255),
    workspace_persistent BOOLEAN DEFAULT true NOT NULL,
    workspace_cleaned_up BOOLEAN DEFAULT false NOT NULL,
    workspace_path VARCHAR(500),
    cost_estimate NUMERIC(14, 7),
    cost_source VARCHAR(50),
    input_tokens BIGINT DEFAULT '0' NOT NULL,
    output_tokens BIGINT DEFAULT '0' NOT NULL,
    total_tokens BIGINT DEFAULT '0' NOT NULL,
    cache_read_tokens BIGINT DEFAULT '0' NOT NULL,
    cache_creation_tokens BIGINT DEFAULT '0' NOT NULL,
    user_id UUID,
    metadata JSONB DEFAULT '{}' NOT NULL,
    stop_reason VARCHAR(50),
    waiting_on VARCHAR(50),
    turns INTEGER DEFAULT '0' NOT NULL,
    max_turns INTEGER,
    budget_usd NUMERIC(14, 7),
    timeout_seconds NUMERIC(12, 3),
    tool_calls INTEGER DEFAULT '0' NOT NULL,
    tools_used JSONB DEFAULT '[]' NOT NULL,
    parent_run_id UUID,
    restarted_from_checkpoint_id UUID,
    attempt INTEGER DEFAULT '1' NOT NULL,
    priority INTEGER DEFAULT '0' NOT NULL,
    kill_requested_at TIMESTAMP WITH TIME ZONE,
    last_activity_at TIMESTAMP WITH TIME ZONE,
    last_activity TEXT,
    worker_id TEXT,
    version BIGINT DEFAULT '1' NOT NULL,
    slack_team_id VARCHAR(32),
    slack_channel_id VARCHAR(32),
    thread_key VARCHAR(255),
    request_key VARCHAR(255),
    job_id BIGINT,
    is_drawn BOOLEAN DEFAULT false NOT NULL,
    CONSTRAINT pk_workflow_runs PRIMARY KEY (id),
    CONSTRAINT valid_status CHECK (status IN ('completed', 'failed', 'killed', 'pending',
        'running')),
    CONSTRAINT valid_duration CHECK (duration_seconds IS NULL OR duration_seconds >= 0),
    CONSTRAINT valid_tokens CHECK (input_tokens >= 0 AND output_tokens >= 0 AND total_tokens >=
        0 AND cache_read_tokens >= 0 AND cache_creation_tokens >= 0),
    CONSTRAINT valid_stop_reason CHECK (stop_reason IN ('agent_error', 'api_error', 'budget',
        'killed', 'max_turns', 'no_result', 'setup_error', 'success', 'timeout', 'usage_limit',
        'worker_lost', 'workspace_error')),
    CONSTRAINT valid_waiting_on CHECK (waiting_on IN ('approval', 'budget', 'question',
        'usage_limit')),
    CONSTRAINT valid_cost_source CHECK (cost_source IN ('estimated', 'reported')),
    CONSTRAINT valid_attempt CHECK (attempt >= 1 AND version >= 1),
    CONSTRAINT fk_workflow_runs_session_id FOREIGN KEY(session_id) REFERENCES sessions (id),
    CONSTRAINT fk_workflow_runs_user_id FOREIGN KEY(user_id) REFERENCES users (id),
    CONSTRAINT fk_workflow_runs_parent_run_id FOREIGN KEY(parent_run_id) REFERENCES
        workflow_runs (id)
)
    """,
    """
CREATE TABLE messages (
    id UUID NOT NULL,
    session_id UUID NOT NULL,
    run_id UUID,
    user_id UUID,
    role VARCHAR(50) NOT NULL,
    message_type VARCHAR(50) NOT NULL,
    text_content TEXT NOT NULL,
    metadata JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_messages PRIMARY KEY (id),
    CONSTRAINT valid_role CHECK (role IN ('assistant', 'user')),
    CONSTRAINT valid_message_type CHECK (message_type IN ('answer', 'approval', 'intervention',
        'question', 'result', 'workflow_start')),
    CONSTRAINT fk_messages_session_id FOREIGN KEY(session_id) REFERENCES sessions (id),
    CONSTRAINT fk_messages_run_id FOREIGN KEY(run_id) REFERENCES workflow_runs (id),
    CONSTRAINT fk_messages_user_id FOREIGN KEY(user_id) REFERENCES users (id)
)
    """,
    """
CREATE TABLE workflow_processes (
    id UUID NOT NULL,
    run_id UUID NOT NULL,
    attempt INTEGER NOT NULL,
    worker_id TEXT NOT NULL,
    host TEXT NOT NULL,
    agent_pid INTEGER,
    agent_started_ticks BIGINT,
    agent_name TEXT,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    heartbeat_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_workflow_processes PRIMARY KEY (id),
    CONSTRAINT fk_workflow_processes_run_id FOREIGN KEY(run_id) REFERENCES workflow_runs (id)
)
    """,
    """
CREATE TABLE workflow_steps (
    run_id UUID NOT NULL,
    step_id INTEGER NOT NULL,
    source_id TEXT,
    name TEXT NOT NULL,
    active_name TEXT,
    status VARCHAR(50) NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    completed_at TIMESTAMP WITH TIME ZONE,
    result TEXT,
    tools_used JSONB DEFAULT '[]' NOT NULL,
    tool_calls INTEGER DEFAULT '0' NOT NULL,
    cost_usd NUMERIC(14, 7),
    error TEXT,
    CONSTRAINT pk_workflow_steps PRIMARY KEY (run_id, step_id),
    CONSTRAINT valid_step_status CHECK (status IN ('completed', 'failed', 'in_progress',
        'pending', 'skipped')),
    CONSTRAINT fk_workflow_steps_run_id FOREIGN KEY(run_id) REFERENCES workflow_runs (id)
)
    """,
    """
CREATE TABLE run_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    run_id UUID NOT NULL,
    attempt INTEGER NOT NULL,
    kind VARCHAR(50) NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    data JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_run_events PRIMARY KEY (id),
    CONSTRAINT fk_run_events_run_id FOREIGN KEY(run_id) REFERENCES workflow_runs (id)
)
    """,
    """
CREATE TABLE terminations (
    id UUID NOT NULL,
    run_id UUID NOT NULL,
    phase VARCHAR(50) NOT NULL,
    requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
    requested_by UUID,
    requested_by_name TEXT,
    requested_from VARCHAR(50) NOT NULL,
    reason TEXT,
    force BOOLEAN NOT NULL,
    phases JSONB DEFAULT '{}' NOT NULL,
    processes_seen INTEGER DEFAULT '0' NOT NULL,
    survivors JSONB DEFAULT '[]' NOT NULL,
    work_saved JSONB DEFAULT '{}' NOT NULL,
    completed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_terminations PRIMARY KEY (id),
    CONSTRAINT valid_phase CHECK (phase IN ('acknowledged', 'confirmed', 'draining',
        'interrupted', 'killed', 'requested', 'terminated', 'unconfirmed')),
    CONSTRAINT fk_terminations_run_id FOREIGN KEY(run_id) REFERENCES workflow_runs (id),
    CONSTRAINT fk_terminations_requested_by FOREIGN KEY(requested_by) REFERENCES users (id)
)
    """,
    """
CREATE TABLE transcript_entries (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    scope TEXT NOT NULL,
    session_id TEXT NOT NULL,
    subpath TEXT NOT NULL,
    project_key TEXT NOT NULL,
    entry_uuid TEXT,
    entry JSON NOT NULL,
    stored_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_transcript_entries PRIMARY KEY (id)
)
    """,
    """
CREATE TABLE slack_messages (
    id UUID NOT NULL,
    thread_key TEXT NOT NULL,
    slot TEXT NOT NULL,
    channel_id VARCHAR(32) NOT NULL,
    state VARCHAR(50) NOT NULL,
    message_ts VARCHAR(32),
    thread_ts VARCHAR(32),
    version BIGINT DEFAULT '0' NOT NULL,
    content_hash TEXT,
    attempts INTEGER DEFAULT '0' NOT NULL,
    error TEXT,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_slack_messages PRIMARY KEY (id),
    CONSTRAINT valid_shown_state CHECK (state IN ('gone', 'sending', 'shown'))
)
    """,
    """
CREATE TABLE slack_deliveries (
    key TEXT NOT NULL,
    body JSONB,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    claimed_at TIMESTAMP WITH TIME ZONE,
    done_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_slack_deliveries PRIMARY KEY (key)
)
    """,
    """
CREATE TABLE audit_log (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    action TEXT NOT NULL,
    allowed BOOLEAN NOT NULL,
    run_id UUID,
    reason TEXT,
    details JSONB DEFAULT '{}' NOT NULL,
    actor_role INTEGER NOT NULL,
    actor_origin VARCHAR(50) NOT NULL,
    actor_user_id UUID,
    actor_external_id TEXT,
    actor_team_id TEXT,
    actor_name TEXT NOT NULL,
    CONSTRAINT pk_audit_log PRIMARY KEY (id),
    CONSTRAINT fk_audit_log_actor_user_id FOREIGN KEY(actor_user_id) REFERENCES users (id)
)
    """,
)

_INDEXES = (
    "CREATE UNIQUE INDEX uq_users_slack ON users (slack_team_id, slack_user_id)",
    "CREATE INDEX idx_sessions_name ON sessions (name, created_at)",
    "CREATE INDEX idx_sessions_user_id ON sessions (user_id)",
    "CREATE INDEX idx_workflow_runs_created_at ON workflow_runs (created_at DESC)",
    "CREATE INDEX idx_workflow_runs_git_branch ON workflow_runs (git_branch)",
    "CREATE INDEX idx_workflow_runs_git_diff_stats_gin ON workflow_runs USING gin (git_diff_stats)",
    "CREATE INDEX idx_workflow_runs_metadata_gin ON workflow_runs USING gin (metadata)",
    "CREATE INDEX idx_workflow_runs_parent_run_id ON workflow_runs (parent_run_id)",
    "CREATE UNIQUE INDEX idx_workflow_runs_run_id_unique ON workflow_runs (run_id)",
    "CREATE INDEX idx_workflow_runs_session_id ON workflow_runs (session_id, created_at)",
    "CREATE INDEX idx_workflow_runs_status ON workflow_runs (status, created_at DESC)",
    "CREATE INDEX idx_workflow_runs_thread_key ON workflow_runs (thread_key)",
    "CREATE INDEX idx_workflow_runs_undrawn ON workflow_runs (slack_team_id, thread_key) WHERE NOT is_drawn AND slack_channel_id IS NOT NULL",
    "CREATE INDEX idx_workflow_runs_user_id ON workflow_runs (user_id, created_at DESC)",
    "CREATE INDEX idx_workflow_runs_workflow_name ON workflow_runs (workflow_name, created_at DESC)",
    "CREATE INDEX idx_workflow_runs_workspace_id ON workflow_runs (workspace_id)",
    "CREATE UNIQUE INDEX uq_workflow_runs_live_session ON workflow_runs (session_id) WHERE status IN ('pending', 'running')",
    "CREATE UNIQUE INDEX uq_workflow_runs_request_key ON workflow_runs (request_key)",
    "CREATE INDEX idx_messages_run_id ON messages (run_id)",
    "CREATE INDEX idx_messages_session_id ON messages (session_id, created_at)",
    "CREATE INDEX idx_workflow_processes_host ON workflow_processes (host) WHERE ended_at IS NULL",
    "CREATE INDEX idx_workflow_processes_worker_id ON workflow_processes (worker_id) WHERE ended_at IS NULL",
    "CREATE UNIQUE INDEX uq_workflow_processes_attempt ON workflow_processes (run_id, attempt)",
    "CREATE INDEX idx_run_events_run_id ON run_events (run_id, id)",
    "CREATE INDEX idx_terminations_run_id ON terminations (run_id, requested_at)",
    "CREATE UNIQUE INDEX uq_terminations_open ON terminations (run_id) WHERE NOT (phase IN ('confirmed'))",
    "CREATE INDEX idx_transcript_entries_project ON transcript_entries (project_key, session_id) WHERE subpath = ''",
    "CREATE INDEX idx_transcript_entries_session ON transcript_entries (session_id, scope, subpath, id)",
    "CREATE UNIQUE INDEX uq_transcript_entries_uuid ON transcript_entries (session_id, scope, subpath, entry_uuid) WHERE entry_uuid IS NOT NULL",
    "CREATE INDEX idx_slack_messages_place ON slack_messages (channel_id, message_ts)",
    "CREATE UNIQUE INDEX uq_slack_messages_slot ON slack_messages (thread_key, slot)",
    "CREATE INDEX idx_slack_deliveries_unfinished ON slack_deliveries (received_at) WHERE done_at IS NULL",
    "CREATE INDEX idx_audit_log_actor_user_id ON audit_log (actor_user_id)",
    "CREATE INDEX idx_audit_log_at ON audit_log (at)",
    "CREATE INDEX idx_audit_log_run_id ON audit_log (run_id)",
)

_TRIGGERS = (
    # Sent at commit, to make listeners read the row.  Polling covers a lost notification.
    """
    CREATE FUNCTION signalbox_notify_run() RETURNS trigger LANGUAGE plpgsql AS $$
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
    """,
    """
    CREATE TRIGGER signalbox_run_added AFTER INSERT ON workflow_runs
        FOR EACH ROW EXECUTE FUNCTION signalbox_notify_run()
    """,
    # Only for what can be seen: to note that a run was drawn is no change of it.
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
    # `SET LOCAL signalbox.retention = 'on'` lets retention delete what is old.
    """
    CREATE FUNCTION signalbox_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('signalbox.retention', true) = 'on' THEN
            RETURN NULL;
        END IF;
        RAISE EXCEPTION 'rows of % are only ever added', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END
    $$
    """,
    """
    CREATE TRIGGER signalbox_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON run_events
        FOR EACH STATEMENT EXECUTE FUNCTION signalbox_refuse_change()
    """,
    """
    CREATE TRIGGER signalbox_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
        FOR EACH STATEMENT EXECUTE FUNCTION signalbox_refuse_change()
    """,
)


def upgrade() -> None:
    connection = op.get_bind()
    for statement in (*_TABLES, *_INDEXES, *_TRIGGERS):
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    connection = op.get_bind()
    for table in (
        "audit_log",
        "slack_deliveries",
        "slack_messages",
        "transcript_entries",
        "terminations",
        "run_events",
        "workflow_steps",
        "workflow_processes",
        "messages",
        "workflow_runs",
        "sessions",
        "users",
    ):
        connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql("DROP FUNCTION signalbox_notify_run()")
    connection.exec_driver_sql("DROP FUNCTION signalbox_refuse_change()")
