"""Indexes for each filter of the list of runs: repository, branch, stop reason, outcome.

Each has the order of the list, so that a page is read, and its entries are counted, without a
sort and without the rows of other pages.  The lock that building takes lasts about a second for
each million runs; nothing else is rewritten.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0014"
down_revision: str | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_UP = (
    "DROP INDEX idx_workflow_runs_git_branch",
    "CREATE INDEX idx_workflow_runs_git_branch ON workflow_runs (git_branch, created_at DESC)",
    "CREATE INDEX idx_workflow_runs_git_repo ON workflow_runs (git_repo, created_at DESC)",
    "CREATE INDEX idx_workflow_runs_stop_reason ON workflow_runs (stop_reason, created_at DESC)",
    "CREATE INDEX idx_workflow_runs_outcome ON workflow_runs (outcome, created_at DESC)",
)
_DOWN = (
    "DROP INDEX idx_workflow_runs_outcome",
    "DROP INDEX idx_workflow_runs_stop_reason",
    "DROP INDEX idx_workflow_runs_git_repo",
    "DROP INDEX idx_workflow_runs_git_branch",
    "CREATE INDEX idx_workflow_runs_git_branch ON workflow_runs (git_branch)",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
