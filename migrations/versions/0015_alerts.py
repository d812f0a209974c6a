"""Alerts: episodes, subscriptions of channels, what was told, digests, and totals of days."""

from collections.abc import Sequence

from alembic import op

revision: str = "0015"
down_revision: str | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_SUBSCRIPTIONS = (
    """
CREATE TABLE alert_subscriptions (
    id UUID NOT NULL,
    team_id VARCHAR(32) NOT NULL,
    channel_id VARCHAR(32) NOT NULL,
    source VARCHAR(50) NOT NULL,
    kinds JSONB DEFAULT '[]' NOT NULL,
    workflow VARCHAR(100),
    repository VARCHAR(500),
    owner VARCHAR(64),
    least_severity INTEGER,
    least_cost_usd NUMERIC(14, 7),
    pending_for INTERVAL,
    mention VARCHAR(100),
    broadcasts BOOLEAN DEFAULT false NOT NULL,
    time_zone VARCHAR(64) DEFAULT 'UTC' NOT NULL,
    quiet_hours VARCHAR(20),
    digest VARCHAR(50),
    digest_hour INTEGER DEFAULT 9 NOT NULL,
    progress_every INTERVAL,
    muted_until TIMESTAMP WITH TIME ZONE,
    muted_by TEXT,
    created_by TEXT,
    created_by_id UUID,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    ended_reason VARCHAR(100),
    CONSTRAINT pk_alert_subscriptions PRIMARY KEY (id),
    CONSTRAINT valid_subscription_source CHECK (source IN ('api', 'config', 'slack')),
    CONSTRAINT valid_digest CHECK (digest IN ('daily', 'weekly')),
    CONSTRAINT valid_digest_hour CHECK (digest_hour BETWEEN 0 AND 23),
    CONSTRAINT valid_least_severity CHECK (least_severity BETWEEN 1 AND 3),
    CONSTRAINT fk_alert_subscriptions_created_by_id FOREIGN KEY (created_by_id)
        REFERENCES users (id)
)
    """,
    """
CREATE INDEX idx_alert_subscriptions_active ON alert_subscriptions (team_id, channel_id)
    WHERE ended_at IS NULL
    """,
    """
CREATE TABLE alert_digests (
    id UUID NOT NULL,
    subscription_id UUID NOT NULL,
    team_id VARCHAR(32) NOT NULL,
    channel_id VARCHAR(32) NOT NULL,
    period VARCHAR(50) NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    until TIMESTAMP WITH TIME ZONE NOT NULL,
    figures JSONB DEFAULT '{}' NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_alert_digests PRIMARY KEY (id),
    CONSTRAINT valid_digest_period CHECK (period IN ('daily', 'weekly')),
    CONSTRAINT fk_alert_digests_subscription_id FOREIGN KEY (subscription_id)
        REFERENCES alert_subscriptions (id)
)
    """,
    "CREATE UNIQUE INDEX uq_alert_digests_due ON alert_digests (subscription_id, until)",
)
_ALERTS = (
    """
CREATE TABLE alerts (
    id UUID NOT NULL,
    kind VARCHAR(50) NOT NULL,
    subject_type VARCHAR(50) NOT NULL,
    subject_id VARCHAR(255) NOT NULL,
    state VARCHAR(50) NOT NULL,
    severity INTEGER NOT NULL,
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    observed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    fired_at TIMESTAMP WITH TIME ZONE,
    recovering_at TIMESTAMP WITH TIME ZONE,
    resolved_at TIMESTAMP WITH TIME ZONE,
    resolution VARCHAR(50),
    occurrences INTEGER DEFAULT 1 NOT NULL,
    is_unstable BOOLEAN DEFAULT false NOT NULL,
    evidence JSONB DEFAULT '{}' NOT NULL,
    scope JSONB DEFAULT '{}' NOT NULL,
    run_id UUID,
    acknowledged_at TIMESTAMP WITH TIME ZONE,
    acknowledged_by TEXT,
    snoozed_until TIMESTAMP WITH TIME ZONE,
    snoozed_by TEXT,
    version BIGINT DEFAULT 1 NOT NULL,
    CONSTRAINT pk_alerts PRIMARY KEY (id),
    CONSTRAINT valid_alert_state
        CHECK (state IN ('firing', 'lapsed', 'pending', 'recovering', 'resolved')),
    CONSTRAINT valid_subject_type
        CHECK (subject_type IN ('day', 'fleet', 'run', 'slack', 'worker', 'workflow')),
    CONSTRAINT valid_resolution
        CHECK (resolution IN ('closed', 'continued', 'notice', 'recovered', 'run_ended')),
    CONSTRAINT valid_severity CHECK (severity BETWEEN 1 AND 3),
    CONSTRAINT fk_alerts_run_id FOREIGN KEY (run_id) REFERENCES workflow_runs (id)
)
    """,
    """
CREATE UNIQUE INDEX uq_alerts_open ON alerts (kind, subject_type, subject_id)
    WHERE state IN ('firing', 'pending', 'recovering')
    """,
    "CREATE INDEX idx_alerts_fired_at ON alerts (fired_at) WHERE fired_at IS NOT NULL",
    "CREATE INDEX idx_alerts_resolved_at ON alerts (resolved_at) WHERE resolved_at IS NOT NULL",
    "CREATE INDEX idx_alerts_subject ON alerts (kind, subject_type, subject_id, fired_at)",
    "CREATE INDEX idx_alerts_run_id ON alerts (run_id) WHERE run_id IS NOT NULL",
    """
CREATE TABLE alert_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    alert_id UUID NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    what VARCHAR(50) NOT NULL,
    by TEXT,
    data JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_alert_events PRIMARY KEY (id),
    CONSTRAINT valid_alert_event CHECK (what IN (
        'acknowledged', 'fired', 'lowered', 'raised', 'recovering', 'resolved', 'returned',
        'snooze_ended', 'snoozed', 'still_fine', 'unstable'
    )),
    CONSTRAINT fk_alert_events_alert_id FOREIGN KEY (alert_id)
        REFERENCES alerts (id) ON DELETE CASCADE
)
    """,
    "CREATE INDEX idx_alert_events_alert_id ON alert_events (alert_id, id)",
    """
CREATE TABLE alert_groups (
    id UUID NOT NULL,
    team_id VARCHAR(32) NOT NULL,
    channel_id VARCHAR(32) NOT NULL,
    type VARCHAR(50) NOT NULL,
    kind VARCHAR(50),
    opened_at TIMESTAMP WITH TIME ZONE NOT NULL,
    members INTEGER DEFAULT 1 NOT NULL,
    mention TEXT,
    CONSTRAINT pk_alert_groups PRIMARY KEY (id),
    CONSTRAINT valid_group_type CHECK (type IN ('alerts', 'quiet', 'summary'))
)
    """,
    "CREATE INDEX idx_alert_groups_channel ON alert_groups (team_id, channel_id, opened_at)",
    "CREATE INDEX idx_alert_groups_opened_at ON alert_groups (opened_at)",
    """
CREATE TABLE alert_deliveries (
    alert_id UUID NOT NULL,
    team_id VARCHAR(32) NOT NULL,
    channel_id VARCHAR(32) NOT NULL,
    handling VARCHAR(50) NOT NULL,
    group_id UUID,
    subscription_id UUID,
    held_until TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_alert_deliveries PRIMARY KEY (alert_id, team_id, channel_id),
    CONSTRAINT valid_handling CHECK (handling IN ('held', 'muted', 'shown', 'summed')),
    CONSTRAINT fk_alert_deliveries_alert_id FOREIGN KEY (alert_id)
        REFERENCES alerts (id) ON DELETE CASCADE,
    CONSTRAINT fk_alert_deliveries_group_id FOREIGN KEY (group_id)
        REFERENCES alert_groups (id) ON DELETE CASCADE,
    CONSTRAINT fk_alert_deliveries_subscription_id FOREIGN KEY (subscription_id)
        REFERENCES alert_subscriptions (id)
)
    """,
    "CREATE INDEX idx_alert_deliveries_group_id ON alert_deliveries (group_id)",
    """
CREATE INDEX idx_alert_deliveries_held ON alert_deliveries (held_until) WHERE handling = 'held'
    """,
)
_RUNS = (
    """
CREATE TABLE slack_health (
    team_id VARCHAR(32) NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    outdated INTEGER DEFAULT 0 NOT NULL,
    oldest_at TIMESTAMP WITH TIME ZONE,
    refused INTEGER DEFAULT 0 NOT NULL,
    limited JSONB DEFAULT '[]' NOT NULL,
    CONSTRAINT pk_slack_health PRIMARY KEY (team_id)
)
    """,
    """
CREATE TABLE run_progress_posts (
    run_id UUID NOT NULL,
    every INTERVAL NOT NULL,
    due_at TIMESTAMP WITH TIME ZONE,
    taken_at TIMESTAMP WITH TIME ZONE,
    count INTEGER DEFAULT 0 NOT NULL,
    figures JSONB DEFAULT '{}' NOT NULL,
    CONSTRAINT pk_run_progress_posts PRIMARY KEY (run_id),
    CONSTRAINT fk_run_progress_posts_run_id FOREIGN KEY (run_id) REFERENCES workflow_runs (id)
)
    """,
    """
CREATE INDEX idx_run_progress_posts_due ON run_progress_posts (due_at) WHERE due_at IS NOT NULL
    """,
    """
CREATE TABLE run_days (
    day DATE NOT NULL,
    workflow_name VARCHAR(100) NOT NULL,
    ended INTEGER DEFAULT 0 NOT NULL,
    judged INTEGER DEFAULT 0 NOT NULL,
    failures INTEGER DEFAULT 0 NOT NULL,
    costed INTEGER DEFAULT 0 NOT NULL,
    cost_usd NUMERIC(14, 7) DEFAULT 0 NOT NULL,
    CONSTRAINT pk_run_days PRIMARY KEY (day, workflow_name)
)
    """,
    # What the trends compare with reaches back eight weeks.
    """
INSERT INTO run_days (day, workflow_name, ended, judged, failures, costed, cost_usd)
SELECT (completed_at AT TIME ZONE 'UTC')::date, workflow_name, count(*),
    count(*) FILTER (WHERE status <> 'killed' AND stop_reason IS DISTINCT FROM 'usage_limit'),
    count(*) FILTER (WHERE status = 'failed'
        AND coalesce(stop_reason, '') NOT IN ('usage_limit', 'max_turns', 'budget')),
    count(cost_estimate), coalesce(sum(cost_estimate), 0)
FROM workflow_runs
WHERE status IN ('completed', 'failed', 'killed') AND completed_at IS NOT NULL
    AND created_at > now() - interval '70 days'
GROUP BY 1, 2
    """,
    # A constant default rewrites no row: nobody is told of runs that ended before.
    "ALTER TABLE workflow_runs ADD COLUMN is_end_evaluated BOOLEAN DEFAULT true NOT NULL",
    "ALTER TABLE workflow_runs ALTER COLUMN is_end_evaluated SET DEFAULT false",
    """
UPDATE workflow_runs SET is_end_evaluated = false WHERE status IN ('pending', 'running')
    """,
    """
CREATE INDEX idx_workflow_runs_unevaluated ON workflow_runs (created_at)
    WHERE NOT is_end_evaluated
    """,
    """
CREATE INDEX idx_workflow_runs_completed_at ON workflow_runs (completed_at)
    WHERE completed_at IS NOT NULL
    """,
)
_KINDS_OF_CHANGE = """
ALTER TABLE changes DROP CONSTRAINT valid_change_kind,
    ADD CONSTRAINT valid_change_kind CHECK (kind IN ({kinds}))
"""
# The same function as before, but that it names the moment at which the work of an ended run is
# measured: only then is it known what a completed run is told as.
_CHANGED_RUNS = """
CREATE OR REPLACE FUNCTION signalbox_record_changed_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (kind, subject, what)
        SELECT 'run', after.run_id, CASE
            WHEN after.status <> before.status THEN after.status
            WHEN after.kill_requested_at IS NOT NULL AND before.kill_requested_at IS NULL
                THEN 'kill_requested'{measured}
            ELSE 'progress'
        END
        FROM after JOIN before USING (id)
        WHERE after.version <> before.version
            OR after.status <> before.status
            OR after.kill_requested_at IS DISTINCT FROM before.kill_requested_at;
    IF FOUND THEN
        INSERT INTO drawables (kind, key, team_id, channel_id, desired_version)
            SELECT 'thread', thread_key, min(slack_team_id), min(slack_channel_id), max(version)
            FROM after
            WHERE thread_key IS NOT NULL AND slack_team_id IS NOT NULL
                AND slack_channel_id IS NOT NULL
            GROUP BY thread_key
            -- In one order for all, so that no two writers wait for each other.
            ORDER BY thread_key
            ON CONFLICT (kind, key) DO UPDATE SET desired_version =
                greatest(drawables.desired_version, excluded.desired_version);
        PERFORM pg_notify('signalbox_changes', '');
    END IF;
    RETURN NULL;
END
$$
"""
_MEASURED = """
            WHEN before.work_due_at IS NOT NULL AND after.work_due_at IS NULL THEN 'measured'"""
