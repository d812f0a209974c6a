"""Figures of kills by when they were asked for: an index for them."""

from collections.abc import Sequence

from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Add the index."""
    op.execute("CREATE INDEX idx_terminations_requested_at ON terminations (requested_at)")


def downgrade() -> None:
    """Drop the index."""
    op.execute("DROP INDEX idx_terminations_requested_at")
