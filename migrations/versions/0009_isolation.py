"""Record what proves a kill, and whether the agents of a worker are isolated."""

from collections.abc import Sequence

from alembic import op

revision: str = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    "ALTER TABLE terminations ADD COLUMN proof_by VARCHAR(50)",
    """
    ALTER TABLE terminations ADD CONSTRAINT valid_proof_by
        CHECK (proof_by IN ('kernel namespace', 'process scan'))
    """,
    "UPDATE terminations SET proof_by = 'process scan' WHERE phase = 'confirmed'",
    "ALTER TABLE workers ADD COLUMN is_isolated BOOLEAN",
    "ALTER TABLE workers ADD COLUMN isolation_detail TEXT",
)
_DOWN = (
    "ALTER TABLE workers DROP COLUMN isolation_detail",
    "ALTER TABLE workers DROP COLUMN is_isolated",
    "ALTER TABLE terminations DROP COLUMN proof_by",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
