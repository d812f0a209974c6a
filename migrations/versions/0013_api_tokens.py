"""API tokens: hashed, with a role or a Slack member's own rights."""

from collections.abc import Sequence

from alembic import op

revision: str = "0013"
down_revision: str | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    """
CREATE TABLE api_tokens (
    id UUID NOT NULL,
    name VARCHAR(64) NOT NULL,
    digest VARCHAR(64) NOT NULL,
    role INTEGER,
    slack_user_id VARCHAR(32),
    user_id UUID,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    last_used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_api_tokens PRIMARY KEY (id),
    CONSTRAINT valid_token_role CHECK (role BETWEEN 1 AND 4),
    CONSTRAINT token_has_rights CHECK (
        (slack_user_id IS NOT NULL) <> (user_id IS NOT NULL)
        AND (role IS NOT NULL OR slack_user_id IS NOT NULL)
    ),
    CONSTRAINT fk_api_tokens_user_id FOREIGN KEY (user_id) REFERENCES users (id)
)
    """,
    "CREATE UNIQUE INDEX uq_api_tokens_digest ON api_tokens (digest)",
    "CREATE UNIQUE INDEX uq_api_tokens_name ON api_tokens (name) WHERE revoked_at IS NULL",
)
# The `users` rows of tokens stay: runs and audit entries name them.
_DOWN = ("DROP TABLE api_tokens",)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
