"""Names of sessions that move when a session is closed, and the ledger of agent processes."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_COLUMNS = """
ALTER TABLE sessions
    ADD COLUMN name_key text,
    ADD COLUMN closed_at timestamptz
"""
# Of several sessions of one owner and name the newest keeps the name.
_CLOSE_OLDER = """
UPDATE sessions s SET closed_at = now()
WHERE name_key IS NOT NULL AND EXISTS (
    SELECT FROM sessions other
    WHERE other.name_key = s.name_key AND other.user_id IS NOT DISTINCT FROM s.user_id
        AND (other.created_at, other.id) > (s.created_at, s.id)
)
"""
_NAMES = (
    """
ALTER TABLE sessions
    ADD CONSTRAINT name_has_key CHECK ((name IS NULL) = (name_key IS NULL))
    """,
    "DROP INDEX idx_sessions_name",
    """
CREATE INDEX idx_sessions_name_key ON sessions (name_key, created_at)
    WHERE name_key IS NOT NULL
    """,
    """
CREATE UNIQUE INDEX uq_sessions_open_name ON sessions (user_id, name_key) NULLS NOT DISTINCT
    WHERE name_key IS NOT NULL AND closed_at IS NULL
    """,
    "CREATE INDEX idx_sessions_created_at ON sessions (created_at DESC, id)",
    # With the id, so that pages of messages of one moment need no sorting.
    "DROP INDEX idx_messages_session_id",
    "CREATE INDEX idx_messages_session_id ON messages (session_id, created_at, id)",
)
_LEDGER = (
    """
CREATE TABLE ledger_entries (
    run_id uuid NOT NULL,
    attempt integer NOT NULL,
    session_id uuid NOT NULL,
    source varchar(50) NOT NULL,
    cost_usd numeric(14, 7),
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_creation_tokens bigint,
    turns integer NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT pk_ledger_entries PRIMARY KEY (run_id, attempt),
    CONSTRAINT fk_ledger_entries_run_id FOREIGN KEY (run_id) REFERENCES workflow_runs (id),
    CONSTRAINT fk_ledger_entries_session_id FOREIGN KEY (session_id) REFERENCES sessions (id),
    CONSTRAINT valid_entry_source CHECK (source IN ('estimated', 'reported', 'unknown')),
    CONSTRAINT unknown_has_no_cost CHECK ((source = 'unknown') = (cost_usd IS NULL)),
    CONSTRAINT valid_entry_cost CHECK (cost_usd >= 0 AND cost_usd <> 'NaN'),
    CONSTRAINT valid_entry CHECK (
        attempt >= 1 AND turns >= 0 AND input_tokens >= 0 AND output_tokens >= 0
        AND cache_read_tokens >= 0 AND cache_creation_tokens >= 0
        AND num_nulls(
            input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens
        ) IN (0, 4)
    )
)
    """,
    "CREATE INDEX idx_ledger_entries_session_id ON ledger_entries (session_id)",
    # A run's row has the sum of all its attempts: it becomes the entry of the last one.
    """
INSERT INTO ledger_entries
SELECT r.id, r.attempt, r.session_id,
       CASE WHEN r.cost_estimate IS NULL THEN 'unknown'
            WHEN r.cost_source = 'reported' THEN 'reported'
            ELSE 'estimated' END,
       r.cost_estimate,
       CASE WHEN tokens.are_known THEN r.input_tokens END,
       CASE WHEN tokens.are_known THEN r.output_tokens END,
       CASE WHEN tokens.are_known THEN r.cache_read_tokens END,
       CASE WHEN tokens.are_known THEN r.cache_creation_tokens END,
       greatest(r.turns, 0), coalesce(r.completed_at, r.updated_at)
FROM workflow_runs r
CROSS JOIN LATERAL (
    SELECT r.input_tokens + r.output_tokens + r.cache_read_tokens + r.cache_creation_tokens > 0
        AS are_known
) tokens
WHERE r.started_at IS NOT NULL AND (
    r.turns > 0 OR r.cost_estimate IS NOT NULL OR EXISTS (
        SELECT FROM workflow_processes p WHERE p.run_id = r.id AND p.agent_pid IS NOT NULL
    )
)
    """,
)
_DOWN = (
    "DROP TABLE ledger_entries",
    "DROP INDEX idx_messages_session_id",
    "CREATE INDEX idx_messages_session_id ON messages (session_id, created_at)",
    "DROP INDEX idx_sessions_created_at",
    "DROP INDEX uq_sessions_open_name",
    "DROP INDEX idx_sessions_name_key",
    "CREATE INDEX idx_sessions_name ON sessions (name, created_at)",
    """
ALTER TABLE sessions
    DROP CONSTRAINT name_has_key,
    DROP COLUMN closed_at,
    DROP COLUMN name_key
    """,
)


def _key(name: str) -> str:
    """As `core.domain.sessions.names.session_name_key` was when this was released."""
    folded = unicodedata.normalize("NFKC", " ".join(name.split())).casefold()
    return " ".join(unicodedata.normalize("NFKC", folded).split())


def upgrade() -> None:
    op.execute(_COLUMNS)
    connection = op.get_bind()
    # A name of white space alone names nothing.
    op.execute("UPDATE sessions SET name = NULL WHERE name ~ '^\\s*$'")
    named = connection.execute(
        sa.text("SELECT DISTINCT name FROM sessions WHERE name IS NOT NULL")
    ).scalars()
    keys: list[dict[str, Any]] = [{"name": name, "key": _key(name)} for name in named]
    if keys:
        connection.execute(sa.text("UPDATE sessions SET name_key = :key WHERE name = :name"), keys)
    op.execute(_CLOSE_OLDER)
    for statement in (*_NAMES, *_LEDGER):
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