_DOWN = (
    "DROP INDEX idx_workflow_runs_completed_at",
    "ALTER TABLE workflow_runs DROP COLUMN is_end_evaluated",
    "DROP TABLE run_days",
    "DROP TABLE run_progress_posts",
    "DROP TABLE slack_health",
    "DROP TABLE alert_deliveries",
    "DROP TABLE alert_groups",
    "DROP TABLE alert_events",
    "DROP TABLE alerts",
    "DROP TABLE alert_digests",
    "DROP TABLE alert_subscriptions",
    "DELETE FROM changes WHERE kind = 'alert'",
    # What is drawn of alerts is not known to earlier versions.
    "DELETE FROM slack_uncertain_writes WHERE drawable_kind IN ('alert', 'digest', 'offer')",
    "DELETE FROM slack_messages WHERE drawable_kind IN ('alert', 'digest', 'offer')",
    "DELETE FROM drawables WHERE kind IN ('alert', 'digest', 'offer')",
)


def upgrade() -> None:
    for statement in (*_SUBSCRIPTIONS, *_ALERTS, *_RUNS):
        op.execute(statement)
    op.execute(_KINDS_OF_CHANGE.format(kinds="'alert', 'drawable', 'run', 'worker'"))
    op.execute(_CHANGED_RUNS.format(measured=_MEASURED))


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
    op.execute(_KINDS_OF_CHANGE.format(kinds="'drawable', 'run', 'worker'"))
    op.execute(_CHANGED_RUNS.format(measured=""))
