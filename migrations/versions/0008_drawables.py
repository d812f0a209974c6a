"""What is drawn in Slack gets rows of its own: threads, owner notices, Home tabs."""

from collections.abc import Sequence

from alembic import op

revision: str = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TABLES = (
    """
CREATE TABLE drawables (
    kind VARCHAR(50) NOT NULL,
    key TEXT NOT NULL,
    team_id VARCHAR(32) NOT NULL,
    channel_id VARCHAR(32),
    user_id VARCHAR(32),
    desired_version BIGINT NOT NULL,
    drawn_version BIGINT DEFAULT 0 NOT NULL,
    is_live BOOLEAN DEFAULT true NOT NULL,
    is_open BOOLEAN GENERATED ALWAYS AS (is_live OR drawn_version < desired_version) STORED NOT NULL,
    active_until TIMESTAMP WITH TIME ZONE,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT pk_drawables PRIMARY KEY (kind, key)
)
    """,
    "CREATE INDEX idx_drawables_open ON drawables (team_id) WHERE is_open",
    """
CREATE INDEX idx_drawables_active ON drawables (team_id, kind) WHERE active_until IS NOT NULL
    """,
    """
ALTER TABLE slack_messages ADD COLUMN drawable_kind VARCHAR(50) DEFAULT 'thread' NOT NULL
    """,
    """
ALTER TABLE slack_uncertain_writes ADD COLUMN drawable_kind VARCHAR(50) DEFAULT 'thread' NOT NULL
    """,
    "DROP INDEX uq_slack_messages_slot",
    """
CREATE UNIQUE INDEX uq_slack_messages_slot ON slack_messages (drawable_kind, thread_key, slot)
    """,
    "ALTER TABLE slack_uncertain_writes DROP CONSTRAINT pk_slack_uncertain_writes",
    """
ALTER TABLE slack_uncertain_writes ADD CONSTRAINT pk_slack_uncertain_writes
    PRIMARY KEY (drawable_kind, thread_key, slot, kind)
    """,
)
# A direct message about the end of a run stood among the messages of the run's thread.
_TO_KINDS = """
UPDATE {table} SET drawable_kind = 'owner_notice', thread_key = substring(slot FROM 4),
    slot = 'notice'
WHERE slot LIKE 'dm:%'
"""
_FILL = (
    """
INSERT INTO drawables
    (kind, key, team_id, channel_id, desired_version, drawn_version, is_live, created_at)
SELECT 'thread', runs.thread_key, min(runs.slack_team_id), min(runs.slack_channel_id),
    max(runs.version), coalesce(min(card.version) FILTER (WHERE card.state <> 'sending'), 0),
    bool_or(runs.status IN ('pending', 'running')), min(runs.created_at)
FROM workflow_runs AS runs
LEFT JOIN slack_messages AS card ON card.thread_key = runs.thread_key
    AND card.drawable_kind = 'thread' AND card.slot = 'card'
WHERE runs.thread_key IS NOT NULL AND runs.slack_team_id IS NOT NULL
    AND runs.slack_channel_id IS NOT NULL
GROUP BY runs.thread_key
    """,
    """
INSERT INTO drawables
    (kind, key, team_id, user_id, desired_version, drawn_version, is_live, created_at)
SELECT 'owner_notice', notice.thread_key, runs.slack_team_id, users.slack_user_id, 1,
    CASE WHEN notice.state = 'shown' OR notice.state = 'gone' AND notice.error <> 'unsent'
        THEN 1 ELSE 0 END,
    false, notice.updated_at
FROM slack_messages AS notice
JOIN workflow_runs AS runs ON runs.run_id = notice.thread_key
JOIN users ON users.id = runs.user_id
WHERE notice.drawable_kind = 'owner_notice' AND runs.slack_team_id IS NOT NULL
    """,
)
_WANT_THREADS = """
        INSERT INTO drawables (kind, key, team_id, channel_id, desired_version)
            SELECT 'thread', thread_key, min(slack_team_id), min(slack_channel_id), max(version)
            FROM {rows}
            WHERE thread_key IS NOT NULL AND slack_team_id IS NOT NULL
                AND slack_channel_id IS NOT NULL
            GROUP BY thread_key
            -- In one order for all, so that no two writers wait for each other.
            ORDER BY thread_key
            ON CONFLICT (kind, key) DO UPDATE SET desired_version =
                greatest(drawables.desired_version, excluded.desired_version);
"""
_ADDED_RUNS = """
CREATE OR REPLACE FUNCTION signalbox_record_added_runs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO changes (kind, subject, what) SELECT 'run', run_id, 'added' FROM added;
    IF FOUND THEN{drawables}
        PERFORM pg_notify('signalbox_changes', '');
    END IF;
    RETURN NULL;
END
$$
"""
_CHANGED_RUNS = """
CREATE OR REPLACE FUNCTION signalbox_record_changed_runs() RETURNS trigger LANGUAGE plpgsql AS $$
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
    IF FOUND THEN{drawables}
        PERFORM pg_notify('signalbox_changes', '');
    END IF;
    RETURN NULL;
END
$$
"""
_KINDS_OF_CHANGE = """
ALTER TABLE changes DROP CONSTRAINT valid_change_kind,
    ADD CONSTRAINT valid_change_kind CHECK (kind IN ({kinds}))
"""
_UNDRAWN_INDEX = """
CREATE INDEX idx_workflow_runs_undrawn ON workflow_runs (slack_team_id, thread_key)
    WHERE NOT is_drawn AND slack_channel_id IS NOT NULL
"""
# Whether an ended run is drawn is known; a row that is not is looked at once more.
_EMPTY_KINDS = (
    "DELETE FROM slack_uncertain_writes WHERE drawable_kind NOT IN ('thread', 'owner_notice')",
    "DELETE FROM slack_messages WHERE drawable_kind NOT IN ('thread', 'owner_notice')",
    """
UPDATE slack_messages AS card SET version = drawables.drawn_version
FROM drawables
WHERE drawables.kind = 'thread' AND drawables.key = card.thread_key
    AND card.drawable_kind = 'thread' AND card.slot = 'card'
    """,
    """
UPDATE workflow_runs SET is_drawn = true
FROM drawables
WHERE drawables.kind = 'thread' AND drawables.key = workflow_runs.thread_key
    AND drawables.drawn_version >= workflow_runs.version
    AND workflow_runs.status NOT IN ('pending', 'running')
    """,
)
_FROM_NOTICES = """
UPDATE {table} SET drawable_kind = 'thread', slot = 'dm:' || {table}.thread_key,
    thread_key = workflow_runs.thread_key
FROM workflow_runs
WHERE {table}.drawable_kind = 'owner_notice' AND workflow_runs.run_id = {table}.thread_key
    AND workflow_runs.thread_key IS NOT NULL
"""
_DELETE_REST = "DELETE FROM {table} WHERE drawable_kind <> 'thread'"
_SLACK_TABLES = ("slack_messages", "slack_uncertain_writes")


