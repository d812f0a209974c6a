"""The outcome of completed runs: clean, or what in their evidence needs a look."""

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Judges the runs that are there by what their rows say.  Until now a step that was left open was
# stored as skipped, without an end; whether a workflow may change anything is not in the rows, so
# a run without any change is no reason here.
_JUDGE = """
WITH evidence AS (
    SELECT r.id,
           coalesce(r.metadata #>> '{tests,failed}', '0') !~ '^0*$' AS tests_failed,
           jsonb_array_length(coalesce(r.git_diff_stats -> 'commits', '[]')) = 0
               AND jsonb_array_length(coalesce(r.git_diff_stats -> 'files', '[]')) > 0
               AS nothing_committed,
           EXISTS (
               SELECT FROM workflow_steps s
               WHERE s.run_id = r.id AND (
                   s.status IN ('pending', 'in_progress', 'failed')
                   OR (s.status = 'skipped' AND s.completed_at IS NULL)
               )
           ) AS steps_left,
           coalesce(r.git_diff_stats @> '{"files": [{"committed": false}]}', false)
               AS uncommitted_changes
    FROM workflow_runs r
    WHERE r.status = 'completed'
), reasons AS (
    SELECT e.id, coalesce(
        jsonb_agg(reason.name ORDER BY reason.place) FILTER (WHERE reason.holds), '[]'
    ) AS found
    FROM evidence e
    CROSS JOIN LATERAL (VALUES
        (1, 'tests_failed', e.tests_failed),
        (2, 'nothing_committed', e.nothing_committed),
        (3, 'steps_left', e.steps_left),
        (4, 'uncommitted_changes', e.uncommitted_changes)
    ) AS reason (place, name, holds)
    GROUP BY e.id
)
UPDATE workflow_runs r
SET outcome_reasons = found,
    outcome = CASE WHEN found = '[]' THEN 'clean' ELSE 'attention' END
FROM reasons
WHERE r.id = reasons.id
"""
_UP = (
    """
ALTER TABLE workflow_runs
    ADD COLUMN outcome varchar(50),
    ADD COLUMN outcome_reasons jsonb NOT NULL DEFAULT '[]'
    """,
    _JUDGE,
    """
ALTER TABLE workflow_runs
    ADD CONSTRAINT valid_outcome CHECK (outcome IN ('attention', 'clean')),
    ADD CONSTRAINT outcome_has_reasons CHECK (
        (outcome IS NULL OR status = 'completed')
        AND (outcome IS NOT DISTINCT FROM 'attention') = (outcome_reasons <> '[]')
    )
    """,
)
_DOWN = (
    """
ALTER TABLE workflow_runs
    DROP CONSTRAINT outcome_has_reasons,
    DROP CONSTRAINT valid_outcome,
    DROP COLUMN outcome_reasons,
    DROP COLUMN outcome
    """,
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
