"""The work of ended runs: saved and measured after the end, and unknown instead of zero."""

from collections.abc import Sequence

from alembic import op

revision: str = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_COUNTS = ("git_diff_added_lines", "git_diff_removed_lines", "git_diff_files_changed")
_UP = (
    "ALTER TABLE workflow_runs ADD COLUMN initial_branches JSONB",
    "ALTER TABLE workflow_runs ADD COLUMN changes_unknown TEXT",
    "ALTER TABLE workflow_runs ADD COLUMN work_due_at TIMESTAMP WITH TIME ZONE",
    """
CREATE INDEX idx_workflow_runs_work_due_at ON workflow_runs (work_due_at)
    WHERE work_due_at IS NOT NULL
    """,
    *(f"ALTER TABLE workflow_runs ALTER COLUMN {name} DROP DEFAULT" for name in _COUNTS),
    """
UPDATE workflow_runs SET
    git_diff_added_lines = NULL, git_diff_removed_lines = NULL, git_diff_files_changed = NULL
WHERE git_diff_stats IS NULL OR git_diff_stats = '{}'
    """,
)
_DOWN = (
    """
UPDATE workflow_runs SET
    git_diff_added_lines = 0, git_diff_removed_lines = 0, git_diff_files_changed = 0
WHERE git_diff_stats IS NULL OR git_diff_stats = '{}'
    """,
    # Earlier versions know only these keys.
    """
UPDATE workflow_runs SET git_diff_stats = jsonb_build_object(
    'files', (
        SELECT coalesce(jsonb_agg(file - 'branch'), '[]')
        FROM jsonb_array_elements(git_diff_stats -> 'files') AS file
    ),
    'commits', (
        SELECT coalesce(jsonb_agg(made - 'branch'), '[]')
        FROM jsonb_array_elements(git_diff_stats -> 'commits') AS made
    )
)
WHERE git_diff_stats ? 'files'
    """,
    *(f"ALTER TABLE workflow_runs ALTER COLUMN {name} SET DEFAULT 0" for name in _COUNTS),
    "DROP INDEX idx_workflow_runs_work_due_at",
    "ALTER TABLE workflow_runs DROP COLUMN work_due_at",
    "ALTER TABLE workflow_runs DROP COLUMN changes_unknown",
    "ALTER TABLE workflow_runs DROP COLUMN initial_branches",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
