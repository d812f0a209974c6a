"""The lines that runs changed, for the page that shows them."""

from collections.abc import Sequence

from alembic import op

revision: str = "0027"
down_revision: str | None = "0026"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    """
CREATE TABLE run_patches (
    run_id UUID NOT NULL,
    content BYTEA NOT NULL,
    size INTEGER NOT NULL,
    is_cut BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT pk_run_patches PRIMARY KEY (run_id),
    CONSTRAINT fk_run_patches_run_id FOREIGN KEY (run_id) REFERENCES workflow_runs (id)
)
    """,
    # It is compressed already.
    "ALTER TABLE run_patches ALTER COLUMN content SET STORAGE EXTERNAL",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TABLE run_patches")
