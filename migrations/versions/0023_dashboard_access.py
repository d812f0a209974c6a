"""Links that sign people in to the dashboard, and the sessions of their browsers."""

from collections.abc import Sequence

from alembic import op

revision: str = "0023"
down_revision: str | None = "0022"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    """
CREATE TABLE sign_in_links (
    digest VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    slack_user_id VARCHAR(32),
    token_id UUID,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_sign_in_links PRIMARY KEY (digest),
    CONSTRAINT link_has_person CHECK ((slack_user_id IS NOT NULL) <> (token_id IS NOT NULL)),
    CONSTRAINT fk_sign_in_links_token_id FOREIGN KEY (token_id) REFERENCES api_tokens (id)
)
    """,
    "CREATE INDEX ix_sign_in_links_expires_at ON sign_in_links (expires_at)",
    """
CREATE TABLE dashboard_sessions (
    id UUID NOT NULL,
    digest VARCHAR(64) NOT NULL,
    name VARCHAR(200) NOT NULL,
    slack_user_id VARCHAR(32),
    token_id UUID,
    browser VARCHAR(200) NOT NULL,
    address VARCHAR(64) NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_dashboard_sessions PRIMARY KEY (id),
    CONSTRAINT session_has_person CHECK ((slack_user_id IS NOT NULL) <> (token_id IS NOT NULL)),
    CONSTRAINT fk_dashboard_sessions_token_id FOREIGN KEY (token_id) REFERENCES api_tokens (id)
)
    """,
    "CREATE UNIQUE INDEX uq_dashboard_sessions_digest ON dashboard_sessions (digest)",
    "CREATE INDEX ix_dashboard_sessions_expires_at ON dashboard_sessions (expires_at)",
)
_DOWN = ("DROP TABLE dashboard_sessions", "DROP TABLE sign_in_links")


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
