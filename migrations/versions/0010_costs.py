"""Costs are numbers of at least 0; what cannot be true counts as unknown."""

from collections.abc import Sequence

from alembic import op

revision: str = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# To Postgres, NaN is greater than every number.
_UP = (
    """
UPDATE workflow_runs SET cost_estimate = NULL, cost_source = NULL
WHERE cost_estimate < 0 OR cost_estimate = 'NaN'
    """,
    "UPDATE workflow_steps SET cost_usd = NULL WHERE cost_usd < 0 OR cost_usd = 'NaN'",
    """
ALTER TABLE workflow_runs ADD CONSTRAINT valid_cost
    CHECK (cost_estimate >= 0 AND cost_estimate <> 'NaN')
    """,
    """
ALTER TABLE workflow_steps ADD CONSTRAINT valid_step_cost
    CHECK (cost_usd >= 0 AND cost_usd <> 'NaN')
    """,
)
_DOWN = (
    "ALTER TABLE workflow_steps DROP CONSTRAINT valid_step_cost",
    "ALTER TABLE workflow_runs DROP CONSTRAINT valid_cost",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