def upgrade() -> None:
    for statement in _TABLES:
        op.execute(statement)
    for table in _SLACK_TABLES:
        op.execute(_TO_KINDS.format(table=table))
    for statement in _FILL:
        op.execute(statement)
    op.execute(_KINDS_OF_CHANGE.format(kinds="'drawable', 'run', 'worker'"))
    op.execute(_ADDED_RUNS.format(drawables=_WANT_THREADS.format(rows="added")))
    op.execute(_CHANGED_RUNS.format(drawables=_WANT_THREADS.format(rows="after")))
    op.execute("DROP INDEX idx_workflow_runs_undrawn")
    op.execute("ALTER TABLE workflow_runs DROP COLUMN is_drawn")


def downgrade() -> None:
    op.execute(_ADDED_RUNS.format(drawables=""))
    op.execute(_CHANGED_RUNS.format(drawables=""))
    op.execute("DELETE FROM changes WHERE kind = 'drawable'")
    op.execute(_KINDS_OF_CHANGE.format(kinds="'run', 'worker'"))
    op.execute("ALTER TABLE workflow_runs ADD COLUMN is_drawn BOOLEAN DEFAULT false NOT NULL")
    op.execute(_UNDRAWN_INDEX)
    for statement in _EMPTY_KINDS:
        op.execute(statement)
    for table in _SLACK_TABLES:
        op.execute(_FROM_NOTICES.format(table=table))
        op.execute(_DELETE_REST.format(table=table))
    op.execute("ALTER TABLE slack_uncertain_writes DROP CONSTRAINT pk_slack_uncertain_writes")
    op.execute("DROP INDEX uq_slack_messages_slot")
    for table in _SLACK_TABLES:
        op.execute(f"ALTER TABLE {table} DROP COLUMN drawable_kind")
    op.execute("CREATE UNIQUE INDEX uq_slack_messages_slot ON slack_messages (thread_key, slot)")
    op.execute("""
        ALTER TABLE slack_uncertain_writes ADD CONSTRAINT pk_slack_uncertain_writes
            PRIMARY KEY (thread_key, slot, kind)
    """)
    op.execute("DROP TABLE drawables")
