"""Workspaces as their workers report them, the disks they are on, and digests of carried work.

Bundles that are stored already get their digest here; that reads each of them once.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0020"
down_revision: str | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    "ALTER TABLE carried_work ADD COLUMN bundle_sha256 VARCHAR(64)",
    "UPDATE carried_work SET bundle_sha256 = encode(sha256(bundle), 'hex')",
    """
CREATE TABLE home_disks (
    disk_id TEXT NOT NULL,
    node TEXT NOT NULL,
    machine TEXT NOT NULL,
    total_bytes BIGINT NOT NULL,
    free_bytes BIGINT NOT NULL,
    used_bytes BIGINT NOT NULL,
    removable_bytes BIGINT NOT NULL,
    min_free_bytes BIGINT NOT NULL,
    max_bytes BIGINT,
    reported_at TIMESTAMP WITH TIME ZONE NOT NULL,
    pass_requested_at TIMESTAMP WITH TIME ZONE,
    pass_started_at TIMESTAMP WITH TIME ZONE,
    pass_ended_at TIMESTAMP WITH TIME ZONE,
    pass_removed INTEGER DEFAULT 0 NOT NULL,
    pass_reclaimed_bytes BIGINT DEFAULT 0 NOT NULL,
    CONSTRAINT pk_home_disks PRIMARY KEY (disk_id)
)
    """,
    """
CREATE TABLE workspaces (
    disk_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL,
    session_id UUID,
    repo TEXT,
    state VARCHAR(50) NOT NULL,
    bytes BIGINT,
    used_at TIMESTAMP WITH TIME ZONE NOT NULL,
    stay_reason VARCHAR(50),
    stay_names JSONB DEFAULT '[]' NOT NULL,
    stay_count INTEGER DEFAULT 0 NOT NULL,
    is_removable BOOLEAN DEFAULT false NOT NULL,
    examined_at TIMESTAMP WITH TIME ZONE,
    removal_why VARCHAR(50),
    removed_at TIMESTAMP WITH TIME ZONE,
    reclaimed_bytes BIGINT,
    requested_at TIMESTAMP WITH TIME ZONE,
    requested_by TEXT,
    reported_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_workspaces PRIMARY KEY (disk_id, workspace_id),
    CONSTRAINT valid_workspace_state CHECK (state IN ('missing', 'present', 'removed', 'removing')),
    CONSTRAINT fk_workspaces_session_id FOREIGN KEY (session_id) REFERENCES sessions (id)
)
    """,
    "CREATE INDEX idx_workspaces_session_id ON workspaces (session_id)",
    "CREATE INDEX idx_workspaces_requested ON workspaces (disk_id) WHERE requested_at IS NOT NULL",
)
_DOWN = (
    "DROP TABLE workspaces",
    "DROP TABLE home_disks",
    "ALTER TABLE carried_work DROP COLUMN bundle_sha256",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
